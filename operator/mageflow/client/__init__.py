"""The Python client: what `import mageflow` offers, and `mageflow.sync` without asyncio.

what a program calls
    factory.py             workflow, chain, swarm, get, find: where a program begins
    tasks.py               task, and the specs made of tasks
    resource.py            Workflow, Chain, Swarm: the verbs
    resource_status.py     Status: what a resource says of itself, and whether of its present spec
    lifecycle_errors.py    what may go wrong: states and waits; the tree of all errors is drawn there
    connection.py          Client: which cluster a call goes to
    blocking.py            async code for sync callers: mageflow.sync is made with it

a lifecycle that is set
    lifecycle_requests.py  the request, and `assess`: what a sighting of the resource says of it (pure)
    waiter.py              the wait for requests, one or many
    diagnosis.py           why nobody answers

objects in the cluster
    handle.py              one object, and no namesake of it
    scopes.py              several watches at once

logs
    log_line.py            one line, and the order of lines
    container_log.py       the log of one container
    log_merge.py           many logs as one, in order
    log_stream.py          all logs of a resource, so far or followed

Nothing is imported here: `import mageflow` is cheap, and each name is imported when it is used first.
"""
