"""Races, made to happen on purpose: something changes between what the operator has seen and what it does.

the operator's view is old      its watch on pods is held, while a pod starts
the write comes too late        its write is held before it arrives, while a pod starts
a Job has no pod yet            the Job controller is stopped for a while
the kubelet tells late          a container runs, and exits 0 on SIGTERM, before the API server knows of its start
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest

from localcluster.controlplane import ControlPlane

from .control import Raw, condition
from .kubelet import OnSigterm
from .stage import WITH_INIT, Namespace, Workflow
from .wire import When, Write

CONTROLLER_MANAGER: Final = "kube-controller-manager"


# ── the pod starts between observation and eviction ──


async def test_started_pod_is_left_running_when_the_operators_view_of_it_is_old(namespace: Namespace) -> None:
    workflow = await namespace.create()
    pod = await workflow.wait_for_pod()
    await workflow.wait_for("Pending")
    await namespace.wait_until_quiet()
    with namespace.wire.hold_watch("pods"):
        await namespace.kubelet.start(pod)
        await workflow.set_lifecycle("suspended")
        await namespace.wait_for_write("pods/eviction", code=409)
    await workflow.wait_for("Active", ready="TaskAlreadyRunning")
    await _check_it_runs_to_its_end(namespace, workflow, pod)


@pytest.mark.parametrize("what_starts", ["main", "init"])
async def test_started_pod_is_left_running_when_it_starts_while_its_eviction_is_on_the_way(
    namespace: Namespace, what_starts: str
) -> None:
    """A pod is Pending while its init containers run: the phase alone would not tell that it has started."""
    workflow = await namespace.create(template=WITH_INIT)
    pod = await workflow.wait_for_pod()
    with namespace.hold(Write.EVICT_POD) as eviction:
        await workflow.set_lifecycle("suspended")
        await eviction.wait()
        start = namespace.kubelet.start if what_starts == "main" else namespace.kubelet.start_init
        await start(pod)
    await namespace.wait_for_write("pods/eviction", code=409)
    await workflow.wait_for("Active", ready="TaskAlreadyRunning")
    await _check_it_runs_to_its_end(namespace, workflow, pod)


async def test_started_pod_is_left_running_when_the_operator_was_frozen_meanwhile(namespace: Namespace) -> None:
    """The process is stopped in its tracks, the world goes on, and it wakes up with what it knew."""
    workflow = await namespace.create()
    pod = await workflow.wait_for_pod()
    await workflow.wait_for("Pending")
    namespace.operator.pause()
    await workflow.set_lifecycle("suspended")
    await namespace.kubelet.start(pod)
    namespace.operator.resume()
    await workflow.wait_for("Active", ready="TaskAlreadyRunning")
    await _check_it_runs_to_its_end(namespace, workflow, pod)


async def test_pod_is_evicted_at_the_second_try_when_it_changed_without_starting(namespace: Namespace) -> None:
    """A refused eviction means "observe again", not "it runs"."""
    workflow = await namespace.create()
    pod = await workflow.wait_for_pod()
    with namespace.hold(Write.EVICT_POD) as eviction:
        await workflow.set_lifecycle("suspended")
        await eviction.wait()
        await namespace.kubelet.wait_in(pod, "ErrImagePull")
    await workflow.wait_for("Suspended")
    evictions = [write.code for write in namespace.writes() if write.resource == "pods/eviction"]
    assert evictions[0] == 409
    assert evictions.count(201) == 1
    assert not await workflow.live_pods()


async def test_task_runs_when_it_is_resumed_while_its_eviction_is_on_the_way(namespace: Namespace) -> None:
    workflow = await namespace.create()
    await workflow.wait_for_pod()
    with namespace.hold(Write.EVICT_POD) as eviction:
        await workflow.set_lifecycle("suspended")
        await eviction.wait()
        await workflow.set_lifecycle("active")
    second = await workflow.wait_for_pod(run=2)
    await namespace.kubelet.start(second)
    status = await workflow.wait_for("Active", ready="Running", run=2)
    assert status["tasks"][0].get("disruptions", 0) == 0, "it was held, and by nobody else"


@pytest.mark.parametrize("is_finished", [False, True], ids=["given-up", "finished-later"])
async def test_run_is_told_apart_when_its_eviction_is_half_done(namespace: Namespace, is_finished: bool) -> None:
    """The API server marks a pod as disrupted, and then deletes it; in between is what a new operator may find.

    The deletion may fail: then the pod runs, and the mark means nothing. If it comes, the run was held, not disrupted.
    """
    workflow = await namespace.create()
    pod = await workflow.wait_for_pod()
    with namespace.hold(Write.EVICT_POD) as eviction:
        await workflow.set_lifecycle("suspended")
        await eviction.wait()
        namespace.operator.kill()
        eviction.drop()
    await namespace.kubelet.mark_as_disrupted(pod)
    await workflow.set_lifecycle("active")
    await namespace.operator.start()
    await workflow.wait_for("Pending", ready="Pending", run=1)
    if is_finished:
        await namespace.api.delete(f"/api/v1/namespaces/{namespace.name}/pods/{pod['metadata']['name']}")
        pod = await workflow.wait_for_pod(run=2)
    await namespace.kubelet.start(pod)
    status = await workflow.wait_for("Active", ready="Running", run=2 if is_finished else 1)
    task = status["tasks"][0]
    assert "holding" not in task
    assert (task.get("disruptions", 0), task.get("failures", 0)) == (0, 0)
    await namespace.kubelet.succeed(pod)
    await workflow.wait_for("Succeeded")


# ── the kubelet tells late ──


async def test_task_was_interrupted_when_its_evicted_pod_turns_out_to_have_started_and_exits_0(
    namespace: Namespace,
) -> None:
    """The Job is Complete then; but the task was stopped, so it has not succeeded, and runs again."""
    namespace.kubelet.on_sigterm(namespace.name, OnSigterm.EXIT_0)
    workflow = await namespace.create()
    namespace.kubelet.start_unreported(await workflow.wait_for_pod())
    await workflow.set_lifecycle("suspended")
    held = await workflow.wait_for("Suspended")
    assert (held["done"], held["interruptions"], held["tasks"][0].get("failures", 0)) == (0, 1, 0)
    assert condition(held, "Consistent")["reason"] == "InterruptedWhileRunning"
    await _check_it_runs_again(namespace, workflow)


async def test_task_is_held_when_its_evicted_pod_exits_0_and_the_operator_is_down(namespace: Namespace) -> None:
    """The pod is long gone when the operator comes back; only the ledger's mark tells how its run ended."""
    namespace.kubelet.on_sigterm(namespace.name, OnSigterm.EXIT_0)
    workflow = await namespace.create()
    namespace.kubelet.start_unreported(await workflow.wait_for_pod())
    with namespace.hold(Write.EVICT_POD, When.AFTER) as eviction:
        await workflow.set_lifecycle("suspended")
        await eviction.wait()
        namespace.operator.kill()
        eviction.drop()
    await workflow.wait_until_none_of("pods")
    await namespace.operator.start()
    await workflow.wait_for("Suspended")
    await _check_it_runs_again(namespace, workflow)


async def test_task_is_interrupted_when_its_pod_exits_0_on_interrupt(namespace: Namespace) -> None:
    namespace.kubelet.on_sigterm(namespace.name, OnSigterm.EXIT_0)
    workflow, _ = await namespace.create_running()
    await workflow.set_lifecycle("interrupted")
    held = await workflow.wait_for("Interrupted")
    assert (held["done"], held["interruptions"], held["tasks"][0].get("failures", 0)) == (0, 1, 0)
    await _check_it_runs_again(namespace, workflow)


async def test_task_has_succeeded_when_its_pod_did_just_before_the_interrupt(namespace: Namespace) -> None:
    """The stop is on its way when the pod ends by itself: what succeeded counts, and never runs again."""
    workflow, pod = await namespace.create_running()
    with namespace.hold(Write.STOP_JOB) as stop:
        await workflow.set_lifecycle("interrupted")
        await stop.wait()
        await namespace.kubelet.succeed(pod, output="in time")
    done = await workflow.wait_for("Succeeded")
    assert done["output"] == "in time"
    assert done["interruptions"] == 0


async def test_task_has_succeeded_when_its_pod_did_and_nobody_watched(
    namespace: Namespace, control_plane: ControlPlane
) -> None:
    """Neither the operator nor the Job controller knows of the end when the stop is made."""
    workflow, pod = await namespace.create_running()
    with namespace.wire.hold_watch("pods"):
        async with job_controller_asleep(control_plane):
            await namespace.kubelet.succeed(pod, output="in time")
            await workflow.set_lifecycle("interrupted")
            await namespace.wait_for_write("jobs", verb="patch")
        await workflow.wait_for("Interrupting")
    done = await workflow.wait_for("Succeeded")
    assert done["interruptions"] == 0


# ── a Job without its pod yet ──


@pytest.mark.parametrize(
    ("lifecycle", "phase"), [("suspended", "Suspended"), ("interrupted", "Interrupted"), ("canceled", "Canceled")]
)
async def test_no_pod_ever_comes_when_held_before_the_job_has_one(
    namespace: Namespace, control_plane: ControlPlane, lifecycle: str, phase: str
) -> None:
    async with job_controller_asleep(control_plane):
        workflow = await namespace.create()
        await workflow.wait_for("Pending")
        assert len(await workflow.jobs()) == 1
        await workflow.set_lifecycle(lifecycle)
        await namespace.wait_for_write("jobs", verb="delete" if lifecycle == "suspended" else "patch")
    await workflow.wait_for(phase)
    await workflow.wait_until_none_of("jobs")
    await namespace.wait_until_quiet()
    assert not [pod for pod in namespace.pods if pod.ever_started]
    assert not await workflow.live_pods()
    if lifecycle != "canceled":
        await _check_it_runs_again(namespace, workflow)


@pytest.mark.parametrize("starts", [False, True], ids=["unstarted", "started"])
async def test_pod_that_slips_through_is_treated_by_what_it_does_when_its_job_is_held(
    namespace: Namespace, control_plane: ControlPlane, starts: bool
) -> None:
    """The Job controller makes the pod while the Job's deletion is on the way: the pod is an orphan, and still ours.

    If it has not started it is evicted; else it runs to its end, and its outcome counts. The watch is late to tell of
    it, and yet nothing is said to be held while it runs.
    """
    with namespace.hold(Write.DELETE_JOB) as deletion, namespace.wire.hold_watch("pods"):
        async with job_controller_asleep(control_plane):
            workflow = await namespace.create()
            await workflow.wait_for("Pending")
            await workflow.set_lifecycle("suspended")
            await deletion.wait()
        pod = await workflow.wait_for_pod()
        if starts:
            await namespace.kubelet.start(pod)
        deletion.release()
        await namespace.wait_for_write("jobs", verb="delete")
    if starts:
        await workflow.wait_for("Active", ready="TaskAlreadyRunning")
        await workflow.wait_until_none_of("jobs")
        await namespace.kubelet.succeed(pod, output="slipped through")
        done = await workflow.wait_for("Succeeded", run=1)
        assert done["output"] == "slipped through"
    else:
        await namespace.wait_for_write("pods/eviction", code=201)
        await workflow.wait_for("Suspended")
        assert not await workflow.live_pods()
        await _check_it_runs_again(namespace, workflow)


async def test_job_without_a_pod_is_waited_for_before_it_is_held(
    namespace: Namespace, control_plane: ControlPlane
) -> None:
    """Its pod may be on the way, and would be nobody's if the Job were gone when it comes: docs/adr/0008."""
    async with job_controller_asleep(control_plane):
        workflow = await namespace.create()
        await workflow.wait_for("Pending")
        await workflow.set_lifecycle("suspended")
        await workflow.wait_for("Suspending")
    await namespace.wait_for_write("pods/eviction", code=201)
    await workflow.wait_for("Suspended")
    writes = [write.resource for write in namespace.writes()]
    assert "jobs" not in writes[writes.index("jobs") + 1 : writes.index("pods/eviction")], (
        "the Job wasn't deleted first"
    )


# ── one wish after the other ──


async def test_last_wish_counts_when_lifecycles_change_in_quick_succession(namespace: Namespace) -> None:
    workflow, _ = await namespace.create_running()
    for lifecycle in ("suspended", "interrupted", "suspended", "active"):
        await workflow.set_lifecycle(lifecycle)
    await _check_it_goes_on(namespace, workflow)


async def test_last_wish_counts_when_each_decision_is_overtaken_by_the_next_wish(namespace: Namespace) -> None:
    """The status that says what was decided is on its way when the wish changes: it is refused, and nothing is done."""
    workflow, _ = await namespace.create_running()
    for first, second in (("interrupted", "active"), ("suspended", "interrupted"), ("active", "suspended")):
        with namespace.hold(Write.WRITE_STATUS) as status:
            await workflow.set_lifecycle(first)
            await status.wait()
            await workflow.set_lifecycle(second)
        await namespace.wait_for_write("workflows/status", code=409)
    await workflow.set_lifecycle("active")
    await _check_it_goes_on(namespace, workflow)


async def test_stronger_stop_wins_when_a_suspend_is_under_way(namespace: Namespace) -> None:
    """The evicted pod ignores SIGTERM, so the suspend lasts; an interrupt doesn't wait for it to be over."""
    namespace.kubelet.on_sigterm(namespace.name, OnSigterm.IGNORE)
    workflow = await namespace.create()
    pod = await workflow.wait_for_pod()
    namespace.kubelet.start_unreported(pod)
    await workflow.set_lifecycle("suspended")
    await workflow.wait_for("Suspending")
    await workflow.set_lifecycle("interrupted")
    await workflow.wait_for("Interrupting")
    await workflow.set_lifecycle("active")
    status = await workflow.wait_for("Pending")
    assert "still stopping" in condition(status, "Ready")["message"]
    assert len(await workflow.live_pods()) == 1, "no new run while the old pod can run"
    await namespace.kubelet.give_up(pod)
    await workflow.wait_for_pod(run=2)


# ── helpers ──


@asynccontextmanager
async def job_controller_asleep(control_plane: ControlPlane) -> AsyncIterator[None]:
    control_plane.pause(CONTROLLER_MANAGER)
    try:
        yield
    finally:
        control_plane.resume(CONTROLLER_MANAGER)


async def _check_it_runs_to_its_end(namespace: Namespace, workflow: Workflow, pod: Raw) -> None:
    await namespace.wait_until_quiet()
    assert [pod["metadata"]["name"] for pod in await workflow.live_pods()] == [pod["metadata"]["name"]]
    await namespace.kubelet.start(pod)
    await namespace.kubelet.succeed(pod)
    await workflow.wait_for("Succeeded", run=1)


async def _check_it_runs_again(namespace: Namespace, workflow: Workflow) -> None:
    """Resume it, and have its next run succeed."""
    run = (await workflow.status())["tasks"][0]["run"]
    await workflow.set_lifecycle("active")
    pod = await workflow.wait_for_pod(run=run + 1)
    await namespace.kubelet.start(pod)
    await namespace.kubelet.succeed(pod)
    await workflow.wait_for("Succeeded", run=run + 1)


async def _check_it_goes_on(namespace: Namespace, workflow: Workflow) -> None:
    """Whichever run it is now: it starts if it hasn't, and ends well."""
    await workflow.wait_for("Active")
    await namespace.wait_until_quiet()
    pod = await workflow.wait_for_pod()
    await namespace.kubelet.start(pod)
    await workflow.wait_for("Active", ready="Running")
    await namespace.kubelet.succeed(pod)
    await workflow.wait_for("Succeeded")
