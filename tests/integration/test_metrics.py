"""What an operator tells Prometheus, asked over HTTP while it works."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from prometheus_client.parser import text_string_to_metric_families

from devkit.patience import PATIENCE

from .process import COMMAND, Operator, free_port
from .stage import Namespace

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


class Exporter:
    """The operator's /metrics."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def read(self) -> Samples:
        url = f"http://127.0.0.1:{self.port}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            text = await answer.text()
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}

    async def wait_for(self, name: str, value: float, **labels: str) -> None:
        """Wait until a sample has a value."""
        deadline = asyncio.get_running_loop().time() + PATIENCE
        while (found := (await self.read()).get((name, frozenset(labels.items())))) != value:
            assert asyncio.get_running_loop().time() < deadline, f"{name} {labels} is {found}, not {value}"
            await asyncio.sleep(0.1)


@pytest_asyncio.fixture
async def exporter(
    namespace: Namespace, wired: tuple[object, Path], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Exporter]:
    """An operator of the test's own, which does nothing else."""
    namespace.operator.kill()
    port = free_port()
    command = (*COMMAND[:-1], "--namespace", namespace.name, "--metrics-port", str(port))
    operator = Operator(wired[1], tmp_path_factory.mktemp("measured"), command)
    await operator.start()
    yield Exporter(port)
    operator.kill()
    assert "Traceback" not in operator.log, operator.log[-6000:]


async def test_metrics_tell_what_happens(namespace: Namespace, exporter: Exporter) -> None:
    held = await namespace.create("held")
    await held.wait_for_pod()
    await held.wait_for("Pending")
    await held.set_lifecycle("suspended")
    await held.wait_for("Suspended")
    done, pod = await namespace.create_running("done")
    await namespace.kubelet.succeed(pod)
    await done.wait_for("Succeeded")
    failed, pod = await namespace.create_running("failed")
    await namespace.kubelet.fail(pod)
    await failed.wait_for("Failed")
    stopped, _ = await namespace.create_running("stopped")
    await stopped.set_lifecycle("interrupted")
    await stopped.wait_for("Interrupted")

    for phase in ("Suspended", "Succeeded", "Failed", "Interrupted"):
        await exporter.wait_for("mageflow_resources", 1, kind="Workflow", phase=phase)
    for outcome in ("held", "succeeded", "failed", "interrupted"):
        await exporter.wait_for("mageflow_runs_total", 1, kind="Workflow", outcome=outcome)
    await exporter.wait_for("mageflow_transition_seconds_count", 1, kind="Workflow", lifecycle="suspended")
    await exporter.wait_for("mageflow_transition_seconds_count", 1, kind="Workflow", lifecycle="interrupted")
    await exporter.wait_for("mageflow_queue_depth", 0)
    await exporter.wait_for("mageflow_is_leader", 1)
    samples = await exporter.read()
    assert samples["mageflow_api_requests_total", frozenset({("verb", "POST"), ("code", "201")})] >= 4
    assert samples["mageflow_reconcile_seconds_count", frozenset({("kind", "Workflow")})] > 0
    for resource in ("workflows", "chains", "swarms", "jobs", "pods"):
        assert samples["mageflow_watch_starts_total", frozenset({("resource", resource)})] >= 1


async def test_series_do_not_grow_with_the_number_of_resources(namespace: Namespace, exporter: Exporter) -> None:
    for number in range(2):
        workflow, pod = await namespace.create_running(f"w{number}")
        await namespace.kubelet.succeed(pod)
        await workflow.wait_for("Succeeded")
    await namespace.wait_until_quiet()
    before = await exporter.read()
    for number in range(2, 12):
        workflow, pod = await namespace.create_running(f"w{number}")
        await namespace.kubelet.succeed(pod)
        await workflow.wait_for("Succeeded")
    await exporter.wait_for("mageflow_resources", 12, kind="Workflow", phase="Succeeded")
    after = await exporter.read()
    news = {sample for sample in after.keys() - before.keys() if sample[0] != "mageflow_reconcile_errors_total"}
    assert not {name for name, _ in news if not name.endswith("_created")}, "as many series as there were"


async def test_a_port_that_is_taken_is_told(
    namespace: Namespace, wired: tuple[object, Path], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))  # noqa: S104 - as the operator does
        taken.listen()
        port = taken.getsockname()[1]
        operator = Operator(wired[1], tmp_path_factory.mktemp("taken"), (*COMMAND, "--metrics-port", str(port)))
        with pytest.raises(AssertionError, match="ended while starting"):
            await operator.start()
        assert f"/metrics can't be served on port {port}: Address already in use" in operator.log
        assert "Traceback" not in operator.log
