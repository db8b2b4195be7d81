"""The work queue, on the event loop that the operator runs on."""

from __future__ import annotations

import asyncio

import uvloop

from mageflow.controller.queue import WorkQueue


def test_key_is_worked_on_when_it_is_wanted_at_once_twice() -> None:
    """uvloop's handle of what is due at once has no `when`: asking it ended the operator."""
    worked_on: list[str] = []

    async def work() -> None:
        async def handle(key: str) -> None:
            worked_on.append(key)
            queue.close()

        queue = WorkQueue(handle, workers=1)
        for seconds in (60.0, 0.0, 0.0, 60.0):
            queue.add_after("key", seconds)
        await queue.run()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())
    assert worked_on == ["key"]
