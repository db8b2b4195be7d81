"""All that touches the cluster. It observes, lets `mageflow.core` decide, and acts.

handlers.py   kopf's watch events  →  caches.py  and a key in queue.py
queue.py      one key per resource, a limit on workers, back-off, delayed re-checks
reconcile.py  one resource: snapshot from the caches → decide → act
pacing.py     how soon a resource with many tasks is decided upon again
act.py        actions, the status write and events as API requests with preconditions
observe.py    API objects → the few facts that the core reads
client.py     the requests: credentials, errors, kopf's session
health.py     whether watches and queue move
"""
