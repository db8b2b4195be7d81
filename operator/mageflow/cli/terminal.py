"""Output: results to stdout, all else to stderr; colours only on a terminal; columns as kubectl pads them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.text import Text

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters: the message of a task could steer the terminal by them."""

GAP: Final = 3
"""Spaces between columns."""

STYLES: Final = {
    "Succeeded": "green",
    "Failed": "red",
    "Canceled": "magenta",
    "Active": "cyan",
    "Running": "cyan",
    "Pending": "blue",
    "Recorded": "blue",
    "BackingOff": "yellow",
    "Suspending": "yellow",
    "Suspended": "bold yellow",
    "Interrupting": "yellow",
    "Interrupted": "bold yellow",
    "Stopping": "yellow",
    "Unstarted": "dim",
    "Unknown": "dim",
}
"""By phase, of a resource or a task."""


class _Console(Console):
    """A console that raises BrokenPipeError; rich's own ends the program with exit code 1."""

    def on_broken_pipe(self) -> None:
        """Raise BrokenPipeError."""
        raise BrokenPipeError


class Terminal:
    """stdout for results, stderr for messages."""

    def __init__(self) -> None:
        self.out = _Console(file=sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self.err = _Console(file=sys.stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def print(self, what: RenderableType = "") -> None:
        """Write a result."""
        self.out.print(what)

    def write(self, text: str) -> None:
        """Write a result that is a document: unchanged, with lines of any length."""
        self.out.file.write(f"{text}\n")

    def info(self, what: RenderableType) -> None:
        """Write a message to stderr."""
        self.err.print(what)

    def error(self, what: str) -> None:
        """Write an error, as one line."""
        self.err.print(Text.assemble(("error: ", "red"), clean(what)))

    def warning(self, what: str) -> None:
        """Write a warning, as one line."""
        self.err.print(Text.assemble(("warning: ", "yellow"), clean(what)))


def style_of(phase: str) -> str:
    """Return the style in which a phase is shown."""
    return STYLES.get(phase, "")


def clean(text: str) -> str:
    """Return a text with its control characters replaced."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


# ── columns ──


def lay_out(rows: Iterable[Sequence[str]], widths: Sequence[int] = ()) -> list[Text]:
    """Return rows as lines of padded columns, at least of these widths; cells that are phases are coloured."""
    rows = [[clean(cell) for cell in row] for row in rows]
    widths = column_widths(rows, widths)
    return [_line(row, widths) for row in rows]


def column_widths(rows: Iterable[Sequence[str]], least: Sequence[int] = ()) -> list[int]:
    """Return the widths of the columns: those of the longest cells, at least `least`."""
    rows = list(rows)
    count = max((len(row) for row in rows), default=0)
    found = [max(cell_len(row[at]) for row in rows if at < len(row)) for at in range(count)]
    return [max(width, least[at]) if at < len(least) else width for at, width in enumerate(found)]


def _line(row: Sequence[str], widths: Sequence[int]) -> Text:
    line = Text()
    for at, cell in enumerate(row):
        line.append(cell, style_of(cell))
        if at < len(row) - 1:
            line.append(" " * (widths[at] - cell_len(cell) + GAP))
    line.rstrip()
    return line
