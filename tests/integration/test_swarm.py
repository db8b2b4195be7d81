"""A Swarm: its tasks side by side, never too many at once, and what becomes of them when it is held."""

from __future__ import annotations

import pytest

from .control import condition
from .history import count_live_at_once
from .kubelet import OnSigterm
from .many import create_many, entry_of, named, variable
from .player import Player, Tempo
from .stage import CONTAINER, TEMPLATE, Namespace

EIGHT = tuple(f"t{number}" for number in range(8))

BRIEF = Tempo(start=0.05, report=0.05, run=0.1)


# ── at most maxConcurrency at once ──


async def test_never_more_than_max_concurrency_are_there_when_tasks_end_at_random(namespace: Namespace) -> None:
    async with Player(namespace, seed=1, tempo=BRIEF):
        swarm = await create_many(namespace, "Swarm", tasks=EIGHT, maxConcurrency=3)
        done = await swarm.wait_for("Succeeded", done=8)
    assert count_live_at_once(namespace.pods) == 3
    assert done["progress"] == "8/8"
    assert done["tasks"] == [{"name": name, "phase": "Succeeded", "run": 1} for name in EIGHT]
    assert "output" not in done


async def test_more_start_when_max_concurrency_is_raised_while_running(namespace: Namespace) -> None:
    swarm = await create_many(namespace, "Swarm", tasks=EIGHT, maxConcurrency=2)
    await swarm.start("t0", "t1")
    await swarm.wait_for("Active", ready="Running")
    await swarm.patch({"maxConcurrency": 4})
    await swarm.wait_for_live("t0", "t1", "t2", "t3")
    await namespace.wait_until_quiet()
    assert await swarm.live_tasks() == ["t0", "t1", "t2", "t3"]


async def test_what_runs_goes_on_and_none_starts_when_max_concurrency_is_lowered_while_running(
    namespace: Namespace,
) -> None:
    swarm = await create_many(namespace, "Swarm", tasks=EIGHT, maxConcurrency=3)
    first, second, third = await swarm.start("t0", "t1", "t2")
    await swarm.wait_for("Active", ready="Running")
    await swarm.patch({"maxConcurrency": 1})
    await namespace.kubelet.succeed(first)
    await namespace.kubelet.succeed(third)
    await swarm.wait_for("Active", done=2)
    await namespace.wait_until_quiet()
    assert await swarm.live_tasks() == ["t1"]
    await namespace.kubelet.succeed(second)
    await swarm.wait_for_live("t3")
    await namespace.wait_until_quiet()
    assert await swarm.live_tasks() == ["t3"]


@pytest.mark.parametrize(("before", "after"), [(1, 3), (3, 1)], ids=["raised", "lowered"])
async def test_new_max_concurrency_holds_when_changed_while_suspended(
    namespace: Namespace, before: int, after: int
) -> None:
    swarm = await create_many(namespace, "Swarm", tasks=EIGHT, maxConcurrency=before)
    await swarm.wait_for_live(*EIGHT[:before])
    await swarm.set_lifecycle("suspended")
    await swarm.wait_for("Suspended")
    await swarm.patch({"maxConcurrency": after})
    await namespace.wait_until_quiet()
    assert await swarm.live_tasks() == []
    await swarm.set_lifecycle("active")
    await swarm.wait_for_live(*EIGHT[:after])
    await namespace.wait_until_quiet()
    assert await swarm.live_tasks() == list(EIGHT[:after])


async def test_few_are_there_when_lowered_while_suspending(namespace: Namespace) -> None:
    swarm = await create_many(namespace, "Swarm", tasks=EIGHT, maxConcurrency=3)
    first, second = await swarm.start("t0", "t1")
    await swarm.set_lifecycle("suspended")
    await swarm.wait_for_live("t0", "t1")
    await swarm.patch({"maxConcurrency": 1, "lifecycle": "active"})
    await namespace.kubelet.succeed(first)
    await swarm.wait_for("Active", done=1)
    await namespace.wait_until_quiet()
    assert await swarm.live_tasks() == ["t1"]
    await namespace.kubelet.succeed(second)
    await swarm.wait_for_live("t2")


# ── held ──


async def test_running_finish_and_pending_go_and_none_starts_when_suspended(namespace: Namespace) -> None:
    swarm = await create_many(namespace, "Swarm", tasks=EIGHT, maxConcurrency=3)
    first, second = await swarm.start("t0", "t1")
    await swarm.wait_for_pod(task="t2")
    await swarm.wait_for("Active", ready="Running")
    await swarm.set_lifecycle("suspended")
    await swarm.wait_for_live("t0", "t1")
    status = await swarm.wait_for("Suspending", ready="Suspending")
    assert condition(status, "Suspended")["status"] == "False"
    await namespace.kubelet.succeed(first)
    await swarm.wait_for("Suspending", done=1)
    await namespace.wait_until_quiet()
    assert await swarm.live_tasks() == ["t1"]
    await namespace.kubelet.succeed(second)
    held = await swarm.wait_for("Suspended", ready="Suspended", done=2)
    assert (held["running"], held["pending"], held["interruptions"]) == (0, 6, 0)
    await namespace.wait_until_quiet()
    assert await swarm.live_tasks() == []

    await swarm.set_lifecycle("active")
    await swarm.wait_for_live("t2", "t3", "t4")
    runs = [(await swarm.wait_for_pod(task=name))["metadata"]["labels"]["mageflow.io/run"] for name in EIGHT[2:5]]
    assert runs == ["2", "1", "1"]


async def test_all_stop_and_run_again_when_interrupted(namespace: Namespace) -> None:
    namespace.kubelet.on_sigterm(namespace.name, OnSigterm.EXIT_0)
    swarm = await create_many(namespace, "Swarm", tasks=EIGHT[:4], maxConcurrency=3)
    await swarm.start("t0", "t1")
    await swarm.wait_for_pod(task="t2")
    await swarm.wait_for("Active", ready="Running")

    async def both_run() -> bool:
        return (await swarm.status()).get("running") == 2

    await swarm.wait_until("both run", both_run)
    await swarm.set_lifecycle("interrupted")
    held = await swarm.wait_for("Interrupted", ready="Interrupted")
    assert await swarm.live_tasks() == []
    assert (held["interruptions"], held["done"], held["pending"]) == (2, 0, 4)
    assert condition(held, "Consistent")["status"] == "False"

    await swarm.set_lifecycle("active")
    resumed = [variable(await swarm.wait_for_pod(2, name), "MAGEFLOW_RESUMED") for name in ("t0", "t1", "t2")]
    assert resumed == ["true", "true", "false"]
    await swarm.finish("t0", "t1", "t2", run=2)
    await swarm.finish("t3", run=1)
    done = await swarm.wait_for("Succeeded", done=4)
    assert condition(done, "Consistent")["reason"] == "InterruptedWhileRunning"


async def test_retry_is_held_when_a_task_fails_while_suspended(namespace: Namespace) -> None:
    tasks = (named("t0", retries=1), "t1")
    swarm = await create_many(namespace, "Swarm", tasks=tasks)
    first, second = await swarm.start("t0", "t1")
    await swarm.wait_for("Active", ready="Running")
    await swarm.set_lifecycle("suspended")
    await swarm.wait_for("Suspending")
    await namespace.kubelet.fail(first)
    await namespace.kubelet.succeed(second)
    held = await swarm.wait_for("Suspended", done=1)
    task = entry_of(held, "t0")
    assert (task["phase"], task["failures"]) == ("BackingOff", 1)
    await namespace.wait_until_quiet()
    assert await swarm.live_tasks() == []

    await swarm.set_lifecycle("active")
    await swarm.wait_for("Active", ready="BackingOff", done=1)


# ── ended ──


async def test_swarm_fails_once_all_have_ended_when_one_fails(namespace: Namespace) -> None:
    swarm = await create_many(namespace, "Swarm", tasks=("t0", "t1", "t2"), maxConcurrency=2)
    first, second = await swarm.start("t0", "t1")
    await namespace.kubelet.fail(first, exit_code=3)
    await swarm.wait_for_live("t1", "t2")
    await namespace.kubelet.succeed(second)
    status = await swarm.wait_for("Active", done=1)
    assert (status["failed"], condition(status, "Failed")) == (1, {})
    await swarm.finish("t2")
    done = await swarm.wait_for("Failed", ready="Failed", done=2)
    assert "task t0" in condition(done, "Failed")["message"]
    await namespace.wait_until_quiet()
    assert len(namespace.pods) == 3


@pytest.mark.parametrize("end", ["Succeeded", "Failed"])
async def test_swarm_ends_when_its_last_tasks_end_while_suspending(namespace: Namespace, end: str) -> None:
    swarm = await create_many(namespace, "Swarm", tasks=("t0", "t1"))
    first, second = await swarm.start("t0", "t1")
    await swarm.wait_for("Active", ready="Running")
    await swarm.set_lifecycle("suspended")
    await swarm.wait_for("Suspending")
    await namespace.kubelet.succeed(first)
    await (namespace.kubelet.succeed if end == "Succeeded" else namespace.kubelet.fail)(second)
    await swarm.wait_for(end)


@pytest.mark.parametrize("lifecycle", ["active", "suspended"])
async def test_swarm_succeeds_at_once_when_it_has_no_tasks(namespace: Namespace, lifecycle: str) -> None:
    swarm = await create_many(namespace, "Swarm", tasks=(), lifecycle=lifecycle)
    status = await swarm.wait_for("Succeeded")
    assert status["progress"] == "0/0"
    await namespace.wait_until_quiet()
    assert not namespace.pods


# ── the template ──


async def test_own_template_counts_when_there_is_a_default_too(namespace: Namespace) -> None:
    own = {"spec": {"containers": [{**CONTAINER, "image": "busybox:1.37"}]}}
    tasks = ({"name": "t0"}, {"name": "t1", "template": own, "input": {"n": 1}})
    swarm = await create_many(namespace, "Swarm", tasks=tasks, template=TEMPLATE)
    pods = [await swarm.wait_for_pod(task=name) for name in ("t0", "t1")]
    assert [pod["spec"]["containers"][0]["image"] for pod in pods] == ["busybox:1.36", "busybox:1.37"]
    assert [variable(pod, "MAGEFLOW_INPUT") for pod in pods] == ["null", '{"n":1}']
