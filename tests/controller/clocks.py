"""A clock that goes only when it is told, and is wrong as far as it is told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from mageflow.controller.clock import Clock

NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


class StillClock(Clock):
    """Both clocks; the wall clock may be set, which the steady one doesn't notice."""

    def __init__(self) -> None:
        self._now = NOON
        self._steady = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._steady

    def pass_time(self, seconds: float) -> None:
        self._steady += seconds
        self._now += timedelta(seconds=seconds)

    def set(self, seconds: float) -> None:
        """Set the wall clock forward, or back."""
        self._now += timedelta(seconds=seconds)
