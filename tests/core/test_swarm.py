"""A Swarm: how many at once, what a suspend and an interrupt do to many, how it ends, and the small ledger it keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import pytest

from mageflow.api import ConditionType, Lifecycle, Phase, Status, TaskPhase
from mageflow.core.conditions import Consistency, Readiness, build_conditions
from mageflow.core.observed import Creation, ObservedResource, ReasonMessage, Refusal, Runs
from mageflow.core.plan import MAX_PASSED_OVER

from .builders import (
    EARLIER,
    NOON,
    TEMPLATE,
    after,
    condition_in,
    decide,
    disrupted_job,
    first_runs,
    job,
    pending_pod,
    running_pod,
    with_status,
)
from .many_builders import (
    EVICTED,
    FAILED,
    GOING,
    OTHER_TEMPLATE,
    PENDING,
    RUNNING,
    STOPPED,
    STOPPING,
    all_of,
    compact,
    counts_of,
    entry,
    entry_of,
    environment_of,
    find_entry,
    names_of,
    one,
    phases_of,
    seen_next,
    status,
    succeeded,
    swarm,
    swarm_task,
)

ACTIVE, SUSPENDED, INTERRUPTED, CANCELED = Lifecycle

Seen = Mapping[str, Runs]

DONE = succeeded("3")


def told(new: Status, type_: ConditionType) -> str:
    condition = condition_in(new, type_)
    return f"{condition.status}/{condition.reason}"


def running(*names: str, phase: Phase = Phase.ACTIVE, done: Sequence[str] = (), **facts: Any) -> Status:
    return status(phase, (*map(compact, done), *(entry(name, TaskPhase.RUNNING) for name in names)), **facts)


def each(runs: Runs, *names: str) -> dict[str, Runs]:
    return dict.fromkeys(names, runs)


# ── each phase x each lifecycle: a has succeeded, b runs or was about to, c is pending or was; two at once ──


def ended(phase: Phase, b: TaskPhase) -> Status:
    conditions = build_conditions(phase, Readiness(True, phase.value, "it ended"), Consistency(), (), 1, EARLIER)
    return status(phase, (compact("a"), entry("b", b)), finished_at=EARLIER, conditions=conditions)


A_RAN = {"a": DONE}
SCENES: dict[Phase | None, tuple[Status | None, Seen]] = {
    None: (None, {}),
    Phase.PENDING: (
        status(Phase.PENDING, (entry("a", TaskPhase.PENDING), entry("b", TaskPhase.PENDING))),
        each(PENDING, "a", "b"),
    ),
    Phase.ACTIVE: (
        status(Phase.ACTIVE, (compact("a"), entry("b", TaskPhase.RUNNING), entry("c", TaskPhase.PENDING))),
        A_RAN | {"b": RUNNING, "c": PENDING},
    ),
    Phase.SUSPENDING: (
        status(
            Phase.SUSPENDING,
            (compact("a"), entry("b", TaskPhase.RUNNING), entry("c", TaskPhase.STOPPING, holding=1)),
            SUSPENDED,
        ),
        A_RAN | {"b": RUNNING, "c": EVICTED},
    ),
    Phase.SUSPENDED: (
        status(Phase.SUSPENDED, (compact("a"), entry("c")), SUSPENDED, started_at=EARLIER),
        A_RAN,
    ),
    Phase.INTERRUPTING: (
        status(
            Phase.INTERRUPTING,
            (compact("a"), *(entry(name, TaskPhase.STOPPING, started_at=EARLIER) for name in "bc")),
            INTERRUPTED,
        ),
        A_RAN | {"b": STOPPING, "c": STOPPING},
    ),
    Phase.INTERRUPTED: (
        status(
            Phase.INTERRUPTED,
            (compact("a"), entry("b", started_at=EARLIER, interruptions=1)),
            INTERRUPTED,
            interruptions=1,
        ),
        A_RAN,
    ),
    Phase.SUCCEEDED: (ended(Phase.SUCCEEDED, TaskPhase.SUCCEEDED), A_RAN),
    Phase.FAILED: (ended(Phase.FAILED, TaskPhase.FAILED), A_RAN | {"b": FAILED}),
    Phase.CANCELED: (ended(Phase.CANCELED, TaskPhase.UNSTARTED), A_RAN),
}
"""For each phase, a status that has it, and what is in the cluster then."""


@dataclass(frozen=True)
class Cell:
    """What becomes of a Swarm in a phase, once a lifecycle is asked for."""

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


TO_INTERRUPTING = (Phase.INTERRUPTING, "False/Interrupting", "False/Interrupting")
TO_SUSPENDING = (Phase.SUSPENDING, "False/Suspending", "False/Suspending")
TO_SUSPENDED = (Phase.SUSPENDED, "True/Suspended", "True/Suspended")
TO_INTERRUPTED = (Phase.INTERRUPTED, "True/Interrupted", "True/Interrupted")
TO_CANCELED = (Phase.CANCELED, "True/Canceled", "False/Canceled")

RUNNABLE_CELLS = [
    Cell(None, ACTIVE, Phase.PENDING, "False/Pending", "False/Active", ["CreateJob a-1", "CreateJob b-1"]),
    Cell(None, SUSPENDED, *TO_SUSPENDED),
    Cell(None, INTERRUPTED, *TO_INTERRUPTED),
    Cell(None, CANCELED, *TO_CANCELED),

    Cell(Phase.PENDING, ACTIVE, Phase.PENDING, "False/Pending", "False/Active"),
    Cell(Phase.PENDING, SUSPENDED, *TO_SUSPENDING, ["EvictPod a-1", "EvictPod b-1"]),
    Cell(Phase.PENDING, INTERRUPTED, *TO_INTERRUPTING, ["StopJob a-1", "StopJob b-1"]),
    Cell(Phase.PENDING, CANCELED, *TO_INTERRUPTING, ["StopJob a-1", "StopJob b-1"]),

    Cell(Phase.ACTIVE, ACTIVE, Phase.ACTIVE, "True/Running", "False/Active"),
    Cell(Phase.ACTIVE, SUSPENDED, *TO_SUSPENDING, ["EvictPod c-1"]),
    Cell(Phase.ACTIVE, INTERRUPTED, *TO_INTERRUPTING, ["StopJob b-1", "StopJob c-1"]),
    Cell(Phase.ACTIVE, CANCELED, *TO_INTERRUPTING, ["StopJob b-1", "StopJob c-1"]),

    Cell(Phase.SUSPENDING, ACTIVE, Phase.ACTIVE, "True/Running", "False/Active"),
    Cell(Phase.SUSPENDING, SUSPENDED, *TO_SUSPENDING),
    Cell(Phase.SUSPENDING, INTERRUPTED, *TO_INTERRUPTING, ["StopJob b-1"]),
    Cell(Phase.SUSPENDING, CANCELED, *TO_INTERRUPTING, ["StopJob b-1"]),

    Cell(Phase.SUSPENDED, ACTIVE, Phase.ACTIVE, "False/Pending", "False/Active", ["CreateJob b-1", "CreateJob c-2"]),
    Cell(Phase.SUSPENDED, SUSPENDED, *TO_SUSPENDED),
    Cell(Phase.SUSPENDED, INTERRUPTED, *TO_INTERRUPTED),
    Cell(Phase.SUSPENDED, CANCELED, *TO_CANCELED),

    Cell(Phase.INTERRUPTING, ACTIVE, Phase.ACTIVE, "False/Pending", "False/Active"),
    Cell(Phase.INTERRUPTING, SUSPENDED, *TO_SUSPENDING),
    Cell(Phase.INTERRUPTING, INTERRUPTED, *TO_INTERRUPTING),
    Cell(Phase.INTERRUPTING, CANCELED, *TO_INTERRUPTING),

    Cell(Phase.INTERRUPTED, ACTIVE, Phase.ACTIVE, "False/Pending", "False/Active", ["CreateJob b-2", "CreateJob c-1"]),
    Cell(Phase.INTERRUPTED, SUSPENDED, *TO_SUSPENDED),
    Cell(Phase.INTERRUPTED, INTERRUPTED, *TO_INTERRUPTED),
    Cell(Phase.INTERRUPTED, CANCELED, *TO_CANCELED),
]  # fmt: skip

ENDED_CELLS = [
    Cell(phase, lifecycle, phase, f"True/{phase.value}", f"False/{phase.value}")
    for phase in (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELED)
    for lifecycle in Lifecycle
]

CELLS = [*RUNNABLE_CELLS, *ENDED_CELLS]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.sentence)
def test_swarm_goes_on_to_a_phase_when_a_lifecycle_is_asked_for(cell: Cell) -> None:
    old, runs = SCENES[cell.phase]
    decision, new = decide(swarm(cell.lifecycle, old, runs))

    assert new.phase is cell.new_phase
    assert told(new, ConditionType.READY) == cell.ready
    assert told(new, ConditionType.SUSPENDED) == cell.suspended
    assert all_of(decision) == list(cell.actions)


def test_table_covers_each_cell() -> None:
    assert {(cell.phase, cell.lifecycle) for cell in CELLS} == set(product((None, *Phase), Lifecycle))
    assert {phase for phase, (old, _) in SCENES.items() if (old and old.phase) is phase} == {None, *Phase}


@pytest.mark.parametrize("cell", RUNNABLE_CELLS, ids=lambda cell: cell.sentence)
def test_second_decision_changes_nothing_when_nothing_else_does(cell: Cell) -> None:
    old, runs = SCENES[cell.phase]
    observed = swarm(cell.lifecycle, old, runs)
    decision, new = decide(observed)
    again, same = decide(seen_next(observed, decision))

    assert same == new
    assert (again.before, again.events) == ((), ())
    assert names_of(again.after) == [name for name in names_of(decision.after) if not name.startswith("DeleteJob")]


# ── how many at once ──


def test_first_runs_are_created_first_up_to_the_limit_when_it_is_new() -> None:
    decision, new = decide(swarm(at_once=3))

    assert (names_of(decision.before), decision.after) == (["CreateJob a-1", "CreateJob b-1", "CreateJob c-1"], ())
    assert phases_of(new) == {"a": "Pending", "b": "Pending", "c": "Pending"}
    assert counts_of(new) == (0, 0, 0, 5, 5)


def test_first_runs_that_were_created_before_a_crash_are_counted_when_nothing_was_recorded() -> None:
    decision, new = decide(swarm(runs={"a": PENDING, "c": PENDING}, at_once=3))
    assert names_of(decision.after) == ["CreateJob b-1"]
    assert phases_of(new) == {"a": "Pending", "b": "Recorded", "c": "Pending"}


def test_next_tasks_start_in_order_when_some_have_ended() -> None:
    decision, new = decide(swarm(old=running("a", "b", "c"), runs=each(DONE, "a", "b") | {"c": RUNNING}, at_once=3))

    assert names_of(decision.after) == ["CreateJob d-1", "CreateJob e-1"]
    assert decision.before == ()
    assert phases_of(new) == {
        "a": "Succeeded", "b": "Succeeded", "c": "Running", "d": "Recorded", "e": "Recorded",
    }  # fmt: skip
    assert counts_of(new) == (2, 0, 1, 2, 5)


def test_recorded_run_takes_a_place_when_its_job_is_not_seen_yet() -> None:
    old = status(Phase.ACTIVE, (entry("a", TaskPhase.RECORDED), entry("b", TaskPhase.RUNNING)))
    decision, _ = decide(swarm(old=old, runs={"b": RUNNING}))
    assert names_of(decision.after) == ["CreateJob a-1"]


@pytest.mark.parametrize(
    "runs",
    [
        pytest.param(one(None), id="it has no pod yet"),
        pytest.param(EVICTED, id="it was evicted and is still there"),
        pytest.param(STOPPING, id="it is being stopped"),
    ],
)
def test_task_takes_a_place_when_a_pod_of_it_runs_or_may_start(runs: Runs) -> None:
    old = status(Phase.ACTIVE, (entry("a", TaskPhase.PENDING), entry("b", TaskPhase.RUNNING)))
    decision, _ = decide(swarm(old=old, runs={"a": runs, "b": RUNNING}))
    assert not any(name.startswith("CreateJob") for name in all_of(decision))


def test_slipped_pod_takes_a_place_when_its_run_is_over() -> None:
    """Run 1 of b was held by HoldJob, run 2 as well, and then the pod of run 1 turned up."""
    old = status(Phase.ACTIVE, (entry("a", TaskPhase.RUNNING), entry("b", run=2)))
    runs = {"a": RUNNING, "b": one(running_pod())}
    assert all_of(decide(swarm(old=old, runs=runs))[0]) == []


@pytest.mark.parametrize("lifecycle", [ACTIVE, SUSPENDED])
@pytest.mark.parametrize("at_once", [1, 2])
def test_running_tasks_run_on_when_the_limit_is_lowered(at_once: int, lifecycle: Lifecycle) -> None:
    old = running("a", "b", "c")
    decision, new = decide(swarm(lifecycle, old, each(RUNNING, "a", "b", "c"), at_once=at_once))

    assert all_of(decision) == []
    assert counts_of(new) == (0, 0, 3, 2, 5)


def test_pending_tasks_run_on_when_the_limit_is_lowered() -> None:
    old = status(Phase.PENDING, (entry(name, TaskPhase.PENDING) for name in "abc"))
    assert all_of(decide(swarm(old=old, runs=each(PENDING, "a", "b", "c"), at_once=1))[0]) == []


@pytest.mark.parametrize(
    ("ended_", "started"),
    [
        pytest.param(["a"], [], id="three run, one may: none"),
        pytest.param(["a", "b"], [], id="two run, one may: none"),
        pytest.param(["a", "b", "c"], ["CreateJob d-1"], id="none runs any more: the next"),
    ],
)
def test_next_task_starts_when_enough_have_ended_after_the_limit_was_lowered(
    ended_: list[str], started: list[str]
) -> None:
    runs = {name: DONE if name in ended_ else RUNNING for name in "abc"}
    assert all_of(decide(swarm(old=running("a", "b", "c"), runs=runs, at_once=1))[0]) == started


def test_more_tasks_start_when_the_limit_is_raised() -> None:
    decision, _ = decide(swarm(old=running("a", "b"), runs=each(RUNNING, "a", "b"), at_once=4))
    assert names_of(decision.after) == ["CreateJob c-1", "CreateJob d-1"]


@pytest.mark.parametrize(("at_once", "started"), [(1, "b"), (2, "bc"), (30, "bcde")])
def test_new_limit_holds_when_it_was_changed_while_suspended(at_once: int, started: str) -> None:
    old = status(Phase.SUSPENDED, (compact("a"),), SUSPENDED, started_at=EARLIER)
    held, new = decide(swarm(SUSPENDED, old, A_RAN, at_once=at_once))
    resumed, _ = decide(swarm(ACTIVE, new, A_RAN, at_once=at_once))

    assert all_of(held) == []
    assert names_of(resumed.after) == [f"CreateJob {name}-1" for name in started]


def test_recorded_task_gets_its_job_when_the_limit_was_lowered_meanwhile() -> None:
    old = status(Phase.PENDING, (entry(name, TaskPhase.RECORDED) for name in "ab"))
    assert names_of(decide(swarm(old=old, at_once=1))[0].after) == ["CreateJob a-1", "CreateJob b-1"]


@pytest.mark.parametrize(
    "refusal",
    [
        pytest.param(Refusal("InvalidTask", "no image", True, after(360)), id="its own fault"),
        pytest.param(Refusal("Forbidden", "exceeded quota", False, after(30)), id="not its fault"),
    ],
)
def test_refused_job_is_not_tried_again_when_the_limit_was_lowered_meanwhile(refusal: Refusal) -> None:
    """A recorded run outside the limit was tried again at once, and again."""
    old = status(Phase.PENDING, (entry(name, TaskPhase.RECORDED) for name in "ab"))
    decision, new = decide(swarm(old=old, at_once=1, tasks="ab", refusals={"b": refusal}))

    assert names_of(decision.after) == ["CreateJob a-1"]
    assert phases_of(new)["b"] == "Recorded"


# ── suspended, interrupted ──


def test_running_tasks_finish_and_no_other_starts_when_suspended() -> None:
    runs: Seen = each(RUNNING, "a", "b")
    new = running("a", "b")
    phases = []
    for seen in (runs, {"a": DONE, "b": RUNNING}, each(DONE, "a", "b")):
        decision, new = decide(swarm(SUSPENDED, new, seen))
        phases.append(new.phase)
        assert all_of(decision) == []

    assert phases == [Phase.SUSPENDING, Phase.SUSPENDING, Phase.SUSPENDED]
    assert counts_of(new) == (2, 0, 0, 3, 5)
    assert names_of(decide(swarm(ACTIVE, new, seen))[0].after) == ["CreateJob c-1", "CreateJob d-1"]


def test_pending_pods_are_evicted_when_suspended_while_others_run() -> None:
    old = status(Phase.ACTIVE, (entry("a", TaskPhase.RUNNING), entry("b", TaskPhase.PENDING)))
    decision, new = decide(swarm(SUSPENDED, old, {"a": RUNNING, "b": PENDING}))
    gone, later = decide(swarm(SUSPENDED, new, {"a": RUNNING, "b": one(None, disrupted_job())}))

    assert (names_of(decision.after), entry_of(new, "b").holding) == (["EvictPod b-1"], 1)
    assert (names_of(gone.after), later.phase) == (["DeleteJob b-1"], Phase.SUSPENDING)
    assert phases_of(later) == {"a": "Running", "b": "Unstarted"}


def test_failed_task_stays_failed_and_retries_wait_when_suspended() -> None:
    tasks = [swarm_task("a"), swarm_task("b", retries=1), swarm_task("c")]
    decision, new = decide(swarm(SUSPENDED, running("a", "b"), each(FAILED, "a", "b"), tasks=tasks))
    frozen, same = decide(swarm(SUSPENDED, new, each(FAILED, "a", "b"), tasks=tasks), after(60))

    assert (new.phase, all_of(decision), counts_of(new)) == (Phase.SUSPENDED, [], (0, 1, 0, 2, 3))
    assert entry_of(same, "b").backoff_seconds == 10
    assert all_of(frozen) == []


def test_every_task_is_stopped_when_interrupted_and_only_those_that_ran_are_counted() -> None:
    old = status(Phase.ACTIVE, (compact("a"), entry("b", TaskPhase.RUNNING), entry("c", TaskPhase.PENDING)))
    decision, new = decide(swarm(INTERRUPTED, old, A_RAN | {"b": RUNNING, "c": PENDING}))
    _, half = decide(swarm(INTERRUPTED, new, A_RAN | {"b": GOING, "c": one(pending_pod(), job(is_suspended=True))}))
    quiet, still = decide(swarm(INTERRUPTED, half, A_RAN | {"c": STOPPED}))
    _, last = decide(swarm(INTERRUPTED, still, A_RAN))
    resumed, again = decide(swarm(ACTIVE, last, A_RAN))

    assert names_of(decision.after) == ["StopJob b-1", "StopJob c-1"]
    assert (half.phase, half.interruptions) == (Phase.INTERRUPTING, 1)
    assert (names_of(quiet.after), still.phase) == (["DeleteJob c-1"], Phase.INTERRUPTING)
    assert (last.phase, last.interruptions) == (Phase.INTERRUPTED, 1)
    assert names_of(resumed.after) == ["CreateJob b-2", "CreateJob c-2"]
    assert [environment_of(action)["MAGEFLOW_RESUMED"] for action in resumed.after] == ["true", "false"]
    assert (again.interruptions, told(again, ConditionType.CONSISTENT)) == (1, "False/InterruptedWhileRunning")


def test_interruptions_are_still_counted_when_their_tasks_have_succeeded() -> None:
    """The entry of a task that succeeded doesn't keep them."""
    b = entry("b", TaskPhase.RUNNING, run=3, interruptions=2)
    old = status(Phase.ACTIVE, (compact("a"), b), interruptions=2)
    _, new = decide(swarm(old=old, runs=A_RAN | {"b": succeeded(run=3)}))
    _, later = decide(swarm(old=new, runs=A_RAN))

    assert entry_of(new, "b") == compact("b", run=3)
    assert (new.interruptions, later.interruptions) == (2, 2)


def test_tasks_are_held_at_the_limit_when_suspended_interrupted_and_resumed_in_quick_succession() -> None:
    runs: dict[str, Runs] = {"a": RUNNING, "b": EVICTED}
    old = status(Phase.ACTIVE, (entry("a", TaskPhase.RUNNING), entry("b", TaskPhase.PENDING)))
    new, actions = old, []
    for lifecycle, seen in (
        (SUSPENDED, {"a": RUNNING, "b": PENDING}),
        (INTERRUPTED, runs),
        (SUSPENDED, runs | {"a": STOPPING}),
        (ACTIVE, runs | {"a": STOPPING}),
    ):
        decision, new = decide(swarm(lifecycle, new, seen))
        actions.append(all_of(decision))
    assert actions == [["EvictPod b-1"], ["StopJob a-1"], [], []]


# ── how it ends ──


@pytest.mark.parametrize("lifecycle", Lifecycle)
def test_swarm_without_tasks_has_succeeded(lifecycle: Lifecycle) -> None:
    decision, new = decide(swarm(lifecycle, tasks=()))
    assert (new.phase, new.progress, new.tasks, all_of(decision)) == (Phase.SUCCEEDED, "0/0", (), [])
    assert told(new, ConditionType.COMPLETE) == "True/Succeeded"


@pytest.mark.parametrize("lifecycle", Lifecycle)
def test_swarm_has_ended_when_its_last_task_ends_in_any_lifecycle(lifecycle: Lifecycle) -> None:
    old = running("e", done="abcd", phase=Phase.SUSPENDING)
    _, new = decide(swarm(lifecycle, old, {"e": DONE}))
    assert (new.phase, new.finished_at, counts_of(new)) == (Phase.SUCCEEDED, NOON, (5, 0, 0, 0, 5))
    assert new.output is None


def test_others_go_on_when_one_has_failed() -> None:
    decision, new = decide(swarm(old=running("a", "b"), runs={"a": FAILED, "b": RUNNING}))

    assert (names_of(decision.after), new.phase) == (["CreateJob c-1"], Phase.ACTIVE)
    assert counts_of(new) == (0, 1, 1, 3, 5)
    assert told(new, ConditionType.READY) == "True/Running"
    assert [(event.reason, event.message) for event in decision.events] == [
        ("NonZeroExitCode", "task a, run 1: exit code 1")
    ]


@pytest.mark.parametrize(
    ("failed_before", "others"),
    [pytest.param("", "", id="one"), pytest.param("ab", " (and 2 more)", id="three")],
)
def test_swarm_has_failed_once_all_have_ended_when_any_failed(failed_before: str, others: str) -> None:
    failed = [entry(name, TaskPhase.FAILED, failures=1, message="exit code 1", reason="NonZeroExitCode")
              for name in failed_before]  # fmt: skip
    done = [compact(name) for name in "abcd" if name not in failed_before]
    old = status(Phase.ACTIVE, (*failed, *done, entry("e", TaskPhase.RUNNING)))
    _, before = decide(swarm(old=old, runs={"e": RUNNING}))
    _, new = decide(swarm(old=old, runs={"e": FAILED}))

    assert before.phase is Phase.ACTIVE
    name = failed_before[:1] or "e"
    assert (new.phase, new.failed) == (Phase.FAILED, len(failed_before) + 1)
    assert condition_in(new, ConditionType.FAILED).message == (
        f"task {name}: run 1 failed and no retries are left: NonZeroExitCode: exit code 1{others}"
    )


def test_swarm_is_canceled_when_its_pods_are_gone() -> None:
    old = status(Phase.INTERRUPTING, (compact("a"), entry("b", TaskPhase.STOPPING, started_at=EARLIER)), CANCELED)
    decision, still = decide(swarm(CANCELED, old, A_RAN | {"b": STOPPED}))
    _, new = decide(swarm(CANCELED, still, A_RAN))
    assert (still.phase, all_of(decision)) == (Phase.INTERRUPTING, ["DeleteJob b-1"])
    assert (new.phase, counts_of(new)) == (Phase.CANCELED, (1, 0, 0, 4, 5))


def test_task_backs_off_by_itself_when_it_failed_with_retries_left() -> None:
    tasks = [swarm_task("a", retries=1), *map(swarm_task, "bcd")]
    decision, new = decide(swarm(old=running("a", "b"), runs={"a": FAILED, "b": DONE}, tasks=tasks))
    due, _ = decide(swarm(old=new, runs={"a": FAILED, "b": DONE, "c": RUNNING}, tasks=tasks), after(10))

    assert (names_of(decision.after), decision.recheck_at) == (["CreateJob c-1"], after(10))
    assert names_of(due.after) == ["CreateJob a-2"]


# ── the ledger, as small as it can be ──


def test_entries_are_kept_only_for_tasks_with_a_run_and_little_of_those_that_succeeded() -> None:
    b = entry("b", TaskPhase.BACKING_OFF, retry_at=after(5), interruptions=1)
    old = status(Phase.ACTIVE, (entry("a", TaskPhase.RUNNING, failures=2, interruptions=3), b))
    _, new = decide(
        swarm(
            old=old,
            runs={"a": DONE, "b": FAILED},
            tasks=[swarm_task("a"), swarm_task("b", retries=2), *map(swarm_task, "cde")],
            at_once=1,
        )
    )

    assert [task.to_json() for task in new.tasks] == [
        {"name": "a", "phase": "Succeeded", "run": 1},
        b.to_json(),
    ]


@pytest.mark.parametrize(
    ("reason", "kept"), [(None, {}), ("OutputTruncated", {}), ("OutputLost", {"reason": "OutputLost"})]
)
def test_what_befell_a_task_leaves_a_trace_when_it_has_succeeded(reason: str | None, kept: dict[str, str]) -> None:
    disrupted = entry("a", TaskPhase.SUCCEEDED, disruptions=3, disruptions_in_row=1, reason=reason, message="why")
    _, new = decide(swarm(old=status(Phase.ACTIVE, (disrupted,))))
    expected = {"name": "a", "phase": "Succeeded", "run": 1, "disruptions": 3}
    assert new.tasks[0].to_json() == expected | kept


def test_nothing_of_an_unstarted_task_is_kept_when_its_place_is_taken() -> None:
    _, new = decide(swarm(SUSPENDED))
    assert (new.tasks, counts_of(new)) == ((), (0, 0, 0, 5, 5))


def test_succeeded_task_is_not_run_again_when_only_its_small_entry_is_left() -> None:
    old = status(Phase.ACTIVE, map(compact, "abc"), started_at=EARLIER)
    decision, new = decide(swarm(old=old))
    assert names_of(decision.after) == ["CreateJob d-1", "CreateJob e-1"]
    assert new.tasks[:3] == tuple(map(compact, "abc"))


def test_start_is_remembered_when_the_task_that_started_first_has_succeeded() -> None:
    _, new = decide(swarm(old=running("a"), runs={"a": DONE}))
    _, later = decide(swarm(old=new, runs={}))
    assert (new.started_at, later.started_at, later.phase) == (EARLIER, EARLIER, Phase.ACTIVE)


# ── tasks that can't start ──

NO_TEMPLATE = "spec.tasks[0].template: is missing, and there is no spec.template to stand in for it"


def own(name: str) -> Any:
    return swarm_task(name, template=dict(OTHER_TEMPLATE))


@pytest.mark.parametrize("at_once", [1, 2])
def test_task_without_a_template_is_told_while_the_others_run(at_once: int) -> None:
    """It took a place, and with maxConcurrency 1 all places: nothing ever ran."""
    observed = swarm(tasks=[swarm_task("a"), *map(own, "bcd")], template=None, at_once=at_once)
    decision, new = decide(observed)
    again, same = decide(seen_next(observed, decision))

    assert names_of(decision.before) == [f"CreateJob {name}-1" for name in "bc"[:at_once]]
    stalled = condition_in(new, ConditionType.STALLED)
    assert (stalled.reason, stalled.message) == ("InvalidTask", f"task a: {NO_TEMPLATE}")
    assert (same, all_of(again)) == (new, [])


def test_swarm_does_not_end_when_a_task_can_not_start() -> None:
    tasks = [swarm_task("a"), own("b")]
    old = status(
        Phase.ACTIVE, (entry("a", run=0, reason="InvalidTask", message=NO_TEMPLATE), compact("b")), started_at=EARLIER
    )
    decision, new = decide(swarm(old=old, tasks=tasks, template=None, generation=1))
    assert (new.phase, told(new, ConditionType.STALLED), all_of(decision)) == (Phase.ACTIVE, "True/InvalidTask", [])


def test_others_start_when_the_task_of_one_is_invalid() -> None:
    refusal = Refusal("InvalidTask", "no image", True, after(360))
    old = status(Phase.ACTIVE, (entry("a", TaskPhase.RECORDED), entry("b", TaskPhase.RUNNING)))
    observed = swarm(old=old, runs={"b": RUNNING}, refusals={"a": refusal})
    decision, new = decide(observed)
    again, same = decide(with_status(observed, new))

    assert names_of(decision.after) == ["CreateJob c-1"]
    assert (entry_of(new, "a").phase, entry_of(new, "a").reason) == (TaskPhase.RECORDED, "InvalidTask")
    assert (names_of(again.after), same) == (["CreateJob c-1"], new)


@pytest.mark.parametrize(("at_once", "started"), [(1, []), (2, ["a-1"]), (3, ["a-1", "c-1"])])
def test_invalid_task_is_tried_again_only_when_a_place_is_free(at_once: int, started: list[str]) -> None:
    """It takes no other's place, and if it does start, it takes one itself."""
    refusal = Refusal("InvalidTask", "no image", True, after(-1))
    old = status(Phase.ACTIVE, (entry("a", TaskPhase.RECORDED, reason="InvalidTask"), entry("b", TaskPhase.RUNNING)))
    decision, _ = decide(swarm(old=old, runs={"b": RUNNING}, refusals={"a": refusal}, at_once=at_once))
    assert names_of(decision.after) == [f"CreateJob {name}" for name in started]
    assert decision.recheck_at is None


def test_invalid_task_takes_a_place_when_its_job_is_being_created() -> None:
    refusal = Refusal("InvalidTask", "no image", True, after(-1))
    old = status(Phase.ACTIVE, (entry("a", TaskPhase.RECORDED, reason="InvalidTask"), entry("b", TaskPhase.RUNNING)))
    observed = swarm(old=old, runs={"b": RUNNING}, refusals={"a": refusal}, at_once=2)
    decision, _ = decide(replace(observed, creations={"a": Creation(1, None, NOON, after(35))}))
    assert decision.after == ()


def test_place_is_kept_when_a_job_is_refused_for_now() -> None:
    refusal = Refusal("Forbidden", "exceeded quota", False, after(30))
    old = status(Phase.ACTIVE, (entry("a", TaskPhase.RECORDED), entry("b", TaskPhase.RUNNING)))
    decision, new = decide(swarm(old=old, runs={"b": RUNNING}, refusals={"a": refusal}))
    assert (decision.after, decision.recheck_at) == ((), after(30))
    assert entry_of(new, "a").phase is TaskPhase.RECORDED


def test_no_more_tasks_are_tried_when_very_many_can_not_start() -> None:
    """What is wrong with the shared template is wrong with all: a thousand refusals say no more than a hundred."""
    names = [f"t{number}" for number in range(MAX_PASSED_OVER + 50)]
    refusals = {name: Refusal("InvalidTask", "no image", True, after(360)) for name in names[: MAX_PASSED_OVER + 10]}
    old = status(Phase.PENDING, (entry(name, TaskPhase.RECORDED, reason="InvalidTask") for name in refusals))
    decision, new = decide(swarm(old=old, tasks=map(swarm_task, names), at_once=10, refusals=refusals))
    assert (all_of(decision), len(new.tasks)) == ([], MAX_PASSED_OVER + 10)


def test_refused_task_is_tried_again_when_it_was_edited_while_its_place_was_taken() -> None:
    """The refusal was remembered as one of the edited spec, if it wasn't the task's turn when that was first seen."""
    refused = entry("b", run=1, reason="InvalidTask", message="no image", template_hash=None)
    old = status(Phase.ACTIVE, (entry("a", TaskPhase.RUNNING), refused))
    _, new = decide(swarm(old=old, runs={"a": RUNNING}, at_once=1))
    decision, _ = decide(swarm(old=new, runs={"a": DONE}, at_once=1))

    assert entry_of(new, "b").reason is None
    assert names_of(decision.after) == ["CreateJob b-2"]


# ── tasks that are removed while held, or despite the rules ──


def test_removed_task_is_stopped_and_takes_a_place_until_its_pod_is_gone() -> None:
    old = running("a", "b")
    decision, new = decide(swarm(old=old, runs=each(RUNNING, "a", "b"), tasks="acde"))
    quiet, still = decide(swarm(old=new, runs={"a": RUNNING, "b": STOPPED}, tasks="acde"))
    gone, later = decide(swarm(old=still, runs={"a": RUNNING}, tasks="acde"))

    assert names_of(decision.after) == ["StopJob b-1"]
    assert counts_of(new) == (0, 0, 1, 3, 4)
    assert (phases_of(new), new.phase) == ({"a": "Running", "b": "Stopping"}, Phase.ACTIVE)
    assert names_of(quiet.after) == ["DeleteJob b-1"]
    assert names_of(gone.after) == ["CreateJob c-1"]
    assert (entry_of(later, "b").phase, later.interruptions) == (TaskPhase.UNSTARTED, 1)


def test_removed_task_finishes_when_suspended() -> None:
    decision, new = decide(swarm(SUSPENDED, running("a", "b"), each(RUNNING, "a", "b"), tasks="a"))
    _, later = decide(swarm(SUSPENDED, new, {"a": RUNNING, "b": DONE}, tasks="a"))

    assert (all_of(decision), new.phase, counts_of(new)) == ([], Phase.SUSPENDING, (0, 0, 1, 0, 1))
    assert (entry_of(later, "b"), counts_of(later)) == (compact("b"), (0, 0, 1, 0, 1))


def test_pod_of_a_removed_task_is_evicted_when_it_is_pending_and_suspended() -> None:
    old = status(Phase.ACTIVE, (entry("b", TaskPhase.PENDING),))
    decision, new = decide(swarm(SUSPENDED, old, {"b": PENDING}, tasks="a"))
    assert (names_of(decision.after), new.phase) == (["EvictPod b-1"], Phase.SUSPENDING)


@pytest.mark.parametrize("lifecycle", [SUSPENDED, INTERRUPTED, CANCELED])
def test_held_is_not_said_when_a_removed_task_still_runs(lifecycle: Lifecycle) -> None:
    old = status(Phase.SUSPENDED, (entry("b", TaskPhase.RUNNING),), SUSPENDED)
    _, new = decide(swarm(lifecycle, old, {"b": RUNNING}, tasks="a"))
    assert new.phase in (Phase.SUSPENDING, Phase.INTERRUPTING)
    assert condition_in(new, ConditionType.READY).message == "waiting for pods to end: pod-b-1"


def test_removed_task_is_not_run_again_when_it_had_succeeded_and_comes_back() -> None:
    old = status(Phase.SUSPENDED, map(compact, "ab"), SUSPENDED, started_at=EARLIER)
    _, without = decide(swarm(SUSPENDED, old, tasks="bc"))
    decision, back = decide(swarm(ACTIVE, without, tasks="abc"))

    assert (counts_of(without), entry_of(without, "a")) == ((1, 0, 0, 1, 2), compact("a"))
    assert (names_of(decision.after), counts_of(back)) == (["CreateJob c-1"], (2, 0, 0, 1, 3))


def test_removed_failed_task_does_not_fail_the_rest() -> None:
    old = status(Phase.SUSPENDED, (entry("a", TaskPhase.FAILED), entry("b", TaskPhase.RUNNING)), SUSPENDED)
    _, new = decide(swarm(ACTIVE, old, {"b": DONE}, tasks="b"))
    assert (new.phase, counts_of(new)) == (Phase.SUCCEEDED, (1, 0, 0, 0, 1))


def test_removed_failed_task_is_not_named_when_another_fails() -> None:
    old = status(Phase.SUSPENDED, (entry("a", TaskPhase.FAILED), entry("b", TaskPhase.RUNNING)), SUSPENDED)
    _, new = decide(swarm(ACTIVE, old, {"b": FAILED}, tasks="b"))
    assert condition_in(new, ConditionType.FAILED).message.startswith("task b: ")
    assert "more" not in condition_in(new, ConditionType.FAILED).message


def test_task_is_forgotten_when_it_is_removed_and_never_had_a_run() -> None:
    refused = entry("a", run=0, reason="InvalidTask", message="no image")
    _, new = decide(swarm(SUSPENDED, status(Phase.SUSPENDED, (refused,), SUSPENDED), tasks="b"))
    assert find_entry(new, "a") is None


# ── tasks that are edited too late ──


def edited(observed: ObservedResource, *changed: str, shared: bool = False) -> ObservedResource:
    tasks = [own(name) if name in changed else swarm_task(name) for name in "abcde"]
    template = OTHER_TEMPLATE if shared else TEMPLATE
    again = swarm(tasks=tasks, template=template, generation=observed.generation + 1)
    return replace(again, status=observed.status, runs=observed.runs)


def test_edit_of_a_running_task_is_told_until_it_is_taken_back() -> None:
    observed = swarm(old=running("a", "b"), runs=each(RUNNING, "a", "b"), generation=1)
    _, new = decide(edited(observed, "b"))
    after_edit = with_status(edited(observed, "b"), new)
    _, same = decide(after_edit)
    _, taken_back = decide(edited(after_edit))

    assert condition_in(new, ConditionType.READY).message == (
        "task b is in run 1: editing it has no effect on that; take it back"
    )
    assert same == new
    assert told(taken_back, ConditionType.READY) == "True/Running"


def test_edit_of_a_running_task_is_told_no_more_when_it_has_succeeded() -> None:
    """What a Swarm keeps of it doesn't tell what it was made from; the same is told at once and ever after."""
    observed = swarm(old=running("a", "b"), runs=each(RUNNING, "a", "b"), generation=1)
    _, new = decide(edited(observed, "b"))
    ended_ = replace(with_status(edited(observed, "b"), new), runs={"a": observed.runs["a"], "b": DONE})
    _, later = decide(ended_)

    assert told(later, ConditionType.READY) == "True/Running"
    assert decide(with_status(ended_, later))[1] == later


def test_edit_of_the_shared_template_is_told_when_a_task_made_from_it_runs() -> None:
    observed = swarm(old=running("a"), runs={"a": RUNNING}, generation=1)
    _, new = decide(edited(observed, shared=True))
    assert told(new, ConditionType.READY) == "False/TaskChanged"


def test_edit_of_an_unstarted_task_is_no_change_to_tell() -> None:
    observed = swarm(old=running("a", "b"), runs=each(RUNNING, "a", "b"), generation=1)
    assert told(decide(edited(observed, "c", "d"))[1], ConditionType.READY) == "True/Running"


# ── what is told ──


def test_a_few_names_are_told_when_many_run() -> None:
    names = [f"t{number}" for number in range(8)]
    _, new = decide(swarm(old=running(*names), runs=each(RUNNING, *names), tasks=map(swarm_task, names), at_once=8))
    assert condition_in(new, ConditionType.READY).message == "running: t0, t1, t2, t3, t4 and 3 more"


def test_task_that_cannot_start_is_told_when_another_runs() -> None:
    """It was hidden for as long as any other ran."""
    why = f"container main: image x can't be pulled {'y' * 200}"
    stuck = one(pending_pod(waiting=ReasonMessage("ImagePullBackOff", why)))
    entries = (entry("a", TaskPhase.RUNNING), entry("b", TaskPhase.PENDING), entry("c", TaskPhase.PENDING))
    seen = swarm(old=status(Phase.ACTIVE, entries), runs={"a": RUNNING, "b": stuck, "c": stuck}, at_once=3)
    _, new = decide(seen)
    ready, b = condition_in(new, ConditionType.READY), entry_of(new, "b")

    assert (ready.status, ready.reason) == ("True", "Running")
    assert ready.message.startswith("running: a; task b: container main: image x can't be pulled y")
    assert ready.message.endswith("; and 1 more that can't start")
    assert b.reason == "ImagePullBackOff"
    assert (b.message or "").endswith("y…")
    assert decide(with_status(seen, new))[1] == new


def test_tasks_own_options_are_given_to_it() -> None:
    tasks = [swarm_task("a", input={"shard": 1}, timeout_seconds=60), swarm_task("b", template=dict(OTHER_TEMPLATE))]
    first, second = first_runs(decide(swarm(tasks=tasks))[0])
    spec = first.manifest["spec"]["template"]["spec"]

    assert environment_of(first)["MAGEFLOW_INPUT"] == '{"shard":1}'
    assert (environment_of(second)["MAGEFLOW_INDEX"], environment_of(second)["MAGEFLOW_TASK"]) == ("1", "b")
    assert "MAGEFLOW_PREVIOUS" not in environment_of(first)
    assert (spec["activeDeadlineSeconds"], spec["containers"][0]["image"]) == (60, "busybox:1.37")
    assert second.manifest["spec"]["template"]["spec"]["containers"][0]["image"] == "busybox:1.36"


def test_shared_template_is_not_changed_when_jobs_are_made_of_it() -> None:
    observed = swarm()
    assert observed.spec is not None
    before = observed.spec.model_dump_json()
    decide(observed)
    assert observed.spec.model_dump_json() == before
