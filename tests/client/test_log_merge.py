"""Many logs at once: in the order of time, with few of them open and few lines held, however many there are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mageflow.client.log_line import LogLine, in_utc, sortable
from mageflow.client.log_merge import LOOK_AHEAD, MAX_OPEN, MAX_QUEUED, merge, read_in_turn
from mageflow.kube.errors import UnreachableError


def at(seconds: int) -> str:
    return f"2026-01-01T00:{seconds // 60:02}:{seconds % 60:02}.5Z"


@dataclass
class Load:
    """What the reading has cost so far."""

    open: int = 0
    most_open: int = 0
    read: int = 0
    asked: list[str] = field(default_factory=list)


@dataclass
class Log:
    """A log that is there already."""

    name: str
    start: int
    times: list[int]
    load: Load
    fails: bool = False

    @property
    def starts_at(self) -> str:
        return sortable(f"2026-01-01T00:{self.start // 60:02}:{self.start % 60:02}Z")

    async def read(self) -> AsyncGenerator[LogLine]:
        self.load.asked.append(self.name)
        self.load.open += 1
        self.load.most_open = max(self.load.most_open, self.load.open)
        try:
            for number, time in enumerate(self.times):
                await asyncio.sleep(0)
                self.load.read += 1
                yield LogLine(self.name, 1, self.name, f"{self.name} {number}", at(time))
            if self.fails:
                raise UnreachableError("the node is gone")
        finally:
            self.load.open -= 1


STREAMS = st.lists(
    st.tuples(st.integers(0, 50), st.lists(st.integers(0, 20), max_size=8)),
    max_size=80,
)  # fmt: skip


@given(streams=STREAMS)
async def test_lines_come_in_the_order_in_which_they_were_written(streams: list[tuple[int, list[int]]]) -> None:
    load = Load()
    logs = [
        Log(f"p{number}", start, sorted(start + gap for gap in gaps), load)
        for number, (start, gaps) in enumerate(streams)
    ]
    lines = [line async for line in merge(logs)]
    assert [sortable(line.time) for line in lines] == sorted(sortable(at(time)) for log in logs for time in log.times)
    for log in logs:
        assert [line.text for line in lines if line.task == log.name] == [
            f"{log.name} {number}" for number in range(len(log.times))
        ]
    assert load.most_open <= MAX_OPEN
    assert load.open == 0
    assert len(load.asked) == len(logs), "each once"


async def test_a_thousand_that_ran_at_the_same_time_are_merged_with_few_of_them_open() -> None:
    load = Load()
    logs = [Log(f"p{number}", 0, list(range(number % 7, 60, 7)), load) for number in range(1000)]
    times = [sortable(line.time) async for line in merge(logs)]
    assert times == sorted(times)
    assert len(times) == sum(len(log.times) for log in logs)
    assert load.most_open <= MAX_OPEN
    assert sorted(load.asked) == sorted(log.name for log in logs)


@pytest.mark.parametrize("reader", [merge, read_in_turn])
async def test_no_more_is_read_than_is_soon_needed(reader: type) -> None:
    load = Load()
    logs = [Log(f"p{number}", number, [number] * 10_000, load) for number in range(1000)]
    lines = reader(logs)
    for _ in range(50):
        await anext(lines)
    await asyncio.sleep(0.05)
    assert len(load.asked) <= LOOK_AHEAD + 2
    assert load.read <= (LOOK_AHEAD + 2) * (MAX_QUEUED + 2) + 50
    await lines.aclose()
    assert load.open == 0


async def test_logs_one_after_the_other_are_asked_for_ahead() -> None:
    load = Load()
    logs = [Log(f"p{number}", 0, [3, 2, 1], load) for number in range(30)]
    lines = [line.text async for line in read_in_turn(logs)]
    assert lines == [f"p{number} {line}" for number in range(30) for line in range(3)]
    assert load.most_open > 1


async def test_what_came_before_an_error_is_given_first() -> None:
    load = Load()
    logs = [Log("a", 0, [1, 2], load), Log("b", 0, [3], load, fails=True), Log("c", 9, [9], load)]
    seen: list[str] = []

    async def see() -> None:
        async for line in merge(logs):
            seen.append(line.text)

    with pytest.raises(UnreachableError):
        await see()
    assert seen == ["a 0", "a 1", "b 0"]
    assert load.open == 0


def test_times_are_sorted_whatever_their_digits() -> None:
    times = ["2026-01-01T00:00:01.5Z", "2026-01-01T00:00:01.45Z", "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"]
    assert sorted(times, key=sortable) == [times[2], times[1], times[0], times[3]]


@pytest.mark.parametrize(
    ("written", "in_utc_it_is"),
    [
        ("2026-01-01T00:00:01.5Z", "2026-01-01T00:00:01.5Z"),
        ("2026-01-01T02:00:01.123456789+02:00", "2026-01-01T00:00:01.123456789Z"),
        ("2025-12-31T19:30:01-04:30", "2026-01-01T00:00:01Z"),
        ("no time, but what somebody wrote", "no time, but what somebody wrote"),
    ],
)
def test_times_of_a_node_with_a_time_zone_are_turned_into_utc(written: str, in_utc_it_is: str) -> None:
    assert in_utc(written) == in_utc_it_is
