"""The Kubernetes API as operator and client use it: it knows requests, nothing of lifecycles, and nothing of kopf.

config.py         which cluster, and who asks: found where kubectl looks
transport.py      what is asked of a connection: single requests, and answers that come line by line
http.py           a connection over HTTP: credentials, time limits, Retry-After
light_imports.py  what of other packages is left out when they are imported
memory.py         what no garbage collection looks at
encoding.py       JSON, read and written
errors.py         what goes wrong, and what an answer's status means
backoff.py        pauses between attempts
paths.py          paths of objects and collections
selectors.py      label selectors: which Jobs and pods are ours
watch.py          list and watch: what there is, then each change of it
"""
