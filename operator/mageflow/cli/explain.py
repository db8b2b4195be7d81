"""`explain`: why a resource is in its state, and what each operation would do now."""

from __future__ import annotations

from datetime import UTC, datetime
from textwrap import fill
from typing import Final

from rich.text import Text

from mageflow.cli import options
from mageflow.cli.args import parse_name
from mageflow.cli.explain_state import explain_state
from mageflow.cli.lookup import look_up
from mageflow.cli.objects import Output, format_document
from mageflow.cli.preview import preview_operations
from mageflow.cli.session import Session, open_session
from mageflow.cli.terminal import clean, style_of
from mageflow.cli.view import View, read_view

WIDTH: Final = 110
"""Characters of a line."""


def explain(
    words: options.NameArg,
    namespace: options.Namespace = None,
    output: options.OutputOption = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Say in plain sentences why a resource is in its state, and what each operation would do to it now."""
    with open_session(options.Target(namespace, context, kubeconfig)) as session:
        named = parse_name(words)
        resource = session.run(look_up(session.client, named))
        view, now = read_view(resource.manifest), datetime.now(UTC)
        why, previews = explain_state(view, now), preview_operations(view, now)
        if output is None:
            _print(session, view, why, previews)
        elif output is Output.NAME:
            session.terminal.print(view.address)
        else:
            document = {"name": view.address, "namespace": view.namespace, "phase": view.phase}
            session.terminal.write(format_document({**document, "why": why, "operations": previews}, output))


def _print(session: Session, view: View, why: list[str], previews: dict[str, str]) -> None:
    say = session.terminal.print
    say(Text.assemble((view.short, "bold"), f" in namespace {view.namespace}: ", (view.phase, style_of(view.phase))))
    say()
    for sentence in why:
        say(fill(clean(sentence), WIDTH, initial_indent="  ", subsequent_indent="    "))
    say()
    say("What would be done to it now by")
    for verb, preview in previews.items():
        say(fill(clean(f"{verb + ':':<11}{preview}"), WIDTH, initial_indent="  ", subsequent_indent=" " * 13))
