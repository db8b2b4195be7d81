"""A Chain of three: each phase x each lifecycle, its order, what is handed on, how it ends, what it counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import pytest

from mageflow.api import CHAIN, ConditionType, Lifecycle, Phase, Status, TaskPhase, TaskStatus
from mageflow.core.conditions import Consistency, Readiness, build_conditions
from mageflow.core.decision import Decision
from mageflow.core.observed import Evidence, ObservedResource, Refusal, Run, Runs

from .builders import (
    EARLIER,
    NOON,
    after,
    complete_job,
    condition_in,
    decide,
    disrupted_job,
    failed_job,
    failed_pod,
    job,
    pending_pod,
    running_pod,
    succeeded_pod,
    with_status,
)
from .many_builders import (
    ABC,
    EVICTED,
    FAILED,
    GOING,
    OTHER_TEMPLATE,
    PENDING,
    RUNNING,
    STOPPED,
    STOPPING,
    all_of,
    chain,
    chain_task,
    counts_of,
    entry,
    entry_of,
    environment_of,
    find_entry,
    fresh,
    job_name_of,
    one,
    phases_of,
    status,
    succeeded,
)

ACTIVE, SUSPENDED, INTERRUPTED, CANCELED = Lifecycle

Seen = Mapping[str, Runs]

A_DONE = entry("a", TaskPhase.SUCCEEDED, output={"rows": 3})
A_RAN = succeeded('{"rows": 3}')


def at_b(phase: Phase, b: TaskStatus, lifecycle: Lifecycle = ACTIVE, **facts: Any) -> Status:
    """The status of a Chain whose first task has succeeded, and whose second is what counts."""
    return status(phase, (A_DONE, b, *fresh("c")), lifecycle, **facts)


def told(new: Status, type_: ConditionType) -> str:
    condition = condition_in(new, type_)
    return f"{condition.status}/{condition.reason}"


def follow(*steps: tuple[Lifecycle, Seen], **facts: Any) -> list[tuple[Decision, Status]]:
    """Decide on what is asked for and seen, step by step, each time with the status written before."""
    new: Status | None = None
    decided = []
    for lifecycle, runs in steps:
        decision, new = decide(chain(lifecycle, new, runs, **facts))
        new = Status.model_validate(new.to_json())
        decided.append((decision, new))
    return decided


# ── each phase x each lifecycle ──


def ended(phase: Phase, b: TaskPhase) -> Status:
    conditions = build_conditions(phase, Readiness(True, phase.value, "it ended"), Consistency(), (), 1, EARLIER)
    last = entry("c", TaskPhase.SUCCEEDED) if phase is Phase.SUCCEEDED else TaskStatus(name="c")
    return status(phase, (A_DONE, entry("b", b), last), finished_at=EARLIER, conditions=conditions)


SCENES: dict[Phase | None, tuple[Status | None, Seen]] = {
    None: (None, {}),
    Phase.PENDING: (status(Phase.PENDING, (entry("a", TaskPhase.PENDING), *fresh("b", "c"))), {"a": PENDING}),
    Phase.ACTIVE: (at_b(Phase.ACTIVE, entry("b", TaskPhase.RUNNING)), {"a": A_RAN, "b": RUNNING}),
    Phase.SUSPENDING: (
        at_b(Phase.SUSPENDING, entry("b", TaskPhase.STOPPING, holding=1), SUSPENDED),
        {"a": A_RAN, "b": EVICTED},
    ),
    Phase.SUSPENDED: (at_b(Phase.SUSPENDED, entry("b"), SUSPENDED), {"a": A_RAN}),
    Phase.INTERRUPTING: (
        at_b(Phase.INTERRUPTING, entry("b", TaskPhase.STOPPING, started_at=EARLIER), INTERRUPTED),
        {"a": A_RAN, "b": STOPPING},
    ),
    Phase.INTERRUPTED: (
        at_b(Phase.INTERRUPTED, entry("b", started_at=EARLIER, interruptions=1), INTERRUPTED, interruptions=1),
        {"a": A_RAN},
    ),
    Phase.SUCCEEDED: (ended(Phase.SUCCEEDED, TaskPhase.SUCCEEDED), {"a": A_RAN}),
    Phase.FAILED: (ended(Phase.FAILED, TaskPhase.FAILED), {"a": A_RAN, "b": FAILED}),
    Phase.CANCELED: (ended(Phase.CANCELED, TaskPhase.UNSTARTED), {"a": A_RAN}),
}
"""For each phase, a status that has it, and what is in the cluster then."""


@dataclass(frozen=True)
class Cell:
    """What becomes of a Chain in a phase, once a lifecycle is asked for."""

    phase: Phase | None
    lifecycle: Lifecycle
    new_phase: Phase
    ready: str
    suspended: str
    actions: Sequence[str] = ()

    @property
    def sentence(self) -> str:
        phase = "no status yet" if self.phase is None else self.phase.value
        return f"{phase}, {self.lifecycle.value} is asked for: {self.new_phase.value}, Ready {self.ready}"


RUNNABLE_CELLS = [
    Cell(None, ACTIVE, Phase.PENDING, "False/Pending", "False/Active", ["CreateJob a-1"]),
    Cell(None, SUSPENDED, Phase.SUSPENDED, "True/Suspended", "True/Suspended"),
    Cell(None, INTERRUPTED, Phase.INTERRUPTED, "True/Interrupted", "True/Interrupted"),
    Cell(None, CANCELED, Phase.CANCELED, "True/Canceled", "False/Canceled"),

    Cell(Phase.PENDING, ACTIVE, Phase.PENDING, "False/Pending", "False/Active"),
    Cell(Phase.PENDING, SUSPENDED, Phase.SUSPENDING, "False/Suspending", "False/Suspending", ["EvictPod a-1"]),
    Cell(Phase.PENDING, INTERRUPTED, Phase.INTERRUPTING, "False/Interrupting", "False/Interrupting", ["StopJob a-1"]),
    Cell(Phase.PENDING, CANCELED, Phase.INTERRUPTING, "False/Interrupting", "False/Interrupting", ["StopJob a-1"]),

    Cell(Phase.ACTIVE, ACTIVE, Phase.ACTIVE, "True/Running", "False/Active"),
    Cell(Phase.ACTIVE, SUSPENDED, Phase.SUSPENDING, "False/Suspending", "False/Suspending"),
    Cell(Phase.ACTIVE, INTERRUPTED, Phase.INTERRUPTING, "False/Interrupting", "False/Interrupting", ["StopJob b-1"]),
    Cell(Phase.ACTIVE, CANCELED, Phase.INTERRUPTING, "False/Interrupting", "False/Interrupting", ["StopJob b-1"]),

    Cell(Phase.SUSPENDING, ACTIVE, Phase.ACTIVE, "False/Pending", "False/Active"),
    Cell(Phase.SUSPENDING, SUSPENDED, Phase.SUSPENDING, "False/Suspending", "False/Suspending"),
    Cell(Phase.SUSPENDING, INTERRUPTED, Phase.INTERRUPTING, "False/Interrupting", "False/Interrupting"),
    Cell(Phase.SUSPENDING, CANCELED, Phase.INTERRUPTING, "False/Interrupting", "False/Interrupting"),

    Cell(Phase.SUSPENDED, ACTIVE, Phase.ACTIVE, "False/Pending", "False/Active", ["CreateJob b-2"]),
    Cell(Phase.SUSPENDED, SUSPENDED, Phase.SUSPENDED, "True/Suspended", "True/Suspended"),
    Cell(Phase.SUSPENDED, INTERRUPTED, Phase.INTERRUPTED, "True/Interrupted", "True/Interrupted"),
    Cell(Phase.SUSPENDED, CANCELED, Phase.CANCELED, "True/Canceled", "False/Canceled"),

    Cell(Phase.INTERRUPTING, ACTIVE, Phase.ACTIVE, "False/Pending", "False/Active"),
    Cell(Phase.INTERRUPTING, SUSPENDED, Phase.SUSPENDING, "False/Suspending", "False/Suspending"),
    Cell(Phase.INTERRUPTING, INTERRUPTED, Phase.INTERRUPTING, "False/Interrupting", "False/Interrupting"),
    Cell(Phase.INTERRUPTING, CANCELED, Phase.INTERRUPTING, "False/Interrupting", "False/Interrupting"),

    Cell(Phase.INTERRUPTED, ACTIVE, Phase.ACTIVE, "False/Pending", "False/Active", ["CreateJob b-2"]),
    Cell(Phase.INTERRUPTED, SUSPENDED, Phase.SUSPENDED, "True/Suspended", "True/Suspended"),
    Cell(Phase.INTERRUPTED, INTERRUPTED, Phase.INTERRUPTED, "True/Interrupted", "True/Interrupted"),
    Cell(Phase.INTERRUPTED, CANCELED, Phase.CANCELED, "True/Canceled", "False/Canceled"),
]  # fmt: skip

ENDED_CELLS = [
    Cell(phase, lifecycle, phase, f"True/{phase.value}", f"False/{phase.value}")
    for phase in (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELED)
    for lifecycle in Lifecycle
]

CELLS = [*RUNNABLE_CELLS, *ENDED_CELLS]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.sentence)
def test_chain_goes_on_to_a_phase_when_a_lifecycle_is_asked_for(cell: Cell) -> None:
    old, runs = SCENES[cell.phase]
    decision, new = decide(chain(cell.lifecycle, old, runs))

    assert new.phase is cell.new_phase
    assert told(new, ConditionType.READY) == cell.ready
    assert told(new, ConditionType.SUSPENDED) == cell.suspended
    assert all_of(decision) == list(cell.actions)


def test_table_covers_each_cell() -> None:
    assert {(cell.phase, cell.lifecycle) for cell in CELLS} == set(product((None, *Phase), Lifecycle))
    assert {phase for phase, (old, _) in SCENES.items() if (old and old.phase) is phase} == {None, *Phase}


@pytest.mark.parametrize("cell", RUNNABLE_CELLS, ids=lambda cell: cell.sentence)
def test_each_task_has_an_entry_and_is_counted_once_when_not_ended(cell: Cell) -> None:
    old, runs = SCENES[cell.phase]
    _, new = decide(chain(cell.lifecycle, old, runs))

    done = int(cell.phase not in (None, Phase.PENDING))
    running = int(cell.phase is Phase.ACTIVE and cell.lifecycle in (ACTIVE, SUSPENDED))
    assert [task.name for task in new.tasks] == ["a", "b", "c"]
    assert counts_of(new) == (done, 0, running, 3 - done - running, 3)
    assert (new.progress, new.lifecycle) == (f"{done}/3", cell.lifecycle)
    assert (new.suspended_at is None) == (cell.lifecycle is ACTIVE)


# ── in order, one at a time ──


def test_tasks_run_one_after_the_other_when_each_succeeds() -> None:
    second, third = one(pending_pod()), one(running_pod())
    a, b, c = succeeded("1"), succeeded("2"), succeeded("3")
    decided = follow(
        (ACTIVE, {}),
        (ACTIVE, {"a": RUNNING}),
        (ACTIVE, {"a": a}),
        (ACTIVE, {"a": a, "b": second}),
        (ACTIVE, {"a": a, "b": b}),
        (ACTIVE, {"a": a, "b": b, "c": third}),
        (ACTIVE, {"a": a, "b": b, "c": c}),
    )

    assert [all_of(decision) for decision, _ in decided] == [
        ["CreateJob a-1"], [], ["CreateJob b-1"], [], ["CreateJob c-1"], [], [],
    ]  # fmt: skip
    assert [new.phase for _, new in decided] == [Phase.PENDING, *[Phase.ACTIVE] * 5, Phase.SUCCEEDED]
    assert [new.progress for _, new in decided] == ["0/3", "0/3", "1/3", "1/3", "2/3", "2/3", "3/3"]
    assert decided[-1][1].output == 3


def test_only_the_first_run_is_created_before_it_is_recorded() -> None:
    (first, _), (second, new) = follow((ACTIVE, {}), (ACTIVE, {"a": succeeded()}))

    assert (len(first.before), first.after) == (1, ())
    assert (second.before, len(second.after)) == ((), 1)
    assert phases_of(new) == {"a": "Succeeded", "b": "Recorded", "c": "Unstarted"}


def test_next_task_is_recorded_with_its_job_before_it_is_created() -> None:
    _, new = decide(chain(old=at_b(Phase.ACTIVE, TaskStatus(name="b")), runs={"a": A_RAN}))
    b = entry_of(new, "b")

    assert (b.phase, b.run, b.job) == (TaskPhase.RECORDED, 1, job_name_of(CHAIN, "b", 1))


@pytest.mark.parametrize("state", ["pending", "running", "without a pod"])
def test_next_task_waits_when_the_one_before_has_not_ended(state: str) -> None:
    pod = {"pending": pending_pod(), "running": running_pod(), "without a pod": None}[state]
    decision, _ = decide(chain(old=at_b(Phase.ACTIVE, entry("b", TaskPhase.PENDING)), runs={"a": A_RAN, "b": one(pod)}))
    assert [name for name in all_of(decision) if name.startswith("CreateJob")] == []


def test_running_task_is_named_when_it_runs() -> None:
    _, new = decide(chain(old=at_b(Phase.ACTIVE, entry("b", TaskPhase.RUNNING)), runs={"a": A_RAN, "b": RUNNING}))
    assert condition_in(new, ConditionType.READY).message == "running: b"


# ── what one task hands on to the next ──


@pytest.mark.parametrize(
    ("text", "previous"),
    [
        pytest.param('{"rows": 3, "of": null}', '{"rows":3,"of":null}', id="JSON stays JSON, nulls inside too"),
        pytest.param("all done\n", '"all done"', id="text is a JSON string, without its last newline"),
        pytest.param("$(HOME)", '"$$(HOME)"', id="nothing in it is expanded"),
        pytest.param("0", "0", id="zero"),
        pytest.param("false", "false", id="false"),
        pytest.param(None, "null", id="nothing was written"),
    ],
)
def test_next_task_gets_the_output_of_the_one_before(text: str | None, previous: str) -> None:
    old = status(Phase.ACTIVE, (entry("a", TaskPhase.RUNNING), *fresh("b", "c")))
    decision, new = decide(chain(old=old, runs={"a": succeeded(text)}))
    (create,) = decision.after
    again = decide(chain(old=Status.model_validate(new.to_json()), runs={}))[0].after[0]

    assert environment_of(create)["MAGEFLOW_PREVIOUS"] == previous
    assert environment_of(again)["MAGEFLOW_PREVIOUS"] == previous, "the same when it is created after a restart"


def test_first_task_gets_null_as_there_is_none_before() -> None:
    (create,) = decide(chain())[0].before
    environment = environment_of(create)
    assert (environment["MAGEFLOW_PREVIOUS"], environment["MAGEFLOW_INDEX"]) == ("null", "0")


def test_task_gets_the_output_of_the_one_before_in_its_second_run_too() -> None:
    decision, _ = decide(chain(ACTIVE, at_b(Phase.SUSPENDED, entry("b"), SUSPENDED)))
    (create,) = decision.after
    environment = environment_of(create)
    assert (environment["MAGEFLOW_PREVIOUS"], environment["MAGEFLOW_INDEX"]) == ('{"rows":3}', "1")
    assert (environment["MAGEFLOW_RUN"], environment["MAGEFLOW_RESUMED"]) == ("2", "false")


def test_outputs_are_kept_in_the_ledger_when_tasks_succeed() -> None:
    *_, (_, new) = follow((ACTIVE, {}), (ACTIVE, {"a": succeeded('{"rows": 3}')}))
    assert [task.output for task in new.tasks] == [{"rows": 3}, None, None]


def test_output_is_the_last_tasks_when_it_succeeds() -> None:
    old = status(Phase.ACTIVE, (A_DONE, entry("b", TaskPhase.SUCCEEDED, output=2), entry("c", TaskPhase.RUNNING)))
    _, new = decide(chain(old=old, runs={"c": succeeded('["x"]')}))
    assert (new.phase, new.output, entry_of(new, "c").output) == (Phase.SUCCEEDED, ["x"], ["x"])


def test_output_is_the_last_tasks_when_those_after_it_are_removed_while_held() -> None:
    """It had ended before, so its run is no news in the decision that ends the Chain."""
    _, new = decide(chain(SUSPENDED, at_b(Phase.SUSPENDED, TaskStatus(name="b"), SUSPENDED), tasks=ABC[:1]))
    assert (new.phase, new.output, counts_of(new)) == (Phase.SUCCEEDED, {"rows": 3}, (1, 0, 0, 0, 1))


def test_there_is_no_output_when_it_has_not_ended() -> None:
    _, new = decide(chain(old=at_b(Phase.ACTIVE, entry("b", TaskPhase.RUNNING)), runs={"b": RUNNING}))
    assert new.output is None


# ── suspended ──


def test_running_task_finishes_and_the_next_does_not_start_when_suspended() -> None:
    a = {"a": A_RAN}
    decided = follow(
        (ACTIVE, {}),
        (ACTIVE, {"a": RUNNING}),
        (SUSPENDED, {"a": RUNNING}),
        (SUSPENDED, a),
        (SUSPENDED, a),
        (ACTIVE, a),
    )
    _, _, (suspending, _), (quiet, suspended), (again, same), (resumed, active) = decided

    assert [new.phase for _, new in decided[2:]] == [
        Phase.SUSPENDING, Phase.SUSPENDED, Phase.SUSPENDED, Phase.ACTIVE,
    ]  # fmt: skip
    assert (suspending.after, quiet.after, again.after) == ((), (), ())
    assert (suspended, counts_of(suspended)) == (same, (1, 0, 0, 2, 3))
    assert all_of(resumed) == ["CreateJob b-1"]
    assert environment_of(resumed.after[0])["MAGEFLOW_PREVIOUS"] == '{"rows":3}'
    assert told(active, ConditionType.CONSISTENT) == "True/NeverInterrupted"


def test_pod_is_named_when_a_suspended_chain_waits_for_it() -> None:
    _, new = decide(chain(SUSPENDED, at_b(Phase.ACTIVE, entry("b", TaskPhase.RUNNING)), {"a": A_RAN, "b": RUNNING}))
    assert condition_in(new, ConditionType.READY).message == "waiting for pods to end: pod-b-1"


def test_pending_task_is_evicted_and_runs_again_when_suspended_and_resumed() -> None:
    a = {"a": A_RAN}
    old = at_b(Phase.ACTIVE, entry("b", TaskPhase.PENDING))
    evicting, marked = decide(chain(SUSPENDED, old, a | {"b": PENDING}))
    gone, held = decide(chain(SUSPENDED, marked, a | {"b": one(None, disrupted_job())}))
    resumed, _ = decide(chain(ACTIVE, held, a))

    assert (all_of(evicting), marked.phase, entry_of(marked, "b").holding) == (
        ["EvictPod b-1"], Phase.SUSPENDING, 1,
    )  # fmt: skip
    assert (all_of(gone), held.phase, entry_of(held, "b").phase) == (
        ["DeleteJob b-1"], Phase.SUSPENDED, TaskPhase.UNSTARTED,
    )  # fmt: skip
    assert (entry_of(held, "b").failures, entry_of(held, "b").disruptions) == (0, 0)
    assert all_of(resumed) == ["CreateJob b-2"]


@pytest.mark.parametrize(
    ("c", "phase"),
    [
        pytest.param(succeeded("42"), Phase.SUCCEEDED, id="well"),
        pytest.param(FAILED, Phase.FAILED, id="badly"),
    ],
)
@pytest.mark.parametrize("lifecycle", [SUSPENDED, INTERRUPTED, CANCELED])
def test_chain_has_ended_when_its_last_task_ends_while_it_is_held(c: Runs, phase: Phase, lifecycle: Lifecycle) -> None:
    b = entry("b", TaskPhase.SUCCEEDED)
    old = status(Phase.SUSPENDING, (A_DONE, b, entry("c", TaskPhase.RUNNING)), SUSPENDED)
    decision, new = decide(chain(lifecycle, old, {"c": c}))

    assert (new.phase, new.finished_at, decision.after) == (phase, NOON, ())
    assert new.output == (42 if phase is Phase.SUCCEEDED else None)


def test_chain_fails_when_a_task_in_its_midst_fails_while_suspending() -> None:
    old = at_b(Phase.SUSPENDING, entry("b", TaskPhase.RUNNING), SUSPENDED)
    _, new = decide(chain(SUSPENDED, old, {"b": FAILED}))
    assert (new.phase, told(new, ConditionType.FAILED)) == (Phase.FAILED, "True/Failed")


def test_last_task_is_held_when_it_was_evicted_though_its_job_is_complete() -> None:
    """It exits 0 on SIGTERM: neither has it succeeded, nor has the Chain."""
    held = entry("c", TaskPhase.STOPPING, holding=1)
    old = status(Phase.SUSPENDING, (A_DONE, entry("b", TaskPhase.SUCCEEDED), held), SUSPENDED)
    _, new = decide(chain(SUSPENDED, old, {"c": {1: Run(complete_job(), (), Evidence(stop="it was killed"))}}))

    assert (new.phase, entry_of(new, "c").phase) == (Phase.SUSPENDED, TaskPhase.UNSTARTED)


# ── interrupted and canceled ──


def test_running_task_is_stopped_and_runs_again_from_its_start_when_interrupted_and_resumed() -> None:
    a = {"a": A_RAN}
    decided = follow(
        (ACTIVE, {}),
        (ACTIVE, a),
        (ACTIVE, a | {"b": RUNNING}),
        (INTERRUPTED, a | {"b": RUNNING}),
        (INTERRUPTED, a | {"b": STOPPING}),
        (INTERRUPTED, a | {"b": STOPPED}),
        (INTERRUPTED, a | {"b": GOING}),
        (INTERRUPTED, a),
        (ACTIVE, a),
        (ACTIVE, a | {"b": one(running_pod(), job(2), run=2)}),
    )

    assert [all_of(decision) for decision, _ in decided[3:]] == [
        ["StopJob b-1"], [], ["DeleteJob b-1"], [], [], ["CreateJob b-2"], [],
    ]  # fmt: skip
    assert [new.phase for _, new in decided[3:]] == [
        *[Phase.INTERRUPTING] * 3, Phase.INTERRUPTED, Phase.INTERRUPTED, Phase.ACTIVE, Phase.ACTIVE,
    ]  # fmt: skip
    resumed, last = decided[-2][0], decided[-1][1]
    environment = environment_of(resumed.after[0])
    assert (environment["MAGEFLOW_RESUMED"], environment["MAGEFLOW_PREVIOUS"]) == ("true", '{"rows":3}')
    assert (last.interruptions, entry_of(last, "b").interruptions, entry_of(last, "b").failures) == (1, 1, 0)
    assert told(last, ConditionType.CONSISTENT) == "False/InterruptedWhileRunning"
    assert told(last, ConditionType.READY) == "True/Running"


def test_chain_is_canceled_for_good_when_its_pod_is_gone() -> None:
    a = {"a": A_RAN}
    old = at_b(Phase.INTERRUPTING, entry("b", TaskPhase.STOPPING, started_at=EARLIER), CANCELED)
    quiet, still = decide(chain(CANCELED, old, a | {"b": STOPPED}))
    _, canceled = decide(chain(CANCELED, still, a | {"b": GOING}))
    decision, same = decide(chain(ACTIVE, canceled, a))

    assert (still.phase, all_of(quiet)) == (Phase.INTERRUPTING, ["DeleteJob b-1"])
    assert (canceled.phase, canceled.finished_at) == (Phase.CANCELED, NOON)
    assert counts_of(canceled) == (1, 0, 0, 2, 3)
    assert (same, all_of(decision)) == (canceled, [])


# ── failures ──


def test_chain_fails_at_its_first_failed_task_and_names_it() -> None:
    old = at_b(Phase.ACTIVE, entry("b", TaskPhase.RUNNING))
    decision, new = decide(chain(old=old, runs={"a": A_RAN, "b": FAILED}))

    assert (new.phase, decision.after) == (Phase.FAILED, ())
    failed = condition_in(new, ConditionType.FAILED)
    assert failed.message == "task b: run 1 failed and no retries are left: NonZeroExitCode: exit code 1"
    assert told(new, ConditionType.STALLED) == "True/Failed"
    assert counts_of(new) == (1, 1, 0, 1, 3)
    assert phases_of(new) == {"a": "Succeeded", "b": "Failed", "c": "Unstarted"}
    assert [(event.type, event.reason, event.message) for event in decision.events] == [
        ("Warning", "Failed", failed.message)
    ]


def test_later_tasks_never_start_when_the_chain_has_failed() -> None:
    old = at_b(Phase.ACTIVE, entry("b", TaskPhase.RUNNING))
    _, new = decide(chain(old=old, runs={"b": FAILED}))
    for lifecycle in Lifecycle:
        assert all_of(decide(chain(lifecycle, new, {"a": A_RAN, "b": FAILED}))[0]) == []


def retrying(retries: int = 1) -> tuple[Any, ...]:
    return (ABC[0], chain_task("b", retries=retries), ABC[2])


def test_chain_waits_for_the_back_off_when_a_task_in_its_midst_fails_with_retries_left() -> None:
    old = at_b(Phase.ACTIVE, entry("b", TaskPhase.RUNNING))
    decision, new = decide(chain(old=old, runs={"b": FAILED}, tasks=retrying()))
    due, _ = decide(chain(old=new, runs={"b": FAILED}, tasks=retrying()), after(10))

    assert (all_of(decision), decision.recheck_at, new.phase) == ([], after(10), Phase.ACTIVE)
    assert counts_of(new) == (1, 0, 0, 2, 3)
    ready = condition_in(new, ConditionType.READY)
    assert ready.message == "task b: run 1 ended (NonZeroExitCode: exit code 1); the next starts at 12:00:10 UTC"
    assert [event.message for event in decision.events] == ["task b, run 1: exit code 1"]
    assert all_of(due) == ["CreateJob b-2"]
    assert environment_of(due.after[0])["MAGEFLOW_PREVIOUS"] == '{"rows":3}'


@pytest.mark.parametrize("lifecycle", [SUSPENDED, INTERRUPTED])
def test_back_off_stands_still_when_held_and_goes_on_when_resumed(lifecycle: Lifecycle) -> None:
    runs = {"b": FAILED}
    old = at_b(Phase.ACTIVE, entry("b", TaskPhase.BACKING_OFF, retry_at=after(10)))
    held, frozen = decide(chain(lifecycle, old, runs, tasks=retrying()), after(4))
    resumed, thawed = decide(chain(ACTIVE, frozen, runs, tasks=retrying()), after(3600))
    due, _ = decide(chain(ACTIVE, thawed, runs, tasks=retrying()), after(3606))

    assert frozen.phase is (Phase.SUSPENDED if lifecycle is SUSPENDED else Phase.INTERRUPTED)
    assert (all_of(held), held.recheck_at, entry_of(frozen, "b").backoff_seconds) == ([], None, 6)
    assert (all_of(resumed), resumed.recheck_at) == ([], after(3606))
    assert all_of(due) == ["CreateJob b-2"]


def test_chain_goes_on_when_a_retry_succeeds() -> None:
    old = at_b(Phase.ACTIVE, entry("b", TaskPhase.RUNNING, run=2, failures=1))
    runs = {"b": {**FAILED, **succeeded("2", run=2)}}
    decision, new = decide(chain(old=old, runs=runs, tasks=retrying()))

    assert (all_of(decision), counts_of(new)) == (["CreateJob c-1"], (2, 0, 0, 1, 3))
    assert environment_of(decision.after[0])["MAGEFLOW_PREVIOUS"] == "2"


def test_chain_fails_when_the_retries_are_used_up() -> None:
    old = at_b(Phase.ACTIVE, entry("b", TaskPhase.RUNNING, run=2, failures=1))
    runs = {"b": {**FAILED, 2: Run(failed_job(2), (failed_pod(),))}}
    _, new = decide(chain(old=old, runs=runs, tasks=retrying()))
    assert condition_in(new, ConditionType.FAILED).message.startswith("task b: run 2 failed and no retries are left")


def test_output_of_a_failed_task_is_in_its_message_and_not_the_chains() -> None:
    pod = failed_pod(output="disk full")
    old = at_b(Phase.ACTIVE, entry("b", TaskPhase.RUNNING))
    _, new = decide(chain(old=old, runs={"b": one(pod, failed_job())}))
    assert (new.output, "exit code 1: disk full" in condition_in(new, ConditionType.FAILED).message) == (None, True)


# ── refused ──

INVALID = Refusal("InvalidTask", "spec.template.spec.containers[0].image: Required value", True, after(360))


def test_later_tasks_wait_when_one_is_invalid() -> None:
    old = at_b(Phase.ACTIVE, entry("b", TaskPhase.RECORDED))
    decision, new = decide(chain(old=old, runs={"a": A_RAN}, refusals={"b": INVALID}))

    assert all_of(decision) == []
    stalled = condition_in(new, ConditionType.STALLED)
    assert (stalled.reason, stalled.message) == ("InvalidTask", f"task b: {INVALID.message}")


def test_refused_task_runs_when_it_was_edited_while_held() -> None:
    old = at_b(Phase.ACTIVE, entry("b", reason="InvalidTask", message="no image"), observed_generation=2)
    observed = chain(SUSPENDED, old, {"a": A_RAN}, generation=3)
    for lifecycle, generation in ((SUSPENDED, 3), (SUSPENDED, 4), (ACTIVE, 5)):
        edited = replace(chain(lifecycle, generation=generation), status=observed.status, runs=observed.runs)
        decision, new = decide(edited)
        observed = with_status(edited, new)
    assert all_of(decision) == ["CreateJob b-2"]


# ── edited ──


def edit(observed: ObservedResource, *changed: str) -> ObservedResource:
    tasks = [chain_task(name, template=dict(OTHER_TEMPLATE)) if name in changed else chain_task(name) for name in "abc"]
    return replace(chain(tasks=tasks, generation=observed.generation + 1), status=observed.status, runs=observed.runs)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("a", "task a has succeeded: editing it has no effect on that; take it back", id="succeeded"),
        pytest.param("b", "task b is in run 1: editing it has no effect on that; take it back", id="running"),
        pytest.param("c", None, id="unstarted: that is allowed"),
    ],
)
def test_edit_that_comes_too_late_is_told_until_it_is_taken_back(name: str, message: str | None) -> None:
    runs = {"a": A_RAN, "b": RUNNING}
    observed = chain(old=at_b(Phase.ACTIVE, entry("b", TaskPhase.RUNNING)), runs=runs, generation=1)
    _, new = decide(edit(observed, name))
    edited = with_status(edit(observed, name), new)
    _, same = decide(edited)
    _, taken_back = decide(edit(edited))

    ready = condition_in(new, ConditionType.READY)
    assert (ready.reason, ready.message) == (("TaskChanged", message) if message else ("Running", "running: b"))
    assert same == new
    assert told(taken_back, ConditionType.READY) == "True/Running"


def test_edited_task_runs_as_it_is_now_when_it_was_edited_while_held() -> None:
    held = at_b(Phase.SUSPENDED, entry("b"), SUSPENDED)
    decision, new = decide(edit(chain(old=held, runs={"a": A_RAN}), "b"))
    (create,) = decision.after

    assert create.manifest["spec"]["template"]["spec"]["containers"][0]["image"] == "busybox:1.36"  # type: ignore[union-attr]
    assert entry_of(new, "b").template_hash != entry("b").template_hash


def test_task_added_before_a_pending_one_runs_first_when_resumed() -> None:
    tasks = (ABC[0], chain_task("new"), *ABC[1:])
    decision, new = decide(chain(ACTIVE, at_b(Phase.SUSPENDED, entry("b"), SUSPENDED), {"a": A_RAN}, tasks=tasks))

    assert all_of(decision) == ["CreateJob new-1"]
    assert environment_of(decision.after[0])["MAGEFLOW_PREVIOUS"] == '{"rows":3}'
    assert list(phases_of(new)) == ["a", "new", "b", "c"]


# ── removed ──


def test_running_task_is_stopped_and_the_next_waits_for_it_when_it_is_removed() -> None:
    without_b = (ABC[0], ABC[2])
    runs = {"a": A_RAN, "b": RUNNING}
    stopping, new = decide(chain(old=at_b(Phase.ACTIVE, entry("b", TaskPhase.RUNNING)), runs=runs, tasks=without_b))
    quiet, still = decide(chain(old=new, runs={"a": A_RAN, "b": STOPPED}, tasks=without_b))
    ended_, later = decide(chain(old=still, runs={"a": A_RAN, "b": GOING}, tasks=without_b))
    going_on, _ = decide(chain(old=later, runs={"a": A_RAN}, tasks=without_b))

    assert all_of(stopping) == ["StopJob b-1"], "never two at once"
    assert counts_of(new) == (1, 0, 0, 1, 2)
    assert all_of(quiet) == ["DeleteJob b-1"], "and not before its Job is gone, which could be let go"
    assert all_of(ended_) == ["CreateJob c-1"]
    assert all_of(going_on) == ["CreateJob c-1"], "recorded, and not seen yet"
    assert later.interruptions == 1


def test_chain_has_not_ended_when_a_removed_task_still_runs() -> None:
    runs = {"a": A_RAN, "b": RUNNING}
    old = at_b(Phase.ACTIVE, entry("b", TaskPhase.RUNNING))
    decision, new = decide(chain(old=old, runs=runs, tasks=ABC[:1]))
    _, later = decide(chain(old=new, runs={"a": A_RAN, "b": GOING}, tasks=ABC[:1]))

    assert (all_of(decision), new.phase) == (["StopJob b-1"], Phase.ACTIVE)
    assert (later.phase, later.output) == (Phase.SUCCEEDED, {"rows": 3})


def test_removed_task_is_forgotten_when_it_never_had_a_run() -> None:
    _, new = decide(chain(SUSPENDED, at_b(Phase.SUSPENDED, entry("b"), SUSPENDED), tasks=ABC[:2]))
    assert find_entry(new, "c") is None


def test_removed_task_is_not_run_again_when_it_had_succeeded_and_comes_back() -> None:
    runs = {"a": A_RAN, "b": one(succeeded_pod(), complete_job())}
    b_done = entry("b", TaskPhase.SUCCEEDED, output=2)
    old = status(Phase.SUSPENDED, (A_DONE, b_done, *fresh("c")), SUSPENDED)
    _, without = decide(chain(SUSPENDED, old, runs, tasks=(ABC[0], ABC[2])))
    decision, back = decide(chain(ACTIVE, without, runs))

    assert counts_of(without) == (1, 0, 0, 1, 2)
    assert all_of(decision) == ["CreateJob c-1"]
    assert environment_of(decision.after[0])["MAGEFLOW_PREVIOUS"] == "2"
    assert list(phases_of(back)) == ["a", "b", "c"]
