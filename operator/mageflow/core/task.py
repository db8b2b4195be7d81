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

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, assert_never

from mageflow.api import CLOSED_TASKS, ENDED_TASKS, TaskPhase, TaskStatus
from mageflow.core.decision import (
    Action,
    CreateJob,
    DeleteJob,
    EvictPod,
    ExplainMissingPod,
    HoldJob,
)
from mageflow.core.evidence import awaits_evidence, plan_reading
from mageflow.core.garbage import (
    garbage_collect,
    kill,
    list_obsolete_jobs,
    list_orphan_pods,
    remove_orphan_pods,
    stop_runs,
)
from mageflow.core.job_manifest import build_job, job_name
from mageflow.core.ledger import MAX_MESSAGE, Settled, shorten_message
from mageflow.core.lifecycle import Wanted
from mageflow.core.observed import NO_RUN, Creation, ObservedJob, Refusal, Run, Runs
from mageflow.core.plan import Owner, Task
from mageflow.core.run_result import is_stopped
from mageflow.core.run_state import RunState, find_gate
from mageflow.core.steps import Step

POD_PATIENCE: Final = timedelta(seconds=5)
"""How long a Job may be without a pod: before that its pod is taken to be on the way; then we ask why."""

EXPLAIN_INTERVAL: Final = timedelta(seconds=30)
"""How often we ask again."""

CREATION_PATIENCE: Final = timedelta(seconds=10)
"""How long the API server may take to create a Job before that is told: an admission takes its time."""


@dataclass(frozen=True, slots=True)
class StartPermit:
    """Whether a task may start a run now, and with which input."""

    may_start: bool = True
    """It is its turn. If not, what it has begun goes on, and nothing begins."""
    previous: Any = None
    """The output of the task before it, in a Chain."""
    refusal: Refusal | None = None
    """Why its Job can't be created."""
    creation: Creation | None = None
    """What may come of requests to create its Job."""


def take_step(
    owner: Owner,
    task: Task,
    settled: Settled,
    runs: Runs,
    wanted: Wanted,
    now: datetime,
    permit: StartPermit = StartPermit(),
) -> Step:
    """Do what is wanted of a task: the table above, of DESIGN section 4.

    `settled` is its ledger entry, up to date with `runs`, which are all its runs that the cluster has. Returns the
    entry as it is to be from now on, with the actions: that entry is written *before* they are carried out, as it has
    the marks without which nobody could tell later who ended a run.
    """
    entry, state = settled.entry, settled.state
    if not entry.is_understood:
        return replace(_leave_alone(settled, runs, wanted, now), refusal=permit.refusal)
    run = runs.get(entry.run, NO_RUN)
    if entry.phase in ENDED_TASKS:
        return Step(entry, state, garbage_collect(entry, runs))
    if entry.phase not in CLOSED_TASKS and awaits_evidence(entry, run):
        reading, due = plan_reading(owner, task, entry, run, now)
        return Step(entry, state, () if reading is None else (reading,), due)
    gate = find_gate(entry, run)
    discards = tuple(DeleteJob(job) for job in list_obsolete_jobs(entry, runs) if job is not gate)
    orphans = list_orphan_pods(entry, runs)
    if orphans and wanted is Wanted.RUN and state is not RunState.RUNNING:
        state = RunState.STOPPING  # what would start waits for them; a hold or a stop doesn't
    if gate is not None:
        step = _open_gate(entry, gate, run, state, wanted, now)
    else:
        step = _dispatch(owner, task, entry, run, state, wanted, now, permit)
    state = RunState.STOPPING if orphans and step.state is not RunState.RUNNING else step.state
    actions = (*discards, *remove_orphan_pods(orphans, wanted), *step.actions)
    return replace(step, state=state, actions=actions, refusal=permit.refusal)


def _dispatch(
    owner: Owner,
    task: Task,
    entry: TaskStatus,
    run: Run,
    state: RunState,
    wanted: Wanted,
    now: datetime,
    permit: StartPermit,
) -> Step:
    match wanted:
        case Wanted.RUN:
            return _run(owner, task, entry, run, state, now, permit)
        case Wanted.HOLD:
            return _hold(entry, run, state, now, permit.creation)
        case Wanted.STOP:
            return _stop(entry, run, state, now, permit.creation)
        case _:
            assert_never(wanted)


def _open_gate(entry: TaskStatus, gate: ObservedJob, run: Run, state: RunState, wanted: Wanted, now: datetime) -> Step:
    """Delete a Job that somebody else suspended while it ran, once they let it go or nothing is to start any more.

    When it is let go it makes way for the next run: its own `MAGEFLOW_RESUMED` says that nothing was cut short. Its pod
    is waited for, as in a hold (ADR 8), and evicted as what is left over. What has started by then lives on, and so is
    orphaned: its run goes on (`ledger._reopen`).
    """
    if wanted is Wanted.STOP:
        return Step(entry, state, (DeleteJob(gate),))
    if gate.is_gated:
        return Step(entry, state, (HoldJob(gate),) if wanted is Wanted.HOLD else ())
    if run.live_pods:
        return Step(entry, state)
    due = None if gate.seen_at is None else gate.seen_at + POD_PATIENCE
    if due is not None and now < due:
        return Step(entry, state, recheck_at=due)
    return Step(entry, state, (HoldJob(gate),))


# ── what is done about it ──


def _run(
    owner: Owner, task: Task, entry: TaskStatus, run: Run, state: RunState, now: datetime, permit: StartPermit
) -> Step:
    match state:
        case RunState.UNSTARTED:
            return _start(owner, task, entry, now, permit) if permit.may_start else Step(entry, state)
        case RunState.RECORDED:
            return _start(owner, task, entry, now, permit)
        case RunState.BACKING_OFF:
            due = entry.retry_at or now + timedelta(seconds=entry.backoff_seconds or 0)
            entry = entry.model_copy(update={"retry_at": due, "backoff_seconds": None})
            if now < due:
                return Step(entry, state, recheck_at=due)
            return _start(owner, task, entry, now, permit) if permit.may_start else Step(entry, state)
        case RunState.PENDING:
            return _await_pod(entry, run, now)
        case RunState.STOPPING:
            return _finish_stop(entry, run)
        case RunState.RUNNING | RunState.SUCCEEDED | RunState.FAILED:
            return Step(entry, state)
        case _:
            assert_never(state)


def _start(owner: Owner, task: Task, entry: TaskStatus, now: datetime, permit: StartPermit) -> Step:
    refusal, creation = permit.refusal, permit.creation
    if refusal is not None and refusal.retry_at is None:
        return _refuse(entry, refusal, now, creation)
    if creation is not None and creation.began_at is not None:
        entry = _tell(entry, refusal)
        return Step(entry, RunState(entry.phase), recheck_at=_later(creation.began_at + CREATION_PATIENCE, now))
    if refusal is not None and not refusal.is_due(now):
        entry = _tell(entry, refusal)
        return Step(entry, RunState(entry.phase), recheck_at=refusal.retry_at)
    if refusal is not None and refusal.is_invalid and not permit.may_start:
        return Step(_tell(entry, refusal), RunState(entry.phase))  # it takes no other's place
    number = entry.run if entry.phase is TaskPhase.RECORDED else entry.run + 1
    entry = entry.model_copy(
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
    manifest = build_job(owner, task, number, was_cut_short=entry.was_cut_short, previous=permit.previous)
    action = CreateJob(task.name, manifest, number, entry.template_hash)
    return Step(_tell(entry, refusal), RunState.RECORDED, (action,))


def _tell(entry: TaskStatus, refusal: Refusal | None) -> TaskStatus:
    """Say in the ledger why a run can't start, while it can't: another operator that takes over knows it then."""
    if refusal is None or refusal.is_passing:
        return entry.model_copy(update={"reason": None, "message": None})
    message = shorten_message(refusal.message, MAX_MESSAGE)
    return entry.model_copy(update={"reason": refusal.reason, "message": message})


def _refuse(entry: TaskStatus, refusal: Refusal, now: datetime, creation: Creation | None) -> Step:
    """Start nothing, as no Job can be made of the task; say why in the ledger."""
    told = _tell(entry, refusal)
    if entry.phase is not TaskPhase.RECORDED:
        return Step(told, RunState(entry.phase))
    step = _abandon_run(entry, now, creation)
    return replace(step, entry=_tell(step.entry, refusal))


def _later(due: datetime, now: datetime) -> datetime | None:
    return due if due > now else None


def _await_pod(entry: TaskStatus, run: Run, now: datetime) -> Step:
    job = run.job
    if job is None or run.pods or job.is_suspended or job.seen_at is None:
        return Step(entry, RunState.PENDING)
    due = job.seen_at + POD_PATIENCE if job.explained_at is None else job.explained_at + EXPLAIN_INTERVAL
    if now < due:
        return Step(entry, RunState.PENDING, recheck_at=due)
    return Step(entry, RunState.PENDING, (ExplainMissingPod(job),))


def _hold(entry: TaskStatus, run: Run, state: RunState, now: datetime, creation: Creation | None) -> Step:
    match state:
        case RunState.RECORDED:
            return _abandon_run(entry, now, creation)
        case RunState.BACKING_OFF:
            return _pause_backoff(entry, now)
        case RunState.PENDING:
            return _evict_run(entry, run, now)
        case RunState.STOPPING:
            return _finish_stop(entry, run)
        case RunState.UNSTARTED | RunState.RUNNING | RunState.SUCCEEDED | RunState.FAILED:
            return Step(entry, state)
        case _:
            assert_never(state)


def _evict_run(entry: TaskStatus, run: Run, now: datetime) -> Step:
    """Evict the pod of a run. A Job that has yet to make its pod is waited for: see docs/adr/0008."""
    due = None if run.job is None or run.job.seen_at is None else run.job.seen_at + POD_PATIENCE
    if not run.live_pods and due is not None and now < due:
        return Step(entry, RunState.PENDING, recheck_at=due)
    entry = entry.model_copy(update={"holding": entry.run, "phase": TaskPhase.STOPPING})
    actions: list[Action] = [EvictPod(pod) for pod in run.live_pods]
    if not actions and run.job is not None:
        actions.append(HoldJob(run.job))
    return Step(entry, RunState.STOPPING, tuple(actions))


def _stop(entry: TaskStatus, run: Run, state: RunState, now: datetime, creation: Creation | None) -> Step:
    match state:
        case RunState.RECORDED:
            return _abandon_run(entry, now, creation)
        case RunState.BACKING_OFF:
            return _pause_backoff(entry, now)
        case RunState.PENDING | RunState.RUNNING:
            entry = entry.model_copy(update={"phase": TaskPhase.STOPPING})
            return Step(entry, RunState.STOPPING, kill(run))
        case RunState.STOPPING:
            return _finish_stop(entry, run)
        case RunState.UNSTARTED | RunState.SUCCEEDED | RunState.FAILED:
            return Step(entry, state)
        case _:
            assert_never(state)


def _finish_stop(entry: TaskStatus, run: Run) -> Step:
    """Delete the Job of a run that we stop: once no pod of it can run, or at once if somebody has unsuspended it.

    The run ends when the Job is gone: as long as it is there, it makes a pod when somebody unsuspends it, as Kueue
    does. The mark is in the ledger before, so that the end can be told then.
    """
    job = run.job
    is_over = entry.phase in CLOSED_TASKS  # it waits for a pod of an older run
    if is_over or job is None or job.is_terminating or job.has_ended or not is_stopped(entry, job):
        return Step(entry, RunState.STOPPING)
    if entry.holding != entry.run:
        entry = entry.model_copy(update={"phase": TaskPhase.STOPPING})
    if job.is_stop_undone:
        return Step(entry, RunState.STOPPING, (DeleteJob(job, in_foreground=True),))
    is_quiet = job.is_suspension_in_force and not run.live_pods
    return Step(entry, RunState.STOPPING, (DeleteJob(job),) if is_quiet else ())


def _leave_alone(settled: Settled, runs: Runs, wanted: Wanted, now: datetime) -> Step:
    """Hold or stop, but never start, a task whose ledger phase only a newer version understands.

    How its run ended is left for a version to record that knows what the phase means.
    """
    entry, state = settled.entry, settled.state
    if wanted is Wanted.STOP:
        return Step(entry, state, stop_runs(runs))
    unstarted = [number for number, run in runs.items() if run.may_get_a_pod or _has_unstarted_pod(run)]
    if wanted is Wanted.RUN or not unstarted:
        return Step(entry, state)
    number = max(unstarted)
    step = _evict_run(entry.model_copy(update={"run": number}), runs[number], now)
    return replace(step, entry=entry.model_copy(update={"holding": step.entry.holding}))


def _has_unstarted_pod(run: Run) -> bool:
    return not run.has_started and any(not pod.is_terminating for pod in run.live_pods)


def _abandon_run(entry: TaskStatus, now: datetime, creation: Creation | None) -> Step:
    """End a run whose Job was never made, once no request for it can still come true."""
    entry = entry.model_copy(update={"reason": None, "message": None})
    if creation is not None and creation.may_come(now):
        due = None if creation.ends_at is None else _later(creation.ends_at, now)
        return Step(entry, RunState.STOPPING, recheck_at=due)
    entry = entry.model_copy(update={"phase": TaskPhase.UNSTARTED, "job": None, "job_uid": None, "pod": None})
    return Step(entry, RunState.UNSTARTED)


def _pause_backoff(entry: TaskStatus, now: datetime) -> Step:
    """Keep what is left of a back-off instead of when it ends: it stands still while held."""
    if entry.retry_at is not None:
        left = max(0, round((entry.retry_at - now).total_seconds()))
        entry = entry.model_copy(update={"retry_at": None, "backoff_seconds": left})
    return Step(entry, RunState.BACKING_OFF)
