"""The CRDs on a real API server: what `kubectl` shows, what it refuses and how, and rules at the largest objects."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from devkit.cluster import ROOT
from devkit.kubectl import Kubectl, KubectlError
from generate import podtemplate
from localcluster.controlplane import ControlPlane

from .control import Api, Raw, RequestError
from .process import Operator

NAMESPACE = "crds"
WORKFLOWS = f"/apis/mageflow.io/v1/namespaces/{NAMESPACE}/workflows"
MANIFESTS = ROOT / "tests" / "manifests"
EXPECT = "# expect: "

LARGEST = 1_480_000
"""Bytes of the largest object, about what etcd takes: its limit is 1.5 MiB for a whole request."""


@pytest.fixture(scope="module", autouse=True)
def no_operator(shared_operator: Operator) -> None:
    """No operator runs: the tests here write the status."""
    shared_operator.kill()


@pytest.fixture(scope="module")
def kubectl(control_plane: ControlPlane) -> Iterator[Kubectl]:
    kubectl = Kubectl(control_plane.kubectl, control_plane.kubeconfig, NAMESPACE)
    kubectl.run("create", "namespace", NAMESPACE)
    yield kubectl
    kubectl.run("delete", "workflows", "--all")


@pytest_asyncio.fixture
async def workflow(api: Api, kubectl: Kubectl) -> AsyncIterator[str]:
    """Return the path of a Workflow."""
    await api.create(WORKFLOWS, build_workflow("one"))
    yield f"{WORKFLOWS}/one"
    await api.delete(f"{WORKFLOWS}/one")


def build_workflow(name: str, *, pod: Raw | None = None, metadata: Raw | None = None, **spec: Any) -> Raw:
    containers = [{"name": "main", "image": "busybox:1.36"}]
    return {
        "apiVersion": "mageflow.io/v1",
        "kind": "Workflow",
        "metadata": {"name": name},
        "spec": {"template": {"metadata": metadata or {}, "spec": {"containers": containers, **(pod or {})}}, **spec},
    }


def manifests(folder: str) -> list[Any]:
    return [pytest.param(path, id=path.stem) for path in sorted((MANIFESTS / folder).glob("*.yaml"))]


def documents(manifest: Path) -> list[str]:
    return [json.dumps(document) for document in yaml.safe_load_all(manifest.read_text())]


# ── manifests ──


@pytest.mark.parametrize("manifest", manifests("wrong"))
def test_apply_is_refused_with_the_field_named_when_a_manifest_is_wrong(kubectl: Kubectl, manifest: Path) -> None:
    expected = [line.removeprefix(EXPECT) for line in manifest.read_text().splitlines() if line.startswith(EXPECT)]
    assert expected, f"{manifest.name} has no line that starts with {EXPECT!r}"
    *accepted, wrong = documents(manifest)
    for document in accepted:
        kubectl.run("apply", "--filename=-", stdin=document)
    with pytest.raises(KubectlError) as refused:
        kubectl.run("apply", "--filename=-", stdin=wrong)
    for part in expected:
        assert part in str(refused.value)


@pytest.mark.parametrize("manifest", manifests("valid"))
def test_apply_succeeds_when_a_manifest_is_right(kubectl: Kubectl, manifest: Path) -> None:
    for document in documents(manifest):
        kubectl.run("apply", "--filename=-", stdin=document)


@pytest.mark.parametrize("manifest", manifests("valid"))
def test_server_side_apply_succeeds_when_a_manifest_is_right(kubectl: Kubectl, manifest: Path) -> None:
    document = documents(manifest)[0].replace(f'"name": "{manifest.stem}"', f'"name": "{manifest.stem}-ssa"')
    for _ in range(2):
        kubectl.run("apply", "--server-side", "--filename=-", stdin=document)


def test_wrong_manifests_are_at_least_ten() -> None:
    assert len(manifests("wrong")) >= 10


async def test_input_is_kept_as_it_is_when_it_holds_nulls_and_fractions(api: Api, kubectl: Kubectl) -> None:
    given: Raw = {"nothing": None, "half": 0.5, "list": [1, "a", None, {}]}
    await api.create(WORKFLOWS, build_workflow("kept", input=given))
    kept = await api.get(f"{WORKFLOWS}/kept")
    assert kept["spec"]["input"] == given


# ── what kubectl shows ──


def test_explain_tells_each_lifecycle_when_asked_for_the_field(kubectl: Kubectl) -> None:
    text = " ".join(kubectl.run("explain", "workflow.spec.lifecycle").split())
    for word in ("active:", "suspended: Nothing new starts", "interrupted: Running pods are deleted", "canceled:"):
        assert word in text


def test_explain_tells_what_a_field_of_the_status_means_when_asked(kubectl: Kubectl) -> None:
    assert "ledger" in kubectl.run("explain", "mwf.status.tasks")


async def test_columns_come_from_the_status_when_listed(api: Api, kubectl: Kubectl, workflow: str) -> None:
    ready = {"type": "Ready", "status": "True", "observedGeneration": 1, "reason": "Running"}
    ready["lastTransitionTime"] = "2026-11-24T12:00:00Z"
    status = {"phase": "Active", "progress": "0/1", "running": 1, "conditions": [ready]}
    await api.patch(f"{workflow}/status", {"status": status})
    header, row = kubectl.run("get", "mwf", "one").splitlines()
    assert header.split() == ["NAME", "PHASE", "DONE", "RUNNING", "AGE"]
    assert row.split()[:-1] == ["one", "Active", "0/1", "1"]
    header, row = kubectl.run("get", "mwf", "one", "--output=wide").splitlines()
    assert header.split() == ["NAME", "PHASE", "DONE", "RUNNING", "REASON", "AGE"]
    assert row.split()[:-1] == ["one", "Active", "0/1", "1", "Running"]


def test_category_lists_workflows_when_asked_for_mageflow(kubectl: Kubectl, workflow: str) -> None:
    assert "workflow.mageflow.io/one" in kubectl.run("get", "mageflow", "--output=name")


async def test_field_selectors_find_it_when_lifecycle_and_phase_match(
    api: Api, kubectl: Kubectl, workflow: str
) -> None:
    await api.patch(f"{workflow}/status", {"status": {"phase": "Suspending"}})
    await api.patch(workflow, {"spec": {"lifecycle": "suspended"}})
    for selector, is_found in (
        ("spec.lifecycle=suspended,status.phase=Suspending", True),
        ("spec.lifecycle=active", False),
        ("status.phase=Suspended", False),
    ):
        found = kubectl.run("get", "workflows", f"--field-selector={selector}", "--output=name").split()
        assert ("workflow.mageflow.io/one" in found) is is_found, selector


async def test_pod_template_is_the_api_servers_when_it_is_of_the_same_version(api: Api) -> None:
    served = await api.get("/openapi/v3/api/v1")
    taken = json.loads(podtemplate.PATH.read_text())
    if served["info"]["version"] != taken["kubernetes"]:
        pytest.skip(f"taken from Kubernetes {taken['kubernetes']}, this is {served['info']['version']}")
    assert podtemplate.convert(served) == taken["schema"]


# ── when a task may be edited ──

PHASES = (
    None,
    "Pending",
    "Active",
    "Suspending",
    "Suspended",
    "Interrupting",
    "Interrupted",
    "Succeeded",
    "Failed",
    "Canceled",
)
HELD: set[str | None] = {"Suspended", "Interrupted"}
MAY_EDIT: dict[str, set[str | None]] = {
    "active": HELD,
    "suspended": HELD | {None, "Pending", "Suspending", "Interrupting"},
    "interrupted": HELD | {None, "Pending", "Active", "Suspending", "Interrupting"},
    "canceled": HELD,
}
"""By the lifecycle that is written with the edit: the phases in which the edit is accepted."""

EDITS: dict[str, Raw] = {
    "template": {"template": {"spec": {"hostNetwork": True}}},
    "retries": {"retries": 5},
    "timeoutSeconds": {"timeoutSeconds": 5},
    "input": {"input": [5]},
}


@pytest.mark.parametrize("lifecycle", MAY_EDIT)
@pytest.mark.parametrize("phase", PHASES)
async def test_edit_is_accepted_only_when_held_or_holding(
    api: Api, workflow: str, phase: str | None, lifecycle: str
) -> None:
    if phase is not None:
        await api.patch(f"{workflow}/status", {"status": {"phase": phase}})
    edit = api.patch(workflow, {"spec": {"lifecycle": lifecycle, **EDITS["template"]}})
    if phase in MAY_EDIT[lifecycle]:
        await edit
        return
    with pytest.raises(RequestError) as refused:
        await edit
    said = "it has ended" if phase in ("Succeeded", "Failed", "Canceled") else "hold it first"
    assert f"{said}: template may" in str(refused.value)


@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("lifecycle", ["suspended", "interrupted", "canceled"])
async def test_lifecycle_may_change_when_the_task_stays(
    api: Api, workflow: str, phase: str | None, lifecycle: str
) -> None:
    if phase is not None:
        await api.patch(f"{workflow}/status", {"status": {"phase": phase}})
    await api.patch(workflow, {"spec": {"lifecycle": lifecycle}})


@pytest.mark.parametrize("field", EDITS)
async def test_edit_is_refused_with_the_field_named_when_it_runs(api: Api, workflow: str, field: str) -> None:
    await api.patch(f"{workflow}/status", {"status": {"phase": "Active"}})
    with pytest.raises(RequestError, match=f"hold it first: {field} may change only while"):
        await api.patch(workflow, {"spec": EDITS[field]})


async def test_edit_is_refused_when_a_status_is_written_along(api: Api, workflow: str) -> None:
    """The rule lets status writes pass by comparing statuses; a write of the spec can't pretend to be one."""
    seen = await api.get(workflow)
    seen["spec"]["retries"] = 5
    seen["status"] = {"phase": "Suspended"}
    with pytest.raises(RequestError, match="hold it first: retries"):
        await api.replace(workflow, seen)


@pytest.mark.parametrize("lifecycle", ["active", "suspended", "interrupted"])
async def test_canceled_is_final_when_set_back(api: Api, workflow: str, lifecycle: str) -> None:
    await api.patch(workflow, {"spec": {"lifecycle": "canceled"}})
    with pytest.raises(RequestError, match="canceled is final"):
        await api.patch(workflow, {"spec": {"lifecycle": lifecycle}})


# ── the largest objects ──


def every_list_full(count: int) -> Raw:
    names = [f"n{number}" for number in range(count)]
    container = {
        "image": "i",
        "env": [{"name": name} for name in names],
        "args": names,
        "ports": [{"containerPort": number} for number in range(1, 1 + min(count, 1000))],
        "envFrom": [{}] * count,
        "volumeMounts": [{"name": name, "mountPath": name} for name in names],
    }
    return build_workflow(
        "largest",
        input=names,
        metadata={
            "labels": dict.fromkeys(names[:1000], "v"),
            "annotations": dict.fromkeys(names[:1000], "v"),
            "finalizers": names[:64],
        },
        pod={
            "containers": [
                {**container, "name": "main"},
                *({"name": name, "image": "i"} for name in names[:255]),
            ],
            "initContainers": [{"name": name, "image": "i"} for name in names[:256]],
            "volumes": [{"name": name} for name in names[:1024]],
            "tolerations": [{}] * count,
            "nodeSelector": dict.fromkeys(names, "v"),
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": name, "whenUnsatisfiable": "DoNotSchedule"} for name in names
            ],
        },
    )


def full_status(count: int) -> Raw:
    condition = {
        "status": "True",
        "observedGeneration": 1,
        "reason": "R",
        "lastTransitionTime": "2026-11-24T12:00:00Z",
    }
    return build_workflow("largest") | {
        "status": {
            "tasks": [{"name": f"n{number}", "phase": "Running", "run": 1} for number in range(count)],
            "conditions": [{"type": f"n{number}", **condition} for number in range(count)],
            "output": [None] * count,
        }
    }


LARGE: dict[str, Callable[[int], Raw]] = {
    "every list of the spec": every_list_full,
    "every list of the status": full_status,
    "labels and annotations": lambda count: build_workflow(
        "largest",
        metadata={
            key: {f"mageflow.i{number}{'x' * (count // 1000)}": "v" for number in range(1000)}
            for key in ("labels", "annotations")
        },
    ),
    "one input": lambda count: build_workflow("largest", input=["x"] * count),
}


def size_of(document: Raw) -> int:
    return len(json.dumps(document, separators=(",", ":")))


def largest(make: Callable[[int], Raw]) -> Raw:
    """Return about the largest document that `make` makes within the limit."""
    count = 1000
    for _ in range(5):
        count = int(count * 0.998 * LARGEST / size_of(make(count)))
    return make(count)


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
@pytest.mark.parametrize("shape", LARGE)
async def test_rules_stay_within_their_budget_when_the_object_is_the_largest(
    api: Api, kubectl: Kubectl, shape: str
) -> None:
    document = largest(LARGE[shape])
    assert 0.99 * LARGEST < size_of(document) < LARGEST
    path = f"{WORKFLOWS}/largest"
    await api.create(WORKFLOWS, document)
    try:
        await api.patch(f"{path}/status", {"status": {**document.get("status", {}), "phase": "Active"}})
        await api.patch(f"{path}/status", {"status": {"done": 1}})
        for field in ("template", "input"):
            with pytest.raises(RequestError, match=f"hold it first: {field} may change only"):
                await api.patch(path, {"spec": EDITS[field]})
        await api.patch(path, {"spec": {"lifecycle": "suspended"}})
        await api.patch(f"{path}/status", {"status": {"phase": "Suspended"}})
        await api.patch(path, {"spec": {"lifecycle": "canceled", **EDITS["template"]}})
        with pytest.raises(RequestError, match="canceled is final"):
            await api.patch(path, {"spec": {"lifecycle": "active"}})
    finally:
        await api.delete(path)
