"""Merge of many logs, in their own order or by time, with few connections open and few lines in memory.

A log is asked for when its turn comes, and a few others ahead of that, and each is read no further than some lines
ahead of its reader: what a Swarm of a thousand tasks has written passes through, and is never held. In the order of
time, a log's turn comes at the time at which its container started. If more logs are needed at once than may be open,
as those of containers that ran at the same time, the one that will be needed last is read into a temporary file.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import os
import tempfile
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import ExitStack, aclosing
from dataclasses import asdict
from typing import IO, Final, Protocol

from mageflow.client.log_line import LineQueue, LogLine, sortable

MAX_OPEN: Final = 50
"""Logs that are read at the same time."""

LOOK_AHEAD: Final = 10
"""Logs that are asked for before their turn."""

MAX_QUEUED: Final = 100
"""Lines of one log that wait for their reader before no more are read."""


class Log(Protocol):
    """A log that can be read."""

    @property
    def starts_at(self) -> str:
        """Start of its container, a time as `sortable` makes it: no line is older."""
        ...

    def read(self) -> AsyncGenerator[LogLine]:
        """Yield its lines."""
        ...


async def read_in_turn(logs: Iterable[Log]) -> AsyncGenerator[LogLine]:
    """Yield the lines of one log after the other."""
    reading = _Reading(logs)
    try:
        while (stream := await reading.take(())) is not None:
            while (line := await stream.next()) is not None:
                yield line
    finally:
        await reading.close()


async def merge(logs: Iterable[Log]) -> AsyncGenerator[LogLine]:
    """Yield the lines of all logs in the order of time; lines of the same time in the order of the logs."""
    reading = _Reading(sorted(logs, key=lambda log: log.starts_at))
    heap: list[_Entry] = []
    try:
        while heap or reading.next_start is not None:
            while (start := reading.next_start) is not None and (not heap or start <= heap[0][0]):
                stream = await reading.take(heap)
                if stream is not None and (first := await stream.next()) is not None:
                    heapq.heappush(heap, (sortable(first.time), stream.number, first, stream))
            if heap:
                _, number, line, stream = heap[0]
                yield line
                following = await stream.next()
                if following is None:
                    heapq.heappop(heap)
                else:
                    heapq.heapreplace(heap, (sortable(following.time), number, following, stream))
    finally:
        await reading.close()


class _Stream:
    """One log that is being read."""

    def __init__(self, log: Log, number: int) -> None:
        self.number = number
        """No two streams have the same."""
        self._log = log
        self._queue: LineQueue = asyncio.Queue(MAX_QUEUED)
        self._stored: Iterator[LogLine] | None = None
        self.pump = asyncio.create_task(self._pump())

    @property
    def is_open(self) -> bool:
        """Whether it has a connection."""
        return not self.pump.done()

    async def next(self) -> LogLine | None:
        """Return the next line, None after the last. Raises the error that ended the log."""
        if self._stored is not None:
            return next(self._stored, None)
        item = await self._queue.get()
        if isinstance(item, Exception):
            raise item
        return item

    async def store(self, file: IO[bytes]) -> None:
        """Read the rest into a file; `next` takes the lines from there."""
        lines = file.seek(0, os.SEEK_END)
        while (line := await self.next()) is not None:
            file.seek(0, os.SEEK_END)
            file.write(json.dumps(asdict(line)).encode() + b"\n")
        self._stored = _load(file, lines, file.seek(0, os.SEEK_END))

    async def _pump(self) -> None:
        try:
            async with aclosing(self._log.read()) as lines:
                async for line in lines:
                    await self._queue.put(line)
        except Exception as error:
            await self._queue.put(error)
        else:
            await self._queue.put(None)


_Entry = tuple[str, int, LogLine, _Stream]
"""A line that is next in its log: when it was written, the number of the log, the line, the log."""


class _Reading:
    """The logs in the order in which their turn comes; some are asked for ahead of it."""

    def __init__(self, logs: Iterable[Log]) -> None:
        self._left = deque(logs)
        self._starts = deque(log.starts_at for log in self._left)
        self._ahead: deque[_Stream] = deque()
        self._streams: list[_Stream] = []
        self._count = 0
        self._closing = ExitStack()
        self._file: IO[bytes] | None = None

    @property
    def next_start(self) -> str | None:
        """Start of the next log's container; None after the last."""
        return self._starts[0] if self._starts else None

    async def take(self, others: Iterable[_Entry]) -> _Stream | None:
        """Return the next log, None after the last. If too many are open, the one of `others` needed last is stored."""
        if not self._starts:
            return None
        self._starts.popleft()
        if not self._ahead:
            await self._make_room(others)
            self._start()
        stream = self._ahead.popleft()
        while self._left and len(self._ahead) < LOOK_AHEAD and len(self._open()) < MAX_OPEN:
            self._start()
        return stream

    async def close(self) -> None:
        """Read no more."""
        for stream in self._streams:
            stream.pump.cancel()
        await asyncio.gather(*(stream.pump for stream in self._streams), return_exceptions=True)
        self._closing.close()

    def _start(self) -> None:
        self._count += 1
        stream = _Stream(self._left.popleft(), self._count)
        self._streams.append(stream)
        self._ahead.append(stream)

    def _open(self) -> list[_Stream]:
        self._streams = [stream for stream in self._streams if stream.is_open]
        return self._streams

    async def _make_room(self, others: Iterable[_Entry]) -> None:
        if len(self._open()) < MAX_OPEN:
            return
        *_, last = max(entry for entry in others if entry[-1].is_open)
        if self._file is None:
            self._file = self._closing.enter_context(tempfile.TemporaryFile())  # noqa: SIM115 - it is
        await last.store(self._file)


def _load(file: IO[bytes], start: int, end: int) -> Iterator[LogLine]:
    while start < end:
        file.seek(start)
        line = file.readline()
        start += len(line)
        yield LogLine(**json.loads(line))
