"""Decides on one resource of any kind: settles its ledger, lets each task take a step, and says what came of it.

spec  →  plan (workflow.py, chain.py, swarm.py)                                    which tasks may run
ledger + Jobs and pods  →  settled ledger (ledger.py)                              what has happened
lifecycle  →  run, hold or stop (lifecycle.py)                                     whether they may
each task  →  a step (task.py)                                                     how that is done
steps  →  phase, counts, conditions (report.py, readiness.py, conditions.py)       what is told
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never

from mageflow.api import ENDED_PHASES, ChainSpec, SwarmSpec, TaskPhase, TaskStatus, WorkflowSpec
from mageflow.core import reasons
from mageflow.core.chain import plan_chain
from mageflow.core.decision import Action, CreateJob, Decision
from mageflow.core.ending import Outcome
from mageflow.core.jobs import Owner, Task, find_problem
from mageflow.core.ledger import WAITING, is_understood, settle
from mageflow.core.lifecycle import OCCUPIED, Wanted, find_effective, wanted_by
from mageflow.core.observed import ObservedResource, Refusal, Runs, Spec
from mageflow.core.plan import Ledger, Plan, Window, find_outcome, find_window
from mageflow.core.report import (
    Report,
    acknowledge,
    build_status,
    earliest,
    find_events,
    node_deadline,
)
from mageflow.core.sizes import find_size_problem
from mageflow.core.stopping import find_obstacle, hold_or_stop, stop_only, unreadable_spec
from mageflow.core.swarm import plan_swarm
from mageflow.core.task import Leave, Step, advance, clear_up
from mageflow.core.workflow import plan_workflow


def decide(observed: ObservedResource, now: datetime) -> Decision:
    """Decide what is to be done about a resource: DESIGN sections 2 and 3."""
    if observed.is_terminating:
        return stop_only(observed)
    old = observed.status
    if old.phase in ENDED_PHASES:
        return Decision(status=acknowledge(observed), actions=_clear_up(observed))
    obstacle = find_obstacle(observed)
    if observed.spec is None or obstacle is not None:
        return hold_or_stop(observed, obstacle or unreadable_spec(observed), now)
    plan = make_plan(observed.spec)
    effective = find_effective(observed.lifecycle, observed.namespace_lifecycle)
    wanted = wanted_by(effective.lifecycle)
    removed = _find_removed(observed, plan)
    settled = _settle(observed, plan, (*plan.tasks, *removed), now)
    size_problem = find_size_problem(observed, plan, removed)
    steps = _take_steps(observed, plan, settled.ledger, wanted, now, has_room=size_problem is None)
    first: tuple[CreateJob, ...] = ()
    if old.phase is None:
        steps, first = _create_first(steps)
    removals = _end_removed(observed, removed, settled.ledger, wanted, now)
    report = Report(observed, plan, effective, steps, removals, settled.ended, now, size_problem)
    status = build_status(report)
    return Decision(
        status=status,
        first=first,
        actions=tuple(action for step in (*steps, *removals) for action in step.actions),
        events=find_events(report, status),
        endings=tuple(outcome.ending for outcome in settled.ended.values()),
        recheck_at=earliest(node_deadline(report), *(step.recheck_at for step in steps)),
    )


def make_plan(spec: Spec) -> Plan:
    """Let the kind make its plan of the spec."""
    match spec:
        case WorkflowSpec():
            return plan_workflow(spec)
        case ChainSpec():
            return plan_chain(spec)
        case SwarmSpec():
            return plan_swarm(spec)
        case _:
            assert_never(spec)


@dataclass(frozen=True, slots=True)
class _Settled:
    """A ledger that is up to date."""

    ledger: Ledger
    ended: Mapping[str, Outcome]
    """The runs that have ended since, by task name."""


def _find_removed(observed: ObservedResource, plan: Plan) -> tuple[Task, ...]:
    """Find the tasks that had a run and that the spec has no more: they end, and are not forgotten."""
    planned = {task.name for task in plan.tasks}
    known = dict.fromkeys((*(entry.name for entry in observed.status.tasks if entry.run), *observed.runs))
    return tuple(Task(name, {}) for name in known if name not in planned)


def _settle(observed: ObservedResource, plan: Plan, tasks: Iterable[Task], now: datetime) -> _Settled:
    old = {entry.name: entry for entry in observed.status.tasks}
    ledger: dict[str, TaskStatus] = {}
    ended: dict[str, Outcome] = {}
    is_edited = observed.status.observed_generation != observed.generation
    for task in tasks:
        record, runs = old.get(task.name), observed.runs_of(task.name)
        if record is None and not runs:
            continue
        entry, outcome = settle(task, record or TaskStatus(name=task.name), runs, now)
        if is_edited and entry.reason == reasons.INVALID_TASK:
            entry = entry.model_copy(update={"reason": None, "message": None})  # it is tried again
        if outcome is not None:
            ended[task.name] = outcome
            if plan.keeps_outputs:
                entry = entry.model_copy(update={"output": outcome.output})
        ledger[task.name] = entry
    return _Settled(ledger, ended)


def _take_steps(
    observed: ObservedResource, plan: Plan, ledger: Ledger, wanted: Wanted, now: datetime, *, has_room: bool
) -> tuple[Step, ...]:
    owner = _owner_of(observed)
    if wanted is Wanted.RUN and find_outcome(plan, ledger) is not None:
        wanted = Wanted.HOLD  # a failed task has ended it; an edit may have put it before one that runs
    window: Window = {}
    if has_room:
        window = find_window(plan, ledger, lambda task, entry: _find_refusal(observed, task, entry, now))
    free = plan.max_at_once - _count_occupied(observed, ledger, window)
    steps = []
    for task in plan.tasks:
        entry, runs = ledger.get(task.name), observed.runs_of(task.name)
        is_its_turn = task.name in window
        if entry is None:
            if not is_its_turn and not plan.keeps_entries:
                continue
            entry = TaskStatus(name=task.name)
        leave = Leave(is_its_turn and free > 0, _previous(task, ledger), window.get(task.name))
        step = advance(owner, task, entry, runs, wanted, now, leave)
        free -= step.state is TaskPhase.RECORDED and entry.phase is not TaskPhase.RECORDED
        steps.append(step)
    return tuple(steps)


def _end_removed(
    observed: ObservedResource, removed: Iterable[Task], ledger: Ledger, wanted: Wanted, now: datetime
) -> tuple[Step, ...]:
    owner = _owner_of(observed)
    wanted = Wanted.STOP if wanted is Wanted.RUN else wanted
    return tuple(advance(owner, task, ledger[task.name], observed.runs_of(task.name), wanted, now) for task in removed)


def _owner_of(observed: ObservedResource) -> Owner:
    return Owner(observed.kind.name, observed.namespace, observed.name, observed.uid)


def _count_occupied(observed: ObservedResource, ledger: Ledger, window: Window) -> int:
    """Count the tasks that have a pod or are about to get one; in the spec or not any more."""
    return sum(_is_occupied(entry, observed.runs_of(entry.name), window) for entry in ledger.values())


def _is_occupied(entry: TaskStatus, runs: Runs, window: Window) -> bool:
    if entry.phase in OCCUPIED or any(pod.can_run for run in runs.values() for pod in run.pods):
        return True
    if entry.phase is not TaskPhase.RECORDED or entry.name not in window:
        return False
    refusal = window[entry.name]
    return refusal is None or not refusal.is_final


def _previous(task: Task, ledger: Ledger) -> object:
    before = ledger.get(task.after) if task.after is not None else None
    return None if before is None else before.output


def _find_refusal(observed: ObservedResource, task: Task, entry: TaskStatus | None, now: datetime) -> Refusal | None:
    """Return why the task's Job can't be created, if the ledger, a refusal seen or the task itself tells."""
    if entry is not None and not is_understood(entry):
        what = f"its phase is {entry.phase!r}, a word of a newer version of the operator: it is left alone"
        return Refusal(reasons.UNKNOWN_PHASE, what, is_final=True, retry_at=now)
    if entry is not None and entry.phase not in WAITING:
        return None
    if entry is not None and entry.reason == reasons.INVALID_TASK:
        return Refusal(reasons.INVALID_TASK, entry.message or "", is_final=True, retry_at=now)
    seen = observed.refusals.get(task.name)
    if seen is not None:
        return seen
    problem = find_problem(task)
    return None if problem is None else Refusal(reasons.INVALID_TASK, problem, is_final=True, retry_at=now)


def _create_first(steps: Sequence[Step]) -> tuple[tuple[Step, ...], tuple[CreateJob, ...]]:
    """Create the first runs before they are recorded: nothing was recorded before, and their names guard them."""
    first: list[CreateJob] = []
    changed = []
    for step in steps:
        creations = [action for action in step.actions if isinstance(action, CreateJob)]
        first += creations
        if creations:
            record = step.record.model_copy(update={"phase": TaskPhase.PENDING})
            rest = tuple(action for action in step.actions if action not in creations)
            step = replace(step, record=record, state=TaskPhase.PENDING, actions=rest)
        changed.append(step)
    return tuple(changed), tuple(first)


def _clear_up(observed: ObservedResource) -> tuple[Action, ...]:
    ledger = {entry.name: entry for entry in observed.status.tasks}
    return tuple(
        action
        for name, runs in observed.runs.items()
        for action in clear_up(ledger.get(name, TaskStatus(name=name)), runs)
    )
