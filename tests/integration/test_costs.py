"""What the operator asks of the API server: DESIGN section 5, counted in the audit log."""

from __future__ import annotations

from collections import Counter

from .control import Raw
from .history import can_run
from .stage import Namespace

MOST_WRITES: int = 4
"""For a one-step Workflow from its creation to Succeeded."""


async def test_four_writes_and_no_read_are_made_when_a_workflow_runs_to_its_end(namespace: Namespace) -> None:
    workflow, pod = await namespace.create_running()
    await namespace.kubelet.succeed(pod, output="done")
    await workflow.wait_for("Succeeded")
    await namespace.wait_until_quiet()
    requests = namespace.audit.requests(namespace.name)
    assert len(requests) <= MOST_WRITES, [str(request) for request in requests]
    assert all(request.is_write for request in requests)


async def test_suspend_costs_one_eviction_and_two_statuses_when_a_pod_is_pending(namespace: Namespace) -> None:
    """And, after the hold is in force: its Job is cleared up, and an Event tells of it."""
    workflow = await namespace.create()
    await workflow.wait_for_pod()
    await workflow.wait_for("Pending")
    await namespace.wait_until_quiet()
    before = len(namespace.audit.requests(namespace.name))
    await workflow.set_lifecycle("suspended")
    await workflow.wait_for("Suspended")
    await namespace.wait_until_quiet()
    requests = namespace.audit.requests(namespace.name)[before:]
    assert Counter(f"{request.verb} {request.resource}" for request in requests) == {
        "update workflows/status": 2,
        "create pods/eviction": 1,
        "delete jobs": 1,
        "create events": 1,
    }


async def test_nothing_is_asked_when_all_has_converged(namespace: Namespace) -> None:
    """Whatever the phase: no write and no read until something changes, not even after a restart."""
    await namespace.create("held", lifecycle="suspended")
    await namespace.create_running("runs")
    ended, pod = await namespace.create_running("ended")
    await namespace.kubelet.succeed(pod)
    await ended.wait_for("Succeeded")
    await namespace.wait_until_quiet()
    before = await _versions(namespace)
    requests = len(namespace.audit.requests(namespace.name))

    await namespace.operator.restart()
    await namespace.wait_until_quiet()
    assert len(namespace.audit.requests(namespace.name)) == requests
    assert await _versions(namespace) == before
    assert sum(can_run(pod.latest) for pod in namespace.pods) == 1


async def test_spec_and_metadata_stay_as_the_user_wrote_them_when_everything_has_happened(
    namespace: Namespace,
) -> None:
    """GitOps sees no drift: of the resource, the operator's field manager owns nothing but the status."""
    workflow, _ = await namespace.create_running()
    before = await workflow.read()
    for lifecycle, phase in (("interrupted", "Interrupted"), ("active", "Active"), ("canceled", "Canceled")):
        await workflow.set_lifecycle(lifecycle)
        await workflow.wait_for(phase)
    after = await workflow.read()
    assert {**after["spec"], "lifecycle": None} == {**before["spec"], "lifecycle": None}
    assert _metadata(after) == _metadata(before)
    assert {fields for entry in _owned_by_operator(after) for fields in entry} == {"f:status"}


async def _versions(namespace: Namespace) -> dict[str, str]:
    path = f"/apis/mageflow.io/v1/namespaces/{namespace.name}/workflows"
    items = await namespace.api.list(path)
    return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in items}


def _metadata(resource: Raw) -> Raw:
    changing = ("resourceVersion", "generation", "managedFields")
    return {key: value for key, value in resource["metadata"].items() if key not in changing}


def _owned_by_operator(resource: Raw) -> list[Raw]:
    entries = resource["metadata"]["managedFields"]
    return [entry["fieldsV1"] for entry in entries if entry["manager"] == "mageflow-operator"]
