"""The Python client: what `import mageflow` offers, and `mageflow.sync` without asyncio.

    pipelines.py       workflow, chain, swarm, get: where a program begins
    tasks.py           task, and the specs made of tasks
    resource.py        Workflow, Chain, Swarm: the verbs
    lifecycle_requests.py  a lifecycle is asked for; what a sighting says of it (pure); how it is taken back
    waiter.py          the wait for requests, one or many
    scopes.py          several watches at once
    logs.py            lines of many pods
    status.py          what is seen, and whether it is of now
    handle.py          one object in the cluster
    connection.py      Client: which cluster
    errors.py          all that can go wrong
    portal.py          async code for sync callers
    pytest_plugin.py   the fixture `mageflow_fake`: fake.py, fakeserver.py

Nothing is imported here: `import mageflow` is cheap, and each name is imported when it is used first.
"""
