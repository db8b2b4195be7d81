"""The dashboard: each panel asks for what is measured, and all that is measured has a panel."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from devkit.helm import CHART

from .conftest import Renderer
from .promql import SERIES, VALUES, find_unknown, selectors

DASHBOARD = json.loads((CHART / "dashboards" / "mageflow.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}

OF_KUBELETS = ("container_cpu_usage_seconds_total", "container_memory_working_set_bytes")
OF_OTHERS = {"ALERTS", *OF_KUBELETS}
"""Series that Prometheus and the kubelets make."""


def fill_in(expression: str) -> str:
    """Put something in the places of Grafana's variables."""
    values = {"__rate_interval": "5m", **dict.fromkeys(VARIABLES, ".*")}
    return re.sub(r"\$(\w+)", lambda match: values[match[1]], expression)


def expressions(panel: dict[str, Any]) -> list[str]:
    return [fill_in(target["expr"]) for target in panel["targets"]]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_asks_only_for_what_is_measured(panel: dict[str, Any]) -> None:
    assert expressions(panel)
    for expression in expressions(panel):
        assert find_unknown(expression, OF_OTHERS) == []


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_legend_names_labels_that_are_left(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        kept = {
            name.strip() for names in re.findall(r"by \(([^)]*)\)", target["expr"])[:1] for name in names.split(",")
        }
        if "{{job}}" not in target["legendFormat"]:
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= kept


def test_every_panel_shows_something(promtool: Path, tmp_path: Path) -> None:
    """When there is one of all that is measured, and of what the kubelets measure."""
    scraped = 'job="x", namespace="y", pod="z"'
    series = [f"{name}{{{', '.join([scraped, *labels])}}}" for name, labels in everything()]
    series += [f'{name}{{namespace="y", pod="z", container="operator"}}' for name in OF_KUBELETS]
    queries = [expression for panel in PANELS for expression in expressions(panel)]
    test = {
        "interval": "30s",
        "input_series": [{"series": one, "values": "1+1x60"} for one in series],
        "promql_expr_test": [
            {
                "expr": f"count({query}) > bool 0",
                "eval_time": "20m",
                "exp_samples": [{"labels": "{}", "value": 1}],
            }
            for query in queries
        ],
    }
    path = tmp_path / "test.yaml"
    path.write_text(json.dumps({"evaluation_interval": "30s", "tests": [test]}))
    done = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def everything() -> Iterator[tuple[str, list[str]]]:
    """Yield each series that the operator may serve, with its labels."""
    for name, labels in SERIES.items():
        values = {**VALUES, "le": ("0.1", "1", "+Inf")}
        for combination in product(*(values[label] for label in sorted(labels))):
            yield name, [f'{label}="{value}"' for label, value in zip(sorted(labels), combination, strict=True)]


def test_all_that_is_measured_has_a_panel() -> None:
    asked = {
        selector.name for panel in PANELS for expression in expressions(panel) for selector in selectors(expression)
    }
    unseen = {name for name in SERIES if not name.endswith(("_count", "_sum"))} - asked
    assert unseen == set()


def test_panels_have_numbers_of_their_own_and_do_not_overlap() -> None:
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    cells = [
        (x, y)
        for panel in DASHBOARD["panels"]
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_every_panel_says_what_it_shows() -> None:
    assert all(panel["description"] for panel in PANELS)
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)


def test_it_takes_the_data_source_that_is_chosen() -> None:
    assert VARIABLES["datasource"]["type"] == "datasource"
    variables = [variable for variable in VARIABLES.values() if variable["type"] == "query"]
    targets = [target for panel in PANELS for target in panel["targets"]]
    for one in (*PANELS, *targets, *variables, *DASHBOARD["annotations"]["list"]):
        assert one["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


def test_its_variables_and_its_alerts_are_found_in_what_is_measured() -> None:
    queries = [variable["query"]["query"] for variable in VARIABLES.values() if variable["type"] == "query"]
    asked = [re.fullmatch(r"label_values\((.*), (\w+)\)", query) for query in queries]
    for match in asked:
        assert match is not None
        assert find_unknown(fill_in(match[1])) == []
    for annotation in DASHBOARD["annotations"]["list"]:
        assert find_unknown(fill_in(annotation["expr"]), OF_OTHERS) == []


def test_helm_leaves_it_as_it_is(helm: Renderer) -> None:
    config = helm.template({"crds.install": False, "dashboard.enabled": True}).find("ConfigMap", "mageflow-dashboard")
    assert json.loads(config["data"]["mageflow.json"]) == DASHBOARD
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
