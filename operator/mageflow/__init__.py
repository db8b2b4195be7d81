"""MageFlow: tasks on Kubernetes that can be suspended, interrupted and resumed by one field.

The Python client (docs/client.md):

    import asyncio, mageflow

    async def main() -> None:
        tasks = [mageflow.task("extract", image="…"), mageflow.task("load", image="…")]
        pipeline = await mageflow.chain(tasks, name="pipeline")  # checked by the API server; nothing is created
        await pipeline.start()
        await pipeline.suspend(wait=True)  # nothing runs any more
        await pipeline.resume()
        await pipeline.wait()

    asyncio.run(main())

`mageflow.sync` has the same without asyncio. All errors are MageflowErrors; mageflow.client.lifecycle_errors draws the
tree.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mageflow import sync
    from mageflow.api import Condition, ConditionType, Lifecycle, Phase, TaskPhase, TaskStatus
    from mageflow.client.connection import Client
    from mageflow.client.factory import chain, find, get, swarm, workflow
    from mageflow.client.lifecycle_errors import (
        BeingDeletedError,
        DeadlineError,
        EndedError,
        InconsistentWarning,
        NotStartedError,
        OvertakenError,
        StateError,
        TaskAlreadyRunningError,
    )
    from mageflow.client.log_line import LogLine
    from mageflow.client.resource import Chain, Resource, Swarm, Workflow
    from mageflow.client.resource_status import Status
    from mageflow.client.tasks import Task, task
    from mageflow.kube.errors import (
        AlreadyExistsError,
        ApiError,
        Cause,
        ConfigError,
        ConflictError,
        CredentialsError,
        ForbiddenError,
        InvalidError,
        InvalidRequestError,
        MageflowError,
        NotFoundError,
        RequestError,
        UnauthorizedError,
        UnreachableError,
    )

__all__ = [
    "AlreadyExistsError",
    "ApiError",
    "BeingDeletedError",
    "Cause",
    "Chain",
    "Client",
    "Condition",
    "ConditionType",
    "ConfigError",
    "ConflictError",
    "CredentialsError",
    "DeadlineError",
    "EndedError",
    "ForbiddenError",
    "InconsistentWarning",
    "InvalidError",
    "InvalidRequestError",
    "Lifecycle",
    "LogLine",
    "MageflowError",
    "NotFoundError",
    "NotStartedError",
    "OvertakenError",
    "Phase",
    "RequestError",
    "Resource",
    "StateError",
    "Status",
    "Swarm",
    "Task",
    "TaskAlreadyRunningError",
    "TaskPhase",
    "TaskStatus",
    "UnauthorizedError",
    "UnreachableError",
    "Workflow",
    "__version__",
    "chain",
    "find",
    "get",
    "swarm",
    "sync",
    "task",
    "workflow",
]

_MODULES = (
    "client.lifecycle_errors",
    "client.resource_status",
    "client.tasks",
    "client.log_line",
    "client.resource",
    "client.factory",
    "client.connection",
    "kube.errors",
    "api",
)
"""The modules that have the public names."""


def __getattr__(name: str) -> Any:
    """Import a public name when it is used first: `import mageflow` itself takes no time."""
    if name == "sync":
        return import_module("mageflow.sync")
    if name in __all__:
        for module in _MODULES:
            found = import_module(f"mageflow.{module}")
            if hasattr(found, name):
                globals()[name] = getattr(found, name)
                return globals()[name]
    raise AttributeError(f"module 'mageflow' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
