"""/healthz: it fails when the queue or a watch is stuck, and not merely when the process is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import kopf
import pytest
from kubernetes.aio.client import Configuration

from mageflow.controller.api_server import ApiServer
from mageflow.controller.health import Health
from mageflow.controller.queue import WorkQueue
from mageflow.controller.settings import WATCH_SECONDS, WATCH_SLACK_SECONDS

JOBS, PODS = "/apis/batch/v1/jobs", "/api/v1/pods"
PATIENCE = WATCH_SECONDS + WATCH_SLACK_SECONDS


async def do_nothing(_: str) -> float | None:
    return None


@pytest.fixture
async def client() -> AsyncIterator[ApiServer]:
    async with ApiServer(Configuration(host="http://127.0.0.1:1")) as client:
        yield client


@pytest.fixture
async def queue() -> WorkQueue:
    """A queue that nobody works on."""
    return WorkQueue(do_nothing, workers=1)


def health_of(client: ApiServer, queue: WorkQueue, stuck_after: float = 60.0) -> Health:
    return Health(client, queue, lambda: (JOBS, PODS), stuck_after)


async def test_all_is_well_when_it_has_just_started(client: ApiServer, queue: WorkQueue) -> None:
    assert health_of(client, queue).check() == "ok"


async def test_queue_is_named_when_an_entry_waits_too_long(client: ApiServer, queue: WorkQueue) -> None:
    health = health_of(client, queue, stuck_after=0.0)
    queue.add("a")
    await asyncio.sleep(0.001)
    with pytest.raises(kopf.PermanentError, match="nothing has come of the work queue"):
        health.check()


async def test_all_is_well_when_an_entry_waits_for_a_while(client: ApiServer, queue: WorkQueue) -> None:
    queue.add("a")
    assert health_of(client, queue).check() == "ok"


@pytest.mark.parametrize(("seconds", "is_stuck"), [(WATCH_SLACK_SECONDS - 1, False), (WATCH_SLACK_SECONDS + 1, True)])
async def test_watch_is_named_when_it_was_never_made(
    client: ApiServer, queue: WorkQueue, seconds: float, is_stuck: bool
) -> None:
    health = health_of(client, queue)
    problem = health.find_problem(time.monotonic() + seconds)
    assert (problem is not None and JOBS in problem) is is_stuck


@pytest.mark.parametrize(("seconds", "is_stuck"), [(PATIENCE - 1, False), (PATIENCE + 1, True)])
async def test_watch_is_named_when_it_is_not_made_anew(
    client: ApiServer, queue: WorkQueue, seconds: float, is_stuck: bool
) -> None:
    later = time.monotonic() + 10_000
    client.watched_at.update({JOBS: later, PODS: later - seconds})
    problem = health_of(client, queue).find_problem(later)
    assert (problem is not None and PODS in problem) is is_stuck
