obj.spec.lifecycle = "suspended"
return obj
