"""Creations of Jobs: each by itself, so that none keeps another, or a stop, from being made."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from mageflow.api import WORKFLOW
from mageflow.controller.background import Background
from mageflow.controller.caches import Caches
from mageflow.controller.creations import MAX_FRESH, Creations, read_refusal
from mageflow.controller.executor import Executor, Means
from mageflow.controller.fenced_client import NotLeadingError
from mageflow.core.decision import CreateJob, EvictPod, StopJob
from mageflow.core.observed import ObservedJob, ObservedPod, ObservedResource
from mageflow.kube.errors import ApiError
from mageflow.kube.transport import Raw

from .clocks import StillClock
from .documents import UID, job, namespace, pod, resource


class Wire:
    """A client whose requests are answered when the test says so."""

    def __init__(self) -> None:
        self.answers: dict[str, asyncio.Future[Raw]] = {}
        self.asked: list[str] = []
        self._news = asyncio.Condition()

    async def request(self, method: str, path: str, body: Any = None, **_: Any) -> Raw:
        what = f"{method} {path.rpartition('/')[2]}"
        if method == "POST" and what == "POST jobs":
            what = f"POST {body['metadata']['name']}"
        self.asked.append(what)
        async with self._news:
            self._news.notify_all()
        answer = self.answers.setdefault(what, asyncio.get_running_loop().create_future())
        return await asyncio.shield(answer)

    async def has_asked(self, what: str) -> None:
        async with self._news:
            await self._news.wait_for(lambda: what in self.asked)

    def answer(self, what: str, answer: Raw | ApiError) -> None:
        future = self.answers.setdefault(what, asyncio.get_running_loop().create_future())
        if isinstance(answer, ApiError):
            future.set_exception(answer)
        else:
            future.set_result(answer)


class Desk:
    """All that is needed to carry out actions on one Workflow."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self.caches = Caches(self.clock)
        self.wire = Wire()
        self.background = Background()
        self.woken: Counter[str] = Counter()
        self.creations = Creations(
            self.wire, self.caches, self.clock, self.background, lambda uid: self.woken.update([uid])
        )
        self.caches.namespaces.upsert(namespace())
        self.caches.upsert_resource(WORKFLOW, resource())

    @property
    def seen(self) -> ObservedResource:
        observed = self.caches.observe(UID)
        assert observed is not None
        return observed

    @property
    def executor(self) -> Executor:
        means = Means(self.creations, self.background, lambda uid: self.woken.update([uid]))
        return Executor(self.wire, self.caches, self.seen, self.clock, means)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    desk.background.cancel()


def create(number: int = 1) -> CreateJob:
    return CreateJob("main", {"metadata": {"name": f"report-{number}"}}, number, "hash")


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_creation_holds_nobody_and_its_answer_wakes_the_resource(desk: Desk) -> None:
    await desk.executor.carry_out([create()])
    await settle()
    assert desk.seen.creations["main"].began_at is not None
    assert not desk.woken
    desk.wire.answer("POST report-1", job())
    await settle()
    assert (desk.woken[UID], list(desk.seen.runs_of("main"))) == (1, [1])
    assert desk.seen.creations["main"].began_at is None


@pytest.mark.parametrize(
    ("error", "reason", "may_come"),
    [
        pytest.param(ApiError(422, "Invalid", "x", {"causes": [{"field": "a"}]}), "InvalidTask", False, id="a field"),
        pytest.param(ApiError(422, "Invalid", "x", {"causes": [{"message": "x"}]}), "Forbidden", False, id="a policy"),
        pytest.param(ApiError(400, "BadRequest", "denied the request: x"), "Forbidden", False, id="a webhook"),
        pytest.param(ApiError(409, "Conflict", "denied the request: x"), "Forbidden", False, id="a webhook with 409"),
        pytest.param(ApiError(403, "Forbidden", "x"), "Forbidden", False, id="rights"),
        pytest.param(ApiError(413, "RequestEntityTooLarge", "x"), "InvalidTask", False, id="too large"),
        pytest.param(ApiError(500, "", "etcdserver: request is too large"), "InvalidTask", True, id="etcd's limit"),
        pytest.param(ApiError(409, "Conflict", "resourcequotas"), "JobNotCreated", False, id="a quota that changes"),
        pytest.param(ApiError(429, "TooManyRequests", "x"), "JobNotCreated", False, id="throttled"),
        pytest.param(ApiError(500, "InternalError", "failed calling webhook"), "JobNotCreated", False, id="fails"),
        pytest.param(ApiError(504, "Timeout", "x"), "JobNotCreated", True, id="in time"),
        pytest.param(ApiError(0, "TimeoutError", "no answer"), "JobNotCreated", True, id="no answer"),
    ],
)
async def test_refusal_is_noted_and_the_resource_woken(
    desk: Desk, error: ApiError, reason: str, may_come: bool
) -> None:
    desk.creations.begin(desk.seen, create())
    desk.wire.answer("POST report-1", error)
    await settle()
    assert desk.seen.refusals["main"].reason == reason
    assert (desk.seen.creations["main"].ends_at is not None, desk.woken[UID]) == (may_come, 1)


async def test_refused_request_is_made_again_when_the_api_server_said(desk: Desk) -> None:
    busy = ApiError(429, "TooManyRequests", "x", retry_after=20.0)
    desk.creations.begin(desk.seen, create())
    desk.wire.answer("POST report-1", busy)
    desk.caches.upsert_pod(pod())
    desk.wire.answer("POST eviction", busy)
    await desk.executor.carry_out([EvictPod(ObservedPod("p", "pod-1", "20", "Pending"))])
    await settle()
    due = desk.clock.now() + timedelta(seconds=20)
    assert (desk.seen.refusals["main"].retry_at, desk.seen.blocked["EvictPod pod-1"].retry_at) == (due, due)


async def test_nothing_is_noted_when_another_operator_may_act(desk: Desk) -> None:
    desk.creations.begin(desk.seen, create())
    desk.wire.answer("POST report-1", NotLeadingError())
    await settle()
    assert (desk.seen.refusals, desk.seen.creations["main"].ends_at) == ({}, None)


@pytest.mark.parametrize("owner", [UID, "another"])
async def test_job_that_exists_is_taken_only_if_it_is_ours(desk: Desk, owner: str) -> None:
    desk.creations.begin(desk.seen, create())
    desk.wire.answer("POST report-1", ApiError(409, "AlreadyExists", "exists"))
    desk.wire.answer("GET report-1", job(owner=owner))
    await settle()
    assert bool(desk.seen.runs) is (owner == UID)
    assert [refusal.reason for refusal in desk.seen.refusals.values()] == ([] if owner == UID else ["NameConflict"])


async def test_hanging_creations_starve_no_other_creation(desk: Desk) -> None:
    for number in range(MAX_FRESH + 1):
        desk.creations.begin(desk.seen, create(number))
    await settle()
    assert f"POST report-{MAX_FRESH}" not in desk.wire.asked
    async with asyncio.timeout(60):
        await desk.wire.has_asked(f"POST report-{MAX_FRESH}")


async def test_stop_is_made_while_creations_hang_and_waited_for_no_longer_than_a_second(desk: Desk) -> None:
    for number in range(MAX_FRESH + 1):
        desk.creations.begin(desk.seen, create(number))
    desk.caches.upsert_job(job())
    desk.caches.upsert_pod(pod())
    stop, evict = StopJob(ObservedJob("report-1", "job-1", "10")), EvictPod(ObservedPod("p", "pod-1", "20", "Pending"))
    async with asyncio.timeout(60):
        await desk.executor.carry_out([stop, evict])
    assert {"PATCH report-1", "POST eviction"} <= set(desk.wire.asked)
    assert {"StopJob job-1", "EvictPod pod-1"} == set(desk.seen.blocked), "they are under way"
    desk.wire.answer("PATCH report-1", job(version=11))
    desk.wire.answer("POST eviction", ApiError(422, "Invalid", "ask the storage team"))
    await settle()
    assert set(desk.seen.blocked) == {"EvictPod pod-1"}
    assert desk.seen.blocked["EvictPod pod-1"].message == "pod p can't be evicted: ask the storage team"
    assert desk.woken[UID] > 0


@pytest.mark.parametrize("message", ["exceeded quota: few, requested: count/jobs.batch=1", "exceeded quota: pods=1"])
def test_quota_of_jobs_is_told_from_others(message: str) -> None:
    assert read_refusal(ApiError(403, "Forbidden", message)).is_of_quota is ("count/jobs" in message)
