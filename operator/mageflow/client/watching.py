"""Lists and watches: what there is, and then each change of it, whatever becomes of the connection.

    list ──→ yield what there is ──→ watch from there ──→ yield after each event ──┐
      ↑                                ↑                                           │
      │                                └──── broken off, or ended: go on ──────────┤
      └───────────────── 410 Gone: what it would go on from is forgotten ──────────┘

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Final

from mageflow.client.answers import GONE, error_of
from mageflow.client.errors import MageflowError, RequestError, UnreachableError
from mageflow.client.transport import Raw, Transport

WATCH: Final = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": "240"}

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds between attempts: doubling from the first to the longest."""


class Pauses:
    """Pauses between attempts, each longer than the one before, until patience with errors ends."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._pause = FIRST_PAUSE
        self._ends_at: float | None = None

    def note_answer(self) -> None:
        """Note that there is somebody who answers: patience begins anew with the next error."""
        self._ends_at = None

    def note_progress(self) -> None:
        """Note that it was worth while to ask: the next pause is short again."""
        self._pause = FIRST_PAUSE

    async def pause(self, error: MageflowError | None = None, *, is_passing: bool = False) -> None:
        """Pause after an attempt; raise its `error` if it won't pass, or patience has ended.

        With `is_passing` it may pass, though it may not be one of those that do wherever they come from.
        """
        now = asyncio.get_running_loop().time()
        if error is not None:
            self._ends_at = self._ends_at or now + self._patience
            if not (is_passing or may_pass(error)) or now >= self._ends_at:
                raise error
        await asyncio.sleep(self._pause)
        self._pause = min(2 * self._pause, LONGEST_PAUSE)


def may_pass(error: MageflowError) -> bool:
    """Tell whether the same request may succeed a little later: nobody answered, or somebody is overloaded."""
    is_busy = isinstance(error, RequestError) and (error.status == 429 or error.status >= 500)
    return is_busy or isinstance(error, UnreachableError)


async def follow(
    transport: Transport, path: str, query: Mapping[str, str], patience: float
) -> AsyncGenerator[Mapping[str, Raw]]:
    """Yield the objects of a collection that `query` selects, by uid: those there are, then anew after each change.

    Raises the error that lasts for longer than `patience` seconds, or at once one that won't pass.
    """
    pauses = Pauses(patience)
    objects: dict[str, Raw] = {}
    version: str | None = None
    while True:
        try:
            if version is None:
                listed = await transport.request("GET", path, query=query)
                version = listed["metadata"]["resourceVersion"]
                objects = {item["metadata"]["uid"]: item for item in listed.get("items") or ()}
                yield objects
            async with transport.lines(path, {**query, **WATCH, "resourceVersion": version}) as lines:
                pauses.note_answer()
                async for line in lines:
                    type_, item = _read_event(line, path)
                    pauses.note_progress()
                    version = item["metadata"]["resourceVersion"]
                    if type_ != "BOOKMARK":
                        _apply(objects, type_, item)
                        yield objects
            await pauses.pause()
        except MageflowError as error:
            if isinstance(error, RequestError) and error.status == GONE:
                version = None
                await pauses.pause()
            else:
                await pauses.pause(error)


def _read_event(line: bytes, path: str) -> tuple[str, Raw]:
    """Return the type of an event, and the object or bookmark in it; raise what an event of type ERROR means."""
    try:
        event = json.loads(line)
    except ValueError as error:
        raise UnreachableError(f"the watch of {path} broke off in the middle of an event") from error
    item: Raw = event["object"]
    if event["type"] == "ERROR":
        raise error_of(item.get("code", 500), json.dumps(item).encode(), path)
    return event["type"], item


def _apply(objects: dict[str, Raw], type_: str, item: Raw) -> None:
    uid = item["metadata"]["uid"]
    if type_ == "DELETED":
        objects.pop(uid, None)
    else:
        objects[uid] = item
