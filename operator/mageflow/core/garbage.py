"""What goes: Jobs that nobody needs, pods of runs that are over, and the runs of a task that is to be stopped.

Jobs are deleted or suspended, never pods where a Job can do it: it tells afterwards what its pod had done before.
"""

from __future__ import annotations

from collections.abc import Iterable

from mageflow.api import CLOSED_TASKS, ENDED_TASKS, TaskPhase, TaskStatus
from mageflow.core.decision import Action, DeleteJob, DeletePod, EvictPod, StopJob
from mageflow.core.lifecycle import Wanted
from mageflow.core.observed import ObservedJob, ObservedPod, Run, Runs
from mageflow.core.run_state import is_cut_short_by_suspension


def garbage_collect(entry: TaskStatus, runs: Runs) -> tuple[Action, ...]:
    """Return what is left to do for a task that won't run again: no pod of it may run, and Jobs that nobody needs go.

    Nothing, once each of its runs is at rest. The Jobs of runs that succeeded or failed stay for their logs (DESIGN
    section 2, "Finished Jobs stay").
    """
    if entry.phase in ENDED_TASKS and all(run.is_at_rest for run in runs.values()):
        return ()  # as nearly all are in a Swarm that is nearly done
    obsolete = list_obsolete_jobs(entry, runs)
    actions: list[Action] = [DeleteJob(job) for job in obsolete]
    for run in runs.values():
        if run.job is not None and (run.job in obsolete or (run.job.is_suspended and run.job.is_stopped)):
            continue
        if run.may_get_a_pod or any(not pod.is_terminating for pod in run.live_pods):
            actions += kill(run)
    return tuple(actions)


def list_obsolete_jobs(entry: TaskStatus, runs: Runs) -> list[ObservedJob]:
    """Return the Jobs of runs that are over and were held, stopped or disrupted.

    Those that succeeded or failed stay, for their logs, until the resource goes.
    """
    obsolete = []
    for number, run in sorted(runs.items()):
        job = run.job
        is_over = number < entry.run or entry.phase in CLOSED_TASKS
        if job is None or job.is_terminating or run.live_pods or not is_over:
            continue
        if _is_obsolete(entry, job, run, is_latest=number == entry.run):
            obsolete.append(job)
    return obsolete


def _is_obsolete(entry: TaskStatus, job: ObservedJob, run: Run, *, is_latest: bool) -> bool:
    """Tell whether nobody needs the Job of a run that is over: it has no end of the task's own, of which it has logs.

    A Job that says Complete of a run that was cut short would be taken for a success if the status were lost.
    """
    if is_latest and entry.phase is TaskPhase.UNSTARTED:
        return True
    if job.has_ended:
        return job.is_disrupted or (job.is_complete and entry.phase is not TaskPhase.SUCCEEDED)
    has_lost_its_pod = entry.phase is TaskPhase.BACKING_OFF and not run.pods
    could_be_released = entry.phase in ENDED_TASKS and job.is_suspended and job.is_suspension_in_force
    return not is_latest or has_lost_its_pod or could_be_released


def list_orphan_pods(entry: TaskStatus, runs: Runs) -> list[ObservedPod]:
    """Return live pods of runs that are over: each slipped through a hold, or its Job was suspended and let go again.

    One of the latest run that was given up as never started isn't: the run goes on with it (`ledger._reopen`).
    """
    is_over = entry.phase is TaskPhase.BACKING_OFF or is_cut_short_by_suspension(entry)
    over = entry.run if is_over else entry.run - 1
    return [pod for number, run in runs.items() if number <= over for pod in run.live_pods]


def remove_orphan_pods(orphans: Iterable[ObservedPod], wanted: Wanted) -> list[Action]:
    """Remove pods of runs that are over: all where all is to stop, else those that have not started."""
    actions: list[Action] = []
    for pod in orphans:
        if pod.is_terminating:
            continue
        if wanted is Wanted.STOP:
            actions.append(DeletePod(pod))
        elif not pod.has_started:
            actions.append(EvictPod(pod))
    return actions


def kill(run: Run) -> tuple[Action, ...]:
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
    return tuple(action for _, run in sorted(runs.items()) if _is_to_be_stopped(run) for action in kill(run))


def _is_to_be_stopped(run: Run) -> bool:
    """Tell whether a pod of it can run, now or once somebody lets its Job go on, and nobody has stopped it."""
    job = run.job
    if job is not None and not job.has_ended and not job.is_terminating:
        return not job.is_stopped or job.is_stop_undone
    return any(not pod.is_terminating for pod in run.live_pods)
