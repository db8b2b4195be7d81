"""Work queue of keys: each is worked on by one worker at a time, at once, later, or after a back-off.

It promises what client-go's does (https://pkg.go.dev/k8s.io/client-go/util/workqueue): a key that is added many times
while it waits is worked on once; one that is added while it is worked on is worked on once more. Urgent keys, of what
is to be stopped, overtake those that came up to 5 seconds before them, so that none waits for ever.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable
from typing import Final

FIRST_RETRY_SECONDS: Final = 0.05
MAX_RETRY_SECONDS: Final = 60.0

OVERTAKEN_SECONDS: Final = 5.0
"""For how long an urgent key goes before one that waits."""

logger = logging.getLogger(__name__)


class RetryError(Exception):
    """A handler wants its key again after a back-off, for a reason that is no bug and needs no traceback.

    `at_least`: the least seconds of the back-off, as the API server's `Retry-After` may ask for. `at_once`: something
    was learned, so it is worth while to begin without any, unless the time before was in vain as well.
    """

    def __init__(self, message: str, at_least: float = 0.0, *, at_once: bool = False) -> None:
        super().__init__(message)
        self.at_least = at_least
        self.at_once = at_once


class WorkQueue:
    """Keys, and the `workers` that call `handler` with them, never two at once with the same key.

    `is_urgent` tells of a key that is added whether it goes before others that wait.
    The handler returns in how many seconds it wants the key again, or None. If it raises, the key comes again after a
    back-off that doubles from 50 ms to a minute; RetryError is logged as what it is, any other error as a bug.
    """

    def __init__(
        self,
        handler: Callable[[str], Awaitable[float | None]],
        workers: int,
        is_urgent: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._handler = handler
        self._workers = workers
        self._is_urgent = is_urgent
        self._ready: asyncio.PriorityQueue[tuple[float, int, str]] = asyncio.PriorityQueue()
        """Each key that waits by its rank, a moment on the monotonic clock, and in the order of their coming. One that
        waits as urgent since has another place as well, which is passed over."""
        self._places = itertools.count()
        self._rank: dict[str, float] = {}
        self._waiting_since: dict[str, float] = {}
        self._working_since: dict[str, float] = {}
        self._again: set[str] = set()
        self._timers: dict[str, tuple[float, asyncio.Handle]] = {}
        """When each is due, in the loop's time, which uvloop's handle doesn't tell of a timer that is due at once."""
        self._failures: dict[str, int] = {}
        self._finished_at = 0.0
        """When the handler returned last, on the monotonic clock."""
        self._is_closing = False

    def add(self, key: str) -> None:
        """Have a key worked on as soon as a worker is free. What `add_after` was told of it stays."""
        if key in self._working_since:
            self._again.add(key)
            return
        now = time.monotonic()
        rank = now if self._is_urgent(key) else now + OVERTAKEN_SECONDS
        if key not in self._waiting_since:
            self._waiting_since[key] = now
        elif rank >= self._rank[key]:
            return
        self._rank[key] = rank
        self._ready.put_nowait((rank, next(self._places), key))

    def add_after(self, key: str, seconds: float) -> None:
        """Have a key worked on in `seconds`, or sooner if an earlier call said so."""
        loop = asyncio.get_running_loop()
        due = loop.time() + max(0.0, seconds)
        known_due, timer = self._timers.get(key, (None, None))
        if self._is_closing or (known_due is not None and known_due <= due):
            return
        if timer is not None:
            timer.cancel()
        self._timers[key] = (due, loop.call_at(due, self._on_timer, key))

    def depth(self) -> int:
        """Return how many keys wait or are worked on. Safe to call from another thread."""
        return len(self._waiting_since) + len(self._working_since)

    def oldest_seconds(self) -> float:
        """Return for how long the oldest entry has waited or been worked on; 0 if there is none. Safe as `depth` is."""
        times = [*list(self._waiting_since.values()), *list(self._working_since.values())]
        return time.monotonic() - min(times) if times else 0.0

    def stuck_seconds(self) -> float:
        """Return for how long the queue has been stuck: one key is worked on, or keys wait and none was finished.

        A long queue isn't stuck, however long its last key has waited. Safe as `depth` is.
        """
        now = time.monotonic()
        working, waiting = list(self._working_since.values()), list(self._waiting_since.values())
        longest = now - min(working) if working else 0.0
        since_last = now - max(self._finished_at, min(waiting)) if waiting else 0.0
        return max(longest, since_last)

    async def run(self) -> None:
        """Work until `close` is called; then finish what is in hand."""
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._work())

    def close(self) -> None:
        """Begin no other key; `run` returns when those in hand are finished."""
        self._is_closing = True
        for _, timer in self._timers.values():
            timer.cancel()
        for _ in range(self._workers):
            self._ready.put_nowait((-math.inf, next(self._places), ""))

    async def _work(self) -> None:
        while True:
            _, _, key = await self._ready.get()
            if self._is_closing:
                return
            if key not in self._waiting_since:
                continue
            self._working_since[key] = time.monotonic()
            del self._waiting_since[key], self._rank[key]
            await self._handle(key)
            del self._working_since[key]
            self._finished_at = time.monotonic()
            if key in self._again:
                self._again.discard(key)
                self.add(key)

    async def _handle(self, key: str) -> None:
        try:
            again_in = await self._handler(key)
        except RetryError as error:
            logger.debug("again: %s", error)
            self._retry(key, error.at_least, at_once=error.at_once)
        except Exception:
            logger.exception("reconcile failed, and is tried again: %s", key)
            self._retry(key)
        else:
            self._failures.pop(key, None)
            if again_in is not None:
                self.add_after(key, again_in)

    def _retry(self, key: str, at_least: float = 0.0, *, at_once: bool = False) -> None:
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        if at_once and failures == 1:
            self.add(key)
            return
        delay = min(FIRST_RETRY_SECONDS * 2.0 ** min(failures - 1, 20), MAX_RETRY_SECONDS)
        self.add_after(key, max(at_least, delay * random.uniform(0.5, 1.0)))

    def _on_timer(self, key: str) -> None:
        self._timers.pop(key, None)
        self.add(key)
