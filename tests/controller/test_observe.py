"""API objects as the API server sends them → the few facts that decisions are made from."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mageflow.api import WORKFLOW, Status, WorkflowSpec
from mageflow.controller.observe import (
    RunKey,
    is_controlled_by,
    observe_job,
    observe_pod,
    observe_resource,
    run_key,
)
from mageflow.core.observed import Cause, ReasonMessage

from .documents import (
    STARTED_LATER,
    UID,
    Raw,
    condition,
    container,
    deleted,
    ended,
    job,
    labels,
    pod,
    resource,
    running,
    waiting,
)

NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
UNBOUND = {"containers": [{"name": "main"}]}
WITH_SIDECAR = {
    "nodeName": "node-1",
    "initContainers": [{"name": "init"}, {"name": "sidecar", "restartPolicy": "Always"}],
    "containers": [{"name": "main"}, {"name": "other"}],
}
CREATING = waiting("ContainerCreating")
INITIALIZING = waiting("PodInitializing")


def statuses(*main: Raw, init: tuple[Raw, ...] = ()) -> dict[str, Any]:
    return {"containerStatuses": list(main), "initContainerStatuses": list(init)}


# ── whether a container has started: what a suspend must never kill ──


@pytest.mark.parametrize(
    ("raw", "has_started"),
    [
        pytest.param(pod(spec=UNBOUND), False, id="no node has taken it"),
        pytest.param(pod(), False, id="nothing is told of its containers"),
        pytest.param(pod(**statuses(CREATING)), False, id="its container is being created"),
        pytest.param(pod(**statuses(waiting("ErrImagePull"))), False, id="its image can't be pulled"),
        pytest.param(
            pod(**statuses(INITIALIZING, init=(running("init"),))), True, id="an init container runs: still Pending"
        ),
        pytest.param(pod(**statuses(INITIALIZING, init=(ended(name="init"),))), True, id="an init container has ended"),
        pytest.param(
            pod(**statuses(INITIALIZING, init=(waiting("ContainerCreating", name="init"),))),
            False,
            id="an init container is being created",
        ),
        pytest.param(pod(phase="Running", **statuses(running())), True, id="its container runs"),
        pytest.param(pod(phase="Running", **statuses(running(at=None))), True, id="it runs, and since when isn't told"),
        pytest.param(pod(phase="Running"), True, id="it is said to run, and no more"),
        pytest.param(pod(**statuses(running())), True, id="its container runs, and the phase lags behind"),
        pytest.param(pod(**statuses(CREATING, running("sidecar"))), True, id="one container of two runs"),
        pytest.param(pod(phase="Succeeded", **statuses(ended())), True, id="it succeeded"),
        pytest.param(pod(phase="Failed", **statuses(ended(1))), True, id="it failed"),
        pytest.param(pod(phase="Failed", reason="OutOfcpu"), False, id="the kubelet refused it"),
        pytest.param(
            pod(phase="Failed", **statuses(ended(137, at=None, reason="ContainerStatusUnknown"))),
            False,
            id="it is reported as ended, and never ran",
        ),
        pytest.param(pod(phase="Unknown", **statuses(running())), True, id="its node is lost"),
        pytest.param(
            pod(
                **statuses(
                    INITIALIZING,
                    init=(
                        waiting("CrashLoopBackOff", name="sidecar")
                        | {"restartCount": 1, "lastState": {"terminated": {"exitCode": 1, "startedAt": STARTED_LATER}}},
                    ),
                )
            ),
            True,
            id="a sidecar ran and is to be restarted",
        ),
    ],
)
def test_start_of_a_container_is_seen_when(raw: Raw, has_started: bool) -> None:
    assert observe_pod(raw).has_started is has_started


def test_start_is_seen_when_the_container_could_not_be_started() -> None:
    """containerd says 1970 of one whose command isn't there (StartError): containerd issue 9080."""
    states = statuses(ended(128, at="1970-01-01T00:00:00Z", reason="StartError"))
    assert observe_pod(pod(phase="Failed", **states)).has_started


# ── how it ended ──


OTHER = ended(7, name="other", message="x")


@pytest.mark.parametrize(
    ("states", "cause"),
    [
        pytest.param(statuses(running()), None, id="it runs"),
        pytest.param(statuses(ended(0, reason="Completed")), None, id="it did well"),
        pytest.param(
            statuses(ended(3, message="disk full\n", reason="Error")),
            Cause("container main", 3, message="disk full", is_main=True),
            id="it failed, and said why, with a newline",
        ),
        pytest.param(
            statuses(ended(1, message="one\ntwo\n")),
            Cause("container main", 1, message="one\ntwo", is_main=True),
            id="it failed, and said why in two lines",
        ),
        pytest.param(
            statuses(ended(137, reason="OOMKilled")),
            Cause("container main", 137, "OOMKilled", is_main=True),
            id="it took too much memory",
        ),
        pytest.param(
            statuses(ended(128, at="1970-01-01T00:00:00Z", reason="StartError", message="exec: not found")),
            Cause("container main", 128, "StartError", "exec: not found", is_main=True),
            id="its command isn't there",
        ),
        pytest.param(
            statuses(ended(0, message="42"), OTHER), Cause("container other", 7, message="x"), id="another failed"
        ),
        pytest.param(
            statuses(OTHER, ended(3, message="disk full")),
            Cause("container main", 3, message="disk full", is_main=True),
            id="both failed",
        ),
        pytest.param(
            statuses(
                ended(0),
                ended(143, name="proxy", reason="Error", finishedAt="2026-11-24T12:00:01Z"),
                ended(9, name="late", finishedAt="2026-11-24T12:00:04Z"),
                ended(8, name="early", finishedAt="2026-11-24T12:00:02Z"),
            ),
            Cause("container early", 8),
            id="of three others one was killed, and two failed by themselves",
        ),
        pytest.param(
            statuses(ended(0), ended(143, name="proxy", reason="Error")),
            Cause("container proxy", 143),
            id="another was killed, and there is no other cause",
        ),
        pytest.param(
            statuses(INITIALIZING, init=(ended(0, name="first"), ended(5, name="init", message="x"))),
            Cause("init container init", 5, message="x"),
            id="an init container failed",
        ),
        pytest.param(
            statuses(ended(3, message="disk full"), init=(ended(143, name="sidecar", reason="Error"),)),
            Cause("container main", 3, message="disk full", is_main=True),
            id="it failed, and so its sidecar was stopped",
        ),
        pytest.param(
            statuses(ended(0), init=(ended(143, name="sidecar", reason="Error"),)),
            None,
            id="it did well, and so its sidecar was stopped",
        ),
    ],
)
def test_cause_of_a_failure_is_found_when(states: dict[str, Any], cause: Cause | None) -> None:
    assert observe_pod(pod(phase="Failed", spec=WITH_SIDECAR, **states)).cause == cause


@pytest.mark.parametrize(
    ("states", "output"),
    [
        pytest.param(statuses(running()), None, id="it runs"),
        pytest.param(statuses(ended(0)), None, id="it wrote nothing"),
        pytest.param(statuses(ended(0, message="42\n"), OTHER), "42\n", id="it wrote something, to the byte"),
        pytest.param(statuses(INITIALIZING, init=(ended(5, name="init", message="x"),)), None, id="another wrote it"),
    ],
)
def test_output_is_seen_when(states: dict[str, Any], output: str | None) -> None:
    assert observe_pod(pod(phase="Succeeded", **states)).output == output


@pytest.mark.parametrize(
    ("containers", "limit"),
    [
        pytest.param({"containers": 1}, 4096, id="one container"),
        pytest.param({"initContainers": 2, "containers": 1}, 4096, id="three"),
        pytest.param({"initContainers": 3, "containers": 1}, 3072, id="four"),
        pytest.param({"containers": 3, "ephemeralContainers": 2}, 2457, id="five, with ephemeral ones"),
    ],
)
def test_limit_of_the_output_is_the_containers_share_when(containers: dict[str, int], limit: int) -> None:
    """As the kubelet counts: normalizeStatus in pkg/kubelet/status/status_manager.go, Kubernetes 1.34."""
    spec = {kind: [{"name": f"{kind}-{n}"} for n in range(number)] for kind, number in containers.items()}
    assert observe_pod(pod(spec=spec)).output_limit == limit


@pytest.mark.parametrize(
    ("states", "lingering"),
    [
        pytest.param(statuses(running(), running("other")), (), id="both run"),
        pytest.param(statuses(running(), ended(name="other")), (), id="the main one runs"),
        pytest.param(statuses(ended(), running("other")), ("other",), id="only another one runs"),
        pytest.param(statuses(ended(), init=(running("sidecar"),)), (), id="a sidecar is being stopped"),
        pytest.param(statuses(CREATING, running("other")), (), id="the main one is being created"),
    ],
)
def test_container_that_keeps_a_pod_is_named_when_its_main_one_has_ended(
    states: dict[str, Any], lingering: tuple[str, ...]
) -> None:
    assert observe_pod(pod(phase="Running", spec=WITH_SIDECAR, **states)).lingering == lingering


def test_output_is_the_default_containers_when_one_is_annotated() -> None:
    raw = pod(phase="Succeeded", **statuses(ended(message="1"), ended(name="worker", message="2")))
    raw["metadata"]["annotations"] = {"kubectl.kubernetes.io/default-container": "worker"}
    assert observe_pod(raw).output == "2"


def test_reason_of_a_pod_is_seen_when_the_kubelet_gives_one() -> None:
    seen = observe_pod(pod(phase="Failed", reason="DeadlineExceeded", message="Pod was active too long "))
    assert (seen.reason, seen.message) == ("DeadlineExceeded", "Pod was active too long")


# ── whether it is going ──


def test_pod_is_terminating_when_it_has_a_deletion_timestamp() -> None:
    assert not observe_pod(pod()).is_terminating
    seen = observe_pod(deleted(pod()))
    assert seen.is_terminating
    assert seen.deletion_due is None, "that is by the API server's clock"


@pytest.mark.parametrize(
    ("conditions", "is_disrupted"),
    [
        ([], False),
        ([condition("DisruptionTarget")], True),
        ([condition("DisruptionTarget", "False")], False),
        ([condition("Ready")], False),
    ],
)
def test_disruption_is_seen_when_its_condition_is_true(conditions: list[Raw], is_disrupted: bool) -> None:
    assert observe_pod(pod(conditions=conditions)).is_disrupted is is_disrupted


def test_identity_is_kept_for_preconditions() -> None:
    seen = observe_pod(pod(version=77))
    assert (seen.name, seen.uid, seen.resource_version, seen.node) == ("report-1-x", "pod-1", "77", "node-1")


# ── why it doesn't start ──


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        pytest.param(pod(**statuses(CREATING)), None, id="it is being created"),
        pytest.param(pod(**statuses(INITIALIZING)), None, id="it is being initialized"),
        pytest.param(pod(**statuses(running())), None, id="it runs"),
        pytest.param(
            pod(**statuses(waiting("ErrImagePull", "not found"))),
            ReasonMessage("ImagePullBackOff", "container main: image busybox:1.37 can't be pulled"),
            id="its image can't be pulled",
        ),
        pytest.param(
            pod(**statuses(waiting("ImagePullBackOff", "Back-off pulling image"))),
            ReasonMessage("ImagePullBackOff", "container main: image busybox:1.37 can't be pulled"),
            id="the kubelet waits before it pulls again: the same fact",
        ),
        pytest.param(
            pod(**statuses(waiting("CreateContainerConfigError", 'secret "x" not found'))),
            ReasonMessage("CreateContainerConfigError", 'container main: secret "x" not found'),
            id="a secret is missing",
        ),
        pytest.param(
            pod(**statuses(waiting("CreateContainerError"))),
            ReasonMessage("CreateContainerError", "container main: CreateContainerError"),
            id="the runtime can't make it, and doesn't say why",
        ),
        pytest.param(
            pod(
                spec=UNBOUND,
                conditions=[condition("PodScheduled", "False", reason="Unschedulable", message="no nodes available")],
            ),
            ReasonMessage("Unschedulable", "no nodes available"),
            id="no node takes it",
        ),
        pytest.param(
            pod(spec=UNBOUND, conditions=[condition("PodScheduled", "False")]),
            ReasonMessage("Unschedulable", "no node takes the pod"),
            id="no node takes it, and the scheduler doesn't say why",
        ),
        pytest.param(
            pod(conditions=[condition("PodScheduled", "False", reason="Unschedulable")]),
            None,
            id="it was bound since",
        ),
        pytest.param(pod(**statuses(container())), None, id="nothing is told of its container"),
    ],
)
def test_reason_why_a_pod_waits_is_told_when(raw: Raw, why: ReasonMessage | None) -> None:
    assert observe_pod(raw).waiting == why


INSUFFICIENT = (
    "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {gpu: 8}. "
    "preemption: 0/3 nodes are available: 1 No preemption victims found for incoming pod, "
    "2 Preemption is not helpful for scheduling."
)


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (INSUFFICIENT, "no node takes the pod: Insufficient cpu, node(s) had untolerated taint {gpu: 8}"),
        (
            "0/14 nodes are available: 12 node(s) had untolerated taint {gpu: 8}, 2 Insufficient cpu. no new claims to "
            "deallocate, preemption: 0/14 nodes are available: 14 Preemption is not helpful for scheduling.",
            "no node takes the pod: Insufficient cpu, node(s) had untolerated taint {gpu: 8}",
        ),
        (
            "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector.",
            "no node takes the pod: node(s) didn't match Pod's node affinity/selector",
        ),
        (
            '0/3 nodes are available: persistentvolumeclaim "data-0" not found. preemption: not eligible',
            'no node takes the pod: persistentvolumeclaim "data-0" not found',
        ),
        ("pod group is not ready, 3 Pending, 10 minAvailable", "pod group is not ready, … Pending, … minAvailable"),
        ("", "no node takes the pod"),
    ],
)
def test_cause_is_told_without_the_figures_when_no_node_takes_the_pod(message: str, told: str) -> None:
    """The figures change with each look of the scheduler; the first wording was kept once its cause was mended."""
    told_by = condition("PodScheduled", "False", reason="Unschedulable", message=message)
    assert observe_pod(pod(spec=UNBOUND, conditions=[told_by])).waiting == ReasonMessage("Unschedulable", told)


# ── Jobs ──


@pytest.mark.parametrize(
    ("document", "facts"),
    [
        pytest.param({}, {}, id="it is new"),
        pytest.param({"status": {"active": 1}}, {}, id="it runs"),
        pytest.param({"spec": {"suspend": False}}, {}, id="it isn't suspended"),
        pytest.param({"spec": {"suspend": True}}, {"is_suspended": True}, id="it is suspended, not in force"),
        pytest.param(
            {"spec": {"suspend": True}, "status": {"active": 1, "conditions": [condition("Suspended")]}},
            {"is_suspended": True},
            id="it is suspended, a pod is active still",
        ),
        pytest.param(
            {"spec": {"suspend": True}, "status": {"conditions": [condition("Suspended")]}},
            {"is_suspended": True, "is_suspension_in_force": True},
            id="it is suspended, in force",
        ),
        pytest.param({"status": {"conditions": [condition("Suspended", "False")]}}, {}, id="it was suspended once"),
        pytest.param({"status": {"conditions": [condition("Complete")]}}, {"is_complete": True}, id="it is complete"),
        pytest.param(
            {"status": {"conditions": [condition("SuccessCriteriaMet")]}}, {}, id="it is about to be complete"
        ),
        pytest.param(
            {"status": {"conditions": [condition("Failed", reason="PodFailurePolicy", message="x")]}},
            {"failure": ReasonMessage("PodFailurePolicy", "x")},
            id="it failed by its pod failure policy",
        ),
        pytest.param(
            {"status": {"conditions": [condition("FailureTarget", reason="PodFailurePolicy")]}},
            {},
            id="it is about to fail: a pod may run still",
        ),
        pytest.param(
            {"status": {"conditions": [condition("Failed")]}},
            {"failure": ReasonMessage("", "")},
            id="it failed, and no more",
        ),
    ],
)
def test_state_of_a_job_is_seen_when(document: Raw, facts: dict[str, object]) -> None:
    plain = observe_job(job())
    seen = observe_job(job(**document))
    fields = ("is_suspended", "is_suspension_in_force", "is_complete", "failure", "is_terminating")
    assert {field: getattr(seen, field) for field in fields} == {
        field: getattr(plain, field) for field in fields
    } | facts


def test_new_job_is_none_of_what_ends_it() -> None:
    seen = observe_job(job())
    assert (seen.has_ended, seen.is_suspended, seen.is_terminating, seen.created_at) == (False, False, False, NOON)
    assert observe_job(deleted(job())).is_terminating


# ── which run, and whose ──


@pytest.mark.parametrize(
    ("found", "key"),
    [
        pytest.param(labels(run=3), RunKey("team", UID, "main", 3), id="ours"),
        pytest.param(None, None, id="no labels"),
        pytest.param({"app": "x"}, None, id="others' labels"),
        pytest.param({"mageflow.io/uid": UID}, None, id="only one of ours"),
        pytest.param(labels(run="three"), None, id="a run that is no number"),
    ],
)
def test_run_is_told_by_the_labels(found: dict[str, str] | None, key: RunKey | None) -> None:
    raw = job()
    raw["metadata"]["labels"] = found
    assert run_key(raw) == key


def test_owner_is_the_controller_among_the_references() -> None:
    assert is_controlled_by(job(), UID)
    assert not is_controlled_by(job(owner="another"), UID)
    assert not is_controlled_by({"metadata": {}}, UID)
    assert not is_controlled_by({"metadata": {"ownerReferences": [{"uid": UID}]}}, UID)


# ── resources ──


def test_resource_is_read_as_it_is() -> None:
    seen = observe_resource(WORKFLOW, resource(generation=4, status={"phase": "Active"}))

    assert (seen.kind, seen.namespace, seen.name, seen.uid) == (WORKFLOW, "team", "report", UID)
    assert (seen.generation, seen.resource_version, seen.is_terminating) == (4, "100", False)
    assert isinstance(seen.spec, WorkflowSpec)
    assert (seen.problem, seen.status.phase) == (None, "Active")
    assert observe_resource(WORKFLOW, deleted(resource())).is_terminating


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ({"template": {}, "retries": -1}, "spec.retries: "),
        ({"template": {}, "lifecycle": "paused"}, "spec.lifecycle: "),
        ({"template": {}, "replicas": 3}, "spec.replicas: "),
        ({}, "spec.template: "),
        (None, "spec.template: "),
    ],
)
def test_field_is_named_when_the_spec_is_unreadable(spec: Raw | None, named: str) -> None:
    seen = observe_resource(WORKFLOW, resource(spec=spec))
    assert seen.spec is None
    assert seen.problem is not None
    assert seen.problem.startswith(named)


@pytest.mark.parametrize("status", [None, {}, {"conditions": "none"}, {"done": -1, "progress": []}])
def test_status_is_empty_when_it_is_missing_or_is_made_anew_anyway(status: object) -> None:
    assert observe_resource(WORKFLOW, resource(status=status)).status == Status()


@pytest.mark.parametrize(
    ("spec", "lifecycle"),
    [
        pytest.param({"lifecycle": "interrupted"}, "interrupted", id="its template is missing"),
        pytest.param({"lifecycle": "canceled", "onSuccess": {}, "template": {}}, "canceled", id="a newer field"),
        pytest.param({"lifecycle": "paused", "template": {}}, "suspended", id="a word that isn't known holds"),
        pytest.param({"lifecycle": ["interrupted"], "template": {}}, "suspended", id="no word at all holds"),
        pytest.param({"lifecycle": None, "retries": -1}, "active", id="null is as if it were left out"),
        pytest.param({"retries": -1}, "active", id="left out"),
        pytest.param(None, "active", id="no spec"),
    ],
)
def test_lifecycle_is_read_by_itself_when_the_spec_is_unreadable(spec: Raw | None, lifecycle: str) -> None:
    """It was taken for active: who used a newer version's field had no emergency stop."""
    seen = observe_resource(WORKFLOW, resource(spec=spec))
    assert (seen.spec, seen.lifecycle) == (None, lifecycle)


def test_much_that_is_wrong_is_told_in_part_when_the_spec_is_unreadable() -> None:
    problem = observe_resource(WORKFLOW, resource(spec={f"field{number}": 1 for number in range(1000)})).problem
    assert problem is not None
    assert len(problem) < 1000


# ── a status of a newer version, or that somebody has edited ──


def test_nothing_of_a_newer_versions_status_is_lost_when_it_is_written_back() -> None:
    """An unknown word made the whole ledger empty: what had failed for good ran again."""
    task = {"name": "main", "phase": "Sleeping", "run": 3, "failures": 3, "checkpoint": {"at": None}, "callback": "x"}
    stored: Raw = {
        "phase": "ReasonMessage",
        "lifecycle": "paused",
        "lifecycleSource": "parent",
        "outcome": "Failed",
        "holders": [{"source": "parent", "until": None}],
        "startedAt": "2026-11-24T12:00:00Z",
        "tasks": [task],
    }
    seen = observe_resource(WORKFLOW, resource(status=stored)).status
    assert (seen.problem, seen.phase, seen.tasks[0].failures) == (None, "ReasonMessage", 3)
    written = seen.to_json()
    assert written["tasks"] == [task]
    assert {name: written[name] for name in stored} == stored


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("tasks", [{"name": "main", "run": -1}], "status.tasks.0.run: "),
        ("tasks", "none", "status.tasks: "),
        ("tasks", [{"run": 1}], "status.tasks.0.name: "),
        ("phase", 5, "status.phase"),
        ("startedAt", "yesterday", "status.startedAt: "),
        ("interruptions", "many", "status.interruptions: "),
    ],
)
def test_unreadable_part_is_named_and_kept_when_the_status_was_edited(field: str, value: object, named: str) -> None:
    stored = {"phase": "Active", "finishedAt": "2026-11-24T12:00:00Z", field: value}
    seen = observe_resource(WORKFLOW, resource(status=stored)).status
    assert (seen.problem or "").startswith(named)
    assert not seen.can_read(field)
    assert seen.finished_at is not None
    assert {name: seen.to_json()[name] for name in stored} == stored


def test_spec_is_read_once_when_only_the_status_changes() -> None:
    known = observe_resource(WORKFLOW, resource(generation=2))
    again = observe_resource(WORKFLOW, resource(version=101, generation=2, status={"phase": "Active"}), known)
    assert again.spec is known.spec
    assert again.status.phase == "Active"
    edited = observe_resource(WORKFLOW, resource(generation=3, spec={"template": {}, "retries": 1}), known)
    assert isinstance(edited.spec, WorkflowSpec)
    assert edited.spec.retries == 1


@pytest.mark.parametrize(
    ("facts", "is_deadly"),
    [
        ({}, False),
        ({"readinessProbe": {}}, False),
        ({"livenessProbe": {"exec": {}}}, True),
        ({"startupProbe": {"exec": {}}}, True),
        ({"lifecycle": {"preStop": {"exec": {}}}}, False),
        ({"lifecycle": {"postStart": {"exec": {}}}}, True),
    ],
)
def test_probe_is_deadly_when(facts: Raw, *, is_deadly: bool) -> None:
    containers = [{"name": "main", **facts}, {"name": "other", "livenessProbe": {"exec": {}}}]
    assert observe_pod(pod(spec={"containers": containers})).has_deadly_probe is is_deadly
