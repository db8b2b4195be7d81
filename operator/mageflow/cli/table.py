"""The table of `get`: padded columns, as kubectl's, whatever the width of the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

from rich.cells import cell_len
from rich.text import Text

from mageflow.cli.ages import format_age
from mageflow.cli.terminal import clean, style_of
from mageflow.cli.view import View

GAP: Final = 3
"""Spaces between columns."""


def columns(*, is_wide: bool, has_namespace: bool) -> tuple[str, ...]:
    """Return the heads of the columns."""
    head = ("NAME", "PHASE", "DONE", "RUNNING", "AGE")
    return ("NAMESPACE",) * has_namespace + head + ("LIFECYCLE", "REASON") * is_wide


def cells(view: View, now: datetime, *, is_wide: bool, has_namespace: bool) -> tuple[str, ...]:
    """Return one line's cells."""
    status = view.status
    row = (view.short, view.phase, status.progress or "", str(status.running), format_age(view.created, now))
    more = (view.lifecycle.value, status.reason)
    return (view.namespace,) * has_namespace + row + more * is_wide


def lay_out(rows: Iterable[Sequence[str]], widths: Sequence[int] = ()) -> list[Text]:
    """Pad the cells of rows to columns, at least of these widths; cells that are phases get their colours."""
    rows = [[clean(cell) for cell in row] for row in rows]
    widths = find_widths(rows, widths)
    return [_line(row, widths) for row in rows]


def find_widths(rows: Iterable[Sequence[str]], least: Sequence[int] = ()) -> list[int]:
    """Return the widths of columns that take all rows."""
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
