obj.spec.lifecycle = "active"
return obj
