"""The work queue: one worker a key, nothing lost, retries with back-off, and an end that finishes what is in hand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import pytest
import uvloop

from devkit.patience import PATIENCE
from mageflow.controller import queue as queue_module
from mageflow.controller.queue import MAX_RETRY_SECONDS, RetryError, WorkQueue

Handler = Callable[[str], Awaitable[float | None]]


class Worker:
    """Notes each key that it is given; a gate holds its work until it is opened."""

    def __init__(self) -> None:
        self.worked: list[str] = []
        self.at_once: set[str] = set()
        self.most_at_once = 0
        self.answers: list[float | Exception | None] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, key: str) -> float | None:
        assert key not in self.at_once, "one worker a key"
        self.worked.append(key)
        self.at_once.add(key)
        self.most_at_once = max(self.most_at_once, len(self.at_once))
        await self.gate.wait()
        self.at_once.discard(key)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


@asynccontextmanager
async def open_queue(handler: Handler, workers: int = 2) -> AsyncIterator[WorkQueue]:
    queue = WorkQueue(handler, workers)
    running = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        queue.close()
        await asyncio.wait_for(running, PATIENCE)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop turn until something is so; a deadline, no sleep."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


async def turn() -> None:
    """Let everything happen that is due."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_key_is_worked_on_when_it_is_added() -> None:
    worker = Worker()
    async with open_queue(worker) as queue:
        queue.add("a")
        await until(lambda: worker.worked == ["a"])


async def test_key_is_worked_on_once_when_it_is_added_many_times_while_it_waits() -> None:
    worker = Worker()
    async with open_queue(worker) as queue:
        for _ in range(5):
            queue.add("a")
        await turn()
        assert worker.worked == ["a"]


async def test_key_is_worked_on_again_when_it_is_added_while_it_is_worked_on() -> None:
    worker = Worker()
    async with open_queue(worker) as queue:
        worker.gate.clear()
        queue.add("a")
        await until(lambda: worker.at_once == {"a"})
        queue.add("a")
        queue.add("a")
        await turn()
        assert worker.worked == ["a"], "not at the same time"
        worker.gate.set()
        await until(lambda: worker.worked == ["a", "a"])
        await turn()
        assert worker.worked == ["a", "a"]


async def test_keys_are_worked_on_at_once_when_there_are_workers() -> None:
    worker = Worker()
    async with open_queue(worker, workers=2) as queue:
        worker.gate.clear()
        for key in "abc":
            queue.add(key)
        await turn()
        assert worker.at_once == {"a", "b"}, "a third waits for a worker"
        worker.gate.set()
        await until(lambda: worker.worked == ["a", "b", "c"])
        assert worker.most_at_once == 2


# ── later ──


async def test_key_comes_again_when_its_handler_asks_for_it() -> None:
    worker = Worker()
    worker.answers = [0.0]
    async with open_queue(worker) as queue:
        queue.add("a")
        await until(lambda: worker.worked == ["a", "a"])


async def test_key_comes_when_its_time_has_come_and_not_before() -> None:
    worker = Worker()
    async with open_queue(worker) as queue:
        queue.add_after("later", 3600)
        queue.add_after("soon", 0.001)
        await until(lambda: worker.worked == ["soon"])


async def test_sooner_time_counts_when_there_are_two() -> None:
    worker = Worker()
    async with open_queue(worker) as queue:
        queue.add_after("a", 3600)
        queue.add_after("a", 0)
        queue.add_after("b", 0)
        queue.add_after("b", 3600)
        await until(lambda: sorted(worker.worked) == ["a", "b"])


async def test_time_in_the_past_is_now() -> None:
    worker = Worker()
    async with open_queue(worker) as queue:
        queue.add_after("a", -5)
        await until(lambda: worker.worked == ["a"])


# ── failures ──


class Impatient(WorkQueue):
    """Notes for how long it would wait, and doesn't."""

    def __init__(self, handler: Handler) -> None:
        super().__init__(handler, workers=1)
        self.delays: list[float] = []

    def add_after(self, key: str, seconds: float) -> None:
        self.delays.append(seconds)
        super().add_after(key, 0)


async def delays_of(answers: Sequence[float | Exception | None]) -> list[float]:
    """Return for how long a key waits after each of these."""
    worker = Worker()
    worker.answers = list(answers)
    queue = Impatient(worker)
    running = asyncio.create_task(queue.run())
    queue.add("a")
    await until(lambda: not worker.answers)
    await turn()
    queue.close()
    await running
    return queue.delays


@pytest.mark.parametrize("error", [RetryError("changed meanwhile"), ValueError("a fault")], ids=["no fault", "a fault"])
async def test_back_off_doubles_up_to_a_minute_when_a_key_fails_again_and_again(error: Exception) -> None:
    delays = await delays_of([error] * 30)
    for failures, delay in enumerate(delays):
        whole = min(0.05 * 2**failures, MAX_RETRY_SECONDS)
        assert whole / 2 <= delay <= whole, "up to half of it is left to chance"
    assert len(delays) == 30


async def test_back_off_is_no_shorter_than_the_api_server_asks() -> None:
    """`Retry-After`."""
    assert await delays_of([RetryError("slowly", at_least=300.0)]) == [300.0]


async def test_what_was_learned_is_acted_on_at_once_unless_it_was_in_vain_before() -> None:
    learned = RetryError("more is known", at_once=True)
    delays = await delays_of([learned, 0.0, learned, learned, learned])
    assert len(delays) == 3, "one that the handler asked for, and two pauses"
    assert delays[0] == 0.0
    assert all(delay > 0.0 for delay in delays[1:])


async def test_back_off_starts_anew_when_a_key_has_done_well() -> None:
    delays = await delays_of([RetryError("x")] * 5 + [0.0] + [RetryError("x")])
    assert delays[5] == 0
    assert delays[6] <= 0.05


async def test_fault_is_logged_with_its_key_and_the_rest_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    worker = Worker()
    worker.answers = [ValueError("a fault")]
    with caplog.at_level(logging.INFO):
        async with open_queue(worker, workers=1) as queue:
            queue.add("a")
            queue.add("b")
            await until(lambda: worker.worked[:2] == ["a", "b"])
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert "a" in record.getMessage()
    assert record.exc_info is not None


async def test_retry_is_not_logged_as_a_fault(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await delays_of([RetryError("changed meanwhile")])
    assert caplog.records == []


# ── the end ──


async def test_work_in_hand_is_finished_when_it_closes_and_nothing_more_starts() -> None:
    worker = Worker()
    queue = WorkQueue(worker, workers=1)
    running = asyncio.create_task(queue.run())
    worker.gate.clear()
    for key in "ab":
        queue.add(key)
    queue.add_after("c", 0.001)
    await until(lambda: worker.at_once == {"a"})
    queue.close()
    queue.add_after("d", 0)
    await turn()
    assert not running.done()
    worker.gate.set()
    await asyncio.wait_for(running, PATIENCE)
    assert worker.worked == ["a"]
    assert worker.at_once == set()


async def test_closing_ends_it_when_there_is_nothing_to_do() -> None:
    async with open_queue(Worker(), workers=16):
        pass


# ── how long something waits: what /healthz looks at ──


Age = Callable[[WorkQueue], float]

each_age = pytest.mark.parametrize("age", [WorkQueue.oldest_seconds, WorkQueue.stuck_seconds])


@each_age
async def test_nothing_waits_and_nothing_is_stuck_when_the_queue_is_empty(age: Age) -> None:
    assert age(WorkQueue(Worker(), 1)) == 0.0


@each_age
async def test_it_waits_and_is_stuck_when_no_worker_takes_it(age: Age) -> None:
    queue = WorkQueue(Worker(), 1)
    queue.add("a")
    await asyncio.sleep(0.002)
    assert age(queue) > 0.001


@each_age
async def test_it_waits_and_is_stuck_when_it_is_worked_on_for_ever(age: Age) -> None:
    worker = Worker()
    async with open_queue(worker, workers=1) as queue:
        worker.gate.clear()
        queue.add("a")
        await until(lambda: worker.at_once == {"a"})
        await asyncio.sleep(0.002)
        assert age(queue) > 0.001
        worker.gate.set()
        await until(lambda: age(queue) == 0.0)


async def test_queue_is_not_stuck_when_it_is_long_and_gets_shorter() -> None:
    """The last of many thousands waits for minutes: the kubelet would end an operator that works."""
    finished: list[tuple[float, float]] = []

    async def work(_: str) -> None:
        await asyncio.sleep(0.002)
        finished.append((queue.stuck_seconds(), queue.oldest_seconds()))

    queue = WorkQueue(work, 1)
    for number in range(100):
        queue.add(str(number))
    running = asyncio.create_task(queue.run())
    await until(lambda: len(finished) == 100)
    queue.close()
    await running
    assert any(stuck < oldest / 2 for stuck, oldest in finished[50:])


def test_key_is_worked_on_when_it_is_wanted_at_once_twice_on_uvloop() -> None:
    """uvloop's handle of what is due at once has no `when`: asking it ended the operator."""
    worker = Worker()

    async def work() -> None:
        async with open_queue(worker) as queue:
            for seconds in (60.0, 0.0, 0.0, 60.0):
                queue.add_after("key", seconds)
            await until(lambda: bool(worker.worked))

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())
    assert worker.worked == ["key"]


# ── what is urgent ──


async def order_of(*keys: str, urgent: str) -> list[str]:
    """Return the order in which a single worker takes keys that all wait."""
    worker = Worker()
    queue = WorkQueue(worker, workers=1, is_urgent=lambda key: key in urgent)
    for key in keys:
        queue.add(key)
    running = asyncio.create_task(queue.run())
    await until(lambda: len(worker.worked) >= len(set(keys)))
    await turn()
    queue.close()
    await running
    return worker.worked


async def test_urgent_keys_go_first_and_others_in_the_order_of_their_coming() -> None:
    assert await order_of(*"abcd", urgent="") == list("abcd")
    assert await order_of(*"abcd", urgent="cd") == list("cdab")


async def test_key_that_waits_and_becomes_urgent_is_worked_on_once_and_sooner() -> None:
    worker, urgent = Worker(), set[str]()
    queue = WorkQueue(worker, workers=1, is_urgent=lambda key: key in urgent)
    for key in "abc":
        queue.add(key)
    urgent.add("c")
    queue.add("c")
    queue.add("c")
    running = asyncio.create_task(queue.run())
    await until(lambda: len(worker.worked) >= 3)
    await turn()
    queue.close()
    await running
    assert worker.worked == list("cab")


async def test_key_that_has_waited_long_is_overtaken_by_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue_module, "OVERTAKEN_SECONDS", 0.0)
    assert await order_of(*"abcd", urgent="cd") == list("abcd")
