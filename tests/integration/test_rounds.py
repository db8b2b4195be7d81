"""Suspends at random moments around the start of a pod: by hand `MAGEFLOW_ROUNDS=200 pytest -s` this file."""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from typing import Final

from .control import RequestError, condition
from .history import has_started
from .stage import Namespace, Workflow

ROUNDS: Final = int(os.environ.get("MAGEFLOW_ROUNDS", "20"))

AT_ONCE: Final = 6

LATEST_START: Final = 0.4
LATEST_SUSPEND: Final = 0.3
"""Seconds. In half of the rounds both count from when the kubelet has the pod; in the others the suspend counts from
the creation, so that it may come before the pod, or even before the Job."""


async def test_no_started_container_is_killed_when_suspended_around_its_start(namespace: Namespace) -> None:
    """Each round ends Suspended with nothing that can run, or still running with TaskAlreadyRunning.

    That none was killed is told by the pods' own histories; and in the end each that runs on succeeds.
    """
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    turns = asyncio.Semaphore(AT_ONCE)

    async def play(number: int) -> Workflow:
        async with turns:
            start, suspend = chance.uniform(0, LATEST_START), chance.uniform(0, LATEST_SUSPEND)
            return await _play_round(namespace, f"round-{number}", start, suspend, wait_for_pod=number % 2 == 0)

    workflows = await asyncio.gather(*(play(number) for number in range(ROUNDS)))
    await namespace.wait_until_quiet()
    ends = Counter([await _check_end(workflow) for workflow in workflows])
    evictions = Counter(write.code for write in namespace.writes() if write.resource == "pods/eviction")
    killed = [pod.name for pod in namespace.pods if pod.had_started_when_deleted]
    print(f"\nseed {seed}: {ROUNDS} rounds: {dict(ends)}, killed: {len(killed)}, evictions: {dict(evictions)}")  # noqa: T201
    assert not killed
    assert ends.total() == ROUNDS


async def _play_round(
    namespace: Namespace, name: str, start_after: float, suspend_after: float, *, wait_for_pod: bool
) -> Workflow:
    workflow = await namespace.create(name)
    starting = asyncio.create_task(_start_pod(workflow, start_after))
    if wait_for_pod:
        await workflow.wait_for_pod()
    await asyncio.sleep(suspend_after)
    await workflow.set_lifecycle("suspended")

    async def has_answered() -> bool:
        resource = await workflow.read()
        status = resource.get("status") or {}
        is_news = status.get("observedGeneration") == resource["metadata"]["generation"]
        return is_news and _end_of(status) is not None

    await workflow.wait_until(f"{name} is Suspended, or says that it runs", has_answered)
    await asyncio.sleep(LATEST_START)  # what was about to start gets its chance
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    return workflow


async def _start_pod(workflow: Workflow, after: float) -> None:
    """Do the kubelet's part: start the pod, if it is still there by then."""
    pod = await workflow.wait_for_pod()
    await asyncio.sleep(after)
    try:
        await workflow.namespace.kubelet.start(pod)
    except RequestError as error:
        if error.code not in (404, 409):  # it is gone
            raise


async def _check_end(workflow: Workflow) -> str:
    """Check that what the status says is so; have what runs succeed. Return how the round ended."""
    end = _end_of(await workflow.status())
    pods = await workflow.live_pods()
    if end == "Suspended":
        assert not pods
    else:
        assert end == "TaskAlreadyRunning"
        assert len(pods) == 1
        assert has_started(pods[0])
        await workflow.namespace.kubelet.succeed(pods[0])
        await workflow.wait_for("Succeeded", run=1)
    return end


def _end_of(status: dict[str, object]) -> str | None:
    """Return how a round ended by the status, None if it hasn't."""
    reason = condition(status, "Ready").get("reason")
    if (status.get("phase"), reason) in (("Suspended", "Suspended"), ("Active", "TaskAlreadyRunning")):
        return str(reason)
    return None
