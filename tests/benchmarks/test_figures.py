"""What is made of measurements: medians, percentiles, lines, tables."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from bench import report
from bench.__main__ import CASES
from bench.figures import Figure, growth, percentile
from bench.goals import GOALS, Goal, Measured
from devkit.cluster import ROOT

MS = Figure(10.0, 20.0, 30, "ms")


def test_figure_is_the_median_and_the_95th_percentile() -> None:
    assert Figure.of([3.0, 1.0, 2.0], "ms") == Figure(2.0, 3.0, 3, "ms")
    with pytest.raises(ValueError, match="nothing was measured"):
        Figure.of([], "ms")


@pytest.mark.parametrize(("percent", "value"), [(95, 95.0), (50, 50.0), (100, 100.0), (1, 1.0)])
def test_percentile_is_a_value_that_was_measured(percent: float, value: float) -> None:
    assert percentile([float(number) for number in range(100, 0, -1)], percent) == value


@pytest.mark.parametrize("exponent", [0.5, 1.0, 2.0])
def test_growth_is_the_exponent_from_the_smallest_size_to_the_largest(exponent: float) -> None:
    points = [(size, 3.0 * size**exponent) for size in (1000.0, 10.0, 100.0)]
    assert growth(points) == pytest.approx(exponent)


@pytest.mark.parametrize(
    ("at_most", "floor", "is_met"),
    [
        (1.5, Figure(8.0, 9.0, 30, "ms"), True),
        (1.2, Figure(8.0, 9.0, 30, "ms"), False),
        (9.0, None, False),
        (None, None, None),
    ],
    ids=["a ratio", "a ratio that is too high", "a figure that is too high", "no goal"],
)
def test_goal_is_of_the_ratio_if_there_is_a_floor(
    at_most: float | None, floor: Figure | None, is_met: bool | None
) -> None:
    assert Goal("x", at_most).is_met(Measured(MS, floor)) is is_met


def test_table_says_what_is_not_met() -> None:
    found = {"create": Measured(MS, Figure(5.0, 6.0, 30, "ms")), "workflow_reads": Measured(Figure(0.0, 0.0, 1, ""))}
    _, _, create, reads = report.table(found).splitlines()
    assert create.endswith("| 10 ms (20) | 5 ms (6) | 2.00 | 1.5 | not met |")
    assert reads.endswith("| 0 |  |  | 0 | ✔ |")


def test_results_of_other_cases_stay_when_one_is_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"# Performance\n\n{report.BEGIN}\nOBSOLETE\n{report.END}\n\nMore.\n")
    monkeypatch.setattr(report, "PAGE", page)
    monkeypatch.setattr(report, "RESULTS", tmp_path / "results.json")
    monkeypatch.setattr(report, "PLOTS", tmp_path / "plots")
    report.write_report({"create": Measured(MS, MS)})
    report.write_report({"suspend": Measured(MS, MS), "restart_1000": Measured(MS), "restart_10000": Measured(MS)})
    assert set(json.loads((tmp_path / "results.json").read_text())) == {
        "create",
        "suspend",
        "restart_1000",
        "restart_10000",
    }
    text = page.read_text()
    assert "OBSOLETE" not in text
    assert text.endswith("More.\n")
    assert text.count("1.00") == 2
    first = (tmp_path / "plots" / "ratios.svg").read_bytes()
    report.write_report({"create": Measured(MS, MS)})
    assert (tmp_path / "plots" / "ratios.svg").read_bytes() == first, "the same figures make the same file"
    assert (tmp_path / "plots" / "starts.svg").exists()


# ── what is committed ──


def test_page_is_made_of_the_results() -> None:
    results = json.loads(report.RESULTS.read_text())
    known = {name: report.read(result) for name, result in results.items()}
    assert report.table(known) in report.PAGE.read_text()
    assert set(GOALS) <= set(known), "each case has been run"


def test_each_plot_of_the_page_is_there() -> None:
    plots = re.findall(r"\]\((performance/\w+\.svg)\)", report.PAGE.read_text())
    assert plots
    assert all((ROOT / "docs" / plot).exists() for plot in plots)


def test_map_names_each_file() -> None:
    folder = ROOT / "bench"
    named = set(re.findall(r"^(\w+\.py) ", (folder / "__init__.py").read_text(), re.MULTILINE))
    assert named == {path.name for path in folder.glob("*.py") if not path.name.startswith("__")}
    assert CASES
