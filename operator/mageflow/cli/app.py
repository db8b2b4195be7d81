"""The program `kubectl-mageflow`: its commands put together."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any, Final, cast

import typer
from typer.core import TyperGroup
from typer.main import get_command

from mageflow import __version__

SETTINGS: Final[Mapping[str, Any]] = {
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
    "context_settings": {"help_option_names": ["-h", "--help"]},
}

LOOKS: Final = ("get", "tree", "explain", "graph", "logs")
"""Commands that change nothing, each the function of its name in the module of its name."""

VERBS: Final = ("suspend", "interrupt", "resume", "cancel")
"""Commands that all are in operate.py."""


class LazyCommands(Mapping[str, Any]):
    """The commands by name, each loaded when it is asked for: it alone costs what it imports."""

    names: Final = (*LOOKS, *VERBS)

    def __getitem__(self, name: str) -> Any:
        """Load a command. Raises KeyError if there is none of that name."""
        if name not in self.names:
            raise KeyError(name)
        single = typer.Typer(add_completion=False, **SETTINGS)
        single.command(name)(_load(name))
        return get_command(single)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


def _load(name: str) -> Callable[..., None]:
    """Return the function of a command."""
    if name in LOOKS:
        function: Callable[..., None] = getattr(import_module(f"mageflow.cli.{name}"), name)
        return function
    from mageflow.cli.operate import make_command
    from mageflow.cli.verbs import OPERATIONS

    return make_command({operation.verb: operation for operation in OPERATIONS}[name])


class LazyGroup(TyperGroup):
    """All commands, none of them loaded."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands = cast(MutableMapping[str, Any], LazyCommands())

    def list_commands(self, ctx: Any) -> list[str]:
        """Return their names, in the order of the help text."""
        return list(self.commands)


app = typer.Typer(name="kubectl-mageflow", cls=LazyGroup, no_args_is_help=True, **SETTINGS)


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


def run() -> None:
    """Run the program. Its output is UTF-8 whatever the locale, as kubectl's is."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    app()


def complete() -> None:
    """Run the program `kubectl_complete-mageflow`, by which kubectl completes words."""
    from mageflow.cli.completion import answer_kubectl

    sys.stdout.write(answer_kubectl(app, sys.argv[1:]))
