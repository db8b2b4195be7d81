"""The ledger of one task, its entry in `status.tasks`: brought up to date with what the cluster has.

              CreateJob                Job seen               start seen
  Unstarted ────────────→ Recorded ────────────→ Pending ────────────→ Running
   ↑ ↑  ↑                  │    ↑                   │  hold or stop       │ stop
   │ │  └── given up ──────┘    │                   └──────────┬──────────┘
   │ │                          │ CreateJob                    ↓
   │ │                          │ when due                  Stopping
   │ └─ held, interrupted, ─────┼──────────────────────────────┤
   │    lost                    │                              │  the end of a run: from each of Pending,
   │                            │   failed with retries left,  │  Running and Stopping, and from Recorded
   │                        BackingOff ← disrupted ────────────┤  where its Job is gone
   │                                                           │
   └─ its Job suspended by others ─────────────────────────────┤
                                       Succeeded, Failed ←─────┘  final

`task.py` writes what is asked for, ahead of the request: Recorded, Stopping, given up. All else is written here, after
it was seen: how far an open run has got, its end, and the way back to Pending of a run that was taken to be over and of
which a Job or pod shows up after all. A Stopping that somebody undoes goes back to what is seen.

Its phase Stopping is written ahead of a stop, `holding` ahead of an eviction: without a mark, a run whose Job or pod is
gone when we look was lost by someone else's hand (docs/adr/0001-marks-in-the-ledger.md).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, assert_never

from mageflow.api import CLOSED_TASKS, ENDED_TASKS, WAITING_TASKS, TaskPhase, TaskStatus, reasons
from mageflow.api.stored import shorten
from mageflow.core.evidence import judge_run
from mageflow.core.observed import NO_RUN, ObservedPod, Run, Runs
from mageflow.core.plan import Task
from mageflow.core.run_result import Ending, RunResult, has_succeeded, success_of
from mageflow.core.run_state import RunState, derive_state, derive_state_by_cluster, is_cut_short_by_suspension

FIRST_BACKOFF: Final = timedelta(seconds=10)
"""As the Job controller's own; it doubles with each failure."""

MAX_BACKOFF: Final = timedelta(minutes=6)

MAX_MESSAGE: Final = 1024
"""Bytes of a task's message."""

MAX_DISRUPTIONS: Final = 10
"""Runs disrupted in a row after which a task fails: whatever disturbs them doesn't go away."""

PROGRESS: Final = timedelta(minutes=10)
"""A run that was disrupted after so long got somewhere: it begins a new row."""


@dataclass(frozen=True, slots=True)
class Settled:
    """A ledger entry that is up to date."""

    entry: TaskStatus
    state: RunState
    """The state that its task is in."""
    result: RunResult | None = None
    """How its latest run ended, if the entry says so from now on."""

    def with_changes(self, **changes: Any) -> Settled:
        """Return the same with other values in some fields of the entry that don't change its state."""
        return replace(self, entry=self.entry.model_copy(update=changes))


def settle(task: Task, entry: TaskStatus, runs: Runs, now: datetime) -> Settled:
    """Bring a ledger entry up to date with what the cluster has: its phase, its marks, the end of its run.

    `runs` are all runs of the task that the cluster still has. Nothing is asked of the lifecycle: what has happened is
    recorded in any. An entry that has ended, or that this version doesn't understand, stays as it is. The rules are
    those of DESIGN section 3.
    """
    if not entry.is_understood:
        return Settled(entry, derive_state_by_cluster(runs))
    if entry.phase in ENDED_TASKS:
        return Settled(entry, RunState(entry.phase))
    entry = _reopen(entry, runs)
    entry = _forget_gate(entry, runs.get(entry.run, NO_RUN))
    run, result = runs.get(entry.run, NO_RUN), None
    if entry.phase not in CLOSED_TASKS:
        entry = _note_another_pod(_bring_marks_up_to_date(entry, run, now), run)
        result = judge_run(task, entry, run)
    state = derive_state(entry, run)
    if result is None and entry.phase not in CLOSED_TASKS:
        entry = _follow(entry, state)
    if result is not None or entry.phase in WAITING_TASKS:
        result = _find_late_success(entry, runs) or result
    if result is None:
        return Settled(entry, state)
    entry = end_run(task, entry, result, now)
    return Settled(entry, derive_state(entry, run), result)


def _find_late_success(entry: TaskStatus, runs: Runs) -> RunResult | None:
    """Return the success of a pod that slipped through a hold, after the ledger had gone on: the task is done."""
    pods = (pod for run in runs.values() for pod in run.pods)
    return next((success_of(pod) for pod in pods if has_succeeded(pod)), None)


def end_run(task: Task, entry: TaskStatus, result: RunResult, now: datetime) -> TaskStatus:
    """Return the entry with the end of its latest run, and what follows: done, failed or a retry (DESIGN section 3)."""
    was_running = entry.started_at is not None or result.has_run
    update: dict[str, Any] = {
        "holding": None,
        "job_uid": None,
        "pod": None,
        "retry_at": None,
        "backoff_seconds": None,
        "finished_at": now,
        "reason": result.reason,
        "message": shorten_message(result.message, MAX_MESSAGE),
    }
    match result.ending:
        case Ending.SUCCEEDED:
            update |= {"phase": TaskPhase.SUCCEEDED, "disruptions_in_row": 0}
        case Ending.FAILED:
            failures = entry.failures + 1
            update |= {"failures": failures, "disruptions_in_row": 0}
            if failures > task.retries:
                update |= {"phase": TaskPhase.FAILED}
            else:
                update |= {"phase": TaskPhase.BACKING_OFF, "retry_at": now + backoff(failures)}
        case Ending.DISRUPTED:
            in_row = 1 if _has_made_progress(entry, now) else entry.disruptions_in_row + 1
            update |= {"disruptions": entry.disruptions + 1, "disruptions_in_row": in_row}
            if in_row >= MAX_DISRUPTIONS:
                update |= {"phase": TaskPhase.FAILED, "reason": reasons.TOO_MANY_DISRUPTIONS}
            else:
                update |= {"phase": TaskPhase.BACKING_OFF, "retry_at": now + backoff(in_row)}
            update |= {"cut_short": entry.cut_short or was_running}
        case Ending.SUSPENDED:
            update |= {"phase": TaskPhase.UNSTARTED, "disruptions": entry.disruptions + 1, "cut_short": True}
        case Ending.INTERRUPTED | Ending.HELD:
            update |= {"phase": TaskPhase.UNSTARTED, "interruptions": entry.interruptions + was_running}
        case Ending.LOST:
            update |= {"phase": TaskPhase.UNSTARTED}
        case _:
            assert_never(result.ending)
    return entry.model_copy(update=update)


def _has_made_progress(entry: TaskStatus, now: datetime) -> bool:
    """Tell whether a run ran for long, by our own clock: from when its start was seen."""
    return entry.started_at is not None and now - entry.started_at >= PROGRESS


def shorten_message(message: str | None, limit: int) -> str | None:
    """Cut a message to so many bytes: a task's output may be in it, and a status has room for 1,000 tasks."""
    return None if message is None else shorten(message, limit)


def backoff(times: int) -> timedelta:
    """Return how long to wait after the `times`-th failure (1, 2, …) in a row: 10 s, doubled, at most 6 min."""
    factor: int = 2 ** min(times - 1, 10)
    return min(FIRST_BACKOFF * factor, MAX_BACKOFF)


def _reopen(entry: TaskStatus, runs: Runs) -> TaskStatus:
    """Reopen a run that the ledger doesn't have, or has as over, and of which a Job or pod is there.

    A Job was created before its first record; a status was lost; a run was given up as never made (`_abandon_run`), and
    its Job came after all; a pod slipped through while its Job was being deleted (HoldJob). A pod's own result
    counts, so that nothing that succeeded runs again. A Job that somebody else had suspended, and lets go again, goes
    on with its run if its pod has started by the time that it is seen (`find_gate`).
    """
    newest = max(runs, default=0)
    number = newest if newest > entry.run else entry.run
    run = runs.get(number, NO_RUN)
    if number == entry.run and not _was_given_up_too_soon(entry, run):
        return entry
    return entry.model_copy(
        update={
            "phase": TaskPhase.PENDING,
            "run": number,
            "job": run.job.name if run.job is not None else entry.job,
            "job_uid": None,
            "pod": None,
            "holding": None,
            "retry_at": None,
            "backoff_seconds": None,
            "started_at": None,
            "finished_at": None,
            "reason": None,
            "message": None,
        }
    )


def _was_given_up_too_soon(entry: TaskStatus, run: Run) -> bool:
    if entry.phase is not TaskPhase.UNSTARTED or entry.run == 0:
        return False
    if is_cut_short_by_suspension(entry):
        goes_on = (pod.has_started and pod.can_run and not pod.is_terminating for pod in run.pods)
        return any(goes_on) or any(pod.has_ended_by_itself for pod in run.pods)
    slipped = any(pod.can_run or pod.has_ended_by_itself for pod in run.pods)
    return slipped or (entry.job is None and run.job is not None and not run.job.is_terminating)


def _bring_marks_up_to_date(entry: TaskStatus, run: Run, now: datetime) -> TaskStatus:
    """Clear `holding` if the eviction didn't happen; note that a run started, even if that is reported only later."""
    if entry.holding is not None and run.live_pods and not any(_may_be_going(pod) for pod in run.live_pods):
        entry = entry.model_copy(update={"holding": None})
    has_started = run.has_started or (run.job is not None and run.job.was_running)
    if has_started and entry.started_at is None:
        entry = entry.model_copy(update={"started_at": now})
    return entry


def _note_another_pod(entry: TaskStatus, run: Run) -> TaskStatus:
    """Note that a run was cut short and has a second pod, which had already started when it was first seen.

    A Job makes a second pod only if somebody suspended it and let it go again. The run goes on with that pod.
    """
    started = [pod for pod in run.live_pods if pod.has_started]
    is_known = entry.pod is None or any(pod.name == entry.pod for pod in run.pods)
    if is_known or not started or entry.started_at is None:
        return entry
    update = {"pod": started[0].name, "cut_short": True, "disruptions": entry.disruptions + 1}
    return entry.model_copy(update=update)


def _may_be_going(pod: ObservedPod) -> bool:
    """Tell whether a pod is being evicted: the API server first sets DisruptionTarget, then deletes it."""
    return pod.is_terminating or (pod.is_disrupted and not pod.has_started)


def _follow(entry: TaskStatus, state: RunState) -> TaskStatus:
    """Bring the phase of an open run up to date."""
    if state is RunState.STOPPING and entry.phase is not TaskPhase.STOPPING:
        return entry  # somebody else stops it; Stopping in the ledger is a mark of ours
    if entry.phase == state:
        return entry
    told = {"reason": None, "message": None} if entry.phase is TaskPhase.RECORDED else {}  # it was refused before
    return entry.model_copy(update={"phase": TaskPhase(state), **told})


def _forget_gate(entry: TaskStatus, run: Run) -> TaskStatus:
    """Note that nothing is left of a run that somebody else suspended: the next may start."""
    job = run.job
    is_there = job is not None and not (job.is_terminating or job.has_ended)
    if is_there or run.live_pods or not is_cut_short_by_suspension(entry):
        return entry
    return entry.model_copy(update={"reason": None, "message": None})
