"""The state that a task is in, as the ledger and the cluster show it together.

Two words that look alike are two types: `TaskPhase` is what the ledger says, and so has promised; `RunState` is what is
seen, and known to `core` only. They differ where it matters: a run that somebody else stops is Stopping, while the
ledger's Stopping is a mark of our own; a task whose next run waits for somebody to let a Job go is Pending, while the
ledger has its latest run as over.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from mageflow.api import CLOSED_TASKS, ENDED_TASKS, OCCUPIED_TASKS, TaskPhase, TaskStatus, reasons
from mageflow.core.evidence import awaits_evidence
from mageflow.core.observed import ObservedJob, Run, Runs
from mageflow.core.run_result import is_stopped


class RunState(StrEnum):
    """The state of a task: that of its latest run, or what it waits for."""

    UNSTARTED = "Unstarted"
    """No run of it is open, and nothing keeps the next one from starting but its turn and the lifecycle."""
    RECORDED = "Recorded"
    """A run is in the ledger, and no Job of it was seen: one may yet come."""
    BACKING_OFF = "BackingOff"
    """Its latest run failed or was disrupted; the next one waits for the back-off."""
    PENDING = "Pending"
    """A pod of it may start: it is there, or its Job may make it, or a Job that others suspended has to go first."""
    RUNNING = "Running"
    """A container of it has started, and nobody stops it."""
    STOPPING = "Stopping"
    """A pod of it may still run, and somebody stops it; or how its run ended has yet to be found out."""
    SUCCEEDED = "Succeeded"
    """The ledger says so: final."""
    FAILED = "Failed"
    """The ledger says so: final."""


ENDED: Final = frozenset(map(RunState, ENDED_TASKS))
"""States of a task that never runs again."""

OCCUPIED: Final = frozenset(map(RunState, OCCUPIED_TASKS))
"""States of a task in which a pod of it runs or may yet start."""


def derive_state(entry: TaskStatus, run: Run) -> RunState:
    """Tell the state of a task whose ledger entry is up to date."""
    if entry.phase in CLOSED_TASKS:
        return RunState(entry.phase) if find_gate(entry, run) is None else RunState.PENDING
    pods, job = run.live_pods, run.job
    is_stopped_by_us = job is not None and is_stopped(entry, job)
    if is_stopped_by_us or any(pod.is_terminating for pod in pods):
        return RunState.STOPPING
    if any(pod.has_started for pod in pods):
        return RunState.RUNNING
    if pods:
        return RunState.PENDING
    if awaits_evidence(entry, run):
        return RunState.STOPPING  # until it is known how it ended
    if job is None:
        return RunState.RECORDED
    if job.is_terminating:
        return RunState.STOPPING
    # Its pod is gone, and the Job controller has yet to say so; or it has yet to be made.
    return RunState.RUNNING if entry.phase is TaskPhase.RUNNING and not job.is_suspended else RunState.PENDING


def derive_state_by_cluster(runs: Runs) -> RunState:
    """Tell the state of a task by its Jobs and pods alone; Unstarted if no pod of it can run."""
    pods = [pod for run in runs.values() for pod in run.live_pods]
    if any(pod.has_started and not pod.is_terminating for pod in pods):
        return RunState.RUNNING
    if any(pod.is_terminating for pod in pods):
        return RunState.STOPPING
    return RunState.PENDING if pods or any(run.may_get_a_pod for run in runs.values()) else RunState.UNSTARTED


def is_cut_short_by_suspension(entry: TaskStatus) -> bool:
    """Tell whether the latest run is over as somebody else suspended its Job, and no other has begun."""
    return entry.phase is TaskPhase.UNSTARTED and entry.reason == reasons.JOB_SUSPENDED


def find_gate(entry: TaskStatus, run: Run) -> ObservedJob | None:
    """Return the Job of the latest run, if that is over and the Job keeps the next one from starting.

    Somebody else suspended it while it ran, and has to let go: by unsuspending it, or deleting it. No other run starts
    before it is gone, as it makes a pod when it is let go.
    """
    job = run.job
    if job is None or job.has_ended or job.is_terminating or job.is_stopped:
        return None
    return job if is_cut_short_by_suspension(entry) else None
