"""Durations, as kubectl writes them in its AGE column and reads them in its `--timeout`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

MINUTE: Final = 60
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR

_PARTS: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS: Final = {"ms": 0.001, "s": 1, "m": MINUTE, "h": HOUR}


def format_duration(duration: timedelta) -> str:
    """Return a duration as kubectl writes it, the larger the coarser: `45s`, `3m5s`, `90m`, `5h12m`, `3d4h`, `40d`."""
    seconds = max(0, int(duration.total_seconds()))
    for limit, unit, rest in (
        (2 * MINUTE, 1, 0),
        (10 * MINUTE, MINUTE, 1),
        (3 * HOUR, MINUTE, 0),
        (8 * HOUR, HOUR, MINUTE),
        (2 * DAY, HOUR, 0),
        (8 * DAY, DAY, HOUR),
    ):
        if seconds < limit:
            return _write(seconds, unit, rest)
    return _write(seconds, DAY, 0)


def format_age(since: datetime | None, now: datetime) -> str:
    """Return how long ago something was; empty if that isn't known."""
    return "" if since is None else format_duration(now - since)


def parse_duration(text: str) -> float:
    """Return the seconds of `90s`, `5m`, `1h30m`, or of a mere number. Raises ValueError."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = _PARTS.findall(text)
    if not parts or "".join(f"{number}{unit}" for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no duration such as 90s, 5m or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


_UNITS: Final = {1: "s", MINUTE: "m", HOUR: "h", DAY: "d"}


def _write(seconds: int, unit: int, rest: int) -> str:
    count, left = divmod(seconds, unit)
    more = left // rest if rest else 0
    return f"{count}{_UNITS[unit]}" + (f"{more}{_UNITS[rest]}" if more else "")
