"""What is told of a resource after its tasks have taken their steps: its status and its events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from mageflow.api import (
    CLOSED_TASKS,
    ENDED_PHASES,
    HELD_PHASES,
    OCCUPIED_TASKS,
    WAITING_TASKS,
    Condition,
    ConditionType,
    Lifecycle,
    LifecycleSource,
    Phase,
    Status,
    TaskPhase,
    TaskStatus,
    find_condition,
    reasons,
)
from mageflow.api.base import StatusModel
from mageflow.core.asked import Asked
from mageflow.core.blocked import NOTHING_BLOCKED, Blocked
from mageflow.core.conditions import Consistency, Readiness, build_conditions, was_disrupted
from mageflow.core.decision import Event
from mageflow.core.ledger import MAX_MESSAGE, shorten_message
from mageflow.core.lifecycle import Effective, derive_phase, find_label_problem
from mageflow.core.observed import NO_RUN, ObservedResource, Run, Runs
from mageflow.core.plan import FailureMode, LedgerMode, Plan, SuspendMode, compute_outcome
from mageflow.core.readiness import NODE_PATIENCE, Progress, find_readiness, find_trouble, unreachable
from mageflow.core.run_result import RunResult
from mageflow.core.run_state import ENDED, OCCUPIED, RunState, is_cut_short_by_suspension
from mageflow.core.sizes import FAILED_MESSAGE, SWARM_MESSAGE, cut_outputs, outputs_limit
from mageflow.core.task import Step


@dataclass(frozen=True, slots=True)
class Report:
    """All that a status is made from."""

    observed: ObservedResource
    plan: Plan
    effective: Effective
    steps: tuple[Step, ...]
    """Of the tasks in the spec, in their order; a Swarm's that have no run and no turn are left out."""
    removals: tuple[Step, ...]
    """Of tasks that the spec has no more."""
    ended: Mapping[str, RunResult]
    """How the runs ended that have ended since the last status, by task name."""
    now: datetime
    size_problem: str | None = None
    """Why nothing new may start: there is no room for the ledger."""
    blocked: Blocked = NOTHING_BLOCKED
    """What of it can't be carried out."""

    @property
    def lifecycle(self) -> Lifecycle:
        """The one in force."""
        return self.effective.lifecycle

    @property
    def runs(self) -> Iterator[Run]:
        """The latest run of each task."""
        return (run_of(self.observed, step) for step in (*self.steps, *self.removals))


def build_status(report: Report) -> Status:
    """Build the whole new status."""
    observed, plan, old, now = report.observed, report.plan, report.observed.status, report.now
    outcome = _find_outcome(report)
    started = [step.entry.started_at for step in report.steps if step.entry.started_at is not None]
    started_at = old.started_at or min(started, default=None)
    phase = derive_phase(
        report.lifecycle,
        outcome,
        frozenset(_states(report)),
        has_ever_started=started_at is not None,
        runs_on_when_suspended=plan.suspend is SuspendMode.RUN_ON,
    )
    done, failed, running = (_count(report, phase) for phase in _COUNTED)
    total = len(plan.tasks)
    interruptions = old.interruptions + _count_interruptions(report)
    consistency = Consistency(interruptions, was_disrupted(old) or _is_disrupted(report))
    conditions = build_conditions(
        phase, _find_readiness(report, phase), consistency, old.conditions, observed.generation, now
    )
    return Status(
        phase=phase,
        lifecycle=report.lifecycle,
        lifecycle_source=report.effective.source,
        **Asked.of(observed).as_status(),
        started_at=started_at,
        finished_at=now if phase in ENDED_PHASES else None,
        suspended_at=None if report.lifecycle is Lifecycle.ACTIVE else old.suspended_at or now,
        done=done,
        total=total,
        running=running,
        failed=failed,
        pending=total - done - failed - running,
        progress=f"{done}/{total}",
        interruptions=interruptions,
        output=_output_of(report) if phase is Phase.SUCCEEDED else None,
        tasks=tuple(_entries(report)),
        conditions=conditions,
        **_unknown_fields(old),
    )


def name_what_runs(status: Status, observed: ObservedResource) -> Status:
    """Have the ledger name the pods and Jobs of what runs, in a write that is made anyway: they lead to evidence."""
    tasks = tuple(_name_what_runs(entry, observed.runs_of(entry.name)) for entry in status.tasks)
    return status.model_copy(update={"tasks": tasks})


def _name_what_runs(entry: TaskStatus, runs: Runs) -> TaskStatus:
    run = NO_RUN if entry.phase in CLOSED_TASKS else runs.get(entry.run, NO_RUN)
    pod = run.pods[-1].name if run.pods else entry.pod
    job_uid = run.job.uid if run.job is not None else entry.job_uid
    if (pod, job_uid) == (entry.pod, entry.job_uid):
        return entry
    return entry.model_copy(update={"pod": pod, "job_uid": job_uid})


def _find_outcome(report: Report) -> Phase | None:
    """Tell how it has ended: not while a task that is no part of the end, such as a removed one, has a pod."""
    if any(step.state in OCCUPIED for step in (*report.steps, *report.removals)):
        return None
    return compute_outcome(report.plan, {step.entry.name: step.entry for step in report.steps})


def _states(report: Report) -> Iterator[RunState]:
    """Yield the states that its tasks are in; Stopping for a pod of one that has ended, which is being cleared away."""
    for step in (*report.steps, *report.removals):
        yield step.state
        if report.lifecycle is not Lifecycle.ACTIVE and step.state in ENDED:  # only who holds waits for it
            runs = report.observed.runs_of(step.entry.name).values()
            if any(run.live_pods or run.may_get_a_pod for run in runs):
                yield RunState.STOPPING


_COUNTED: Final = (RunState.SUCCEEDED, RunState.FAILED, RunState.RUNNING)


def _count(report: Report, state: RunState) -> int:
    return sum(step.state is state for step in report.steps)


def _count_interruptions(report: Report) -> int:
    """Count the running tasks that were interrupted since the last status."""
    before = {entry.name: entry.interruptions for entry in report.observed.status.tasks}
    steps = (*report.steps, *report.removals)
    return sum(step.entry.interruptions - before.get(step.entry.name, 0) for step in steps if step.entry.interruptions)


def _is_disrupted(report: Report) -> bool:
    """Tell whether others have cut a running task short; the ledger forgets that of tasks that are over."""
    return any(step.entry.cut_short for step in (*report.steps, *report.removals))


def _output_of(report: Report) -> object:
    if not report.plan.has_output:
        return None
    if report.plan.ledger is LedgerMode.WITH_OUTPUTS:
        return report.steps[-1].entry.output
    result = report.ended.get(report.steps[-1].entry.name)
    return None if result is None else result.output


def _entries(report: Report) -> Iterator[TaskStatus]:
    """Yield the entries of the ledger as they are kept."""
    entries = [_with_trouble(report, step) for step in (*report.steps, *report.removals)]
    if report.plan.ledger is not LedgerMode.COMPACT:
        yield from cut_outputs(entries, outputs_limit(report.plan))
        return
    for entry in entries:
        if entry.phase is TaskPhase.SUCCEEDED:
            lost = entry.reason if entry.reason == reasons.OUTPUT_LOST else None
            yield TaskStatus(
                name=entry.name,
                phase=entry.phase,
                run=entry.run,
                disruptions=entry.disruptions,
                reason=lost,
                **_unknown_fields(entry),
            )
        elif entry.phase is TaskPhase.FAILED:
            yield TaskStatus(
                name=entry.name,
                phase=entry.phase,
                run=entry.run,
                failures=entry.failures,
                interruptions=entry.interruptions,
                disruptions=entry.disruptions,
                disruptions_in_row=entry.disruptions_in_row,
                reason=entry.reason,
                message=shorten_message(entry.message, FAILED_MESSAGE),
                **_unknown_fields(entry),
            )
        elif entry.phase is TaskPhase.RECORDED and entry.reason not in (None, reasons.INVALID_TASK):
            yield entry.model_copy(update={"message": None})  # one refusal is told of many
        elif entry != TaskStatus(name=entry.name):
            yield entry.model_copy(update={"message": shorten_message(entry.message, SWARM_MESSAGE)})


def _unknown_fields(status: StatusModel) -> dict[str, Any]:
    """Return the fields that a newer version has left: they are written back."""
    return status.model_extra or {}


def _with_trouble(report: Report, step: Step) -> TaskStatus:
    """Return a task's entry with why its run doesn't start, or doesn't end: the condition Ready tells of one task."""
    if step.entry.phase not in OCCUPIED_TASKS:
        return step.entry  # what its latest run ended with is told
    trouble = find_trouble(step.state, run_of(report.observed, step))
    told = (None, None) if trouble is None else (trouble.reason, shorten_message(trouble.message, MAX_MESSAGE))
    if told == (step.entry.reason, step.entry.message):
        return step.entry
    return step.entry.model_copy(update={"reason": told[0], "message": told[1]})


def _find_readiness(report: Report, phase: Phase) -> Readiness:
    """Tell how it is, and what is wrong with its namespace's label if that is what holds it."""
    readiness = _find_own_readiness(report, phase)
    problem = None if phase in ENDED_PHASES else find_label_problem(report.observed.namespace_lifecycle)
    if problem is None:
        return readiness
    if readiness.is_ready and report.effective.source is LifecycleSource.NAMESPACE:
        return Readiness(False, reasons.INVALID_NAMESPACE_LIFECYCLE, problem, is_stalled=True)
    return replace(readiness, message=f"{readiness.message}; {problem}")


def _find_own_readiness(report: Report, phase: Phase) -> Readiness:
    if phase not in ENDED_PHASES:
        changed = _find_changed(report)
        if changed is not None:
            return changed
        if report.size_problem is not None and _would_start(report):
            return Readiness(False, reasons.INVALID_TASK, report.size_problem, is_stalled=True)
    progress = [
        Progress(step.entry, step.state, run_of(report.observed, step), step.refusal)
        for step in (*report.steps, *(step for step in report.removals if step.state in OCCUPIED))
    ]
    readiness = find_readiness(phase, report.effective, report.plan.is_single, progress, report.now)
    if phase is Phase.SUCCEEDED and report.plan.has_output and report.steps[-1].entry.message:
        return replace(readiness, message=f"{readiness.message}; {report.steps[-1].entry.message}")
    readiness = tell_of_blocked(report.blocked, phase, readiness)
    ready = find_condition(report.observed.status.conditions, ConditionType.READY)
    if ready is not None and ready.reason == reasons.NODE_UNREACHABLE and readiness.reason == phase.value:
        going = (pod for run in report.runs for pod in run.live_pods if pod.is_terminating)
        known = next((pod for pod in going if pod.name in ready.message), None)
        return readiness if known is None else unreachable(known)  # an operator that has just started counts anew
    return readiness


def _would_start(report: Report) -> bool:
    """Tell whether a task is left that may start, once there is room."""
    begun = {step.entry.name for step in report.steps if step.entry.phase not in WAITING_TASKS}
    return report.lifecycle is Lifecycle.ACTIVE and any(task.name not in begun for task in report.plan.tasks)


def tell_of_blocked(blocked: Blocked, phase: Phase, readiness: Readiness) -> Readiness:
    """Say what the API server refuses: as the reason where a stop is waited for, else beside what is told."""
    refusal = blocked.stop or blocked.deletion
    if refusal is None or phase in ENDED_PHASES:
        return readiness
    if phase in (Phase.SUSPENDING, Phase.INTERRUPTING) and blocked.stop is not None:
        return Readiness(False, refusal.reason, refusal.message)
    return replace(readiness, message=f"{readiness.message}; {refusal.message}")


def _find_changed(report: Report) -> Readiness | None:
    """Find a task that was edited though it runs or has succeeded, which no rule of the CRD can refuse in every case.

    Looked for when the spec is new, and for as long as one was found: it takes reading every template.
    """
    old, generation = report.observed.status, report.observed.generation
    ready = find_condition(old.conditions, ConditionType.READY)
    if old.observed_generation == generation and (ready is None or ready.reason != reasons.TASK_CHANGED):
        return None
    tasks = {task.name: task for task in report.plan.tasks}
    is_compact = report.plan.ledger is LedgerMode.COMPACT
    for step in report.steps:
        entry, hash_ = step.entry, step.entry.template_hash
        if step.state not in _FIXED or hash_ is None or (step.state in ENDED and is_compact):
            continue
        if hash_ == tasks[entry.name].template_hash:
            continue
        task = "the task" if report.plan.is_single else f"task {entry.name}"
        what = "has succeeded" if step.state is RunState.SUCCEEDED else f"is in run {entry.run}"
        return Readiness(False, reasons.TASK_CHANGED, f"{task} {what}: editing it has no effect on that; take it back")
    return None


_FIXED: Final = frozenset({RunState.PENDING, RunState.RUNNING, RunState.SUCCEEDED})
"""States of a task in which an edit comes too late."""


def acknowledge(observed: ObservedResource) -> Status:
    """Say that an ended resource's new spec was seen; nothing else of it changes."""
    old, generation = observed.status, observed.generation
    if old.observed_generation == generation:
        return old
    conditions = [condition.model_copy(update={"observed_generation": generation}) for condition in old.conditions]
    return old.model_copy(update={"observed_generation": generation, "conditions": tuple(conditions)})


def node_deadline(report: Report) -> datetime | None:
    """Return when a deleted pod's node will have had its time to say that it is gone; None if none is awaited."""
    deadlines = (
        pod.deletion_due + NODE_PATIENCE for run in report.runs for pod in run.live_pods if pod.deletion_due is not None
    )
    return earliest(*(deadline for deadline in deadlines if deadline > report.now))


def run_of(observed: ObservedResource, step: Step) -> Run:
    """Return the latest run of a step's task."""
    return observed.runs_of(step.entry.name).get(step.entry.run, NO_RUN)


def earliest(*times: datetime | None) -> datetime | None:
    """Return the earliest time, None if there is none."""
    return min((time for time in times if time is not None), default=None)


# ── events ──

QUIET_REASONS: Final = frozenset({reasons.PENDING, reasons.SUSPENDING, reasons.INTERRUPTING, reasons.BACKING_OFF})
"""Reasons for not being ready that belong to normal progress, or have an event of their own."""


def find_events(report: Report, new: Status) -> tuple[Event, ...]:
    """Find what is worth an Event: transitions of the lifecycle, and failures."""
    of_runs = tuple(_events_of_runs(report))
    told = {event.reason for event in of_runs}
    of_transitions = (event for event in events_of_transitions(report.observed.status, new) if event.reason not in told)
    return (*of_runs, *_events_of_suspensions(report), *of_transitions)


def _events_of_runs(report: Report) -> Iterator[Event]:
    """Yield an event for each run that failed or was disrupted and is followed by another, or whose output is lost."""
    for step in report.steps:
        result = report.ended.get(step.entry.name)
        if result is None or result.reason is None:
            continue
        if step.entry.phase is TaskPhase.SUCCEEDED and result.reason != reasons.OUTPUT_LOST:
            continue
        if report.plan.failure is FailureMode.END_AT_FIRST and step.entry.phase is TaskPhase.FAILED:
            continue  # the resource's own failure says it
        task = "" if report.plan.is_single else f"task {step.entry.name}, "
        yield Event("Warning", result.reason, f"{task}run {step.entry.run}: {result.message}")


def _events_of_suspensions(report: Report) -> Iterator[Event]:
    """Yield an event for each Job that somebody else has suspended, and whose suspension goes with it by our doing."""
    before = {entry.name: entry for entry in report.observed.status.tasks}
    for step in (*report.steps, *report.removals):
        old = before.get(step.entry.name)
        if old is None:
            continue
        job = run_of(report.observed, step).job
        begins_to_go = step.entry.phase is TaskPhase.STOPPING and old.phase is not TaskPhase.STOPPING
        is_wanted = report.lifecycle is Lifecycle.ACTIVE and step not in report.removals
        has_gone = is_cut_short_by_suspension(old) and not is_cut_short_by_suspension(step.entry) and not is_wanted
        if has_gone or (begins_to_go and job is not None and job.is_gated):
            what = f"Job {old.job} was suspended by somebody else, and is deleted: nothing starts when they let it go"
            yield Event("Normal", reasons.JOB_SUSPENDED, what)


def events_of_transitions(old: Status, new: Status) -> Iterator[Event]:
    """Yield an event for a hold, a release, an end, and for what keeps the spec from being in force."""
    ready = find_condition(new.conditions, ConditionType.READY)
    message = ready.message if ready is not None else ""
    if new.lifecycle is Lifecycle.ACTIVE and old.lifecycle not in (None, Lifecycle.ACTIVE):
        yield Event("Normal", reasons.RESUMED, f"active again after {old.lifecycle}")
    if new.phase != old.phase and new.phase is Phase.SUSPENDED and new.lifecycle_source is LifecycleSource.FAILURE:
        yield Event("Warning", ready.reason if ready is not None else "", message)
    elif new.phase is not None and new.phase != old.phase and new.phase in (HELD_PHASES | {Phase.CANCELED}):
        yield Event("Normal", str(new.phase), message)
    elif new.phase != old.phase and new.phase is Phase.FAILED:
        yield Event("Warning", reasons.FAILED, message)
    elif _is_bad_news(ready, find_condition(old.conditions, ConditionType.READY)):
        yield Event("Warning", ready.reason if ready is not None else "", message)


def _is_bad_news(ready: Condition | None, was_ready: Condition | None) -> bool:
    if ready is None or ready.status == "True" or ready.reason in QUIET_REASONS:
        return False
    return was_ready is None or was_ready.reason != ready.reason
