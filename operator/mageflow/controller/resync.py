"""Resync: relists everything into the caches. A new leader does this before its first reconcile.

Its watches may be late, so it lists each kind first, and acts on nothing older than that (docs/adr/0010).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence

from mageflow.api import KINDS
from mageflow.controller.api_server import ApiServer
from mageflow.controller.caches import Caches
from mageflow.controller.namespace_poller import NamespacePoller
from mageflow.controller.observe import run_key
from mageflow.kube.paths import JOBS, NAMESPACES, PODS, Collection, collection_of
from mageflow.kube.selectors import MANAGED
from mageflow.kube.transport import Raw
from mageflow.kube.watch import list_pages


def paths_of(collection: Collection, namespaces: Sequence[str] | None) -> Iterator[str]:
    """Yield the paths of a collection: one for each namespace; None: one for all of them."""
    yield from map(collection.path, (None,) if namespaces is None else namespaces)


async def relist_everything(client: ApiServer, caches: Caches, poller: NamespacePoller | None) -> None:
    """List all resources, their Jobs, pods and Namespaces into the caches; what is known and isn't there is gone.

    `poller` reads the Namespaces that are worked on; None: all are. What is in one that may not be read stays as it is
    known. Raises ApiError.
    """
    if poller is None:
        there = [raw async for raw in _each(client, NAMESPACES, None)]
    else:
        there = await poller.read_all(caches.namespaces.mark_unknown)
    for raw in there:
        caches.namespaces.upsert(raw)
    namespaces = None if poller is None else poller.readable()
    known = {uid: caches.children_of(uid) for uid in caches.uids() if _is_listed(caches, uid, namespaces)}
    present = set()
    for kind in KINDS:
        async for raw in _each(client, collection_of(kind), namespaces):
            caches.upsert_resource(kind, raw)
            present.add(raw["metadata"]["uid"])
    jobs = await _by_owner(_each(client, JOBS, namespaces, MANAGED))
    pods = await _by_owner(_each(client, PODS, namespaces, MANAGED))
    for uid in known.keys() - present:
        resource = caches.find(uid)
        if resource is not None:
            caches.delete_resource({"metadata": {"uid": uid, "resourceVersion": resource.resource_version}})
    for uid in known.keys() | jobs.keys() | pods.keys():
        caches.replace_children(uid, known.get(uid, ()), jobs[uid], pods[uid])


def _is_listed(caches: Caches, uid: str, namespaces: Sequence[str] | None) -> bool:
    resource = caches.find(uid)
    return namespaces is None or (resource is not None and resource.namespace in namespaces)


async def _each(
    client: ApiServer, collection: Collection, namespaces: Sequence[str] | None, selector: str | None = None
) -> AsyncIterator[Raw]:
    """Yield each object; its page is let go before the next is read: there may be many, and they are large."""
    query = {} if selector is None else {"labelSelector": selector}
    for path in paths_of(collection, namespaces):
        async for page in list_pages(client, path, query):
            for raw in page.objects:
                yield raw


async def _by_owner(children: AsyncIterator[Raw]) -> defaultdict[str, list[Raw]]:
    found: defaultdict[str, list[Raw]] = defaultdict(list)
    async for raw in children:
        key = run_key(raw)
        if key is not None:
            found[key.owner_uid].append(raw)
    return found
