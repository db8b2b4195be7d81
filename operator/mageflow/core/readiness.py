"""The condition Ready: whether what the spec asks is in force, and if not, what it waits for.

`READY_RULES` are asked in their order, and the first that speaks is told. Each is pure and small, has one subject, and
says in its docstring when it speaks. To tell something new, add a rule and a case to tests/core/test_ready_rules.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Final

from mageflow.api import (
    ENDED_PHASES,
    HELD_PHASES,
    WAITING_TASKS,
    ConditionType,
    Lifecycle,
    LifecycleSource,
    Phase,
    TaskPhase,
    find_condition,
    reasons,
)
from mageflow.core.blocked import NOTHING_BLOCKED, Blocked
from mageflow.core.conditions import Readiness
from mageflow.core.lifecycle import Effective, describe_release, find_label_problem
from mageflow.core.observed import ObservedResource
from mageflow.core.plan import Plan, StepRole
from mageflow.core.run_state import ENDED, OCCUPIED, RunState
from mageflow.core.sentences import list_names
from mageflow.core.steps import Step, run_of, steps_of
from mageflow.core.trouble import (
    Progress,
    describe_end,
    describe_looking,
    describe_unreachable,
    find_stuck_pod,
    find_trouble,
    find_wait,
)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What of a resource can't be read, so that nothing of it may start."""

    reason: str
    message: str
    hides_phase: bool
    """It is the status, so that the resource may have ended: no phase is told."""


@dataclass(frozen=True)
class View:
    """What the rules look at: a resource after its tasks have taken their steps."""

    observed: ObservedResource
    phase: Phase
    effective: Effective
    steps: Sequence[Step]
    now: datetime
    is_single: bool = False
    """It has one task, which goes without a name."""
    plan: Plan | None = None
    """None if its spec can't be read, or isn't looked at."""
    blocked: Blocked = NOTHING_BLOCKED
    """What of the decision can't be carried out."""
    size_problem: str | None = None
    """Why nothing new may start: there is no room for the ledger."""
    obstacle: Obstacle | None = None

    @property
    def is_over(self) -> bool:
        """It has ended."""
        return self.phase in ENDED_PHASES

    @property
    def is_stopping(self) -> bool:
        """It is to be held or stopped, and pods may still run."""
        return self.phase in (Phase.SUSPENDING, Phase.INTERRUPTING)

    @property
    def is_free(self) -> bool:
        """Its tasks may run."""
        return self.phase in (Phase.ACTIVE, Phase.PENDING)

    @cached_property
    def tasks(self) -> tuple[Progress, ...]:
        """How far each task has got: those of the spec, and removed ones that still run."""
        return tuple(
            Progress(step.entry, step.state, run_of(self.observed, step), step.refusal)
            for step in self.steps
            if step.role is StepRole.TASK or step.state in OCCUPIED
        )

    @cached_property
    def waits(self) -> tuple[Readiness, ...]:
        """What each task waits for that waits for something."""
        found = (find_wait(task, self.label_of(task)) for task in self.tasks)
        return tuple([wait for wait in found if wait is not None])

    @property
    def label_problem(self) -> str | None:
        """What is wrong with its namespace's label, where that is told."""
        if self.is_over or self.obstacle is not None:
            return None
        return find_label_problem(self.observed.namespace_lifecycle)

    def label_of(self, task: Progress) -> str:
        """Return what a message about a task begins with."""
        return "" if self.is_single else f"task {task.entry.name}: "


Rule = Callable[[View], Readiness | None]
"""Says what is told of a resource if its case is given, else None."""


def derive_readiness(view: View) -> Readiness:
    """Return what the first rule that speaks says, with what is wrong with the namespace's label besides."""
    found = (rule(view) for rule in READY_RULES)
    readiness = next(told for told in found if told is not None)
    if view.label_problem is None or readiness.reason == reasons.INVALID_NAMESPACE_LIFECYCLE:
        return readiness
    return replace(readiness, message=f"{readiness.message}; {view.label_problem}")


# ── the rules, in their order ──


def task_changed(view: View) -> Readiness | None:
    """A task was edited though it runs or has succeeded, which no rule of the CRD can refuse in every case.

    Looked for when the spec is new, and for as long as one was found: it takes reading every template.
    """
    old, generation = view.observed.status, view.observed.generation
    ready = find_condition(old.conditions, ConditionType.READY)
    is_known = old.observed_generation == generation and (ready is None or ready.reason != reasons.TASK_CHANGED)
    if view.plan is None or view.is_over or is_known:
        return None
    tasks = {task.name: task for task in view.plan.tasks}
    for step in steps_of(StepRole.TASK, view.steps):
        entry, hash_ = step.entry, step.entry.template_hash
        is_forgotten = step.state in ENDED and not view.plan.keeps_entries
        if step.state not in _FIXED or hash_ is None or is_forgotten or hash_ == tasks[entry.name].template_hash:
            continue
        task = "the task" if view.is_single else f"task {entry.name}"
        what = "has succeeded" if step.state is RunState.SUCCEEDED else f"is in run {entry.run}"
        return Readiness(False, reasons.TASK_CHANGED, f"{task} {what}: editing it has no effect on that; take it back")
    return None


_FIXED: Final = frozenset({RunState.PENDING, RunState.RUNNING, RunState.SUCCEEDED})
"""States of a task in which an edit comes too late."""


def no_room_for_the_ledger(view: View) -> Readiness | None:
    """The resource is so large that its ledger may not fit, and a task is left that may start."""
    if view.size_problem is None or view.plan is None or view.is_over:
        return None
    steps = steps_of(StepRole.TASK, view.steps)
    begun = {step.entry.name for step in steps if step.entry.phase not in WAITING_TASKS}
    if view.effective.lifecycle is not Lifecycle.ACTIVE or all(task.name in begun for task in view.plan.tasks):
        return None
    return Readiness(False, reasons.INVALID_TASK, view.size_problem, is_stalled=True)


def stop_refused(view: View) -> Readiness | None:
    """The API server refuses to evict, stop or delete what a hold or stop waits for."""
    refusal = view.blocked.stop
    if refusal is None or not view.is_stopping:
        return None
    return Readiness(False, refusal.reason, refusal.message)


def unreadable(view: View) -> Readiness | None:
    """Its spec or status can't be read, and no hold is told before that."""
    obstacle = view.obstacle
    if obstacle is None or not (obstacle.hides_phase or view.effective.lifecycle is Lifecycle.ACTIVE):
        return None
    message = _with_refusal(view, obstacle.message)
    return Readiness(False, obstacle.reason, message, is_stalled=True)


def succeeded(view: View) -> Readiness | None:
    """It has ended well; with what is to be said of its output."""
    if view.phase is not Phase.SUCCEEDED:
        return None
    message = f"run {view.tasks[0].entry.run} succeeded" if view.is_single else "every task succeeded"
    steps = steps_of(StepRole.TASK, view.steps)
    if view.plan is not None and view.plan.has_output and steps[-1].entry.message:
        message = f"{message}; {steps[-1].entry.message}"
    return Readiness(True, reasons.SUCCEEDED, message)


def failed(view: View) -> Readiness | None:
    """It has ended badly: of the tasks that failed the first is told of."""
    if view.phase is not Phase.FAILED:
        return None
    of_tasks = [task for task in view.tasks if task.state is RunState.FAILED]
    first, entry = of_tasks[0], of_tasks[0].entry
    if entry.reason == reasons.TOO_MANY_DISRUPTIONS:
        what = f"{entry.disruptions_in_row} runs in a row were disrupted; the last one, {entry.run}: {entry.message}"
    else:
        what = f"run {entry.run} failed and no retries are left: {describe_end(entry)}"
    others = f" (and {len(of_tasks) - 1} more)" if len(of_tasks) > 1 else ""
    return Readiness(True, reasons.FAILED, f"{view.label_of(first)}{what}{others}", is_stalled=True)


def canceled(view: View) -> Readiness | None:
    """It was stopped for good, and nothing runs."""
    if view.phase is not Phase.CANCELED:
        return None
    return Readiness(True, reasons.CANCELED, _with_more(view, "canceled; nothing runs"))


def held_by_a_failure(view: View) -> Readiness | None:
    """It is Suspended by nothing but a failure that needs somebody to mend it."""
    failure = view.effective.failure
    if view.phase is not Phase.SUSPENDED or failure is None:
        return None
    return Readiness(False, failure.reason or "", _with_more(view, failure.message or ""), is_stalled=True)


def held_by_a_label_that_is_no_lifecycle(view: View) -> Readiness | None:
    """It is held, as its namespace's label says something that can't be understood."""
    problem = view.label_problem
    if view.phase not in HELD_PHASES or problem is None or view.effective.source is not LifecycleSource.NAMESPACE:
        return None
    return Readiness(False, reasons.INVALID_NAMESPACE_LIFECYCLE, problem, is_stalled=True)


def held(view: View) -> Readiness | None:
    """It is Suspended or Interrupted, as asked."""
    if view.phase not in HELD_PHASES:
        return None
    message = f"nothing runs, and nothing starts until {describe_release(view.effective.holders)}"
    return Readiness(True, view.phase.value, _with_more(view, message))


def node_unreachable(view: View) -> Readiness | None:
    """A pod that a hold or stop waits for is still there long after its grace period: its node doesn't answer."""
    pod = find_stuck_pod([task.run for task in view.tasks], view.now) if view.is_stopping else None
    if pod is None:
        return None
    return Readiness(False, reasons.NODE_UNREACHABLE, _with_more(view, describe_unreachable(pod)))


def already_running(view: View) -> Readiness | None:
    """It is suspended, and its one task had started: that finishes."""
    if not view.is_free or view.effective.lifecycle is not Lifecycle.SUSPENDED:
        return None
    message = f"run {view.tasks[0].entry.run} had started: it finishes, and nothing starts after it"
    return Readiness(False, reasons.TASK_ALREADY_RUNNING, _with_more(view, message))


def needs_help(view: View) -> Readiness | None:
    """A task can't start without help."""
    return _first_wait(view, lambda wait: wait.is_stalled)


def running(view: View) -> Readiness | None:
    """A task runs; with what is unusual besides: of one that doesn't end, and of one that doesn't start."""
    of_tasks = [task for task in view.tasks if task.state is RunState.RUNNING] if view.is_free else []
    if not of_tasks:
        return None
    names = list_names(task.entry.name for task in of_tasks)
    what = f"run {of_tasks[0].entry.run} is running" if view.is_single else f"running: {names}"
    unended = [message for task in of_tasks if (message := _describe_unended(view, task))]
    unstarted = [wait.message for wait in view.waits if _is_unusual(wait)]
    more = [f"and {len(unstarted) - 1} more that can't start"] if len(unstarted) > 1 else []
    message = "; ".join([what, *unended[:1], *unstarted[:1], *more])
    return Readiness(True, reasons.RUNNING, _with_more(view, message))


def unusual_wait(view: View) -> Readiness | None:
    """No task runs, and one waits for something else than its pod's usual start or a back-off."""
    return _first_wait(view, _is_unusual)


def backing_off(view: View) -> Readiness | None:
    """No task runs, and the next run of one waits for the end of a back-off."""
    return _first_wait(view, lambda wait: wait.reason == reasons.BACKING_OFF)


def node_still_unreachable(view: View) -> Readiness | None:
    """A node was told not to answer, its pod is still there, and nothing else is to be told.

    An operator that has just started counts the grace period anew, and doesn't take back meanwhile what was told.
    """
    ready = find_condition(view.observed.status.conditions, ConditionType.READY)
    is_told = ready is not None and ready.reason == reasons.NODE_UNREACHABLE
    if (
        ready is None
        or not is_told
        or view.obstacle is not None
        or not (view.is_stopping or view.phase is Phase.PENDING)
    ):
        return None
    runs = (run_of(view.observed, step) for step in view.steps)
    going = (pod for run in runs for pod in run.live_pods if pod.is_terminating)
    known = next((pod for pod in going if pod.name in ready.message), None)
    return None if known is None else Readiness(False, reasons.NODE_UNREACHABLE, describe_unreachable(known))


def stopping(view: View) -> Readiness | None:
    """It is to be held or stopped, and pods may still run."""
    if not view.is_stopping:
        return None
    return Readiness(False, view.phase.value, _with_more(view, _describe_stopping(view.tasks)))


def waiting(view: View) -> Readiness | None:
    """Nothing else is to be told: a pod is on its way, or no task has its turn. Speaks always."""
    message = next((wait.message for wait in view.waits), "waiting for its tasks")
    return Readiness(False, reasons.PENDING, _with_more(view, message))


READY_RULES: Final[tuple[Rule, ...]] = (
    task_changed,
    no_room_for_the_ledger,
    stop_refused,
    unreadable,
    succeeded,
    failed,
    canceled,
    held_by_a_failure,
    held_by_a_label_that_is_no_lifecycle,
    held,
    node_unreachable,
    already_running,
    needs_help,
    running,
    unusual_wait,
    backing_off,
    node_still_unreachable,
    stopping,
    waiting,
)


# ── what they share ──


def _with_more(view: View, message: str) -> str:
    """Add to a message what can't be read, and what the API server refuses."""
    return _with_refusal(view, message if view.obstacle is None else f"{message}; {view.obstacle.message}")


def _with_refusal(view: View, message: str) -> str:
    refusal = view.blocked.stop or view.blocked.deletion
    return message if refusal is None or view.is_over else f"{message}; {refusal.message}"


def _first_wait(view: View, is_told: Callable[[Readiness], bool]) -> Readiness | None:
    wait = next(filter(is_told, view.waits), None) if view.is_free else None
    return None if wait is None else replace(wait, message=_with_more(view, wait.message))


def _is_unusual(wait: Readiness) -> bool:
    return wait.reason not in (reasons.BACKING_OFF, reasons.PENDING)


def _describe_unended(view: View, task: Progress) -> str:
    trouble = find_trouble(task.state, task.run)
    return "" if trouble is None else f"{view.label_of(task)}{trouble.message}"


def _describe_stopping(tasks: Sequence[Progress]) -> str:
    names = sorted(pod.name for task in tasks for pod in task.run.live_pods)
    if names:
        return f"waiting for pods to end: {list_names(names)}"
    over = next((task for task in tasks if task.is_looked_into), None)
    if over is not None:
        return describe_looking(over)
    recorded = (task.entry for task in tasks if task.entry.phase is TaskPhase.RECORDED)
    jobs = sorted(entry.job for entry in recorded if entry.job is not None)
    if jobs:
        return f"waiting for what comes of the creation of Jobs that was asked for: {list_names(jobs)}"
    return "waiting for the Job controller"
