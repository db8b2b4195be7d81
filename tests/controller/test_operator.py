"""The operator's parts, put together: what is left of them when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mageflow.api import WORKFLOW
from mageflow.controller import operator
from mageflow.controller.namespace_poller import NamespacePoller
from mageflow.controller.operator import Operator
from mageflow.controller.settings import Settings
from mageflow.kube.transport import Raw

from .documents import namespace, resource


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


@pytest.fixture
def operator_of_two(monkeypatch: pytest.MonkeyPatch) -> tuple[Operator, list[str]]:
    """An operator that knows two Workflows, the second of which is to be suspended; and what it has reconciled."""
    monkeypatch.setattr(operator, "register_gauges", lambda *_: None)
    client: Any = Reader()
    made = Operator(Settings(workers=1), client, None)
    made._caches.namespaces.upsert(namespace())
    for uid, lifecycle in (("active", "active"), ("suspended", "suspended")):
        spec = {"lifecycle": lifecycle, "template": {"spec": {"containers": []}}}
        made._caches.upsert_resource(WORKFLOW, resource(uid=uid, spec=spec))
    reconciled: list[str] = []

    async def note(uid: str) -> None:
        reconciled.append(uid)

    monkeypatch.setattr(made._reconciler, "reconcile", note)
    return made, reconciled


async def work_off(made: Operator) -> None:
    for uid in made._caches.uids():
        made._queue.add(uid)
    working = asyncio.create_task(made._queue.run())
    await let_all_run()
    made._queue.close()
    await working


async def test_nothing_is_reconciled_before_all_that_there_is_is_known(
    operator_of_two: tuple[Operator, list[str]],
) -> None:
    """A watch may have told of a resource, and not of its Jobs yet."""
    made, reconciled = operator_of_two
    await work_off(made)
    assert reconciled == []


async def test_what_is_to_be_stopped_is_reconciled_first(operator_of_two: tuple[Operator, list[str]]) -> None:
    made, reconciled = operator_of_two
    made._has_begun = True
    await work_off(made)
    assert reconciled == ["suspended", "active"]
