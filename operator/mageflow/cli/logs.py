"""`logs`: the lines of all tasks of a resource, each after its task's name."""

from __future__ import annotations

import json
from contextlib import aclosing, suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Final

import typer
from rich.text import Text

from mageflow.api import ENDED_PHASES, WORKFLOW
from mageflow.cli import options
from mageflow.cli.args import UnclearError, parse_name
from mageflow.cli.lookup import look_up
from mageflow.cli.session import Session, open_session
from mageflow.client.log_line import LogLine
from mageflow.client.resource import Resource

COLOURS: Final = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta")
"""Of the names of tasks, one after the other."""


class LogOutput(StrEnum):
    """Output format of `logs`."""

    JSON = "json"


@dataclass(frozen=True, slots=True)
class Request:
    """The options of `logs`."""

    task: str | None
    container: str | None
    all_containers: bool
    follow: bool
    timestamps: bool
    output: LogOutput | None


def logs(
    words: options.NameArg,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written, until it ends.")] = False,
    task: Annotated[str | None, typer.Option("--task", "-t", help="Only this task's.", show_default=False)] = None,
    container: Annotated[
        str | None,
        typer.Option("--container", "-c", help="This container's; init containers, too.", show_default=False),
    ] = None,
    all_containers: Annotated[bool, typer.Option("--all-containers", help="Those of all containers.")] = False,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="When each line was written.")] = False,
    namespace: options.Namespace = None,
    output: Annotated[
        LogOutput | None, typer.Option("--output", "-o", help="An object for each line.", show_default=False)
    ] = None,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Show what the tasks have written: those of a Chain or Swarm interleaved, each line with its task.

    Of each run whose pod is still there; pods that were held, interrupted or disrupted are gone, and their logs too.
    Where the main container has not started, or never did, the logs of the init containers are shown.
    """
    with open_session(options.Target(namespace, context, kubeconfig)) as session:
        named = parse_name(words)
        if container is not None and all_containers:
            raise UnclearError("give -c or --all-containers, not both")
        _raise_limit()
        resource = session.run(look_up(session.client, named))
        request = Request(task, container, all_containers, follow, timestamps, output)
        printer = _Printer(session, request, is_single=resource.kind == WORKFLOW.name)
        session.run(_print(resource, request, printer))
        if not printer.has_printed:
            session.terminal.info("There are no lines: nothing was written, or the pods are gone.")


async def _print(resource: Resource, request: Request, printer: _Printer) -> None:
    """Print the lines in the order of time; of a resource that is followed and hasn't ended, as they come."""
    has_ended = (resource.manifest.get("status") or {}).get("phase") in ENDED_PHASES
    follows = request.follow and not has_ended
    lines = resource.logs(
        task=request.task,
        container=request.container,
        all_containers=request.all_containers,
        follow=follows,
        by_time=not follows,
    )
    async with aclosing(lines):
        async for line in lines:
            printer.print(line)
            if follows:
                printer.flush()


def _raise_limit() -> None:
    """Raise the limit of open files as far as the system allows, as kubectl does: each log followed is a connection."""
    with suppress(ImportError, ValueError, OSError):
        import resource as limits

        _, most = limits.getrlimit(limits.RLIMIT_NOFILE)
        limits.setrlimit(limits.RLIMIT_NOFILE, (most, most))


class _Printer:
    """Writes lines, each with the name of its task in that task's colour."""

    def __init__(self, session: Session, request: Request, *, is_single: bool) -> None:
        self._out = session.terminal.out
        self._request = request
        self._is_single = is_single
        self._prefixes: dict[tuple[str, str], str] = {}
        self._colours: dict[str, str] = {}
        self.has_printed = False

    def print(self, line: LogLine) -> None:
        """Write a line as it is, terminal codes and all: it is the task's own."""
        self.has_printed = True
        if self._request.output is LogOutput.JSON:
            self._out.file.write(json.dumps(asdict(line), ensure_ascii=False) + "\n")
            return
        time = f"{line.time} " if self._request.timestamps else ""
        self._out.file.write(f"{self._prefix(line)}{time}{line.text}\n")

    def flush(self) -> None:
        """Flush, so that whoever reads sees the line at once."""
        self._out.file.flush()

    def _prefix(self, line: LogLine) -> str:
        """Return the name of the task unless it is the only one, and of the container unless it is the expected one."""
        is_expected = line.is_main if self._request.container is None else True
        container = "" if is_expected and not self._request.all_containers else line.container
        key = "" if self._is_single else line.task, container
        if not any(key):
            return ""
        if key not in self._prefixes:
            colour = self._colours.setdefault(line.task, COLOURS[len(self._colours) % len(COLOURS)])
            with self._out.capture() as capture:
                self._out.print(Text(f"{'/'.join(filter(None, key))}:", colour), end=" ")
            self._prefixes[key] = capture.get()
        return self._prefixes[key]
