"""Every transition of DESIGN section 1, and what a user sees of each."""

from __future__ import annotations

import asyncio

import pytest

from devkit.patience import PATIENCE

from .control import Raw, RequestError, condition
from .kubelet import OnSigterm
from .stage import NOWHERE, WITH_INIT, Namespace, Workflow

HOLDS = {"suspended": "Suspended", "interrupted": "Interrupted"}
"""Each lifecycle that can be lifted again, and the phase once it is in force."""

ENDS = HOLDS | {"canceled": "Canceled"}


# ── running ──


async def test_phase_goes_from_pending_to_succeeded_when_nothing_is_held(namespace: Namespace) -> None:
    workflow = await namespace.create(input={"day": "monday"})
    pod = await workflow.wait_for_pod()
    pending = await workflow.wait_for("Pending")
    await namespace.kubelet.start(pod)
    active = await workflow.wait_for("Active", ready="Running")
    await namespace.kubelet.succeed(pod, output='{"rows": 3}')
    succeeded = await workflow.wait_for("Succeeded")

    assert [_counts(status) for status in (pending, active, succeeded)] == [
        {"pending": 1, "running": 0, "done": 0, "failed": 0},
        {"pending": 0, "running": 1, "done": 0, "failed": 0},
        {"pending": 0, "running": 0, "done": 1, "failed": 0},
    ]
    assert [status["progress"] for status in (pending, active, succeeded)] == ["0/1", "0/1", "1/1"]
    assert succeeded["output"] == {"rows": 3}
    assert succeeded["finishedAt"] >= succeeded["startedAt"]
    assert condition(succeeded, "Complete")["status"] == "True"
    assert _environment(pod)["MAGEFLOW_INPUT"] == '{"day":"monday"}'


async def test_init_container_counts_as_started_when_it_runs(namespace: Namespace) -> None:
    workflow = await namespace.create(template=WITH_INIT)
    pod = await workflow.wait_for_pod()
    await namespace.kubelet.start_init(pod)
    status = await workflow.wait_for("Active", ready="Running")
    assert status["startedAt"]
    await workflow.set_lifecycle("suspended")
    await workflow.wait_for("Active", ready="TaskAlreadyRunning")
    await namespace.kubelet.start(pod)
    await namespace.kubelet.succeed(pod)
    await workflow.wait_for("Succeeded", run=1)


# ── Pending → held → Pending ──


@pytest.mark.parametrize("lifecycle", HOLDS)
async def test_pending_returns_when_a_pending_workflow_is_held_and_resumed(
    namespace: Namespace, lifecycle: str
) -> None:
    workflow = await namespace.create()
    await workflow.wait_for_pod()
    await workflow.set_lifecycle(lifecycle)
    held = await workflow.wait_for(HOLDS[lifecycle], ready=HOLDS[lifecycle])

    assert not await workflow.live_pods()
    assert condition(held, "Suspended")["status"] == "True"
    assert condition(held, "Ready")["status"] == "True"
    assert held["suspendedAt"]
    assert _counts(held) == {"pending": 1, "running": 0, "done": 0, "failed": 0}

    await workflow.set_lifecycle("active")
    second = await workflow.wait_for_pod(run=2)
    resumed = await workflow.wait_for("Pending", ready="Pending", run=2)
    assert condition(resumed, "Suspended")["status"] == "False"
    assert condition(resumed, "Consistent")["status"] == "True"
    assert resumed["interruptions"] == 0
    assert "suspendedAt" not in resumed
    assert "startedAt" not in resumed
    assert _environment(second)["MAGEFLOW_RUN"] == "2"
    assert _environment(second)["MAGEFLOW_RESUMED"] == "false"

    await namespace.kubelet.start(second)
    await workflow.wait_for("Active", ready="Running")
    await namespace.kubelet.succeed(second)
    await workflow.wait_for("Succeeded")
    await workflow.wait_for_events(HOLDS[lifecycle], "Resumed")


@pytest.mark.parametrize("lifecycle", HOLDS)
async def test_phase_is_held_at_once_when_no_node_takes_the_pod(namespace: Namespace, lifecycle: str) -> None:
    """Such a pod stays terminating until the pod garbage collector comes, but no kubelet knows it: it can't start."""
    workflow = await namespace.create(template=NOWHERE)
    await workflow.wait_for("Pending", ready="Unschedulable")
    await workflow.set_lifecycle(lifecycle)
    await workflow.wait_for(HOLDS[lifecycle])
    assert not await workflow.live_pods()
    await workflow.set_lifecycle("active")
    await workflow.wait_for("Pending", ready="Unschedulable", run=2)


# ── Active → held → Active ──


async def test_active_returns_when_a_running_workflow_is_interrupted_and_resumed(namespace: Namespace) -> None:
    workflow, pod = await namespace.create_running(retries=1)
    await workflow.set_lifecycle("interrupted")
    held = await workflow.wait_for("Interrupted", ready="Interrupted")

    assert not await workflow.live_pods()
    assert held["interruptions"] == 1
    assert held["tasks"][0].get("failures", 0) == 0
    assert condition(held, "Consistent")["status"] == "False"
    assert condition(held, "Consistent")["reason"] == "InterruptedWhileRunning"

    await workflow.set_lifecycle("active")
    resumed = await workflow.wait_for("Active", run=2)
    second = await workflow.wait_for_pod(run=2)
    assert condition(resumed, "Consistent")["status"] == "False"
    assert resumed["startedAt"] == held["startedAt"]
    assert _environment(second)["MAGEFLOW_RESUMED"] == "true"
    assert second["metadata"]["uid"] != pod["metadata"]["uid"]

    await namespace.kubelet.start(second)
    await namespace.kubelet.succeed(second)
    done = await workflow.wait_for("Succeeded")
    assert condition(done, "Consistent")["reason"] == "InterruptedWhileRunning"
    assert done["interruptions"] == 1


async def test_active_returns_when_a_suspended_run_fails_and_its_retry_is_resumed(namespace: Namespace) -> None:
    """A single Workflow isn't stopped by a suspend; it is Suspended once its run has failed, and its retry is held."""
    workflow, pod = await namespace.create_running(retries=1)
    await workflow.set_lifecycle("suspended")
    await workflow.wait_for("Active", ready="TaskAlreadyRunning")
    await namespace.kubelet.fail(pod, exit_code=3)
    held = await workflow.wait_for("Suspended", ready="Suspended")

    task = held["tasks"][0]
    assert (task["phase"], task["failures"], task["reason"]) == ("BackingOff", 1, "NonZeroExitCode")
    assert task["backoffSeconds"] > 0
    assert "retryAt" not in task
    assert condition(held, "Consistent")["status"] == "True"
    await namespace.wait_until_quiet()
    assert len(await workflow.jobs()) == 1, "the retry is held"

    await workflow.set_lifecycle("active")
    await workflow.wait_for("Active", ready="BackingOff", run=1)
    second = await workflow.wait_for_pod(run=2)
    await namespace.kubelet.start(second)
    await namespace.kubelet.succeed(second)
    done = await workflow.wait_for("Succeeded", run=2)
    assert condition(done, "Consistent")["status"] == "True"


# ── suspended, and it runs on ──


async def test_task_runs_on_and_says_so_when_suspended_while_running(namespace: Namespace) -> None:
    workflow, pod = await namespace.create_running()
    await workflow.set_lifecycle("suspended")
    status = await workflow.wait_for("Active", ready="TaskAlreadyRunning")

    assert condition(status, "Ready")["status"] == "False"
    assert condition(status, "Suspended")["status"] == "False"
    assert condition(status, "Suspended")["reason"] == "TaskAlreadyRunning"
    await workflow.wait_for_events("TaskAlreadyRunning")

    await workflow.set_lifecycle("active")
    again = await workflow.wait_for("Active", ready="Running")
    assert again["tasks"] == status["tasks"]
    await workflow.set_lifecycle("suspended")
    await workflow.wait_for("Active", ready="TaskAlreadyRunning")
    await namespace.kubelet.succeed(pod, output="done")
    done = await workflow.wait_for("Succeeded", run=1)
    assert done["output"] == "done"


# ── while pods still run ──


async def test_suspending_lasts_until_the_pod_is_gone_when_it_ignores_sigterm(namespace: Namespace) -> None:
    """The pod had started without the API server knowing: it is evicted, and the phase tells when it is safe."""
    namespace.kubelet.on_sigterm(namespace.name, OnSigterm.IGNORE)
    workflow = await namespace.create()
    pod = await workflow.wait_for_pod()
    namespace.kubelet.start_unreported(pod)
    await workflow.set_lifecycle("suspended")
    status = await workflow.wait_for("Suspending", ready="Suspending")
    assert pod["metadata"]["name"] in condition(status, "Ready")["message"]
    assert condition(status, "Suspended")["status"] == "False"
    assert condition(status, "Reconciling")["status"] == "True"
    await namespace.wait_until_quiet()
    await workflow.wait_for("Suspending")

    await namespace.kubelet.give_up(pod)
    held = await workflow.wait_for("Suspended")
    assert held["tasks"][0].get("failures", 0) == 0
    assert condition(held, "Reconciling") == {}


@pytest.mark.parametrize(("lifecycle", "end"), [("interrupted", "Interrupted"), ("canceled", "Canceled")])
async def test_interrupting_lasts_until_the_pod_is_gone_when_it_ignores_sigterm(
    namespace: Namespace, lifecycle: str, end: str
) -> None:
    namespace.kubelet.on_sigterm(namespace.name, OnSigterm.IGNORE)
    workflow, pod = await namespace.create_running()
    await workflow.set_lifecycle(lifecycle)
    status = await workflow.wait_for("Interrupting", ready="Interrupting")
    assert pod["metadata"]["name"] in condition(status, "Ready")["message"]
    await namespace.wait_until_quiet()
    await workflow.wait_for("Interrupting")
    assert len(await workflow.live_pods()) == 1

    await namespace.kubelet.give_up(pod)
    await workflow.wait_for(end)


# ── held from the start ──


@pytest.mark.parametrize("lifecycle", ENDS)
async def test_no_job_is_made_when_created_held(namespace: Namespace, lifecycle: str) -> None:
    workflow = await namespace.create(lifecycle=lifecycle)
    await workflow.wait_for(ENDS[lifecycle], ready=ENDS[lifecycle])
    await namespace.wait_until_quiet()
    assert [str(write) for write in namespace.writes() if write.resource != "events"] == [
        "update workflows/status work → 200"
    ]
    assert not namespace.pods


@pytest.mark.parametrize("lifecycle", HOLDS)
async def test_first_run_starts_when_one_created_held_is_resumed(namespace: Namespace, lifecycle: str) -> None:
    workflow = await namespace.create(lifecycle=lifecycle)
    await workflow.wait_for(HOLDS[lifecycle])
    await workflow.set_lifecycle("active")
    pod = await workflow.wait_for_pod(run=1)
    await workflow.wait_for("Pending", run=1)
    await namespace.kubelet.start(pod)
    await namespace.kubelet.succeed(pod)
    await workflow.wait_for("Succeeded")


# ── canceled ──


@pytest.mark.parametrize(
    "phase", ["Pending", "Active", "BackingOff", "Suspending", "Suspended", "Interrupting", "Interrupted"]
)
async def test_canceled_is_reached_and_final_when_canceled_while(namespace: Namespace, phase: str) -> None:
    workflow = await _bring_to(namespace, phase)
    await workflow.set_lifecycle("canceled")
    pods = [pod for pod in await workflow.live_pods() if phase in ("Suspending", "Interrupting")]
    for pod in pods:
        await namespace.kubelet.give_up(pod)
    status = await workflow.wait_for("Canceled", ready="Canceled")

    assert not await workflow.live_pods()
    assert status["finishedAt"]
    assert condition(status, "Complete") == condition(status, "Failed") == {}
    with pytest.raises(RequestError, match="canceled is final"):
        await workflow.set_lifecycle("active")
    await namespace.wait_until_quiet()
    assert await workflow.status() == status


# ── ended ──


@pytest.mark.parametrize("end", ["Succeeded", "Failed"])
async def test_ended_workflow_stays_as_it_is_when_its_lifecycle_changes(namespace: Namespace, end: str) -> None:
    workflow, pod = await namespace.create_running()
    await (namespace.kubelet.succeed(pod) if end == "Succeeded" else namespace.kubelet.fail(pod))
    before = await workflow.wait_for(end)
    for lifecycle in ("suspended", "active", "interrupted", "canceled"):
        await workflow.set_lifecycle(lifecycle)
        after = await workflow.wait_for(end)
        assert _without_generations(after) == _without_generations(before)
    assert len(await workflow.jobs()) == 1, "its Job stays, for its logs"


# ── kubectl wait ──


async def test_kubectl_wait_answers_when_each_phase_is_reached(namespace: Namespace) -> None:
    workflow, pod = await namespace.create_running()
    await workflow.set_lifecycle("interrupted")
    await namespace.kubectl(
        "wait", "workflow/work", "--for=jsonpath={.status.phase}=Interrupted", f"--timeout={PATIENCE:.0f}s"
    )
    await workflow.set_lifecycle("active")
    await namespace.kubectl(
        "wait", "workflow/work", "--for=jsonpath={.status.phase}=Active", f"--timeout={PATIENCE:.0f}s"
    )
    second = await workflow.wait_for_pod(run=2)
    await namespace.kubelet.start(second)
    waiting = asyncio.create_task(
        namespace.kubectl("wait", "workflow/work", "--for=condition=Complete", f"--timeout={PATIENCE:.0f}s")
    )
    await namespace.kubelet.succeed(second)
    assert "condition met" in await waiting
    line = (await namespace.kubectl("get", "workflows", "--no-headers")).split()
    assert line[:4] == ["work", "Succeeded", "1/1", "0"]
    selected = await namespace.kubectl("get", "workflows", "--field-selector=status.phase=Succeeded", "--no-headers")
    assert "work" in selected
    assert pod["metadata"]["name"] != second["metadata"]["name"]


# ── helpers ──


async def _bring_to(namespace: Namespace, phase: str) -> Workflow:
    """Create a Workflow and bring it to a phase; Suspending and Interrupting last until its pod is given up."""
    match phase:
        case "Pending":
            workflow = await namespace.create()
            await workflow.wait_for_pod()
        case "Active":
            workflow, _ = await namespace.create_running()
        case "BackingOff":
            workflow, pod = await namespace.create_running(retries=1)
            await namespace.kubelet.fail(pod)
            await workflow.wait_for("Active", ready="BackingOff")
        case "Suspending":
            namespace.kubelet.on_sigterm(namespace.name, OnSigterm.IGNORE)
            workflow = await namespace.create()
            namespace.kubelet.start_unreported(await workflow.wait_for_pod())
            await workflow.set_lifecycle("suspended")
        case "Suspended":
            workflow = await namespace.create(lifecycle="suspended")
        case "Interrupting":
            namespace.kubelet.on_sigterm(namespace.name, OnSigterm.IGNORE)
            workflow, _ = await namespace.create_running()
            await workflow.set_lifecycle("interrupted")
        case "Interrupted":
            workflow, _ = await namespace.create_running()
            await workflow.set_lifecycle("interrupted")
    await workflow.wait_for("Active" if phase == "BackingOff" else phase)
    return workflow


def _counts(status: Raw) -> Raw:
    return {key: status[key] for key in ("pending", "running", "done", "failed")}


def _environment(pod: Raw) -> dict[str, str]:
    return {variable["name"]: variable.get("value", "") for variable in pod["spec"]["containers"][0]["env"]}


def _without_generations(status: Raw) -> Raw:
    conditions = [
        {key: value for key, value in condition.items() if key != "observedGeneration"}
        for condition in status["conditions"]
    ]
    return {**status, "observedGeneration": None, "conditions": conditions}
