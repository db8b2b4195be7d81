"""The Python client on real pods: the program of the README, and logs, for which there must be a kubelet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

import mageflow
import mageflow.sync
from devkit.cluster import Cluster
from devkit.gate import GATE, open_gate
from devkit.kubectl import Kubectl
from devkit.patience import PATIENCE

COUNTS = "echo $MAGEFLOW_TASK begins; for i in $(seq 1 {}); do echo $i; sleep 1; done; echo {{}} > /dev/termination-log"


@pytest_asyncio.fixture
async def client(cluster: Cluster, kubectl: Kubectl) -> AsyncIterator[mageflow.Client]:
    async with mageflow.Client(kubeconfig=cluster.kubeconfig, namespace=kubectl.namespace) as client:
        yield client


def task(name: str, script: str, retries: int = 0) -> mageflow.Task:
    shell = ["sh", "-c", f"trap 'exit 143' TERM; {script}"]
    return mageflow.task(name, image="busybox:1.36", command=shell, retries=retries)


async def test_a_pausable_pipeline_pauses_and_goes_on(client: mageflow.Client, kubectl: Kubectl) -> None:
    tasks = [task("extract", GATE), task("load", "true")]
    workflow = await mageflow.chain(tasks, name="pausable-pipeline", client=client)
    await workflow.start()
    await workflow.wait("Active", seconds=PATIENCE)
    suspending = asyncio.create_task(workflow.suspend(wait=True, seconds=PATIENCE))
    await workflow.wait("Suspending", seconds=PATIENCE)
    await asyncio.to_thread(open_gate, kubectl, "chain/pausable-pipeline")
    status = await suspending
    assert (status.phase, status.progress) == (mageflow.Phase.SUSPENDED, "1/2")
    assert (await workflow.resume()).is_consistent
    assert (await workflow.wait(seconds=PATIENCE)).progress == "2/2"


async def test_a_running_task_is_interrupted_when_it_cannot_be_suspended(client: mageflow.Client) -> None:
    workflow = await mageflow.workflow(task("work", GATE), client=client)
    await workflow.start()
    await workflow.wait("Active", seconds=PATIENCE)
    try:
        status = await workflow.suspend(wait=True)
    except mageflow.TaskAlreadyRunningError:
        status = await workflow.interrupt(wait=True, seconds=PATIENCE)
    assert status.phase is mageflow.Phase.INTERRUPTED
    await workflow.delete(propagation_policy="Foreground", wait=True, seconds=PATIENCE)


async def test_lines_come_with_their_task_as_they_are_written_when_logs_are_followed(
    client: mageflow.Client, kubectl: Kubectl
) -> None:
    extract = f"{COUNTS.format(3)}; {GATE}"
    chain = await mageflow.chain([task("extract", extract), task("load", COUNTS.format(2))], name="x")
    await chain.start()
    lines: list[mageflow.LogLine] = []
    async for line in chain.logs(follow=True):
        lines.append(line)
        if str(line) == "extract: 3":  # it has come while the task runs, not after
            await asyncio.to_thread(open_gate, kubectl, "chain/x", "extract")

    expected = ["extract: extract begins", *[f"extract: {i}" for i in (1, 2, 3)]]
    expected += ["load: load begins", *[f"load: {i}" for i in (1, 2)]]
    assert [str(line) for line in lines] == expected
    assert (await chain.wait(seconds=PATIENCE)).has_ended
    assert [str(line) async for line in chain.logs()] == expected
    assert [line.text async for line in chain.logs(task="load")] == ["load begins", "1", "2"]


async def test_every_line_of_every_run_is_there_when_tasks_of_a_swarm_write_side_by_side(
    client: mageflow.Client,
) -> None:
    """Long lines, many lines, empty ones, a task that fails and is tried again."""
    long = "head -c 100000 /dev/zero | tr '\\0' x; echo"
    tasks = [
        task("many", "seq 5000"),
        task("long", long),
        task("empty", "echo; echo; echo end"),
        task("retried", 'echo run $MAGEFLOW_RUN; [ "$MAGEFLOW_RUN" = 2 ]', retries=1),
        task("silent", "true"),
    ]
    swarm = await mageflow.swarm(tasks, name="x")
    await swarm.start()
    followed = [line async for line in swarm.logs(follow=True)]
    await swarm.wait(seconds=PATIENCE)
    read = [line async for line in swarm.logs()]

    def texts(lines: list[mageflow.LogLine], name: str) -> list[str]:
        return [line.text for line in lines if line.task == name]

    for lines in (followed, read):
        assert texts(lines, "many") == [str(number) for number in range(1, 5001)]
        assert texts(lines, "long") == ["x" * 100000]
        assert texts(lines, "empty") == ["", "", "end"]
        assert texts(lines, "retried") == ["run 1", "run 2"]
        assert texts(lines, "silent") == []
    assert [line.run for line in read if line.task == "retried"] == [1, 2]


async def test_following_lasts_through_a_hold(client: mageflow.Client, kubectl: Kubectl) -> None:
    chain = await mageflow.chain([task("a", f"{COUNTS.format(1)}; {GATE}"), task("b", COUNTS.format(1))], name="x")
    await chain.start()
    texts: list[str] = []

    async def follow() -> None:
        async for line in chain.logs(follow=True):
            texts.append(str(line))

    following = asyncio.create_task(follow())
    await chain.wait("Active", seconds=PATIENCE)
    await chain.suspend()
    await asyncio.to_thread(open_gate, kubectl, "chain/x", "a")
    await chain.wait("Suspended", seconds=PATIENCE)
    assert not following.done()
    await chain.resume()
    await asyncio.wait_for(following, PATIENCE)
    assert texts == ["a: a begins", "a: 1", "b: b begins", "b: 1"]


async def test_following_may_be_left_before_the_end(client: mageflow.Client) -> None:
    workflow = await mageflow.workflow(task("work", f"{COUNTS.format(1)}; {GATE}"), client=client)
    await workflow.start()
    async for line in workflow.logs(follow=True):
        assert line.task == "main"
        break
    await workflow.cancel(wait=True, seconds=PATIENCE)


def test_sync_code_follows_logs_too(cluster: Cluster, kubectl: Kubectl) -> None:
    with mageflow.sync.Client(kubeconfig=cluster.kubeconfig, namespace=kubectl.namespace):
        chain = mageflow.sync.chain([task("a", COUNTS.format(2))], name="x")
        chain.start()
        assert [line.text for line in chain.logs(follow=True)] == ["a begins", "1", "2"]
        assert chain.wait().phase == mageflow.Phase.SUCCEEDED
