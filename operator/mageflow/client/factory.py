"""Entry points: `workflow`, `chain`, `swarm` describe a resource, `get` and `find` look up what there is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeVar, overload

from mageflow.api import API_VERSION, KINDS, Kind
from mageflow.client.connection import Client, open_connection
from mageflow.client.handle import ObjectRef, collection_path
from mageflow.client.resource import Chain, Resource, Swarm, Workflow
from mageflow.client.tasks import Task, build_chain_spec, build_swarm_spec, build_workflow_spec
from mageflow.kube.errors import Cause, InvalidError
from mageflow.kube.transport import Raw

R = TypeVar("R", Workflow, Chain, Swarm)

_CLASSES: Final[Mapping[str, type[Resource]]] = {"Workflow": Workflow, "Chain": Chain, "Swarm": Swarm}


async def workflow(
    task: Task,
    *,
    name: str | None = None,
    namespace: str | None = None,
    labels: Mapping[str, str] | None = None,
    client: Client | None = None,
) -> Workflow:
    """Describe a Workflow of one task, and have the API server check it; nothing is created before `start()`.

    Its name is that of the task, unless `name` gives another. Raises InvalidError, naming each field at fault;
    AlreadyExistsError; ForbiddenError; UnreachableError; ConfigError.
    """
    name = task.name if name is None else name
    return await _make(Workflow, build_workflow_spec(task, f"Workflow {name}"), name, namespace, labels, client)


async def chain(
    tasks: Iterable[Task],
    *,
    name: str,
    namespace: str | None = None,
    labels: Mapping[str, str] | None = None,
    client: Client | None = None,
) -> Chain:
    """Describe a Chain, and have the API server check it; nothing is created before `start()`. Raises as `workflow`."""
    return await _make(Chain, build_chain_spec(tasks, f"Chain {name}"), name, namespace, labels, client)


async def swarm(
    tasks: Iterable[Task],
    *,
    name: str,
    max_concurrency: int | None = None,
    template: Mapping[str, Any] | None = None,
    namespace: str | None = None,
    labels: Mapping[str, str] | None = None,
    client: Client | None = None,
) -> Swarm:
    """Describe a Swarm, and have the API server check it; nothing is created before `start()`. Raises as `workflow`.

    At most `max_concurrency` tasks have a pod at once, 30 if it isn't given. `template` is the pod of each task that
    has no image or template of its own.
    """
    spec = build_swarm_spec(tasks, f"Swarm {name}", max_concurrency=max_concurrency, template=template)
    return await _make(Swarm, spec, name, namespace, labels, client)


@overload
async def get(
    kind: Literal["Workflow", "workflow"], name: str, *, namespace: str | None = None, client: Client | None = None
) -> Workflow: ...


@overload
async def get(
    kind: Literal["Chain", "chain"], name: str, *, namespace: str | None = None, client: Client | None = None
) -> Chain: ...


@overload
async def get(
    kind: Literal["Swarm", "swarm"], name: str, *, namespace: str | None = None, client: Client | None = None
) -> Swarm: ...


@overload
async def get(kind: str, name: str, *, namespace: str | None = None, client: Client | None = None) -> Resource: ...


async def get(kind: str, name: str, *, namespace: str | None = None, client: Client | None = None) -> Resource:
    """Find a resource that is in the cluster; `kind` as kubectl takes it: `chain`, `Chain`, `chains`, `mch`.

    Raises NotFoundError if there is none.
    """
    found = _parse_kind(kind)
    connection = await open_connection(client)
    ref = ObjectRef(connection, found, namespace or connection.namespace, name)
    resource = await ref.read()
    return _CLASSES[found.name](ref, resource, uid=resource["metadata"]["uid"])


async def find(
    kind: str | None = None,
    *,
    name: str | None = None,
    selector: str | None = None,
    namespace: str | None = None,
    all_namespaces: bool = False,
    client: Client | None = None,
) -> list[Resource]:
    """Find the resources that are in the cluster, of one kind or all three, in the order of kind, namespace and name.

    `name` selects those of this name, `selector` by labels, as `kubectl -l` does: `team=a,stage!=test`.
    """
    connection = await open_connection(client)
    where = None if all_namespaces else namespace or connection.namespace
    query = {} if selector is None else {"labelSelector": selector}
    query |= {} if name is None else {"fieldSelector": f"metadata.name={name}"}
    found: list[Resource] = []
    for one in KINDS if kind is None else (_parse_kind(kind),):
        listed = await connection.transport.request("GET", collection_path(one, where), query=query)
        for item in sorted(listed.get("items") or (), key=_by_name):
            ref = ObjectRef(connection, one, item["metadata"]["namespace"], item["metadata"]["name"])
            found.append(_CLASSES[one.name](ref, item, uid=item["metadata"]["uid"]))
    return found


def _by_name(item: Raw) -> tuple[str, str]:
    return item["metadata"]["namespace"], item["metadata"]["name"]


async def _make(
    cls: type[R],
    spec: Raw,
    name: str,
    namespace: str | None,
    labels: Mapping[str, str] | None,
    client: Client | None,
) -> R:
    kind = _parse_kind(cls.__name__)
    connection = await open_connection(client)
    ref = ObjectRef(connection, kind, namespace or connection.namespace, name)
    metadata: Raw = {"name": name, "namespace": ref.namespace, **({"labels": dict(labels)} if labels else {})}
    manifest = {"apiVersion": API_VERSION, "kind": kind.name, "metadata": metadata, "spec": spec}
    await ref.create(manifest, dry_run=True)
    return cls(ref, manifest)


def _parse_kind(word: str) -> Kind:
    for kind in KINDS:
        if word in (kind.name, kind.singular, kind.plural, kind.short_name):
            return kind
    what = f"{word!r} is none of {', '.join(kind.name for kind in KINDS)}"
    raise InvalidError("what to get", [Cause("kind", what)])
