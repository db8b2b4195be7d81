"""Two operators, of which one acts: the one that holds the Lease. It is killed, stopped, and frozen in its tracks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from devkit.patience import PATIENCE
from mageflow.controller.lease import LEASE_SECONDS

from .admission import JOBS, Webhook, webhook
from .player import Player
from .process import COMMAND, Operator
from .stage import Namespace
from .test_many_rounds import TEMPO, check_all, play_rounds
from .wire import Write

KILLS: Final = 3
"""How often the leader is killed in the storm."""

LONGEST_REIGN: Final = 3.0
"""Seconds for which a leader acts before it is killed."""


@dataclass
class Replicas:
    """Two operators that know the leader only by the Lease."""

    namespace: Namespace
    operators: tuple[Operator, ...]

    async def holder(self) -> str:
        """Return who holds the Lease, empty if nobody does."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace.name}/leases/mageflow-operator"
        lease = await self.namespace.api.find(path)
        return "" if lease is None else lease["spec"].get("holderIdentity") or ""

    async def leader(self) -> tuple[Operator, str]:
        """Wait until somebody holds the Lease who runs and has said so; return that operator, and its identity."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while True:
            holder = await self.holder()
            for operator in self.operators:
                if holder and operator.is_running and f"is held by {holder}" in operator.log:
                    return operator, holder
            assert asyncio.get_running_loop().time() < deadline, f"no leader; the Lease is held by {holder!r}"
            await asyncio.sleep(0.02)

    async def successor_of(self, identity: str) -> tuple[Operator, str]:
        """Wait until another holds the Lease."""
        while True:
            found = await self.leader()
            if found[1] != identity:
                return found
            await asyncio.sleep(0.02)


@pytest_asyncio.fixture
async def replicas(
    namespace: Namespace, wired: tuple[object, Path], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Replicas]:
    namespace.operator.kill()
    command = (*COMMAND, "--leader-elect", "--lease-namespace", namespace.name)
    operators = tuple(Operator(wired[1], tmp_path_factory.mktemp("replica"), command) for _ in range(2))
    await asyncio.gather(*(operator.start() for operator in operators))
    yield Replicas(namespace, operators)
    for operator in operators:
        operator.kill()
        assert "Traceback" not in operator.log, operator.log[-6000:]


async def test_another_acts_when_the_leader_is_killed(replicas: Replicas) -> None:
    namespace = replicas.namespace
    leader, identity = await replicas.leader()
    workflow, _ = await namespace.create_running("before")
    leader.kill()
    killed_at = asyncio.get_running_loop().time()
    await workflow.set_lifecycle("interrupted")
    await workflow.wait_for("Interrupted")
    took = asyncio.get_running_loop().time() - killed_at
    _, successor = await replicas.leader()
    assert successor != identity
    print(f"\n{took:.1f} s from the kill to Interrupted; the Lease lasts {LEASE_SECONDS} s")  # noqa: T201


async def test_another_acts_at_once_when_the_leader_is_stopped(replicas: Replicas) -> None:
    """SIGTERM: it finishes what it has in hand, and gives the Lease back."""
    namespace = replicas.namespace
    leader, identity = await replicas.leader()
    (follower,) = (operator for operator in replicas.operators if operator is not leader)
    follower.pause()
    await leader.stop()
    assert await replicas.holder() == "", "given back: it need not be waited for"
    follower.resume()
    resumed_at = asyncio.get_running_loop().time()
    workflow = await namespace.create("after")
    await workflow.wait_for_pod()
    took = asyncio.get_running_loop().time() - resumed_at
    assert (await replicas.leader())[1] != identity
    print(f"\n{took:.1f} s from when the Lease was given back to the next pod")  # noqa: T201


async def test_lease_is_given_back_last_when_the_leader_is_stopped_with_work_in_hand(replicas: Replicas) -> None:
    """It still leads while what it has written ahead isn't done."""
    namespace = replicas.namespace
    workflow, _ = await namespace.create_running("task")
    leader, identity = await replicas.leader()
    (follower,) = (operator for operator in replicas.operators if operator is not leader)
    follower.pause()
    with namespace.hold(Write.STOP_JOB) as stop:
        await workflow.set_lifecycle("interrupted")
        await stop.wait()
        ending = asyncio.create_task(leader.stop())
        await workflow.wait_until("the leader has heard", lambda: _is_ending(leader))
        assert await replicas.holder() == identity
    await ending
    follower.resume()
    stops = [write.code for write in namespace.writes() if (write.verb, write.resource) == ("patch", "jobs")]
    assert stops == [200]
    await workflow.wait_for("Interrupted")
    assert (await replicas.leader())[1] != identity


async def test_job_is_made_when_an_admission_takes_longer_than_the_lease_lasts(
    replicas: Replicas, tmp_path: Path
) -> None:
    """The leader gave up each request at the end of its Lease: no Job was ever made, and the status stayed empty."""
    namespace = replicas.namespace
    _, identity = await replicas.leader()
    async with webhook(namespace, tmp_path, JOBS, Webhook(seconds=LEASE_SECONDS + 2)):
        workflow = await namespace.create("work")
        await workflow.wait_for("Pending")
        await workflow.wait_for_pod(run=1)
    assert (await replicas.leader())[1] == identity, "it has led all the time"
    assert len(await workflow.jobs()) == 1


async def test_frozen_leader_does_nothing_when_it_wakes_up(replicas: Replicas) -> None:
    """It was to stop a task, and slept through the end of its Lease: another acts by then, as is wished for by then."""
    namespace = replicas.namespace
    workflow, _ = await namespace.create_running("task")
    leader, identity = await replicas.leader()
    leader.pause()
    await workflow.set_lifecycle("interrupted")
    await replicas.successor_of(identity)
    await workflow.wait_for("Interrupted")
    await workflow.set_lifecycle("active")
    second = await workflow.wait_for_pod(run=2)
    await namespace.kubelet.start(second)
    await workflow.wait_for("Active", ready="Running", run=2)
    leader.resume()
    await namespace.wait_until_quiet(2.0)
    assert await replicas.holder() != identity
    await namespace.kubelet.succeed(second)
    await workflow.wait_for("Succeeded", run=2)


async def test_promises_hold_when_leaders_are_killed_in_a_storm(replicas: Replicas) -> None:
    """Each is started again as a follower: what it knew is gone, and what the other does isn't its own."""
    namespace = replicas.namespace
    seed = random.randrange(10**6)
    chance = random.Random(seed)
    reigns = 0
    async with Player(namespace, seed, TEMPO):
        playing = asyncio.create_task(play_rounds(namespace, seed))
        while not playing.done() or reigns < KILLS:
            leader, identity = await replicas.leader()
            reigns += 1
            await asyncio.wait((playing,), timeout=chance.uniform(0, LONGEST_REIGN))
            if reigns > KILLS:
                break
            leader.kill()
            await replicas.successor_of(identity)
            await leader.start()
        await playing
    await namespace.wait_until_quiet(2.0)
    check_all(namespace)
    print(f"\nseed {seed}: {reigns} leaders")  # noqa: T201


async def _is_ending(operator: Operator) -> bool:
    return operator.is_ending
