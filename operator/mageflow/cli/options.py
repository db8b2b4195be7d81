"""Options that several commands have, named as kubectl names them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from mageflow.cli.completion import complete_names
from mageflow.cli.durations import parse_duration
from mageflow.cli.objects import Output


class DryRun(StrEnum):
    """Who is asked for the result of a dry run."""

    NONE = "none"
    CLIENT = "client"
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Target:
    """The cluster and the namespace."""

    namespace: str | None
    context: str | None
    kubeconfig: Path | None


def _read_duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


NamesArg: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KIND] NAME",
        help="Names, with or without their kind: workflow (mwf), chain (mch), swarm (msw).",
        autocompletion=complete_names,
        show_default=False,
    ),
]
NameArg: TypeAlias = Annotated[
    list[str],
    typer.Argument(
        metavar="[KIND] NAME",
        help="The resource, with or without its kind.",
        autocompletion=complete_names,
        show_default=False,
    ),
]
Namespace: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--namespace", "-n", metavar="NAME", help="The namespace; by default the context's.", show_default=False
    ),
]
Context: TypeAlias = Annotated[
    str | None, typer.Option("--context", metavar="NAME", help="The context in the kubeconfig.", show_default=False)
]
Kubeconfig: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--kubeconfig", metavar="FILE", help="The kubeconfig; else $KUBECONFIG or ~/.kube/config.", show_default=False
    ),
]
Selector: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--selector", "-l", metavar="LABELS", help="Select by labels: team=a,stage!=test.", show_default=False
    ),
]
AllFlag: TypeAlias = Annotated[bool, typer.Option("--all", help="Select all.")]
AllNamespaces: TypeAlias = Annotated[bool, typer.Option("--all-namespaces", "-A", help="In all namespaces.")]
OutputOption: TypeAlias = Annotated[
    Output | None, typer.Option("--output", "-o", help="Print objects, or their names.", show_default=False)
]
Watch: TypeAlias = Annotated[bool, typer.Option("--watch", "-w", help="Go on as it changes, until it has ended.")]
Wait: TypeAlias = Annotated[bool, typer.Option("--wait", help="Return once it is in force.")]
Timeout: TypeAlias = Annotated[
    float | None,
    typer.Option(
        parser=_read_duration,
        metavar="DURATION",
        help="How long to wait at most: 30s, 5m. By default 60s for the operator's answer, and --wait for ever.",
        show_default=False,
    ),
]
DryRunOption: TypeAlias = Annotated[
    DryRun, typer.Option("--dry-run", help="Change nothing: print what would be sent, or have the API server check it.")
]
YesFlag: TypeAlias = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]
