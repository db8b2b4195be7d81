"""A stop always reaches its pods: what is too large for its status, hangs in deletion, or can't be read.

Each of them ran on, whatever was asked of it.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest

from mageflow.api.stored import MAX_OBJECT

from .control import Api, Raw, RequestError, condition
from .many import Many, create_many
from .stage import TEMPLATE, Namespace, Workflow, wait_until

WORKFLOW_CRD: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/workflows.mageflow.io"


async def label(namespace: Namespace, lifecycle: str | None) -> None:
    """Label the namespace, or take the label off."""
    body = {"metadata": {"labels": {"mageflow.io/lifecycle": lifecycle}}}
    await namespace.api.patch(f"/api/v1/namespaces/{namespace.name}", body)


async def wait_until_none_runs(workflow: Workflow) -> None:
    """Wait until no pod of it can run."""

    async def is_met() -> bool:
        return not await workflow.live_pods()

    await workflow.wait_until(f"no pod of {workflow.name} can run", is_met)


# ── near etcd's limit ──


def shared(number: int, size: int) -> list[Raw]:
    """Return tasks that share a template, each with an input of so many bytes."""
    return [{"name": f"t-{each:03}", "input": "x" * size} for each in range(number)]


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_nothing_starts_and_the_sizes_are_told_when_a_swarm_leaves_no_room_for_its_ledger(
    namespace: Namespace,
) -> None:
    """argo-workflows#913. Two pods ran, nothing was told, and no label, cancel or interrupt stopped them."""
    swarm = await create_many(namespace, "Swarm", tasks=shared(100, 13_500), template=TEMPLATE, maxConcurrency=2)
    status = await swarm.wait_for("Pending", ready="InvalidTask")
    message = condition(status, "Ready")["message"]
    assert f"{MAX_OBJECT:,}" in message
    assert condition(status, "Stalled")["status"] == "True"
    await label(namespace, "interrupted")
    await swarm.wait_for("Interrupted")
    await label(namespace, None)
    await swarm.wait_for("Pending", ready="InvalidTask")
    assert not await swarm.jobs()


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_swarm_runs_and_is_stopped_when_it_is_as_large_as_it_may_be(namespace: Namespace) -> None:
    swarm = await create_many(namespace, "Swarm", tasks=shared(100, 12_500), template=TEMPLATE, maxConcurrency=2)
    await swarm.start("t-000", "t-001")
    await swarm.wait_for("Active")
    await swarm.set_lifecycle("interrupted")
    status = await swarm.wait_for("Interrupted")
    assert status["interruptions"] == 2


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_nothing_starts_and_an_event_tells_when_not_even_that_can_be_written(namespace: Namespace) -> None:
    """The largest Swarm that the API server takes."""
    path = f"/apis/mageflow.io/v1/namespaces/{namespace.name}/swarms"
    swarm = Many(namespace, "work", "Swarm")
    for size in range(15_760, 15_000, -10):  # the first that it takes
        spec = {"tasks": shared(100, size), "template": TEMPLATE, "maxConcurrency": 2}
        body = {"apiVersion": "mageflow.io/v1", "kind": "Swarm", "metadata": {"name": "work"}, "spec": spec}
        try:
            await namespace.api.create(path, body)
        except RequestError as error:
            if "too large" not in str(error):
                raise
        else:
            break

    async def is_told() -> bool:
        return "StatusNotWritten" in await swarm.event_reasons()

    await wait_until("an Event tells that its status can't be written", is_told)
    assert "the status can't be written" in namespace.operator.log
    assert not await swarm.jobs()


# ── hanging in deletion ──


@pytest.mark.parametrize("by", ["interrupted", "canceled", "its namespace"])
async def test_stop_reaches_its_pods_when_it_hangs_in_deletion(namespace: Namespace, by: str) -> None:
    """spark-operator#834, argo-workflows#13499: a finalizer of somebody else keeps what was deleted."""
    workflow, _ = await namespace.create_running()
    await workflow.hang()
    before = await workflow.status()
    assert await workflow.live_pods()
    if by == "its namespace":
        await label(namespace, "interrupted")
    else:
        await workflow.set_lifecycle(by)
    await wait_until_none_runs(workflow)
    assert await workflow.status() == before
    await namespace.api.patch(workflow.path, {"metadata": {"finalizers": None}})
    await workflow.wait_until_none_of("jobs")


async def test_nothing_starts_when_it_hangs_in_deletion(namespace: Namespace) -> None:
    chain = await create_many(namespace, "Chain")
    (pod,) = await chain.start("a")
    await chain.wait_for("Active")
    await chain.hang()
    await namespace.kubelet.succeed(pod)
    await namespace.wait_until_quiet()
    assert len(await chain.jobs()) == 1
    await namespace.api.patch(chain.path, {"metadata": {"finalizers": None}})
    await chain.wait_until_none_of("jobs")


# ── what can't be read ──


async def _replace_crd(api: Api, change: Callable[[Raw], None]) -> None:
    """Change the CRD of Workflows, however busy the API server is: it may give up on so large an object."""

    async def is_met() -> bool:
        crd = await api.get(WORKFLOW_CRD)
        change(crd["spec"])
        try:
            await api.replace(WORKFLOW_CRD, crd)
        except RequestError as error:
            if error.code not in (409, 429, 500, 503, 504):
                raise
            return False
        return True

    await wait_until("the CRD is changed", is_met)


@asynccontextmanager
async def crd_changed(api: Api, change: Callable[[Raw], None]) -> AsyncIterator[None]:
    """Have the CRD of Workflows be another, such as a newer one; `change` is given its schema."""
    before = (await api.get(WORKFLOW_CRD))["spec"]
    await _replace_crd(api, lambda spec: change(spec["versions"][0]["schema"]["openAPIV3Schema"]))
    try:
        yield
    finally:
        await _replace_crd(api, lambda spec: spec.update(before))


def take_newer_fields(schema: Raw) -> None:
    """Keep fields of the spec that aren't known, with no rule that compares specs."""
    schema["properties"]["spec"]["x-kubernetes-preserve-unknown-fields"] = True
    schema.pop("x-kubernetes-validations", None)


def refuse_other_phases(schema: Raw) -> None:
    """Take no phase but those in which a Workflow runs."""
    schema["properties"]["status"]["properties"]["phase"]["enum"] = ["Pending", "Active"]


def take_any_grace(schema: Raw) -> None:
    """Take a grace period of zero, as before."""
    template = schema["properties"]["spec"]["properties"]["template"]["properties"]["spec"]["properties"]
    template["terminationGracePeriodSeconds"].pop("minimum", None)


async def create_kept(namespace: Namespace, name: str, is_kept: Callable[[Raw], bool], **spec: Any) -> Workflow:
    """Create a Workflow again and again until the API server, which learns of a CRD in a moment, keeps it as it is."""
    workflow = Workflow(namespace, name)

    async def is_met() -> bool:
        try:
            await namespace.create(name, **spec)
        except RequestError as error:
            if error.code not in (400, 422):
                raise
            return False
        if is_kept(await workflow.read()):
            return True
        await workflow.delete()
        await wait_until(f"{name} is gone", lambda: _is_gone(workflow))
        return False

    await wait_until(f"the API server keeps {name} as it is", is_met)
    return workflow


async def _is_gone(workflow: Workflow) -> bool:
    return await workflow.namespace.api.find(workflow.path) is None


@pytest.mark.parametrize("by", ["interrupted", "its namespace"])
async def test_stop_reaches_its_pods_when_the_spec_has_a_newer_field(namespace: Namespace, by: str) -> None:
    """The CRDs are newer than the operator, as for minutes in each upgrade: its user had no emergency stop."""
    workflow, _ = await namespace.create_running()
    async with crd_changed(namespace.api, take_newer_fields):
        tries = itertools.count()

        async def is_told() -> bool:
            """Tell whether the operator has it; watches have the old schema for a moment, which drops the field."""
            await workflow.patch({"onSuccess": {"name": f"tell-{next(tries)}"}})
            ready = condition(await workflow.status(), "Ready")
            return ready["reason"] == "InvalidTask" and "spec.onSuccess" in ready["message"]

        await workflow.wait_until("it is told that the newer field isn't understood", is_told)
        if by == "its namespace":
            await label(namespace, "interrupted")
        else:
            await workflow.set_lifecycle("interrupted")
        status = await workflow.wait_for("Interrupted")
        assert not await workflow.live_pods()
        assert (status["interruptions"], condition(status, "Suspended")["status"]) == (1, "True")
        await workflow.patch({"onSuccess": None})
        await label(namespace, None)
        await workflow.set_lifecycle("active")
        await workflow.wait_for_pod(run=2)


async def test_nothing_is_forgotten_when_a_status_has_words_and_fields_of_a_newer_version(
    namespace: Namespace,
) -> None:
    """A rollback of the Deployment: what had failed for good ran again."""
    workflow, pod = await namespace.create_running(retries=0)
    await namespace.kubelet.fail(pod)
    before = await workflow.wait_for("Failed")
    newer = {"lifecycleSource": "parent", "outcome": "Failed", "holders": [{"source": "parent"}]}
    await namespace.api.patch(f"{workflow.path}/status", {"status": newer})
    await workflow.patch({"retries": 0, "lifecycle": "suspended"})
    after = await workflow.wait_for("Failed")
    assert after["tasks"] == before["tasks"]
    assert newer.items() <= after.items()
    assert len(await workflow.jobs()) == 1


async def test_it_is_left_alone_but_for_a_stop_when_its_phase_is_of_a_newer_version(namespace: Namespace) -> None:
    workflow, _ = await namespace.create_running()
    await namespace.api.patch(f"{workflow.path}/status", {"status": {"phase": "Checkpointing"}})
    status = await workflow.wait_for("Checkpointing", ready="UnknownPhase")
    assert "'Checkpointing'" in condition(status, "Ready")["message"]
    await workflow.set_lifecycle("interrupted")
    await wait_until_none_runs(workflow)

    async def is_held() -> bool:
        return condition(await workflow.status(), "Suspended").get("status") == "True"

    await workflow.wait_until("it is told that nothing runs", is_held)
    await workflow.wait_for("Checkpointing", ready="UnknownPhase")
    await namespace.api.patch(f"{workflow.path}/status", {"status": {"phase": "Active"}})
    await workflow.wait_for("Interrupted")


async def test_task_is_left_alone_when_its_phase_is_of_a_newer_version(namespace: Namespace) -> None:
    workflow, pod = await namespace.create_running()
    (entry,) = (await workflow.status())["tasks"]
    newer = {**entry, "phase": "Checkpointing", "checkpoint": {"step": 4}}
    await namespace.api.patch(f"{workflow.path}/status", {"status": {"tasks": [newer]}})
    await workflow.wait_for("Active", ready="UnknownPhase")
    await namespace.kubelet.succeed(pod)
    await namespace.wait_until_quiet()
    status = await workflow.status()
    assert status["tasks"] == [newer]
    assert len(await workflow.jobs()) == 1


# ── a status that is refused ──


@pytest.mark.parametrize("by", ["interrupted", "canceled", "its namespace"])
async def test_stop_reaches_its_pods_when_the_status_is_refused(namespace: Namespace, by: str) -> None:
    """By CRDs of another version, here; by etcd, where an object has grown too large since it was started."""
    workflow, _ = await namespace.create_running()
    async with crd_changed(namespace.api, refuse_other_phases):

        async def is_refused() -> bool:
            try:
                await namespace.api.patch(f"{workflow.path}/status", {"status": {"phase": "Interrupting"}})
            except RequestError as error:
                return error.code == 422
            await namespace.api.patch(f"{workflow.path}/status", {"status": {"phase": "Active"}})
            return False

        await wait_until("the API server refuses the phase", is_refused)
        await workflow.wait_for("Active", ready="Running")
        if by == "its namespace":
            await label(namespace, "interrupted")
        else:
            await workflow.set_lifecycle(by)
        await wait_until_none_runs(workflow)

        async def is_told() -> bool:
            return (await workflow.event_reasons()).count("StatusNotWritten") == 1

        await workflow.wait_until("an Event tells that its status can't be written, once", is_told)
        assert (await workflow.status())["phase"] == "Active"
    status = await workflow.wait_for("Canceled" if by == "canceled" else "Interrupted")
    assert status["interruptions"] == 1


# ── a grace period of zero, from before the CRD refused it ──


async def test_pod_has_a_second_of_grace_when_none_was_stored(namespace: Namespace) -> None:
    """karpenter#3032: without grace its end can't be seen, and the next run met it."""
    template: Raw = json.loads(json.dumps(TEMPLATE))
    template["spec"]["terminationGracePeriodSeconds"] = 0
    async with crd_changed(namespace.api, take_any_grace):
        workflow = await create_kept(namespace, "work", lambda _: True, template=template, lifecycle="suspended")
    await workflow.set_lifecycle("active")
    pod = await workflow.wait_for_pod()
    assert pod["spec"]["terminationGracePeriodSeconds"] == 1
    await namespace.kubelet.start(pod)
    await workflow.wait_for("Active", ready="Running")
    await workflow.set_lifecycle("interrupted")
    await workflow.wait_for("Interrupted")
