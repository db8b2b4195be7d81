"""Resources of several kinds and namespaces, and then each change of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from typing import TypeAlias

from mageflow.api import Kind
from mageflow.client.connection import Connection
from mageflow.client.errors import MageflowError
from mageflow.client.handle import collection_path
from mageflow.client.transport import Raw
from mageflow.client.watching import follow

Place: TypeAlias = tuple[Kind, str | None]
"""A kind, in a namespace, or in all."""

Snapshot: TypeAlias = dict[str, Raw]
"""By uid."""


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
    changes = follow(connection.transport, collection_path(*place), query, connection.patience)
    try:
        async with aclosing(changes):
            async for objects in changes:
                queue.put_nowait((place, dict(objects)))
    except MageflowError as error:
        queue.put_nowait(error)
