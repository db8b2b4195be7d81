"""A large Swarm, suspended and resumed three times on the way; by hand `MAGEFLOW_TASKS=1000 pytest -s` this file."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable
from typing import Final

from devkit.kubectl import Unmet
from devkit.patience import PATIENCE
from mageflow.controller.pacing import MIN_SECONDS

from .control import Raw
from .history import count_live_at_once, success_of
from .many import Many, create_many
from .player import AT_ONCE, Player
from .promises import pods_by
from .stage import TEMPLATE, Namespace

TASKS: Final = int(os.environ.get("MAGEFLOW_TASKS", "200"))
MAX_CONCURRENCY: Final = min(50, TASKS // 10)
HOLDS_AT: Final = (0.2, 0.45, 0.7)
"""What part of the tasks has succeeded when it is suspended."""

MAX_STATUS_BYTES: Final = 300_000

INTERVAL: Final = 0.3

WRITES_OF_A_HOLD: Final = 10
"""Most status writes that don't wait, as what is asked has changed: of a hold, and of its end."""


async def test_every_task_succeeds_exactly_once_when_a_large_swarm_is_suspended_three_times(
    namespace: Namespace,
) -> None:
    names = [f"t{number:04}" for number in range(TASKS)]
    cpu, began = namespace.operator.cpu_seconds(), time.monotonic()
    async with Player(namespace, seed=0, tempo=AT_ONCE):
        swarm = await create_many(
            namespace,
            "Swarm",
            tasks=[{"name": name} for name in names],
            template=TEMPLATE,
            maxConcurrency=MAX_CONCURRENCY,
        )
        for part in HOLDS_AT:
            await _wait_until(swarm, lambda part=part: _count_succeeded(namespace) >= part * TASKS)  # type: ignore[misc]
            await _suspend_and_resume(swarm)
        await _wait_until(swarm, lambda: _count_succeeded(namespace) == TASKS)
        status = await _wait_for(swarm, "Succeeded")
    seconds = time.monotonic() - began
    assert status["done"] == TASKS
    tasks = pods_by(namespace, "mageflow.io/task")
    assert sorted(tasks) == [(name,) for name in names]
    assert {sum(success_of(pod) is not None for pod in pods) for pods in tasks.values()} == {1}
    assert count_live_at_once(namespace.pods) <= MAX_CONCURRENCY
    sizes = _status_sizes(namespace)
    cpu = namespace.operator.cpu_seconds() - cpu
    print(  # noqa: T201
        f"\n{TASKS} tasks, {MAX_CONCURRENCY} at once, held {len(HOLDS_AT)} times: {seconds:.1f} s, "
        f"{TASKS / seconds:.1f} tasks/s; {len(namespace.pods)} pods; {len(sizes)} status writes, "
        f"at most {max(sizes) / 1000:.0f} KB, {sum(sizes) / 1e6:.1f} MB in all; operator {cpu:.1f} CPU s"
    )
    assert max(sizes) <= MAX_STATUS_BYTES
    assert len(sizes) <= seconds / MIN_SECONDS + WRITES_OF_A_HOLD * (len(HOLDS_AT) + 1), "they are coalesced"


async def _suspend_and_resume(swarm: Many) -> None:
    await swarm.set_lifecycle("suspended")
    status = await _wait_for(swarm, "Suspended")
    assert await swarm.live_tasks() == []
    done = status["done"]
    await swarm.namespace.wait_until_quiet()
    assert (await swarm.status())["done"] == done
    assert await swarm.live_tasks() == []
    await swarm.set_lifecycle("active")


def _count_succeeded(namespace: Namespace) -> int:
    return sum((pod.latest.get("status") or {}).get("phase") == "Succeeded" for pod in namespace.pods)


async def _wait_for(swarm: Many, phase: str) -> Raw:
    deadline = time.monotonic() + PATIENCE
    while True:
        resource = await swarm.read()
        status: Raw = resource.get("status") or {}
        is_news = status.get("observedGeneration") == resource["metadata"]["generation"]
        if is_news and status["phase"] == phase:
            return status
        assert swarm.namespace.operator.is_running, swarm.namespace.operator.log[-3000:]
        assert status.get("phase") != "Succeeded", "it ended too soon to be held: more tasks are needed"
        if time.monotonic() > deadline:
            raise Unmet(f"it is still not {phase}: {_describe(status)}")
        await asyncio.sleep(INTERVAL)


async def _wait_until(swarm: Many, is_met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_met():
        assert swarm.namespace.operator.is_running, swarm.namespace.operator.log[-3000:]
        if time.monotonic() > deadline:
            raise Unmet(f"it goes no further: {_describe(await swarm.status())}")
        await asyncio.sleep(INTERVAL)


def _describe(status: Raw) -> str:
    unfinished = [task for task in status.get("tasks", ()) if task["phase"] != "Succeeded"]
    return json.dumps({**status, "tasks": unfinished}, indent=1)


def _status_sizes(namespace: Namespace) -> list[int]:
    return [
        len(json.dumps(write.answer["status"], separators=(",", ":")).encode())
        for write in namespace.writes()
        if write.resource == "swarms/status" and write.is_success
    ]
