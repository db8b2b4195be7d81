"""A whole namespace is held by its label: watched by an operator of all namespaces, read every 2 s by one of a few."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from localcluster.controlplane import ControlPlane

from .control import Api, condition, create_namespace
from .many import create_many
from .process import COMMAND, Operator
from .stage import NOWHERE, Namespace, Workflow, wait_until

LABEL = "mageflow.io/lifecycle"


@pytest_asyncio.fixture(params=["watched", "read"])
async def labelled(
    request: pytest.FixtureRequest,
    namespace: Namespace,
    wired: tuple[object, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Namespace]:
    """A namespace to label; the operator watches all of them, or this one alone and reads its label."""
    if request.param == "watched":
        yield namespace
        return
    namespace.operator.kill()
    operator = Operator(wired[1], tmp_path_factory.mktemp("alone"), (*COMMAND[:-1], "--namespace", namespace.name))
    await operator.start()
    yield namespace
    operator.kill()
    assert "Traceback" not in operator.log, operator.log[-6000:]


async def label(namespace: Namespace, lifecycle: str | None) -> None:
    """Do what `kubectl label namespace` of the README does."""
    await namespace.api.patch(f"/api/v1/namespaces/{namespace.name}", {"metadata": {"labels": {LABEL: lifecycle}}})


async def wait_until_held(workflow: Workflow, phase: str, lifecycle: str) -> None:
    status = await workflow.wait_for(phase)
    assert (status["lifecycle"], status["lifecycleSource"]) == (lifecycle, "namespace")
    assert status["observedNamespaceLifecycle"] == lifecycle


async def test_all_that_is_in_a_namespace_is_held_and_goes_on(labelled: Namespace) -> None:
    pending = await labelled.create("pending", template=NOWHERE)
    chain = await create_many(labelled, "Chain", tasks="ab")
    running, pod = await labelled.create_running("running")
    await pending.wait_for("Pending", ready="Unschedulable")
    await chain.start("a")

    await label(labelled, "suspended")
    await wait_until_held(pending, "Suspended", "suspended")
    await running.wait_for("Active", ready="TaskAlreadyRunning")
    await chain.wait_for("Suspending")
    await chain.finish("a")
    await wait_until_held(chain, "Suspended", "suspended")

    await label(labelled, "interrupted")
    await wait_until_held(running, "Interrupted", "interrupted")
    for held in (pending, chain, running):
        await wait_until_held(held, "Interrupted", "interrupted")
        assert await held.live_pods() == []
    await labelled.wait_until_quiet()

    await label(labelled, None)
    await pending.wait_for("Pending", ready="Unschedulable", run=2)
    await chain.wait_for_live("b")
    again = await running.wait_for_pod(run=2)
    await labelled.kubelet.start(again)
    status = await running.wait_for("Active", ready="Running")
    assert (status["lifecycle"], status["lifecycleSource"]) == ("active", "spec")
    assert "observedNamespaceLifecycle" not in status
    assert condition(status, "Consistent")["status"] == "False"
    assert pod["metadata"]["uid"] != again["metadata"]["uid"]


async def test_its_own_lifecycle_counts_when_it_is_the_stronger(labelled: Namespace) -> None:
    own, canceled = await labelled.create("own", "interrupted"), await labelled.create("canceled", template=NOWHERE)
    await own.wait_for("Interrupted")
    await label(labelled, "suspended")
    await wait_until_held(canceled, "Suspended", "suspended")
    assert (await own.status())["lifecycleSource"] == "spec"
    await canceled.set_lifecycle("canceled")
    await canceled.wait_for("Canceled")
    await own.set_lifecycle("active")
    await wait_until_held(own, "Suspended", "suspended")
    await label(labelled, None)
    await own.wait_for_pod(run=1)


async def test_a_label_that_is_no_lifecycle_holds_and_is_told_of(labelled: Namespace) -> None:
    workflow = await labelled.create(template=NOWHERE)
    await workflow.wait_for("Pending", ready="Unschedulable")
    await label(labelled, "suspend")
    status = await workflow.wait_for("Suspended", ready="InvalidNamespaceLifecycle")
    assert "'suspend'" in condition(status, "Ready")["message"]
    assert condition(status, "Suspended")["status"] == "True"
    await workflow.wait_for_events("Unschedulable", "Suspended")
    await label(labelled, "active")
    await workflow.wait_for("Pending", ready="Unschedulable", run=2)


async def test_no_job_is_made_in_a_namespace_that_was_made_with_the_label(namespace: Namespace, api: Api) -> None:
    """The operator may be told of the resource before it is told of the namespace: it waits for that."""
    workflows = []
    for number in range(10):
        name = f"{namespace.name[:50]}-{number}"
        await api.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": {LABEL: "suspended"}}})
        workflows.append(await replace(namespace, name=name).create(template=NOWHERE))
    for workflow in workflows:
        await wait_until_held(workflow, "Suspended", "suspended")
        assert not [write for write in workflow.namespace.writes() if write.resource == "jobs"]


async def test_the_label_counts_when_it_was_changed_while_the_operator_was_down(namespace: Namespace) -> None:
    workflow, _ = await namespace.create_running()
    namespace.operator.kill()
    await label(namespace, "interrupted")
    await namespace.operator.start()
    await wait_until_held(workflow, "Interrupted", "interrupted")
    namespace.operator.kill()
    await label(namespace, None)
    await namespace.operator.start()
    await workflow.wait_for_pod(run=2)


async def test_a_namespace_is_waited_for_when_it_is_not_there_yet(
    namespace: Namespace, api: Api, wired: tuple[object, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    namespace.operator.kill()
    name = f"{namespace.name[:50]}-later"
    operator = Operator(wired[1], tmp_path_factory.mktemp("early"), (*COMMAND[:-1], "--namespace", name))
    await operator.start()
    await api.create("/api/v1/namespaces", {"metadata": {"name": name, "labels": {LABEL: "interrupted"}}})
    workflow = await replace(namespace, name=name).create()
    await wait_until_held(workflow, "Interrupted", "interrupted")
    operator.kill()
    assert "Traceback" not in operator.log, operator.log[-6000:]


# ── rights in some namespaces, and no others ──

TENANT = "some-namespaces-only"
ROLES = "/apis/rbac.authorization.k8s.io/v1/namespaces"


async def grant(api: Api, namespace: str) -> None:
    """Let the operator do all in a namespace."""
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": TENANT}
    subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": TENANT}]
    await api.create(f"{ROLES}/{namespace}/roles", {"metadata": {"name": TENANT}, "rules": rules})
    binding = {"metadata": {"name": TENANT}, "roleRef": role, "subjects": subjects}
    await api.create(f"{ROLES}/{namespace}/rolebindings", binding)


async def revoke(api: Api, namespace: str) -> None:
    """Take the rights away, as the deletion of the namespace does."""
    for plural in ("rolebindings", "roles"):
        await api.delete(f"{ROLES}/{namespace}/{plural}/{TENANT}")


async def test_others_are_worked_on_when_the_rights_in_one_namespace_are_gone(
    namespace: Namespace, api: Api, control_plane: ControlPlane, tmp_path: Path
) -> None:
    """A tenant who deleted his namespace, and the Roles in it, stopped the operator for all others."""
    namespace.operator.kill()
    other = replace(namespace, name=f"{namespace.name[:50]}-other")
    await create_namespace(api, other.name)
    for name in (namespace.name, other.name):
        await grant(api, name)
    command = (*COMMAND[:-1], "--namespace", namespace.name, "--namespace", other.name)
    operator = Operator(control_plane.kubeconfig_for(TENANT, groups=()), tmp_path, command)
    try:
        await operator.start()
        for place in (namespace, other):
            await (await place.create(template=NOWHERE)).wait_for("Pending")

        await revoke(api, other.name)
        await wait_until("the operator says so", lambda: _says(operator, f"{other.name} may not be read"))
        operator.kill()
        await operator.start()
        await (await namespace.create("second", template=NOWHERE)).wait_for("Pending")
        left_alone = await other.create("second", template=NOWHERE)

        await grant(api, other.name)
        await wait_until("it ends", lambda: _has_ended(operator))
        assert f"namespace {other.name} may be read now: start anew to watch it" in operator.log
        await operator.start()
        await left_alone.wait_for("Pending")
    finally:
        operator.kill()
    assert "Traceback" not in operator.log, operator.log[-6000:]


async def _says(operator: Operator, what: str) -> bool:
    return what in operator.log


async def _has_ended(operator: Operator) -> bool:
    return not operator.is_running


async def test_it_says_so_when_it_has_no_rights_at_all(
    namespace: Namespace, control_plane: ControlPlane, tmp_path: Path
) -> None:
    operator = Operator(
        control_plane.kubeconfig_for("nobody", groups=()), tmp_path, (*COMMAND[:-1], "--namespace", namespace.name)
    )
    with pytest.raises(AssertionError, match="there is no right to get any of the namespaces"):
        await operator.start()
    assert "Traceback" not in operator.log
