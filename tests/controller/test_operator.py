"""The operator's parts, put together: what is left of them when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mageflow.controller import operator
from mageflow.controller.namespace_poller import NamespacePoller
from mageflow.controller.operator import Operator
from mageflow.controller.settings import Settings
from mageflow.kube.transport import Raw

from .documents import namespace


class Reader:
    """Stands where the client does, and has one Namespace; its lists are empty, and its watches are silent."""

    def __init__(self) -> None:
        self.watched_at: dict[str, float] = {}

    async def request(self, *_: Any, **__: Any) -> Raw:
        return {"items": [], **namespace()}

    @asynccontextmanager
    async def lines(self, *_: Any) -> AsyncIterator[AsyncIterator[bytes]]:
        async def wait() -> AsyncIterator[bytes]:
            await asyncio.Event().wait()
            yield b""

        yield wait()


def test_no_task_is_left_to_kopf_when_the_work_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    """Namespaces were polled until kopf's end, 5 s after its stop: the Lease ran out before it was given back.

    It has an event loop of its own, in which no other test's tasks are.
    """
    left: list[asyncio.Task[Any]] = []

    async def run_kopf(*arguments: Any) -> None:
        finish_work: Callable[[], Awaitable[None]] = arguments[-1]
        ours = asyncio.all_tasks()
        await let_all_run()
        assert asyncio.all_tasks() - ours, "the polls are tasks of their own"
        await finish_work()
        await let_all_run()
        left.extend(asyncio.all_tasks() - ours)

    monkeypatch.setattr(operator, "_run_kopf", run_kopf)
    monkeypatch.setattr(operator, "register_gauges", lambda *_: None)
    client: Any = Reader()
    poller = NamespacePoller(client, ("team", "other"))
    assert asyncio.run(Operator(Settings(namespaces=("team", "other")), client, poller).run()) == set()
    assert left == []


async def let_all_run() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
