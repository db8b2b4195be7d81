"""A cluster in miniature for the tests of pipelines: objects, controllers, a node in memory, and the real decisions.

    pytest_plugin.py     the fixture `mageflow_fake`
    cluster.py           FakeCluster: tasks do what the test says, at once
    memory_transport.py  what the client connects to
    inline_operator.py   the operator's own caches and decisions, without an event loop
    server.py            the API server: versions, preconditions, finalizers, a log for watches
    controllers.py       the Job controller and the garbage collectors, write by write
    node.py              the scheduler and the kubelet

The last three are also what the model in `tests/model` is made of, and are held to the real ones by it.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mageflow.testing.cluster import FakeCluster, FakeTask

__all__ = ["FakeCluster", "FakeTask"]


def __getattr__(name: str) -> Any:
    """Import a name when it is used first: the plugin is loaded by every pytest."""
    if name not in __all__:
        raise AttributeError(f"module 'mageflow.testing' has no attribute {name!r}")
    from mageflow.testing import cluster

    return getattr(cluster, name)
