"""Lists and watches: what there is, and then each change of it, whatever becomes of the connection.

    list ──→ yield what there is ──→ watch from there ──→ yield after each event ──┐
      ↑                                ↑                                           │
      │                                └──── broken off, or ended: go on ──────────┤
      └───────────────── 410 Gone: what it would go on from is forgotten ──────────┘

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from typing import Final

from mageflow.kube.backoff import Backoff
from mageflow.kube.errors import MageflowError, RequestError, UnreachableError, error_of
from mageflow.kube.transport import Raw, Transport

WATCH: Final = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": "240"}

GONE: Final = 410
"""HTTP status: what a watch was to go on from is forgotten; it lists anew."""


async def list_and_watch(
    transport: Transport, path: str, query: Mapping[str, str], patience: float
) -> AsyncGenerator[Mapping[str, Raw]]:
    """Yield the objects of a collection that `query` selects, by uid: those there are, then anew after each change.

    Raises the error that lasts for longer than `patience` seconds, or at once one that won't pass.
    """
    backoff = Backoff(patience)
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
                backoff.note_answer()
                async for line in lines:
                    type_, item = _read_event(line, path)
                    backoff.note_progress()
                    version = item["metadata"]["resourceVersion"]
                    if type_ != "BOOKMARK":
                        _apply(objects, type_, item)
                        yield objects
            await backoff.pause()
        except MageflowError as error:
            if isinstance(error, RequestError) and error.status == GONE:
                version = None
                await backoff.pause()
            else:
                await backoff.pause(error)


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
