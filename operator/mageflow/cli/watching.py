"""Resources of several kinds and namespaces, and then each change of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable, Mapping
from contextlib import aclosing
from typing import Final, NamedTuple, TypeAlias

from mageflow.api import Kind
from mageflow.client.connection import Connection
from mageflow.client.handle import collection_path
from mageflow.kube.errors import MageflowError
from mageflow.kube.transport import Raw
from mageflow.kube.watch import list_and_watch

MAX_NAMED: Final = 10
"""Names in one place that have a watch each; for more, all that is in the place is watched at once."""


class Place(NamedTuple):
    """What one watch tells of."""

    kind: Kind
    namespace: str | None
    """None: all."""
    name: str | None = None
    """None: all that are there. By name it can be watched also by one whose Role lists `resourceNames`."""


Snapshot: TypeAlias = dict[str, Raw]
"""By uid."""


def places_by_name(kind: Kind, namespace: str | None, names: Iterable[str]) -> list[Place]:
    """Return where resources of these names are to be watched, and, if they are many, with them all others."""
    names = list(dict.fromkeys(names))
    return [Place(kind, namespace, name) for name in names] if len(names) <= MAX_NAMED else [Place(kind, namespace)]


async def watch(connection: Connection, places: Collection[Place], selector: str | None) -> AsyncGenerator[Snapshot]:
    """Yield all resources of these places, then anew after each change. Raises what `follow` raises."""
    query = {} if selector is None else {"labelSelector": selector}
    queue: asyncio.Queue[tuple[Place, Snapshot] | MageflowError] = asyncio.Queue()
    pumps = [asyncio.create_task(_pump(connection, place, query, queue)) for place in places]
    seen: dict[Place, Snapshot] = {}
    try:
        while True:
            item = await queue.get()
            if isinstance(item, MageflowError):
                raise item
            seen[item[0]] = item[1]
            if len(seen) == len(pumps) and queue.empty():
                yield {uid: resource for place in places for uid, resource in seen[place].items()}
    finally:
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)


async def _pump(
    connection: Connection,
    place: Place,
    query: Mapping[str, str],
    queue: asyncio.Queue[tuple[Place, Snapshot] | MageflowError],
) -> None:
    if place.name is not None:
        query = {**query, "fieldSelector": f"metadata.name={place.name}"}
    path = collection_path(place.kind, place.namespace)
    changes = list_and_watch(connection.transport, path, query, connection.patience)
    try:
        async with aclosing(changes):
            async for objects in changes:
                queue.put_nowait((place, dict(objects)))
    except MageflowError as error:
        queue.put_nowait(error)
