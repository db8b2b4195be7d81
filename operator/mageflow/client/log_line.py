"""One line of a log, and the times by which lines are put in order."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

FRACTION: Final = 9
"""Digits after the point: nanoseconds."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a task wrote."""

    task: str
    """Name of the task; `main` in a Workflow."""
    run: int
    """Number of the run, from 1."""
    pod: str
    """Name of the pod."""
    text: str
    """The line, without its end."""
    time: str = ""
    """When it was written, by its node's clock: RFC 3339, in UTC."""
    container: str = ""
    """Name of the container."""
    is_main: bool = True
    """Whether that is the pod's main container."""

    def __str__(self) -> str:
        return f"{self.task}: {self.text}"


LineQueue: TypeAlias = asyncio.Queue[LogLine | Exception | None]
"""Lines on their way to a reader; then None, or the error that ended them."""


def in_utc(time: str) -> str:
    """Return an RFC 3339 time in UTC; a node with another time zone writes an offset."""
    if time.endswith("Z") or len(time) < len("2026-01-01T00:00:00+00:00"):
        return time
    whole, _, fraction = time[:-6].partition(".")
    try:
        moment = datetime.fromisoformat(f"{whole}{time[-6:]}").astimezone(UTC)
    except ValueError:
        return time
    return f"{moment:%Y-%m-%dT%H:%M:%S}{f'.{fraction}' if fraction else ''}Z"


def sortable(time: str) -> str:
    """Return a time in UTC such that times sort as texts: with nine digits after the point."""
    whole, _, fraction = time.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<{FRACTION}}"
