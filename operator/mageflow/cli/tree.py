"""The tree: resources, their tasks, and the run of each, with phase, retries and age."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

from rich.text import Text

from mageflow.api import SWARM, TaskPhase
from mageflow.cli.ages import format_age, format_duration
from mageflow.cli.table import lay_out
from mageflow.cli.view import TaskView, View

HEAD: Final = ("NAME", "PHASE", "RUN", "RETRIES", "AGE", "")

FOLD_FROM: Final = 20
"""Tasks of a Swarm from which on those that are usual are counted rather than listed."""

STARTING: Final = (TaskPhase.UNSTARTED, TaskPhase.RECORDED, TaskPhase.PENDING)
"""Phases in which a task has yet to start a run."""

USUAL: Final = (TaskPhase.SUCCEEDED, TaskPhase.UNSTARTED)


def draw_tree(views: Iterable[View], now: datetime, *, has_namespace: bool = False, folds: bool = True) -> list[Text]:
    """Draw resources and their tasks, a line for each. With `folds`, of large Swarms only what is of interest."""
    rows: list[Sequence[str]] = [HEAD]
    for view in views:
        rows.append(_resource_row(view, now, has_namespace=has_namespace))
        rows += _task_rows(view, now, folds=folds)
    return lay_out(rows)


def _resource_row(view: View, now: datetime, *, has_namespace: bool) -> Sequence[str]:
    status = view.status
    name = f"{view.namespace}/{view.short}" if has_namespace else view.short
    done = f"{status.progress} done" if status.progress else ""
    is_told = status.phase is not None and status.reason not in (status.phase, "Running")
    note = f"{status.reason}: {status.message}" if is_told and status.message else ""
    return (name, view.phase, done, "", format_age(view.created, now), note)


def _task_rows(view: View, now: datetime, *, folds: bool) -> Iterator[Sequence[str]]:
    is_folded = folds and view.kind is SWARM and len(view.tasks) > FOLD_FROM
    shown = [task for task in view.tasks if not is_folded or task.phase not in USUAL]
    counts = Counter(task.phase for task in view.tasks if task.phase in USUAL) if is_folded else Counter()
    rows = [_task_row(view, task, now) for task in shown]
    rows += [(f"… {counts[phase]} more", phase.value) for phase in USUAL if counts[phase]]
    for number, row in enumerate(rows, start=1):
        branch = "└── " if number == len(rows) else "├── "
        yield (branch + row[0], *row[1:])


def _task_row(view: View, task: TaskView, now: datetime) -> Sequence[str]:
    record = task.record
    run = f"run {record.run}" if record.run else ""
    retries = f"{min(record.failures, task.retries)}/{task.retries}" if task.retries else ""
    return (task.name, str(task.phase), run, retries, _age(task, now), _note(view, task))


def _age(task: TaskView, now: datetime) -> str:
    """Say how long its run has run, or took."""
    record = task.record
    if task.phase is TaskPhase.RUNNING or record.started_at is None or record.finished_at is None:
        return format_age(record.started_at, now) if task.phase is TaskPhase.RUNNING else ""
    return format_duration(record.finished_at - record.started_at)


def _note(view: View, task: TaskView) -> str:
    """Say what is unusual about a task; what the resource's own line says in full, in a word."""
    record = task.record
    if task.phase is TaskPhase.SUCCEEDED:
        return ""
    if task.phase is TaskPhase.UNSTARTED and record.interruptions and record.reason is None:
        return "was interrupted"
    trouble = view.trouble_of(task) if record.reason is None and task.phase in STARTING else None
    return ": ".join(filter(None, (record.reason, record.message))) if trouble is None else trouble.reason
