"""What Prometheus sees, and whether an alert is to fire. A sample comes each 30 seconds.

The values are in promtool's notation: `1x3` is 1 1 1 1, `0+5x3` is 0 5 10 15, `_` is no sample, `stale` a target gone.
https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/#series
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

A = 'pod="a"'
B = 'pod="b"'
OTHER = 'namespace="other", pod="c"'
"""A pod of another release, which the same job scrapes."""

LEADER = "mageflow_is_leader"
OLDEST = "mageflow_queue_oldest_seconds"
ERRORS = "mageflow_reconcile_errors_total"
REQUESTS = "mageflow_api_requests_total"
WATCHES = "mageflow_watch_starts_total"
RESOURCES = "mageflow_resources"
RUNS = "mageflow_runs_total"


@dataclass(frozen=True)
class Scenario:
    """A course of events, and what an alert makes of it at a time."""

    name: str
    alert: str
    series: Mapping[tuple[str, str], str]
    """The values of each metric with labels; `job` is left out, and so is `namespace` if it is the release's."""
    at: str
    """When it fires, or until when it keeps silent."""
    fires: bool
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels that the alert has from its expression."""
    says: Mapping[str, str] = field(default_factory=dict)
    """What is put in the places of the texts."""


def repeat(values: str, times: int) -> str:
    return " ".join([values] * times)


def steps(length: int, count: int) -> str:
    """Write a counter that moves once in so many samples."""
    return " ".join(f"{number}x{length - 1}" for number in range(count))


def fires(
    alert: str,
    name: str,
    series: Mapping[tuple[str, str], str],
    at: str,
    labels: Mapping[str, str] | None = None,
    **says: str,
) -> Scenario:
    return Scenario(name, alert, series, at, True, labels or {}, says)


def keeps_silent(alert: str, name: str, series: Mapping[tuple[str, str], str], at: str) -> Scenario:
    return Scenario(name, alert, series, at, False)


SCENARIOS = (
    fires("MageFlowDown", "all replicas stop", {(LEADER, A): "1x20 stale", (LEADER, B): "0x20 stale"}, "20m"),
    fires("MageFlowDown", "nothing was ever scraped", {}, "10m"),
    fires(
        "MageFlowDown",
        "both crash in a loop",
        {(LEADER, A): repeat("0 stale _x7", 6), (LEADER, B): repeat("0 stale _x7", 6)},
        "20m",
    ),
    fires("MageFlowDown", "the only one crashes in a loop", {(LEADER, A): repeat("0 stale _x7", 6)}, "20m"),
    fires(
        "MageFlowDown",
        "another release of the same job is well",
        {(LEADER, A): "1x20 stale", (LEADER, OTHER): "1x60"},
        "20m",
    ),
    keeps_silent(
        "MageFlowDown", "two releases are scraped by one job", {(LEADER, A): "1x60", (LEADER, OTHER): "1x60"}, "25m"
    ),
    keeps_silent("MageFlowDown", "one of two is down", {(LEADER, A): "1x60"}, "25m"),
    keeps_silent("MageFlowDown", "a new release of one replica is seen after 90 s", {(LEADER, A): "_x3 1x60"}, "25m"),
    keeps_silent(
        "MageFlowDown",
        "a new release of two replicas is seen after 2 min",
        {(LEADER, A): "_x4 1x60", (LEADER, B): "_x4 0x60"},
        "25m",
    ),
    keeps_silent(
        "MageFlowDown", "an upgrade replaces it", {(LEADER, A): "1x20 stale", (LEADER, B): "_x20 1x40"}, "15m"
    ),
    keeps_silent(
        "MageFlowDown",
        "both are away for two minutes",
        {(LEADER, A): "1x20 stale _x2 1x40", (LEADER, B): "0x20 stale _x2 0x40"},
        "14m",
    ),
    fires("MageFlowNoLeader", "the Lease can't be renewed", {(LEADER, A): "1x20 0x40", (LEADER, B): "0x60"}, "20m"),
    fires("MageFlowNoLeader", "nobody ever got it", {(LEADER, A): "0x60", (LEADER, B): "0x60"}, "10m"),
    fires(
        "MageFlowNoLeader",
        "another release of the same job has one",
        {(LEADER, A): "0x60", (LEADER, OTHER): "1x60"},
        "10m",
    ),
    keeps_silent(
        "MageFlowNoLeader", "the other takes over", {(LEADER, A): "1x20 0x40", (LEADER, B): "0x20 1x40"}, "20m"
    ),
    keeps_silent("MageFlowNoLeader", "nothing is scraped: another alert", {}, "20m"),
    fires("MageFlowSeveralLeaders", "both act", {(LEADER, A): "1x60", (LEADER, B): "1x60"}, "10m", value="2"),
    keeps_silent(
        "MageFlowSeveralLeaders",
        "two releases are scraped by one job",
        {(LEADER, A): "1x60", (LEADER, OTHER): "1x60"},
        "25m",
    ),
    keeps_silent(
        "MageFlowSeveralLeaders",
        "one was scraped before it handed over",
        {(LEADER, A): "1x20 0x40", (LEADER, B): "0x18 1x41"},
        "10m",
    ),
    fires(
        "MageFlowQueueStuck",
        "one resource hangs",
        {(OLDEST, A): repeat("0+30x3", 15), (OLDEST, B): "0x60"},
        "25m",
        value="45s",
    ),
    fires(
        "MageFlowQueueStuck",
        "it hangs whoever leads",
        {(OLDEST, A): repeat("0 0 0 0 0+30x3", 8), (OLDEST, B): repeat("0+30x3 0 0 0 0", 8)},
        "25m",
        value="45s",
    ),
    fires("MageFlowQueueStuck", "it is behind", {(OLDEST, A): "40x60"}, "20m", value="40s"),
    keeps_silent("MageFlowQueueStuck", "one request hung", {(OLDEST, A): "0x20 0+30x3 0x40"}, "14m"),
    keeps_silent("MageFlowQueueStuck", "it is busy", {(OLDEST, A): "5x60"}, "25m"),
    fires(
        "MageFlowInternalErrors",
        "a resource fails again and again",
        {(ERRORS, 'reason="Internal"'): "_x10 4+1x60"},
        "30m",
        value="30",
    ),
    keeps_silent(
        "MageFlowInternalErrors", "a second try mends it", {(ERRORS, 'reason="Internal"'): "0x10 1x60"}, "12m"
    ),
    keeps_silent(
        "MageFlowInternalErrors", "others write at the same time", {(ERRORS, 'reason="Changed"'): "0+9x60"}, "25m"
    ),
    fires(
        "MageFlowApiErrors",
        "one request in ten fails",
        {(REQUESTS, 'verb="PUT", code="500"'): "0+10x60", (REQUESTS, 'verb="PUT", code="200"'): "0+90x60"},
        "20m",
        {"verb": "PUT"},
        value="10%",
    ),
    fires(
        "MageFlowApiErrors",
        "there is no answer",
        {(REQUESTS, 'verb="GET", code="0"'): "_x10 1+5x60"},
        "25m",
        {"verb": "GET"},
        value="100%",
    ),
    fires(
        "MageFlowApiErrors",
        "a webhook fails for the Job of one resource, among hundreds of requests for the Lease",
        {
            (REQUESTS, 'verb="POST", code="500"'): steps(2, 30),
            (REQUESTS, 'verb="GET", code="200"'): "0+60x60",
            (REQUESTS, 'verb="PUT", code="200"'): "0+30x60",
        },
        "25m",
        {"verb": "POST"},
        value="100%",
    ),
    keeps_silent(
        "MageFlowApiErrors",
        "what is usual",
        {(REQUESTS, f'verb="PUT", code="{code}"'): "0+50x60" for code in (200, 404, 409, 429)},
        "25m",
    ),
    keeps_silent(
        "MageFlowApiErrors",
        "the API server is restarted",
        {
            (REQUESTS, 'verb="GET", code="0"'): "0x20 0+5x4 20x60",
            (REQUESTS, 'verb="GET", code="200"'): "0+90x20 1800x4 1800+90x60",
        },
        "15m",
    ),
    fires(
        "MageFlowForbidden",
        "a right is lacking",
        {(REQUESTS, 'verb="POST", code="403"'): "_x10 1+1x100"},
        "40m",
        {"verb": "POST", "code": "403"},
    ),
    fires(
        "MageFlowForbidden",
        "a quota refuses what is tried each minute",
        {(REQUESTS, 'verb="POST", code="403"'): steps(2, 50)},
        "40m",
        {"verb": "POST", "code": "403"},
    ),
    keeps_silent("MageFlowForbidden", "one was refused", {(REQUESTS, 'verb="POST", code="403"'): "0x10 1x100"}, "50m"),
    keeps_silent(
        "MageFlowForbidden",
        "a quota refuses two, 7.5 minutes apart",
        {(REQUESTS, 'verb="POST", code="403"'): "0x10 1x14 2x100"},
        "50m",
    ),
    keeps_silent(
        "MageFlowForbidden",
        "a quota refuses one now and then",
        {(REQUESTS, 'verb="POST", code="403"'): steps(5, 24)},
        "55m",
    ),
    fires(
        "MageFlowWatchesBreak",
        "each lasts half a minute",
        {(WATCHES, f'{A}, resource="pods"'): "0+1x120", (WATCHES, f'{B}, resource="pods"'): steps(8, 15)},
        "45m",
        {"resource": "pods"},
        value="30",
    ),
    keeps_silent(
        "MageFlowWatchesBreak", "each lasts four minutes", {(WATCHES, f'{A}, resource="pods"'): steps(8, 15)}, "55m"
    ),
    fires(
        "MageFlowStopPending",
        "a node doesn't answer",
        {(RESOURCES, f'{pod}, kind="Chain", phase="Interrupting"'): "0x10 2x110" for pod in (A, B)},
        "50m",
        {"kind": "Chain", "phase": "Interrupting"},
        value="2",
    ),
    fires(
        "MageFlowStopPending",
        "a Workflow's pending pod doesn't go",
        {(RESOURCES, f'{A}, kind="Workflow", phase="Suspending"'): "1x120"},
        "40m",
        {"kind": "Workflow", "phase": "Suspending"},
        value="1",
    ),
    fires(
        "MageFlowStopPending",
        "and the operator is upgraded meanwhile",
        {
            (RESOURCES, f'{A}, kind="Swarm", phase="Interrupting"'): "1x40 stale",
            (RESOURCES, f'{B}, kind="Swarm", phase="Interrupting"'): "_x39 1x80",
        },
        "40m",
        {"kind": "Swarm", "phase": "Interrupting"},
        value="1",
    ),
    keeps_silent(
        "MageFlowStopPending",
        "a suspended Chain's task takes hours",
        {
            (RESOURCES, f'{A}, kind="Chain", phase="Suspending"'): "1x400",
            (RESOURCES, f'{A}, kind="Workflow", phase="Suspended"'): "1x400",
        },
        "3h",
    ),
    keeps_silent(
        "MageFlowStopPending",
        "pods take twenty minutes to end",
        {(RESOURCES, f'{A}, kind="Chain", phase="Interrupting"'): repeat("1x40 0x2", 3)},
        "60m",
    ),
    fires(
        "MageFlowRunsFailing",
        "an image can't start anywhere",
        {
            (RUNS, 'kind="Workflow", outcome="failed"'): "0+3x120",
            (RUNS, 'kind="Chain", outcome="succeeded"'): "0+1x120",
        },
        "55m",
        value="75%",
    ),
    fires(
        "MageFlowRunsFailing",
        "nodes refuse them all",
        {(RUNS, 'kind="Swarm", outcome="disrupted"'): "0+2x120"},
        "55m",
        value="100%",
    ),
    keeps_silent(
        "MageFlowRunsFailing",
        "one in three fails",
        {
            (RUNS, 'kind="Workflow", outcome="failed"'): "0+3x120",
            (RUNS, 'kind="Chain", outcome="succeeded"'): "0+6x120",
        },
        "55m",
    ),
    keeps_silent(
        "MageFlowRunsFailing",
        "a single Workflow fails",
        {(RUNS, 'kind="Workflow", outcome="failed"'): steps(20, 8)},
        "55m",
    ),
    keeps_silent(
        "MageFlowRunsFailing",
        "all is interrupted",
        {(RUNS, 'kind="Swarm", outcome="interrupted"'): "0+5x120", (RUNS, 'kind="Swarm", outcome="held"'): "0+5x120"},
        "55m",
    ),
)
