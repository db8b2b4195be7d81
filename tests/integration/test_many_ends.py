"""Ends and holds of a Chain and a Swarm cross: canceled, edited, deleted, made anew in the middle of something."""

from __future__ import annotations

import pytest

from .control import Raw, RequestError, condition
from .history import is_terminating
from .kubelet import OnSigterm
from .many import KINDS, NAMES, Many, create_many, named, task_of
from .stage import CONTAINER, Namespace
from .wire import Write

of_both_kinds = pytest.mark.parametrize("kind", KINDS)

EDITED: Raw = {"spec": {"containers": [{**CONTAINER, "image": "busybox:1.37"}]}}


async def _create(namespace: Namespace, kind: str, name: str = "work") -> Many:
    """Create one of three tasks, with two of a Swarm at once."""
    spec: Raw = {"maxConcurrency": 2} if kind == "Swarm" else {}
    return await create_many(namespace, kind, name, **spec)


async def _create_running(namespace: Namespace, kind: str, name: str = "work") -> tuple[Many, Raw]:
    """Create one whose first task runs; a Swarm's second is pending."""
    many = await _create(namespace, kind, name)
    (pod,) = await many.start("a")
    await many.wait_for("Active", ready="Running")
    await many.wait_for_live(*_with_pods(kind))
    return many, pod


def _with_pods(kind: str) -> tuple[str, ...]:
    return ("a",) if kind == "Chain" else ("a", "b")


async def _finish_all(many: Many) -> Raw:
    """Have every task that has not ended run to its end, in the order in which their pods come."""
    while (status := await many.status())["phase"] != "Succeeded":
        left = [name for name in NAMES if _phase_of(status, name) != "Succeeded"]
        pods = [pod for pod in await many.live_pods() if task_of(pod) in left and not is_terminating(pod)]
        for pod in pods:
            accepted = await many.wait_for_pod(task=task_of(pod))
            await many.namespace.kubelet.start(accepted)
            await many.namespace.kubelet.succeed(accepted)
        await many.wait_until("there is more to do", lambda: _has_moved_on(many, status))
    return status


async def _has_moved_on(many: Many, before: Raw) -> bool:
    return await many.status() != before


def _phase_of(status: Raw, name: str) -> str:
    phases: dict[str, str] = {task["name"]: task["phase"] for task in status.get("tasks", ())}
    return phases.get(name, "Unstarted")


# ── one wish after the other ──


@of_both_kinds
async def test_last_wish_counts_when_lifecycles_change_in_quick_succession(namespace: Namespace, kind: str) -> None:
    many, _ = await _create_running(namespace, kind)
    for lifecycle in ("suspended", "interrupted", "suspended", "active"):
        await many.set_lifecycle(lifecycle)
    await many.wait_for_live(*_with_pods(kind))
    await many.wait_for("Active")
    await _finish_all(many)
    assert (await many.status())["done"] == 3


@of_both_kinds
async def test_last_wish_counts_when_each_decision_is_overtaken_by_the_next_wish(
    namespace: Namespace, kind: str
) -> None:
    many, _ = await _create_running(namespace, kind)
    await namespace.wait_until_quiet()
    for first, second in (("interrupted", "active"), ("suspended", "interrupted"), ("active", "suspended")):
        with namespace.hold(Write.WRITE_STATUS) as status:
            await many.set_lifecycle(first)
            await status.wait()
            await many.set_lifecycle(second)
        await namespace.wait_for_write(f"{kind.lower()}s/status", code=409)
    await many.set_lifecycle("active")
    await _finish_all(many)


@of_both_kinds
async def test_stop_wins_when_a_suspend_is_under_way(namespace: Namespace, kind: str) -> None:
    """Suspending lasts, as the running task doesn't end; an interrupt doesn't wait for it."""
    many, _ = await _create_running(namespace, kind)
    await many.set_lifecycle("suspended")
    await many.wait_for("Suspending")
    await many.set_lifecycle("interrupted")
    held = await many.wait_for("Interrupted")
    assert held["interruptions"] == 1
    assert await many.live_tasks() == []
    await many.set_lifecycle("suspended")
    await many.wait_for("Suspended")
    await many.set_lifecycle("active")
    await _finish_all(many)


# ── canceled ──

PHASES = ("Pending", "Active", "Suspending", "Suspended", "Interrupting", "Interrupted")


@of_both_kinds
@pytest.mark.parametrize("phase", PHASES)
async def test_canceled_is_reached_and_final_when_canceled_while(namespace: Namespace, phase: str, kind: str) -> None:
    many = await _bring_to(namespace, kind, phase)
    await many.set_lifecycle("canceled")
    if phase == "Interrupting":
        await many.wait_for("Interrupting")
        for pod in await many.live_pods():
            await namespace.kubelet.give_up(pod)
    status = await many.wait_for("Canceled", ready="Canceled")
    assert await many.live_tasks() == []
    assert status["finishedAt"]
    assert condition(status, "Complete") == condition(status, "Failed") == {}
    with pytest.raises(RequestError, match="canceled is final"):
        await many.set_lifecycle("active")
    await namespace.wait_until_quiet()
    assert await many.status() == status


async def _bring_to(namespace: Namespace, kind: str, phase: str) -> Many:
    if phase == "Pending":
        many = await _create(namespace, kind)
        await many.wait_for_live(*_with_pods(kind))
    else:
        many, _ = await _create_running(namespace, kind)
    lifecycles = {"Suspending": "suspended", "Interrupting": "interrupted", "Interrupted": "interrupted"}
    if phase == "Interrupting":
        namespace.kubelet.on_sigterm(namespace.name, OnSigterm.IGNORE)
    if phase == "Suspended":
        await many.set_lifecycle("suspended")
        await namespace.kubelet.succeed(await many.wait_for_pod(task="a"))
    elif phase in lifecycles:
        await many.set_lifecycle(lifecycles[phase])
    await many.wait_for(phase)
    return many


# ── edits and lifecycle in one write ──


@of_both_kinds
async def test_next_run_uses_the_edit_when_a_task_is_edited_in_the_write_that_suspends(
    namespace: Namespace, kind: str
) -> None:
    many, pod = await _create_running(namespace, kind)
    edited = [named("a"), named("b", template=EDITED), named("c", template=EDITED)]
    await many.patch({"lifecycle": "suspended", "tasks": edited})
    await many.wait_for_live("a")
    await namespace.kubelet.succeed(pod)
    await many.wait_for("Suspended", done=1)
    await many.set_lifecycle("active")
    assert _image(await many.wait_for_pod(task="b")) == "busybox:1.37"
    await _finish_all(many)
    images = {pod.labels["mageflow.io/task"]: _image(pod.latest) for pod in namespace.pods}
    assert images == {"a": "busybox:1.36", "b": "busybox:1.37", "c": "busybox:1.37"}


@of_both_kinds
async def test_next_run_uses_the_edit_when_a_task_is_edited_in_the_write_that_resumes(
    namespace: Namespace, kind: str
) -> None:
    many, pod = await _create_running(namespace, kind)
    await many.set_lifecycle("suspended")
    await namespace.kubelet.succeed(pod)
    await many.wait_for("Suspended", done=1)
    edited = [named("a"), named("b", template=EDITED), named("c"), named("d")]
    await many.patch({"lifecycle": "active", "tasks": edited})
    assert _image(await many.wait_for_pod(task="b")) == "busybox:1.37"
    await many.finish("b", "c", "d")
    await many.wait_for("Succeeded", done=4)


@of_both_kinds
async def test_task_changed_is_told_until_taken_back_when_a_running_task_is_edited(
    namespace: Namespace, kind: str
) -> None:
    many, pod = await _create_running(namespace, kind)
    await many.patch({"lifecycle": "suspended", "tasks": [named("a", template=EDITED), named("b"), named("c")]})
    status = await many.wait_for("Suspending", ready="TaskChanged")
    assert "task a" in condition(status, "Ready")["message"]
    await many.patch({"lifecycle": "suspended", "tasks": [named(name) for name in NAMES]})
    await many.wait_for("Suspending", ready="Suspending")
    await namespace.kubelet.succeed(pod)
    await many.wait_for("Suspended", done=1)
    assert len([there for there in namespace.pods if there.labels["mageflow.io/task"] == "a"]) == 1


@of_both_kinds
async def test_removed_task_never_starts_when_it_is_taken_out_while_suspended(namespace: Namespace, kind: str) -> None:
    many, pod = await _create_running(namespace, kind)
    await many.set_lifecycle("suspended")
    await namespace.kubelet.succeed(pod)
    await many.wait_for("Suspended", done=1)
    await many.patch({"lifecycle": "active", "tasks": [named("a"), named("c")]})
    await many.finish("c")
    done = await many.wait_for("Succeeded", done=2)
    assert done["total"] == 2


@of_both_kinds
async def test_edit_is_refused_when_nothing_is_held(namespace: Namespace, kind: str) -> None:
    many, _ = await _create_running(namespace, kind)
    with pytest.raises(RequestError, match="hold it first"):
        await many.patch({"tasks": [named("a"), named("b"), named("c", template=EDITED)]})


# ── deletion ──


@of_both_kinds
@pytest.mark.parametrize("policy", ["Background", "Foreground"])
async def test_nothing_is_left_when_deleted_in_the_middle(namespace: Namespace, kind: str, policy: str) -> None:
    many, _ = await _create_running(namespace, kind)
    await namespace.wait_until_quiet()
    before = len(namespace.writes())
    await many.delete(policy)
    await many.wait_until(f"{many.name} is gone", lambda: _is_gone(many))
    await many.wait_until_none_of("jobs")
    await many.wait_until_none_of("pods")
    await namespace.wait_until_quiet()
    # Watches of two kinds are in no order: a Job may be told to be gone before its owner, and a write be in vain.
    assert [str(write) for write in namespace.writes()[before:] if write.code != 404] == []


async def test_operator_stays_calm_when_the_namespace_is_deleted_in_the_middle(namespace: Namespace) -> None:
    """A task ends while it goes, so that another would follow; that is refused, and nobody keeps on trying."""
    namespace.kubelet.on_sigterm(namespace.name, OnSigterm.IGNORE)
    plays = [await _create_running(namespace, kind, kind.lower()) for kind in KINDS]
    await namespace.api.delete(f"/api/v1/namespaces/{namespace.name}")
    for many, _ in plays:
        await many.wait_until("its pod is going", lambda many=many: _is_going(many))  # type: ignore[misc]
    (chain, first), (_, second) = plays
    await namespace.kubelet.give_up(first, 0)
    await namespace.wait_until_quiet()
    assert not await _is_namespace_gone(namespace)
    await namespace.kubelet.give_up(second, 0)
    await chain.wait_until("the namespace is gone", lambda: _is_namespace_gone(namespace))
    assert len(namespace.audit.created_jobs(namespace.name)) == len(namespace.pods)


@of_both_kinds
async def test_namesake_runs_on_its_own_when_deleted_and_made_anew(namespace: Namespace, kind: str) -> None:
    """The old one's pod ignores SIGTERM, and exits 0 long after: that doesn't count for the new one."""
    namespace.kubelet.on_sigterm(namespace.name, OnSigterm.IGNORE)
    old, old_pod = await _create_running(namespace, kind)
    await old.delete("Background")
    await old.wait_until("the old one is gone", lambda: _is_gone(old))
    new = await _create(namespace, kind)
    await old.wait_until("the old pod is going", lambda: _is_going(old, old_pod))
    new_pod = await new.wait_for_pod(task="a")
    assert new_pod["metadata"]["uid"] != old_pod["metadata"]["uid"]
    await namespace.kubelet.give_up(old_pod, 0)
    await namespace.wait_until_quiet()
    status = await new.wait_for("Pending", done=0)
    assert status["pending"] == 3
    await _finish_all(new)
    assert (await new.status())["done"] == 3


# ── helpers ──


async def _is_gone(many: Many) -> bool:
    return await many.namespace.api.find(many.path) is None


async def _is_going(many: Many, pod: Raw | None = None) -> bool:
    """Tell whether a pod is told to go: this one; if None is given, any."""
    live = [each for each in await many.live_pods() if is_terminating(each)]
    return bool(live) if pod is None else pod["metadata"]["uid"] in [each["metadata"]["uid"] for each in live]


async def _is_namespace_gone(namespace: Namespace) -> bool:
    return await namespace.api.find(f"/api/v1/namespaces/{namespace.name}") is None


def _image(pod: Raw) -> str:
    image: str = pod["spec"]["containers"][0]["image"]
    return image
