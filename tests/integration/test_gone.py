"""What ended while the operator was down, and is gone when it looks: the Job controller's events are the real ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from .control import condition
from .kubelet import OnSigterm, drain
from .stage import Namespace, Workflow


@asynccontextmanager
async def down(namespace: Namespace) -> AsyncIterator[None]:
    """Be without the operator."""
    namespace.operator.kill()
    try:
        yield
    finally:
        await namespace.operator.start()


async def wait_for_job(workflow: Workflow, type_: str) -> str:
    """Wait until its Job has a condition; return the Job's path."""

    async def is_met() -> str | None:
        (job,) = await workflow.jobs()
        has_it = condition(job.get("status") or {}, type_).get("status") == "True"
        return f"/apis/batch/v1/namespaces/{workflow.namespace.name}/jobs/{job['metadata']['name']}" if has_it else None

    return await workflow.wait_until(f"its Job is {type_}", is_met)


async def delete_pods(workflow: Workflow) -> None:
    for pod in await workflow.pods():
        await workflow.namespace.api.delete(
            f"/api/v1/namespaces/{workflow.namespace.name}/pods/{pod['metadata']['name']}"
        )
    await workflow.wait_until_none_of("pods")


async def drop_events(workflow: Workflow) -> None:
    """Drop all events once the Job controller has written its last, as the API server does after an hour."""
    path = f"/api/v1/namespaces/{workflow.namespace.name}/events"

    async def is_met() -> bool:
        return any(event["reason"] == "Completed" for event in await workflow.namespace.api.list(path))

    await workflow.wait_until("the Job controller has told of the Job's end", is_met)
    await workflow.namespace.api.delete(path)


@pytest.mark.parametrize("taken", ["the Job", "the pod"])
async def test_success_is_one_and_its_output_told_as_lost_when_a_cleanup_came_first(
    namespace: Namespace, taken: str
) -> None:
    workflow, pod = await namespace.create_running()
    async with down(namespace):
        await namespace.kubelet.succeed(pod, output="gone with the pod")
        job = await wait_for_job(workflow, "Complete")
        if taken == "the Job":
            await namespace.api.delete(job, propagationPolicy="Background")
            await workflow.wait_until_none_of("pods")
        else:
            await delete_pods(workflow)
    status = await workflow.wait_for("Succeeded", run=1)
    assert status.get("output") is None
    assert status["tasks"][0]["reason"] == "OutputLost"
    assert "output is lost" in condition(status, "Ready")["message"]
    await workflow.wait_for_events("OutputLost")


async def test_pod_that_was_evicted_and_exited_0_runs_again_when_it_is_gone(namespace: Namespace) -> None:
    """Its Job is Complete, the same sight as of a success."""
    namespace.kubelet.on_sigterm(namespace.name, OnSigterm.EXIT_0)
    workflow, pod = await namespace.create_running()
    async with down(namespace):
        await drain(namespace.api, pod)
        await wait_for_job(workflow, "Complete")
        await workflow.wait_until_none_of("pods")
    second = await workflow.wait_for_pod(run=2)
    await namespace.kubelet.start(second)
    await namespace.kubelet.succeed(second)
    status = await workflow.wait_for("Succeeded", run=2)
    assert (status["tasks"][0]["disruptions"], status["tasks"][0].get("failures", 0)) == (1, 0)


async def test_task_runs_again_and_says_so_when_nothing_is_left_to_tell_how_it_ended(namespace: Namespace) -> None:
    namespace.kubelet.on_sigterm(namespace.name, OnSigterm.EXIT_0)
    workflow, pod = await namespace.create_running()
    async with down(namespace):
        await drain(namespace.api, pod)
        job = await wait_for_job(workflow, "Complete")
        await namespace.api.delete(job, propagationPolicy="Background")
        await workflow.wait_until_none_of("pods")
        await drop_events(workflow)
    second = await workflow.wait_for_pod(run=2)
    await namespace.kubelet.start(second)
    await namespace.kubelet.succeed(second, output="the second")
    status = await workflow.wait_for("Succeeded", run=2)
    assert (status["output"], status["tasks"][0]["disruptions"]) == ("the second", 1)
    assert await workflow.event_reasons() == ["OutcomeUnknown"]
