"""Lists and watches: what there is, and then each change of it, whatever becomes of the connection.

    list, page by page ──→ yield what there is ──→ watch from there ──→ yield each change ──┐
      ↑                                              ↑                                      │
      │                                              └──── broken off, or ended: go on ─────┤
      └─────────────────────── 410 Gone: what it would go on from is forgotten ─────────────┘

https://kubernetes.io/docs/reference/using-api/api-concepts/#efficient-detection-of-changes
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, TypeAlias

from mageflow.kube.backoff import Backoff
from mageflow.kube.encoding import decode, encode
from mageflow.kube.errors import MageflowError, RequestError, UnreachableError, error_of
from mageflow.kube.transport import Raw, Requests, Transport

WATCH: Final = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": "240"}

PAGE: Final = 500
"""How many objects are listed at once: neither side holds more of them in memory.

https://kubernetes.io/docs/reference/using-api/api-concepts/#retrieving-large-results-sets-in-chunks
"""

GONE: Final = 410
"""HTTP status: what a watch was to go on from, or the rest of a list, is forgotten; it lists anew."""


@dataclass(frozen=True, slots=True)
class Listed:
    """All that is there, as of `version`: what isn't among it is gone."""

    objects: list[Raw]
    version: str


@dataclass(frozen=True, slots=True)
class Changed:
    """One object that is new, has changed, or is gone, as it was last."""

    object: Raw
    is_gone: bool


News: TypeAlias = Listed | Changed


async def list_pages(requests: Requests, path: str, query: Mapping[str, str]) -> AsyncGenerator[Listed]:
    """Yield what `query` selects of a collection, at most PAGE objects at a time, all as of one version.

    Raises ApiError: with status 410 if that took so long that the rest is forgotten.
    """
    token = ""
    while True:
        page = {**query, "limit": str(PAGE)} | ({"continue": token} if token else {})
        answer = await requests.request("GET", path, query=page)
        metadata = answer["metadata"]
        yield Listed(answer.get("items") or [], metadata["resourceVersion"])
        token = metadata.get("continue") or ""
        if not token:
            return


async def list_all(requests: Requests, path: str, query: Mapping[str, str]) -> Listed:
    """Return all that `query` selects of a collection, read in pages. Raises ApiError, as `list_pages`."""
    objects: list[Raw] = []
    version = ""
    async for page in list_pages(requests, path, query):
        objects += page.objects
        version = page.version
    return Listed(objects, version)


async def follow(transport: Transport, path: str, query: Mapping[str, str], pauses: Backoff) -> AsyncGenerator[News]:
    """Yield what `query` selects of a collection: all that is there, then each change; all anew if some were missed.

    `pauses` tells how long to wait after an attempt that failed, or raises its error.
    """
    version: str | None = None
    while True:
        try:
            if version is None:
                listed = await list_all(transport, path, query)
                version = listed.version
                yield listed
            async with transport.lines(path, {**WATCH, **query, "resourceVersion": version}) as lines:
                pauses.note_answer()
                async for line in lines:
                    type_, item = _read_event(line, path)
                    pauses.note_progress()
                    version = item["metadata"]["resourceVersion"]
                    if type_ != "BOOKMARK":
                        yield Changed(item, type_ == "DELETED")
            await pauses.pause()
        except MageflowError as error:
            if isinstance(error, RequestError) and error.status == GONE:
                version = None
                await pauses.pause()
            else:
                await pauses.pause(error)


async def list_and_watch(
    transport: Transport, path: str, query: Mapping[str, str], patience: float
) -> AsyncGenerator[Mapping[str, Raw]]:
    """Yield the objects of a collection that `query` selects, by uid: those there are, then anew after each change.

    Raises the error that lasts for longer than `patience` seconds, or at once one that won't pass.
    """
    objects: dict[str, Raw] = {}
    async with aclosing(follow(transport, path, query, Backoff(patience))) as changes:
        async for news in changes:
            match news:
                case Listed(listed):
                    objects = {item["metadata"]["uid"]: item for item in listed}
                case Changed(item, is_gone):
                    uid = item["metadata"]["uid"]
                    if is_gone:
                        objects.pop(uid, None)
                    else:
                        objects[uid] = item
            yield objects


def _read_event(line: bytes, path: str) -> tuple[str, Raw]:
    """Return the type of an event, and the object or bookmark in it; raise what an event of type ERROR means."""
    try:
        event = decode(line)
    except ValueError as error:
        raise UnreachableError(f"the watch of {path} broke off in the middle of an event") from error
    item: Raw = event["object"]
    if event["type"] == "ERROR":
        raise error_of(item.get("code", 500), encode(item), path)
    return event["type"], item
