"""What a task of a Chain is given by the one before it: an output that was cut or lost is never handed on."""

from __future__ import annotations

import pytest

from mageflow.api import ConditionType, Lifecycle, LifecycleSource, NamedTask, Phase, Status, TaskPhase, TaskStatus
from mageflow.core.observed import Runs

from .builders import after, condition_in, decide, names_of, succeeded_pod, with_status
from .many_builders import (
    ABC,
    OTHER_TEMPLATE,
    RUNNING,
    all_of,
    chain,
    chain_task,
    entry,
    environment_of,
    fresh,
    one,
    status,
    succeeded,
)
from .many_builders import entry_of as entry_in

ACTIVE, SUSPENDED, INTERRUPTED, CANCELED = Lifecycle

CUT = "x" * 3072
A_RUNS = status(Phase.ACTIVE, (entry("a", TaskPhase.RUNNING), *fresh("b", "c")))
A_CUT: Runs = {1: one(succeeded_pod(output=CUT, output_limit=3072))[1]}
B_EDITED = (ABC[0], chain_task("b", template=dict(OTHER_TEMPLATE)), ABC[2])
B_NOT_GIVEN = (ABC[0], chain_task("b", retries=3), ABC[2])


def lost() -> TaskStatus:
    """What is recorded of a task that succeeded, and whose output nobody could read."""
    return entry("a", TaskPhase.SUCCEEDED, reason="OutputLost", message="its pod was gone")


def held(lifecycle: Lifecycle = ACTIVE) -> Status:
    """The status once the output of a was found to be cut."""
    return decide(chain(lifecycle, A_RUNS, {"a": A_CUT}))[1]


def go_on(
    old: Status, lifecycle: Lifecycle = ACTIVE, tasks: tuple[NamedTask, ...] = ABC, generation: int = 3
) -> tuple[list[str], Status]:
    """Decide once more; return what is done, and the status."""
    decision, new = decide(chain(lifecycle, old, {"a": A_CUT}, tasks=tasks, generation=generation), after(60))
    return all_of(decision), new


@pytest.mark.parametrize(("before", "word"), [(None, "cut"), (lost(), "lost")])
def test_chain_is_held_when_its_next_task_would_get_an_output_that_is_not_whole(
    before: TaskStatus | None, word: str
) -> None:
    old = A_RUNS if before is None else status(Phase.ACTIVE, (before, *fresh("b", "c")))
    decision, new = decide(chain(old=old, runs={"a": A_CUT} if before is None else {}))
    ready, reason = condition_in(new, ConditionType.READY), f"Output{'Truncated' if before is None else 'Lost'}"

    assert all_of(decision) == []
    assert (new.phase, new.lifecycle, new.lifecycle_source) == (Phase.SUSPENDED, SUSPENDED, LifecycleSource.FAILURE)
    assert (ready.status, ready.reason) == ("False", reason)
    assert condition_in(new, ConditionType.STALLED).reason == reason
    assert condition_in(new, ConditionType.SUSPENDED).status == "True"
    assert f"the output of task a was {word}" in ready.message
    assert "edit the template or the input of b" in ready.message
    assert [(event.type, event.reason) for event in decision.events] == [("Warning", reason)]
    waiting = entry_in(new, "b")
    assert (waiting.phase, waiting.run, waiting.reason) == (TaskPhase.UNSTARTED, 0, reason)
    assert new.suspended_at is not None


def test_nothing_is_written_again_when_it_stays_held() -> None:
    old = held()
    assert decide(chain(old=old, runs={"a": A_CUT}), after(600))[1] == old


@pytest.mark.parametrize("tasks", [ABC, B_NOT_GIVEN], ids=["resumed", "only the retries are edited"])
def test_chain_stays_held_when(tasks: tuple[NamedTask, ...]) -> None:
    done, new = go_on(held(), tasks=tasks)
    assert (done, new.phase, new.lifecycle_source) == ([], Phase.SUSPENDED, LifecycleSource.FAILURE)


@pytest.mark.parametrize(
    "b", [chain_task("b", template=dict(OTHER_TEMPLATE)), chain_task("b", input=1)], ids=["template", "input"]
)
def test_waiting_task_gets_null_when_it_was_edited(b: NamedTask) -> None:
    observed = chain(old=held(), runs={"a": A_CUT}, tasks=(ABC[0], b, ABC[2]), generation=3)
    decision, new = decide(observed)

    assert all_of(decision) == ["CreateJob b-1"]
    assert environment_of(decision.after[0])["MAGEFLOW_PREVIOUS"] == "null"
    assert (new.phase, new.lifecycle, new.lifecycle_source) == (Phase.ACTIVE, ACTIVE, LifecycleSource.SPEC)
    assert entry_in(new, "b").reason is None
    assert [event.reason for event in decision.events] == ["Resumed"]


def test_retry_gets_null_too_when_the_waiting_task_was_edited_and_fails() -> None:
    _, ran = go_on(held(), tasks=B_EDITED)
    b = entry_in(ran, "b").model_copy(update={"phase": TaskPhase.UNSTARTED, "run": 1})
    old = ran.model_copy(update={"tasks": (ran.tasks[0], b, ran.tasks[2])})
    decision, new = decide(chain(old=old, runs={"a": A_CUT}, tasks=B_EDITED, generation=3))

    assert all_of(decision) == ["CreateJob b-2"]
    assert environment_of(decision.after[0])["MAGEFLOW_PREVIOUS"] == "null"
    assert new.phase is Phase.ACTIVE


def test_edit_counts_when_it_is_made_while_the_user_holds_it_too() -> None:
    done, suspended = go_on(held(SUSPENDED), SUSPENDED, B_EDITED)
    assert (done, suspended.phase, entry_in(suspended, "b").reason) == ([], Phase.SUSPENDED, None)
    done, _ = go_on(suspended, ACTIVE, B_EDITED, generation=4)
    assert done == ["CreateJob b-1"]


def test_chain_is_held_again_when_the_edit_is_taken_back() -> None:
    _, suspended = go_on(held(SUSPENDED), SUSPENDED, B_EDITED)
    done, new = go_on(suspended, ACTIVE, ABC, generation=4)
    assert (done, new.lifecycle_source, entry_in(new, "b").reason) == ([], LifecycleSource.FAILURE, "OutputTruncated")


@pytest.mark.parametrize(
    ("tasks", "done"),
    [
        ((ABC[1], ABC[2]), ["CreateJob b-1"]),
        ((ABC[0], chain_task("n"), ABC[1]), []),
    ],
    ids=["the producer is removed", "another task is put in between, which would get it"],
)
def test_order_tells_who_gets_it_when_tasks_are_removed_or_added(tasks: tuple[NamedTask, ...], done: list[str]) -> None:
    made, new = go_on(held(), tasks=tasks)
    assert made == done
    assert entry_in(new, "b").refused_hash is None
    assert entry_in(new, "b").reason is None


def test_chain_is_held_when_a_task_that_ran_before_would_get_a_cut_output_of_one_put_in_between() -> None:
    n = entry("n", TaskPhase.SUCCEEDED, reason="OutputTruncated", message="cut")
    a = entry("a", TaskPhase.SUCCEEDED, output=1)
    old = status(Phase.ACTIVE, (a, n, entry("b", run=1), *fresh("c")))
    done, new = go_on(old, tasks=(ABC[0], chain_task("n"), *ABC[1:]))
    assert (done, new.lifecycle_source) == ([], LifecycleSource.FAILURE)


def test_last_task_ends_it_when_its_output_was_cut() -> None:
    _, new = decide(chain(old=A_RUNS, runs={"a": A_CUT}, tasks=ABC[:1]))
    ready = condition_in(new, ConditionType.READY)
    assert (new.phase, new.output, entry_in(new, "a").reason) == (Phase.SUCCEEDED, CUT, "OutputTruncated")
    assert (ready.status, ready.reason) == ("True", "Succeeded")
    assert "the kubelet keeps 3,072 bytes" in ready.message


@pytest.mark.parametrize(
    ("lifecycle", "phase", "reason"),
    [
        (SUSPENDED, Phase.SUSPENDED, "Suspended"),
        (INTERRUPTED, Phase.INTERRUPTED, "Interrupted"),
        (CANCELED, Phase.CANCELED, "Canceled"),
    ],
)
def test_what_is_asked_for_is_in_force_when_it_is_as_strong(lifecycle: Lifecycle, phase: Phase, reason: str) -> None:
    done, new = go_on(held(), lifecycle)
    ready = condition_in(new, ConditionType.READY)
    assert (done, new.phase, new.lifecycle, new.lifecycle_source) == ([], phase, lifecycle, LifecycleSource.SPEC)
    assert (ready.status, ready.reason) == ("True", reason)
    assert ("resumed and task b is edited" in ready.message) is (lifecycle is not CANCELED)
    if lifecycle is not CANCELED:
        _, released = go_on(new, ACTIVE, generation=4)
        assert (released.phase, released.lifecycle_source) == (Phase.SUSPENDED, LifecycleSource.FAILURE)


def test_task_is_left_alone_when_it_runs() -> None:
    """Its status was lost, and what it was given with it."""
    old = status(Phase.ACTIVE, (lost(), entry("b", TaskPhase.RUNNING), *fresh("c")))
    decision, new = decide(chain(old=old, runs={"b": RUNNING}))
    assert (names_of(decision.after), new.phase, new.lifecycle_source) == ([], Phase.ACTIVE, LifecycleSource.SPEC)


def test_refusal_is_kept_by_the_status_when_it_is_read_again() -> None:
    observed = with_status(chain(runs={"a": A_CUT}), held())
    assert entry_in(observed.status, "b").refused_hash is not None
    assert decide(observed)[1] == held()


def test_whole_output_is_handed_on_when_another_was_cut_before() -> None:
    old = status(Phase.ACTIVE, (lost(), entry("b", TaskPhase.RUNNING, refused_hash="x"), *fresh("c")))
    decision, _ = decide(chain(old=old, runs={"b": succeeded("7")}))
    assert environment_of(decision.after[0])["MAGEFLOW_PREVIOUS"] == "7"
