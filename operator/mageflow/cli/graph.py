"""`graph`: a resource as a drawing, each task in the colour of its state: as Mermaid, or as SVG.

In SVG a Chain goes from left to right, and a Swarm is a grid; it needs nothing but a browser:

    ┌───┐   ┌───┐   ┌───┐          ┌───┐ ┌───┐ ┌───┐
    │ a │ → │ b │ → │ c │          │ a │ │ b │ │ c │
    └───┘   └───┘   └───┘          └───┘ └───┘ └───┘

Mermaid: https://mermaid.js.org/syntax/flowchart.html
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Final
from xml.sax.saxutils import escape

import typer

from mageflow.api import SWARM, TaskPhase
from mageflow.cli import options
from mageflow.cli.args import parse_name
from mageflow.cli.lookup import look_up
from mageflow.cli.session import open_session
from mageflow.cli.view import TaskView, View, read_view

COLOURS: Final[Mapping[str, tuple[str, str]]] = {
    TaskPhase.UNSTARTED: ("#f3f4f6", "#9ca3af"),
    TaskPhase.RECORDED: ("#dbeafe", "#3b82f6"),
    TaskPhase.BACKING_OFF: ("#fef3c7", "#d97706"),
    TaskPhase.PENDING: ("#dbeafe", "#3b82f6"),
    TaskPhase.RUNNING: ("#cffafe", "#0891b2"),
    TaskPhase.STOPPING: ("#fef3c7", "#d97706"),
    TaskPhase.SUCCEEDED: ("#dcfce7", "#16a34a"),
    TaskPhase.FAILED: ("#fee2e2", "#dc2626"),
}
"""Of each state's box: fill and line."""

UNKNOWN: Final = ("#ffffff", "#6b7280")
"""Of a state that only a newer version knows."""

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


class Drawing(StrEnum):
    """Language of the drawing."""

    MERMAID = "mermaid"
    SVG = "svg"


def graph(
    words: options.NameArg,
    namespace: options.Namespace = None,
    output: Annotated[Drawing, typer.Option("--output", "-o", help="The language of the drawing.")] = Drawing.MERMAID,
    context: options.Context = None,
    kubeconfig: options.Kubeconfig = None,
) -> None:
    """Draw a resource, its tasks coloured by their state, as Mermaid or SVG."""
    with open_session(options.Target(namespace, context, kubeconfig)) as session:
        named = parse_name(words)
        view = read_view(session.run(look_up(session.client, named)).manifest)
        session.terminal.write(draw_mermaid(view) if output is Drawing.MERMAID else draw_svg(view))


# ── Mermaid ──


def draw_mermaid(view: View) -> str:
    """Return a flowchart: a Chain from left to right, a Swarm as a box full of tasks; a task's state is its class."""
    return "\n".join(_mermaid_lines(view))


def _mermaid_lines(view: View) -> Iterator[str]:
    yield "flowchart LR"
    at_once = f", {view.at_once} at once" if view.kind is SWARM else ""
    yield f'    subgraph resource["{_quote(f"{view.short} · {view.phase}{at_once}")}"]'
    for number, task in enumerate(view.tasks):
        yield f'        t{number}["{_mermaid_label(task)}"]:::{class_of(task)}'
    if view.kind is not SWARM and len(view.tasks) > 1:
        yield f"        {' --> '.join(f't{number}' for number in range(len(view.tasks)))}"
    yield "    end"
    for name in dict.fromkeys(map(class_of, view.tasks)):
        fill, line = COLOURS.get(name, UNKNOWN)
        yield f"    classDef {name} fill:{fill},stroke:{line},color:#111827"


def class_of(task: TaskView) -> str:
    """Return the class of a task's box: its state, or `Unknown`."""
    return str(task.phase) if isinstance(task.phase, TaskPhase) else "Unknown"


def _mermaid_label(task: TaskView) -> str:
    run = f", run {task.record.run}" if task.record.run > 1 else ""
    return f"{_quote(task.name)}<br/>{_quote(task.phase)}{run}"


def _quote(text: str) -> str:
    return text.replace("#", "#35;").replace('"', "#quot;")


# ── SVG ──


def draw_svg(view: View) -> str:
    """Return a resource as an SVG document."""
    return "\n".join(_svg_lines(view))


def box_corners(count: int, *, is_grid: bool) -> list[tuple[int, int]]:
    """Return the upper left corner of the box of each of `count` tasks."""
    columns = min(MAX_COLUMNS, math.ceil(math.sqrt(count))) if is_grid else count
    return [(MARGIN + at % columns * (WIDTH + GAP), TOP + at // columns * (HEIGHT + GAP // 2)) for at in range(count)]


def _svg_lines(view: View) -> Iterator[str]:
    corners = box_corners(len(view.tasks), is_grid=view.kind is SWARM)
    width = max((x for x, _ in corners), default=MARGIN) + WIDTH + MARGIN
    height = max((y for _, y in corners), default=TOP) + HEIGHT + MARGIN
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
        for (x, y), (next_x, _) in pairwise(corners):
            yield _svg_arrow(x + WIDTH, next_x, y + HEIGHT // 2)
    for task, (x, y) in zip(view.tasks, corners, strict=True):
        yield from _svg_box(task, x, y)
    yield "</svg>"


def _svg_arrow(left: int, right: int, y: int) -> str:
    tip = f"M{right - 8} {y - 4}L{right - 1} {y}L{right - 8} {y + 4}"
    return f'<path d="M{left} {y}H{right - 1}{tip}" fill="none" stroke="#6b7280" stroke-width="1.5"/>'


def _svg_box(task: TaskView, x: int, y: int) -> Iterator[str]:
    fill, line = COLOURS.get(task.phase, UNKNOWN)
    name = task.name if len(task.name) <= MAX_NAME else f"{task.name[: MAX_NAME - 1]}…"
    run = f", run {task.record.run}" if task.record.run > 1 else ""
    yield f'<g class="{class_of(task)}"><title>{escape(task.name)}</title>'
    yield f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{fill}" stroke="{line}"/>'
    yield f'<text x="{x + 10}" y="{y + 19}">{escape(name)}</text>'
    yield f'<text class="s" x="{x + 10}" y="{y + 36}">{escape(task.phase)}{run}</text></g>'
