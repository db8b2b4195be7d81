"""Explanation of a resource's state, in plain sentences. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final, assert_never

from mageflow.api import LABEL_LIFECYCLE, WORKFLOW, Condition, ConditionType, Lifecycle, Phase, TaskPhase, reasons
from mageflow.cli.durations import format_age
from mageflow.cli.impact import describe_run
from mageflow.cli.view import TaskView, View
from mageflow.core.sentences import list_names

INTERRUPTED_WHILE_RUNNING: Final = "InterruptedWhileRunning"
"""A task's reason: a suspend evicted its pod, which turned out to have started."""

MAX_TASKS: Final = 10
"""How many tasks are told one by one."""


def explain_state(view: View, now: datetime) -> list[str]:
    """Return why a resource is in its state: sentences about the state itself, then about each task."""
    status = view.status
    if view.deletion is not None:
        return [f"It {view.deletion}.", *_explain_tasks(view, now)]
    if status.problem is not None:
        return [f"Its status can't be read: {status.problem}. Nothing starts; a stop still works."]
    if status.phase is None:
        return ["The operator has said nothing of it yet: is one running, and does it watch this namespace?"]
    sentences = list(_explain_phase(view, status.phase, now))
    if not status.is_current:
        sentences.insert(0, "Its spec was changed, and the operator hasn't answered yet: what follows is of before.")
    sentences += _explain_tasks(view, now)
    consistent = status.condition(ConditionType.CONSISTENT)
    if consistent is not None and consistent.status == "False":
        sentences.append(f"It may be inconsistent: {consistent.message or 'a running task was interrupted'}.")
    return sentences


def _explain_phase(view: View, phase: Phase | str, now: datetime) -> Iterator[str]:
    status = view.status
    ready = status.condition(ConditionType.READY)
    if not isinstance(phase, Phase):
        yield f"{phase}: a word of a newer version of the operator{_because(ready)}."
        return
    done = f"{status.done} of {status.total} {'task is' if status.total == 1 else 'tasks are'} done"
    held = f" for {format_age(status.suspended_at, now)}" if status.suspended_at is not None else ""
    match phase:
        case Phase.PENDING:
            yield f"Pending: no container of any task has started yet{_because(ready)}."
        case Phase.ACTIVE if status.reason == reasons.TASK_ALREADY_RUNNING:
            yield f"Active although {_asked(view)}: {_message(ready)}."
        case Phase.ACTIVE:
            yield f"Active: {done}{_because(ready)}."
        case Phase.SUSPENDING:
            yield f"Suspending: {_asked(view)}{held}; nothing new starts, {_message(ready)}."
        case Phase.SUSPENDED | Phase.INTERRUPTED:
            yield f"{phase}{held}: {_asked(view)}; {_message(ready)}. {done}."
        case Phase.INTERRUPTING:
            yield f"Interrupting: {_asked(view)}{held}; {_message(ready)}."
        case Phase.SUCCEEDED | Phase.FAILED:
            yield f"{phase}{_ago(view, now)}: {_message(ready)}."
        case Phase.CANCELED:
            yield f"Canceled{_ago(view, now)}: {done}, the others never run."
        case _:
            assert_never(phase)


def _asked(view: View) -> str:
    """Return which lifecycle is asked for, and where."""
    asked = [] if view.lifecycle is Lifecycle.ACTIVE else [f"spec.lifecycle is {view.lifecycle}"]
    if view.status.is_held_by_namespace:
        asked.append(f"its namespace's label {LABEL_LIFECYCLE} is {view.status.observed_namespace_lifecycle}")
    if view.status.is_held_by_failure:
        asked.append("it can't go on without help")
    return " and ".join(asked) or "spec.lifecycle is active"


def _explain_tasks(view: View, now: datetime) -> Iterator[str]:
    told = [(task, what) for task in view.tasks if (what := _explain_task(view, task, now))]
    for task, what in told[:MAX_TASKS]:
        yield f"{'Its task' if view.kind is WORKFLOW else f'Task {task.name}'} {what}."
    if len(told) > MAX_TASKS:
        yield f"Likewise {list_names(task.name for task, _ in told[MAX_TASKS:])}."
    waiting = [task for task in view.tasks_in(TaskPhase.UNSTARTED) if not _explain_task(view, task, now)]
    if waiting and not view.status.has_ended and view.kind is not WORKFLOW:
        verb = "waits for its turn" if len(waiting) == 1 else "wait for their turn"
        yield f"{list_names(task.name for task in waiting)} {verb}."


def _explain_task(view: View, task: TaskView, now: datetime) -> str:
    record = task.record
    if not isinstance(task.phase, TaskPhase):
        return f"is {task.phase}, a word of a newer version of the operator"
    match task.phase:
        case TaskPhase.RUNNING:
            return f"is running: {describe_run(task, now)}{_tries(task)}{_why(task)}"
        case TaskPhase.PENDING | TaskPhase.RECORDED:
            return f"{_explain_start(view, task)}{_tries(task)}"
        case TaskPhase.STOPPING:
            return f"is being stopped: the pod of run {record.run} may still run"
        case TaskPhase.BACKING_OFF:
            when = f" at {record.retry_at:%H:%M:%S} UTC" if record.retry_at is not None else " once it is resumed"
            return f"ended its run {record.run}{_why(task)}, and tries again{when}{_tries(task)}"
        case TaskPhase.FAILED:
            return f"has failed in run {record.run}{_why(task)}, with no retries left of {task.retries}"
        case TaskPhase.UNSTARTED:
            return _explain_unstarted(view, task)
        case TaskPhase.SUCCEEDED:
            return ""
        case _:
            assert_never(task.phase)


def _explain_unstarted(view: View, task: TaskView) -> str:
    record = task.record
    if record.reason == INTERRUPTED_WHILE_RUNNING:
        return f"was interrupted{_why(task)}: it runs again from its start"
    if (trouble := view.trouble_of(task)) is not None:
        return f"can't start ({trouble})"
    if record.run and not view.status.has_ended:
        return f"was {'interrupted' if record.interruptions else 'held'}: it runs again from its start"
    return ""


def _explain_start(view: View, task: TaskView) -> str:
    """Return how far a run has got that hasn't started."""
    trouble, run = view.trouble_of(task), task.record.run
    if trouble is not None:
        return f"can't start run {run} ({trouble})"
    if view.is_in_trouble:
        return f"waits for {'the Job' if task.phase is TaskPhase.RECORDED else 'the pod'} of run {run}"
    return f"is about to start run {run}"


def _tries(task: TaskView) -> str:
    return f", {task.record.failures} of {task.retries} retries used" if task.record.failures else ""


def _why(task: TaskView) -> str:
    parts = [part for part in (task.record.reason, task.record.message) if part]
    return f" ({': '.join(parts)})" if parts else ""


def _ago(view: View, now: datetime) -> str:
    age = format_age(view.status.finished_at, now)
    return f" {age} ago" if age else ""


def _because(ready: Condition | None) -> str:
    return "" if ready is None else f"; {_message(ready)} ({ready.reason})"


def _message(ready: Condition | None) -> str:
    return "the operator doesn't say why" if ready is None else (ready.message or ready.reason).rstrip(".")
