"""Impact of an interrupt or a cancel: the work of running tasks that would be lost. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mageflow.api import ENDED_TASKS, TaskPhase
from mageflow.cli.durations import format_age
from mageflow.cli.verbs import CANCEL, Operation
from mageflow.cli.view import TaskView, View

MAX_TASKS: Final = 10
"""How many tasks of one resource are told one by one."""


@dataclass(frozen=True, slots=True)
class Impact:
    """What one resource would lose."""

    view: View
    running: tuple[TaskView, ...]
    """Tasks whose work so far would be lost."""
    unstarted: int
    """How many others would never run; only a cancel does that."""


def assess_impact(views: Iterable[View], operation: Operation) -> list[Impact]:
    """Return what each resource would lose by an operation; those that would lose nothing are left out."""
    return [loss for view in views if (loss := _assess(view, operation)) is not None]


def describe_impact(losses: Iterable[Impact], operation: Operation, now: datetime) -> Iterator[str]:
    """Say what would be lost: a line for each resource, one for each task that runs."""
    for loss in losses:
        yield f"{loss.view.kind.singular}/{loss.view.name} in namespace {loss.view.namespace}"
        again = "for good" if operation is CANCEL else "it runs again from its start once resumed"
        for task, name in zip(loss.running[:MAX_TASKS], loss.view.name_tasks(loss.running), strict=False):
            yield f"  {name} is running ({describe_run(task, now)}): its work is lost, {again}"
        if len(loss.running) > MAX_TASKS:
            yield f"  … and {len(loss.running) - MAX_TASKS} more that run"
        if loss.unstarted:
            yield f"  {loss.unstarted} {'task' if loss.unstarted == 1 else 'tasks'} would never run"


def describe_run(task: TaskView, now: datetime) -> str:
    """Say which run of a task runs, and for how long it has."""
    age = format_age(task.record.started_at, now)
    return f"run {task.record.run}, for {age}" if age else f"run {task.record.run}"


def _assess(view: View, operation: Operation) -> Impact | None:
    running = tuple(view.tasks_in(TaskPhase.RUNNING))
    others = [task for task in view.tasks if task.phase not in (*ENDED_TASKS, TaskPhase.RUNNING)]
    unstarted = len(others) if operation is CANCEL else 0
    return Impact(view, running, unstarted) if running or unstarted else None
