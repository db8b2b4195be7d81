"""What keeps one task from running, or its pod from ending: as its ledger entry and the condition Ready tell it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, assert_never

from mageflow.api import TaskStatus, reasons
from mageflow.core.conditions import Readiness
from mageflow.core.decision import earliest
from mageflow.core.evidence import awaits_evidence
from mageflow.core.observed import ObservedPod, ReasonMessage, Refusal, Run
from mageflow.core.run_result import describe_gate
from mageflow.core.run_state import RunState
from mageflow.core.sentences import list_names

NODE_PATIENCE: Final = timedelta(seconds=60)
"""How long after its grace period a deleted pod may still be there before its node is said not to answer."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one task has got."""

    entry: TaskStatus
    state: RunState
    run: Run
    """Its latest run."""
    refusal: Refusal | None
    """Why its next run can't start."""

    @property
    def is_looked_into(self) -> bool:
        """Its run is over, and how it ended has yet to be found out."""
        return self.state is RunState.STOPPING and awaits_evidence(self.entry, self.run)


def find_wait(task: Progress, label: str) -> Readiness | None:
    """Tell what one task waits for, after `label`; None if it has ended, runs or isn't its turn."""
    entry, state, refusal = task.entry, task.state, task.refusal
    if refusal is not None and refusal.reason == reasons.UNKNOWN_PHASE:
        return Readiness(False, refusal.reason, f"{label}{refusal.message}", is_stalled=True)
    match state:
        case RunState.SUCCEEDED | RunState.FAILED | RunState.RUNNING:
            return None
        case RunState.STOPPING:
            what = describe_looking(task) if task.is_looked_into else "an earlier run is still stopping"
            return Readiness(False, reasons.PENDING, f"{label}{what}")
        case RunState.PENDING:
            trouble = find_trouble(state, task.run)
            if trouble is not None:
                return Readiness(False, trouble.reason, f"{label}{trouble.message}")
        case RunState.BACKING_OFF if refusal is None or not refusal.is_invalid:
            when = f" at {entry.retry_at:%H:%M:%S} UTC" if entry.retry_at is not None else ""
            why = "" if entry.reason is None else f" ({describe_end(entry)})"
            what = f"{label}run {entry.run} ended{why}; the next starts{when}"
            return Readiness(False, reasons.BACKING_OFF, what)
        case RunState.UNSTARTED | RunState.RECORDED | RunState.BACKING_OFF:
            if refusal is not None and not refusal.is_passing:
                return Readiness(False, refusal.reason, f"{label}{refusal.message}", is_stalled=refusal.is_invalid)
            if state is RunState.UNSTARTED:
                return None
        case _:
            assert_never(state)
    return Readiness(False, reasons.PENDING, f"{label}waiting for the pod of run {entry.run} to start")


def find_trouble(state: RunState, run: Run) -> ReasonMessage | None:
    """Tell why the run of a task in this state doesn't start, or doesn't end; None if nothing is unusual."""
    if state is RunState.PENDING:
        return _find_waiting(run)
    if state is not RunState.RUNNING:
        return None
    names = sorted({name for pod in run.live_pods for name in pod.lingering})
    what = f"the main container has ended, still running: {list_names(names)}; only a native sidecar is stopped then"
    return ReasonMessage(reasons.CONTAINER_STILL_RUNNING, what) if names else None


def _find_waiting(run: Run) -> ReasonMessage | None:
    for pod in run.live_pods:
        if pod.waiting is not None:
            return pod.waiting
    if run.job is not None and run.job.is_gated:
        return ReasonMessage(reasons.JOB_SUSPENDED, describe_gate(run.job))
    if run.job is not None and not run.pods and run.job.missing_pod:
        return ReasonMessage(reasons.POD_NOT_CREATED, run.job.missing_pod)
    return None


def find_stuck_pod(runs: Iterable[Run], now: datetime) -> ObservedPod | None:
    """Return a deleted pod of which its node doesn't say, long after its grace period, that it is gone."""
    pods = (pod for run in runs for pod in run.live_pods)
    return next((pod for pod in pods if pod.deletion_due is not None and now >= pod.deletion_due + NODE_PATIENCE), None)


def compute_node_deadline(runs: Iterable[Run], now: datetime) -> datetime | None:
    """Return when the node of a deleted pod will have had its time to say that it is gone; None if none is awaited."""
    deadlines = (
        pod.deletion_due + NODE_PATIENCE for run in runs for pod in run.live_pods if pod.deletion_due is not None
    )
    return earliest(*(deadline for deadline in deadlines if deadline > now))


def describe_unreachable(pod: ObservedPod) -> str:
    """Say that a pod's node doesn't say that it is gone."""
    return f"pod {pod.name} was deleted, but node {pod.node} doesn't confirm it: it may run on"


def describe_looking(task: Progress) -> str:
    """Say that it is being found out how a run ended."""
    return f"run {task.entry.run} is over: its events are read to tell how it ended"


def describe_end(entry: TaskStatus) -> str:
    """Say how a task's latest run ended."""
    return f"{entry.reason}: {entry.message}" if entry.message else f"{entry.reason}"
