"""The wait for many requests at once, on the fake: which watches it needs, and what becomes of each request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

import mageflow
from mageflow.api import CHAIN, WORKFLOW, Kind, Lifecycle
from mageflow.client.connection import Connection, open_connection
from mageflow.client.handle import ObjectHandle, ObjectRef
from mageflow.client.lifecycle_requests import LifecycleRequest, send_request
from mageflow.client.scopes import MAX_NAMED
from mageflow.client.waiter import Answer, Failure, Outcome, Waiter
from mageflow.testing import FakeCluster

SUSPENDED = Lifecycle.SUSPENDED


async def start(*names: str) -> None:
    for name in names:
        await (await mageflow.chain([mageflow.task("work", image="x")], name=name)).start()


async def handle_of(name: str, kind: Kind = CHAIN) -> ObjectHandle:
    resource = await mageflow.get(kind.singular, name)
    uid = (await resource._started().read())["metadata"]["uid"]
    return ObjectHandle(ObjectRef(await open_connection(None), kind, resource.namespace, name), uid)


async def suspend(*names: str) -> list[tuple[ObjectHandle, LifecycleRequest]]:
    handles = [await handle_of(name) for name in names]
    return [(handle, await send_request(handle, SUSPENDED)) for handle in handles]


class Seen:
    """What a Waiter tells."""

    def __init__(self) -> None:
        self.changes: list[str] = []
        self.outcomes: dict[str, Outcome] = {}

    def waiter(self, connection: Connection, **options: Any) -> Waiter:
        return Waiter(
            connection,
            on_change=lambda uid, _: self.changes.append(uid),
            on_end=self.outcomes.__setitem__,
            **options,
        )

    def errors(self) -> list[type[Exception] | None]:
        return [type(it.error) if isinstance(it, Failure) else None for it in self.outcomes.values()]


@pytest.fixture
def watches(mageflow_fake: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The field selectors of all watches that are opened."""
    opened: list[str] = []
    server, lines = mageflow_fake.transport, mageflow_fake.transport.lines

    def note(path: str, query: Mapping[str, str]) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        opened.append(query.get("fieldSelector", "all"))
        return lines(path, query)

    monkeypatch.setattr(server, "lines", note)
    return opened


async def test_one_request_has_one_watch_of_its_one_object(mageflow_fake: FakeCluster, watches: list[str]) -> None:
    mageflow_fake.task("work").keeps_running()
    await start("a", "b")
    with pytest.raises(mageflow.DeadlineError, match="isn't in force: Suspending"):
        await (await mageflow.get("chain", "a")).suspend(wait=True, seconds=0.05)
    assert watches == ["metadata.name=a"]


async def test_each_has_a_watch_when_they_are_few_and_all_have_one_when_they_are_many(
    mageflow_fake: FakeCluster, watches: list[str]
) -> None:
    mageflow_fake.task("work").keeps_running()
    names = [f"n{number:02}" for number in range(MAX_NAMED + 1)]
    await start(*names, "other")
    connection = await open_connection(None)
    for some, expected in ((names[:2], ["metadata.name=n00", "metadata.name=n01"]), (names, ["all"])):
        watches.clear()
        seen = Seen()
        waiting = asyncio.create_task(
            seen.waiter(connection, until_in_force=True, seconds=0.05).run(await suspend(*some))
        )
        await waiting
        assert sorted(watches) == expected
        assert len(seen.changes) == len(some), "each is at work, and told once"
        assert seen.errors() == [mageflow.DeadlineError] * len(some)


async def test_each_goes_its_own_way(mageflow_fake: FakeCluster) -> None:
    """One is overtaken, one deleted, one made anew, one is in force: none keeps the others from their outcome."""
    mageflow_fake.task("work").keeps_running()
    await start("overtaken", "deleted", "anew", "held")
    requests = await suspend("overtaken", "deleted", "anew", "held")
    await (await mageflow.get("chain", "overtaken")).resume()
    for name in ("deleted", "anew"):
        await (await mageflow.get("chain", name)).delete()
    await start("anew")
    mageflow_fake.task("held/work").succeeds()
    seen = Seen()
    await seen.waiter(await open_connection(None), until_in_force=True).run(requests)
    named = {handle.ref.name: seen.outcomes[handle.uid] for handle, _ in requests}
    found = {name: type(it.error) if isinstance(it, Failure) else Answer for name, it in named.items()}
    assert found == {
        "overtaken": mageflow.OvertakenError, "deleted": mageflow.NotFoundError, "anew": mageflow.NotFoundError,
        "held": Answer,
    }  # fmt: skip


async def test_patience_with_the_operator_begins_anew_with_each_answer(mageflow_fake: FakeCluster) -> None:
    """Of many that it has to answer, the last may be late: it does answer."""
    mageflow_fake.task("work").keeps_running()
    await start("a", "b")
    mageflow_fake.stop_operator()
    connection = Connection((await open_connection(None)).transport, "default", patience=1.0)
    requests = await suspend("a", "b")
    seen = Seen()
    waiting = asyncio.create_task(seen.waiter(connection, until_in_force=False).run(requests))
    await asyncio.sleep(0.2)
    resource = await requests[0][0].read()
    mageflow_fake.transport.write_status(resource, {**resource["status"], "observedGeneration": 2})
    answered_at = asyncio.get_running_loop().time()
    await waiting
    assert asyncio.get_running_loop().time() - answered_at > 0.95
    assert seen.errors() == [None, mageflow.DeadlineError]
    assert "no operator has taken notice: is one running?" in str(seen.outcomes[requests[1][1].uid])


async def test_a_suspend_that_finds_its_task_running_is_taken_back(mageflow_fake: FakeCluster) -> None:
    """By the Waiter, whoever waits: it stood in the client's own wait only."""
    mageflow_fake.task("work").stays_pending()
    await (await mageflow.workflow(mageflow.task("work", image="x"))).start()
    handle = await handle_of("work", WORKFLOW)
    mageflow_fake.stop_operator()
    request = await send_request(handle, SUSPENDED)
    mageflow_fake.start_operator()
    written = await handle.read()
    status = {**written["status"], "observedGeneration": 2, "phase": "Active", "conditions": [
        {"type": "Ready", "status": "False", "reason": "TaskAlreadyRunning", "message": "run 1 runs",
         "observedGeneration": 2, "lastTransitionTime": "2026-11-24T12:00:00Z"}
    ]}  # fmt: skip
    mageflow_fake.transport.write_status(written, status)
    seen = Seen()
    await seen.waiter(handle.ref.connection, until_in_force=True).run([(handle, request)])
    (outcome,) = seen.outcomes.values()
    assert isinstance(outcome, Failure)
    assert isinstance(outcome.error, mageflow.TaskAlreadyRunningError)
    assert outcome.error.is_taken_back
    assert (await handle.read())["spec"]["lifecycle"] == "active"


async def test_resume_returns_when_the_namespace_holds_what_has_still_to_finish(mageflow_fake: FakeCluster) -> None:
    """It waited for the task that runs, though nothing more comes of the resume."""
    mageflow_fake.task("work").keeps_running()
    await start("a")
    chain = await mageflow.get("chain", "a")
    mageflow_fake.label_namespace("suspended")
    status = await chain.resume(wait=True)
    assert status.phase is mageflow.Phase.SUSPENDING
    assert status.is_held_by_namespace


async def test_an_error_of_a_watch_is_the_outcome_of_what_it_was_to_tell_of(
    mageflow_fake: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    mageflow_fake.task("work").keeps_running()
    await start("mine", "other")
    requests = await suspend("mine", "other")
    server, ask = mageflow_fake.transport, mageflow_fake.transport.request

    async def refuse(method: str, path: str, body: Any = None, **options: Any) -> Any:
        if (options.get("query") or {}).get("fieldSelector") == "metadata.name=other":
            raise mageflow.ForbiddenError(403, "Forbidden", "not yours")
        return await ask(method, path, body, **options)

    monkeypatch.setattr(server, "request", refuse)
    seen = Seen()
    await seen.waiter(await open_connection(None), until_in_force=False).run(requests)
    outcomes = [seen.outcomes[request.uid] for _, request in requests]
    assert isinstance(outcomes[0], Answer)
    assert isinstance(outcomes[1], Failure)
    assert isinstance(outcomes[1].error, mageflow.ForbiddenError)


async def test_nothing_is_asked_when_there_is_nothing_to_wait_for(watches: list[str]) -> None:
    await Seen().waiter(await open_connection(None), until_in_force=True).run([])
    assert watches == []
