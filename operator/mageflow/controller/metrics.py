"""Metrics for Prometheus: their names, labels and meanings, in base units. docs/metrics.md is generated from here.

No label has a resource's name: the number of series doesn't grow with the number of resources.
https://prometheus.io/docs/practices/naming/
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from mageflow.api import KINDS
from mageflow.core.run_result import Ending

REGISTRY: Final = CollectorRegistry()

ProcessCollector(registry=REGISTRY)

TRANSITION_SECONDS: Final = Histogram(
    "mageflow_transition_seconds",
    "Time from when a spec, or a namespace's label, was seen until what it asks was in force, by lifecycle.",
    ("kind", "lifecycle"),
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200),
    registry=REGISTRY,
)
RUNS: Final = Counter(
    "mageflow_runs",
    "Runs of tasks that have ended, by how they ended: of these only a failure counts against the task.",
    ("kind", "outcome"),
    registry=REGISTRY,
)
RECONCILE_SECONDS: Final = Histogram(
    "mageflow_reconcile_seconds",
    "Time that one reconcile of one resource took.",
    ("kind",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
    registry=REGISTRY,
)


class ReconcileError(StrEnum):
    """Why a reconcile is tried again."""

    CHANGED = "Changed"
    """A write met an object that somebody else had changed, or that was gone."""
    API_ERROR = "ApiError"
    """The API server refused a request, or didn't answer."""
    INTERNAL = "Internal"
    """A bug."""


RECONCILE_ERRORS: Final = Counter(
    "mageflow_reconcile_errors",
    "Reconciles that are tried again: a write found its object Changed, an ApiError, or an Internal error, a bug.",
    ("reason",),
    registry=REGISTRY,
)
QUEUE_DEPTH: Final = Gauge(
    "mageflow_queue_depth", "Resources that wait to be reconciled, or are being reconciled.", registry=REGISTRY
)
QUEUE_OLDEST_SECONDS: Final = Gauge(
    "mageflow_queue_oldest_seconds", "For how long the oldest of them has waited.", registry=REGISTRY
)
API_REQUESTS: Final = Counter(
    "mageflow_api_requests",
    "Requests to the API server without watches, by method and by HTTP status; 0 if there was no answer.",
    ("verb", "code"),
    registry=REGISTRY,
)
API_REQUEST_SECONDS: Final = Histogram(
    "mageflow_api_request_seconds",
    "Time that requests to the API server took, without watches.",
    ("verb",),
    registry=REGISTRY,
)
WATCH_STARTS: Final = Counter(
    "mageflow_watch_starts",
    "Watches made: each is made anew every few minutes, and when it breaks.",
    ("resource",),
    registry=REGISTRY,
)
IS_LEADER: Final = Gauge("mageflow_is_leader", "1 if this operator acts, 0 if another does.", registry=REGISTRY)

RESOURCES_NAME: Final = "mageflow_resources"
RESOURCES_HELP: Final = "Resources by kind and phase; the phase of one that the operator has yet to see to is empty."
RESOURCES_LABELS: Final = ("kind", "phase")

# A counter that isn't there until it counts hides its first increment from `increase()`.
for _kind in KINDS:
    for _ending in Ending:
        RUNS.labels(_kind.name, _ending.value)
for _reason in ReconcileError:
    RECONCILE_ERRORS.labels(_reason)
