"""`logs`: what a resource's tasks have written, put together."""

from __future__ import annotations

import json
from contextlib import aclosing
from dataclasses import asdict
from enum import StrEnum
from typing import Annotated, Final

import typer
from rich.text import Text

from mageflow.api import WORKFLOW
from mageflow.cli import options
from mageflow.cli.names import parse_name
from mageflow.cli.selection import find_one
from mageflow.cli.session import Session, open_session
from mageflow.cli.view import read_view
from mageflow.client.logs import LogLine
from mageflow.client.resource import Resource

COLOURS: Final = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green", "bright_magenta")
"""Of the names of tasks, one after the other."""


class LogOutput(StrEnum):
    """How lines are printed."""

    JSON = "json"


def logs(
    words: options.One,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as lines are written, until it ends.")] = False,
    task: Annotated[str | None, typer.Option("--task", "-t", help="Only this task's.", show_default=False)] = None,
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
    """
    with open_session(options.Target(namespace, context, kubeconfig)) as session:
        named = parse_name(words)
        resource = session.run(find_one(session.client, named))
        printer = _Printer(session, output, is_single=resource.kind == WORKFLOW.name, has_times=timestamps)
        follows = follow and not read_view(resource.manifest).status.has_ended
        session.run(_follow(resource, task, printer) if follows else _read(resource, task, printer))


async def _follow(resource: Resource, task: str | None, printer: _Printer) -> None:
    async with aclosing(resource.logs(task=task, follow=True)) as lines:
        async for line in lines:
            printer.print(line)
            printer.flush()


async def _read(resource: Resource, task: str | None, printer: _Printer) -> None:
    """Print the lines in the order in which they were written."""
    async with aclosing(resource.logs(task=task)) as lines:
        read = [line async for line in lines]
    for line in sorted(read, key=lambda line: sortable(line.time)):
        printer.print(line)


def sortable(time: str) -> str:
    """Make an RFC 3339 time sortable as text: the digits after the point are as many as there are."""
    whole, _, fraction = time.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:<09}"


class _Printer:
    """Writes lines, each with the name of its task in that task's colour."""

    def __init__(self, session: Session, output: LogOutput | None, *, is_single: bool, has_times: bool) -> None:
        self._out = session.terminal.out
        self._output = output
        self._is_single = is_single
        self._has_times = has_times
        self._prefixes: dict[str, str] = {}

    def print(self, line: LogLine) -> None:
        """Write a line as it is, terminal codes and all: it is the task's own."""
        if self._output is LogOutput.JSON:
            self._out.file.write(json.dumps(asdict(line), ensure_ascii=False) + "\n")
            return
        time = f"{line.time} " if self._has_times else ""
        self._out.file.write(f"{self._prefix(line.task)}{time}{line.text}\n")

    def flush(self) -> None:
        """Have it read at once."""
        self._out.file.flush()

    def _prefix(self, task: str) -> str:
        if self._is_single:
            return ""
        if task not in self._prefixes:
            colour = COLOURS[len(self._prefixes) % len(COLOURS)]
            with self._out.capture() as capture:
                self._out.print(Text(f"{task}:", colour), end=" ")
            self._prefixes[task] = capture.get()
        return self._prefixes[task]
