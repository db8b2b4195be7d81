"""Transition latency: from when a spec, or a namespace's label, was seen until what it asks is in force."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mageflow.api import ENDED_PHASES, ConditionType, Lifecycle, Status, find_condition
from mageflow.controller.clock import Clock
from mageflow.controller.metrics import TRANSITION_SECONDS
from mageflow.core.asked import Asked
from mageflow.core.observed import ObservedResource


def _in_force(status: Status) -> Asked | None:
    ready = find_condition(status.conditions, ConditionType.READY)
    return Asked.answered_by(status) if ready is not None and ready.status == "True" else None


class Writing:
    """A write of a status that is under way."""

    has_failed = False

    def fail(self) -> None:
        """Note that nothing was written."""
        self.has_failed = True


class TransitionLatency:
    """For each resource, when the spec and label that aren't in force yet were first seen; measured when they are."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[Asked, float]] = {}

    def note_spec(self, resource: ObservedResource) -> None:
        """Note that a resource was seen; if what it asks is in force, another operator has brought that about."""
        known, _ = self._seen.get(resource.uid, (None, 0.0))
        asked = Asked.of(resource)
        if asked == _in_force(resource.status) or resource.status.phase in ENDED_PHASES:
            self.forget(resource.uid)
        elif asked != known and not asked.is_answered_by(resource.status):
            self._seen[resource.uid] = (asked, self._clock.monotonic())

    @contextmanager
    def writing(self, resource: ObservedResource, status: Status) -> Iterator[Writing]:
        """Context manager around the write of `status`: measure the transition if the write brings it into force.

        Nothing is measured if the write fails: the block raises, or calls `fail` of what it is given. The watch may
        tell of the write before its answer comes, as if another operator had made it; so the start is taken out of
        memory first, and put back if the write fails.
        """
        writing = Writing()
        asked, since = self._seen.get(resource.uid, (None, 0.0))
        if asked is None or asked != _in_force(status):
            yield writing
            return
        self.forget(resource.uid)
        try:
            yield writing
        except BaseException:
            writing.fail()
            raise
        finally:
            if writing.has_failed:
                self._seen.setdefault(resource.uid, (asked, since))
        if writing.has_failed:
            return
        lifecycle = status.lifecycle or Lifecycle.ACTIVE
        TRANSITION_SECONDS.labels(resource.kind.name, lifecycle).observe(self._clock.monotonic() - since)

    def forget(self, uid: str) -> None:
        """Note that a resource is gone."""
        self._seen.pop(uid, None)
