"""What is written, and where: results to stdout, all else to stderr; colours only on a terminal."""

from __future__ import annotations

import re
import sys
from typing import Final

from rich.console import Console, RenderableType
from rich.text import Text

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What in a message of a task could play with the terminal."""

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
    """Rich's, which by itself ends the program with exit code 1 when nobody reads any more."""

    def on_broken_pipe(self) -> None:
        """Raise the error on."""
        raise BrokenPipeError


class Terminal:
    """The two ways out."""

    def __init__(self) -> None:
        self.out = _Console(file=sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=True)
        self.err = _Console(file=sys.stderr, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def print(self, what: RenderableType = "") -> None:
        """Write a result."""
        self.out.print(what)

    def write(self, text: str) -> None:
        """Write a result that is a document: as it is, and whole however long its lines are."""
        self.out.file.write(f"{text}\n")

    def note(self, what: RenderableType) -> None:
        """Write what is no result."""
        self.err.print(what)

    def complain(self, what: str) -> None:
        """Write an error, as one line."""
        self.err.print(Text.assemble(("error: ", "red"), clean(what)))

    def warn(self, what: str) -> None:
        """Write a warning, as one line."""
        self.err.print(Text.assemble(("warning: ", "yellow"), clean(what)))


def style_of(phase: str) -> str:
    """Return the style in which a phase is shown."""
    return STYLES.get(phase, "")


def clean(text: str) -> str:
    """Return a text without what would play with the terminal."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)
