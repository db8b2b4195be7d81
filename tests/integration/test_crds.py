"""The CRDs on a real API server: what `kubectl` shows, what it refuses and how, and rules at the largest objects."""

from __future__ import annotations

import itertools
import json
from bisect import bisect
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import yaml

from devkit.cluster import ROOT
from devkit.kubectl import Kubectl, KubectlError
from generate import podtemplate
from generate.tasktemplate import MAX_FINALIZERS, MAX_ITEMS, MAX_KEYS
from localcluster.controlplane import ControlPlane
from mageflow.api import CHAIN, KINDS, SWARM, WORKFLOW, Kind
from mageflow.api.specs import MAX_CHAIN_TASKS, MAX_SWARM_TASKS

from .control import Api, Raw, RequestError
from .process import Operator

NAMESPACE = "crds"
PATHS = {kind: f"/apis/mageflow.io/v1/namespaces/{NAMESPACE}/{kind.plural}" for kind in KINDS}
WORKFLOWS = PATHS[WORKFLOW]
EXAMPLES = ROOT / "examples"
MANIFESTS = ROOT / "tests" / "manifests"
EXPECT = "# expect: "

LARGEST = 1_480_000
"""Bytes of the largest object, about what etcd takes: its limit is 1.5 MiB for a whole request."""

ROOM_FOR_STATUS = 200_000
"""Bytes that a Swarm of 1,000 tasks leaves, so that its status can be written."""


@pytest.fixture(scope="module", autouse=True)
def no_operator(shared_operator: Operator) -> None:
    """No operator runs: the tests here write the status."""
    shared_operator.kill()


@pytest.fixture(scope="module")
def kubectl(control_plane: ControlPlane) -> Iterator[Kubectl]:
    kubectl = Kubectl(control_plane.kubectl, control_plane.kubeconfig, NAMESPACE)
    kubectl.run("create", "namespace", NAMESPACE)
    yield kubectl
    for path in PATHS.values():
        kubectl.run("delete", f"--raw={path}")


@pytest_asyncio.fixture
async def workflow(api: Api, kubectl: Kubectl) -> AsyncIterator[str]:
    """Return the path of a Workflow."""
    await api.create(WORKFLOWS, build_workflow("one"))
    yield f"{WORKFLOWS}/one"
    await api.delete(f"{WORKFLOWS}/one")


@pytest_asyncio.fixture(params=[CHAIN, SWARM], ids=lambda kind: kind.name)
async def many(request: pytest.FixtureRequest, api: Api, kubectl: Kubectl) -> AsyncIterator[str]:
    """Return the path of a Chain, then of a Swarm, of two tasks."""
    kind: Kind = request.param
    await api.create(PATHS[kind], build_many(kind, "two", tasks=[build_task("a"), build_task("b")]))
    yield f"{PATHS[kind]}/two"
    await api.delete(f"{PATHS[kind]}/two")


def build_many(kind: Kind, name: str, **spec: Any) -> Raw:
    return {"apiVersion": "mageflow.io/v1", "kind": kind.name, "metadata": {"name": name}, "spec": spec}


def build_task(name: str, **fields: Any) -> Raw:
    return {"name": name, "template": build_workflow("")["spec"]["template"], **fields}


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


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_crd_is_as_it_was_written_when_it_is_installed(api: Api, kind: Kind) -> None:
    """What the API server drops, such as a default, Helm 4 takes for somebody else's, and Argo CD for a difference."""
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{kind.plural}.mageflow.io"
    live = await api.get(path)
    written = yaml.safe_load((ROOT / "crds" / f"mageflow.io_{kind.plural}.yaml").read_text())
    assert live["spec"]["versions"] == written["spec"]["versions"]


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


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_wrong_manifests_are_at_least_ten(kind: Kind) -> None:
    kinds = [yaml.safe_load_all(path.read_text()) for path in (MANIFESTS / "wrong").glob("*.yaml")]
    assert sum(next(documents)["kind"] == kind.name for documents in kinds) >= 10


def test_examples_are_accepted_when_applied_on_the_server(kubectl: Kubectl) -> None:
    applied = kubectl.run("apply", "--server-side", "--dry-run=server", f"--filename={EXAMPLES}").splitlines()
    assert {line.partition(".")[0] for line in applied} == {kind.singular for kind in KINDS}
    assert len(applied) >= len(list(EXAMPLES.glob("*.yaml")))


@pytest.mark.parametrize(
    ("kind", "limit"), [(CHAIN, MAX_CHAIN_TASKS), (SWARM, MAX_SWARM_TASKS)], ids=["Chain", "Swarm"]
)
async def test_tasks_are_refused_when_they_are_too_many(api: Api, kubectl: Kubectl, kind: Kind, limit: int) -> None:
    tasks = [build_task(f"n{number}") for number in range(limit + 1)]
    with pytest.raises(RequestError, match=f"spec.tasks: Too many: {limit + 1}: must have at most {limit} items"):
        await api.create(PATHS[kind], build_many(kind, "many", tasks=tasks))
    await api.create(PATHS[kind], build_many(kind, "many", tasks=tasks[:limit]))


async def test_swarm_gets_its_defaults_when_it_leaves_them_out(api: Api, kubectl: Kubectl) -> None:
    spec = (await api.create(PATHS[SWARM], build_many(SWARM, "defaults", tasks=[])))["spec"]
    assert spec == {"lifecycle": "active", "maxConcurrency": 30, "tasks": []}


@pytest.mark.parametrize("kind", [CHAIN, SWARM], ids=lambda kind: kind.name)
def test_tasks_keep_their_order_when_one_is_edited_by_server_side_apply(kubectl: Kubectl, kind: Kind) -> None:
    """Tasks are merged by name: who sends one of them owns that one, and leaves the others where they are."""
    tasks = [build_task(name) for name in ("c", "a", "b")]
    document = build_many(kind, "ordered", lifecycle="suspended", tasks=tasks)
    kubectl.run("apply", "--server-side", "--filename=-", stdin=json.dumps(document))
    document["spec"] = {"lifecycle": "suspended", "tasks": [build_task("a", retries=4)]}
    apply = ("apply", "--server-side", "--field-manager=other", "--force-conflicts", "--filename=-")
    kubectl.run(*apply, stdin=json.dumps(document))
    seen = json.loads(kubectl.run("get", kind.singular, "ordered", "--output=json"))["spec"]["tasks"]
    assert [(task["name"], task["retries"]) for task in seen] == [("c", 0), ("a", 4), ("b", 0)]


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


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("chain", "A Chain is tasks in sequence"),
        ("mch.spec.tasks", "in the order in which they run"),
        ("mch.spec.tasks.name", "Not `main`, `on-success` or `on-failure`"),
        ("chains.spec.tasks.timeoutSeconds", "Time allowed for each run"),
        ("chain.spec.tasks.template.spec.containers.image", "FIELD: image <string>"),
        ("swarm", "at most maxConcurrency at once"),
        ("msw.spec.maxConcurrency", "How many tasks may have a pod at once"),
        ("swarms.spec.template", "each task that has no template of its own"),
        ("swarm.spec.tasks.template", "left out: `spec.template`"),
        ("msw.status.tasks.run", "Each run is one Job with one pod"),
    ],
)
def test_explain_tells_of_chains_and_swarms_when_asked(kubectl: Kubectl, path: str, words: str) -> None:
    assert words in " ".join(kubectl.run("explain", path).split())


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_columns_come_from_the_status_when_listed(api: Api, kubectl: Kubectl, kind: Kind) -> None:
    spec = build_workflow("")["spec"] if kind is WORKFLOW else {"tasks": [build_task("a"), build_task("b")]}
    await api.create(PATHS[kind], build_many(kind, "shown", **spec))
    ready = {"type": "Ready", "status": "True", "observedGeneration": 1, "reason": "Running"}
    ready["lastTransitionTime"] = "2026-11-24T12:00:00Z"
    status = {"phase": "Active", "progress": "1/2", "running": 1, "conditions": [ready]}
    await api.patch(f"{PATHS[kind]}/shown/status", {"status": status})
    header, row = kubectl.run("get", kind.short_name, "shown").splitlines()
    assert header.split() == ["NAME", "PHASE", "DONE", "RUNNING", "AGE"]
    assert row.split()[:-1] == ["shown", "Active", "1/2", "1"]
    header, row = kubectl.run("get", kind.short_name, "shown", "--output=wide").splitlines()
    assert header.split() == ["NAME", "PHASE", "DONE", "RUNNING", "REASON", "AGE"]
    assert row.split()[:-1] == ["shown", "Active", "1/2", "1", "Running"]


async def test_category_lists_all_kinds_when_asked_for_mageflow(api: Api, kubectl: Kubectl, workflow: str) -> None:
    for kind in (CHAIN, SWARM):
        await api.create(PATHS[kind], build_many(kind, "listed", tasks=[build_task("a")]))
    listed = kubectl.run("get", "mageflow", "--output=name").split()
    assert {"workflow.mageflow.io/one", "chain.mageflow.io/listed", "swarm.mageflow.io/listed"} <= set(listed)


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


async def test_field_selectors_find_chains_and_swarms_when_lifecycle_and_phase_match(
    api: Api, kubectl: Kubectl, many: str
) -> None:
    await api.patch(f"{many}/status", {"status": {"phase": "Suspending"}})
    await api.patch(many, {"spec": {"lifecycle": "suspended"}})
    plural = many.split("/")[-2]
    selector = "--field-selector=spec.lifecycle=suspended,status.phase=Suspending"
    assert kubectl.run("get", plural, selector, "--output=name").endswith("/two\n")
    assert not kubectl.run("get", plural, "--field-selector=status.phase=Suspended", "--output=name")


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

MAY_EDIT_TASKS = MAY_EDIT | {"suspended": MAY_EDIT["interrupted"]}
"""In a Chain or a Swarm: a suspend holds the tasks that have not started."""

EDITS: dict[str, Raw] = {
    "template": {"template": {"spec": {"hostNetwork": True}}},
    "retries": {"retries": 5},
    "timeoutSeconds": {"timeoutSeconds": 5},
    "input": {"input": [5]},
}


@pytest.mark.parametrize("lifecycle", MAY_EDIT)
@pytest.mark.parametrize("phase", PHASES)
async def test_edit_of_a_workflow_is_accepted_only_when_held_or_holding(
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


@pytest.mark.parametrize("lifecycle", MAY_EDIT_TASKS)
@pytest.mark.parametrize("phase", PHASES)
async def test_edit_of_tasks_is_accepted_only_when_held_or_holding(
    api: Api, many: str, phase: str | None, lifecycle: str
) -> None:
    if phase is not None:
        await api.patch(f"{many}/status", {"status": {"phase": phase}})
    edit = api.patch(many, {"spec": {"lifecycle": lifecycle, "tasks": [build_task("b", input=None), build_task("a")]}})
    if phase in MAY_EDIT_TASKS[lifecycle]:
        await edit
        return
    with pytest.raises(RequestError) as refused:
        await edit
    said = "it has ended" if phase in ("Succeeded", "Failed", "Canceled") else "hold it first"
    assert f"{said}: tasks may" in str(refused.value)


@pytest.mark.parametrize("phase", PHASES)
async def test_concurrency_may_change_in_any_phase_when_the_tasks_stay(
    api: Api, kubectl: Kubectl, phase: str | None
) -> None:
    path = f"{PATHS[SWARM]}/paced"
    await api.create(PATHS[SWARM], build_many(SWARM, "paced", tasks=[build_task("a", input=None)]))
    try:
        if phase is not None:
            await api.patch(f"{path}/status", {"status": {"phase": phase}})
        await api.patch(path, {"spec": {"maxConcurrency": 7}})
    finally:
        await api.delete(path)


@pytest.mark.parametrize("phase", ["Pending", "Active", "Succeeded"])
async def test_labels_and_lifecycle_may_change_when_the_tasks_hold_nulls(api: Api, many: str, phase: str) -> None:
    """`creationTimestamp: null`, as kubectl prints it, and `input: null` are the same before and after."""
    template = build_task("a")["template"] | {"metadata": {"creationTimestamp": None}}
    seen = await api.get(many)
    seen["spec"] = {"lifecycle": "suspended", "tasks": [build_task("a", input=None, template=template)]}
    await api.replace(many, seen)
    await api.patch(f"{many}/status", {"status": {"phase": phase}})
    await api.patch(many, {"metadata": {"labels": {"team": "x"}}})
    await api.patch(many, {"spec": {"lifecycle": "canceled"}})


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


async def test_edit_of_tasks_is_refused_when_a_status_is_written_along(api: Api, many: str) -> None:
    seen = await api.get(many)
    seen["spec"]["tasks"].pop()
    seen["status"] = {"phase": "Suspended"}
    with pytest.raises(RequestError, match="hold it first: tasks"):
        await api.replace(many, seen)


@pytest.mark.parametrize("lifecycle", ["active", "suspended", "interrupted"])
async def test_canceled_is_final_when_set_back(api: Api, workflow: str, lifecycle: str) -> None:
    await api.patch(workflow, {"spec": {"lifecycle": "canceled"}})
    with pytest.raises(RequestError, match="canceled is final"):
        await api.patch(workflow, {"spec": {"lifecycle": lifecycle}})


# ── the largest objects ──


def full_template(count: int) -> Raw:
    """Return a template with every list as full as it may be, up to `count` items."""
    names = [f"n{number}" for number in range(count)]
    container = {
        "image": "i",
        "env": [{"name": name} for name in names],
        "args": names,
        "ports": [{"containerPort": number} for number in range(1, 1 + min(count, 1000))],
        "envFrom": [{}] * count,
        "volumeMounts": [{"name": name, "mountPath": name} for name in names],
    }
    others = [{"name": name, "image": "i"} for name in names]
    return {
        "metadata": {
            "labels": dict.fromkeys(names[:MAX_KEYS], "v"),
            "annotations": dict.fromkeys(names[:MAX_KEYS], "v"),
            "finalizers": names[:MAX_FINALIZERS],
        },
        "spec": {
            "restartPolicy": "Never",
            "containers": [{**container, "name": "main"}, *others[: MAX_ITEMS["containers"] - 1]],
            "initContainers": others[: MAX_ITEMS["initContainers"]],
            "volumes": [{"name": name} for name in names[: MAX_ITEMS["volumes"]]],
            "tolerations": [{}] * count,
            "nodeSelector": dict.fromkeys(names, "v"),
            "topologySpreadConstraints": [
                {"maxSkew": 1, "topologyKey": name, "whenUnsatisfiable": "DoNotSchedule"} for name in names
            ],
        },
    }


def every_list_full(count: int) -> Raw:
    return build_many(
        WORKFLOW, "largest", input=[f"n{number}" for number in range(count)], template=full_template(count)
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
            key: {f"mageflow.i{number}{'x' * (count // MAX_KEYS)}": "v" for number in range(MAX_KEYS)}
            for key in ("labels", "annotations")
        },
    ),
    "one input": lambda count: build_workflow("largest", input=["x"] * count),
}


def long_name(number: int) -> str:
    return f"{number:04d}{'x' * 59}"


LARGE_MANY: dict[str, Callable[[int], Raw]] = {
    "a Chain of 100 with every list": lambda count: build_many(
        CHAIN,
        "largest",
        tasks=[build_task(long_name(number), template=full_template(count)) for number in range(MAX_CHAIN_TASKS)],
    ),
    "a Swarm of 1,000 with every list": lambda count: build_many(
        SWARM,
        "largest",
        template=full_template(count),
        tasks=[build_task(long_name(number), template=full_template(count)) for number in range(MAX_SWARM_TASKS)],
    ),
    "a Swarm of 1,000 with labels and annotations": lambda count: build_many(
        SWARM,
        "largest",
        tasks=[
            build_task(
                f"n{number}",
                template={
                    "metadata": dict.fromkeys(
                        ("labels", "annotations"),
                        dict.fromkeys((f"{key:x}" for key in range(min(count, MAX_KEYS))), ""),
                    ),
                    "spec": full_template(0)["spec"],
                },
            )
            for number in range(MAX_SWARM_TASKS)
        ],
    ),
}


def compact_entries(tasks: list[Raw]) -> list[Raw]:
    """Return `status.tasks` of a Swarm as the operator writes it: 50 run, the others have succeeded."""
    job = {"job": f"{'x' * 52}-0123456789", "templateHash": "0123456789", "startedAt": "2026-11-24T12:00:00Z"}
    running = {"phase": "Running", **job}
    return [
        {"name": task["name"], "run": 1, **(running if number < 50 else {"phase": "Succeeded"})}
        for number, task in enumerate(tasks)
    ]


def full_entries(tasks: list[Raw]) -> list[Raw]:
    """Return `status.tasks` with every field set in each."""
    counts = dict.fromkeys(("run", "holding", "failures", "interruptions", "disruptions", "backoffSeconds"), 2**31 - 1)
    times = dict.fromkeys(("startedAt", "finishedAt", "retryAt"), "2026-11-24T12:00:00Z")
    words = {"job": "x" * 63, "templateHash": "0123456789", "reason": "DeadlineExceeded", "message": "m" * 100}
    rest = {"phase": "BackingOff", "output": {"rows": [None]}, **counts, **times, **words}
    return [{"name": task["name"], **rest} for task in tasks]


def size_of(document: Any) -> int:
    return len(json.dumps(document, separators=(",", ":")))


def largest(make: Callable[[int], Raw], limit: int = LARGEST) -> Raw:
    """Return about the largest document that `make` makes within the limit."""
    count = 1000
    for _ in range(5):
        count = int(count * 0.998 * limit / size_of(make(count)))
    return make(count)


def largest_of_many(make: Callable[[int], Raw]) -> Raw:
    """Return the largest document that `make` makes with room left for a status, filled up to that size."""
    limit = LARGEST - ROOM_FOR_STATUS
    beyond = next(2**power for power in itertools.count() if size_of(make(2**power)) > limit)
    count = bisect(range(beyond), limit, key=lambda count: size_of(make(count))) - 1
    document = make(count)
    document["metadata"]["annotations"] = {"fill": "x" * min(limit - size_of(document) - 30, 250_000)}
    return document


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


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
@pytest.mark.parametrize("shape", LARGE_MANY)
async def test_rules_stay_within_their_budget_when_the_tasks_are_the_most_and_largest(
    api: Api, kubectl: Kubectl, shape: str
) -> None:
    document = largest_of_many(LARGE_MANY[shape])
    assert 0.99 * (LARGEST - ROOM_FOR_STATUS) < size_of(document) < LARGEST
    (kind,) = (kind for kind in KINDS if kind.name == document["kind"])
    path = f"{PATHS[kind]}/largest"
    tasks = document["spec"]["tasks"]
    edited = [*tasks[:-1], {**tasks[-1], "retries": 5}]
    await api.create(PATHS[kind], document)
    try:
        await api.patch(f"{path}/status", {"status": {"phase": "Active", "tasks": compact_entries(tasks)}})
        with pytest.raises(RequestError, match="hold it first: tasks may change only"):
            await api.patch(path, {"spec": {"tasks": edited}})
        await api.patch(path, {"spec": {"lifecycle": "suspended", "tasks": edited}})
    finally:
        await api.delete(path)


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_status_of_a_swarm_of_1000_is_written_when_its_entries_are_compact_and_full(
    api: Api, kubectl: Kubectl
) -> None:
    """docs/adr/0006: compact, as the operator writes them, they are far below its 300 KB; full ones still fit."""
    tasks = [{"name": long_name(number)} for number in range(MAX_SWARM_TASKS)]
    template = build_task("")["template"]
    await api.create(PATHS[SWARM], build_many(SWARM, "thousand", template=template, tasks=tasks))
    path = f"{PATHS[SWARM]}/thousand"
    try:
        assert size_of(compact_entries(tasks)) < 130_000
        await api.patch(f"{path}/status", {"status": {"phase": "Active", "tasks": compact_entries(tasks)}})
        await api.patch(f"{path}/status", {"status": {"tasks": full_entries(tasks)}})
        await api.patch(path, {"spec": {"maxConcurrency": 5}})
        assert len((await api.get(path))["status"]["tasks"]) == MAX_SWARM_TASKS
    finally:
        await api.delete(path)
