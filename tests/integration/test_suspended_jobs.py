"""Jobs that others suspend and unsuspend: queueing systems, downscalers, people; and pods that they delete."""

from __future__ import annotations

import pytest

from .control import Raw, condition
from .kubelet import OnSigterm, drain
from .stage import Namespace, Workflow

graceful = pytest.mark.parametrize("manner", [OnSigterm.HEED, OnSigterm.EXIT_0], ids=["exits 143", "exits 0"])


@graceful
async def test_run_is_a_disruption_and_its_job_stays_when_somebody_suspends_it(
    namespace: Namespace, manner: OnSigterm
) -> None:
    namespace.kubelet.on_sigterm(namespace.name, manner)
    workflow, _ = await namespace.create_running(retries=0)
    await _suspend_job(workflow, True)

    waiting = await workflow.wait_for("Active", ready="JobSuspended", run=1)
    assert "kubectl-patch" in condition(waiting, "Ready")["message"], "by whom"
    assert _counts(waiting) == (0, 0, 1)
    assert condition(waiting, "Consistent")["reason"] == "DisruptedWhileRunning"
    await namespace.wait_until_quiet()
    (job,) = await workflow.jobs()
    assert job["spec"]["suspend"], "it is their gate"

    await _suspend_job(workflow, False)
    second = await workflow.wait_for_pod(run=2)
    assert _environment(second)["MAGEFLOW_RESUMED"] == "true"
    await namespace.kubelet.start(second)
    await namespace.kubelet.succeed(second, output="finished")
    done = await workflow.wait_for("Succeeded", run=2)
    assert done["output"] == "finished"


@pytest.mark.parametrize("lifecycle", ["suspended", "interrupted", "canceled"])
async def test_job_that_somebody_suspended_goes_when_nothing_is_to_start(namespace: Namespace, lifecycle: str) -> None:
    workflow, _ = await namespace.create_running()
    await _suspend_job(workflow, True)
    await workflow.wait_for("Active", ready="JobSuspended", run=1)
    await workflow.set_lifecycle(lifecycle)
    ended = await workflow.wait_for(lifecycle.capitalize())

    await workflow.wait_until_none_of("jobs")
    await workflow.wait_for_events("JobSuspended", "JobSuspended", lifecycle.capitalize())
    assert _counts(ended) == (0, 0, 1)


async def test_stop_holds_when_somebody_unsuspends_the_job_that_was_stopped(namespace: Namespace) -> None:
    """As Kueue does with each Job that it admits. No pod starts once Interrupted is said: `check_promises` looks."""
    namespace.kubelet.on_sigterm(namespace.name, OnSigterm.IGNORE)
    workflow, pod = await namespace.create_running()
    await workflow.set_lifecycle("interrupted")
    await workflow.wait_for("Interrupting")
    await workflow.wait_until("its Job is stopped", lambda: _is_stopped(workflow))
    await _suspend_job(workflow, False)
    await namespace.kubelet.give_up(pod)

    held = await workflow.wait_for("Interrupted")
    assert (held["interruptions"], held["tasks"][0].get("failures", 0)) == (1, 0)
    await workflow.wait_until_none_of("jobs")
    await namespace.wait_until_quiet()
    assert not await workflow.live_pods()


@graceful
@pytest.mark.parametrize("is_drained", [False, True], ids=["deleted", "drained"])
async def test_run_is_a_disruption_when_somebody_deletes_its_pod(
    namespace: Namespace, manner: OnSigterm, is_drained: bool
) -> None:
    namespace.kubelet.on_sigterm(namespace.name, manner)
    workflow, pod = await namespace.create_running(retries=0)
    if is_drained:
        await drain(namespace.api, pod)
    else:
        await namespace.api.delete(f"/api/v1/namespaces/{namespace.name}/pods/{pod['metadata']['name']}")

    second = await workflow.wait_for_pod(run=2)
    status = await workflow.wait_for("Active", run=2)
    assert _counts(status) == (0, 0, 1)
    assert condition(status, "Consistent")["reason"] == "DisruptedWhileRunning"
    assert _environment(second)["MAGEFLOW_RESUMED"] == "true"


async def test_success_counts_when_its_pod_is_deleted_right_after_it(namespace: Namespace) -> None:
    workflow, pod = await namespace.create_running()
    await namespace.kubelet.succeed(pod, output="done")
    await namespace.api.delete(f"/api/v1/namespaces/{namespace.name}/pods/{pod['metadata']['name']}")
    done = await workflow.wait_for("Succeeded", run=1)
    assert done["output"] == "done"


def _counts(status: Raw) -> tuple[int, int, int]:
    task = status["tasks"][0]
    return task.get("failures", 0), task.get("interruptions", 0), task.get("disruptions", 0)


def _environment(pod: Raw) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in pod["spec"]["containers"][0]["env"]}


async def _suspend_job(workflow: Workflow, suspend: bool) -> None:
    (job,) = await workflow.jobs()
    patch = f'{{"spec": {{"suspend": {str(suspend).lower()}}}}}'
    await workflow.namespace.kubectl("patch", "job", job["metadata"]["name"], "--type=merge", "--patch", patch)


async def _is_stopped(workflow: Workflow) -> bool:
    jobs = await workflow.jobs()
    return bool(jobs) and bool(jobs[0]["spec"].get("suspend"))
