"""How long it takes until what a spec, or the label of its namespace, asks is in force."""

from __future__ import annotations

from mageflow.api import ConditionType, Lifecycle, Status
from mageflow.controller.clock import Clock
from mageflow.controller.metrics import TRANSITION_SECONDS
from mageflow.core.conditions import find_condition
from mageflow.core.observed import ObservedResource

_Asked = tuple[int | None, str | None]
"""A generation of the spec, and the label of its namespace."""


def _answered_by(status: Status) -> _Asked:
    return status.observed_generation, status.observed_namespace_lifecycle


class Transitions:
    """Remembers when that was seen, of each resource, which isn't in force yet."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen: dict[str, tuple[_Asked, float]] = {}

    def note_spec(self, resource: ObservedResource) -> None:
        """Note that a resource was seen."""
        known, _ = self._seen.get(resource.uid, (None, 0.0))
        asked = (resource.generation, resource.namespace_lifecycle)
        if known != asked and _answered_by(resource.status) != asked:
            self._seen[resource.uid] = (asked, self._clock.monotonic())

    def note_status(self, resource: ObservedResource, status: Status) -> None:
        """Note what was written of it."""
        asked, since = self._seen.get(resource.uid, (None, 0.0))
        ready = find_condition(status.conditions, ConditionType.READY)
        if asked == _answered_by(status) and ready is not None and ready.status == "True":
            del self._seen[resource.uid]
            lifecycle = status.lifecycle or Lifecycle.ACTIVE
            TRANSITION_SECONDS.labels(resource.kind.name, lifecycle).observe(self._clock.monotonic() - since)

    def forget(self, uid: str) -> None:
        """Note that a resource is gone."""
        self._seen.pop(uid, None)
