"""The Python client on a real API server, with the operator beside it; the test plays the kubelet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

import mageflow
import mageflow.sync
from devkit.patience import PATIENCE
from localcluster.controlplane import ControlPlane
from mageflow.client.handle import ObjectHandle
from mageflow.testing import FakeCluster

from .control import Raw
from .stage import Namespace, Workflow, wait_until
from .wire import Write


@pytest_asyncio.fixture
async def client(control_plane: ControlPlane, namespace: Namespace) -> AsyncIterator[mageflow.Client]:
    async with mageflow.Client(kubeconfig=control_plane.kubeconfig, namespace=namespace.name) as client:
        yield client


def task(name: str, **options: Any) -> mageflow.Task:
    return mageflow.task(name, image="busybox:1.36", **options)


async def start_running(namespace: Namespace, client: mageflow.Client, **options: Any) -> tuple[mageflow.Workflow, Raw]:
    workflow = await mageflow.workflow(task("work", **options), client=client)
    await workflow.start()
    pod = await Workflow(namespace, "work").wait_for_pod()
    await namespace.kubelet.start(pod)
    await workflow.wait(mageflow.Phase.ACTIVE)
    return workflow, pod


@asynccontextmanager
async def suspended_unseen(namespace: Namespace, client: mageflow.Client) -> AsyncIterator[Suspending]:
    """Start a task, and suspend it before the status says that it runs; the operator answers once the block is left."""
    workflow = await mageflow.workflow(task("work", retries=1), client=client)
    await workflow.start()
    pod = await Workflow(namespace, "work").wait_for_pod()
    with namespace.hold(Write.WRITE_STATUS) as held:
        await namespace.kubelet.start(pod)
        await held.wait()
        suspending = asyncio.create_task(workflow.suspend())
        await Workflow(namespace, "work").wait_until("it is to be suspended", partial(is_suspended, namespace))
        yield Suspending(pod, suspending)


@dataclass
class Suspending:
    """A suspend that has been written, of a task that runs."""

    pod: Raw
    answer: asyncio.Task[mageflow.Status]


async def lifecycle_of(namespace: Namespace, name: str = "work") -> str:
    lifecycle: str = (await Workflow(namespace, name).read())["spec"]["lifecycle"]
    return lifecycle


def meddle(
    monkeypatch: pytest.MonkeyPatch, meddling: Callable[[], Awaitable[object]], lifecycle: str = "active"
) -> list[Raw]:
    """Have something happen just before the client's first write of a lifecycle, by default of the one to which a
    suspend is taken back, reaches the API server; return the specs sent.
    """
    sent: list[Raw] = []
    patch = ObjectHandle.patch

    async def patch_late(self: ObjectHandle, spec: Raw, *, version: str | None = None) -> Raw:
        sent.append(dict(spec))
        if spec == {"lifecycle": lifecycle} and sent.count(spec) == 1:
            await meddling()
        return await patch(self, spec, version=version)

    monkeypatch.setattr(ObjectHandle, "patch", patch_late)
    return sent


# ── from a description to an end ──


async def test_nothing_is_created_when_a_chain_is_only_described(namespace: Namespace, client: mageflow.Client) -> None:
    chain = await mageflow.chain([task("extract"), task("load")], name="pipeline", client=client)

    assert not chain.is_started
    assert await namespace.api.list(f"/apis/mageflow.io/v1/namespaces/{namespace.name}/chains") == []
    with pytest.raises(mageflow.NotStartedError):
        await chain.status()


@pytest.mark.parametrize(
    ("template", "field"),
    [
        ({"spec": {"containers": [{"name": "main", "imag": "x"}]}}, "spec.tasks[0].template.spec.containers[0].imag"),
        ({"spec": {"containers": [{"name": "main"}]}}, "spec.tasks[0].template.spec.containers[0].image"),
        ({"spec": {"restartPolicy": "Always", "containers": []}}, "spec.tasks[0].template.spec.restartPolicy"),
    ],
)
async def test_api_servers_check_names_the_field_when_a_description_is_wrong(
    client: mageflow.Client, template: Raw, field: str
) -> None:
    wrong = mageflow.task("extract", template=template)
    with pytest.raises(mageflow.InvalidError) as caught:
        await mageflow.chain([wrong], name="pipeline", client=client)
    assert field in [cause.field for cause in caught.value.causes], caught.value
    assert field in str(caught.value)


async def test_outputs_come_back_when_a_chain_runs_to_its_end(namespace: Namespace, client: mageflow.Client) -> None:
    chain = await mageflow.chain([task("extract", input={"day": 1}), task("load")], name="pipeline", client=client)
    await chain.start()
    ending = asyncio.create_task(chain.wait(seconds=PATIENCE))
    for name, output in (("extract", '{"rows": 3}'), ("load", '{"rows": 4}')):
        pod = await Workflow(namespace, "pipeline", "Chain").wait_for_pod(task=name)
        await namespace.kubelet.start(pod)
        await namespace.kubelet.succeed(pod, output)
    status = await ending

    assert (status.phase, status.output, status.progress) == (mageflow.Phase.SUCCEEDED, {"rows": 4}, "2/2")
    assert status.has_ended
    assert status == await chain.status()
    with pytest.raises(mageflow.AlreadyExistsError):
        await chain.start()
    with pytest.raises(mageflow.AlreadyExistsError):
        await mageflow.chain([task("extract")], name="pipeline", client=client)


@pytest.mark.parametrize("verb", ["suspend", "interrupt"])
async def test_it_is_created_held_when_it_is_held_before_its_start(
    namespace: Namespace, client: mageflow.Client, verb: str
) -> None:
    swarm = await mageflow.swarm([task("a"), task("b")], name="pair", max_concurrency=1, client=client)
    await getattr(swarm, verb)()
    await swarm.start()
    status = await swarm.wait("Suspended", "Interrupted", seconds=PATIENCE)

    assert status.is_in_force
    assert namespace.audit.created_jobs(namespace.name) == []
    await swarm.resume()
    await Workflow(namespace, "pair", "Swarm").wait_for_pod(task="a")


async def test_fields_reach_the_cluster_when_they_are_given_in_python(
    namespace: Namespace, client: mageflow.Client
) -> None:
    described = task(
        "a", command=["sh"], args=["-c", "true"], env={"A": "b"}, input=None, retries=2, timeout_seconds=60,
        resources={"requests": {"cpu": "10m"}},
    )  # fmt: skip
    swarm = await mageflow.swarm([described], name="one", labels={"team": "a"}, client=client)
    await swarm.start()
    found = await mageflow.get("swarm", "one", client=client)
    container = found.manifest["spec"]["tasks"][0]["template"]["spec"]["containers"][0]

    assert found.manifest["metadata"]["labels"] == {"team": "a"}
    assert found.manifest["spec"]["tasks"][0] | {"template": ...} == {
        "name": "a", "input": None, "retries": 2, "timeoutSeconds": 60, "template": ...,
    }  # fmt: skip
    assert container["env"] == [{"name": "A", "value": "b"}]
    assert (container["command"], container["args"]) == (["sh"], ["-c", "true"])
    await found.cancel(wait=True, seconds=PATIENCE)
    assert (await swarm.status()).phase is mageflow.Phase.CANCELED
    with pytest.raises(mageflow.InvalidError, match=r"spec\.lifecycle: .*canceled is final"):
        await swarm.resume()


# ── suspend on a single task that runs ──


async def test_suspend_raises_and_nothing_is_written_when_the_task_runs(
    namespace: Namespace, client: mageflow.Client
) -> None:
    workflow, pod = await start_running(namespace, client)
    with pytest.raises(mageflow.TaskAlreadyRunningError, match="nothing was changed") as caught:
        await workflow.suspend()

    assert caught.value.is_taken_back
    resource = await Workflow(namespace, "work").read()
    assert (resource["spec"]["lifecycle"], resource["metadata"]["generation"]) == ("active", 1)
    await namespace.kubelet.succeed(pod)
    assert (await workflow.wait(seconds=60)).interruptions == 0
    assert await reasons_told(namespace) == []


async def reasons_told(namespace: Namespace) -> list[str]:
    """Return the reasons of the Events of Workflow work: normal progress has none."""
    events = await namespace.api.list(f"/api/v1/namespaces/{namespace.name}/events")
    return [event["reason"] for event in events if event["involvedObject"]["kind"] == "Workflow"]


async def test_suspend_raises_and_is_taken_back_when_it_turns_out_later_that_the_task_runs(
    namespace: Namespace, client: mageflow.Client
) -> None:
    async with suspended_unseen(namespace, client) as suspending:
        pod = suspending.pod
    with pytest.raises(mageflow.TaskAlreadyRunningError, match="the suspend was taken back") as caught:
        await suspending.answer

    assert caught.value.is_taken_back
    workflow = await mageflow.get("workflow", "work", client=client)
    assert await lifecycle_of(namespace) == "active"
    await Workflow(namespace, "work").wait_for("Active", ready="Running")
    await namespace.kubelet.succeed(pod)
    assert (await workflow.wait(seconds=PATIENCE)).interruptions == 0


async def test_the_task_can_be_interrupted_when_suspend_says_that_it_runs(
    namespace: Namespace, client: mageflow.Client
) -> None:
    workflow, _ = await start_running(namespace, client)
    try:
        await workflow.suspend(wait=True)
    except mageflow.TaskAlreadyRunningError:
        status = await workflow.interrupt(wait=True, seconds=PATIENCE)

    assert status.phase is mageflow.Phase.INTERRUPTED
    assert await Workflow(namespace, "work").live_pods() == []
    with pytest.warns(mageflow.InconsistentWarning, match="runs again from its start"):
        status = await workflow.resume()
    assert not status.is_consistent


async def test_nothing_is_taken_back_when_somebody_else_has_changed_the_spec_since(
    namespace: Namespace, client: mageflow.Client
) -> None:
    """Somebody edits the suspended task between this client's write and the operator's answer."""
    async with suspended_unseen(namespace, client) as suspending:
        await Workflow(namespace, "work").patch({"retries": 7})  # Pending still, as far as the status says: it may be
    with pytest.raises(mageflow.TaskAlreadyRunningError, match="NOT taken back: somebody else") as caught:
        await suspending.answer

    assert not caught.value.is_taken_back
    spec = (await Workflow(namespace, "work").read())["spec"]
    assert (spec["lifecycle"], spec["retries"]) == ("suspended", 7)


async def is_suspended(namespace: Namespace) -> bool:
    return await lifecycle_of(namespace) == "suspended"


async def test_nothing_is_overwritten_when_somebody_else_writes_at_the_moment_of_the_take_back(
    namespace: Namespace, client: mageflow.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    meddle(monkeypatch, lambda: Workflow(namespace, "work").set_lifecycle("interrupted"))
    async with suspended_unseen(namespace, client) as suspending:
        pass
    with pytest.raises(mageflow.OvertakenError, match="interrupted"):
        await suspending.answer

    assert await lifecycle_of(namespace) == "interrupted"


async def test_suspend_is_taken_back_still_when_only_the_status_or_a_label_is_written_meanwhile(
    namespace: Namespace, client: mageflow.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = Workflow(namespace, "work").path
    sent = meddle(monkeypatch, lambda: namespace.api.patch(path, {"metadata": {"labels": {"team": "b"}}}))
    async with suspended_unseen(namespace, client) as suspending:
        pass
    with pytest.raises(mageflow.TaskAlreadyRunningError) as caught:
        await suspending.answer

    assert caught.value.is_taken_back
    assert sent == [{"lifecycle": "suspended"}, {"lifecycle": "active"}, {"lifecycle": "active"}]
    resource = await Workflow(namespace, "work").read()
    assert (resource["spec"]["lifecycle"], resource["metadata"]["labels"]) == ("active", {"team": "b"})


async def test_suspend_is_written_again_when_somebody_writes_between_its_reading_and_its_writing(
    namespace: Namespace, client: mageflow.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it is taken back to is what was there at the moment of the write."""
    sent = meddle(monkeypatch, lambda: Workflow(namespace, "work").set_lifecycle("suspended"), "suspended")

    async def is_written_again() -> bool:
        return len(sent) > 1

    async with suspended_unseen(namespace, client) as suspending:
        await wait_until("it is written again", is_written_again)
    with pytest.raises(mageflow.TaskAlreadyRunningError, match="still is"):
        await suspending.answer

    assert len(sent) > 1, "the first was refused; more may be, as the operator writes as well"
    assert all(spec == {"lifecycle": "suspended"} for spec in sent)
    assert await lifecycle_of(namespace) == "suspended"


async def test_suspend_raises_still_when_the_task_starts_while_its_pod_is_being_evicted(
    namespace: Namespace, client: mageflow.Client
) -> None:
    """The status says Suspending first: that isn't yet the answer."""
    workflow = await mageflow.workflow(task("work"), client=client)
    await workflow.start()
    pod = await Workflow(namespace, "work").wait_for_pod()
    with namespace.hold(Write.EVICT_POD) as held:
        suspending = asyncio.create_task(workflow.suspend())
        await held.wait()
        assert (await workflow.wait("Suspending")).is_current
        await namespace.kubelet.start(pod)
        held.release()
        with pytest.raises(mageflow.TaskAlreadyRunningError) as caught:
            await suspending

    assert caught.value.is_taken_back
    assert await lifecycle_of(namespace) == "active"


async def test_suspend_stays_when_the_run_fails_meanwhile_and_its_retry_is_held(
    namespace: Namespace, client: mageflow.Client, monkeypatch: pytest.MonkeyPatch
) -> None:

    async def fail() -> None:
        await namespace.kubelet.fail(suspending.pod)
        await Workflow(namespace, "work").wait_for("Suspended")

    meddle(monkeypatch, fail)
    async with suspended_unseen(namespace, client) as suspending:
        pass
    status = await suspending.answer

    assert status.phase is mageflow.Phase.SUSPENDED
    assert await lifecycle_of(namespace) == "suspended"


async def test_it_stays_suspended_when_it_was_suspended_before_the_call(
    namespace: Namespace, client: mageflow.Client
) -> None:
    workflow, _ = await start_running(namespace, client)
    await Workflow(namespace, "work").set_lifecycle("suspended")
    with pytest.raises(mageflow.TaskAlreadyRunningError, match="still is") as caught:
        await workflow.suspend()

    assert not caught.value.is_taken_back
    assert await lifecycle_of(namespace) == "suspended"


# ── holds ──


async def test_wait_lasts_until_the_running_task_has_ended_when_a_chain_is_suspended(
    namespace: Namespace, client: mageflow.Client
) -> None:
    chain = await mageflow.chain([task("extract"), task("load")], name="pipeline", client=client)
    await chain.start()
    pod = await Workflow(namespace, "pipeline", "Chain").wait_for_pod(task="extract")
    await namespace.kubelet.start(pod)
    await chain.wait("Active")
    assert (await chain.suspend()).phase is mageflow.Phase.SUSPENDING
    with pytest.raises(mageflow.DeadlineError, match="isn't in force: Suspending"):
        await chain.suspend(wait=True, seconds=0.3)
    suspending = asyncio.create_task(chain.suspend(wait=True))
    await namespace.kubelet.succeed(pod)
    status = await suspending

    assert (status.phase, status.progress) == (mageflow.Phase.SUSPENDED, "1/2")
    status = await chain.resume()
    assert status.is_consistent
    assert status.is_current


async def test_overtaken_error_tells_it_when_somebody_else_resumes_while_it_is_waited_for(
    namespace: Namespace, client: mageflow.Client
) -> None:
    chain = await mageflow.chain([task("extract")], name="pipeline", client=client)
    await chain.start()
    pod = await Workflow(namespace, "pipeline", "Chain").wait_for_pod()
    await namespace.kubelet.start(pod)
    await chain.wait("Active")
    suspending = asyncio.create_task(chain.suspend(wait=True))
    await Workflow(namespace, "pipeline", "Chain").wait_for("Suspending")
    await Workflow(namespace, "pipeline", "Chain").set_lifecycle("active")
    with pytest.raises(mageflow.OvertakenError, match="set it to active since"):
        await suspending


async def test_deadline_error_asks_for_the_operator_when_none_answers(
    namespace: Namespace, client: mageflow.Client, control_plane: ControlPlane
) -> None:
    """What was said of the spec before is not taken for an answer."""
    chain = await mageflow.chain([task("extract")], name="pipeline", client=client)
    await chain.suspend()
    await chain.start()
    assert (await chain.wait("Suspended")).is_in_force
    namespace.operator.pause()
    try:
        async with mageflow.Client(
            kubeconfig=control_plane.kubeconfig, namespace=namespace.name, patience=0.5
        ) as impatient:
            same = await mageflow.get("chain", "pipeline", client=impatient)
            with pytest.raises(mageflow.DeadlineError, match="is one running"):
                await same.resume()
            with pytest.raises(TimeoutError):
                await same.interrupt(wait=True)
            stale = await same.status()
            assert (stale.phase, stale.is_current, stale.is_in_force) == (mageflow.Phase.SUSPENDED, False, False)
            with pytest.raises(mageflow.DeadlineError, match="has said nothing of it yet"):
                await same.wait("Suspended", seconds=0.3)
    finally:
        namespace.operator.resume()
    assert (await chain.interrupt(wait=True)).phase is mageflow.Phase.INTERRUPTED


# ── watch, wait, delete ──


async def test_watch_yields_each_current_status_to_the_end(namespace: Namespace, client: mageflow.Client) -> None:
    workflow = await mageflow.workflow(task("work"), client=client)
    await workflow.start()
    seen: list[mageflow.Status] = []

    async def watch() -> None:
        async for status in workflow.watch():
            seen.append(status)

    watching = asyncio.create_task(watch())
    await workflow.wait("Pending")
    await workflow.interrupt(wait=True)
    await workflow.resume()
    pod = await Workflow(namespace, "work").wait_for_pod(run=2)
    await namespace.kubelet.start(pod)
    await workflow.wait("Active")
    await namespace.kubelet.succeed(pod)
    await asyncio.wait_for(watching, 60)

    phases = [str(status.phase) for status in seen if status.phase is not None]
    order = [phase for number, phase in enumerate(phases) if phases[:number][-1:] != [phase]]
    assert order == ["Pending", "Interrupting", "Interrupted", "Pending", "Active", "Succeeded"]
    assert all(status.is_current for status in seen)


async def test_ended_error_has_the_reason_when_it_fails_instead(namespace: Namespace, client: mageflow.Client) -> None:
    workflow, pod = await start_running(namespace, client)
    await namespace.kubelet.fail(pod, 3)
    with pytest.raises(mageflow.EndedError, match=r"ended as Failed: .*NonZeroExitCode") as caught:
        await workflow.wait(seconds=PATIENCE)
    assert caught.value.status.phase is mageflow.Phase.FAILED
    assert (await workflow.wait("Failed")) == caught.value.status


async def test_it_is_gone_with_its_pods_when_it_is_deleted(namespace: Namespace, client: mageflow.Client) -> None:
    workflow, _ = await start_running(namespace, client)
    await workflow.delete(propagation_policy="Foreground", wait=True, seconds=PATIENCE)

    assert await Workflow(namespace, "work").jobs() == []
    for call in (workflow.status, workflow.interrupt, workflow.delete):
        with pytest.raises(mageflow.NotFoundError):
            await call()
    with pytest.raises(mageflow.NotFoundError):
        await mageflow.get("workflow", "work", client=client)


async def test_a_namesake_is_left_alone_when_the_resource_was_deleted_and_made_anew(
    namespace: Namespace, client: mageflow.Client
) -> None:
    old = await mageflow.workflow(task("work"), client=client)
    await old.start()
    await old.delete(wait=True)
    new = await mageflow.workflow(task("work"), client=client)
    await new.start()
    for call in (old.status, old.suspend, old.interrupt, old.cancel, old.wait, old.delete):
        with pytest.raises(mageflow.NotFoundError, match="was deleted"):
            await call()
    with pytest.raises(mageflow.NotFoundError):
        _ = [line async for line in old.logs()]
    assert await lifecycle_of(namespace) == "active"


# ── who asks, and without asyncio ──


async def test_default_connection_is_the_kubeconfigs_when_none_is_given(
    namespace: Namespace, control_plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(control_plane.kubeconfig))
    workflow = await mageflow.workflow(task("work"), namespace=namespace.name)
    await workflow.start()
    assert (await mageflow.get("Workflow", "work", namespace=namespace.name)).is_started
    entered = mageflow.Client(kubeconfig=control_plane.kubeconfig, namespace=namespace.name)
    async with entered:
        assert (await mageflow.get("mwf", "work")).namespace == namespace.name
    with pytest.raises(mageflow.NotFoundError):
        await mageflow.get("workflow", "work")  # in the default namespace, there is none


async def test_sync_code_does_the_same_without_asyncio(
    namespace: Namespace, control_plane: ControlPlane, client: mageflow.Client
) -> None:
    def pipeline() -> list[object]:
        with mageflow.sync.Client(kubeconfig=control_plane.kubeconfig, namespace=namespace.name):
            workflow = mageflow.sync.workflow(task("work"))
            workflow.suspend()
            workflow.start()
            seen: list[object] = [workflow.wait("Suspended").phase, workflow.resume(seconds=PATIENCE).is_current]
            for status in workflow.watch():
                seen.append(status.phase)
                if status.phase == "Active":
                    break
            try:
                workflow.suspend()
            except mageflow.TaskAlreadyRunningError as error:
                seen.append(error.is_taken_back)
            seen.append(mageflow.sync.get("workflow", "work").interrupt(wait=True).phase)
            return seen

    running = asyncio.create_task(asyncio.to_thread(pipeline))
    pod = await Workflow(namespace, "work").wait_for_pod()
    await namespace.kubelet.start(pod)
    seen = await running
    assert seen[:2] == ["Suspended", True]
    assert seen[-3:] == ["Active", True, "Interrupted"]


async def test_the_largest_swarm_is_checked_created_watched_and_deleted(
    namespace: Namespace, client: mageflow.Client
) -> None:
    template = {"spec": {"containers": [{"name": "main", "image": "busybox:1.36"}]}}
    tasks = [mageflow.task(f"task-{number}", input=number) for number in range(1000)]
    swarm = await mageflow.swarm(tasks, name="large", template=template, client=client)
    await swarm.suspend()
    await swarm.start()
    status = await swarm.wait("Suspended", seconds=PATIENCE)
    assert status.total == 1000
    await swarm.delete()


# ── the fake of the pytest plugin ──


async def test_the_fake_tells_the_same_story_as_a_cluster(namespace: Namespace, client: mageflow.Client) -> None:
    """The same program on both; what it sees, step by step, is the same."""
    workflow = Workflow(namespace, "work")

    async def start_for_real(run: int) -> None:
        await namespace.kubelet.start(await workflow.wait_for_pod(run=run))

    async def end_for_real(run: int) -> None:
        await namespace.kubelet.succeed(await workflow.wait_for_pod(run=run), '"done"')

    real = await tell_story(client, start_for_real, end_for_real)

    fake = FakeCluster()

    async def start_in_fake(_: int) -> None:
        fake.task("work").keeps_running()

    async def end_in_fake(_: int) -> None:
        fake.task("work").succeeds("done")

    with fake.installed():
        fake.task("work").stays_pending()
        told = await tell_story(mageflow.Client(), start_in_fake, end_in_fake)
    assert told == real


async def tell_story(
    client: mageflow.Client, start: Callable[[int], Awaitable[None]], end: Callable[[int], Awaitable[None]]
) -> list[tuple[object, ...]]:
    """Suspend, resume, try to suspend, interrupt, resume and end one task; return what is seen meanwhile."""
    seen: list[tuple[object, ...]] = []

    def see(status: mageflow.Status) -> None:
        ready, suspended = status.condition("Ready"), status.condition("Suspended")
        assert ready is not None
        assert suspended is not None
        counts = (status.pending, status.running, status.done, status.failed, status.interruptions, status.progress)
        task = (status.tasks[0].phase, status.tasks[0].run, status.output)
        seen.append((status.phase, ready.status, ready.reason, suspended.status, status.is_consistent, *counts, *task))

    workflow = await mageflow.workflow(task("work"), client=client)
    await workflow.start()
    see(await workflow.suspend(wait=True))
    await workflow.resume()
    await start(2)
    see(await workflow.wait("Active"))
    with pytest.raises(mageflow.TaskAlreadyRunningError) as caught:
        await workflow.suspend()
    seen.append((caught.value.is_taken_back,))
    see(await workflow.interrupt(wait=True))
    with pytest.warns(mageflow.InconsistentWarning):
        await workflow.resume()
    await start(3)
    with pytest.warns(mageflow.InconsistentWarning):
        see(await workflow.resume(wait=True))
    await end(3)
    see(await workflow.wait())
    with pytest.raises(mageflow.AlreadyExistsError):
        await workflow.start()
    await workflow.cancel()
    see(await workflow.status())
    return seen
