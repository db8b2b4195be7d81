"""A resource as a Mermaid flowchart: https://mermaid.js.org/syntax/flowchart.html."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from mageflow.api import SWARM, TaskPhase
from mageflow.cli.view import TaskView, View

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


def draw_mermaid(view: View) -> str:
    """Draw a Chain from left to right, a Swarm as a box full of tasks; the state of each task is its class."""
    return "\n".join(_lines(view))


def _lines(view: View) -> Iterator[str]:
    yield "flowchart LR"
    at_once = f", {view.at_once} at once" if view.kind is SWARM else ""
    yield f'    subgraph resource["{_escape(f"{view.short} · {view.phase}{at_once}")}"]'
    for number, task in enumerate(view.tasks):
        yield f'        t{number}["{_label(task)}"]:::{class_of(task)}'
    if view.kind is not SWARM and len(view.tasks) > 1:
        yield f"        {' --> '.join(f't{number}' for number in range(len(view.tasks)))}"
    yield "    end"
    for name in dict.fromkeys(map(class_of, view.tasks)):
        fill, line = COLOURS.get(name, UNKNOWN)
        yield f"    classDef {name} fill:{fill},stroke:{line},color:#111827"


def class_of(task: TaskView) -> str:
    """Return the class of a task's box: its state, if this version knows it."""
    return str(task.phase) if isinstance(task.phase, TaskPhase) else "Unknown"


def _label(task: TaskView) -> str:
    run = f", run {task.record.run}" if task.record.run > 1 else ""
    return f"{_escape(task.name)}<br/>{_escape(task.phase)}{run}"


def _escape(text: str) -> str:
    return text.replace("#", "#35;").replace('"', "#quot;")
