"""How one task is run, held and stopped.

wanted ↓ state →   Unstarted   Recorded      BackingOff            Pending               Running   Stopping
run                CreateJob   CreateJob     CreateJob when due                                    wait *
hold                           end the run   the back-off stands   mark, EvictPod,                 wait *
                                                                   HoldJob if it has no pod
stop                           end the run   the back-off stands   StopJob               StopJob   wait *

* A Job that we have stopped is deleted once no pod of it can run, or at once if somebody unsuspends it; then it ends.
A run whose Job somebody else suspended while it ran is over, and its task Pending until they let that Job go.

A Recorded run is ended once no Job can come of a request to create it: an admission may take its time over one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, assert_never

from mageflow.api import CLOSED_TASKS, ENDED_TASKS, TaskPhase, TaskStatus
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
from mageflow.core.ending import is_stopped
from mageflow.core.evidence import awaits_evidence, find_reading
from mageflow.core.jobs import Owner, Task, build_job, job_name
from mageflow.core.ledger import (
    MAX_MESSAGE,
    find_gate,
    find_state,
    is_cut_short_by_suspension,
    is_understood,
    shorten_message,
)
from mageflow.core.lifecycle import Wanted
from mageflow.core.observed import NO_RUN, Creation, ObservedJob, ObservedPod, Refusal, Run, Runs

POD_PATIENCE: Final = timedelta(seconds=5)
"""How long a Job may be without a pod: before that its pod is taken to be on the way; then we ask why."""

EXPLAIN_INTERVAL: Final = timedelta(seconds=30)
"""How often we ask again."""

CREATION_PATIENCE: Final = timedelta(seconds=10)
"""How long the API server may take to create a Job before that is told: an admission takes its time."""


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one task in one reconcile."""

    record: TaskStatus
    """Its new ledger entry."""
    state: TaskPhase
    """The state that it is in, as the cluster has it."""
    actions: tuple[Action, ...] = ()
    recheck_at: datetime | None = None
    refusal: Refusal | None = None
    """Why the API server refused its Job, if it did."""


@dataclass(frozen=True, slots=True)
class Leave:
    """What a task needs to know besides itself when it may start a run."""

    may_start: bool = True
    """It is its turn. If not, what it has begun goes on, and nothing begins."""
    previous: Any = None
    """The output of the task before it, in a Chain."""
    refusal: Refusal | None = None
    """Why its Job can't be created."""
    creation: Creation | None = None
    """What may come of requests to create its Job."""


def advance(
    owner: Owner,
    task: Task,
    record: TaskStatus,
    runs: Runs,
    wanted: Wanted,
    now: datetime,
    leave: Leave = Leave(),
) -> Step:
    """Do what is wanted of a task whose ledger entry is up to date."""
    if not is_understood(record):
        return replace(_leave_alone(record, runs, wanted, now), refusal=leave.refusal)
    run = runs.get(record.run, NO_RUN)
    state = find_state(record, run)
    if record.phase in ENDED_TASKS:
        return Step(record, state, clear_up(record, runs))
    if record.phase not in CLOSED_TASKS and awaits_evidence(record, run):
        reading, due = find_reading(owner, task, record, run, now)
        return Step(record, state, () if reading is None else (reading,), due)
    gate = find_gate(record, run)
    discards = tuple(DeleteJob(job) for job in find_leftovers(record, runs) if job is not gate)
    strays = _find_strays(record, runs)
    if strays and wanted is Wanted.RUN and state is not TaskPhase.RUNNING:
        state = TaskPhase.STOPPING  # what would start waits for them; a hold or a stop doesn't
    if gate is not None:
        step = _open_gate(record, gate, run, state, wanted, now)
    else:
        step = _take_step(owner, task, record, run, state, wanted, now, leave)
    state = TaskPhase.STOPPING if strays and step.state is not TaskPhase.RUNNING else step.state
    actions = (*discards, *_clear_strays(strays, wanted), *step.actions)
    return replace(step, state=state, actions=actions, refusal=leave.refusal)


def _take_step(
    owner: Owner,
    task: Task,
    record: TaskStatus,
    run: Run,
    state: TaskPhase,
    wanted: Wanted,
    now: datetime,
    leave: Leave,
) -> Step:
    match wanted:
        case Wanted.RUN:
            return _run(owner, task, record, run, state, now, leave)
        case Wanted.HOLD:
            return _hold(record, run, state, now, leave.creation)
        case Wanted.STOP:
            return _stop(record, run, state, now, leave.creation)
        case _:
            assert_never(wanted)


def clear_up(record: TaskStatus, runs: Runs) -> tuple[Action, ...]:
    """Do what is left to do for a task that will not run again: no pod of it may, and Jobs that nobody needs go."""
    if record.phase in ENDED_TASKS and all(run.is_at_rest for run in runs.values()):
        return ()  # as nearly all are in a Swarm that is nearly done
    leftovers = find_leftovers(record, runs)
    actions: list[Action] = [DeleteJob(job) for job in leftovers]
    for run in runs.values():
        if run.job is not None and (run.job in leftovers or (run.job.is_suspended and run.job.is_stopped)):
            continue
        if run.may_get_a_pod or any(not pod.is_terminating for pod in run.live_pods):
            actions += _kill(run)
    return tuple(actions)


def find_leftovers(record: TaskStatus, runs: Runs) -> list[ObservedJob]:
    """Find the Jobs of runs that are over and were held, stopped or disrupted.

    Those that succeeded or failed stay, for their logs, until the resource goes.
    """
    leftovers = []
    for number, run in sorted(runs.items()):
        job = run.job
        is_over = number < record.run or record.phase in CLOSED_TASKS
        if job is None or job.is_terminating or run.live_pods or not is_over:
            continue
        if _is_left_over(record, job, run, is_latest=number == record.run):
            leftovers.append(job)
    return leftovers


def _is_left_over(record: TaskStatus, job: ObservedJob, run: Run, *, is_latest: bool) -> bool:
    """Tell whether nobody needs the Job of a run that is over: it has no end of the task's own, of which it has logs.

    A Job that says Complete of a run that was cut short would be taken for a success if the status were lost.
    """
    if is_latest and record.phase is TaskPhase.UNSTARTED:
        return True
    if job.has_ended:
        return job.is_disrupted or (job.is_complete and record.phase is not TaskPhase.SUCCEEDED)
    has_lost_its_pod = record.phase is TaskPhase.BACKING_OFF and not run.pods
    could_be_released = record.phase in ENDED_TASKS and job.is_suspended and job.is_suspension_in_force
    return not is_latest or has_lost_its_pod or could_be_released


def _find_strays(record: TaskStatus, runs: Runs) -> list[ObservedPod]:
    """Find live pods of runs that are over: each slipped through a hold, or its Job was let go by who had suspended it.

    One of the latest run that was given up as never started isn't: the run goes on with it (`ledger._reopen`).
    """
    is_over = record.phase is TaskPhase.BACKING_OFF or is_cut_short_by_suspension(record)
    over = record.run if is_over else record.run - 1
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


def _open_gate(
    record: TaskStatus, gate: ObservedJob, run: Run, state: TaskPhase, wanted: Wanted, now: datetime
) -> Step:
    """Delete the Job that somebody else suspended while it ran, once they let it go, or nothing is to start any more.

    When it is let go it makes way for the next run: its own `MAGEFLOW_RESUMED` says that nothing was cut short. Its pod
    is waited for, as in a hold (ADR 8), and evicted as what is left over. What has started by then lives on, and so is
    orphaned: its run goes on (`ledger._reopen`).
    """
    if wanted is Wanted.STOP:
        return Step(record, state, (DeleteJob(gate),))
    if gate.is_gated:
        return Step(record, state, (HoldJob(gate),) if wanted is Wanted.HOLD else ())
    if run.live_pods:
        return Step(record, state)
    due = None if gate.seen_at is None else gate.seen_at + POD_PATIENCE
    if due is not None and now < due:
        return Step(record, state, recheck_at=due)
    return Step(record, state, (HoldJob(gate),))


# ── what is done about it ──


def _run(owner: Owner, task: Task, record: TaskStatus, run: Run, state: TaskPhase, now: datetime, leave: Leave) -> Step:
    match state:
        case TaskPhase.UNSTARTED:
            return _start(owner, task, record, now, leave) if leave.may_start else Step(record, state)
        case TaskPhase.RECORDED:
            return _start(owner, task, record, now, leave)
        case TaskPhase.BACKING_OFF:
            due = record.retry_at or now + timedelta(seconds=record.backoff_seconds or 0)
            record = record.model_copy(update={"retry_at": due, "backoff_seconds": None})
            if now < due:
                return Step(record, state, recheck_at=due)
            return _start(owner, task, record, now, leave) if leave.may_start else Step(record, state)
        case TaskPhase.PENDING:
            return _await_pod(record, run, now)
        case TaskPhase.STOPPING:
            return _finish_stop(record, run)
        case TaskPhase.RUNNING | TaskPhase.SUCCEEDED | TaskPhase.FAILED:
            return Step(record, state)
        case _:
            assert_never(state)


def _start(owner: Owner, task: Task, record: TaskStatus, now: datetime, leave: Leave) -> Step:
    refusal, creation = leave.refusal, leave.creation
    if refusal is not None and refusal.retry_at is None:
        return _refuse(record, refusal, now, creation)
    if creation is not None and creation.began_at is not None:
        record = _tell(record, refusal)
        return Step(record, TaskPhase(record.phase), recheck_at=_later(creation.began_at + CREATION_PATIENCE, now))
    if refusal is not None and not refusal.is_due(now):
        record = _tell(record, refusal)
        return Step(record, TaskPhase(record.phase), recheck_at=refusal.retry_at)
    if refusal is not None and refusal.is_invalid and not leave.may_start:
        return Step(_tell(record, refusal), TaskPhase(record.phase))  # it takes no other's place
    number = record.run if record.phase is TaskPhase.RECORDED else record.run + 1
    record = record.model_copy(
        update={
            "phase": TaskPhase.RECORDED,
            "run": number,
            "job": job_name(owner, task.name, number),
            "job_uid": None,
            "pod": None,
            "template_hash": task.template_hash,
            "retry_at": None,
            "backoff_seconds": None,
            "holding": None,
            "started_at": None,
            "finished_at": None,
        }
    )
    manifest = build_job(owner, task, number, was_cut_short=record.was_cut_short, previous=leave.previous)
    action = CreateJob(task.name, manifest, number, record.template_hash)
    return Step(_tell(record, refusal), TaskPhase.RECORDED, (action,))


def _tell(record: TaskStatus, refusal: Refusal | None) -> TaskStatus:
    """Say in the ledger why a run can't start, as long as it can't: it is known when another operator takes over."""
    if refusal is None or refusal.is_passing:
        return record.model_copy(update={"reason": None, "message": None})
    message = shorten_message(refusal.message, MAX_MESSAGE)
    return record.model_copy(update={"reason": refusal.reason, "message": message})


def _refuse(record: TaskStatus, refusal: Refusal, now: datetime, creation: Creation | None) -> Step:
    """Start nothing, as no Job can be made of the task; say why in the ledger."""
    told = _tell(record, refusal)
    if record.phase is not TaskPhase.RECORDED:
        return Step(told, TaskPhase(record.phase))
    step = _withdraw(record, now, creation)
    return replace(step, record=_tell(step.record, refusal))


def _later(due: datetime, now: datetime) -> datetime | None:
    return due if due > now else None


def _await_pod(record: TaskStatus, run: Run, now: datetime) -> Step:
    job = run.job
    if job is None or run.pods or job.is_suspended or job.seen_at is None:
        return Step(record, TaskPhase.PENDING)
    due = job.seen_at + POD_PATIENCE if job.explained_at is None else job.explained_at + EXPLAIN_INTERVAL
    if now < due:
        return Step(record, TaskPhase.PENDING, recheck_at=due)
    return Step(record, TaskPhase.PENDING, (ExplainMissingPod(job),))


def _hold(record: TaskStatus, run: Run, state: TaskPhase, now: datetime, creation: Creation | None) -> Step:
    match state:
        case TaskPhase.RECORDED:
            return _withdraw(record, now, creation)
        case TaskPhase.BACKING_OFF:
            return _freeze(record, now)
        case TaskPhase.PENDING:
            return _hold_back(record, run, now)
        case TaskPhase.STOPPING:
            return _finish_stop(record, run)
        case TaskPhase.UNSTARTED | TaskPhase.RUNNING | TaskPhase.SUCCEEDED | TaskPhase.FAILED:
            return Step(record, state)
        case _:
            assert_never(state)


def _hold_back(record: TaskStatus, run: Run, now: datetime) -> Step:
    """Evict the pod of a run. A Job that has yet to make its pod is waited for: see docs/adr/0008."""
    due = None if run.job is None or run.job.seen_at is None else run.job.seen_at + POD_PATIENCE
    if not run.live_pods and due is not None and now < due:
        return Step(record, TaskPhase.PENDING, recheck_at=due)
    record = record.model_copy(update={"holding": record.run, "phase": TaskPhase.STOPPING})
    actions: list[Action] = [EvictPod(pod) for pod in run.live_pods]
    if not actions and run.job is not None:
        actions.append(HoldJob(run.job))
    return Step(record, TaskPhase.STOPPING, tuple(actions))


def _stop(record: TaskStatus, run: Run, state: TaskPhase, now: datetime, creation: Creation | None) -> Step:
    match state:
        case TaskPhase.RECORDED:
            return _withdraw(record, now, creation)
        case TaskPhase.BACKING_OFF:
            return _freeze(record, now)
        case TaskPhase.PENDING | TaskPhase.RUNNING:
            record = record.model_copy(update={"phase": TaskPhase.STOPPING})
            return Step(record, TaskPhase.STOPPING, _kill(run))
        case TaskPhase.STOPPING:
            return _finish_stop(record, run)
        case TaskPhase.UNSTARTED | TaskPhase.SUCCEEDED | TaskPhase.FAILED:
            return Step(record, state)
        case _:
            assert_never(state)


def _finish_stop(record: TaskStatus, run: Run) -> Step:
    """Delete the Job of a run that we stop, once no pod of it can run, or at once if somebody has unsuspended it.

    The run ends when the Job is gone: as long as it is there, it makes a pod when somebody unsuspends it, as Kueue
    does. The mark is in the ledger before, so that the end can be told then.
    """
    job = run.job
    is_over = record.phase in CLOSED_TASKS  # it waits for a pod of an older run
    if is_over or job is None or job.is_terminating or job.has_ended or not is_stopped(record, job):
        return Step(record, TaskPhase.STOPPING)
    if record.holding != record.run:
        record = record.model_copy(update={"phase": TaskPhase.STOPPING})
    if job.is_stop_undone:
        return Step(record, TaskPhase.STOPPING, (DeleteJob(job, in_foreground=True),))
    is_quiet = job.is_suspension_in_force and not run.live_pods
    return Step(record, TaskPhase.STOPPING, (DeleteJob(job),) if is_quiet else ())


def _kill(run: Run) -> tuple[Action, ...]:
    """Stop a run by its Job, which tells afterwards what its pod had done before; by its pod where no Job can."""
    job = run.job
    if job is not None and not job.is_terminating and not job.has_ended:
        if job.is_stop_undone:
            return (DeleteJob(job, in_foreground=True),)
        is_quiet = job.is_suspended and job.is_suspension_in_force and not run.live_pods
        return (DeleteJob(job),) if is_quiet else (StopJob(job, was_running=run.has_started),)
    return tuple(DeletePod(pod) for pod in run.live_pods if not pod.is_terminating)


def stop_runs(runs: Runs) -> tuple[Action, ...]:
    """Stop all runs of a task by what its Jobs and pods show, whatever its ledger says; nothing where that is done."""
    return tuple(action for _, run in sorted(runs.items()) if _is_to_be_stopped(run) for action in _kill(run))


def _is_to_be_stopped(run: Run) -> bool:
    """Tell whether a pod of it can run, now or once somebody lets its Job go on, and nobody has stopped it."""
    job = run.job
    if job is not None and not job.has_ended and not job.is_terminating:
        return not job.is_stopped or job.is_stop_undone
    return any(not pod.is_terminating for pod in run.live_pods)


def _leave_alone(record: TaskStatus, runs: Runs, wanted: Wanted, now: datetime) -> Step:
    """Start no run of a task whose phase in the ledger is of a newer version; hold or stop what its Jobs and pods show.

    How its run ended is left for a version to record that knows what the phase means.
    """
    state = state_by_cluster(runs)
    if wanted is Wanted.STOP:
        return Step(record, state, stop_runs(runs))
    unstarted = [number for number, run in runs.items() if run.may_get_a_pod or _has_unstarted_pod(run)]
    if wanted is Wanted.RUN or not unstarted:
        return Step(record, state)
    number = max(unstarted)
    step = _hold_back(record.model_copy(update={"run": number}), runs[number], now)
    return replace(step, record=record.model_copy(update={"holding": step.record.holding}))


def _has_unstarted_pod(run: Run) -> bool:
    return not run.has_started and any(not pod.is_terminating for pod in run.live_pods)


def state_by_cluster(runs: Runs) -> TaskPhase:
    """Tell the state of a task by its Jobs and pods alone; Unstarted if no pod of it can run."""
    pods = [pod for run in runs.values() for pod in run.live_pods]
    if any(pod.has_started and not pod.is_terminating for pod in pods):
        return TaskPhase.RUNNING
    if any(pod.is_terminating for pod in pods):
        return TaskPhase.STOPPING
    return TaskPhase.PENDING if pods or any(run.may_get_a_pod for run in runs.values()) else TaskPhase.UNSTARTED


def _withdraw(record: TaskStatus, now: datetime, creation: Creation | None) -> Step:
    """End a run whose Job was never made, once none can come of what was asked for."""
    record = record.model_copy(update={"reason": None, "message": None})
    if creation is not None and creation.may_come(now):
        due = None if creation.ends_at is None else _later(creation.ends_at, now)
        return Step(record, TaskPhase.STOPPING, recheck_at=due)
    record = record.model_copy(update={"phase": TaskPhase.UNSTARTED, "job": None, "job_uid": None, "pod": None})
    return Step(record, TaskPhase.UNSTARTED)


def _freeze(record: TaskStatus, now: datetime) -> Step:
    """Make a back-off stand still while held: keep what is left of it instead of when it ends."""
    if record.retry_at is not None:
        left = max(0, round((record.retry_at - now).total_seconds()))
        record = record.model_copy(update={"retry_at": None, "backoff_seconds": left})
    return Step(record, TaskPhase.BACKING_OFF)
