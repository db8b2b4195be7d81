"""A resource as a drawing of its own, with no need of anything but a browser.

A Chain goes from left to right, a Swarm is a grid:

    ┌───┐   ┌───┐   ┌───┐          ┌───┐ ┌───┐ ┌───┐
    │ a │ → │ b │ → │ c │          │ a │ │ b │ │ c │
    └───┘   └───┘   └───┘          └───┘ └───┘ └───┘
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Final
from xml.sax.saxutils import escape

from mageflow.api import SWARM
from mageflow.cli.mermaid import COLOURS, UNKNOWN, class_of
from mageflow.cli.view import TaskView, View

WIDTH: Final = 150
HEIGHT: Final = 46
GAP: Final = 36
"""Pixels: a task's box, and what is between two."""
MARGIN: Final = 16
TOP: Final = 56
"""Where the first row begins, under the title."""
MAX_COLUMNS: Final = 10
"""Of a Swarm's grid."""
MAX_NAME: Final = 18
"""Characters of a name that fit into a box."""


def draw_svg(view: View) -> str:
    """Draw a resource as SVG."""
    return "\n".join(_lines(view))


def place(count: int, *, is_grid: bool) -> list[tuple[int, int]]:
    """Return where the boxes of so many tasks are: the left upper corner of each."""
    columns = min(MAX_COLUMNS, math.ceil(math.sqrt(count))) if is_grid else count
    return [(MARGIN + at % columns * (WIDTH + GAP), TOP + at // columns * (HEIGHT + GAP // 2)) for at in range(count)]


def _lines(view: View) -> Iterator[str]:
    places = place(len(view.tasks), is_grid=view.kind is SWARM)
    width = max((x for x, _ in places), default=MARGIN) + WIDTH + MARGIN
    height = max((y for _, y in places), default=TOP) + HEIGHT + MARGIN
    title = escape(f"{view.short} · {view.phase}")
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    yield f"<title>{title}</title>"
    yield "<style>text{font:13px sans-serif;fill:#111827}.s{font-size:11px;fill:#4b5563}.h{font-weight:bold}</style>"
    yield f'<rect width="{width}" height="{height}" fill="#fff"/>'
    done = f"{view.status.progress} done" if view.status.progress else ""
    at_once = f"{view.at_once} at once" if view.kind is SWARM else ""
    yield f'<text class="h" x="{MARGIN}" y="24">{title}</text>'
    yield f'<text class="s" x="{MARGIN}" y="42">{escape(" · ".join(filter(None, (done, at_once))))}</text>'
    if view.kind is not SWARM:
        for (x, y), (next_x, _) in pairwise(places):
            yield _arrow(x + WIDTH, next_x, y + HEIGHT // 2)
    for task, (x, y) in zip(view.tasks, places, strict=True):
        yield from _box(task, x, y)
    yield "</svg>"


def _arrow(left: int, right: int, y: int) -> str:
    tip = f"M{right - 8} {y - 4}L{right - 1} {y}L{right - 8} {y + 4}"
    return f'<path d="M{left} {y}H{right - 1}{tip}" fill="none" stroke="#6b7280" stroke-width="1.5"/>'


def _box(task: TaskView, x: int, y: int) -> Iterator[str]:
    fill, line = COLOURS.get(task.phase, UNKNOWN)
    name = task.name if len(task.name) <= MAX_NAME else f"{task.name[: MAX_NAME - 1]}…"
    run = f", run {task.record.run}" if task.record.run > 1 else ""
    yield f'<g class="{class_of(task)}"><title>{escape(task.name)}</title>'
    yield f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{fill}" stroke="{line}"/>'
    yield f'<text x="{x + 10}" y="{y + 19}">{escape(name)}</text>'
    yield f'<text class="s" x="{x + 10}" y="{y + 36}">{escape(task.phase)}{run}</text></g>'
