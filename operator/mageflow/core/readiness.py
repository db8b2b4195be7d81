"""The Ready condition in words: whether what the spec asks is in force, and if not, what it waits for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, assert_never

from mageflow.api import Lifecycle, Phase, TaskPhase, TaskStatus, reasons
from mageflow.core.conditions import Readiness
from mageflow.core.evidence import awaits_evidence
from mageflow.core.lifecycle import Effective, describe_release
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


def find_readiness(
    phase: Phase, effective: Effective, is_single: bool, tasks: Sequence[Progress], now: datetime
) -> Readiness:
    """Tell whether what the spec asks is in force. `is_single`: there is one task, which goes without a name."""
    match phase:
        case Phase.SUCCEEDED:
            return Readiness(True, reasons.SUCCEEDED, _describe_success(is_single, tasks))
        case Phase.FAILED:
            return Readiness(True, reasons.FAILED, _describe_failure(is_single, tasks), is_stalled=True)
        case Phase.CANCELED:
            return Readiness(True, reasons.CANCELED, "canceled; nothing runs")
        case Phase.SUSPENDED if effective.failure is not None:
            failure = effective.failure
            return Readiness(False, failure.reason or "", failure.message or "", is_stalled=True)
        case Phase.SUSPENDED | Phase.INTERRUPTED:
            return Readiness(
                True, phase.value, f"nothing runs, and nothing starts until {describe_release(effective.holders)}"
            )
        case Phase.SUSPENDING | Phase.INTERRUPTING:
            return _find_stuck(tasks, now) or Readiness(False, phase.value, _describe_stopping(tasks))
        case Phase.ACTIVE | Phase.PENDING:
            if effective.lifecycle is Lifecycle.SUSPENDED:
                what = f"run {tasks[0].entry.run} had started: it finishes, and nothing starts after it"
                return Readiness(False, reasons.TASK_ALREADY_RUNNING, what)
            return _find_progress(is_single, tasks)
        case _:
            assert_never(phase)


def _find_progress(is_single: bool, tasks: Sequence[Progress]) -> Readiness:
    """Tell how far a resource that may run has got: what needs help comes first, then what runs, then what waits."""
    found = [_find_one(task, "" if is_single else f"task {task.entry.name}: ") for task in tasks]
    told = [readiness for readiness in found if readiness is not None]
    stalled = next((readiness for readiness in told if readiness.is_stalled), None)
    if stalled is not None:
        return stalled
    running = [task for task in tasks if task.state is RunState.RUNNING]
    if running:
        return Readiness(True, reasons.RUNNING, _describe_running(is_single, running, told))
    return min(told, key=_urgency, default=Readiness(False, reasons.PENDING, "waiting for its tasks"))


def _urgency(readiness: Readiness) -> int:
    """What is unusual is told before what is usual."""
    usual = (reasons.BACKING_OFF, reasons.PENDING)
    return usual.index(readiness.reason) + 1 if readiness.reason in usual else 0


def _find_one(task: Progress, label: str) -> Readiness | None:
    """Tell what one task waits for; None if it has ended, runs or isn't its turn."""
    entry, state, refusal = task.entry, task.state, task.refusal
    if refusal is not None and refusal.reason == reasons.UNKNOWN_PHASE:
        return Readiness(False, refusal.reason, f"{label}{refusal.message}", is_stalled=True)
    match state:
        case RunState.SUCCEEDED | RunState.FAILED | RunState.RUNNING:
            return None
        case RunState.STOPPING:
            what = _describe_looking(task) if awaits_evidence(entry, task.run) else "an earlier run is still stopping"
            return Readiness(False, reasons.PENDING, f"{label}{what}")
        case RunState.PENDING:
            trouble = find_trouble(state, task.run)
            if trouble is not None:
                return Readiness(False, trouble.reason, f"{label}{trouble.message}")
        case RunState.BACKING_OFF if refusal is None or not refusal.is_invalid:
            when = f" at {entry.retry_at:%H:%M:%S} UTC" if entry.retry_at is not None else ""
            why = "" if entry.reason is None else f" ({_why(entry)})"
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


def _find_stuck(tasks: Iterable[Progress], now: datetime) -> Readiness | None:
    for pod in (pod for task in tasks for pod in task.run.live_pods):
        if pod.deletion_due is not None and now >= pod.deletion_due + NODE_PATIENCE:
            return unreachable(pod)
    return None


def unreachable(pod: ObservedPod) -> Readiness:
    """Tell that a pod's node doesn't say that it is gone."""
    what = f"pod {pod.name} was deleted, but node {pod.node} doesn't confirm it: it may run on"
    return Readiness(False, reasons.NODE_UNREACHABLE, what)


def _describe_success(is_single: bool, tasks: Sequence[Progress]) -> str:
    return f"run {tasks[0].entry.run} succeeded" if is_single else "every task succeeded"


def _describe_looking(task: Progress) -> str:
    return f"run {task.entry.run} is over: its events are read to tell how it ended"


def _describe_running(is_single: bool, running: Sequence[Progress], told: Iterable[Readiness]) -> str:
    """Say what runs, and what is unusual besides: of one that doesn't end, and of one that doesn't start."""
    unended = (_describe_unended(is_single, task) for task in running)
    unstarted = [readiness.message for readiness in told if _urgency(readiness) == 0]
    more = [f"and {len(unstarted) - 1} more that can't start"] if len(unstarted) > 1 else []
    what = "" if is_single else f"running: {list_names([task.entry.name for task in running])}"
    what = what or f"run {running[0].entry.run} is running"
    return "; ".join([what, *[each for each in unended if each][:1], *unstarted[:1], *more])


def _describe_unended(is_single: bool, task: Progress) -> str:
    trouble = find_trouble(task.state, task.run)
    label = "" if is_single else f"task {task.entry.name}: "
    return "" if trouble is None else f"{label}{trouble.message}"


def _describe_stopping(tasks: Sequence[Progress]) -> str:
    names = sorted(pod.name for task in tasks for pod in task.run.live_pods)
    if names:
        return f"waiting for pods to end: {list_names(names)}"
    over = [task for task in tasks if task.state is RunState.STOPPING and awaits_evidence(task.entry, task.run)]
    if over:
        return _describe_looking(over[0])
    recorded = (task.entry for task in tasks if task.entry.phase is TaskPhase.RECORDED)
    jobs = sorted(entry.job for entry in recorded if entry.job is not None)
    if jobs:
        return f"waiting for what comes of the creation of Jobs that was asked for: {list_names(jobs)}"
    return "waiting for the Job controller"


def _describe_failure(is_single: bool, tasks: Iterable[Progress]) -> str:
    failed = [task.entry for task in tasks if task.state is RunState.FAILED]
    first = failed[0]
    label = "" if is_single else f"task {first.name}: "
    others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    if first.reason == reasons.TOO_MANY_DISRUPTIONS:
        what = f"{first.disruptions_in_row} runs in a row were disrupted; the last one, {first.run}: {first.message}"
    else:
        what = f"run {first.run} failed and no retries are left: {_why(first)}"
    return f"{label}{what}{others}"


def _why(entry: TaskStatus) -> str:
    return f"{entry.reason}: {entry.message}" if entry.message else f"{entry.reason}"
