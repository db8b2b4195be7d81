"""Batches: the same thing done with many names or objects, so many at once, and how many seconds it took."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from bench.api import Api, Raw
from bench.sightings import Sightings

T = TypeVar("T")


async def do_all(things: Iterable[T], at_once: int, work: Callable[[T], Awaitable[object]]) -> float:
    """Do the same work with each, `at_once` of them at a time; return how many seconds that took."""
    places = asyncio.Semaphore(at_once)

    async def do(thing: T) -> None:
        async with places:
            await work(thing)

    began = time.perf_counter()
    await asyncio.gather(*map(do, things))
    return time.perf_counter() - began


async def run_to_end(
    api: Api, path: str, bodies: Iterable[Raw], seen: Sightings, has_ended: Callable[[Raw], bool], at_once: int
) -> float:
    """Create objects, `at_once` of which are there and haven't ended; return how many seconds it took until all have.

    `seen` watches their collection.
    """

    async def run(body: Raw) -> None:
        name = body["metadata"]["name"]
        ended = seen.expect(lambda raw: raw["metadata"]["name"] == name and has_ended(raw))
        await api.request("POST", path, body)
        await ended

    return await do_all(bodies, at_once, run)
