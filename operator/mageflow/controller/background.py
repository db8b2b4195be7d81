"""Requests that may take long: nobody waits for one longer than a second, and none keeps others from being made."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

FRESH_SECONDS: Final = 1.0
"""How long a request is waited for, and holds a place."""

CLOSE_SECONDS: Final = 10.0
"""How long what is under way is waited for at the end."""

T = TypeVar("T")


class Background:
    """Tasks that go on by themselves."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Start one."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def cancel(self) -> None:
        """Give up all that go on."""
        for task in self._tasks:
            task.cancel()

    async def close(self) -> None:
        """Give those that go on some time, and then give them up: whoever comes next reckons with them."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
        self.cancel()


class Places:
    """Lets so many requests be made at once; one that takes more than a second gives up its place, and goes on."""

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)

    async def make(self, request: Coroutine[Any, Any, T]) -> T:
        """Make a request when there is a place; return what it returns."""
        async with self._free:
            task = asyncio.create_task(request)
            try:
                await asyncio.wait({task}, timeout=FRESH_SECONDS)
            except asyncio.CancelledError:
                task.cancel()
                raise
        return await task
