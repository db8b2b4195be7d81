"""Instrumentation: serves /metrics, and measures what is read only when it is scraped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client import start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from mageflow.api import KINDS, Phase
from mageflow.controller.caches import Caches
from mageflow.controller.lease import Election
from mageflow.controller.metrics import (
    IS_LEADER,
    QUEUE_DEPTH,
    QUEUE_OLDEST_SECONDS,
    REGISTRY,
    RESOURCES_HELP,
    RESOURCES_LABELS,
    RESOURCES_NAME,
)
from mageflow.controller.queue import WorkQueue


class ResourceCollector(Collector):
    """Counts the resources by kind and phase at each scrape."""

    def __init__(self, caches: Caches) -> None:
        self._caches = caches

    def describe(self) -> Iterable[Metric]:
        """Yield the metric without values."""
        yield GaugeMetricFamily(RESOURCES_NAME, RESOURCES_HELP, labels=RESOURCES_LABELS)

    def collect(self) -> Iterator[Metric]:
        """Yield the number of resources of each kind and phase."""
        counts = Counter((resource.kind.name, resource.status.phase or "") for resource in self._caches.resources())
        family = GaugeMetricFamily(RESOURCES_NAME, RESOURCES_HELP, labels=RESOURCES_LABELS)
        for kind in KINDS:
            for phase in ("", *Phase):
                family.add_metric((kind.name, phase), counts[kind.name, phase])
        yield family


class PortError(Exception):
    """A port can't be listened on."""


def serve(port: int) -> None:
    """Serve /metrics on all addresses until the process ends, in a thread; not at all on port 0. Raises PortError.

    The server isn't shut down at the end, which takes half a second: the process doesn't wait for its thread.
    """
    if not port:
        return
    try:
        start_http_server(port, registry=REGISTRY)
    except OSError as error:
        raise PortError(f"/metrics can't be served on port {port}: {error.strerror}") from error


def register_gauges(caches: Caches, queue: WorkQueue, election: Election | None) -> None:
    """Register the gauges of resources, queue depth, oldest key and leadership, each read at every scrape."""
    REGISTRY.register(ResourceCollector(caches))
    QUEUE_DEPTH.set_function(queue.depth)
    QUEUE_OLDEST_SECONDS.set_function(queue.oldest_seconds)
    IS_LEADER.set_function(lambda: election is None or election.is_leader)
