"""Coalesces the status writes of resources with many tasks: the status is large, and each task changes it.

What happened within half a second, or three times what the last write took, is told in one write; on an API server so
busy that a write takes seconds, within two seconds: tasks that could start wait as well. A change of the spec, or of
what its namespace asks, doesn't wait (DESIGN section 5).
"""

from __future__ import annotations

from typing import Final

from mageflow.api import SWARM
from mageflow.controller.clock import Clock
from mageflow.core.asked import Asked
from mageflow.core.observed import ObservedResource

PACED_KINDS: Final = frozenset({SWARM.name})
MIN_SECONDS: Final = 0.5
MAX_SECONDS: Final = 2.0
WRITE_FACTOR: Final = 3.0


class Pace:
    """Remembers when the status of each paced resource may be written again."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next: dict[str, float] = {}

    def seconds_to_wait(self, observed: ObservedResource) -> float:
        """Return for how long a resource is to be left alone; 0 if it may be decided upon now."""
        if not Asked.of(observed).is_answered_by(observed.status):
            return 0.0
        return max(0.0, self._next.get(observed.uid, 0.0) - self._clock.monotonic())

    def note_write(self, observed: ObservedResource, seconds: float) -> None:
        """Note that its status was written just now, and how long that took."""
        if observed.kind.name in PACED_KINDS:
            self._next[observed.uid] = self._clock.monotonic() + min(
                max(MIN_SECONDS, WRITE_FACTOR * seconds), MAX_SECONDS
            )

    def forget(self, uid: str) -> None:
        """Note that a resource is gone."""
        self._next.pop(uid, None)
