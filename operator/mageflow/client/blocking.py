"""Async code for sync callers: a thread with an event loop, and sync functions made of async ones.

    sync caller ──→ blocking(method)(…) ──→ loop thread: await method(…) ──→ its result, or its exception

A sync method is derived from the async one by its type: the same parameters, and what is awaited is what is returned.
So neither its code nor its signature is written twice, and no generated file has to be kept in step. Type checkers
work out the signature themselves; `help()` shows that of the async method, with its docstring.
"""

from __future__ import annotations

import asyncio
import atexit
import functools
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import Future
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

CLEANUP_SECONDS: Final = 5.0
"""How long a caller that is interrupted waits for its coroutine to end, and the program, at its end, for the loop."""


class LoopThread:
    """An event loop in a thread of its own: started on first use, ended with the program."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, coroutine: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine to its end and return its result, or raise its error. Ctrl-C cancels it."""
        has_ended = threading.Event()
        future: Future[R] = asyncio.run_coroutine_threadsafe(_run(coroutine, has_ended), self._started_loop())
        try:
            return future.result()
        except BaseException:
            if future.cancel():
                has_ended.wait(CLEANUP_SECONDS)  # what comes next must not meet it
            raise

    def iterate(self, generator: AsyncGenerator[R]) -> Generator[R]:
        """Yield what an async generator yields; it is closed when this one is."""
        try:
            while True:
                try:
                    yield self.run(_next(generator))
                except StopAsyncIteration:
                    return
        finally:
            self.run(_close(generator))

    def _started_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                thread = threading.Thread(target=_serve, args=(self._loop,), name="mageflow-sync", daemon=True)
                thread.start()
                atexit.register(_end, self._loop, thread)
            return self._loop


LOOP_THREAD = LoopThread()
"""The thread that all of `mageflow.sync` shares."""


def blocking(method: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> Callable[Concatenate[Any, P], R]:
    """Return a sync method that waits for what an async method returns."""

    @functools.wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return LOOP_THREAD.run(method(self.wrapped, *args, **kwargs))

    return call


def iterating(method: Callable[Concatenate[Any, P], AsyncGenerator[R]]) -> Callable[Concatenate[Any, P], Iterator[R]]:
    """Return a sync method that iterates over what an async generator method yields."""

    @functools.wraps(method)
    def call(self: Any, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        return LOOP_THREAD.iterate(method(self.wrapped, *args, **kwargs))

    return call


def making(cls: Callable[[Any], R], function: Callable[P, Coroutine[Any, Any, Any]]) -> Callable[P, R]:
    """Return a sync function that wraps what an async function returns in a sync class."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return cls(LOOP_THREAD.run(function(*args, **kwargs)))

    return call


async def _run(coroutine: Coroutine[Any, Any, R], has_ended: threading.Event) -> R:
    try:
        return await coroutine
    finally:
        has_ended.set()


async def _next(generator: AsyncGenerator[R]) -> R:
    return await anext(generator)


async def _close(generator: AsyncGenerator[Any]) -> None:
    await generator.aclose()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    loop.run_forever()
    loop.run_until_complete(loop.shutdown_asyncgens())  # closes the default connection
    loop.close()


def _end(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    loop.call_soon_threadsafe(loop.stop)
    thread.join(CLEANUP_SECONDS)
