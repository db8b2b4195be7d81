"""Runs that fail, are disrupted, or don't come to start: what uses up a retry, what follows, and what is said of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest

from mageflow.api import MAIN_TASK
from mageflow.core.job_manifest import job_name
from mageflow.core.plan import Owner

from .control import NODE, Raw, condition
from .history import can_run
from .kubelet import OnSigterm, drain
from .stage import NOWHERE, TEMPLATE, Namespace, Workflow

# ── how a run ends ──


@dataclass(frozen=True)
class Mishap:
    """One way in which a run that nobody stopped may end badly, and what it is to count as."""

    happen: Callable[[Namespace, Raw], Awaitable[object]]
    reason: str
    is_failure: bool
    is_started: bool = True


async def _delete_by_hand(namespace: Namespace, pod: Raw) -> None:
    await namespace.api.delete(f"/api/v1/namespaces/{namespace.name}/pods/{pod['metadata']['name']}")


MISHAPS = {
    "exits-3": Mishap(lambda ns, pod: ns.kubelet.fail(pod, exit_code=3), "NonZeroExitCode", True),
    "exceeds-deadline": Mishap(lambda ns, pod: ns.kubelet.exceed_deadline(pod), "DeadlineExceeded", True),
    "deleted-by-hand": Mishap(_delete_by_hand, "Disrupted", False),
    "drained": Mishap(lambda ns, pod: drain(ns.api, pod), "Disrupted", False),
    "drained-unstarted": Mishap(lambda ns, pod: drain(ns.api, pod), "Disrupted", False, is_started=False),
    "refused": Mishap(lambda ns, pod: ns.kubelet.refuse(pod, "OutOfcpu"), "OutOfcpu", False, is_started=False),
    "deleted-unstarted": Mishap(_delete_by_hand, "Disrupted", False, is_started=False),
    "own-excess": Mishap(lambda ns, pod: ns.kubelet.evict_for_excess(pod), "Evicted", True),
    "node-pressure": Mishap(lambda ns, pod: ns.kubelet.evict(pod), "Disrupted", False),
}


async def test_run_follows_after_a_backoff_when_a_run_ends_badly(namespace: Namespace) -> None:
    """Failures use up a retry; disruptions, which are not the task's fault, use up none. Both back off."""
    await asyncio.gather(*(_play_mishap(namespace, name, mishap) for name, mishap in MISHAPS.items()))


async def _play_mishap(namespace: Namespace, name: str, mishap: Mishap) -> None:
    workflow = await namespace.create(name, retries=1)
    pod = await workflow.wait_for_pod()
    if mishap.is_started:
        await namespace.kubelet.start(pod)
        await workflow.wait_for("Active", ready="Running")
    await mishap.happen(namespace, pod)
    status = await workflow.wait_for("Active" if mishap.is_started else "Pending", ready="BackingOff")

    task = status["tasks"][0]
    counts = (task.get("failures", 0), task.get("disruptions", 0), task.get("interruptions", 0))
    assert (task["reason"], counts) == (mishap.reason, (1, 0, 0) if mishap.is_failure else (0, 1, 0)), name
    assert task["retryAt"] > task["finishedAt"]
    assert not await workflow.live_pods(), name
    was_cut_short = mishap.is_started and not mishap.is_failure
    assert condition(status, "Consistent")["status"] == str(not was_cut_short), name

    second = await workflow.wait_for_pod(run=2)
    assert second["metadata"]["creationTimestamp"] >= task["retryAt"], name
    await namespace.kubelet.start(second)
    await namespace.kubelet.succeed(second)
    await workflow.wait_for("Succeeded", run=2)


async def test_run_goes_on_as_disrupted_when_a_drained_pod_exits_0(namespace: Namespace) -> None:
    """A pod that exits 0 because it was stopped has not succeeded, whoever stopped it."""
    namespace.kubelet.on_sigterm(namespace.name, OnSigterm.EXIT_0)
    workflow, pod = await namespace.create_running()
    await drain(namespace.api, pod)
    status = await workflow.wait_for("Active", ready="BackingOff")
    assert status["tasks"][0]["disruptions"] == 1
    await workflow.set_lifecycle("suspended")
    await workflow.wait_for("Suspended")


async def test_failed_is_reached_when_no_retries_are_left(namespace: Namespace) -> None:
    workflow, pod = await namespace.create_running()
    await namespace.kubelet.fail(pod, exit_code=7, output="no such file")
    status = await workflow.wait_for("Failed")

    failed = condition(status, "Failed")
    assert (failed["status"], failed["reason"]) == ("True", "Failed")
    assert "exit code 7: no such file" in failed["message"]
    assert condition(status, "Stalled")["status"] == "True"
    assert (status["failed"], status["tasks"][0]["failures"]) == (1, 1)
    assert "output" not in status
    await workflow.wait_for_events("Failed")


# ── what is not run ──


async def test_quota_is_named_when_it_refuses_the_pod(namespace: Namespace) -> None:
    """The API server tells it only in an Event on the Job: the resource says it where its user looks."""
    quotas = f"/api/v1/namespaces/{namespace.name}/resourcequotas"
    await namespace.api.create(quotas, {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}})
    workflow = await namespace.create()
    status = await workflow.wait_for("Pending", ready="PodNotCreated")
    assert "exceeded quota: none" in condition(status, "Ready")["message"]

    await workflow.set_lifecycle("suspended")
    await workflow.wait_for("Suspended")
    await namespace.api.delete(f"{quotas}/none")
    await workflow.set_lifecycle("active")
    await workflow.wait_for_pod(run=2)


async def test_invalid_task_is_named_when_the_api_server_refuses_its_job(namespace: Namespace) -> None:
    """No schema can tell that a mount names a volume that isn't there. Nothing is tried again until it is edited."""
    container = {**TEMPLATE["spec"]["containers"][0], "volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    workflow = await namespace.create(template={"spec": {"containers": [container]}})
    status = await workflow.wait_for("Pending", ready="InvalidTask")
    assert "volumeMounts[0].name" in condition(status, "Ready")["message"]
    assert condition(status, "Stalled")["status"] == "True"
    await namespace.wait_until_quiet()
    assert not await workflow.jobs()

    await workflow.set_lifecycle("suspended")
    await workflow.wait_for("Suspended")
    await workflow.patch({"template": TEMPLATE})
    await workflow.set_lifecycle("active")
    pod = await workflow.wait_for_pod()
    await namespace.kubelet.start(pod)
    await workflow.wait_for("Active", ready="Running")


async def test_image_is_named_when_it_cannot_be_pulled(namespace: Namespace) -> None:
    workflow = await namespace.create()
    pod = await workflow.wait_for_pod()
    await namespace.kubelet.wait_in(pod, "ErrImagePull", "no such image")
    status = await workflow.wait_for("Pending", ready="ImagePullBackOff")
    assert "busybox:1.36" in condition(status, "Ready")["message"]
    await namespace.wait_until_quiet()
    before = len(namespace.writes())
    for reason in ("ImagePullBackOff", "ErrImagePull", "ImagePullBackOff"):
        await namespace.kubelet.wait_in(pod, reason, "no such image")
    await namespace.wait_until_quiet()
    assert len(namespace.writes()) == before, "the kubelet alternates between two words for one fact"

    await namespace.kubelet.start(pod)
    await workflow.wait_for("Active", ready="Running")


async def test_reason_is_told_when_no_node_takes_the_pod(namespace: Namespace) -> None:
    workflow = await namespace.create(template=NOWHERE)
    status = await workflow.wait_for("Pending", ready="Unschedulable")
    assert "node" in condition(status, "Ready")["message"]
    labels = NOWHERE["spec"]["nodeSelector"]
    await namespace.api.patch(f"/api/v1/nodes/{NODE}", {"metadata": {"labels": labels}})
    try:
        pod = await workflow.wait_for_pod(run=1)
        await workflow.wait_for("Pending", ready="Pending")
        await namespace.kubelet.start(pod)
        await workflow.wait_for("Active", ready="Running")
    finally:
        taken_off = dict.fromkeys(labels)
        await namespace.api.patch(f"/api/v1/nodes/{NODE}", {"metadata": {"labels": taken_off}})


async def test_name_conflict_is_told_when_the_job_is_someone_elses(namespace: Namespace) -> None:
    workflow = await namespace.create(lifecycle="suspended")
    await workflow.wait_for("Suspended")
    uid = (await workflow.read())["metadata"]["uid"]
    name = job_name(Owner("Workflow", namespace.name, "work", uid), MAIN_TASK, 1)
    jobs = f"/apis/batch/v1/namespaces/{namespace.name}/jobs"
    template = {"spec": {**NOWHERE["spec"], "restartPolicy": "Never"}}
    foreign = await namespace.api.create(jobs, {"metadata": {"name": name}, "spec": {"template": template}})
    await workflow.set_lifecycle("active")
    status = await workflow.wait_for("Pending", ready="NameConflict")
    assert name in condition(status, "Ready")["message"]
    await workflow.set_lifecycle("interrupted")
    await workflow.wait_for("Interrupted")
    there = await namespace.api.get(f"{jobs}/{name}")
    assert there["metadata"]["uid"] == foreign["metadata"]["uid"]
    assert not there["spec"].get("suspend"), "it is left alone"


# ── failures while held ──


@pytest.mark.parametrize(
    ("lifecycle", "phase"), [("suspended", "Suspended"), ("interrupted", "Interrupted"), ("canceled", "Canceled")]
)
async def test_retry_is_held_when_held_during_its_backoff(namespace: Namespace, lifecycle: str, phase: str) -> None:
    workflow, pod = await namespace.create_running(retries=1)
    await namespace.kubelet.fail(pod)
    await workflow.wait_for("Active", ready="BackingOff")
    await workflow.set_lifecycle(lifecycle)
    status = await workflow.wait_for(phase)
    task = status["tasks"][0]
    assert (task["failures"], task.get("interruptions", 0)) == (1, 0)
    assert "retryAt" not in task
    assert task["backoffSeconds"] <= 10
    assert not [pod for pod in namespace.pods if can_run(pod.latest)]
    assert _count_jobs(namespace, workflow) == 1


async def test_end_is_recorded_when_it_comes_while_suspended(namespace: Namespace) -> None:
    """An end is recorded in any lifecycle."""
    workflow, pod = await namespace.create_running()
    await workflow.set_lifecycle("suspended")
    await workflow.wait_for("Active", ready="TaskAlreadyRunning")
    await namespace.kubelet.fail(pod)
    await workflow.wait_for("Failed")


def _count_jobs(namespace: Namespace, workflow: Workflow) -> int:
    return sum(name.startswith(f"{workflow.name}-") for name in namespace.audit.created_jobs(namespace.name))
