"""One feed: of all that watches tell, and of our own writes, each version is parsed once, and only news wakes."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import kopf
import pytest

from mageflow.api import WORKFLOW
from mageflow.controller import cache_entry, caches
from mageflow.controller.caches import Caches
from mageflow.controller.handlers import Handlers, build_settings
from mageflow.controller.queue import WorkQueue
from mageflow.controller.reconcile import Reconciler
from mageflow.controller.reflector import feed_of_jobs, feed_of_pods, take_in
from mageflow.controller.settings import Settings
from mageflow.kube.transport import Raw
from mageflow.kube.watch import Changed

from .clocks import StillClock
from .documents import UID, deleted, job, namespace, pod, resource

SUSPENDED = {"lifecycle": "suspended", "template": {"spec": {"containers": [{"name": "main", "image": "x"}]}}}


class Writer:
    """Stands where the client does: each write is made, and moves the resource to the next version."""

    def __init__(self) -> None:
        self.written: list[Raw] = []

    async def request(self, method: str, path: str, body: Any = None, **_: Any) -> Raw:
        if method == "PUT":
            version = int(body["metadata"]["resourceVersion"]) + 1
            self.written.append(resource(version, spec=SUSPENDED, status=body["status"]))
            return self.written[-1]
        return {}


class Feed:
    """The handlers, called as kopf calls them, and what the reflectors do with an event."""

    def __init__(self) -> None:
        clock = StillClock()
        self.caches = Caches(clock)
        self.writer = Writer()
        self.reconciler = Reconciler(self.writer, self.caches, Settings(), clock, wake=lambda _: None)
        self.queue = WorkQueue(self.reconciler.reconcile, workers=1)
        self.feeds = {"job": feed_of_jobs(self.caches), "pod": feed_of_pods(self.caches)}
        unused: Any = None
        self.handlers = Handlers(unused, self.caches, self.reconciler, self.queue, unused)

    def work_off(self) -> None:
        """Have all that waits be done."""
        self.queue = self.handlers._queue = WorkQueue(self.reconciler.reconcile, workers=1)

    async def tell(self, what: str, raw: Raw, type_: str = "MODIFIED") -> None:
        """Tell of one watch event."""
        if what in self.feeds:
            for uid in take_in(self.feeds[what], None, Changed(raw, type_ == "DELETED")):
                self.handlers.wake(uid)
            return
        handle = getattr(self.handlers, f"on_{what}_event")
        await handle(event={"type": type_, "object": raw}, param=WORKFLOW)


@pytest.fixture
async def feed() -> Feed:
    feed = Feed()
    await feed.tell("namespace", namespace())
    return feed


@pytest.fixture
def parses(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often an object was parsed, by kind."""
    counted: Counter[str] = Counter()
    for module, name in ((caches, "observe_resource"), (cache_entry, "observe_job"), (cache_entry, "observe_pod")):
        parse = getattr(module, name)

        def count(*objects: Any, parse: Any = parse, what: str = name.removeprefix("observe_")) -> Any:
            counted[what] += 1
            return parse(*objects)

        monkeypatch.setattr(module, name, count)
    return counted


EVENTS = [("resource", resource(101)), ("job", job()), ("pod", pod())]


@pytest.mark.parametrize(("what", "raw"), EVENTS, ids=[what for what, _ in EVENTS])
async def test_event_is_parsed_once_and_wakes_its_resource(
    feed: Feed, parses: Counter[str], what: str, raw: Raw
) -> None:
    await feed.tell(what, raw)
    assert parses == {what: 1}
    assert feed.queue.depth() == 1
    await feed.tell(what, raw)
    assert parses == {what: 1}, "a watch that lists anew tells of the same version again"


@pytest.mark.parametrize(
    ("what", "raw"),
    [
        ("job", job(11, status={"startTime": "2026-11-24T12:00:00Z", "ready": 1})),
        ("pod", pod(21, podIP="10.0.0.7", conditions=[{"type": "PodReadyToStartContainers", "status": "True"}])),
    ],
    ids=["job", "pod"],
)
async def test_what_no_decision_reads_wakes_nobody(feed: Feed, what: str, raw: Raw) -> None:
    """A pod's status changes four times before it runs. Its resource version is known, for the next precondition."""
    await feed.tell(what, {"job": job(), "pod": pod()}[what])
    feed.work_off()
    await feed.tell(what, raw)
    assert feed.queue.depth() == 0
    store = {"job": feed.caches._entries[UID].jobs, "pod": feed.caches._entries[UID].pods}[what]
    ((_, known),) = store.values()  # type: ignore[attr-defined]
    assert known.resource_version == raw["metadata"]["resourceVersion"]


async def test_deletion_that_we_expect_wakes_its_resource_though_it_is_known(feed: Feed) -> None:
    """An answer to a read may show it first, and the watch the same version after our own write has returned."""
    await feed.tell("pod", pod())
    feed.caches.expect_deletion(UID, "pod-1")
    feed.work_off()
    await feed.tell("pod", deleted(pod(), 21))
    assert feed.queue.depth() == 1
    assert feed.caches.are_expectations_fulfilled(UID)


@pytest.mark.parametrize(("what", "raw"), EVENTS[1:], ids=[what for what, _ in EVENTS[1:]])
async def test_deletion_is_parsed_once(feed: Feed, parses: Counter[str], what: str, raw: Raw) -> None:
    await feed.tell("resource", resource())
    await feed.tell(what, raw)
    await feed.tell(what, deleted(raw, 200), "DELETED")
    assert parses == {"resource": 1, what: 2}


async def test_own_status_is_not_parsed_when_the_watch_brings_it_back(feed: Feed, parses: Counter[str]) -> None:
    await feed.tell("resource", resource(spec=SUSPENDED))
    await feed.reconciler.reconcile(UID)
    (written,) = feed.writer.written
    assert parses == {"resource": 2}, "what was asked, and the answer to the write"
    await feed.tell("resource", written)
    assert parses == {"resource": 2}
    observed = feed.caches.find(UID)
    assert observed is not None
    assert observed.resource_version == written["metadata"]["resourceVersion"]


async def test_kopf_copies_and_compares_nothing_of_an_object(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a Swarm of 1,000 tasks it took 28 ms of each event, though no handler of ours is told of a difference."""
    copied: list[Any] = []

    def note(thing: Any) -> Any:
        copied.append(thing)
        return thing

    monkeypatch.setattr(copy, "deepcopy", note)
    storage = build_settings().persistence.diffbase_storage
    large = kopf.Body(resource(101, spec={**SUSPENDED, "input": list(range(1000))}))  # type: ignore[arg-type]
    assert storage.build(body=large) == {}
    assert storage.fetch(body=large) is None
    assert copied == []
