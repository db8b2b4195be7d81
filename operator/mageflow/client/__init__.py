"""The Python client: what `import mageflow` offers, and `mageflow.sync` without asyncio.

    pipelines.py       workflow, chain, swarm, get: where a program begins
    tasks.py           task, and the specs made of tasks
    resource.py        Workflow, Chain, Swarm: the verbs
    wishes.py          a lifecycle is written, answered, perhaps taken back
    logs.py            lines of many pods
    status.py          what is seen, and whether it is of now
    handle.py          one object in the cluster
    watching.py        lists and watches
    connection.py      Client: which cluster
    config.py          where it is found
    transport.py       how it is asked: httptransport.py, or the fake's
    answers.py         what a refusal means
    errors.py          all that can go wrong
    portal.py          async code for sync callers
    pytest_plugin.py   the fixture `mageflow_fake`: fake.py, fakeserver.py

Nothing is imported here: `import mageflow` is cheap, and each name is imported when it is used first.
"""
