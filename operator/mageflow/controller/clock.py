"""The two clocks: one that people and objects go by, and one that is never set."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    """The machine's clocks; the model of `tests/model` has its own."""

    def now(self) -> datetime:
        """Return the time in UTC, as objects carry it."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that only ever grow, to measure how long something lasts."""
        return time.monotonic()
