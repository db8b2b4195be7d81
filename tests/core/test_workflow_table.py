"""Every cell of the phase a Workflow has x the lifecycle asked for, and the transitions of DESIGN section 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import pytest

from mageflow.api import ENDED_PHASES, ConditionType, Lifecycle, Phase, Status, TaskPhase
from mageflow.core.conditions import Consistency, Readiness, build_conditions
from mageflow.core.observed import NO_RUNS, Run, Runs

from .builders import (
    EARLIER,
    ONE_PENDING,
    ONE_RUNNING,
    complete_job,
    condition_in,
    decide,
    disrupted_job,
    entry,
    evicted,
    failed_job,
    failed_pod,
    job,
    names_of,
    pending_pod,
    running_pod,
    status,
    succeeded_pod,
    suspended_job,
    task_in,
    terminating,
    with_status,
    workflow,
)

ACTIVE, SUSPENDED, INTERRUPTED, CANCELED = Lifecycle

SUCCEEDED = {1: Run(complete_job(), (succeeded_pod(),))}
FAILED = {1: Run(failed_job(), (failed_pod(),))}
EVICTED = {1: Run(job(), (evicted(pending_pod()),))}
STOPPING = {1: Run(job(is_suspended=True), (terminating(running_pod()),))}
STOPPED = {1: Run(suspended_job())}
GOING = {1: Run(suspended_job(is_terminating=True))}


def ended(phase: Phase, task_phase: TaskPhase) -> Status:
    conditions = build_conditions(phase, Readiness(True, phase.value, "it ended"), Consistency(), (), 1, EARLIER)
    return status(phase, entry(task_phase), finished_at=EARLIER, conditions=conditions)


SCENES: dict[Phase | None, tuple[Status | None, Runs]] = {
    None: (None, NO_RUNS),
    Phase.PENDING: (status(Phase.PENDING, entry(TaskPhase.PENDING)), ONE_PENDING),
    Phase.ACTIVE: (status(Phase.ACTIVE, entry(TaskPhase.RUNNING)), ONE_RUNNING),
    Phase.SUSPENDING: (status(Phase.SUSPENDING, entry(TaskPhase.STOPPING, holding=1), SUSPENDED), EVICTED),
    Phase.SUSPENDED: (status(Phase.SUSPENDED, entry(), SUSPENDED), NO_RUNS),
    Phase.INTERRUPTING: (
        status(Phase.INTERRUPTING, entry(TaskPhase.STOPPING, started_at=EARLIER), INTERRUPTED),
        STOPPING,
    ),
    Phase.INTERRUPTED: (
        status(Phase.INTERRUPTED, entry(started_at=EARLIER, interruptions=1), INTERRUPTED, interruptions=1),
        NO_RUNS,
    ),
    Phase.SUCCEEDED: (ended(Phase.SUCCEEDED, TaskPhase.SUCCEEDED), SUCCEEDED),
    Phase.FAILED: (ended(Phase.FAILED, TaskPhase.FAILED), FAILED),
    Phase.CANCELED: (ended(Phase.CANCELED, TaskPhase.UNSTARTED), NO_RUNS),
}
"""For each phase, a status that has it, and what is in the cluster then."""


@dataclass(frozen=True)
class Cell:
    """What becomes of a Workflow in a phase, once a lifecycle is asked for."""

    phase: Phase | None
    lifecycle: Lifecycle
    new_phase: Phase
    ready: str
    """The condition Ready, as `status/reason`."""
    suspended: str
    """The condition Suspended, as `status/reason`."""
    actions: Sequence[str] = ()

    @property
    def sentence(self) -> str:
        phase = "no status yet" if self.phase is None else self.phase.value
        return f"{phase}, {self.lifecycle.value} is asked for: {self.new_phase.value}, Ready {self.ready}"


RUNNABLE_CELLS = [
    Cell(None, ACTIVE, Phase.PENDING, "False/Pending", "False/Active", ["CreateJob 1"]),
    Cell(None, SUSPENDED, Phase.SUSPENDED, "True/Suspended", "True/Suspended"),
    Cell(None, INTERRUPTED, Phase.INTERRUPTED, "True/Interrupted", "True/Interrupted"),
    Cell(None, CANCELED, Phase.CANCELED, "True/Canceled", "False/Canceled"),

    Cell(Phase.PENDING, ACTIVE, Phase.PENDING, "False/Pending", "False/Active"),
    Cell(Phase.PENDING, SUSPENDED, Phase.SUSPENDING, "False/Suspending", "False/Suspending", ["EvictPod"]),
    Cell(Phase.PENDING, INTERRUPTED, Phase.INTERRUPTING, "False/Interrupting", "False/Interrupting", ["StopJob 1"]),
    Cell(Phase.PENDING, CANCELED, Phase.INTERRUPTING, "False/Interrupting", "False/Interrupting", ["StopJob 1"]),

    Cell(Phase.ACTIVE, ACTIVE, Phase.ACTIVE, "True/Running", "False/Active"),
    Cell(Phase.ACTIVE, SUSPENDED, Phase.ACTIVE, "False/TaskAlreadyRunning", "False/TaskAlreadyRunning"),
    Cell(Phase.ACTIVE, INTERRUPTED, Phase.INTERRUPTING, "False/Interrupting", "False/Interrupting", ["StopJob 1"]),
    Cell(Phase.ACTIVE, CANCELED, Phase.INTERRUPTING, "False/Interrupting", "False/Interrupting", ["StopJob 1"]),

    Cell(Phase.SUSPENDING, ACTIVE, Phase.PENDING, "False/Pending", "False/Active"),
    Cell(Phase.SUSPENDING, SUSPENDED, Phase.SUSPENDING, "False/Suspending", "False/Suspending"),
    Cell(Phase.SUSPENDING, INTERRUPTED, Phase.INTERRUPTING, "False/Interrupting", "False/Interrupting"),
    Cell(Phase.SUSPENDING, CANCELED, Phase.INTERRUPTING, "False/Interrupting", "False/Interrupting"),

    Cell(Phase.SUSPENDED, ACTIVE, Phase.PENDING, "False/Pending", "False/Active", ["CreateJob 2"]),
    Cell(Phase.SUSPENDED, SUSPENDED, Phase.SUSPENDED, "True/Suspended", "True/Suspended"),
    Cell(Phase.SUSPENDED, INTERRUPTED, Phase.INTERRUPTED, "True/Interrupted", "True/Interrupted"),
    Cell(Phase.SUSPENDED, CANCELED, Phase.CANCELED, "True/Canceled", "False/Canceled"),

    Cell(Phase.INTERRUPTING, ACTIVE, Phase.ACTIVE, "False/Pending", "False/Active"),
    Cell(Phase.INTERRUPTING, SUSPENDED, Phase.SUSPENDING, "False/Suspending", "False/Suspending"),
    Cell(Phase.INTERRUPTING, INTERRUPTED, Phase.INTERRUPTING, "False/Interrupting", "False/Interrupting"),
    Cell(Phase.INTERRUPTING, CANCELED, Phase.INTERRUPTING, "False/Interrupting", "False/Interrupting"),

    Cell(Phase.INTERRUPTED, ACTIVE, Phase.ACTIVE, "False/Pending", "False/Active", ["CreateJob 2"]),
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
def test_workflow_goes_on_to_a_phase_when_a_lifecycle_is_asked_for(cell: Cell) -> None:
    old, runs = SCENES[cell.phase]
    decision, new = decide(workflow(cell.lifecycle, old, runs))

    assert new.phase is cell.new_phase
    assert told(new, ConditionType.READY) == cell.ready
    assert told(new, ConditionType.SUSPENDED) == cell.suspended
    assert names_of((*decision.before, *decision.after)) == list(cell.actions)


def told(new: Status, type_: ConditionType) -> str:
    condition = condition_in(new, type_)
    return f"{condition.status}/{condition.reason}"


def test_table_covers_each_cell() -> None:
    assert {(cell.phase, cell.lifecycle) for cell in CELLS} == set(product((None, *Phase), Lifecycle))
    assert {phase for phase, (old, _) in SCENES.items() if (old and old.phase) is phase} == {None, *Phase}


@pytest.mark.parametrize("cell", RUNNABLE_CELLS, ids=lambda cell: cell.sentence)
def test_counts_and_lifecycle_are_told_when_not_ended(cell: Cell) -> None:
    old, runs = SCENES[cell.phase]
    _, new = decide(workflow(cell.lifecycle, old, runs))

    is_running = cell.new_phase is Phase.ACTIVE and task_in(new).phase is TaskPhase.RUNNING
    assert (new.total, new.done, new.failed, new.running, new.pending) == (1, 0, 0, is_running, not is_running)
    assert (new.progress, new.lifecycle) == ("0/1", cell.lifecycle)
    assert (new.suspended_at is None) == (cell.lifecycle is ACTIVE)


# ── a hold of the whole namespace ──


@pytest.mark.parametrize("label", ["suspended", "interrupted"])
@pytest.mark.parametrize("phase", SCENES)
def test_a_namespace_holds_just_as_a_spec_does(phase: Phase | None, label: str) -> None:
    old, runs = SCENES[phase]
    by_spec, own = decide(workflow(Lifecycle(label), old, runs))
    by_namespace, new = decide(replace(workflow(ACTIVE, old, runs), namespace_lifecycle=label))

    assert (by_namespace.before, by_namespace.after) == (by_spec.before, by_spec.after)
    assert [told(new, type_) for type_ in FACTS] == [told(own, type_) for type_ in FACTS]
    ignored = {"conditions", "lifecycle_source", "observed_namespace_lifecycle"}
    assert new.model_dump(exclude=ignored) == own.model_dump(exclude=ignored)
    if phase not in ENDED_PHASES:
        assert (new.lifecycle_source, new.observed_namespace_lifecycle) == ("namespace", label)
        assert (own.lifecycle_source, own.observed_namespace_lifecycle) == ("spec", None)


FACTS = (ConditionType.READY, ConditionType.SUSPENDED)


def test_it_says_what_ends_the_hold_when_its_namespace_holds() -> None:
    _, new = decide(replace(workflow(), namespace_lifecycle="suspended"))
    assert condition_in(new, ConditionType.READY).message == (
        "nothing runs, and nothing starts until the namespace's label mageflow.io/lifecycle is taken off"
    )


def test_its_own_hold_stays_when_that_of_its_namespace_ends() -> None:
    held = replace(workflow(SUSPENDED), namespace_lifecycle="interrupted")
    _, both = decide(held)
    _, own = decide(with_status(replace(held, namespace_lifecycle=None), both))
    assert (both.phase, own.phase) == (Phase.INTERRUPTED, Phase.SUSPENDED)
    assert (own.lifecycle_source, own.observed_namespace_lifecycle) == ("spec", None)


def test_it_says_what_ends_both_holds_when_both_hold() -> None:
    _, new = decide(replace(workflow(SUSPENDED), namespace_lifecycle="interrupted"))
    assert condition_in(new, ConditionType.READY).message == (
        "nothing runs, and nothing starts until resumed and the namespace's label mageflow.io/lifecycle is taken off"
    )


RUNS_ON = "False/TaskAlreadyRunning"


@pytest.mark.parametrize(
    ("phase", "own", "ready"),
    [
        (None, ACTIVE, "False/InvalidNamespaceLifecycle"),
        (Phase.PENDING, ACTIVE, "False/Suspending"),
        (Phase.ACTIVE, ACTIVE, RUNS_ON),
        (Phase.ACTIVE, SUSPENDED, RUNS_ON),
        (Phase.SUSPENDING, ACTIVE, "False/Suspending"),
        (Phase.SUSPENDED, ACTIVE, "False/InvalidNamespaceLifecycle"),
        (Phase.SUSPENDED, SUSPENDED, "True/Suspended"),
        (Phase.INTERRUPTING, INTERRUPTED, "False/Interrupting"),
        (Phase.INTERRUPTED, INTERRUPTED, "True/Interrupted"),
    ],
)
def test_it_says_so_and_starts_nothing_when_the_namespaces_label_is_no_lifecycle(
    phase: Phase | None, own: Lifecycle, ready: str
) -> None:
    """In its own reason only where nothing else is to be told, and only if it is the label that holds it."""
    old, runs = SCENES[phase]
    decision, new = decide(replace(workflow(own, old, runs), namespace_lifecycle="suspend"))

    assert told(new, ConditionType.READY) == ready
    assert "'suspend'" in condition_in(new, ConditionType.READY).message
    assert not decision.before
    assert new.lifecycle is max(own, SUSPENDED, key=[*Lifecycle].index)


# ── the transitions of DESIGN section 1 ──

Steps = list[tuple[Lifecycle, Runs, Phase]]
"""What is asked for, what is seen in the cluster by then, and the phase that follows."""

SECOND_PENDING = {2: Run(job(2), (pending_pod(),))}
SECOND_RUNNING = {2: Run(job(2), (running_pod(),))}
BEGUN: Steps = [(ACTIVE, NO_RUNS, Phase.PENDING), (ACTIVE, ONE_PENDING, Phase.PENDING)]


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(
            [
                *BEGUN,
                (SUSPENDED, ONE_PENDING, Phase.SUSPENDING),
                (SUSPENDED, EVICTED, Phase.SUSPENDING),
                (SUSPENDED, {1: Run(disrupted_job())}, Phase.SUSPENDED),
                (ACTIVE, NO_RUNS, Phase.PENDING),
                (ACTIVE, SECOND_PENDING, Phase.PENDING),
                (ACTIVE, SECOND_RUNNING, Phase.ACTIVE),
            ],
            id="Pending, suspended, Suspended, active, Pending",
        ),
        pytest.param(
            [
                *BEGUN,
                (INTERRUPTED, ONE_PENDING, Phase.INTERRUPTING),
                (INTERRUPTED, STOPPED, Phase.INTERRUPTING),
                (INTERRUPTED, GOING, Phase.INTERRUPTED),
                (ACTIVE, NO_RUNS, Phase.PENDING),
                (ACTIVE, SECOND_PENDING, Phase.PENDING),
            ],
            id="Pending, interrupted, Interrupted, active, Pending",
        ),
        pytest.param(
            [
                *BEGUN,
                (ACTIVE, ONE_RUNNING, Phase.ACTIVE),
                (INTERRUPTED, ONE_RUNNING, Phase.INTERRUPTING),
                (INTERRUPTED, STOPPING, Phase.INTERRUPTING),
                (INTERRUPTED, STOPPED, Phase.INTERRUPTING),
                (INTERRUPTED, GOING, Phase.INTERRUPTED),
                (ACTIVE, NO_RUNS, Phase.ACTIVE),
                (ACTIVE, SECOND_RUNNING, Phase.ACTIVE),
            ],
            id="Active, interrupted, Interrupted, active, Active",
        ),
        pytest.param(
            [
                *BEGUN,
                (SUSPENDED, ONE_PENDING, Phase.SUSPENDING),
                (SUSPENDED, ONE_RUNNING, Phase.ACTIVE),
                (SUSPENDED, SUCCEEDED, Phase.SUCCEEDED),
            ],
            id="the pod starts before it can be evicted: it runs on, and succeeds",
        ),
        pytest.param(
            [
                *BEGUN,
                (ACTIVE, ONE_RUNNING, Phase.ACTIVE),
                (SUSPENDED, ONE_RUNNING, Phase.ACTIVE),
                (SUSPENDED, FAILED, Phase.SUSPENDED),
                (ACTIVE, FAILED, Phase.ACTIVE),
            ],
            id="a running task fails while suspended: its retry is held",
        ),
        pytest.param(
            [
                *BEGUN,
                (SUSPENDED, ONE_PENDING, Phase.SUSPENDING),
                (SUSPENDED, {1: Run(disrupted_job())}, Phase.SUSPENDED),
                (SUSPENDED, {1: Run(pods=(running_pod(),))}, Phase.ACTIVE),
                (SUSPENDED, {1: Run(pods=(succeeded_pod(),))}, Phase.SUCCEEDED),
            ],
            id="a pod slips through: it runs on, and its outcome counts",
        ),
        pytest.param(
            [
                *BEGUN,
                (SUSPENDED, EVICTED, Phase.SUSPENDING),
                (INTERRUPTED, EVICTED, Phase.INTERRUPTING),
                (INTERRUPTED, {1: Run(disrupted_job())}, Phase.INTERRUPTED),
                (SUSPENDED, NO_RUNS, Phase.SUSPENDED),
            ],
            id="a suspend becomes an interrupt on the way, and a suspend again",
        ),
        pytest.param(
            [
                *BEGUN,
                (ACTIVE, ONE_RUNNING, Phase.ACTIVE),
                (CANCELED, ONE_RUNNING, Phase.INTERRUPTING),
                (CANCELED, STOPPED, Phase.INTERRUPTING),
                (CANCELED, GOING, Phase.CANCELED),
                (ACTIVE, NO_RUNS, Phase.CANCELED),
            ],
            id="canceled is final",
        ),
        pytest.param(
            [
                *BEGUN,
                (ACTIVE, ONE_RUNNING, Phase.ACTIVE),
                (INTERRUPTED, ONE_RUNNING, Phase.INTERRUPTING),
                (INTERRUPTED, {1: Run(complete_job(is_suspended=True), (succeeded_pod(),))}, Phase.SUCCEEDED),
                (INTERRUPTED, NO_RUNS, Phase.SUCCEEDED),
            ],
            id="the task had succeeded before the interrupt reached it",
        ),
    ],
)
def test_phases_follow_each_other_when_the_lifecycle_is_patched(steps: Steps) -> None:
    new: Status | None = None
    phases = []
    for lifecycle, runs, _ in steps:
        _, new = decide(workflow(lifecycle, new, runs, retries=1))
        phases.append(new.phase)
    assert phases == [phase for _, _, phase in steps]
