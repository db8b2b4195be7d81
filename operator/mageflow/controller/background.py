"""Background tasks for requests that may take long: none is waited for longer than a second, or holds others up."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

FRESH_SECONDS: Final = 1.0
"""How long a request is waited for, and holds a place."""

CLOSE_SECONDS: Final = 10.0
"""How long `close` waits."""

T = TypeVar("T")


class Background:
    """Tasks that go on by themselves, until they end or `close` is called."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start a task, and return it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def cancel(self) -> None:
        """Cancel all tasks."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Wait for all tasks for some time, then cancel them; the next operator copes with what comes of them."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        self.cancel()


class Places:
    """Limits how many requests are made at once. One that takes longer than a second goes on, and doesn't count."""

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)

    async def make(self, request: Coroutine[Any, Any, T]) -> T:
        """Await `request` once there is a place for it; return what it returns, and raise what it raises."""
        try:
            await self._free.acquire()
        except BaseException:
            request.close()
            raise
        place = _Place(self._free)
        timer = asyncio.get_running_loop().call_later(FRESH_SECONDS, place.give_back)
        try:
            return await request
        finally:
            timer.cancel()
            place.give_back()


class _Place:
    """A place that one request holds."""

    def __init__(self, free: asyncio.Semaphore) -> None:
        self._free: asyncio.Semaphore | None = free

    def give_back(self) -> None:
        """Let another request have it; nothing happens if that was done already."""
        if self._free is not None:
            self._free.release()
        self._free = None
