"""The status of a resource after its tasks have taken their steps: phase, counts, ledger, conditions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from mageflow.api import (
    CLOSED_TASKS,
    ENDED_PHASES,
    OCCUPIED_TASKS,
    Lifecycle,
    Phase,
    Status,
    TaskPhase,
    TaskStatus,
    reasons,
)
from mageflow.api.base import StatusModel
from mageflow.core.asked import Asked
from mageflow.core.blocked import NOTHING_BLOCKED, Blocked
from mageflow.core.conditions import Consistency, build_conditions, was_disrupted
from mageflow.core.ledger import MAX_MESSAGE, shorten_message
from mageflow.core.lifecycle import Effective, derive_phase
from mageflow.core.observed import NO_RUN, ObservedResource, Runs
from mageflow.core.plan import LedgerMode, Plan, StepRole, SuspendMode
from mageflow.core.readiness import View, derive_readiness
from mageflow.core.run_result import RunResult
from mageflow.core.run_state import ENDED, OCCUPIED, RunState
from mageflow.core.sizes import FAILED_MESSAGE, SWARM_MESSAGE, cut_outputs, outputs_limit
from mageflow.core.steps import Step, run_of, steps_of
from mageflow.core.trouble import find_trouble


@dataclass(frozen=True, slots=True)
class Report:
    """All that a status, and the events beside it, are made from."""

    observed: ObservedResource
    plan: Plan
    effective: Effective
    steps: tuple[Step, ...]
    """Of the tasks in the spec, in their order; a Swarm's that have no run and no turn are left out. Then of those that
    the spec has no more."""
    outcome: Phase | None
    """How it has ended, by its tasks; None while it hasn't."""
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
    def of_tasks(self) -> tuple[Step, ...]:
        """The steps of the tasks in the spec."""
        return steps_of(StepRole.TASK, self.steps)


def build_status(report: Report) -> Status:
    """Build the whole new status of a resource: DESIGN section 2, "Status".

    Nothing is taken over from the old one but what can't be derived: since when it runs or is held, how often running
    tasks were cut short, and what a newer version of the operator has left. Two calls with the same report but for
    `now` differ in the times of what has just happened alone, so that a status is written only if something did.
    """
    observed, plan, old, now = report.observed, report.plan, report.observed.status, report.now
    tasks = report.of_tasks
    started_at = old.started_at or find_first_start(tasks)
    phase = derive_phase(
        report.lifecycle,
        _settled_outcome(report),
        frozenset(_states(report)),
        has_ever_started=started_at is not None,
        runs_on_when_suspended=plan.suspend is SuspendMode.RUN_ON,
    )
    done, failed, running = (count_state(state, tasks) for state in _COUNTED)
    total = len(plan.tasks)
    consistency = derive_consistency(old, report.steps)
    readiness = derive_readiness(_view_of(report, phase))
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
        interruptions=consistency.interruptions,
        output=_output_of(report) if phase is Phase.SUCCEEDED else None,
        tasks=tuple(_entries(report)),
        conditions=build_conditions(phase, readiness, consistency, old.conditions, observed.generation, now),
        **_unknown_fields(old),
    )


def _view_of(report: Report, phase: Phase) -> View:
    return View(
        report.observed,
        phase,
        report.effective,
        report.steps,
        report.now,
        report.plan.is_single,
        report.plan,
        report.blocked,
        report.size_problem,
    )


_COUNTED: Final = (RunState.SUCCEEDED, RunState.FAILED, RunState.RUNNING)


def find_first_start(steps: Iterable[Step]) -> datetime | None:
    """Return when the first container of any task started, by the runs that the ledger knows; None if none has."""
    return min((step.entry.started_at for step in steps if step.entry.started_at is not None), default=None)


def count_state(state: RunState, steps: Iterable[Step]) -> int:
    """Count the tasks in a state."""
    return sum(step.state is state for step in steps)


def derive_consistency(old: Status, steps: Iterable[Step]) -> Consistency:
    """Tell what has cut running tasks short, ever: by the last status, and by what has happened since.

    The ledger forgets who cut short a task that is over; the status doesn't.
    """
    before = {entry.name: entry.interruptions for entry in old.tasks}
    entries = [step.entry for step in steps]
    since = sum(entry.interruptions - before.get(entry.name, 0) for entry in entries if entry.interruptions)
    return Consistency(old.interruptions + since, was_disrupted(old) or any(entry.cut_short for entry in entries))


def _settled_outcome(report: Report) -> Phase | None:
    """Tell how it has ended: not while a task that is no part of the end, such as a removed one, has a pod."""
    return None if any(step.state in OCCUPIED for step in report.steps) else report.outcome


def name_what_runs(status: Status, observed: ObservedResource) -> Status:
    """Name the pods and Jobs of open runs in the ledger, where it is written anyway: they lead to evidence (ADR 14)."""
    tasks = tuple(_name_what_runs(entry, observed.runs_of(entry.name)) for entry in status.tasks)
    return status.model_copy(update={"tasks": tasks})


def _name_what_runs(entry: TaskStatus, runs: Runs) -> TaskStatus:
    run = NO_RUN if entry.phase in CLOSED_TASKS else runs.get(entry.run, NO_RUN)
    pod = run.pods[-1].name if run.pods else entry.pod
    job_uid = run.job.uid if run.job is not None else entry.job_uid
    if (pod, job_uid) == (entry.pod, entry.job_uid):
        return entry
    return entry.model_copy(update={"pod": pod, "job_uid": job_uid})


def _states(report: Report) -> Iterator[RunState]:
    """Yield the states of all tasks, and Stopping for each ended one of which a hold still waits for a pod to go."""
    for step in report.steps:
        yield step.state
        if report.lifecycle is not Lifecycle.ACTIVE and step.state in ENDED:  # only who holds waits for it
            runs = report.observed.runs_of(step.entry.name).values()
            if any(run.live_pods or run.may_get_a_pod for run in runs):
                yield RunState.STOPPING


def _output_of(report: Report) -> object:
    if not report.plan.has_output:
        return None
    last = report.of_tasks[-1].entry
    if report.plan.ledger is LedgerMode.WITH_OUTPUTS:
        return last.output
    result = report.ended.get(last.name)
    return None if result is None else result.output


def _entries(report: Report) -> Iterator[TaskStatus]:
    """Yield the entries of the ledger as they are kept."""
    entries = [_with_trouble(report, step) for step in report.steps]
    if report.plan.keeps_entries:
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
    """Return a task's entry with why its run doesn't start or end. The condition Ready has room for one task only."""
    if step.entry.phase not in OCCUPIED_TASKS:
        return step.entry  # what its latest run ended with is told
    trouble = find_trouble(step.state, run_of(report.observed, step))
    told = (None, None) if trouble is None else (trouble.reason, shorten_message(trouble.message, MAX_MESSAGE))
    if told == (step.entry.reason, step.entry.message):
        return step.entry
    return step.entry.model_copy(update={"reason": told[0], "message": told[1]})


def acknowledge(observed: ObservedResource) -> Status:
    """Say that an ended resource's new spec was seen; nothing else of it changes."""
    old, generation = observed.status, observed.generation
    if old.observed_generation == generation:
        return old
    conditions = [condition.model_copy(update={"observed_generation": generation}) for condition in old.conditions]
    return old.model_copy(update={"observed_generation": generation, "conditions": tuple(conditions)})
