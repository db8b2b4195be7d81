"""A Chain: its tasks in order, one at a time, and what becomes of them when it is held."""

from __future__ import annotations

from localcluster.controlplane import ControlPlane

from .control import condition
from .kubelet import OnSigterm
from .many import NAMES, Many, create_many, named, variable
from .stage import TEMPLATE, Namespace
from .test_races import job_controller_asleep

# ── in order ──


async def test_each_task_gets_the_output_of_the_one_before_when_nothing_is_held(namespace: Namespace) -> None:
    """That no two are there at once is checked by `check_promises`."""
    chain = await create_many(namespace, "Chain")
    for index, (name, previous) in enumerate(zip(NAMES, ("null", '{"of":"a"}', '{"of":"b"}'), strict=True)):
        pod = await chain.wait_for_pod(task=name)
        assert await chain.live_tasks() == [name]
        assert (variable(pod, "MAGEFLOW_PREVIOUS"), variable(pod, "MAGEFLOW_INDEX")) == (previous, str(index))
        await chain.wait_for("Active" if index else "Pending", done=index)
        await namespace.kubelet.start(pod)
        status = await chain.wait_for("Active", ready="Running", done=index)
        assert (status["running"], status["pending"], status["progress"]) == (1, 2 - index, f"{index}/3")
        await namespace.kubelet.succeed(pod, output=f'{{"of": "{name}"}}')
    done = await chain.wait_for("Succeeded", done=3)
    assert done["output"] == {"of": "c"}
    assert [(task["name"], task["run"], task["output"]["of"]) for task in done["tasks"]] == [
        (name, 1, name) for name in NAMES
    ]
    assert [pod.labels["mageflow.io/task"] for pod in namespace.pods] == list(NAMES)


async def test_output_that_was_cut_is_not_handed_on_when_the_next_task_would_get_it(namespace: Namespace) -> None:
    """Four containers share 12 KiB. A user edits the waiting task with `lifecycle: active`, as the phase lets them."""
    inits = [{"name": f"i{number}", "image": "busybox:1.36"} for number in range(3)]
    four = {"spec": {**TEMPLATE["spec"], "initContainers": inits}}
    chain = await create_many(namespace, "Chain", tasks=(named("a", template=four), "b", "c"))
    (pod,) = await chain.start("a")
    assert variable(pod, "MAGEFLOW_OUTPUT_LIMIT") == "3072"
    await namespace.kubelet.succeed(pod, output='{"files":["' + "x" * 3061)
    held = await chain.wait_for("Suspended", ready="OutputTruncated", done=1)
    assert (held["lifecycle"], held["lifecycleSource"]) == ("suspended", "failure")
    assert condition(held, "Stalled")["reason"] == "OutputTruncated"
    await chain.wait_for_events("OutputTruncated")
    await namespace.wait_until_quiet()
    assert await chain.live_tasks() == []

    await chain.set_lifecycle("suspended")
    await chain.wait_for("Suspended", ready="Suspended")
    await chain.set_lifecycle("active")
    await chain.wait_for("Suspended", ready="OutputTruncated")
    assert len(namespace.pods) == 1

    tasks = (await chain.read())["spec"]["tasks"]
    tasks[1]["input"] = {"files": "s3://bucket/list"}
    await chain.patch({"tasks": tasks})
    second = await chain.wait_for_pod(task="b", run=1)
    assert variable(second, "MAGEFLOW_PREVIOUS") == "null"
    await chain.finish("b", output="7")
    third = await chain.wait_for_pod(task="c", run=1)
    assert variable(third, "MAGEFLOW_PREVIOUS") == "7"
    await chain.finish("c", output="x" * 4096)
    done = await chain.wait_for("Succeeded")
    assert [task.get("reason") for task in done["tasks"]] == ["OutputTruncated", None, "OutputTruncated"]
    assert "4,096 bytes" in condition(done, "Ready")["message"]


# ── suspended ──


async def test_running_task_finishes_and_the_next_waits_when_suspended(namespace: Namespace) -> None:
    chain = await create_many(namespace, "Chain")
    (pod,) = await chain.start("a")
    await chain.wait_for("Active", ready="Running")
    await chain.set_lifecycle("suspended")
    status = await chain.wait_for("Suspending", ready="Suspending")
    assert condition(status, "Suspended")["status"] == "False"
    assert pod["metadata"]["name"] in condition(status, "Ready")["message"]
    await namespace.wait_until_quiet()
    assert await chain.live_tasks() == ["a"]

    await namespace.kubelet.succeed(pod, output="from a")
    held = await chain.wait_for("Suspended", ready="Suspended", done=1)
    assert condition(held, "Suspended")["status"] == "True"
    await namespace.wait_until_quiet()
    assert await chain.live_tasks() == []

    await chain.set_lifecycle("active")
    second = await chain.wait_for_pod(run=1, task="b")
    assert variable(second, "MAGEFLOW_PREVIOUS") == '"from a"'
    await chain.finish("b", "c")
    done = await chain.wait_for("Succeeded")
    assert condition(done, "Consistent")["status"] == "True"
    assert len(namespace.pods) == 3


async def test_pending_task_is_evicted_when_suspended(namespace: Namespace) -> None:
    chain = await create_many(namespace, "Chain")
    await chain.finish("a", output="from a")
    await chain.wait_for_pod(task="b")
    await chain.set_lifecycle("suspended")
    held = await chain.wait_for("Suspended", done=1)
    assert await chain.live_tasks() == []
    assert (held["interruptions"], held["pending"]) == (0, 2)

    await chain.set_lifecycle("active")
    again = await chain.wait_for_pod(run=2, task="b")
    assert (variable(again, "MAGEFLOW_PREVIOUS"), variable(again, "MAGEFLOW_RESUMED")) == ('"from a"', "false")
    await chain.finish("b", "c")
    await chain.wait_for("Succeeded")


async def test_no_pod_ever_comes_when_suspended_before_the_job_of_a_task_has_one(
    namespace: Namespace, control_plane: ControlPlane
) -> None:
    chain = await create_many(namespace, "Chain")
    (first,) = await chain.start("a")
    await chain.wait_for("Active", ready="Running")
    async with job_controller_asleep(control_plane):
        await namespace.kubelet.succeed(first)
        await chain.wait_for("Active", done=1)
        await namespace.wait_for_write("jobs", verb="create")
        await chain.set_lifecycle("suspended")
        await namespace.wait_for_write("jobs", verb="delete")
    await chain.wait_for("Suspended", done=1)
    await namespace.wait_until_quiet()
    assert not [pod for pod in namespace.pods if pod.ever_started and pod.name != first["metadata"]["name"]]
    assert await chain.live_tasks() == []
    await chain.set_lifecycle("active")
    await chain.finish("b", run=2)
    await chain.finish("c")
    await chain.wait_for("Succeeded")


# ── interrupted ──


async def test_stopped_task_runs_again_when_it_exits_0_on_interrupt(namespace: Namespace) -> None:
    namespace.kubelet.on_sigterm(namespace.name, OnSigterm.EXIT_0)
    chain = await create_many(namespace, "Chain")
    await chain.finish("a", output="from a")
    await chain.start("b")
    await chain.wait_for("Active", ready="Running", done=1)
    await chain.set_lifecycle("interrupted")
    held = await chain.wait_for("Interrupted", ready="Interrupted", done=1)
    assert held["interruptions"] == 1
    assert condition(held, "Consistent")["status"] == "False"
    assert await chain.live_tasks() == []

    await chain.set_lifecycle("active")
    again = await chain.wait_for_pod(run=2, task="b")
    assert (variable(again, "MAGEFLOW_PREVIOUS"), variable(again, "MAGEFLOW_RESUMED")) == ('"from a"', "true")
    await chain.finish("b", "c")
    done = await chain.wait_for("Succeeded")
    assert condition(done, "Consistent")["reason"] == "InterruptedWhileRunning"
    assert [task["run"] for task in done["tasks"]] == [1, 2, 1]


# ── failed ──


async def test_chain_fails_at_once_when_a_task_fails_without_retries(namespace: Namespace) -> None:
    chain = await create_many(namespace, "Chain")
    await chain.finish("a")
    (pod,) = await chain.start("b")
    await namespace.kubelet.fail(pod, exit_code=3, output="no such table")
    await _check_failed_at_b(chain, runs=1)


async def test_retry_is_held_and_then_made_when_a_task_fails_while_suspended(namespace: Namespace) -> None:
    chain = await create_many(namespace, "Chain", tasks=("a", named("b", retries=1), "c"))
    await chain.finish("a")
    (pod,) = await chain.start("b")
    await chain.wait_for("Active", ready="Running", done=1)
    await chain.set_lifecycle("suspended")
    await chain.wait_for("Suspending")
    await namespace.kubelet.fail(pod, exit_code=3)
    await chain.wait_for("Suspended", ready="Suspended")
    task = await chain.task("b")
    assert (task["phase"], task["failures"]) == ("BackingOff", 1)
    assert task["backoffSeconds"] > 0
    await namespace.wait_until_quiet()
    assert await chain.live_tasks() == []

    await chain.set_lifecycle("active")
    await chain.wait_for("Active", ready="BackingOff")
    (pod,) = await chain.start("b", run=2)
    await namespace.kubelet.fail(pod, exit_code=3)
    await _check_failed_at_b(chain, runs=2)


async def test_chain_fails_when_its_task_fails_while_suspending(namespace: Namespace) -> None:
    """An end is recorded in any lifecycle."""
    chain = await create_many(namespace, "Chain")
    await chain.finish("a")
    (pod,) = await chain.start("b")
    await chain.wait_for("Active", ready="Running", done=1)
    await chain.set_lifecycle("suspended")
    await chain.wait_for("Suspending")
    await namespace.kubelet.fail(pod)
    await _check_failed_at_b(chain, runs=1)


async def test_chain_succeeds_when_its_last_task_ends_while_suspending(namespace: Namespace) -> None:
    chain = await create_many(namespace, "Chain")
    await chain.finish("a", "b")
    (pod,) = await chain.start("c")
    await chain.wait_for("Active", ready="Running", done=2)
    await chain.set_lifecycle("suspended")
    await chain.wait_for("Suspending")
    await namespace.kubelet.succeed(pod, output="the last word")
    done = await chain.wait_for("Succeeded", done=3)
    assert done["output"] == "the last word"


# ── helpers ──


async def _check_failed_at_b(chain: Many, runs: int) -> None:
    status = await chain.wait_for("Failed", ready="Failed", done=1)
    assert "task b" in condition(status, "Failed")["message"]
    assert (status["failed"], status["pending"]) == (1, 1)
    await chain.namespace.wait_until_quiet()
    assert [pod.labels["mageflow.io/task"] for pod in chain.namespace.pods] == ["a", *["b"] * runs]
