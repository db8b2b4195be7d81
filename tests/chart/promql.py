"""Whether queries in PromQL ask for what the operator measures: its metrics, their labels and the labels' values."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import promql_parser
from prometheus_client.metrics import MetricWrapperBase

from mageflow.api import KINDS, Lifecycle, Phase
from mageflow.controller import metrics
from mageflow.core.run_result import Ending

SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}

OF_SCRAPING = frozenset({"job", "namespace", "pod", "instance"})
"""Labels that Prometheus adds."""

VALUES: Mapping[str, Collection[str]] = {
    "kind": {kind.name for kind in KINDS},
    "phase": {"", *Phase},
    "lifecycle": set(Lifecycle),
    "outcome": {ending.value for ending in Ending},
    "reason": {"Changed", "ApiError", "Internal"},
    "verb": {"GET", "POST", "PUT", "PATCH", "DELETE"},
    "code": {"0", *(str(code) for code in (200, 201, 401, 403, 404, 409, 422, 429, 500, 503, 504))},
    "resource": {"jobs", "pods", "namespaces", *(kind.plural for kind in KINDS)},
}
"""What each label may say."""


def labels_of_series() -> dict[str, frozenset[str]]:
    """Return the labels of each series that the operator serves, by its name."""
    found = {metrics.RESOURCES_NAME: frozenset(metrics.RESOURCES_LABELS)}
    for measured in vars(metrics).values():
        if isinstance(measured, MetricWrapperBase):
            for metric in measured.describe():
                for suffix in SUFFIXES[metric.type]:
                    more = {"le"} if suffix == "_bucket" else set()
                    found[f"{metric.name}{suffix}"] = frozenset(measured._labelnames) | more
    return found


SERIES = labels_of_series()


def selectors(expression: str) -> list[promql_parser.VectorSelector]:
    """Parse a query, and return all of it that asks for a series; raise ValueError if it is wrong."""
    found: list[promql_parser.VectorSelector] = []

    def visit(node: Any) -> bool:
        if isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)
            return True
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(expression), visit)
    return list({id(one): one for one in found}.values())


def find_unknown(expression: str, others: Collection[str] = ()) -> list[str]:
    """Tell what a query asks for that the operator doesn't serve; `others` are series that somebody else does."""
    return [problem for selector in selectors(expression) for problem in _problems(selector, others)]


def _problems(selector: promql_parser.VectorSelector, others: Collection[str]) -> Iterator[str]:
    name = selector.name or ""
    if name in others:
        return
    if name not in SERIES:
        yield f"{name} isn't measured"
        return
    for matcher in selector.matchers.matchers:
        if matcher.name in OF_SCRAPING:
            continue
        if matcher.name not in SERIES[name]:
            yield f"{name} has no label {matcher.name}"
        elif matcher.name in VALUES and not _can_match(matcher):
            yield f"{matcher.name} of {name} is never {matcher.value}"


def _can_match(matcher: promql_parser.Matcher) -> bool:
    """Tell whether there is a value for a matcher; each alternative of one in a simple pattern must have its own."""
    alternatives = matcher.value.split("|") if matcher.op == promql_parser.MatchOp.Re else [re.escape(matcher.value)]
    return all(any(re.fullmatch(one, value) for value in VALUES[matcher.name]) for one in alternatives)
