"""The two clocks: the wall clock, which people and objects go by, and a steady one, which is never set."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment by both clocks."""

    now: datetime
    steady: float

    def at(self, steady: float) -> datetime:
        """Return by the wall clock, as it goes now, when something was or will be."""
        return self.now + timedelta(seconds=steady - self.steady)


class Clock:
    """The machine's clocks; the model of `tests/model` has its own."""

    def now(self) -> datetime:
        """Return the time in UTC, as objects carry it."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Return seconds that only ever grow, to measure how long something lasts."""
        return time.monotonic()

    def moment(self) -> Moment:
        """Return the present moment by both clocks."""
        return Moment(self.now(), self.monotonic())
