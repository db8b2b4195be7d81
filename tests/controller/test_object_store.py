"""The newest of each object counts, in whatever order and how often news of it comes, and what is gone stays gone."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mageflow.controller.object_store import ObjectStore, Tombstones

from .documents import Raw

Event = tuple[str, int | None]
"""A uid and a version; None: the object was deleted."""


def document(uid: str, version: int) -> Raw:
    return {"metadata": {"uid": uid, "resourceVersion": str(version)}}


class Reader:
    """A store of versions, and how often one was read."""

    def __init__(self) -> None:
        self.store: ObjectStore[int] = ObjectStore(Tombstones())
        self.reads = 0

    def upsert(self, uid: str, version: int) -> int | None:
        def read(known: int | None) -> int:
            assert known == self.store.get(uid)
            self.reads += 1
            return version

        return self.store.upsert(document(uid, version), read)


@dataclass(frozen=True)
class Life:
    """All that is told of one object: its versions, and perhaps its deletion."""

    uid: str
    versions: tuple[int, ...]
    is_deleted: bool

    def events(self) -> list[Event]:
        return [(self.uid, version) for version in self.versions] + [(self.uid, None)] * self.is_deleted


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Life], list[Event]]:
    """Lives that follow each other under one name, all but the last to their end; their events, mixed and repeated."""
    versions = sorted(draw(st.sets(st.integers(1, 200), min_size=1, max_size=12)))
    cuts = sorted(draw(st.sets(st.integers(1, len(versions) - 1), max_size=3))) if len(versions) > 1 else []
    parts = [tuple(versions[start:end]) for start, end in pairwise((0, *cuts, len(versions)))]
    *before, last = (f"uid-{number}" for number in range(len(parts)))
    lives = [Life(uid, part, True) for uid, part in zip(before, parts, strict=False)]
    lives.append(Life(last, parts[-1], draw(st.booleans())))
    events = [event for life in lives for event in life.events()]
    return lives, draw(st.permutations(events + draw(st.lists(st.sampled_from(events), max_size=10))))


@given(histories())
def test_any_order_and_repetition_of_events_ends_in_the_newest(history: tuple[list[Life], list[Event]]) -> None:
    """What was deleted is gone, whatever comes late; what was made anew under its name is there."""
    lives, events = history
    reader = Reader()
    for uid, version in events:
        if version is None:
            reader.store.delete(uid)
        else:
            reader.upsert(uid, version)
    expected = {life.uid: max(life.versions) for life in lives if not life.is_deleted}
    assert {uid: reader.store.get(uid) for uid in reader.store.uids()} == expected
    assert sorted(reader.store.values()) == sorted(expected.values())
    assert len(reader.store) == len(expected)


@given(histories())
def test_no_version_is_read_twice(history: tuple[list[Life], list[Event]]) -> None:
    lives, events = history
    reader = Reader()
    for uid, version in events:
        if version is not None:
            reader.upsert(uid, version)
    assert reader.reads <= sum(len(life.versions) for life in lives)


@pytest.mark.parametrize(
    ("version", "is_news"),
    [pytest.param(11, True, id="newer"), pytest.param(10, False, id="equal"), pytest.param(9, False, id="older")],
)
def test_only_what_is_newer_is_read(version: int, is_news: bool) -> None:
    reader = Reader()
    assert reader.upsert("a", 10) == 10
    assert reader.upsert("a", version) == (version if is_news else None)
    assert reader.reads == 1 + is_news


def test_object_stays_as_it_was_when_a_version_cannot_be_read() -> None:
    reader = Reader()
    reader.upsert("a", 10)

    def fail(_: int | None) -> int:
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 - our own
        reader.store.upsert(document("a", 11), fail)
    assert reader.store.get("a") == 10
    assert reader.upsert("a", 11) == 11, "it may be read the next time"


def test_last_state_is_told_until_it_is_released() -> None:
    reader = Reader()
    reader.upsert("a", 10)
    reader.upsert("b", 11)
    reader.store.retain("a", 12)
    assert reader.store.is_retained("a")
    assert reader.store.is_gone("a")
    assert reader.upsert("a", 13) is None, "an answer that comes late brings nothing back"
    assert reader.store.release(lambda version: version == 12) == []
    assert reader.store.get("a") == 12
    assert reader.store.release(lambda _: False) == ["a"], "what is still there isn't asked about"
    assert reader.store.uids() == ["b"]
    assert not reader.store.is_retained("a")
