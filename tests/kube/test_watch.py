"""List and watch: pages, what a gap costs, and an end in the middle of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from mageflow.kube import backoff, watch
from mageflow.kube.backoff import Backoff
from mageflow.kube.errors import ApiError, RequestError
from mageflow.kube.transport import Raw
from mageflow.kube.watch import Changed, Listed, News, follow, list_all


def thing(name: str, version: int) -> Raw:
    return {"metadata": {"name": name, "uid": name, "resourceVersion": str(version)}}


class Script:
    """Stands where the transport does: gives the answers to lists and watches that it was told, one after the other."""

    def __init__(self, lists: list[Raw | ApiError], watches: list[list[Any] | ApiError]) -> None:
        self.lists = lists
        self.watches = watches
        self.asked: list[Mapping[str, str]] = []

    async def request(
        self, method: str, path: str, body: Any = None, *, query: Mapping[str, str] | None = None, **_: Any
    ) -> Raw:
        assert method == "GET"
        self.asked.append(query or {})
        answer = self.lists.pop(0)
        if isinstance(answer, ApiError):
            raise answer
        return answer

    @asynccontextmanager
    async def lines(self, path: str, query: Mapping[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        self.asked.append(query)
        answer = self.watches.pop(0)
        if isinstance(answer, ApiError):
            raise answer

        async def give() -> AsyncIterator[bytes]:
            for event in answer:
                yield event if isinstance(event, bytes) else json.dumps(event).encode()

        yield give()

    async def close(self) -> None: ...


def page(version: int, *things: Raw, token: str = "") -> Raw:
    return {"metadata": {"resourceVersion": str(version), "continue": token}, "items": list(things)}


def event(type_: str, raw: Raw) -> Raw:
    return {"type": type_, "object": raw}


GONE = RequestError(410, "Expired", "too old")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff, "FIRST_PAUSE", 0.0)


async def follow_for(script: Script, count: int) -> list[News]:
    """Return the first news of a watch."""
    found: list[News] = []
    async with aclosing(follow(script, "/things", {"labelSelector": "x"}, Backoff(60.0))) as changes:
        async for news in changes:
            found.append(news)
            if len(found) == count:
                break
    return found


async def test_list_is_read_in_pages_and_is_one() -> None:
    script = Script([page(7, thing("a", 1), token="next"), page(7, thing("b", 2))], [])
    assert await list_all(script, "/things", {}) == Listed([thing("a", 1), thing("b", 2)], "7")
    assert script.asked == [{"limit": "500"}, {"limit": "500", "continue": "next"}]


async def test_watch_goes_on_from_the_list_and_from_the_last_event_or_bookmark() -> None:
    watches = [
        [event("ADDED", thing("a", 8)), event("DELETED", thing("b", 9)), event("BOOKMARK", thing("", 20))],
        [event("MODIFIED", thing("a", 21))],
    ]
    script = Script([page(7, thing("b", 2))], watches)  # type: ignore[arg-type]
    assert await follow_for(script, 4) == [
        Listed([thing("b", 2)], "7"),
        Changed(thing("a", 8), False),
        Changed(thing("b", 9), True),
        Changed(thing("a", 21), False),
    ]
    assert [query.get("resourceVersion") for query in script.asked] == [None, "7", "20"]
    assert all(query["labelSelector"] == "x" for query in script.asked)


@pytest.mark.parametrize(
    "gap", [GONE, [event("ERROR", {"code": 410, "reason": "Expired", "message": "too old"})]], ids=["answer", "event"]
)
async def test_what_is_forgotten_is_listed_anew(gap: Any) -> None:
    script = Script([page(7, thing("a", 1)), page(90, thing("b", 80))], [gap])
    assert await follow_for(script, 2) == [Listed([thing("a", 1)], "7"), Listed([thing("b", 80)], "90")]


async def test_list_whose_rest_is_forgotten_is_begun_anew() -> None:
    """Half of it told as all would have the other half taken for gone."""
    script = Script([page(7, thing("a", 1), token="next"), GONE, page(90, thing("a", 1), thing("b", 2))], [])
    assert await follow_for(script, 1) == [Listed([thing("a", 1), thing("b", 2)], "90")]


async def test_event_that_broke_off_is_asked_for_again() -> None:
    script = Script([page(7)], [[b'{"type": "ADDED", "obj'], [event("ADDED", thing("a", 8))]])
    assert await follow_for(script, 2) == [Listed([], "7"), Changed(thing("a", 8), False)]
    assert [query.get("resourceVersion") for query in script.asked] == [None, "7", "7"]


async def test_error_that_will_not_pass_is_raised() -> None:
    script = Script([page(7)], [RequestError(403, "Forbidden", "no")])
    with pytest.raises(ApiError, match="no"):
        await follow_for(script, 2)


def test_watch_asks_for_bookmarks() -> None:
    """Without them a quiet watch goes on from a version that is forgotten by then, and lists all anew."""
    assert watch.WATCH["allowWatchBookmarks"] == "true"
