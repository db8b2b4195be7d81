"""`get`: all three kinds in one table."""

from __future__ import annotations

from contextlib import aclosing
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from mageflow.cli import options
from mageflow.cli.exits import describe, exit_for_all
from mageflow.cli.names import Selection, UnclearError, parse_selection
from mageflow.cli.objects import Output, format_objects
from mageflow.cli.selection import matches, places_of, select
from mageflow.cli.session import Session, open_session
from mageflow.cli.table import cells, columns, find_widths, lay_out
from mageflow.cli.view import View, read_view
from mageflow.cli.watching import watch
from mageflow.client.transport import Raw


class GetOutput(StrEnum):
    """How `get` prints."""

    WIDE = "wide"
    JSON = "json"
    YAML = "yaml"
    NAME = "name"


def get(
    words: options.Words = None,
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
        if watches and output not in (None, GetOutput.WIDE):
            raise UnclearError("-w prints a table: leave out -o, or say -o wide")
        found = session.run(select(session.client, selection))
        objects = [resource.manifest for resource in found.resources]
        _print(session, selection, objects, output)
        for error in found.errors:
            session.terminal.complain(describe(error))
        if watches and not found.errors:
            session.run(_watch(session, selection, objects, is_wide=output is GetOutput.WIDE))
        if found.errors:
            raise typer.Exit(exit_for_all(found.errors))


def _print(session: Session, selection: Selection, objects: list[Raw], output: GetOutput | None) -> None:
    if output not in (None, GetOutput.WIDE):
        text = format_objects(objects, Output(output.value), is_one=len(selection.names) == 1)
        if text:
            session.terminal.print(text)
    elif objects:
        for line in lay_out(_rows(selection, objects, is_wide=output is GetOutput.WIDE)):
            session.terminal.print(line)
    elif not selection.names:
        where = "" if selection.all_namespaces else f" in {session.namespace} namespace"
        session.terminal.note(f"No resources found{where}.")


def _rows(selection: Selection, objects: list[Raw], *, is_wide: bool) -> list[tuple[str, ...]]:
    now, has_namespace = datetime.now(UTC), selection.all_namespaces
    head = columns(is_wide=is_wide, has_namespace=has_namespace)
    return [head, *(cells(read_view(it), now, is_wide=is_wide, has_namespace=has_namespace) for it in objects)]


async def _watch(session: Session, selection: Selection, objects: list[Raw], *, is_wide: bool) -> None:
    """Print a line for each resource that is not as it was when its last line was printed."""
    rows = _rows(selection, objects, is_wide=is_wide)
    widths = find_widths(rows)
    told: dict[str, View] = {item["metadata"]["uid"]: read_view(item) for item in objects}
    places = places_of(selection, session.namespace)
    async with aclosing(watch(session.connection, places, selection.selector)) as snapshots:
        async for snapshot in snapshots:
            changed = [
                (uid, item) for uid, item in snapshot.items()
                if matches(selection, item) and told.get(uid) != read_view(item)
            ]  # fmt: skip
            told |= {uid: read_view(item) for uid, item in changed}
            lines = _rows(selection, [item for _, item in changed], is_wide=is_wide)
            for line in lay_out(lines, widths)[bool(rows) :]:
                session.terminal.print(line)
            session.terminal.out.file.flush()
