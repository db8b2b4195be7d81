"""How long it takes until what a spec asks is in force."""

from __future__ import annotations

from mageflow.api import ConditionType, Lifecycle, Status
from mageflow.controller.clock import Clock
from mageflow.controller.metrics import TRANSITION_SECONDS
from mageflow.core.conditions import find_condition
from mageflow.core.observed import ObservedResource


class Transitions:
    """Remembers when each spec was seen that isn't in force yet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[int, float]] = {}

    def note_spec(self, resource: ObservedResource) -> None:
        """Note that a resource was seen."""
        known, _ = self._seen.get(resource.uid, (None, 0.0))
        if known != resource.generation and resource.status.observed_generation != resource.generation:
            self._seen[resource.uid] = (resource.generation, self._clock.monotonic())

    def note_status(self, resource: ObservedResource, status: Status) -> None:
        """Note what was written of it."""
        generation, since = self._seen.get(resource.uid, (None, 0.0))
        ready = find_condition(status.conditions, ConditionType.READY)
        if generation == status.observed_generation and ready is not None and ready.status == "True":
            del self._seen[resource.uid]
            lifecycle = status.lifecycle or Lifecycle.ACTIVE
            TRANSITION_SECONDS.labels(resource.kind.name, lifecycle).observe(self._clock.monotonic() - since)

    def forget(self, uid: str) -> None:
        """Note that a resource is gone."""
        self._seen.pop(uid, None)
