obj.spec.lifecycle = "interrupted"
return obj
