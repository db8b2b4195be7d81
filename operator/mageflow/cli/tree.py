"""`tree`: resources, their tasks, and the run of each, with phase, retries and age; live with `-w`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing, nullcontext
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from mageflow.api import KINDS, SWARM, TaskPhase
from mageflow.cli import options
from mageflow.cli.args import Selection, UnclearError, parse_selection
from mageflow.cli.durations import format_age, format_duration
from mageflow.cli.exit_codes import describe, exit_for_all
from mageflow.cli.lookup import matches, select, watch_scopes
from mageflow.cli.objects import format_objects
from mageflow.cli.session import Session, open_session
from mageflow.cli.terminal import lay_out
from mageflow.cli.view import TaskView, View, Views, read_view
from mageflow.client.scopes import watch_all

REFRESHES: Final = 1
"""How often a second the ages on the terminal are brought up to date; changes are shown at once."""

HEAD: Final = ("NAME", "PHASE", "RUN", "RETRIES", "AGE", "")

FOLD_FROM: Final = 20
"""Tasks of a Swarm from which on those that are usual are counted rather than listed."""

STARTING: Final = (TaskPhase.UNSTARTED, TaskPhase.RECORDED, TaskPhase.PENDING)
"""Phases in which a task has yet to start a run."""

USUAL: Final = (TaskPhase.SUCCEEDED, TaskPhase.UNSTARTED)


def tree(
    words: options.NamesArg = None,
    namespace: options.Namespace = None,
    all_namespaces: options.AllNamespaces = False,
    selector: options.Selector = None,
    watches: options.Watch = False,
    is_full: Annotated[bool, typer.Option("--full", help="List every task of large Swarms, too.")] = False,
    output: options.OutputOption = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Show resources with their tasks, and the run of each, as a tree.

    With -w it is drawn anew as it changes, until all has ended. Of a Swarm with more than 20 tasks, those that have
    succeeded and those that have not started are counted rather than listed.
    """
    with open_session(options.Target(namespace, context, kubeconfig)) as session:
        selection = parse_selection(
            words or (), selector, all_namespaces=all_namespaces, everything=False, needs_choice=False
        )
        if watches and output is not None:
            raise UnclearError("-w draws a tree: leave out -o")
        found = session.run(select(session.client, selection))
        for error in found.errors:
            session.terminal.error(describe(error))
        objects = [resource.manifest for resource in found.resources]
        if output is not None:
            session.terminal.write(format_objects(objects, output, is_one=len(selection.names) == 1))
        elif not objects and not found.errors:
            session.terminal.info("No resources found.")
        elif watches and objects:
            session.run(_watch(session, selection, folds=not is_full))
        else:
            _draw(session, selection, [read_view(item) for item in objects], folds=not is_full)
        if found.errors:
            raise typer.Exit(exit_for_all(found.errors))


def _draw(session: Session, selection: Selection, views: list[View], *, folds: bool) -> None:
    for line in draw_tree(views, datetime.now(UTC), has_namespace=selection.all_namespaces, folds=folds):
        session.terminal.print(line)


async def _watch(session: Session, selection: Selection, *, folds: bool) -> None:
    """Draw the tree at each change until all has ended: in place on a terminal, else one tree after the other."""
    views: list[View] = []
    cache = Views()
    is_terminal = session.terminal.out.is_terminal

    def render() -> Group:
        return Group(*draw_tree(views, datetime.now(UTC), has_namespace=selection.all_namespaces, folds=folds))

    live = Live(get_renderable=render, console=session.terminal.out, refresh_per_second=REFRESHES)
    scopes = watch_scopes(selection, session.namespace)
    with live if is_terminal else nullcontext():
        async with aclosing(watch_all(session.connection, scopes, selection.selector)) as snapshots:
            async for snapshot in snapshots:
                read = cache.read(item for item in snapshot.values() if matches(selection, item))
                seen = sorted(read.values(), key=lambda view: (KINDS.index(view.kind), view.namespace, view.name))
                if seen != views and not is_terminal:
                    _draw(session, selection, seen, folds=folds)
                    session.terminal.out.file.flush()
                views = seen
                if is_terminal:
                    live.refresh()
                if all(view.status.has_ended for view in views):
                    return


# ── the drawing ──


def draw_tree(views: Iterable[View], now: datetime, *, has_namespace: bool = False, folds: bool = True) -> list[Text]:
    """Return a line for each resource and task. With `folds`, the usual tasks of large Swarms are only counted."""
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
    """Return how long the run has taken so far, or took."""
    record = task.record
    if task.phase is TaskPhase.RUNNING or record.started_at is None or record.finished_at is None:
        return format_age(record.started_at, now) if task.phase is TaskPhase.RUNNING else ""
    return format_duration(record.finished_at - record.started_at)


def _note(view: View, task: TaskView) -> str:
    """Return what is unusual about a task; in a word if the resource's own line says it in full."""
    record = task.record
    if task.phase is TaskPhase.SUCCEEDED:
        return ""
    if task.phase is TaskPhase.UNSTARTED and record.interruptions and record.reason is None:
        return "was interrupted"
    trouble = view.trouble_of(task) if record.reason is None and task.phase in STARTING else None
    return ": ".join(filter(None, (record.reason, record.message))) if trouble is None else trouble.reason
