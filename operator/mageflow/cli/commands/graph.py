"""`graph`: a resource as a drawing."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from mageflow.cli import options
from mageflow.cli.mermaid import draw_mermaid
from mageflow.cli.names import parse_name
from mageflow.cli.selection import find_one
from mageflow.cli.session import open_session
from mageflow.cli.svg import draw_svg
from mageflow.cli.view import read_view


class Drawing(StrEnum):
    """How it is drawn."""

    MERMAID = "mermaid"
    SVG = "svg"


def graph(
    words: options.One,
    namespace: options.Namespace = None,
    output: Annotated[Drawing, typer.Option("--output", "-o", help="The language of the drawing.")] = Drawing.MERMAID,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Draw a resource, its tasks coloured by their state, as Mermaid or SVG."""
    with open_session(options.Target(namespace, context, kubeconfig)) as session:
        named = parse_name(words)
        view = read_view(session.run(find_one(session.client, named)).manifest)
        session.terminal.write(draw_mermaid(view) if output is Drawing.MERMAID else draw_svg(view))
