"""A resource's life told step by step, so that an adversary can strike at each point of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from mageflow.api import ENDED_PHASES, HELD_PHASES, KINDS, Kind, Lifecycle
from mageflow.testing.server import is_terminating

from .cluster import Cluster, Shape
from .promises import ACTIVE, INTERRUPTED, SUSPENDED, has_started, phase_of

EVERY = int(os.environ.get("MAGEFLOW_EVERY", "12"))
"""Of so many points one is struck at: all of them in `make nightly`."""

LONGEST = 400
"""Steps of a story that doesn't come to its end."""


@dataclass(frozen=True)
class Story:
    """A resource is created; it is held when its first pod is there, or runs; then it is resumed, and ends."""

    kind: Kind
    lifecycle: Lifecycle
    is_running: bool

    def __str__(self) -> str:
        return f"{self.kind.name} {self.lifecycle} while {'running' if self.is_running else 'pending'}"

    def begin(self) -> Cluster:
        """Create the resource, in a cluster of its own."""
        return Cluster(Shape(self.kind, tasks=2, retries=0))

    def tell(self, cluster: Cluster) -> Iterator[None]:
        """Take one step after the other; nobody else does anything."""
        yield from _fairly(cluster, self._has_begun)
        cluster.ask(self.lifecycle)
        yield
        yield from _fairly(cluster, _is_held_or_over)
        cluster.ask(ACTIVE)
        yield
        yield from _fairly(cluster, _is_over)

    def _has_begun(self, cluster: Cluster) -> bool:
        return any(has_started(pod) or not self.is_running for pod in cluster.pods())


STORIES = tuple(
    Story(kind, lifecycle, is_running)
    for kind in KINDS
    for lifecycle in (SUSPENDED, INTERRUPTED)
    for is_running in (False, True)
)


def count_points(story: Story) -> int:
    """Return how many steps a story has."""
    cluster = story.begin()
    try:
        points = sum(1 for _ in story.tell(cluster))
        assert _is_over(cluster), f"{story} has no end"
        return points
    finally:
        cluster.close()


def strike_at_each_point(story: Story, strike: Callable[[Cluster], None]) -> None:
    """Tell a story up to each of its points, let an adversary strike there, and see how it ends."""
    for point in range(0, count_points(story), EVERY):
        cluster = story.begin()
        try:
            for _ in zip(range(point), story.tell(cluster), strict=False):
                cluster.promises.check()
            strike(cluster)
            cluster.settle()
            cluster.check_rest()
        except AssertionError as error:
            error.add_note(f"{story}, struck after {point} steps")
            raise
        finally:
            cluster.close()


def _fairly(cluster: Cluster, until: Callable[[Cluster], bool]) -> Iterator[None]:
    """Let everyone take a step in turn."""
    for _ in range(LONGEST):
        if cluster.process is not None:
            cluster.process.hear_all()
        while cluster.flights:
            cluster.deliver(0)
            yield
            if until(cluster):
                return
        for name in cluster.jobs.names():
            cluster.jobs.step(name)
            yield
        for pod in cluster.pods():
            if not cluster.is_to_be_stopped(pod):
                cluster.node.move(pod, 143 if is_terminating(pod) else 0)
                yield
                if until(cluster):
                    return
        cluster.jobs.release_orphans()
        cluster.collector.collect()
        cluster.pass_time(0.5)
        yield
        if until(cluster):
            return


def _is_over(cluster: Cluster) -> bool:
    return cluster.resource is None or phase_of(cluster.resource) in ENDED_PHASES


def _is_held_or_over(cluster: Cluster) -> bool:
    return _is_over(cluster) or (cluster.resource is not None and phase_of(cluster.resource) in HELD_PHASES)
