"""The client without asyncio: `mageflow.sync.chain(…).suspend(wait=True)`.

Each function and method is made of the async one of `mageflow`, has the same parameters and docstring, and returns
what is awaited there. `task`, `Status`, the errors and the rest are those of `mageflow`.
"""

from __future__ import annotations

from typing import Any, Literal, overload

from mageflow.client import factory, resource
from mageflow.client.blocking import LOOP_THREAD, blocking, iterating, making
from mageflow.client.connection import Client as AsyncClient

__all__ = ["Chain", "Client", "Resource", "Swarm", "Workflow", "chain", "find", "get", "swarm", "workflow"]


class Resource:
    """A Workflow, Chain or Swarm: see `mageflow.Resource`."""

    def __init__(self, wrapped: resource.Resource) -> None:
        self.wrapped = wrapped
        """The same for asyncio; it belongs to the event loop of this module."""

    def __repr__(self) -> str:
        return repr(self.wrapped)

    @property
    def kind(self) -> str:
        """As in a manifest: `Workflow`, `Chain`, `Swarm`."""
        return self.wrapped.kind

    @property
    def name(self) -> str:
        """Its name."""
        return self.wrapped.name

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return self.wrapped.namespace

    @property
    def is_started(self) -> bool:
        """It was created by `start()`, or found by `get()`."""
        return self.wrapped.is_started

    @property
    def manifest(self) -> dict[str, Any]:
        """What `start()` creates, or `get()` read: a copy."""
        return self.wrapped.manifest

    start = blocking(resource.Resource.start)
    suspend = blocking(resource.Resource.suspend)
    interrupt = blocking(resource.Resource.interrupt)
    resume = blocking(resource.Resource.resume)
    cancel = blocking(resource.Resource.cancel)
    check = blocking(resource.Resource.check)
    status = blocking(resource.Resource.status)
    wait = blocking(resource.Resource.wait)
    delete = blocking(resource.Resource.delete)
    watch = iterating(resource.Resource.watch)
    logs = iterating(resource.Resource.logs)


class Workflow(Resource):
    """One task."""

    suspend = blocking(resource.Workflow.suspend)


class Chain(Resource):
    """Tasks one after the other, each given the output of the one before."""


class Swarm(Resource):
    """Tasks side by side, at most `maxConcurrency` at once."""


class Client(AsyncClient):
    """A connection to a cluster: `with mageflow.sync.Client(context="staging"):`; see `mageflow.Client`."""

    def __enter__(self) -> Client:
        LOOP_THREAD.run(self.open())
        self.enter()
        return self

    def __exit__(self, *_: object) -> None:
        if self.leave():
            LOOP_THREAD.run(self.close())


workflow = making(Workflow, factory.workflow)
chain = making(Chain, factory.chain)
swarm = making(Swarm, factory.swarm)

_CLASSES = {"Workflow": Workflow, "Chain": Chain, "Swarm": Swarm}


@overload
def get(
    kind: Literal["Workflow", "workflow"], name: str, *, namespace: str | None = None, client: AsyncClient | None = None
) -> Workflow: ...


@overload
def get(
    kind: Literal["Chain", "chain"], name: str, *, namespace: str | None = None, client: AsyncClient | None = None
) -> Chain: ...


@overload
def get(
    kind: Literal["Swarm", "swarm"], name: str, *, namespace: str | None = None, client: AsyncClient | None = None
) -> Swarm: ...


@overload
def get(kind: str, name: str, *, namespace: str | None = None, client: AsyncClient | None = None) -> Resource: ...


def get(kind: str, name: str, *, namespace: str | None = None, client: AsyncClient | None = None) -> Resource:
    """Find a resource that is in the cluster: see `mageflow.get`."""
    found = LOOP_THREAD.run(factory.get(kind, name, namespace=namespace, client=client))
    return _CLASSES[found.kind](found)


def find(
    kind: str | None = None,
    *,
    name: str | None = None,
    selector: str | None = None,
    namespace: str | None = None,
    all_namespaces: bool = False,
    client: AsyncClient | None = None,
) -> list[Resource]:
    """Find the resources that are in the cluster: see `mageflow.find`."""
    found = factory.find(
        kind, name=name, selector=selector, namespace=namespace, all_namespaces=all_namespaces, client=client
    )
    return [_CLASSES[resource.kind](resource) for resource in LOOP_THREAD.run(found)]
