"""The operator's clock is an hour off: how long something has lasted is measured by one clock.

The operator is started with another clock than the API server's; it has only one place where it reads it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from localcluster.controlplane import ControlPlane

from .process import Operator
from .stage import Namespace
from .test_races import job_controller_asleep
from .wire import Wire

CLOCK_IS_OFF: Final = """
from datetime import timedelta
from mageflow.controller.clock import Clock
now = Clock.now
Clock.now = lambda clock: now(clock) + timedelta(hours={hours})
from mageflow.controller.__main__ import main
main()
"""

NO_PODS: Final = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}


@pytest_asyncio.fixture(params=[-1, 1], ids=["behind", "ahead"])
async def off(
    request: pytest.FixtureRequest, namespace: Namespace, wired: tuple[Wire, Path], tmp_path: Path
) -> AsyncIterator[Namespace]:
    """The namespace, worked on by an operator whose clock is behind or ahead."""
    namespace.operator.kill()
    program = CLOCK_IS_OFF.format(hours=request.param)
    operator = Operator(wired[1], tmp_path, ("-c", program, "--all-namespaces"))
    await operator.start()
    yield namespace
    operator.kill()
    assert "Traceback" not in operator.log, operator.log[-6000:]


async def test_missing_pod_is_told_and_held_when_the_clock_is_off(off: Namespace) -> None:
    """Two minutes behind, a suspend took 104 s."""
    await off.api.create(f"/api/v1/namespaces/{off.name}/resourcequotas", NO_PODS)
    workflow = await off.create()
    await workflow.wait_for("Pending", ready="PodNotCreated")
    await workflow.set_lifecycle("suspended")
    await workflow.wait_for("Suspended")
    await workflow.wait_until_none_of("jobs")
    assert off.pods == []


async def test_job_without_a_pod_is_waited_for_when_the_clock_is_off(
    off: Namespace, control_plane: ControlPlane
) -> None:
    """Ahead, it was deleted at once, though its pod was on the way."""
    async with job_controller_asleep(control_plane):
        workflow = await off.create()
        await workflow.wait_for("Pending")
        await workflow.set_lifecycle("suspended")
        await workflow.wait_for("Suspending")
    await off.wait_for_write("pods/eviction", code=201)
    await workflow.wait_for("Suspended")
    writes = [write.resource for write in off.writes()]
    assert "jobs" not in writes[writes.index("jobs") + 1 : writes.index("pods/eviction")]


async def test_retry_comes_when_the_clock_is_off(off: Namespace) -> None:
    workflow, pod = await off.create_running(retries=1, retryPolicy={"backoffSeconds": 1})
    await off.kubelet.fail(pod)
    second = await workflow.wait_for_pod(run=2)
    await off.kubelet.start(second)
    await off.kubelet.succeed(second)
    await workflow.wait_for("Succeeded", run=2)
