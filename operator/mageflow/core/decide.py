"""Decides on one resource of any kind, as a pipeline of named parts.

spec  →  plan (plan.py)                                                         which tasks may run
ledger + Jobs and pods  →  settled ledger (ledger.py, handover.py)              what has happened
settled ledger  →  outcome (plan.py)                                            whether it is over
spec, namespace, failure  →  holders  →  effective lifecycle (lifecycle.py)     whether tasks may run
each task  →  what is wanted of it  →  a step (task.py)                         how that is done
steps  →  status (status_builder.py, readiness.py, conditions.py)               what is told
steps, old and new status  →  events (transition_events.py)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from mageflow.api import (
    ENDED_PHASES,
    OCCUPIED_TASKS,
    WAITING_TASKS,
    Lifecycle,
    Phase,
    TaskPhase,
    TaskStatus,
    reasons,
)
from mageflow.core.blocked import put_off
from mageflow.core.decision import Action, CreateJob, Decision, earliest
from mageflow.core.garbage import garbage_collect
from mageflow.core.handover import hold_for_output, previous_output
from mageflow.core.job_manifest import find_problem, job_name
from mageflow.core.ledger import Settled, settle
from mageflow.core.lifecycle import Effective, Holder, Wanted, holders_of, strongest, wanted_by
from mageflow.core.observed import NO_RUN, ObservedResource, Refusal
from mageflow.core.plan import (
    Ledger,
    LedgerMode,
    Owner,
    Plan,
    StepRole,
    Task,
    Window,
    compute_outcome,
    compute_window,
    make_plan,
)
from mageflow.core.quota import make_room
from mageflow.core.run_result import RunResult
from mageflow.core.run_state import RunState, derive_state
from mageflow.core.sizes import find_size_problem
from mageflow.core.status_builder import Report, acknowledge, build_status, name_what_runs
from mageflow.core.steps import Step, run_of
from mageflow.core.stopping import find_obstacle, hold_or_stop, stop_only, unreadable_spec
from mageflow.core.task import CREATION_PATIENCE, StartPermit, take_step
from mageflow.core.transition_events import events_of
from mageflow.core.trouble import compute_node_deadline

ANSWER_PATIENCE: Final = timedelta(seconds=1)
"""How long the first runs may be unrecorded: no status stays empty for long."""


def decide(observed: ObservedResource, now: datetime) -> Decision:
    """Decide what is to be done about a resource: DESIGN sections 2 and 3.

    `observed` is all that counts, at least as new as our own last write to any part of it; `now` is a whole second.
    Whatever is observed, there is a decision: nothing is raised for it. Two decisions on the same are the same.
    """
    if observed.is_terminating:
        return stop_only(observed, now)
    old = observed.status
    if old.phase in ENDED_PHASES:
        actions, blocked = put_off(_garbage_collect(observed), observed, now)
        return Decision(status=acknowledge(observed), after=actions, recheck_at=blocked.recheck_at)
    obstacle = find_obstacle(observed)
    if observed.spec is None or obstacle is not None:
        return hold_or_stop(observed, obstacle or unreadable_spec(observed), now)
    plan = make_plan(observed.spec)
    removed = _list_removed(observed, plan)
    settled = _settle(observed, plan, (*plan.tasks, *removed), now)
    effective = strongest(holders_of(observed, settled.hold, now))
    size_problem = find_size_problem(observed, plan, removed)
    steps = _take_steps(observed, plan, removed, settled, effective, now, has_room=size_problem is None)
    if old.phase is None and effective.lifecycle is Lifecycle.ACTIVE:
        first = _create_first(observed, steps, now)
        if first is not None:
            return first
    steps, room = make_room(observed, steps)
    wanted_actions = (action for step in steps for action in step.actions)
    actions, blocked = put_off((*wanted_actions, *room.actions), observed, now)
    report = Report(observed, plan, effective, steps, settled.outcome, settled.ended, now, size_problem, blocked)
    status = build_status(report)
    if status != old:
        status = name_what_runs(status, observed)
    return Decision(
        status=status,
        after=actions,
        events=(*events_of(report, status), *room.events),
        endings=tuple(result.ending for result in settled.ended.values()),
        recheck_at=earliest(
            compute_node_deadline((run_of(observed, step) for step in steps), now),
            blocked.recheck_at,
            effective.recheck_at,
            *(step.recheck_at for step in steps),
        ),
    )


# ── what has happened ──


@dataclass(frozen=True, slots=True)
class _SettledLedger:
    """A ledger that is up to date."""

    tasks: Mapping[str, Settled]
    """By task name, as the two that follow."""
    ledger: Ledger
    """Their entries."""
    ended: Mapping[str, RunResult]
    """How the runs ended that have ended since the last status."""
    outcome: Phase | None
    """How the resource has ended, by its tasks: no step changes that any more. None while it hasn't."""
    hold: Holder | None
    """What failed so that nothing more may start, if something did."""


def _list_removed(observed: ObservedResource, plan: Plan) -> tuple[Task, ...]:
    """Return the tasks that had a run and that the spec has no more: they end, and are not forgotten."""
    planned = {task.name for task in plan.tasks}
    known = dict.fromkeys((*(entry.name for entry in observed.status.tasks if entry.run), *observed.runs))
    return tuple(Task(name, {}, role=StepRole.REMOVED) for name in known if name not in planned)


def _settle(observed: ObservedResource, plan: Plan, tasks: Iterable[Task], now: datetime) -> _SettledLedger:
    """Bring the ledger up to date: what has happened to each task, and what the next one of a Chain can't be given."""
    old = {entry.name: entry for entry in observed.status.tasks}
    settled: dict[str, Settled] = {}
    is_edited = observed.status.observed_generation != observed.generation
    for task in tasks:
        known, runs = _note_creation(observed, task, old.get(task.name)), observed.runs_of(task.name)
        if known is None and not runs:
            continue
        each = settle(task, known or TaskStatus(name=task.name), runs, now)
        if is_edited and each.entry.phase in WAITING_TASKS and each.entry.reason == reasons.INVALID_TASK:
            each = each.with_changes(reason=None, message=None)  # it is tried again
        if each.result is not None and plan.ledger is LedgerMode.WITH_OUTPUTS:
            each = each.with_changes(output=each.result.output)
        settled[task.name] = each
    ended = {name: each.result for name, each in settled.items() if each.result is not None}
    ledger: Ledger = {name: each.entry for name, each in settled.items()}
    outcome = compute_outcome(plan, ledger)
    ledger, hold = hold_for_output(plan, ledger, outcome)
    for name, entry in ledger.items():
        if name not in settled or settled[name].entry is not entry:
            run = observed.runs_of(name).get(entry.run, NO_RUN)
            settled[name] = Settled(entry, derive_state(entry, run))
    return _SettledLedger(settled, ledger, ended, outcome, hold)


def _note_creation(observed: ObservedResource, task: Task, entry: TaskStatus | None) -> TaskStatus | None:
    """Return the entry with the run whose Job was, or may yet be, created before it was recorded."""
    creation = observed.creations.get(task.name)
    if creation is None or creation.run <= (0 if entry is None else entry.run):
        return entry
    entry = TaskStatus(name=task.name) if entry is None else entry
    return entry.model_copy(
        update={
            "phase": TaskPhase.RECORDED,
            "run": creation.run,
            "job": job_name(Owner.of(observed), task.name, creation.run),
            "template_hash": creation.template_hash,
        }
    )


# ── what becomes of each task ──


def wanted_for(task: Task, effective: Effective, outcome: Phase | None) -> Wanted:
    """Return what is wanted of one task: what the effective lifecycle asks, unless nothing of it is to run any more.

    One that the spec has no more ends. Once the outcome is known nothing starts: a failed task has ended the resource,
    and an edit may have put it before one that runs.
    """
    wanted = wanted_by(effective.lifecycle)
    if wanted is Wanted.RUN and task.role is StepRole.REMOVED:
        return Wanted.STOP
    return Wanted.HOLD if wanted is Wanted.RUN and outcome is not None else wanted


def _take_steps(
    observed: ObservedResource,
    plan: Plan,
    removed: Iterable[Task],
    settled: _SettledLedger,
    effective: Effective,
    now: datetime,
    *,
    has_room: bool,
) -> tuple[Step, ...]:
    """Let each task take its step, those of the spec first; of a Swarm's not those that have no run and no turn.

    `has_room` is False if nothing new may start, as the ledger might not fit. At most `plan.max_at_once` tasks have a
    pod at once: `free` counts the places that are left, and each run that begins takes one.
    """
    owner, ledger = Owner.of(observed), settled.ledger
    window: Window = {}
    if has_room:
        window = compute_window(plan, ledger, lambda task, entry: _find_refusal(observed, task, entry, now))
    free = plan.max_at_once - _count_occupied(observed, ledger, window)
    steps = []
    for task in (*plan.tasks, *removed):
        each, is_its_turn = settled.tasks.get(task.name), task.name in window
        if each is None:
            if not is_its_turn and not plan.keeps_entries:
                continue
            each = Settled(TaskStatus(name=task.name), RunState.UNSTARTED)
        permit = StartPermit(
            is_its_turn and free > 0,
            previous_output(task, ledger),
            window.get(task.name),
            observed.creations.get(task.name),
        )
        wanted = wanted_for(task, effective, settled.outcome)
        step = take_step(owner, task, each, observed.runs_of(task.name), wanted, now, permit)
        free -= _begins(step) and not _is_occupied(observed, each.entry, window)
        steps.append(step if task.role is StepRole.TASK else replace(step, role=task.role))
    return tuple(steps)


def _count_occupied(observed: ObservedResource, ledger: Ledger, window: Window) -> int:
    """Count the tasks that have a pod or are about to get one; in the spec or not any more."""
    return sum(_is_occupied(observed, entry, window) for entry in ledger.values())


def _is_occupied(observed: ObservedResource, entry: TaskStatus, window: Window) -> bool:
    runs = observed.runs_of(entry.name)
    if entry.phase in OCCUPIED_TASKS or any(pod.can_run for run in runs.values() for pod in run.pods):
        return True
    if entry.phase is not TaskPhase.RECORDED:
        return False
    creation = observed.creations.get(entry.name)
    if creation is not None and creation.began_at is not None:
        return True
    refusal = window.get(entry.name)
    return entry.name in window and (refusal is None or not refusal.is_invalid)


def _begins(step: Step) -> bool:
    """Tell whether a run is to be created in this step."""
    return any(isinstance(action, CreateJob) for action in step.actions)


def _find_refusal(observed: ObservedResource, task: Task, entry: TaskStatus | None, now: datetime) -> Refusal | None:
    """Return why a task's Job can't be created: by the task itself, a refusal of the API server, or the ledger."""
    if entry is not None and not entry.is_understood:
        what = f"its phase is {entry.phase!r}, a word of a newer version of the operator: it is left alone"
        return Refusal(reasons.UNKNOWN_PHASE, what, is_invalid=True)
    if entry is not None and entry.phase not in WAITING_TASKS:
        return None
    problem = find_problem(task)
    if problem is not None:
        return Refusal(reasons.INVALID_TASK, problem, is_invalid=True)
    if entry is None or entry.phase is not TaskPhase.RECORDED:
        return None
    seen, creation = observed.refusals.get(task.name), observed.creations.get(task.name)
    if seen is not None and not seen.is_passing:
        return seen
    if creation is not None and creation.began_at is not None and now >= creation.began_at + CREATION_PATIENCE:
        what = f"the API server has not answered yet whether it creates Job {entry.job}"
        return Refusal(reasons.JOB_NOT_CREATED, what, retry_at=now)
    if seen is None and entry.reason is not None:  # what another operator was told
        is_invalid = entry.reason == reasons.INVALID_TASK
        return Refusal(entry.reason, entry.message or "", is_invalid=is_invalid, retry_at=now)
    return seen


def _create_first(observed: ObservedResource, steps: Sequence[Step], now: datetime) -> Decision | None:
    """Create the first runs of a resource before they are recorded, which saves a write (DESIGN section 3).

    It is safe, as nothing was recorded before and a Job's name can be taken only once. Returns None once the requests
    are answered, or after a second: then the runs are recorded.
    """
    if observed.runs or observed.refusals:
        return None
    begun = [creation.began_at for creation in observed.creations.values() if creation.began_at is not None]
    if not observed.creations:
        creations = (action for step in steps for action in step.actions if isinstance(action, CreateJob))
        first = tuple(creations)
        return Decision(before=first, recheck_at=now + ANSWER_PATIENCE) if first else None
    due = min(begun, default=now) + ANSWER_PATIENCE
    return Decision(recheck_at=due) if begun and now < due else None


def _garbage_collect(observed: ObservedResource) -> tuple[Action, ...]:
    ledger = {entry.name: entry for entry in observed.status.tasks}
    return tuple(
        action
        for name, runs in observed.runs.items()
        for action in garbage_collect(ledger.get(name, TaskStatus(name=name)), runs)
    )
