"""Results → `results.json`, the tables between the markers of docs/performance.md, and its plots.

Results of cases that weren't run this time stay as they were, each with the day and the machine it was measured on.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

from bench.figures import Figure, Line
from bench.goals import GOALS, Measured
from devkit.cluster import ROOT
from localcluster.components import KUBERNETES
from mageflow import __version__

RESULTS: Final = Path(__file__).with_name("results.json")
PAGE: Final = ROOT / "docs" / "performance.md"
PLOTS: Final = ROOT / "docs" / "performance"


@dataclass(frozen=True, slots=True)
class Row:
    """Cases that differ by size only: the first part of their names, and what is drawn of them."""

    name: str
    prefix: str
    size: str
    what: str
    unit: str


ROWS: Final = (
    Row("starts", "restart_", "held resources", "CPU of a start", "s"),
    Row("memory", "memory_", "held resources", "memory at rest", "MiB"),
    Row("events", "event_swarm_", "tasks of a Swarm", "an event and its decision", "ms"),
)

BEGIN: Final = "<!-- begin: written by make bench -->"
END: Final = "<!-- end: written by make bench -->"


def write_report(found: Mapping[str, Measured]) -> None:
    """Add what was found to the results, and write table and plots anew."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    where = {"date": datetime.now(UTC).date().isoformat(), "machine": _machine(), "versions": _versions()}
    results |= {name: {**asdict(measured), **where} for name, measured in found.items()}
    RESULTS.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
    known = {name: read(result) for name, result in results.items()}
    page = PAGE.read_text()
    written = f"{BEGIN}\n\n{table(known)}\n\n{lines(known)}\n\n{_where(results)}\n\n{END}"
    PAGE.write_text(re.sub(f"{re.escape(BEGIN)}.*{re.escape(END)}", lambda _: written, page, flags=re.DOTALL))
    plot(known, PLOTS)


def read(result: Mapping[str, Any]) -> Measured:
    """Read one result as it is stored."""
    floor = None if result["floor"] is None else Figure(**result["floor"])
    return Measured(Figure(**result["ours"]), floor)


def print_table(found: Mapping[str, Measured]) -> None:
    """Print the table."""
    print(table(found))


def table(found: Mapping[str, Measured]) -> str:
    """Return the table in Markdown, in the order of the goals; cases without a goal of their own are left out."""
    lines = ["| | ours, median (p95) | floor | ratio | goal | |", "|---|---|---|---|---|---|"]
    for name, goal in GOALS.items():
        if name not in found:
            continue
        measured = found[name]
        wanted = "" if goal.at_most is None else f"{goal.at_most:g}{_unit(measured)}"
        met = {True: "✔", False: "not met", None: ""}[goal.is_met(measured)]
        ratio = "" if measured.ratio is None else f"{measured.ratio:.2f}"
        floor = "" if measured.floor is None else show(measured.floor)
        lines.append(f"| {goal.what} | {show(measured.ours)} | {floor} | {ratio} | {wanted} | {met} |")
    return "\n".join(lines)


def _unit(measured: Measured) -> str:
    return f" {measured.ours.unit}".rstrip() if measured.floor is None else ""


def show(figure: Figure) -> str:
    """Return a figure with three digits and its unit; the 95th percentile if there were several measurements."""
    median = f"{_digits(figure.median)} {figure.unit}".strip()
    return median if figure.count == 1 else f"{median} ({_digits(figure.p95)})"


def _digits(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def plot(found: Mapping[str, Measured], folder: Path) -> None:
    """Draw how the operator stands beside the floor, and how its costs grow."""
    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "mageflow"  # the same figures make the same file
    from matplotlib import pyplot as plt

    folder.mkdir(exist_ok=True)
    pairs = {name: measured for name, measured in found.items() if measured.ratio is not None and name in GOALS}
    if pairs:
        chart, axes = plt.subplots(figsize=(8, 0.5 * len(pairs) + 1))
        names = [name for name in GOALS if name in pairs]
        axes.barh(names, [pairs[name].ratio or 0.0 for name in names], color="#4878a8")
        for place, name in enumerate(names):
            goal = GOALS[name].at_most
            if goal is not None:
                axes.plot([goal, goal], [place - 0.4, place + 0.4], color="black")
        axes.axvline(1.0, color="grey", linestyle=":")
        axes.invert_yaxis()
        axes.set_xlabel("times the floor: the same calls by a bare script (line: the goal)")
        _save(chart, folder / "ratios.svg")
    for row in ROWS:
        points = _points(found, row.prefix)
        if len(points) > 1:
            chart, axes = plt.subplots(figsize=(6, 3.5))
            axes.plot(*zip(*points, strict=True), marker="o", color="#4878a8")
            axes.set(xlabel=row.size, ylabel=f"{row.what}, {row.unit}", xlim=0, ylim=0)
            _save(chart, folder / f"{row.name}.svg")


def lines(found: Mapping[str, Measured]) -> str:
    """Return the lines through the costs of several sizes, and how far from them what was measured is."""
    told = []
    for row in ROWS:
        points = _points(found, row.prefix)
        if len(points) > 1:
            line = Line.through(points)
            what = f"{row.what}: {_digits(line.fixed)} {row.unit}, and {_digits(1000 * line.each)} for each 1,000"
            told.append(f"- {what} {row.size} (measured: within {100 * line.largest_deviation:.0f} % of that)")
    return "\n".join(told)


def _points(found: Mapping[str, Measured], prefix: str) -> list[tuple[float, float]]:
    """Return the sizes and figures of a row of cases, from small to large."""
    return sorted(
        (float(key.removeprefix(prefix)), measured.ours.median)
        for key, measured in found.items()
        if re.fullmatch(rf"{prefix}\d+", key)
    )


def _save(chart: Any, path: Path) -> None:
    chart.tight_layout()
    chart.savefig(path, metadata={"Date": None})


def _machine() -> str:
    names = re.findall(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} processors, {names[0] if names else platform.machine()}, {memory:.0f} GiB"


def _versions() -> str:
    return f"mageflow {__version__}, Python {platform.python_version()}, Kubernetes {KUBERNETES.version}"


def _where(results: Mapping[str, Mapping[str, Any]]) -> str:
    places = sorted({f"{one['date']}, {one['machine']}, {one['versions']}" for one in results.values()})
    return "Measured: " + "; ".join(places) + "."
