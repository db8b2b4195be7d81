"""The program `kubectl-mageflow`: its commands put together."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Annotated

import typer

from mageflow import __version__
from mageflow.cli import explain, get, graph, logs, operate, tree
from mageflow.cli.completion import answer_kubectl
from mageflow.cli.verbs import OPERATIONS

app = typer.Typer(
    name="kubectl-mageflow",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(is_asked_for: bool) -> None:
    if is_asked_for:
        typer.echo(f"kubectl-mageflow {__version__}")
        raise typer.Exit


@app.callback()
def start(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Workflows, Chains and Swarms: see them, suspend and interrupt them while they run, and resume them.

    Exit codes: 0 done; 1 refused; 2 unclear what is meant; 3 not found; 4 in no state for it; 5 not in time;
    6 no cluster; 7 not allowed; 130 Ctrl-C.
    """


app.command()(get.get)
app.command()(tree.tree)
app.command()(explain.explain)
app.command()(graph.graph)
app.command()(logs.logs)
for operation in OPERATIONS:
    app.command()(operate.make_command(operation))


def run() -> None:
    """Run the program. Its output is UTF-8 whatever the locale, as kubectl's is."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    app()


def complete() -> None:
    """Run the program `kubectl_complete-mageflow`, by which kubectl completes words."""
    sys.stdout.write(answer_kubectl(app, sys.argv[1:]))
