"""What is never to cost more again, by counts: parses and decisions for an event, bytes for a resource and a status.

Requests are counted at a real API server (tests/integration/test_costs.py). Times are measured by `make bench` only.
"""

from __future__ import annotations

import copy
import gc
import json
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from typing import Any

import kopf
import pytest

from devkit.statuses import settle
from mageflow.api import SWARM, WORKFLOW, Kind
from mageflow.controller import cache_entry, caches, reconcile
from mageflow.controller.caches import Caches
from mageflow.controller.clock import Clock
from mageflow.controller.handlers import build_settings
from mageflow.controller.queue import WorkQueue
from mageflow.controller.reconcile import Reconciler
from mageflow.controller.reflector import feed_of_jobs, feed_of_pods, take_in
from mageflow.controller.settings import Settings
from mageflow.kube.encoding import decode
from mageflow.kube.transport import Raw
from mageflow.kube.watch import Changed, Listed

from .documents import STARTED, UID, ended, job, namespace, pod, resource, running

TEMPLATE = {"spec": {"containers": [{"name": "main", "image": "x"}]}}


class ApiServer:
    """Stands where the client does: it makes each Job and stores each status, and counts the requests."""

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.version = 1000
        self.workflow: Raw = resource(100, spec={"template": TEMPLATE})

    async def request(self, method: str, path: str, body: Any = None, **_: Any) -> Raw:
        kind = path.rpartition("/")[2]
        self.requests[f"{method} {kind}"] += 1
        self.version += 1
        metadata = {"resourceVersion": str(self.version)}
        if kind == "jobs":
            return {**body, "metadata": {**body["metadata"], **metadata, "uid": "job-1"}, "status": {}}
        if kind == "status":
            metadata = {**self.workflow["metadata"], **metadata}
            self.workflow = {**self.workflow, "metadata": metadata, "status": body["status"]}
            return self.workflow
        return {}


class Feed:
    """An operator's caches, queue and reconciler, fed as its watches feed them."""

    def __init__(self, api: ApiServer) -> None:
        self.caches = Caches(Clock())
        self.caches.namespaces.upsert(namespace())
        self.reconciler = Reconciler(api, self.caches, Settings(), Clock(), wake=lambda uid: self.wake(uid))
        self.queue = WorkQueue(self.reconciler.reconcile, workers=1)
        self.feeds = {"job": feed_of_jobs(self.caches), "pod": feed_of_pods(self.caches)}
        self.woken: set[str] = set()

    def wake(self, uid: str) -> None:
        self.woken.add(uid)

    async def tell(self, what: str, raw: Raw) -> None:
        """Tell of an event, and reconcile until nobody is woken any more."""
        if what == "resource":
            uid = self.caches.upsert_resource(WORKFLOW, raw)
            self.woken |= {uid} if uid is not None else set()
        else:
            self.woken |= take_in(self.feeds[what], None, Changed(raw, is_gone=False))
        while self.woken:
            await self.reconciler.reconcile(self.woken.pop())
            await self.reconciler.background.close()


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often objects were parsed, and decided upon."""
    counts: Counter[str] = Counter()
    places = (
        (caches, "observe_resource"),
        (cache_entry, "observe_job"),
        (cache_entry, "observe_pod"),
        (reconcile, "decide"),
    )
    for module, name in places:
        function = getattr(module, name)

        def count(*arguments: Any, function: Any = function, name: str = name) -> Any:
            counts[name] += 1
            return function(*arguments)

        monkeypatch.setattr(module, name, count)
    return counts


async def test_one_step_workflow_costs_no_more_than_it_did(counted: Counter[str]) -> None:
    """From its creation to Succeeded, with all that the watches tell of its Job and pod on the way."""
    api = ApiServer()
    feed = Feed(api)
    await feed.tell("resource", api.workflow)
    await feed.tell("resource", api.workflow)
    own: Raw = {"spec": {"suspend": False}}
    states: list[Raw] = [
        {"phase": "Pending"},
        {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]},
        {"phase": "Running", "containerStatuses": [running(at=STARTED)]},
        {"phase": "Running", "containerStatuses": [running(at=STARTED)], "podIP": "10.0.0.1"},
        {"phase": "Succeeded", "containerStatuses": [ended(0)]},
    ]
    await feed.tell("job", job(1010, uid="job-1", **own, status={"active": 1}))
    for number, status in enumerate(states):
        await feed.tell("pod", pod(1100 + number, **status))
        await feed.tell("resource", api.workflow)  # our own write comes back
    await feed.tell("job", job(1200, uid="job-1", **own, status={"succeeded": 1}))
    assert api.workflow["status"]["phase"] == "Succeeded"
    writes = api.requests["POST jobs"] + api.requests["PUT status"]
    assert writes <= 4, api.requests
    assert not [request for request in api.requests if request.startswith("GET")]
    assert counted["observe_resource"] == 1 + api.requests["PUT status"], "each version once"
    assert counted["observe_pod"] == len(states)
    assert counted["decide"] <= 9, counted


@pytest.mark.parametrize("what", ["job", "pod"])
async def test_event_without_news_is_parsed_once_and_decided_upon_never(counted: Counter[str], what: str) -> None:
    api = ApiServer()
    feed = Feed(api)
    await feed.tell("resource", api.workflow)
    make: Any = {"job": job, "pod": pod}[what]
    await feed.tell(what, make(2000))
    counted.clear()
    await feed.tell(what, make(2001))
    await feed.tell(what, make(2001))
    assert counted == {f"observe_{what}": 1}


async def test_list_of_what_is_known_parses_nothing(counted: Counter[str]) -> None:
    api = ApiServer()
    feed = Feed(api)
    await feed.tell("resource", api.workflow)
    pods = [pod(2000 + number, uid=f"pod-{number}") for number in range(50)]
    take_in(feed.feeds["pod"], None, Listed(pods, "3000"))
    counted.clear()
    assert take_in(feed.feeds["pod"], None, Listed(pods, "3001")) == set()
    assert counted == {}


def test_kopf_copies_and_compares_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy, "deepcopy", lambda _: pytest.fail("an object was copied"))
    storage = build_settings().persistence.diffbase_storage
    assert storage.build(body=kopf.Body(resource(101))) == {}  # type: ignore[arg-type]


# ── bytes ──


def stored(kind: Kind, count: int, number: int = 0, **spec: Any) -> Raw:
    """A resource as the API server sends it, its strings its own."""
    tasks = [{"name": f"task-{each}", "template": TEMPLATE} for each in range(count)]
    body = {"template": TEMPLATE} if kind is WORKFLOW else {"tasks": tasks, "maxConcurrency": count}
    raw = resource(100, uid=f"{UID}{number}", spec={**body, **spec})
    raw["metadata"]["name"] = f"work-{number}"
    return raw


@pytest.fixture
def known() -> Caches:
    known = Caches(Clock())
    known.namespaces.upsert(namespace())
    return known


@pytest.fixture
def traced() -> Iterator[None]:
    gc.collect()
    tracemalloc.start()
    yield
    tracemalloc.stop()


MOST_BYTES = 10_500
"""Kept of a held Workflow: 9,300 when this was written. Of 10,000 the operator has 300 MiB, with kopf's share."""


@pytest.mark.usefixtures("traced")
def test_held_resource_keeps_no_more_than_it_did(known: Caches) -> None:
    known.upsert_resource(WORKFLOW, stored(WORKFLOW, 1, lifecycle="suspended"))
    status = settle(known, f"{UID}0")
    count = 500
    lines = [
        json.dumps({**stored(WORKFLOW, 1, number, lifecycle="suspended"), "status": status}).encode()
        for number in range(1, count + 1)
    ]
    gc.collect()
    before, _ = tracemalloc.get_traced_memory()
    for line in lines:
        known.upsert_resource(WORKFLOW, decode(line))
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    assert (after - before) / count < MOST_BYTES


MOST_OF_A_TASK = 100
"""Bytes of a Swarm's status for each task that runs: 92 when this was written."""


@pytest.mark.parametrize("count", [10, 100, 1000])
def test_status_of_a_swarm_has_few_bytes_for_each_task(known: Caches, count: int) -> None:
    """It is written as a whole, so what is written of a Swarm of n grows with n, and with how often: see pacing.py."""
    known.upsert_resource(SWARM, stored(SWARM, count))
    status = settle(known, f"{UID}0")
    assert len(status["tasks"]) == count
    size = len(json.dumps(status, separators=(",", ":")))
    assert size < 1100 + MOST_OF_A_TASK * count, size / count
