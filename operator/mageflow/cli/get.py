"""`get`: all three kinds in one table, or as objects."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from mageflow.cli import options
from mageflow.cli.args import Selection, UnclearError, parse_selection
from mageflow.cli.durations import format_age
from mageflow.cli.exit_codes import describe, exit_for_all
from mageflow.cli.lookup import matches, select, watch_scopes
from mageflow.cli.objects import Output, format_objects
from mageflow.cli.session import Session, open_session
from mageflow.cli.terminal import column_widths, lay_out
from mageflow.cli.view import View, Views, read_view
from mageflow.client.scopes import watch_all
from mageflow.kube.transport import Raw


class GetOutput(StrEnum):
    """Output format of `get`."""

    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


def get(
    words: options.NamesArg = None,
    namespace: options.Namespace = None,
    all_namespaces: options.AllNamespaces = False,
    selector: options.Selector = None,
    output: Annotated[
        GetOutput | None, typer.Option("--output", "-o", help="More columns, objects, or names.", show_default=False)
    ] = None,
    watches: Annotated[bool, typer.Option("--watch", "-w", help="Go on: a line for each change.")] = False,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Show resources: all three kinds in one table."""
    with open_session(options.Target(namespace, context, kubeconfig)) as session:
        selection = parse_selection(
            words or (), selector, all_namespaces=all_namespaces, everything=False, needs_choice=False
        )
        is_table = output in (None, GetOutput.WIDE)
        if watches and not is_table:
            raise UnclearError("-w prints a table: leave out -o, or say -o wide")
        found = session.run(select(session.client, selection))
        objects = [resource.manifest for resource in found.resources]
        views = {item["metadata"]["uid"]: read_view(item) for item in objects} if is_table else {}
        _print(session, selection, objects, views.values(), output)
        for error in found.errors:
            session.terminal.error(describe(error))
        if watches and not found.errors:
            session.run(_watch(session, selection, views, is_wide=output is GetOutput.WIDE))
        if found.errors:
            raise typer.Exit(exit_for_all(found.errors))


def _print(
    session: Session, selection: Selection, objects: list[Raw], views: Collection[View], output: GetOutput | None
) -> None:
    if output not in (None, GetOutput.WIDE):
        text = format_objects(objects, Output(output.value), is_one=len(selection.names) == 1)
        if text:
            session.terminal.write(text)
    elif views:
        for line in lay_out(_rows(selection, views, is_wide=output is GetOutput.WIDE)):
            session.terminal.print(line)
    elif not selection.names:
        where = "" if selection.all_namespaces else f" in {session.namespace} namespace"
        session.terminal.info(f"No resources found{where}.")


def _rows(selection: Selection, views: Iterable[View], *, is_wide: bool) -> list[tuple[str, ...]]:
    now, has_namespace = datetime.now(UTC), selection.all_namespaces
    head = columns(is_wide=is_wide, has_namespace=has_namespace)
    return [head, *(cells(view, now, is_wide=is_wide, has_namespace=has_namespace) for view in views)]


async def _watch(session: Session, selection: Selection, told: dict[str, View], *, is_wide: bool) -> None:
    """Print a line for each resource that has changed; before the first line, the head.

    `told`: the views that are printed already, by uid.
    """
    widths = column_widths(_rows(selection, told.values(), is_wide=is_wide))
    has_head, views = bool(told), Views()
    scopes = watch_scopes(selection, session.namespace)
    async with aclosing(watch_all(session.connection, scopes, selection.selector)) as snapshots:
        async for snapshot in snapshots:
            seen = views.read(item for item in snapshot.values() if matches(selection, item))
            changed = {uid: view for uid, view in seen.items() if told.get(uid) != view}
            told |= changed
            lines = lay_out(_rows(selection, changed.values(), is_wide=is_wide), widths)
            for line in lines[has_head:] if changed else ():
                session.terminal.print(line)
            has_head |= bool(changed)
            session.terminal.out.file.flush()


# ── the table ──


def columns(*, is_wide: bool, has_namespace: bool) -> tuple[str, ...]:
    """Return the head of the table."""
    head = ("NAME", "PHASE", "DONE", "RUNNING", "AGE")
    return ("NAMESPACE",) * has_namespace + head + ("LIFECYCLE", "REASON") * is_wide


def cells(view: View, now: datetime, *, is_wide: bool, has_namespace: bool) -> tuple[str, ...]:
    """Return the cells of a resource."""
    status = view.status
    row = (view.short, view.phase, status.progress or "", str(status.running), format_age(view.created, now))
    more = (view.lifecycle.value, status.reason)
    return (view.namespace,) * has_namespace + row + more * is_wide
