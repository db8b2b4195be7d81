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
    return [impact for view in views if (impact := _assess(view, operation)) is not None]


def describe_impact(impacts: Iterable[Impact], operation: Operation, now: datetime) -> Iterator[str]:
    """Yield what would be lost: a line for each resource, and one for each task that runs."""
    for impact in impacts:
        yield f"{impact.view.kind.singular}/{impact.view.name} in namespace {impact.view.namespace}"
        again = "for good" if operation is CANCEL else "it runs again from its start once resumed"
        for task, name in zip(impact.running[:MAX_TASKS], impact.view.name_tasks(impact.running), strict=False):
            yield f"  {name} is running ({describe_run(task, now)}): its work is lost, {again}"
        if len(impact.running) > MAX_TASKS:
            yield f"  … and {len(impact.running) - MAX_TASKS} more that run"
        if impact.unstarted:
            yield f"  {impact.unstarted} {'task' if impact.unstarted == 1 else 'tasks'} would never run"


def describe_run(task: TaskView, now: datetime) -> str:
    """Return which run of a task is running, and for how long."""
    age = format_age(task.record.started_at, now)
    return f"run {task.record.run}, for {age}" if age else f"run {task.record.run}"


def _assess(view: View, operation: Operation) -> Impact | None:
    running = tuple(view.tasks_in(TaskPhase.RUNNING))
    others = [task for task in view.tasks if task.phase not in (*ENDED_TASKS, TaskPhase.RUNNING)]
    unstarted = len(others) if operation is CANCEL else 0
    return Impact(view, running, unstarted) if running or unstarted else None
