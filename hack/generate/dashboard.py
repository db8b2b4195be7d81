"""The chart's dashboard for Grafana: helm/mageflow/dashboards/mageflow.json.

https://grafana.com/docs/grafana/latest/dashboards/build-dashboards/view-dashboard-json-model/
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from string import ascii_uppercase
from typing import Any

from mageflow.api import Phase

_WIDTH = 24
_DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

_OF = 'job=~"$job", namespace=~"$namespace"'
"""The operators that are looked at: without a namespace label in Prometheus, `All` still finds them."""

_OF_KIND = f'{_OF}, kind=~"$kind"'

_IN_FORCE_LATE = f"{Phase.SUSPENDING}|{Phase.INTERRUPTING}"
_HELD = f"{Phase.SUSPENDED}|{Phase.INTERRUPTED}"

_ANY = ((None, "blue"),)
_JUST_ONE = ((None, "red"), (1, "green"), (2, "red"))


@dataclass(frozen=True)
class Query:
    """A query in PromQL, and what its lines are called."""

    expr: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """One panel: `size` is its width of 24 columns, and its height."""

    title: str
    queries: tuple[Query, ...]
    description: str
    unit: str = "short"
    size: tuple[int, int] = (12, 8)
    type: str = "timeseries"
    defaults: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """Panels under a heading."""

    title: str
    panels: tuple[Panel, ...]


_STACKED = {"custom": {"fillOpacity": 30, "lineWidth": 1, "stacking": {"mode": "normal", "group": "A"}}, "min": 0}
_LINES = {"custom": {"fillOpacity": 5, "lineWidth": 1}, "min": 0}
_LOGARITHMIC = {"custom": {"lineWidth": 1, "scaleDistribution": {"type": "log", "log": 10}}}
_TABLE_LEGEND = {
    "legend": {"showLegend": True, "displayMode": "table", "placement": "right", "calcs": ["lastNotNull", "max"]},
    "tooltip": {"mode": "multi", "sort": "desc"},
}


def _resources(phases: str) -> str:
    """Count resources in these phases: every replica tells of all of them."""
    return f'max by (job, kind, phase) (mageflow_resources{{{_OF_KIND}, phase=~"{phases}"}})'


def _quantile(quantile: float, name: str, label: str, selector: str) -> str:
    rate = f"rate({name}_bucket{{{selector}}}[$__rate_interval])"
    return f"histogram_quantile({quantile}, sum by ({label}, le) ({rate}))"


def _quantiles(name: str, label: str, selector: str = _OF) -> tuple[Query, ...]:
    return tuple(
        Query(_quantile(quantile, name, label, selector), f"{{{{{label}}}}}, {words}")
        for quantile, words in ((0.5, "half within"), (0.99, "99 % within"))
    )


def _rate(name: str, labels: str, selector: str = _OF, factor: str = "") -> str:
    return f"sum by ({labels}) (rate({name}{{{selector}}}[$__rate_interval])){factor}"


def _of_container(value: str) -> str:
    """Choose the operator's containers among all that the kubelets measure."""
    return f"sum by (pod) ({value} and on (namespace, pod) mageflow_is_leader{{{_OF}}})"


def _stat(title: str, expr: str, description: str, colours: Iterable[tuple[int | None, str]] = _ANY) -> Panel:
    """Make a panel of one number; `colours` by the least value that each is for."""
    steps = [{"color": colour, "value": least} for least, colour in colours]
    return Panel(
        title,
        (Query(expr, "{{job}}"),),
        description,
        size=(4, 4),
        type="stat",
        defaults={"thresholds": {"mode": "absolute", "steps": steps}, "noValue": "-"},
        options={
            "colorMode": "value",
            "graphMode": "area",
            "reduceOptions": {"calcs": ["lastNotNull"], "values": False},
        },
    )


_NOW = Row(
    "Now",
    (
        _stat("Leaders", f"sum by (job) (mageflow_is_leader{{{_OF}}})", "Of each operator, one replica.", _JUST_ONE),
        _stat("Replicas", f"count(mageflow_is_leader{{{_OF}}})", "Replicas that answer; all but one stand by."),
        _stat("Active", f"sum({_resources(Phase.ACTIVE)})", "Resources of which a task has started."),
        _stat("Held", f"sum({_resources(_HELD)})", "Suspended or Interrupted: nothing of them runs."),
        _stat("Being stopped", f"sum({_resources(_IN_FORCE_LATE)})", "Suspending or Interrupting: pods still run."),
        _stat("Waiting", f"sum(mageflow_queue_depth{{{_OF}}})", "Resources that the operator has yet to look at."),
    ),
)

_USERS = Row(
    "What users have",
    (
        Panel(
            "Resources by phase",
            (
                Query(f"sum by (phase) ({_resources('.+')})", "{{phase}}"),
                Query(f"sum({_resources('')})", "yet to be seen to"),
            ),
            "Workflows, Chains and Swarms, ended ones too for as long as they are there.",
            defaults=_STACKED,
            options=_TABLE_LEGEND,
        ),
        Panel(
            "Being stopped, by kind",
            (Query(f"sum by (kind, phase) ({_resources(_IN_FORCE_LATE)}) > 0", "{{kind}} {{phase}}"),),
            "A Chain or Swarm is Suspending for as long as its running tasks take. A Workflow that is, or anything that"
            " is Interrupting, for long: its pods don't go.",
            defaults=_LINES,
            options=_TABLE_LEGEND,
        ),
        Panel(
            "Time until a lifecycle is in force",
            _quantiles("mageflow_transition_seconds", "lifecycle", _OF_KIND),
            "From when the spec was seen until what it asks was so; a suspend waits for tasks that run. Only of those"
            " that came to an end of it.",
            unit="s",
            defaults=_LOGARITHMIC,
            options=_TABLE_LEGEND,
        ),
        Panel(
            "Runs that ended, a minute",
            (Query(_rate("mageflow_runs_total", "outcome", _OF_KIND, " * 60"), "{{outcome}}"),),
            "By how they ended. Of these, only `failed` counts against the task.",
            defaults=_STACKED,
            options=_TABLE_LEGEND,
        ),
    ),
)

_OPERATOR = Row(
    "The operator",
    (
        Panel(
            "Who leads",
            (Query(f"max by (pod) (mageflow_is_leader{{{_OF}}})", "{{pod}}"),),
            "The replica that holds the Lease.",
            type="state-timeline",
            defaults={
                "mappings": [
                    {"type": "value", "options": {"0": {"text": "stands by", "color": "text"}}},
                    {"type": "value", "options": {"1": {"text": "leads", "color": "green"}}},
                ]
            },
            options={"showValue": "never", "mergeValues": True},
        ),
        Panel(
            "Queue: resources that wait",
            (Query(f"sum by (pod) (mageflow_queue_depth{{{_OF}}})", "{{pod}}"),),
            "Resources that wait to be reconciled, or are being reconciled.",
            defaults=_LINES,
        ),
        Panel(
            "Queue: the oldest",
            (Query(f"max by (pod) (mageflow_queue_oldest_seconds{{{_OF}}})", "{{pod}}"),),
            "For how long the oldest of them has waited. If nothing is finished for a minute, the liveness probe ends"
            " the operator.",
            unit="s",
            defaults=_LINES,
        ),
        Panel(
            "One reconcile",
            _quantiles("mageflow_reconcile_seconds", "kind"),
            "How long it takes to look at one resource and to do what is to be done.",
            unit="s",
            defaults=_LOGARITHMIC,
            options=_TABLE_LEGEND,
        ),
        Panel(
            "Reconciles that are tried again, a second",
            (Query(_rate("mageflow_reconcile_errors_total", "reason"), "{{reason}}"),),
            "Changed is usual: somebody wrote at the same time. Internal is a bug.",
            defaults=_LINES,
        ),
        Panel(
            "Requests to the API server, a second",
            (Query(_rate("mageflow_api_requests_total", "verb, code"), "{{verb}} {{code}}"),),
            "By method and status. 404 and 409 are usual; 0 is no answer, 403 a right that is lacking or a quota.",
            defaults=_LINES,
            options=_TABLE_LEGEND,
        ),
        Panel(
            "One request to the API server",
            _quantiles("mageflow_api_request_seconds", "verb"),
            "Without watches.",
            unit="s",
            defaults=_LOGARITHMIC,
            options=_TABLE_LEGEND,
        ),
        Panel(
            "Watches made in 15 minutes",
            (Query(f"max by (resource) (increase(mageflow_watch_starts_total{{{_OF}}}[15m]))", "{{resource}}"),),
            "About four are usual, for each namespace if some are named. More: they break.",
            defaults=_LINES,
        ),
    ),
)

_PROCESS = Row(
    "Its pods, as the kubelets measure them",
    (
        Panel(
            "CPU",
            (
                Query(
                    _of_container('rate(container_cpu_usage_seconds_total{container="operator"}[$__rate_interval])'),
                    "{{pod}}",
                ),
            ),
            "In cores. Needs the metrics of kubelets (cAdvisor) in the same Prometheus.",
            defaults=_LINES,
        ),
        Panel(
            "Memory",
            (Query(_of_container('container_memory_working_set_bytes{container="operator"}'), "{{pod}}"),),
            "What counts against the limit. Needs the metrics of kubelets (cAdvisor) in the same Prometheus.",
            unit="bytes",
            defaults=_LINES,
        ),
    ),
)

ROWS = (_NOW, _USERS, _OPERATOR, _PROCESS)


def build_dashboard() -> str:
    """Return the dashboard as JSON."""
    document = {
        "uid": "mageflow-operator",
        "title": "MageFlow operator",
        "description": "Written by `make generate` from hack/generate/dashboard.py. The metrics: docs/metrics.md",
        "tags": ["kubernetes", "mageflow"],
        "schemaVersion": 39,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": list(_variables())},
        "annotations": {"list": [_alerts()]},
        "panels": list(_place(ROWS)),
    }
    return json.dumps(document, indent=2) + "\n"


def _variables() -> Iterator[dict[str, Any]]:
    yield {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
    yield _variable("namespace", "label_values(mageflow_is_leader, namespace)")
    yield _variable("job", 'label_values(mageflow_is_leader{namespace=~"$namespace"}, job)')
    yield _variable("kind", 'label_values(mageflow_resources{job=~"$job"}, kind)')


def _variable(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": _DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _alerts() -> dict[str, Any]:
    return {
        "name": "Alerts",
        "datasource": _DATASOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertname=~"MageFlow.+", alertstate="firing", job=~"$job"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{severity}}",
    }


def _place(rows: Iterable[Row]) -> Iterator[dict[str, Any]]:
    """Set the panels beside each other, as many as fit, and number them."""
    number = y = 0
    for row in rows:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": {"h": 1, "w": _WIDTH, "x": 0, "y": y},
            "panels": [],
        }
        y += 1
        x = height = 0
        for panel in row.panels:
            number += 1
            if x + panel.size[0] > _WIDTH:
                x, y = 0, y + height
            height = panel.size[1]
            yield _render(panel, number, x, y)
            x += panel.size[0]
        y += height


def _render(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    width, height = panel.size
    return {
        "id": number,
        "type": panel.type,
        "title": panel.title,
        "description": panel.description,
        "datasource": _DATASOURCE,
        "gridPos": {"h": height, "w": width, "x": x, "y": y},
        "fieldConfig": {"defaults": {"unit": panel.unit, **panel.defaults}, "overrides": []},
        "options": panel.options,
        "targets": [
            {
                "refId": letter,
                "datasource": _DATASOURCE,
                "expr": query.expr,
                "legendFormat": query.legend,
            }
            for letter, query in zip(ascii_uppercase, panel.queries, strict=False)
        ],
    }
