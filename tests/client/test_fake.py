"""The fake of the pytest plugin, and through it the client where no cluster is needed.

That it does what a cluster does is shown by tests/integration/test_client.py.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import pytest

import mageflow
import mageflow.sync
from mageflow.testing import FakeCluster


def tasks(*names: str, retries: int = 0) -> list[mageflow.Task]:
    return [mageflow.task(name, image="x", retries=retries) for name in names]


async def start_chain(*names: str) -> mageflow.Chain:
    chain = await mageflow.chain(tasks(*names), name="x")
    await chain.start()
    return chain


async def test_nothing_exists_when_it_is_only_described(mageflow_fake: FakeCluster) -> None:
    chain = await mageflow.chain(tasks("a"), name="x")
    assert repr(chain) == "<Chain default/x, not started>"
    with pytest.raises(mageflow.NotFoundError):
        await mageflow.get("chain", "x")
    for call in (chain.status, chain.wait, chain.delete):
        with pytest.raises(mageflow.NotStartedError):
            await call()
    await chain.start()
    assert (await mageflow.get("mch", "x")).kind == "Chain"
    assert repr(chain) == "<Chain default/x>"


async def test_nothing_starts_when_it_is_started_suspended(mageflow_fake: FakeCluster) -> None:
    chain = await mageflow.chain(tasks("a", "b"), name="x")
    assert (await chain.suspend()).phase is None
    await chain.start()
    assert (await chain.status()).phase is mageflow.Phase.SUSPENDED
    assert mageflow_fake.started == []
    assert (await chain.resume(wait=True)).phase in ("Pending", "Active", "Succeeded")
    assert (await chain.wait()).progress == "2/2"


async def test_swarm_runs_so_many_at_once(mageflow_fake: FakeCluster) -> None:
    for name in "abc":
        mageflow_fake.task(name).keeps_running()
    swarm = await mageflow.swarm(tasks(*"abc"), name="x", max_concurrency=2)
    await swarm.start()
    assert (await swarm.status()).running == 2
    mageflow_fake.task("a").succeeds()
    assert mageflow_fake.started == ["x/a", "x/b", "x/c"]
    assert (await swarm.interrupt()).phase in ("Interrupting", "Interrupted")
    assert (await swarm.wait("Interrupted")).interruptions == 2
    with pytest.warns(mageflow.InconsistentWarning):
        await swarm.resume()
    assert (await swarm.cancel(wait=True)).phase is mageflow.Phase.CANCELED
    with pytest.raises(mageflow.InvalidError, match="canceled is final"):
        await swarm.resume()


async def test_retries_are_used_up_and_then_it_has_failed(mageflow_fake: FakeCluster) -> None:
    mageflow_fake.task("x/a").fails("no disk", logs=["trying"])
    chain = await mageflow.chain(tasks("a", "b", retries=2), name="x")
    await chain.start()
    with pytest.raises(mageflow.EndedError, match="no disk") as caught:
        await chain.wait()
    assert caught.value.status.failed == 1
    assert mageflow_fake.started == ["x/a"] * 3
    assert [(line.run, line.text) async for line in chain.logs()] == [(1, "trying"), (2, "trying"), (3, "trying")]


async def test_logs_are_followed_to_the_end(mageflow_fake: FakeCluster) -> None:
    mageflow_fake.task("a").keeps_running(logs=["one"])
    chain = await start_chain("a", "b")
    lines = chain.logs(follow=True)
    assert str(await anext(lines)) == "a: one"
    mageflow_fake.task("b").succeeds(logs=["three"])
    mageflow_fake.task("a").succeeds(logs=["two"])
    assert [str(line) async for line in lines] == ["a: two", "b: three"]


async def test_a_pending_pod_is_held_when_it_is_suspended(mageflow_fake: FakeCluster) -> None:
    mageflow_fake.task("work").stays_pending()
    workflow = await mageflow.workflow(tasks("work")[0])
    await workflow.start()
    assert (await workflow.suspend(wait=True)).phase is mageflow.Phase.SUSPENDED
    mageflow_fake.task("work").keeps_running()
    assert (await workflow.resume(wait=True)).phase is mageflow.Phase.ACTIVE
    assert (await workflow.status()).tasks[0].run == 2


async def test_deadline_error_tells_what_is_not_so_when_nothing_happens(mageflow_fake: FakeCluster) -> None:
    mageflow_fake.stop_operator()
    async with mageflow.Client(patience=0.05):
        chain = await start_chain("a")
        with pytest.raises(mageflow.DeadlineError, match="no operator has taken notice"):
            await chain.suspend()
        with pytest.raises(mageflow.DeadlineError, match="the operator has said nothing of it yet"):
            await chain.wait(seconds=0.05)
        mageflow_fake.start_operator()
        assert (await chain.wait("Suspended")).is_in_force


async def test_a_namespace_that_is_held_holds_what_is_in_it(mageflow_fake: FakeCluster) -> None:
    mageflow_fake.task("a").keeps_running()
    chain = await start_chain("a", "b")
    mageflow_fake.label_namespace("interrupted")
    status = await chain.wait("Interrupted")
    assert (status.lifecycle, status.lifecycle_source, status.interruptions) == ("interrupted", "namespace", 1)
    mageflow_fake.task("a").succeeds()
    mageflow_fake.label_namespace(None)
    assert (await chain.wait()).progress == "2/2"
    assert mageflow_fake.started == ["x/a", "x/a", "x/b"]


async def test_a_back_off_passes_at_once_and_not_while_it_is_held(mageflow_fake: FakeCluster) -> None:
    mageflow_fake.task("a").keeps_running()
    chain = await mageflow.chain(tasks("a", retries=1), name="x")
    await chain.start()
    await chain.suspend()
    mageflow_fake.task("a").fails(times=1)
    assert (await chain.wait("Suspended")).tasks[0].phase == "BackingOff"
    await chain.resume()
    assert (await chain.wait()).tasks[0].failures == 1


async def test_it_is_gone_when_it_is_deleted(mageflow_fake: FakeCluster) -> None:
    chain = await start_chain("a")
    await chain.delete(wait=True)
    with pytest.raises(mageflow.NotFoundError):
        await chain.status()
    await (await mageflow.chain(tasks("b"), name="x")).start()
    with pytest.raises(mageflow.NotFoundError, match="was deleted"):
        await chain.suspend()


async def test_each_client_is_used_in_its_own_block_and_task(mageflow_fake: FakeCluster) -> None:
    async def namespace() -> str:
        return (await mageflow.chain(tasks("a"), name="x")).namespace

    async def in_a_block_of_its_own() -> str:
        async with mageflow.Client(namespace="c"):
            await asyncio.sleep(0)
            return await namespace()

    async with mageflow.Client(namespace="a"):
        async with mageflow.Client(namespace="b") as inner:
            assert await namespace() == "b"
        found = await asyncio.gather(namespace(), in_a_block_of_its_own(), namespace())
        assert tuple(found) == ("a", "c", "a")
        assert (await mageflow.chain(tasks("a"), name="x", client=inner)).namespace == "b"
        assert (await mageflow.chain(tasks("a"), name="x", namespace="d")).namespace == "d"
    assert await namespace() == "default"


@pytest.mark.usefixtures("mageflow_fake")
async def test_a_client_that_is_entered_twice_is_left_twice() -> None:
    async def namespace() -> str:
        return (await mageflow.chain(tasks("a"), name="x")).namespace

    client = mageflow.Client(namespace="a")
    async with client:
        async with mageflow.Client(namespace="b"), client:
            connection = await client.open()
            assert await namespace() == "a"
        assert await client.open() is connection, "the outer block still needs it"
        assert await namespace() == "a"
    assert await namespace() == "default"
    async with client:
        pass
    assert await client.open() is not connection
    assert await namespace() == "default"


@pytest.mark.usefixtures("mageflow_fake")
async def test_blocks_that_end_in_another_order_or_context_leave_the_others_alone() -> None:
    async def namespace() -> str:
        return (await mageflow.chain(tasks("a"), name="x")).namespace

    first, second = mageflow.Client(namespace="a"), mageflow.Client(namespace="b")
    first.enter()
    second.enter()
    assert await asyncio.create_task(leave(first)), "as the end of a fixture does, which is a task of its own"
    first.leave()
    assert await namespace() == "b"
    second.leave()
    assert await namespace() == "default"


async def leave(client: mageflow.Client) -> bool:
    return client.leave()


def test_sync_and_the_test_work_side_by_side(mageflow_fake: FakeCluster) -> None:
    """The code under test waits in one thread while the test says in another what tasks do."""
    mageflow_fake.task("a").keeps_running(logs=["one"])
    seen: list[str] = []

    def run() -> None:
        chain = mageflow.sync.chain(tasks("a"), name="x")
        chain.start()
        seen.append(mageflow.sync.get("chain", "x").name)
        for line in chain.logs(follow=True):
            seen.append(line.text)
            running.set()
        seen.append(str(chain.wait().phase))
        chain.delete()

    running = threading.Event()
    thread = threading.Thread(target=run)
    thread.start()
    assert running.wait(30)
    mageflow_fake.task("a").succeeds(logs=["two"])
    thread.join(30)
    assert seen == ["x", "one", "two", "Succeeded"]


def test_sync_iteration_may_be_left(mageflow_fake: FakeCluster) -> None:
    mageflow_fake.task("a").keeps_running()
    chain = mageflow.sync.chain(tasks("a"), name="x")
    chain.start()
    for status in chain.watch():
        assert status.phase == "Active"
        break
    assert chain.interrupt(wait=True).phase == "Interrupted"
    with pytest.raises(mageflow.DeadlineError):
        chain.wait(seconds=0.05)


def test_a_block_of_a_sync_client_is_of_its_own_thread(mageflow_fake: FakeCluster) -> None:
    with mageflow.sync.Client(namespace="a"):
        found: list[str] = []
        thread = threading.Thread(target=lambda: found.append(mageflow.sync.chain(tasks("a"), name="x").namespace))
        thread.start()
        thread.join()
        assert [*found, mageflow.sync.chain(tasks("a"), name="x").namespace] == ["default", "a"]
    assert mageflow.sync.chain(tasks("a"), name="x").namespace == "default"


def test_sync_caller_is_free_again_when_it_is_interrupted_by_ctrl_c(mageflow_fake: FakeCluster) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where the tests are started with `&`
    mageflow_fake.task("a").keeps_running()
    chain = mageflow.sync.chain(tasks("a"), name="x")
    chain.start()
    for wait in (chain.wait, lambda: list(chain.watch())):
        timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            wait()
        timer.join()
    signal.signal(signal.SIGINT, before)
    assert chain.interrupt(wait=True).phase == "Interrupted"
