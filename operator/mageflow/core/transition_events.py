"""The Events on a resource: made of lifecycle transitions and of failures only, not of normal progress."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mageflow.api import (
    HELD_PHASES,
    Condition,
    ConditionType,
    Lifecycle,
    LifecycleSource,
    Phase,
    Status,
    TaskPhase,
    find_condition,
    reasons,
)
from mageflow.core.decision import Event
from mageflow.core.plan import FailureMode, StepRole
from mageflow.core.run_state import is_cut_short_by_suspension
from mageflow.core.status_builder import Report
from mageflow.core.steps import run_of

QUIET_REASONS: Final = frozenset({reasons.PENDING, reasons.SUSPENDING, reasons.INTERRUPTING, reasons.BACKING_OFF})
"""Reasons for not being ready that belong to normal progress, or have an event of their own."""


def events_of(report: Report, new: Status) -> tuple[Event, ...]:
    """Return what is worth an Event, given the new status: transitions of the lifecycle, and failures."""
    of_runs = tuple(_events_of_runs(report))
    told = {event.reason for event in of_runs}
    of_transitions = (event for event in events_of_transitions(report.observed.status, new) if event.reason not in told)
    return (*of_runs, *_events_of_suspensions(report), *of_transitions)


def _events_of_runs(report: Report) -> Iterator[Event]:
    """Yield an event for each run that failed or was disrupted and is followed by another, or whose output is lost."""
    for step in report.of_tasks:
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
    """Yield an event for each Job that we delete though others have suspended it: their suspension goes with it."""
    before = {entry.name: entry for entry in report.observed.status.tasks}
    for step in report.steps:
        old = before.get(step.entry.name)
        if old is None:
            continue
        job = run_of(report.observed, step).job
        begins_to_go = step.entry.phase is TaskPhase.STOPPING and old.phase is not TaskPhase.STOPPING
        is_wanted = report.lifecycle is Lifecycle.ACTIVE and step.role is StepRole.TASK
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
