"""Sightings: when a watch told of what. All times are of this process's steady clock, in seconds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from bench.api import Api, Raw

PATIENCE: Final = 120.0


class Sightings:
    """The newest state of each object of one collection, with when it was told."""

    def __init__(self) -> None:
        self.objects: dict[str, Raw] = {}
        self.listeners: list[Callable[[str, Raw], Any]] = []
        """Called with the type and the object of each event, as it comes."""
        self._waiters: list[tuple[Callable[[Raw], bool], asyncio.Future[float]]] = []

    def note(self, type_: str, raw: Raw) -> None:
        """Note an event that came just now."""
        now = time.perf_counter()
        key = raw["metadata"]["uid"]
        known = self.objects.get(key)
        if type_ == "DELETED":
            self.objects.pop(key, None)
        elif known is None or _version(known) <= _version(raw):
            self.objects[key] = raw
        for is_met, future in list(self._waiters):
            if not future.done() and is_met({**raw, "isGone": type_ == "DELETED"}):
                future.set_result(now)
        for listener in self.listeners:
            listener(type_, raw)

    async def see(self, is_met: Callable[[Raw], bool], *, known: bool = False) -> float:
        """Wait for an event whose object meets a condition; return when it came. `known`: what is there counts too."""
        if known and any(is_met({**raw, "isGone": False}) for raw in self.objects.values()):
            return time.perf_counter()
        waiter = (is_met, asyncio.get_running_loop().create_future())
        self._waiters.append(waiter)
        try:
            return await asyncio.wait_for(waiter[1], PATIENCE)
        finally:
            self._waiters.remove(waiter)

    def expect(self, is_met: Callable[[Raw], bool]) -> asyncio.Task[float]:
        """Begin to wait as `see` does: what is told from now on counts."""
        return asyncio.ensure_future(self.see(is_met))

    async def all_meet(self, is_met: Callable[[Raw], bool], count: int) -> float:
        """Wait until so many objects meet a condition; return when that was so."""
        deadline = time.monotonic() + 10 * PATIENCE
        while sum(map(is_met, self.objects.values())) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"only {sum(map(is_met, self.objects.values()))} of {count}")
            await asyncio.sleep(0.02)
        return time.perf_counter()


def _version(raw: Raw) -> int:
    return int(raw["metadata"]["resourceVersion"])


@asynccontextmanager
async def watching(api: Api, path: str) -> AsyncIterator[Sightings]:
    """Watch a collection during the block."""
    sightings = Sightings()
    listed = await api.request("GET", path)
    for raw in listed["items"]:
        sightings.note("ADDED", raw)

    async def follow() -> None:
        version = listed["metadata"]["resourceVersion"]
        while True:
            async for event in api.watch(path, version):
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    sightings.note(event["type"], event["object"])

    following = asyncio.create_task(follow())
    try:
        yield sightings
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


def named(name: str) -> Callable[[Raw], bool]:
    """Return a condition: the object has this name, or belongs to the resource or Job of this name."""

    def is_met(raw: Raw) -> bool:
        metadata = raw["metadata"]
        labels = metadata.get("labels") or {}
        owners = (labels.get(label) for label in ("mageflow.io/name", "job-name", "workflows.argoproj.io/workflow"))
        return name in (metadata["name"], *owners)

    return is_met


def is_going(raw: Raw) -> bool:
    """Tell whether an object is told to go, or gone."""
    return bool(raw.get("isGone") or "deletionTimestamp" in raw["metadata"])


def in_phase(*phases: str) -> Callable[[Raw], bool]:
    """Return a condition: the resource's status says one of these phases, of its present spec."""

    def is_met(raw: Raw) -> bool:
        status = raw.get("status") or {}
        return status.get("phase") in phases and status.get("observedGeneration") == raw["metadata"]["generation"]

    return is_met


def is_complete(raw: Raw) -> bool:
    """Tell whether a Job says that it is complete."""
    conditions = (raw.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Complete" and one["status"] == "True" for one in conditions)
