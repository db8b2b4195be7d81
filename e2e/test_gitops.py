"""Resources under Argo CD and Flux, on a real API server: what each state is to them, actions, and whose fields it is.

With MAGEFLOW_RECORD=1 the resources in tests/gitops/recorded are recorded anew.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from devkit.cluster import ROOT
from devkit.gate import GATE, open_gate
from devkit.gitops import recorded
from devkit.gitops.states import REACHED
from devkit.gitops.watched import ARGOCD, WatchedKubectl
from devkit.kubectl import KubectlError, Raw, condition, lifecycle_patch, parse
from mageflow.api import KINDS, MAIN_TASK
from mageflow.core.job_manifest import job_name
from mageflow.core.plan import Owner

IS_RECORDED: Final = bool(os.environ.get("MAGEFLOW_RECORD"))

NAMES: Final = [kind.name for kind in KINDS]

AT_ONCE: Final = 6
"""How many of them are played at once."""

STAYS: Final = "trap '' TERM; sleep 600 & wait"
NOWHERE: Final[Raw] = {"nodeSelector": {"example.mageflow.io/pool": "none"}}

ARGOCD_FOLDER: Final = ROOT / "integrations" / "argocd"

Story = Callable[[WatchedKubectl, str], None]
Sync = Callable[[WatchedKubectl, Raw], None]


def build(
    kind: str, name: str, script: str = STAYS, *, retries: int = 0, lifecycle: str | None = None, **pod: Any
) -> Raw:
    container = {"name": "main", "image": "busybox:1.36", "command": ["sh", "-c", script], **pod.pop("container", {})}
    template = {"spec": {"terminationGracePeriodSeconds": 3, "containers": [container], **pod}}
    tasks = [{"name": name, "retries": retries} for name in ("a", "b")]
    specs: dict[str, Raw] = {
        "Workflow": {"template": template, "retries": retries},
        "Chain": {"tasks": [{**task, "template": template} for task in tasks]},
        "Swarm": {"template": template, "tasks": tasks, "maxConcurrency": 1},
    }
    spec = specs[kind] | ({} if lifecycle is None else {"lifecycle": lifecycle})
    return {"apiVersion": "mageflow.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def create(kubectl: WatchedKubectl, kind: str, name: str, script: str = STAYS, **more: Any) -> str:
    kubectl.run("create", "--filename=-", stdin=json.dumps(build(kind, name, script, **more)))
    return f"{kind.lower()}/{name}"


def wait_for_reason(kubectl: WatchedKubectl, name: str, reason: str) -> None:
    kubectl.wait(f"{name} is {reason}", name, lambda status: condition(status, "Ready").get("reason") == reason)


def get(kubectl: WatchedKubectl, name: str) -> Raw:
    document = kubectl.find(*parse(name))
    assert document is not None
    return document


def succeeds(kubectl: WatchedKubectl, kind: str) -> None:
    kubectl.wait_for_phase(create(kubectl, kind, "succeeds", "sleep 1"), "Succeeded")


def fails(kubectl: WatchedKubectl, kind: str) -> None:
    kubectl.wait_for_phase(create(kubectl, kind, "fails", "sleep 1; exit 1", retries=1), "Failed")


def is_held_and_canceled(kubectl: WatchedKubectl, kind: str) -> None:
    name = create(kubectl, kind, "is-held", **NOWHERE)
    wait_for_reason(kubectl, name, "Unschedulable")
    for lifecycle in ("suspended", "interrupted", "canceled"):
        kubectl.set_lifecycle(name, lifecycle)
        kubectl.wait_for_phase(name, lifecycle.capitalize())


def is_interrupted(kubectl: WatchedKubectl, kind: str) -> None:
    name = create(kubectl, kind, "is-interrupted")
    kubectl.wait_for_phase(name, "Active")
    kubectl.set_lifecycle(name, "interrupted")
    kubectl.wait_for_phase(name, "Interrupted")


def is_suspended(kubectl: WatchedKubectl, kind: str) -> None:
    """A Workflow's pod has a node but no image; the others' run."""
    if kind == "Workflow":
        name = create(kubectl, kind, "is-suspended", container={"image": "nowhere/none:1", "imagePullPolicy": "Never"})
        wait_for_reason(kubectl, name, "ErrImageNeverPull")
    else:
        name = create(kubectl, kind, "is-suspended", GATE)
        kubectl.wait_for_phase(name, "Active")
    kubectl.set_lifecycle(name, "suspended")
    if kind != "Workflow":
        kubectl.wait_for_phase(name, "Suspending")
        open_gate(kubectl, name)
    kubectl.wait_for_phase(name, "Suspended")


def runs_on(kubectl: WatchedKubectl, kind: str) -> None:
    name = create(kubectl, kind, "runs-on", GATE)
    kubectl.wait_for_phase(name, "Active")
    kubectl.set_lifecycle(name, "suspended")
    if kind == "Workflow":
        wait_for_reason(kubectl, name, "TaskAlreadyRunning")


def is_invalid(kubectl: WatchedKubectl, kind: str) -> None:
    """What only the API server's own check of a Job finds out."""
    mount = {"name": "nothing", "mountPath": "/data"}
    wait_for_reason(kubectl, create(kubectl, kind, "is-invalid", container={"volumeMounts": [mount]}), "InvalidTask")


def is_refused(kubectl: WatchedKubectl, kind: str) -> None:
    """Somebody else's Job has the name."""
    name = create(kubectl, kind, "is-refused", lifecycle="suspended")
    kubectl.wait_for_phase(name, "Suspended")
    uid = get(kubectl, name)["metadata"]["uid"]
    job = job_name(Owner(kind, kubectl.namespace, "is-refused", uid), MAIN_TASK if kind == "Workflow" else "a", 1)
    kubectl.run("create", "job", job, "--image=busybox:1.36", "--", "true")
    kubectl.set_lifecycle(name, "active")
    wait_for_reason(kubectl, name, "NameConflict")


def is_deleted(kubectl: WatchedKubectl, kind: str) -> None:
    name = create(kubectl, kind, "is-deleted")
    kubectl.wait_for_phase(name, "Active")
    kubectl.run("delete", name, "--cascade=foreground")


STORIES: Final[tuple[Story, ...]] = (
    succeeds,
    fails,
    is_held_and_canceled,
    is_interrupted,
    is_suspended,
    runs_on,
    is_invalid,
    is_refused,
    is_deleted,
)


def test_each_state_is_to_each_of_them_what_the_table_says(kubectl: WatchedKubectl) -> None:
    """This brings each kind into each state, some for a moment only; kubectl checks each version that there was."""
    start = json.loads(kubectl.run("get", "namespace", kubectl.namespace, "--output=json"))["metadata"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        plays = [pool.submit(story, kubectl, kind) for story in STORIES for kind in NAMES]
        for play in plays:
            play.result()

    for kind in KINDS:
        kubectl.see_changes(kind, start["resourceVersion"])

    assert set(kubectl.seen) == REACHED
    if IS_RECORDED:
        recorded.write(kubectl.seen)


@pytest.mark.parametrize("kind", NAMES)
def test_actions_of_argo_cd_do_what_they_say(kubectl: WatchedKubectl, kind: str) -> None:
    name = create(kubectl, kind, "x", volumes=[{"name": "scratch", "emptyDir": {}}], **NOWHERE)
    wait_for_reason(kubectl, name, "Unschedulable")
    for action, phase in (("suspend", "Suspended"), ("interrupt", "Interrupted"), ("resume", "Pending")):
        assert ARGOCD.discover(get(kubectl, name))[action]
        patch = ARGOCD.act(get(kubectl, name), action)
        assert list(patch) == ["spec"]
        kubectl.run("patch", name, "--type=merge", f"--patch={json.dumps(patch)}", "--field-manager=argocd-server")
        kubectl.wait_for_phase(name, phase)
        assert not ARGOCD.discover(get(kubectl, name))[action]


def apply(kubectl: WatchedKubectl, manifest: Raw, *options: str) -> None:
    kubectl.run("apply", "--filename=-", *options, stdin=json.dumps(manifest))


def apply_on_server(kubectl: WatchedKubectl, manifest: Raw, *, manager: str) -> None:
    apply(kubectl, manifest, "--server-side", "--force-conflicts", f"--field-manager={manager}")


def apply_as_flux(kubectl: WatchedKubectl, manifest: Raw) -> None:
    """As kustomize-controller does: what managers named kubectl... have changed is taken for its own, and so goes."""
    name = f"{manifest['kind']}/{manifest['metadata']['name']}"
    text = kubectl.run("get", name, "--output=json", "--show-managed-fields", "--ignore-not-found")
    entries = json.loads(text)["metadata"]["managedFields"] if text else []
    taken = [entry for entry in entries if entry["manager"].startswith("kubectl") and "subresource" not in entry]
    if taken:
        (own,) = (entry for entry in entries if (entry["manager"], entry["operation"]) == (FLUX, "Apply"))
        for entry in taken:
            merge(own["fieldsV1"], entry["fieldsV1"])
        kept = [entry for entry in entries if entry not in taken]
        patch = json.dumps([{"op": "replace", "path": "/metadata/managedFields", "value": kept}])
        kubectl.run("patch", name, "--type=json", f"--patch={patch}", f"--field-manager={FLUX}")
    apply_on_server(kubectl, manifest, manager=FLUX)


def merge(into: Raw, other: Raw) -> None:
    for key, value in other.items():
        merge(into.setdefault(key, {}), value)


FLUX: Final = "kustomize-controller"
MERGES: Final = partial(apply_on_server, manager=FLUX)
"""Flux, where the resource has the annotation kustomize.toolkit.fluxcd.io/ssa: Merge."""
ARGO_CD: Final = partial(apply_on_server, manager="argocd-controller")
SYNCS: Final = {"Argo CD": apply, "Argo CD, server-side": ARGO_CD, "Flux": apply_as_flux, "Flux, ssa: Merge": MERGES}

BY_KUBECTL: Final[tuple[str, ...]] = ()
BY_OTHERS: Final = ("--field-manager=mageflow-client",)
"""As `kubectl mageflow` does it."""


@pytest.mark.parametrize("sync", SYNCS.values(), ids=SYNCS)
@pytest.mark.parametrize("by", [BY_KUBECTL, BY_OTHERS], ids=["kubectl patch", "kubectl mageflow"])
def test_hold_outlasts_a_sync_when_lifecycle_is_not_in_git(
    kubectl: WatchedKubectl, sync: Sync, by: tuple[str, ...]
) -> None:
    manifest = build("Workflow", "x", **NOWHERE)
    sync(kubectl, manifest)
    kubectl.run("patch", "workflow/x", "--type=merge", f"--patch={lifecycle_patch('suspended')}", *by)

    sync(kubectl, manifest)

    is_undone = sync is apply_as_flux and by is BY_KUBECTL
    assert get(kubectl, "x")["spec"]["lifecycle"] == ("active" if is_undone else "suspended")


@pytest.mark.parametrize("sync", SYNCS.values(), ids=SYNCS)
def test_hold_is_undone_by_a_sync_when_lifecycle_is_in_git(kubectl: WatchedKubectl, sync: Sync) -> None:
    manifest = build("Workflow", "x", lifecycle="active", **NOWHERE)
    sync(kubectl, manifest)
    kubectl.set_lifecycle("x", "suspended")

    sync(kubectl, manifest)

    assert get(kubectl, "x")["spec"]["lifecycle"] == "active"


@pytest.mark.parametrize("sync", SYNCS.values(), ids=SYNCS)
@pytest.mark.parametrize("by", [BY_KUBECTL, BY_OTHERS], ids=["kubectl label", "another manager"])
def test_label_of_a_namespace_outlasts_a_sync_of_the_namespace(
    kubectl: WatchedKubectl, sync: Sync, by: tuple[str, ...]
) -> None:
    name = f"{kubectl.namespace}-git"
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": "a"}}}
    try:
        sync(kubectl, manifest)
        kubectl.run("label", "namespace", name, "mageflow.io/lifecycle=suspended", *by)

        sync(kubectl, manifest)

        labels = json.loads(kubectl.run("get", "namespace", name, "--output=json"))["metadata"]["labels"]
        assert labels["team"] == "a"
        assert ("mageflow.io/lifecycle" in labels) is not (sync is apply_as_flux and by is BY_KUBECTL)
    finally:
        kubectl.run("delete", "namespace", name, "--wait=false")


def test_hold_of_a_namespace_is_no_change_of_what_is_in_git(kubectl: WatchedKubectl) -> None:
    manifest = build("Workflow", "x", **NOWHERE)
    apply(kubectl, manifest)
    kubectl.run("label", "namespace", kubectl.namespace, "mageflow.io/lifecycle=suspended", *BY_OTHERS)

    status = kubectl.wait_for_phase("x", "Suspended")

    assert status["lifecycleSource"] == "namespace"
    kubectl.run("diff", "--filename=-", stdin=json.dumps(manifest))  # fails if there is any
    kubectl.run("label", "namespace", kubectl.namespace, "mageflow.io/lifecycle=suspendet", "--overwrite")
    wait_for_reason(kubectl, "x", "InvalidNamespaceLifecycle")


def test_what_has_ended_runs_again_only_when_it_is_replaced(kubectl: WatchedKubectl) -> None:
    """As by Force=true,Replace=true in Argo CD, and by kustomize.toolkit.fluxcd.io/force in Flux."""
    apply(kubectl, build("Workflow", "x", "true"))
    kubectl.wait_for_phase("x", "Succeeded")
    before = get(kubectl, "x")["metadata"]["uid"]
    edited = build("Workflow", "x", "sleep 0")
    with pytest.raises(KubectlError, match="it has ended"):
        apply(kubectl, edited)

    kubectl.run("replace", "--force", "--filename=-", stdin=json.dumps(edited))

    kubectl.wait_for_phase("x", "Succeeded")
    assert get(kubectl, "x")["metadata"]["uid"] != before


def test_what_is_for_argo_cd_changes_nothing_else_in_its_config_map(kubectl: WatchedKubectl, tmp_path: Path) -> None:
    """By kubectl and by kustomize. `kubectl apply --server-side` would drop what an earlier `kubectl apply` has set."""
    before = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": {"url": "https://a"}}
    wanted = yaml.safe_load((ARGOCD_FOLDER / "argocd-cm.yaml").read_text())["data"] | before["data"]
    apply(kubectl, before)

    kubectl.run("patch", "configmap", "argocd-cm", "--type=merge", f"--patch-file={ARGOCD_FOLDER}/argocd-cm.yaml")

    (found,) = (item for item in kubectl.find_all("configmaps") if item["metadata"]["name"] == "argocd-cm")
    assert found["data"] == wanted
    shutil.copytree(ARGOCD_FOLDER, tmp_path / "mageflow")
    (tmp_path / "argocd-cm.yaml").write_text(yaml.safe_dump(before))
    kustomization = {"resources": ["argocd-cm.yaml"], "components": ["mageflow"]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    assert yaml.safe_load(kubectl.run("kustomize", str(tmp_path)))["data"] == wanted


def test_what_is_for_flux_goes_through_kustomize(kubectl: WatchedKubectl, tmp_path: Path) -> None:
    """It has YAML aliases, and Flux's own resources are mostly kept in Git, too."""
    text = (ROOT / "integrations" / "flux" / "tasks.yaml").read_text()
    (tmp_path / "tasks.yaml").write_text(text)
    (tmp_path / "kustomization.yaml").write_text("resources: [tasks.yaml]")

    assert yaml.safe_load(kubectl.run("kustomize", str(tmp_path))) == yaml.safe_load(text)
