"""How one task is run, held and stopped.

    ledger + what the cluster has  →  has its run ended, and how?  →  its state  →  the next action

    wanted ↓ state →   Unstarted   Recorded      BackingOff            Pending               Running   Stopping
    run                CreateJob   CreateJob     CreateJob when due                                    wait
    hold                           end the run   the back-off stands   mark, EvictPod,                 wait
                                                                       HoldJob if it has no pod
    stop                           end the run   the back-off stands   StopJob               StopJob   wait

The ledger is the task's entry in `status.tasks`. Its phase Stopping is written ahead of a stop, `holding` ahead of
an eviction: without a mark, a run whose Job or pod is gone when we look was lost by someone else's hand.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final, assert_never

from mageflow.api import TaskPhase, TaskStatus
from mageflow.core import reasons
from mageflow.core.decision import (
    Action,
    CreateJob,
    DeleteJob,
    DeletePod,
    EvictPod,
    ExplainMissingPod,
    HoldJob,
    StopJob,
)
from mageflow.core.jobs import Owner, Task, build_job, job_name
from mageflow.core.lifecycle import Wanted
from mageflow.core.observed import NO_RUN, ObservedJob, ObservedPod, Refusal, Run, Runs

FIRST_BACKOFF: Final = timedelta(seconds=10)
"""As the Job controller's own; it doubles with each failure."""

MAX_BACKOFF: Final = timedelta(minutes=6)

MAX_DISRUPTIONS: Final = 10
"""Runs disrupted in a row after which a task fails: whatever disturbs them doesn't go away."""

OUTPUT_LIMIT: Final = 4096
"""Bytes that the kubelet keeps of a termination message.

https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
"""

MAX_OUTPUT_DEPTH: Final = 100
"""How deeply JSON may be nested; pydantic writes 255 levels, our own above it included."""

POD_PATIENCE: Final = timedelta(seconds=5)
"""How long a Job may be without a pod before we ask why."""

EXPLAIN_INTERVAL: Final = timedelta(seconds=30)
"""How often we ask again."""

ENDED: Final = frozenset({TaskPhase.SUCCEEDED, TaskPhase.FAILED})
CLOSED: Final = frozenset({TaskPhase.UNSTARTED, TaskPhase.BACKING_OFF}) | ENDED
"""Ledger phases in which the latest run is over."""
WAITING: Final = frozenset({TaskPhase.UNSTARTED, TaskPhase.RECORDED, TaskPhase.BACKING_OFF})
"""Ledger phases from which a Job may be created."""


class Ending(Enum):
    """How a run ended, as far as the task is concerned."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """Its own fault: uses up a retry."""
    DISRUPTED = "disrupted"
    """Not its fault, nor asked for: backs off, uses up no retry."""
    HELD = "held"
    """A suspend caught it before it started, as far as the API server knew."""
    INTERRUPTED = "interrupted"
    """An interrupt or a cancel stopped it."""
    LOST = "lost"
    """Someone deleted its Job: as if it had never been."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, with what is to be said about it."""

    ending: Ending
    reason: str | None = None
    message: str | None = None
    output: str | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one task in one reconcile."""

    record: TaskStatus
    """Its new ledger entry."""
    state: TaskPhase
    """The state that it is in, as the cluster has it."""
    actions: tuple[Action, ...] = ()
    recheck_at: datetime | None = None
    outcome: Outcome | None = None
    """How its run ended, if it ended in this step."""


def advance(
    owner: Owner,
    task: Task,
    record: TaskStatus,
    runs: Runs,
    wanted: Wanted,
    now: datetime,
    refusal: Refusal | None = None,
) -> Step:
    """Decide on one task: bring its ledger entry up to date, then do what is wanted of it."""
    record, outcome = settle(task, record, runs, now)
    state = find_state(record, runs.get(record.run, NO_RUN))
    if record.phase in ENDED:
        return Step(record, state, clear_up(record, runs), outcome=outcome)
    discards = tuple(DeleteJob(job) for job in find_leftovers(record, runs))
    strays = _find_strays(record, runs)
    if strays and wanted is Wanted.RUN and state is not TaskPhase.RUNNING:
        state = TaskPhase.STOPPING  # what would start waits for them; a hold or a stop doesn't
    match wanted:
        case Wanted.RUN:
            step = _run(owner, task, record, runs.get(record.run, NO_RUN), state, now, refusal)
        case Wanted.HOLD:
            step = _hold(record, runs.get(record.run, NO_RUN), state, now)
        case Wanted.STOP:
            step = _stop(record, runs.get(record.run, NO_RUN), state, now)
        case _:
            assert_never(wanted)
    state = TaskPhase.STOPPING if strays and step.state is not TaskPhase.RUNNING else step.state
    actions = (*discards, *_clear_strays(strays, wanted), *step.actions)
    return replace(step, state=state, actions=actions, outcome=outcome)


# ── what has happened ──


def settle(task: Task, record: TaskStatus, runs: Runs, now: datetime) -> tuple[TaskStatus, Outcome | None]:
    """Bring a ledger entry up to date with what the cluster has: its phase, its marks, the end of its run."""
    if record.phase in ENDED:
        return record, None
    record = _reopen(record, runs)
    outcome: Outcome | None = None
    if record.phase not in CLOSED:
        run = runs.get(record.run, NO_RUN)
        record = _bring_marks_up_to_date(record, run, now)
        outcome = find_outcome(record, run)
        if outcome is None:
            record = _follow(record, run)
    if outcome is not None or record.phase in WAITING:
        outcome = _find_late_success(record, runs) or outcome
    return (record, None) if outcome is None else (end_run(task, record, outcome, now), outcome)


def find_outcome(record: TaskStatus, run: Run) -> Outcome | None:
    """Tell how the latest run ended; None while it hasn't, or while that can't be told yet."""
    if run.live_pods:
        return None
    if run.pods:
        # More than one only if someone meddled; the one that ran to its end counts.
        pod = max(run.pods, key=lambda pod: (_has_succeeded(pod), pod.has_ended and not pod.is_terminating))
        return _outcome_by_pod(record, run.job, pod)
    return _outcome_by_job(record, run.job)


def _outcome_by_pod(record: TaskStatus, job: ObservedJob | None, pod: ObservedPod) -> Outcome | None:
    if _has_succeeded(pod):
        return Outcome(Ending.SUCCEEDED, output=pod.output)
    if pod.phase == "Failed" and not pod.is_terminating and not pod.is_disrupted:
        return _failure_of(pod)
    # From here on somebody stopped it, so an exit code of 0 is no success.
    if record.holding == record.run:
        return Outcome(Ending.HELD)
    if _is_interrupting(record, job):
        return _outcome_of_interrupt(job, pod)
    if job is None or (job.is_terminating and not job.has_ended):
        return Outcome(Ending.LOST)
    if pod.is_disrupted:
        return Outcome(Ending.DISRUPTED, reasons.DISRUPTED, pod.message or f"pod {pod.name} was disrupted")
    if pod.phase == "Succeeded":
        return Outcome(Ending.SUCCEEDED, output=pod.output)
    return _failure_of(pod)


def _has_succeeded(pod: ObservedPod) -> bool:
    """It ran to its end and did well: an exit code of 0 counts for nothing if it was stopped."""
    return pod.phase == "Succeeded" and not pod.is_terminating


def _find_late_success(record: TaskStatus, runs: Runs) -> Outcome | None:
    """Find a pod that slipped through a hold and succeeded, once the ledger had gone on: nothing is to run again."""
    pods = (pod for run in runs.values() for pod in run.pods)
    return next((Outcome(Ending.SUCCEEDED, output=pod.output) for pod in pods if _has_succeeded(pod)), None)


def _outcome_of_interrupt(job: ObservedJob | None, pod: ObservedPod) -> Outcome | None:
    """Tell what became of a run that we stop: only the Job knows what its pod had done before."""
    if job is not None and job.is_complete:
        return Outcome(Ending.SUCCEEDED, output=pod.output)
    if job is not None and job.failure is not None:
        return _failure_of(pod)
    if job is None or job.is_terminating or job.is_suspension_in_force:
        return Outcome(Ending.INTERRUPTED)
    return None


def _outcome_by_job(record: TaskStatus, job: ObservedJob | None) -> Outcome | None:
    is_held = record.holding == record.run
    if job is None:
        if is_held:
            return Outcome(Ending.HELD)
        if _is_interrupting(record, job):
            return Outcome(Ending.INTERRUPTED)
        return None if record.phase is TaskPhase.RECORDED else Outcome(Ending.LOST)
    if job.has_ended:
        return Outcome(Ending.HELD) if is_held else _outcome_of_ended_job(record, job)
    if record.phase is TaskPhase.STOPPING and job.is_suspended and job.is_suspension_in_force:
        return Outcome(Ending.HELD if is_held else Ending.INTERRUPTED)
    return None


def _outcome_of_ended_job(record: TaskStatus, job: ObservedJob) -> Outcome:
    if job.failure is None:
        return Outcome(Ending.SUCCEEDED)
    if job.is_disrupted:
        return Outcome(Ending.DISRUPTED, reasons.DISRUPTED, job.failure.message)
    if record.started_at is None:
        return Outcome(Ending.DISRUPTED, reasons.DISRUPTED, "the pod was deleted before it started")
    return Outcome(Ending.FAILED, reasons.POD_FAILED, job.failure.message)


def _failure_of(pod: ObservedPod) -> Outcome:
    if pod.reason == "DeadlineExceeded":
        return Outcome(Ending.FAILED, reasons.DEADLINE_EXCEEDED, pod.message)
    if pod.is_disrupted or pod.reason == "Evicted" or not pod.has_started:
        what = pod.message or f"pod {pod.name} ended before a container started"
        return Outcome(Ending.DISRUPTED, pod.reason or reasons.DISRUPTED, what)
    if pod.exit_code is None:
        return Outcome(Ending.FAILED, pod.reason or reasons.POD_FAILED, pod.message or f"pod {pod.name} failed")
    what = f"exit code {pod.exit_code}"
    return Outcome(Ending.FAILED, reasons.NON_ZERO_EXIT_CODE, f"{what}: {pod.output}" if pod.output else what)


def _is_interrupting(record: TaskStatus, job: ObservedJob | None) -> bool:
    """We are stopping the run, and not by a suspend."""
    return (
        record.phase is TaskPhase.STOPPING
        and record.holding != record.run
        and (job is None or job.is_suspended or job.is_terminating)
    )


def end_run(task: Task, record: TaskStatus, outcome: Outcome, now: datetime) -> TaskStatus:
    """Record how the latest run ended."""
    update: dict[str, Any] = {
        "holding": None,
        "retry_at": None,
        "backoff_seconds": None,
        "finished_at": now,
        "reason": outcome.reason,
        "message": outcome.message,
    }
    match outcome.ending:
        case Ending.SUCCEEDED:
            _, is_truncated = parse_output(outcome.output)
            update |= {"phase": TaskPhase.SUCCEEDED, "disruptions": 0}
            update |= {"reason": reasons.OUTPUT_TRUNCATED} if is_truncated else {}
        case Ending.FAILED:
            failures = record.failures + 1
            update |= {"failures": failures, "disruptions": 0}
            if failures > task.retries:
                update |= {"phase": TaskPhase.FAILED}
            else:
                update |= {"phase": TaskPhase.BACKING_OFF, "retry_at": now + backoff(failures)}
        case Ending.DISRUPTED:
            disruptions = record.disruptions + 1
            update |= {"disruptions": disruptions}
            if disruptions >= MAX_DISRUPTIONS:
                update |= {"phase": TaskPhase.FAILED, "reason": reasons.TOO_MANY_DISRUPTIONS}
            else:
                update |= {"phase": TaskPhase.BACKING_OFF, "retry_at": now + backoff(disruptions)}
        case Ending.INTERRUPTED:
            was_running = record.started_at is not None
            update |= {"phase": TaskPhase.UNSTARTED, "interruptions": record.interruptions + was_running}
        case Ending.HELD | Ending.LOST:
            update |= {"phase": TaskPhase.UNSTARTED}
        case _:
            assert_never(outcome.ending)
    return record.model_copy(update=update)


def backoff(times: int) -> timedelta:
    """Return how long to wait after the `times`-th failure (1, 2, …) in a row: 10 s, doubled, at most 6 min."""
    factor: int = 2 ** min(times - 1, 10)
    return min(FIRST_BACKOFF * factor, MAX_BACKOFF)


def parse_output(text: str | None) -> tuple[Any, bool]:
    """Return what a task wrote, and whether the kubelet cut it off.

    JSON stays JSON; else it is text, without the newlines at its end, as in a shell's `$(…)`. So is JSON that a status
    can't hold as it is.
    """
    if not text:
        return None, False
    if len(text.encode(errors="replace")) >= OUTPUT_LIMIT:
        return text, True
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text.rstrip("\n"), False
    return (value if _is_storable(value) else text.rstrip("\n")), False


def _is_storable(value: Any, depth: int = 0) -> bool:
    """Tell whether the API server keeps a value as it is.

    Numbers are int64 or float64 there, and NaN and Infinity are no JSON but Python's.
    """
    match value:
        case int():
            return -(2**63) <= value < 2**63
        case float():
            return math.isfinite(value)
        case list():
            return depth < MAX_OUTPUT_DEPTH and all(_is_storable(item, depth + 1) for item in value)
        case dict():
            return depth < MAX_OUTPUT_DEPTH and all(_is_storable(item, depth + 1) for item in value.values())
        case _:
            return True


def _reopen(record: TaskStatus, runs: Runs) -> TaskStatus:
    """Go on with a run that the ledger doesn't have, or has as over.

    A Job was created before its first record; a status was lost; a run was given up as never made (`_withdraw`), and
    its Job came after all; a pod slipped through while its Job was being deleted (HoldJob). A pod's own outcome
    counts, so that nothing that succeeded runs again.
    """
    newest = max(runs, default=0)
    number = newest if newest > record.run else record.run
    run = runs.get(number, NO_RUN)
    if number == record.run and not _was_given_up_too_soon(record, run):
        return record
    return record.model_copy(
        update={
            "phase": TaskPhase.PENDING,
            "run": number,
            "job": run.job.name if run.job is not None else record.job,
            "holding": None,
            "retry_at": None,
            "backoff_seconds": None,
            "started_at": None,
            "finished_at": None,
            "reason": None,
            "message": None,
        }
    )


def _was_given_up_too_soon(record: TaskStatus, run: Run) -> bool:
    if record.phase is not TaskPhase.UNSTARTED or record.run == 0:
        return False
    slipped = any(
        pod.can_run or (pod.has_ended and not pod.is_terminating and not pod.is_disrupted) for pod in run.pods
    )
    return slipped or (record.job is None and run.job is not None and not run.job.is_terminating)


def _bring_marks_up_to_date(record: TaskStatus, run: Run, now: datetime) -> TaskStatus:
    """Clear `holding` if the eviction didn't happen; note the start of a run that no suspend has caught before it."""
    if record.holding is not None and run.live_pods and not any(_may_be_going(pod) for pod in run.live_pods):
        record = record.model_copy(update={"holding": None})
    if run.has_started and record.started_at is None and record.holding != record.run:
        record = record.model_copy(update={"started_at": _started_at(run, now)})
    return record


def _may_be_going(pod: ObservedPod) -> bool:
    """Tell whether an eviction has happened or is at work: the API server sets DisruptionTarget, and then deletes."""
    return pod.is_terminating or (pod.is_disrupted and not pod.has_started)


def _follow(record: TaskStatus, run: Run) -> TaskStatus:
    """Bring the phase of an open run up to date."""
    state = find_state(record, run)
    if state is TaskPhase.STOPPING and record.phase is not TaskPhase.STOPPING:
        return record  # somebody else stops it; Stopping in the ledger is a mark of ours
    return record if state is record.phase else record.model_copy(update={"phase": state})


def _started_at(run: Run, now: datetime) -> datetime:
    return min((pod.started_at for pod in run.pods if pod.started_at is not None), default=now)


# ── where that leaves it ──


def find_state(record: TaskStatus, run: Run) -> TaskPhase:
    """Tell the state of a task whose ledger entry is up to date."""
    if record.phase in CLOSED:
        return record.phase
    pods, job = run.live_pods, run.job
    is_stopped_by_us = job is not None and job.is_suspended and record.phase is TaskPhase.STOPPING
    if is_stopped_by_us or any(pod.is_terminating for pod in pods):
        return TaskPhase.STOPPING
    if any(pod.has_started for pod in pods):
        return TaskPhase.RUNNING
    if pods:
        return TaskPhase.PENDING
    if job is None:
        return TaskPhase.RECORDED
    if job.is_terminating:
        return TaskPhase.STOPPING
    # Its pod is gone, and the Job controller has yet to say so; or it has yet to be made.
    return TaskPhase.RUNNING if record.phase is TaskPhase.RUNNING and not job.is_suspended else TaskPhase.PENDING


def clear_up(record: TaskStatus, runs: Runs) -> tuple[Action, ...]:
    """Do what is left to do for a task that will not run again: no pod of it may, and Jobs that nobody needs go."""
    actions: list[Action] = [DeleteJob(job) for job in find_leftovers(record, runs)]
    for run in runs.values():
        is_stopping = run.job is not None and run.job.is_suspended
        if not is_stopping and any(not pod.is_terminating for pod in run.live_pods):
            actions += _kill(run)
    return tuple(actions)


def find_leftovers(record: TaskStatus, runs: Runs) -> list[ObservedJob]:
    """Find the Jobs of runs that are over and were held, stopped or disrupted.

    Those that succeeded or failed stay, for their logs, until the resource goes.
    """
    leftovers = []
    for number, run in sorted(runs.items()):
        job = run.job
        is_over = number < record.run or record.phase in CLOSED
        if job is None or job.is_terminating or run.live_pods or not is_over:
            continue
        was_withdrawn = number == record.run and record.phase is TaskPhase.UNSTARTED
        has_lost_its_pod = record.phase is TaskPhase.BACKING_OFF and not run.pods
        was_cut_short = not job.has_ended and (number < record.run or has_lost_its_pod)
        if was_withdrawn or was_cut_short or job.is_disrupted:
            leftovers.append(job)
    return leftovers


def _find_strays(record: TaskStatus, runs: Runs) -> list[ObservedPod]:
    """Find live pods of runs that are over: each slipped through a hold after the next run had begun."""
    over = record.run if record.phase is TaskPhase.BACKING_OFF else record.run - 1
    return [pod for number, run in runs.items() if number <= over for pod in run.live_pods]


def _clear_strays(strays: Iterable[ObservedPod], wanted: Wanted) -> list[Action]:
    actions: list[Action] = []
    for pod in strays:
        if pod.is_terminating:
            continue
        if wanted is Wanted.STOP:
            actions.append(DeletePod(pod))
        elif not pod.has_started:
            actions.append(EvictPod(pod))
    return actions


# ── what is done about it ──


def _run(
    owner: Owner,
    task: Task,
    record: TaskStatus,
    run: Run,
    state: TaskPhase,
    now: datetime,
    refusal: Refusal | None,
) -> Step:
    match state:
        case TaskPhase.UNSTARTED | TaskPhase.RECORDED:
            return _start(owner, task, record, now, refusal)
        case TaskPhase.BACKING_OFF:
            due = record.retry_at or now + timedelta(seconds=record.backoff_seconds or 0)
            record = record.model_copy(update={"retry_at": due, "backoff_seconds": None})
            if now < due:
                return Step(record, state, recheck_at=due)
            return _start(owner, task, record, now, refusal)
        case TaskPhase.PENDING:
            return _await_pod(record, run, now)
        case TaskPhase.RUNNING | TaskPhase.STOPPING | TaskPhase.SUCCEEDED | TaskPhase.FAILED:
            return Step(record, state)
        case _:
            assert_never(state)


def _start(owner: Owner, task: Task, record: TaskStatus, now: datetime, refusal: Refusal | None) -> Step:
    if refusal is not None and (refusal.is_final or now < refusal.retry_at):
        if refusal.is_final and record.phase is TaskPhase.RECORDED:
            record = record.model_copy(update={"phase": TaskPhase.UNSTARTED})
        return Step(record, record.phase, recheck_at=None if refusal.is_final else refusal.retry_at)
    number = record.run if record.phase is TaskPhase.RECORDED else record.run + 1
    record = record.model_copy(
        update={
            "phase": TaskPhase.RECORDED,
            "run": number,
            "job": job_name(owner, task.name, number),
            "template_hash": task.template_hash,
            "retry_at": None,
            "backoff_seconds": None,
            "holding": None,
            "started_at": None,
            "finished_at": None,
            "reason": None,
            "message": None,
        }
    )
    manifest = build_job(owner, task, number, was_interrupted=record.interruptions > 0)
    return Step(record, TaskPhase.RECORDED, (CreateJob(task.name, manifest),))


def _await_pod(record: TaskStatus, run: Run, now: datetime) -> Step:
    job = run.job
    if job is None or run.pods or job.is_suspended or job.created_at is None:
        return Step(record, TaskPhase.PENDING)
    due = job.created_at + POD_PATIENCE if job.explained_at is None else job.explained_at + EXPLAIN_INTERVAL
    if now < due:
        return Step(record, TaskPhase.PENDING, recheck_at=due)
    return Step(record, TaskPhase.PENDING, (ExplainMissingPod(job),))


def _hold(record: TaskStatus, run: Run, state: TaskPhase, now: datetime) -> Step:
    match state:
        case TaskPhase.RECORDED:
            return _withdraw(record)
        case TaskPhase.BACKING_OFF:
            return _freeze(record, now)
        case TaskPhase.PENDING:
            record = record.model_copy(update={"holding": record.run, "phase": TaskPhase.STOPPING})
            actions: list[Action] = [EvictPod(pod) for pod in run.live_pods]
            if not actions and run.job is not None:
                actions.append(HoldJob(run.job))
            return Step(record, TaskPhase.STOPPING, tuple(actions))
        case TaskPhase.UNSTARTED | TaskPhase.RUNNING | TaskPhase.STOPPING | TaskPhase.SUCCEEDED | TaskPhase.FAILED:
            return Step(record, state)
        case _:
            assert_never(state)


def _stop(record: TaskStatus, run: Run, state: TaskPhase, now: datetime) -> Step:
    match state:
        case TaskPhase.RECORDED:
            return _withdraw(record)
        case TaskPhase.BACKING_OFF:
            return _freeze(record, now)
        case TaskPhase.PENDING | TaskPhase.RUNNING:
            record = record.model_copy(update={"phase": TaskPhase.STOPPING})
            return Step(record, TaskPhase.STOPPING, _kill(run))
        case TaskPhase.UNSTARTED | TaskPhase.STOPPING | TaskPhase.SUCCEEDED | TaskPhase.FAILED:
            return Step(record, state)
        case _:
            assert_never(state)


def _kill(run: Run) -> tuple[Action, ...]:
    """Stop a run by its Job, which tells afterwards what its pod had done before; by its pod where no Job can."""
    if run.job is not None and not run.job.is_terminating and not run.job.has_ended:
        return (StopJob(run.job),)
    return tuple(DeletePod(pod) for pod in run.live_pods if not pod.is_terminating)


def _withdraw(record: TaskStatus) -> Step:
    """End a run whose Job was never made."""
    record = record.model_copy(update={"phase": TaskPhase.UNSTARTED, "job": None})
    return Step(record, TaskPhase.UNSTARTED)


def _freeze(record: TaskStatus, now: datetime) -> Step:
    """Make a back-off stand still while held: keep what is left of it instead of when it ends."""
    if record.retry_at is not None:
        left = max(0, round((record.retry_at - now).total_seconds()))
        record = record.model_copy(update={"retry_at": None, "backoff_seconds": left})
    return Step(record, TaskPhase.BACKING_OFF)
