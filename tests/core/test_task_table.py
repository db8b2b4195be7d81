"""Every cell of DESIGN section 4's table: what is wanted of a task x the state that it is in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pytest

from mageflow.api import TaskPhase, TaskStatus
from mageflow.core.decision import Action, CreateJob, DeleteJob, HoldJob
from mageflow.core.job_manifest import job_name
from mageflow.core.lifecycle import Wanted
from mageflow.core.observed import NO_RUNS, ObservedPod, Run, Runs
from mageflow.core.run_state import RunState

from .builders import (
    EARLIER,
    FRESH,
    NOON,
    ONE_PENDING,
    ONE_RUNNING,
    OWNER,
    TASK,
    after,
    complete_job,
    disrupted_job,
    entry,
    evicted,
    failed_job,
    failed_pod,
    job,
    names_of,
    pending_pod,
    running_pod,
    settle,
    succeeded_pod,
    suspended_job,
    take_step,
    terminating,
)

RUN, HOLD, STOP = Wanted

FRESH_RUN = {
    "phase": TaskPhase.RECORDED,
    "run": 1,
    "job": job_name(OWNER, "main", 1),
    "template_hash": TASK.template_hash,
}
NEXT_RUN = {
    **FRESH_RUN,
    "run": 2,
    "job": job_name(OWNER, "main", 2),
    "started_at": None,
    "finished_at": None,
    "reason": None,
    "message": None,
    "retry_at": None,
}
STOPPED: Runs = {1: Run(job(is_suspended=True), (terminating(running_pod()),))}
FAILED_RUN: Runs = {1: Run(failed_job(), (failed_pod(),))}

BACKING_OFF = entry(TaskPhase.BACKING_OFF, retry_at=after(10))
DUE = entry(TaskPhase.BACKING_OFF, retry_at=NOON)
RECORDED = entry(TaskPhase.RECORDED)
PENDING = entry(TaskPhase.PENDING)
RUNNING = entry(TaskPhase.RUNNING)
STOPPING = entry(TaskPhase.STOPPING, started_at=EARLIER)
HOLDING = entry(TaskPhase.STOPPING, holding=1)
SUCCEEDED = entry(TaskPhase.SUCCEEDED)
FAILED = entry(TaskPhase.FAILED, failures=1)


@dataclass(frozen=True)
class Cell:
    """One situation in a cell of the table, and what is to be done about it."""

    wanted: Wanted
    state: RunState
    situation: str
    entry: TaskStatus
    runs: Runs = field(default_factory=dict)
    actions: tuple[str, ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)
    """What the ledger's entry gains by it; everything else of it stays."""
    new_state: RunState | None = None
    """The state that it is in afterwards, if another."""

    @property
    def sentence(self) -> str:
        return f"{self.wanted.value}, {self.state.value}: {self.situation}"


UNSTARTED_CELLS = [
    Cell(RUN, RunState.UNSTARTED, "the first run is recorded and its Job created",
         FRESH, NO_RUNS, ("CreateJob 1",), FRESH_RUN, RunState.RECORDED),
    Cell(RUN, RunState.UNSTARTED, "a task that was held gets its next run",
         entry(), NO_RUNS, ("CreateJob 2",), NEXT_RUN, RunState.RECORDED),
    Cell(HOLD, RunState.UNSTARTED, "nothing is done", FRESH),
    Cell(STOP, RunState.UNSTARTED, "nothing is done", FRESH),
    Cell(HOLD, RunState.UNSTARTED, "the Job of the run that was stopped is cleared away",
         entry(), {1: Run(suspended_job())}, ("DeleteJob 1",)),
]  # fmt: skip

RECORDED_CELLS = [
    Cell(RUN, RunState.RECORDED, "the Job of the recorded run is created, no other",
         RECORDED, NO_RUNS, ("CreateJob 1",)),
    Cell(HOLD, RunState.RECORDED, "the run is ended: its Job was never made",
         RECORDED, NO_RUNS, (), {"phase": TaskPhase.UNSTARTED, "job": None}, RunState.UNSTARTED),
    Cell(STOP, RunState.RECORDED, "the run is ended: its Job was never made",
         RECORDED, NO_RUNS, (), {"phase": TaskPhase.UNSTARTED, "job": None}, RunState.UNSTARTED),
]  # fmt: skip

BACKING_OFF_CELLS = [
    Cell(RUN, RunState.BACKING_OFF, "nothing is done before the back-off ends", BACKING_OFF, FAILED_RUN),
    Cell(RUN, RunState.BACKING_OFF, "the next run starts once the back-off ends",
         DUE, FAILED_RUN, ("CreateJob 2",), NEXT_RUN, RunState.RECORDED),
    Cell(HOLD, RunState.BACKING_OFF, "the back-off stands still",
         BACKING_OFF, FAILED_RUN, (), {"retry_at": None, "backoff_seconds": 10}),
    Cell(HOLD, RunState.BACKING_OFF, "no retry starts though it is due",
         DUE, FAILED_RUN, (), {"retry_at": None, "backoff_seconds": 0}),
    Cell(STOP, RunState.BACKING_OFF, "the back-off stands still",
         BACKING_OFF, FAILED_RUN, (), {"retry_at": None, "backoff_seconds": 10}),
]  # fmt: skip

PENDING_CELLS = [
    Cell(RUN, RunState.PENDING, "its pod is awaited", PENDING, ONE_PENDING),
    Cell(HOLD, RunState.PENDING, "its pod is evicted, and marked as held before",
         PENDING, ONE_PENDING, ("EvictPod",), {"phase": TaskPhase.STOPPING, "holding": 1}, RunState.STOPPING),
    Cell(HOLD, RunState.PENDING, "its Job is held if it has no pod yet",
         PENDING, {1: Run(job())}, ("HoldJob 1",), {"phase": TaskPhase.STOPPING, "holding": 1}, RunState.STOPPING),
    Cell(HOLD, RunState.PENDING, "its Job, if it is young, is waited for: its pod may be on the way",
         PENDING, {1: Run(job(seen_at=NOON))}),
    Cell(HOLD, RunState.PENDING, "a pod that has slipped through HoldJob is evicted",
         entry(), {1: Run(pods=(pending_pod(),))}, ("EvictPod",),
         {"phase": TaskPhase.STOPPING, "holding": 1}, RunState.STOPPING),
    Cell(STOP, RunState.PENDING, "its Job is stopped",
         PENDING, ONE_PENDING, ("StopJob 1",), {"phase": TaskPhase.STOPPING}, RunState.STOPPING),
    Cell(STOP, RunState.PENDING, "its Job is stopped before it makes a pod",
         PENDING, {1: Run(job())}, ("StopJob 1",), {"phase": TaskPhase.STOPPING}, RunState.STOPPING),
    Cell(STOP, RunState.PENDING, "a pod without a Job is deleted",
         entry(), {1: Run(pods=(pending_pod(),))}, ("DeletePod",), {"phase": TaskPhase.STOPPING}, RunState.STOPPING),
]  # fmt: skip

RUNNING_CELLS = [
    Cell(RUN, RunState.RUNNING, "it runs on", RUNNING, ONE_RUNNING),
    Cell(HOLD, RunState.RUNNING, "it runs on", RUNNING, ONE_RUNNING),
    Cell(STOP, RunState.RUNNING, "its Job is stopped",
         RUNNING, ONE_RUNNING, ("StopJob 1",), {"phase": TaskPhase.STOPPING}, RunState.STOPPING),
    Cell(STOP, RunState.RUNNING, "a pod that its Job has done with is deleted",
         RUNNING, {1: Run(failed_job(), (running_pod(),))}, ("DeletePod",),
         {"phase": TaskPhase.STOPPING}, RunState.STOPPING),
    Cell(STOP, RunState.RUNNING, "a pod whose Job is being deleted is deleted",
         RUNNING, {1: Run(job(is_terminating=True), (running_pod(),))}, ("DeletePod",),
         {"phase": TaskPhase.STOPPING}, RunState.STOPPING),
]  # fmt: skip

STOPPING_CELLS = [
    Cell(RUN, RunState.STOPPING, "the end of the stop is awaited before anything starts", STOPPING, STOPPED),
    Cell(HOLD, RunState.STOPPING, "the end is awaited", HOLDING, {1: Run(job(), (evicted(pending_pod()),))}),
    Cell(HOLD, RunState.STOPPING, "the end of a Job that is being deleted is awaited",
         HOLDING, {1: Run(job(is_terminating=True))}),
    Cell(STOP, RunState.STOPPING, "the end is awaited", STOPPING, STOPPED),
]  # fmt: skip

ENDED_CELLS = [
    Cell(wanted, phase, "nothing is done", old, runs)
    for wanted in Wanted
    for phase, old, runs in (
        (RunState.SUCCEEDED, SUCCEEDED, {1: Run(complete_job(), (succeeded_pod(),))}),
        (RunState.SUCCEEDED, SUCCEEDED, NO_RUNS),
        (RunState.FAILED, FAILED, FAILED_RUN),
        (RunState.FAILED, FAILED, NO_RUNS),
    )
]

CELLS = [
    *UNSTARTED_CELLS,
    *RECORDED_CELLS,
    *BACKING_OFF_CELLS,
    *PENDING_CELLS,
    *RUNNING_CELLS,
    *STOPPING_CELLS,
    *ENDED_CELLS,
]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.sentence)
def test_task_is_brought_to_what_is_wanted_when_in_a_state(cell: Cell) -> None:
    step = take_step(OWNER, TASK, cell.entry, cell.runs, cell.wanted, NOON)

    assert names_of(step.actions) == list(cell.actions)
    assert step.entry == cell.entry.model_copy(update=dict(cell.changes))
    assert step.state is (cell.new_state or cell.state)


def test_table_covers_each_cell() -> None:
    assert {(cell.wanted, cell.state) for cell in CELLS} == set(product(Wanted, RunState))


# ── in every state: once no pod can run, the end is recorded, then the Job goes ──


def test_held_run_is_recorded_and_its_job_deleted_when_its_pod_is_gone() -> None:
    step = take_step(OWNER, TASK, HOLDING, {1: Run(failed_job())}, HOLD, NOON)

    assert step.entry == HOLDING.model_copy(update={"phase": TaskPhase.UNSTARTED, "holding": None, "finished_at": NOON})
    assert names_of(step.actions) == ["DeleteJob 1"]


@pytest.mark.parametrize("wanted", Wanted)
def test_job_that_we_stopped_is_deleted_before_its_run_is_over_as_somebody_could_let_it_go(wanted: Wanted) -> None:
    step = take_step(OWNER, TASK, STOPPING, {1: Run(suspended_job())}, wanted, NOON)

    assert (step.entry, step.state) == (STOPPING, RunState.STOPPING)
    assert step.actions == (DeleteJob(suspended_job()),)


@pytest.mark.parametrize("wanted", Wanted)
@pytest.mark.parametrize("pods", [(), (pending_pod(uid="pod-2"),), (running_pod(uid="pod-2"),)], ids=len)
def test_job_that_we_stopped_is_deleted_with_its_pods_when_somebody_lets_it_go(
    wanted: Wanted, pods: tuple[ObservedPod, ...]
) -> None:
    """As Kueue does where a Job is in a queue: it admits what is suspended."""
    let_go = job(is_stopped=True)
    step = take_step(OWNER, TASK, STOPPING, {1: Run(let_go, pods)}, wanted, NOON)

    assert (step.entry, step.state) == (STOPPING, RunState.STOPPING)
    assert step.actions == (DeleteJob(let_go, in_foreground=True),)


@pytest.mark.parametrize("runs", [NO_RUNS, {1: Run(suspended_job(is_terminating=True))}], ids=["gone", "going"])
def test_interrupted_run_is_recorded_when_its_job_is_gone(runs: Runs) -> None:
    step = take_step(OWNER, TASK, STOPPING, runs, STOP, NOON)

    assert step.entry == STOPPING.model_copy(
        update={"phase": TaskPhase.UNSTARTED, "finished_at": NOON, "interruptions": 1}
    )
    assert step.actions == ()


def test_next_run_starts_at_once_when_a_stop_has_ended_and_the_task_is_wanted_again() -> None:
    step = take_step(OWNER, TASK, STOPPING, NO_RUNS, RUN, NOON)

    assert names_of(step.actions) == ["CreateJob 2"]
    assert (step.entry.phase, step.entry.run) == (TaskPhase.RECORDED, 2)


# ── somebody else suspends the Job of a run ──

GATED = entry(reason="JobSuspended", disruptions=1, cut_short=True, started_at=EARLIER, finished_at=NOON)
"""The run was cut short; the next waits until whoever suspended its Job lets it go."""


def test_run_is_over_and_its_job_stays_when_somebody_else_suspends_it_while_it_runs() -> None:
    runs = {1: Run(suspended_job(suspended_by="kueue"), (terminating(succeeded_pod()),))}
    step = take_step(OWNER, TASK, RUNNING, runs, RUN, NOON)

    old = step.entry
    assert (step.state, step.actions) == (RunState.PENDING, ())
    assert (old.phase, old.reason, old.was_cut_short) == (TaskPhase.UNSTARTED, "JobSuspended", True)
    assert (old.failures, old.interruptions, old.disruptions, old.retry_at) == (0, 0, 1, None)


def test_next_run_waits_when_the_job_is_still_suspended() -> None:
    step = take_step(OWNER, TASK, GATED, {1: Run(suspended_job())}, RUN, NOON)
    assert (step.entry, step.state, step.actions) == (GATED, RunState.PENDING, ())


@pytest.mark.parametrize(
    ("run", "actions"),
    [
        pytest.param(Run(job(), (pending_pod(uid="pod-2"),)), ["EvictPod"], id="its new pod, not started, is evicted"),
        pytest.param(Run(job(), (evicted(pending_pod(uid="pod-2")),)), [], id="its new pod goes"),
        pytest.param(
            Run(disrupted_job(), (evicted(pending_pod(uid="pod-2")),)), [], id="its new pod goes, and it has ended"
        ),
        pytest.param(Run(job(seen_at=NOON)), [], id="its new pod may be on the way: it is waited for"),
        pytest.param(
            Run(job(seen_at=EARLIER)),
            ["HoldJob 1"],
            id="it has made no pod: it is deleted, and what slips through is left",
        ),
    ],
)
def test_job_makes_way_when_it_is_let_go(run: Run, actions: list[str]) -> None:
    """The next run is told that it isn't the first; the Job that is let go says otherwise."""
    step = take_step(OWNER, TASK, GATED, {1: run}, RUN, NOON)

    assert (step.entry, names_of(step.actions)) == (GATED, actions)
    assert step.state in (RunState.PENDING, RunState.STOPPING)


def test_run_goes_on_when_its_job_is_let_go_and_its_new_pod_has_started() -> None:
    step = take_step(OWNER, TASK, GATED, {1: Run(job(), (running_pod(uid="pod-2"),))}, RUN, NOON)

    assert (step.entry.phase, step.entry.run, step.actions) == (TaskPhase.RUNNING, 1, ())
    assert (step.entry.disruptions, step.entry.was_cut_short) == (1, True)


def test_run_was_cut_short_when_it_goes_on_with_another_pod() -> None:
    """Somebody suspended its Job and let it go again, while the operator was down."""
    old = entry(TaskPhase.RUNNING, pod="report-pod")
    runs = {1: Run(job(), (running_pod(uid="pod-2", name="report-pod-2"),))}
    after_it, outcome = settle(TASK, old, runs, NOON)

    assert outcome is None
    assert (after_it.phase, after_it.pod, after_it.cut_short) == (TaskPhase.RUNNING, "report-pod-2", True)
    assert (after_it.disruptions, after_it.failures) == (1, 0)
    assert settle(TASK, after_it, runs, NOON) == (after_it, None)
    assert settle(TASK, old, {1: Run(job(), (running_pod(),))}, NOON) == (old, None), "it is the same"


def test_next_run_starts_when_the_job_is_gone_and_knows_that_it_is_not_the_first() -> None:
    step = take_step(OWNER, TASK, GATED, NO_RUNS, RUN, NOON)

    (creation,) = step.actions
    assert isinstance(creation, CreateJob)
    (container,) = creation.manifest["spec"]["template"]["spec"]["containers"]
    assert {"name": "MAGEFLOW_RESUMED", "value": "true"} in container["env"]
    assert step.entry.run == 2


@pytest.mark.parametrize(
    ("wanted", "action"),
    [
        pytest.param(HOLD, HoldJob(suspended_job()), id="held: what starts in that very moment lives"),
        pytest.param(STOP, DeleteJob(suspended_job()), id="stopped"),
    ],
)
def test_suspended_job_goes_when_its_task_is_held_or_stopped(wanted: Wanted, action: Action) -> None:
    """Nothing may start when somebody lets it go."""
    step = take_step(OWNER, TASK, GATED, {1: Run(suspended_job())}, wanted, NOON)

    assert (step.entry, step.actions, step.state) == (GATED, (action,), RunState.PENDING)
    after_it, _ = settle(TASK, step.entry, NO_RUNS, NOON)
    assert (after_it.phase, after_it.reason, after_it.disruptions) == (TaskPhase.UNSTARTED, None, 1)


@pytest.mark.parametrize("wanted", [HOLD, STOP])
def test_pod_of_a_job_that_is_let_go_while_held_or_stopped_goes_if_it_has_not_started(wanted: Wanted) -> None:
    step = take_step(OWNER, TASK, GATED, {1: Run(job(), (pending_pod(uid="pod-2"),))}, wanted, NOON)
    expected = ["EvictPod"] if wanted is HOLD else ["DeletePod", "DeleteJob 1"]
    assert (names_of(step.actions), step.state) == (expected, RunState.STOPPING)


@pytest.mark.parametrize("ended", [SUCCEEDED, FAILED], ids=["succeeded", "failed"])
def test_no_suspended_job_is_left_that_could_be_let_go_when_its_task_has_ended(ended: TaskStatus) -> None:
    step = take_step(OWNER, TASK, ended, {2: Run(suspended_job(2))}, RUN, NOON)
    assert names_of(step.actions) == ["DeleteJob 2"]


def test_job_waits_as_it_is_when_somebody_else_suspends_it_before_it_started() -> None:
    """As Kueue does with what it queues: the same Job makes its pod later."""
    step = take_step(OWNER, TASK, PENDING, {1: Run(suspended_job())}, RUN, NOON)
    assert (step.entry, step.state, step.actions) == (PENDING, RunState.PENDING, ())


@pytest.mark.parametrize("number", [1, 2])
def test_job_that_says_complete_goes_when_its_run_was_cut_short(number: int) -> None:
    """If the status were lost, it would be taken for a success."""
    old = entry(TaskPhase.BACKING_OFF, run=number, retry_at=after(10), reason="Disrupted", disruptions=1)
    assert names_of(take_step(OWNER, TASK, old, {1: Run(complete_job())}, RUN, NOON).actions) == ["DeleteJob 1"]


@pytest.mark.parametrize("wanted", Wanted)
def test_job_is_kept_for_its_logs_when_its_run_has_succeeded_or_failed(wanted: Wanted) -> None:
    for old, run in (
        (RUNNING, Run(complete_job(), (succeeded_pod(),))),
        (RUNNING, Run(failed_job(), (failed_pod(),))),
    ):
        assert take_step(OWNER, TASK, old, {1: run}, wanted, NOON).actions == ()


def test_job_is_deleted_once_when_it_is_going_already() -> None:
    runs = {1: Run(suspended_job(is_terminating=True))}
    assert take_step(OWNER, TASK, entry(), runs, STOP, NOON).actions == ()


# ── a pod of an older run slipped through a hold, and the next run is recorded already ──

SLIPPED_PENDING = Run(pods=(pending_pod(),))
SLIPPED_RUNNING = Run(pods=(running_pod(),))
SECOND = entry(TaskPhase.RECORDED, run=2)


@pytest.mark.parametrize(
    ("wanted", "stray", "actions"),
    [
        pytest.param(RUN, SLIPPED_PENDING, ["EvictPod"], id="wanted to run, it has not started: it makes way"),
        pytest.param(RUN, SLIPPED_RUNNING, [], id="wanted to run, it has started: it is awaited"),
        pytest.param(HOLD, SLIPPED_PENDING, ["EvictPod"], id="held, it has not started: it is evicted"),
        pytest.param(HOLD, SLIPPED_RUNNING, [], id="held, it has started: it runs to its end"),
        pytest.param(STOP, SLIPPED_PENDING, ["DeletePod"], id="stopped, it has not started: it is deleted"),
        pytest.param(STOP, SLIPPED_RUNNING, ["DeletePod"], id="stopped, it has started: it is deleted"),
    ],
)
def test_nothing_starts_when_a_pod_of_an_older_run_can_still_run(
    wanted: Wanted, stray: Run, actions: list[str]
) -> None:
    step = take_step(OWNER, TASK, SECOND, {1: stray}, wanted, NOON)

    assert names_of(step.actions) == actions
    assert step.state is RunState.STOPPING


@pytest.mark.parametrize("stray", [SLIPPED_PENDING, SLIPPED_RUNNING], ids=["pending", "running"])
def test_latest_run_is_held_or_stopped_at_once_when_an_older_pod_can_still_run(stray: Run) -> None:
    old = entry(TaskPhase.PENDING, run=2)
    runs = {1: stray, 2: Run(job(2), (pending_pod(uid="pod-2"),))}

    assert "StopJob 2" in names_of(take_step(OWNER, TASK, old, runs, STOP, NOON).actions)
    assert take_step(OWNER, TASK, old, runs, HOLD, NOON).entry.holding == 2


def test_back_off_stands_still_when_held_and_an_older_pod_can_still_run() -> None:
    old = entry(TaskPhase.BACKING_OFF, run=2, retry_at=after(10))
    assert take_step(OWNER, TASK, old, {1: SLIPPED_RUNNING}, HOLD, NOON).entry.backoff_seconds == 10


@pytest.mark.parametrize("phase", [TaskPhase.UNSTARTED, TaskPhase.RECORDED, TaskPhase.BACKING_OFF])
def test_task_has_succeeded_when_a_pod_of_an_older_run_did(phase: TaskPhase) -> None:
    old = entry(phase, run=2, retry_at=NOON if phase is TaskPhase.BACKING_OFF else None)
    runs = {1: Run(pods=(succeeded_pod(output="42"),))}
    settled, outcome = settle(TASK, old, runs, NOON)

    assert settled.phase is TaskPhase.SUCCEEDED
    assert outcome is not None
    assert outcome.output == 42
    assert take_step(OWNER, TASK, old, runs, RUN, NOON).actions == ()


def test_older_run_counts_for_nothing_when_it_was_stopped() -> None:
    runs = {1: Run(pods=(terminating(succeeded_pod()),))}
    assert take_step(OWNER, TASK, SECOND, runs, RUN, NOON).entry.phase is TaskPhase.RECORDED


# ── the ledger says that it is over, the cluster that it isn't ──


@pytest.mark.parametrize(
    ("run", "phase"),
    [
        pytest.param(Run(job()), TaskPhase.PENDING, id="its Job has no pod yet"),
        pytest.param(Run(job(), (pending_pod(),)), TaskPhase.PENDING, id="its pod waits"),
        pytest.param(Run(job(), (running_pod(),)), TaskPhase.RUNNING, id="its pod runs"),
        pytest.param(Run(complete_job()), TaskPhase.PENDING, id="its Job is complete, its pod gone"),
    ],
)
def test_run_goes_on_when_its_job_turns_up_after_it_was_given_up(run: Run, phase: TaskPhase) -> None:
    """A CreateJob without an answer, then a suspend: the run was ended as never made, and the Job comes after all."""
    given_up = entry(TaskPhase.UNSTARTED, job=None)
    assert take_step(OWNER, TASK, given_up, {1: run}, RUN, NOON).entry.phase is phase


def test_started_pod_is_left_alone_when_the_job_of_a_given_up_run_turns_up_while_suspended() -> None:
    """Deleting that Job would delete a pod that may have started, unseen as yet."""
    given_up = entry(TaskPhase.UNSTARTED, job=None)
    step = take_step(OWNER, TASK, given_up, {1: Run(job())}, HOLD, NOON)

    assert names_of(step.actions) == ["HoldJob 1"]
    assert step.state is RunState.STOPPING


@pytest.mark.parametrize("ended", [SUCCEEDED, FAILED], ids=["succeeded", "failed"])
def test_nothing_goes_on_when_a_run_turns_up_after_the_end(ended: TaskStatus) -> None:
    late = {2: Run(job(2), (running_pod(),))}
    assert settle(TASK, ended, late, NOON) == (ended, None)
    assert names_of(take_step(OWNER, TASK, ended, late, RUN, NOON).actions) == ["StopJob 2"]


def test_run_goes_on_when_the_status_was_lost() -> None:
    step = take_step(OWNER, TASK, FRESH, {3: Run(job(3), (running_pod(),))}, RUN, NOON)
    assert step.entry == FRESH.model_copy(
        update={
            "phase": TaskPhase.RUNNING,
            "run": 3,
            "job": job_name(OWNER, "main", 3),
            "started_at": NOON,
        }
    )


def test_marks_of_older_runs_are_dropped_when_the_ledger_lags_behind() -> None:
    old = entry(TaskPhase.BACKING_OFF, retry_at=after(10), holding=1)
    step = take_step(OWNER, TASK, old, {2: Run(job(2), (running_pod(),))}, RUN, NOON)

    assert step.entry.phase is TaskPhase.RUNNING
    assert (step.entry.retry_at, step.entry.holding, step.entry.finished_at) == (None, None, None)
    assert (step.entry.reason, step.entry.message) == (None, None)
    assert step.entry.failures == 1


# ── the mark `holding` ──


def test_mark_is_cleared_when_the_eviction_did_not_happen() -> None:
    step = take_step(OWNER, TASK, HOLDING, ONE_RUNNING, HOLD, NOON)

    assert step.state is RunState.RUNNING
    assert (step.entry.holding, step.entry.phase) == (None, TaskPhase.RUNNING)


def test_start_is_recorded_when_the_eviction_came_too_late() -> None:
    """Else an interrupt that follows at once would not be counted."""
    assert take_step(OWNER, TASK, HOLDING, ONE_RUNNING, STOP, NOON).entry.started_at == NOON


def test_run_counts_as_interrupted_when_the_kubelet_reports_its_start_after_the_eviction() -> None:
    step = take_step(OWNER, TASK, HOLDING, {1: Run(job(), (evicted(running_pod()),))}, HOLD, NOON)
    assert step.entry == HOLDING.model_copy(update={"started_at": NOON})

    ended = take_step(OWNER, TASK, step.entry, {1: Run(disrupted_job())}, HOLD, NOON).entry
    assert (ended.phase, ended.interruptions, ended.failures, ended.disruptions) == (TaskPhase.UNSTARTED, 1, 0, 0)


def test_run_counts_as_interrupted_when_its_start_shows_only_in_the_last_state_of_its_pod() -> None:
    last = evicted(failed_pod(exit_code=143, is_gone=True))
    old = take_step(OWNER, TASK, HOLDING, {1: Run(disrupted_job(), (last,))}, HOLD, NOON).entry

    assert (old.phase, old.interruptions, old.reason) == (TaskPhase.UNSTARTED, 1, "InterruptedWhileRunning")
    assert old.message == "pod report-pod was evicted by a suspend, and turned out to have started"


def test_mark_stays_when_only_the_disruption_condition_is_there() -> None:
    """The API server sets it before the delete: the eviction is under way, and tried again."""
    step = take_step(OWNER, TASK, HOLDING, {1: Run(job(), (pending_pod(is_disrupted=True),))}, HOLD, NOON)

    assert step.entry == HOLDING
    assert names_of(step.actions) == ["EvictPod"]
