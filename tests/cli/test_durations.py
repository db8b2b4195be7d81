"""Durations, written and read."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mageflow.cli.durations import format_age, format_duration, parse_duration

from .builders import NOW


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (185, "3m5s"), (599, "9m59s"), (600, "10m"),
        (10_799, "179m"),        (10_800, "3h"), (18_720, "5h12m"), (28_800, "8h"), (172_799, "47h"), (172_800, "2d"),
        (187_200, "2d4h"),         (691_200, "8d"), (3_456_000, "40d"),
    ],
)  # fmt: skip
def test_durations_are_written_as_kubectl_writes_them(seconds: int, text: str) -> None:
    assert format_duration(timedelta(seconds=seconds)) == text


def test_age_is_empty_when_it_is_not_known() -> None:
    assert format_age(None, NOW) == ""
    assert format_age(NOW - timedelta(seconds=5), NOW) == "5s"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), ("1h30m", 5400), ("1.5s", 1.5), ("250ms", 0.25), ("7", 7), ("0", 0)]
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "x", "5 m", "-5s", "5d", "m5", "5m!"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        parse_duration(text)
