"""`tree`: resources, their tasks and runs; live with `-w`."""

from __future__ import annotations

from contextlib import aclosing, nullcontext
from datetime import UTC, datetime
from typing import Annotated, Final

import typer
from rich.console import Group
from rich.live import Live

from mageflow.api import KINDS
from mageflow.cli import options
from mageflow.cli.exits import describe, exit_for_all
from mageflow.cli.names import Selection, UnclearError, parse_selection
from mageflow.cli.objects import format_objects
from mageflow.cli.selection import matches, select, watch_scopes
from mageflow.cli.session import Session, open_session
from mageflow.cli.tree import draw_tree
from mageflow.cli.view import View, Views, read_view
from mageflow.client.scopes import watch_all

REFRESHES: Final = 1
"""How often a second the ages on the terminal are brought up to date; changes are shown at once."""


def tree(
    words: options.Words = None,
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
            session.terminal.complain(describe(error))
        objects = [resource.manifest for resource in found.resources]
        if output is not None:
            session.terminal.write(format_objects(objects, output, is_one=len(selection.names) == 1))
        elif not objects and not found.errors:
            session.terminal.note("No resources found.")
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
    """Draw it anew as it changes, until all has ended: in place on a terminal, else one after the other."""
    views: list[View] = []
    read = Views()
    is_terminal = session.terminal.out.is_terminal

    def render() -> Group:
        return Group(*draw_tree(views, datetime.now(UTC), has_namespace=selection.all_namespaces, folds=folds))

    live = Live(get_renderable=render, console=session.terminal.out, refresh_per_second=REFRESHES)
    scopes = watch_scopes(selection, session.namespace)
    with live if is_terminal else nullcontext():
        async with aclosing(watch_all(session.connection, scopes, selection.selector)) as snapshots:
            async for snapshot in snapshots:
                seen = [read.read(item) for item in snapshot.values() if matches(selection, item)]
                seen.sort(key=lambda view: (KINDS.index(view.kind), view.namespace, view.name))
                if seen != views and not is_terminal:
                    _draw(session, selection, seen, folds=folds)
                    session.terminal.out.file.flush()
                views = seen
                if is_terminal:
                    live.refresh()
                if all(view.status.has_ended for view in views):
                    return
