"""The alerts: Prometheus sees each fire when it should, and only then; each has its place in docs/runbooks.md."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from devkit.patience import PATIENCE

from .conftest import NAMESPACE, Manifest, Renderer
from .promql import find_unknown
from .scenarios import SCENARIOS, Scenario

RUNBOOKS = Path(__file__).parents[2] / "docs" / "runbooks.md"
JOB = f"{NAMESPACE}/mageflow"
VALUES = {
    "crds.install": False,
    "prometheusRule.enabled": True,
    "prometheusRule.runbookBaseUrl": "https://example.com/docs",
}


@pytest.fixture(scope="module")
def rules(helm_4: Renderer) -> dict[str, Manifest]:
    return render(helm_4)


def render(helm: Renderer) -> dict[str, Manifest]:
    groups = helm.template(VALUES).find("PrometheusRule")["spec"]["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


@pytest.fixture(scope="module")
def rule_file(rules: dict[str, Manifest], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "mageflow", "rules": list(rules.values())}]}))
    return path


def run(promtool: Path, *arguments: str | Path) -> None:
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False, timeout=PATIENCE)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def fill_in(text: str, scenario: Scenario) -> str:
    """Put what a scenario says in the places of a text, as in {{ $value | humanize }}."""
    words = {**{f"$labels.{name}": value for name, value in scenario.labels.items()}}
    words |= {f"${name}": value for name, value in scenario.says.items()}
    return re.sub(r"\{\{ (\S+)(?: \| \w+)? \}\}", lambda match: words[match[1]], text)


def name_series(metric: str, labels: str) -> str:
    """Add the labels that Prometheus gives to what it scrapes."""
    namespace = "" if "namespace=" in labels else f'namespace="{NAMESPACE}", '
    return f'{metric}{{job="{JOB}", {namespace}{labels}}}'


def times(scenario: Scenario) -> list[str]:
    """Return when to look: once if it is to fire, else all the while."""
    if scenario.fires:
        return [scenario.at]
    minutes = int(scenario.at[:-1]) * {"m": 1, "h": 60}[scenario.at[-1]]
    return [f"{number * 30}s" for number in range(1, 2 * minutes + 1)]


def expect(scenario: Scenario, rule: Manifest) -> list[dict[str, Any]]:
    if not scenario.fires:
        return []
    annotations = {name: fill_in(text, scenario) for name, text in rule["annotations"].items()}
    return [{"exp_labels": {**rule["labels"], **scenario.labels}, "exp_annotations": annotations}]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda it: f"{it.alert}: {it.name}")
def test_it_fires_when_it_should_and_only_then(
    promtool: Path, rules: dict[str, Manifest], rule_file: Path, tmp_path: Path, scenario: Scenario
) -> None:
    series = {name_series(name, labels): values for (name, labels), values in scenario.series.items()}
    test = {
        "interval": "30s",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": time, "alertname": scenario.alert, "exp_alerts": expect(scenario, rules[scenario.alert])}
            for time in times(scenario)
        ],
    }
    path = tmp_path / "test.yaml"
    path.write_text(json.dumps({"rule_files": [str(rule_file)], "evaluation_interval": "30s", "tests": [test]}))
    run(promtool, "test", "rules", path)


def test_each_helm_renders_the_same(helm: Renderer, rules: dict[str, Manifest]) -> None:
    assert render(helm) == rules


def test_each_alert_is_seen_to_fire_and_to_keep_silent(rules: dict[str, Manifest]) -> None:
    for fires in (True, False):
        assert {scenario.alert for scenario in SCENARIOS if scenario.fires is fires} == set(rules)


def test_prometheus_finds_nothing_wrong(promtool: Path, rule_file: Path) -> None:
    run(promtool, "check", "rules", "--lint=all", "--lint-fatal", rule_file)


def test_they_ask_only_for_what_is_measured(rules: dict[str, Manifest]) -> None:
    for name, rule in rules.items():
        assert find_unknown(rule["expr"]) == [], name


def test_they_ask_only_for_the_operator_of_the_release(helm: Renderer) -> None:
    spec = helm.template({**VALUES, "fullnameOverride": "other"}).find("PrometheusRule", "other")["spec"]
    for rule in spec["groups"][0]["rules"]:
        selectors = re.findall(r"\w+\{(.*?)\}", rule["expr"])
        assert selectors
        for selector in selectors:
            assert selector.strip().startswith(f'job="{NAMESPACE}/other", namespace="{NAMESPACE}"')


def test_each_says_how_bad_it_is_and_what_to_do(rules: dict[str, Manifest]) -> None:
    for name, rule in rules.items():
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
        assert rule["annotations"]["runbook_url"] == f"https://example.com/docs/runbooks.md#{name.lower()}"


def test_each_has_a_page_in_the_runbooks_and_no_page_is_left_over(rules: dict[str, Manifest]) -> None:
    headings = re.findall(r"^## (MageFlow\w+)$", RUNBOOKS.read_text(), re.MULTILINE)
    assert headings == list(rules)


def test_watches_may_be_as_many_as_there_are_namespaces(helm: Renderer) -> None:
    for count, most in ((0, 20), (1, 20), (10, 200)):
        namespaces = [f"team-{number}" for number in range(count)]
        spec = helm.template({**VALUES, "watchNamespaces": namespaces}).find("PrometheusRule")["spec"]
        expr = next(rule["expr"] for rule in spec["groups"][0]["rules"] if rule["alert"] == "MageFlowWatchesBreak")
        assert expr.endswith(f"> {most}")
