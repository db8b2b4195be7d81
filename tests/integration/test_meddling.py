"""Other hands: Jobs, statuses and specs changed by someone else, resources deleted and made anew."""

from __future__ import annotations

import asyncio

import pytest

from .control import Raw, condition
from .history import is_terminating
from .kubelet import OnSigterm
from .stage import QUIET, TEMPLATE, Namespace, Workflow

# ── a Job deleted by hand ──


@pytest.mark.parametrize("is_running", [False, True], ids=["pending", "running"])
async def test_task_runs_again_when_its_job_is_deleted_by_hand(namespace: Namespace, is_running: bool) -> None:
    """No failure: a disruption if a container had started, else as if that run had never been."""
    workflow = await namespace.create(retries=0)
    pod = await workflow.wait_for_pod()
    if is_running:
        await namespace.kubelet.start(pod)
        await workflow.wait_for("Active", ready="Running")
    await _delete_job(workflow)
    second = await workflow.wait_for_pod(run=2)
    status = await workflow.wait_for("Active" if is_running else "Pending", run=2)
    task = status["tasks"][0]
    counts = (status["interruptions"], task.get("failures", 0), task.get("disruptions", 0))
    assert counts == (0, 0, int(is_running))
    assert condition(status, "Consistent")["status"] == ("False" if is_running else "True")
    assert _environment(second)["MAGEFLOW_RESUMED"] == ("true" if is_running else "false")
    await namespace.kubelet.start(second)
    await namespace.kubelet.succeed(second)
    await workflow.wait_for("Succeeded", run=2)


async def test_outcome_counts_when_the_job_of_a_running_pod_is_deleted_and_its_pod_left(namespace: Namespace) -> None:
    workflow, pod = await namespace.create_running()
    await _delete_job(workflow, policy="Orphan")
    await workflow.wait_until_none_of("jobs")
    await workflow.wait_for("Active", ready="Running", run=1)
    await namespace.kubelet.succeed(pod, output="an orphan's")
    done = await workflow.wait_for("Succeeded", run=1)
    assert done["output"] == "an orphan's"


@pytest.mark.parametrize("lifecycle", ["suspended", "interrupted"])
async def test_hold_is_in_force_when_the_job_is_deleted_by_hand_while_held(
    namespace: Namespace, lifecycle: str
) -> None:
    """The pod runs on after its Job: a suspend leaves it alone, an interrupt stops it without a Job."""
    workflow, pod = await namespace.create_running()
    await _delete_job(workflow, policy="Orphan")
    await workflow.wait_until_none_of("jobs")
    await workflow.set_lifecycle(lifecycle)
    if lifecycle == "suspended":
        await workflow.wait_for("Active", ready="TaskAlreadyRunning")
        await namespace.kubelet.succeed(pod)
        await workflow.wait_for("Succeeded", run=1)
    else:
        status = await workflow.wait_for("Interrupted")
        assert status["interruptions"] == 1
        assert not await workflow.live_pods()


async def test_nothing_changes_when_the_job_of_an_ended_workflow_is_deleted(namespace: Namespace) -> None:
    """The ledger is the status: losing Jobs loses nothing."""
    workflow, pod = await namespace.create_running()
    await namespace.kubelet.succeed(pod, output="kept")
    before = await workflow.wait_for("Succeeded")
    await _delete_job(workflow)
    await workflow.wait_until_none_of("pods")
    await namespace.wait_until_quiet()
    assert await workflow.status() == before
    assert not await workflow.jobs()


# ── a status that was lost ──


async def test_run_is_taken_up_again_when_the_status_is_wiped_while_it_runs(namespace: Namespace) -> None:
    workflow, pod = await namespace.create_running()
    before = await workflow.status()
    await _wipe_status(workflow)
    after = await workflow.wait_for("Active", ready="Running", run=1)
    assert after["startedAt"] >= before["startedAt"], "when it was seen"
    await namespace.kubelet.succeed(pod)
    await workflow.wait_for("Succeeded", run=1)


async def test_success_is_found_again_when_the_status_is_wiped_after_it(namespace: Namespace) -> None:
    """A task that succeeded is never run again: its Job still tells."""
    workflow, pod = await namespace.create_running()
    await namespace.kubelet.succeed(pod, output="kept")
    await workflow.wait_for("Succeeded")
    await _wipe_status(workflow)
    status = await workflow.wait_for("Succeeded", run=1)
    assert status["output"] == "kept"
    await namespace.wait_until_quiet()
    assert len(namespace.pods) == 1


async def test_hold_stays_in_force_when_the_status_is_wiped_while_suspended(namespace: Namespace) -> None:
    workflow = await namespace.create()
    await workflow.wait_for_pod()
    await workflow.set_lifecycle("suspended")
    await workflow.wait_for("Suspended")
    await _wipe_status(workflow)
    await workflow.wait_for("Suspended")
    await namespace.wait_until_quiet()
    assert not await workflow.live_pods()


# ── an edit while held ──


async def test_next_run_uses_the_edit_when_the_spec_is_edited_while_suspended(namespace: Namespace) -> None:
    workflow = await namespace.create()
    first = await workflow.wait_for_pod()
    await workflow.wait_for("Pending", run=1)
    await workflow.set_lifecycle("suspended")
    before = await workflow.wait_for("Suspended")
    edited = {"spec": {"containers": [{**TEMPLATE["spec"]["containers"][0], "image": "busybox:1.37"}]}}
    await workflow.patch({"template": edited, "input": {"day": "tuesday"}})
    await workflow.wait_for("Suspended")
    await namespace.wait_until_quiet()
    assert not await workflow.live_pods(), "an edit starts nothing"
    await workflow.set_lifecycle("active")
    second = await workflow.wait_for_pod(run=2)
    after = await workflow.wait_for("Pending", run=2)
    assert [_image(first), _image(second)] == ["busybox:1.36", "busybox:1.37"]
    assert after["tasks"][0]["templateHash"] != before["tasks"][0]["templateHash"]


# ── deletion ──


@pytest.mark.parametrize(
    ("phase", "policy"), [("Pending", "Background"), ("Active", "Foreground"), ("Suspending", "Background")]
)
async def test_nothing_is_left_when_deleted_in_the_middle(namespace: Namespace, phase: str, policy: str) -> None:
    """No finalizer of ours is in the way, and nothing is made anew while it goes."""
    workflow = await namespace.create()
    pod = await workflow.wait_for_pod()
    if phase == "Active":
        await namespace.kubelet.start(pod)
    if phase == "Suspending":
        namespace.kubelet.on_sigterm(namespace.name, OnSigterm.IGNORE)
        namespace.kubelet.start_unreported(pod)
        await workflow.set_lifecycle("suspended")
    await workflow.wait_for(phase)
    await namespace.wait_until_quiet()
    before = len(namespace.writes())
    await workflow.delete(policy)
    if phase == "Suspending":
        await namespace.kubelet.give_up(pod)
    await _wait_until_gone(workflow)
    await namespace.wait_until_quiet()
    # Watches of two kinds are in no order: its Job may be told to be gone before it is, which is a write in vain.
    assert [str(write) for write in namespace.writes()[before:] if write.code != 404] == []
    assert len(namespace.audit.created_jobs(namespace.name)) == 1


async def test_deletion_works_when_the_operator_is_down(namespace: Namespace) -> None:
    workflow, _ = await namespace.create_running()
    namespace.operator.kill()
    await workflow.delete("Foreground")
    await _wait_until_gone(workflow)
    await namespace.operator.start()
    await namespace.wait_until_quiet()
    assert len(namespace.audit.created_jobs(namespace.name)) == 1


async def test_namesake_runs_on_its_own_when_a_workflow_is_deleted_and_made_anew(namespace: Namespace) -> None:
    """The old one's pod ignores SIGTERM and ends long after: it has nothing to do with the new one."""
    namespace.kubelet.on_sigterm(namespace.name, OnSigterm.IGNORE)
    old, old_pod = await namespace.create_running()
    await old.delete("Background")
    await old.wait_until("the old one is gone", lambda: _is_gone(old))
    new = await namespace.create(old.name)
    await new.wait_until("there are two pods, one of them going", lambda: _has_two_pods(new))
    new_pod = next(pod for pod in await new.live_pods() if not is_terminating(pod))
    assert new_pod["metadata"]["labels"]["job-name"] != old_pod["metadata"]["labels"]["job-name"]
    await new.set_lifecycle("suspended")
    await new.wait_for("Suspended")
    await namespace.kubelet.give_up(old_pod)
    await new.wait_for("Suspended")
    assert not await new.live_pods()
    await new.set_lifecycle("active")
    second = await new.wait_for_pod(run=2)
    await namespace.kubelet.start(second)
    await namespace.kubelet.succeed(second)
    await new.wait_for("Succeeded", run=2)


async def test_operator_stays_calm_when_a_namespace_is_deleted(namespace: Namespace) -> None:
    """Its pods go first, and the rest only after them: nothing can be created then, and nobody keeps on trying."""
    namespace.kubelet.on_sigterm(namespace.name, OnSigterm.IGNORE)
    _, running = await namespace.create_running("runs")
    held = await namespace.create("held", lifecycle="suspended")
    await held.wait_for("Suspended")
    await namespace.api.delete(f"/api/v1/namespaces/{namespace.name}")
    await held.set_lifecycle("active")
    await namespace.wait_for_write("jobs", verb="create", code=403)
    await asyncio.sleep(QUIET)
    await namespace.wait_until_quiet()
    refused = [str(write) for write in namespace.writes() if not write.is_success]
    assert len(refused) <= 4, refused
    await namespace.kubelet.give_up(running)
    await held.wait_until("the namespace is gone", lambda: _is_namespace_gone(namespace))


# ── an API server that is away ──


async def test_hold_comes_into_force_when_the_api_server_was_away(namespace: Namespace) -> None:
    """Watches break off and are taken up again; what changed meanwhile is seen."""
    workflow, pod = await namespace.create_running()
    await asyncio.to_thread(namespace.control_plane.restart, "kube-apiserver")
    await workflow.set_lifecycle("interrupted")
    status = await workflow.wait_for("Interrupted")
    assert status["interruptions"] == 1
    assert condition(status, "Consistent")["status"] == "False"
    assert not [there for there in await workflow.live_pods() if there["metadata"]["name"] == pod["metadata"]["name"]]


# ── helpers ──


async def _delete_job(workflow: Workflow, policy: str = "Background") -> None:
    (job,) = await workflow.jobs()
    path = f"/apis/batch/v1/namespaces/{workflow.namespace.name}/jobs/{job['metadata']['name']}"
    await workflow.namespace.api.delete(path, propagationPolicy=policy)


async def _wipe_status(workflow: Workflow) -> None:
    """Replace the status by nothing, as a restore of a backup without status would."""
    resource = await workflow.read()
    del resource["status"]
    await workflow.namespace.api.replace(f"{workflow.path}/status", resource)


async def _wait_until_gone(workflow: Workflow) -> None:
    await workflow.wait_until(f"{workflow.name} is gone", lambda: _is_gone(workflow))
    await workflow.wait_until_none_of("jobs")
    await workflow.wait_until_none_of("pods")


async def _is_gone(workflow: Workflow) -> bool:
    return await workflow.namespace.api.find(workflow.path) is None


async def _is_namespace_gone(namespace: Namespace) -> bool:
    return await namespace.api.find(f"/api/v1/namespaces/{namespace.name}") is None


async def _has_two_pods(workflow: Workflow) -> bool:
    return sorted(is_terminating(pod) for pod in await workflow.live_pods()) == [False, True]


def _environment(pod: Raw) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in pod["spec"]["containers"][0]["env"]}


def _image(pod: Raw) -> str:
    image: str = pod["spec"]["containers"][0]["image"]
    return image
