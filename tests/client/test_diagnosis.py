"""What a client says when no operator answers: what the resource itself shows, before it asks whether one runs."""

from __future__ import annotations

from typing import Any

import pytest

import mageflow
from mageflow.testing import FakeCluster

POD = {"spec": {"containers": [{"name": "main", "image": "busybox:1.36"}]}}


async def start(cluster: FakeCluster, **spec: Any) -> mageflow.Workflow:
    """Start a Workflow that runs, with an operator that answers nothing from then on."""
    cluster.task("report").keeps_running()
    workflow = await mageflow.workflow(mageflow.task("report", template=POD, **spec), name="report")
    await workflow.start()
    cluster.stop_operator()
    return workflow


def mark(cluster: FakeCluster, **metadata: Any) -> None:
    """Change the metadata of the resource, as its deletion does."""
    server = cluster.transport.server("default")
    server.change("a finalizer's owner", "workflows", "report", lambda raw: raw["metadata"].update(metadata))


@pytest.mark.parametrize(
    ("verb", "said"),
    [
        ("interrupt", "an operator still stops its pods, now that spec.lifecycle is interrupted"),
        ("cancel", "an operator still stops its pods, now that spec.lifecycle is canceled"),
        ("suspend", "what runs goes on until it is gone; interrupt or cancel stops its pods"),
    ],
)
async def test_deletion_is_told_at_once_when_a_finalizer_keeps_it(
    mageflow_fake: FakeCluster, verb: str, said: str
) -> None:
    """After 60 s it was asked whether an operator runs."""
    async with mageflow.Client(patience=3600):
        workflow = await start(mageflow_fake)
        mark(mageflow_fake, deletionTimestamp="2026-11-24T12:00:00Z", finalizers=["example.com/backup"])
        with pytest.raises(mageflow.BeingDeletedError) as told:
            await getattr(workflow, verb)()
    for words in ("is being deleted since 2026-11-24T12:00:00Z", "the finalizers example.com/backup", said, "get pods"):
        assert words in str(told.value)
    assert (await workflow.status()).phase is mageflow.Phase.ACTIVE


async def test_refused_status_is_told_when_an_event_says_so(
    mageflow_fake: FakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = mageflow_fake.transport
    answer = server.request

    async def request(method: str, path: str, body: Any = None, **options: Any) -> Any:
        if not path.endswith("/events"):
            return await answer(method, path, body, **options)
        assert options["query"]["fieldSelector"].endswith(",reason=StatusNotWritten")
        messages = ["an older one", "the status can't be written: request is too large"]
        return {
            "items": [
                {"message": message, "lastTimestamp": f"2026-11-24T12:00:0{number}Z"}
                for number, message in reversed(list(enumerate(messages)))
            ]
        }

    monkeypatch.setattr(server, "request", request)
    async with mageflow.Client(patience=0.05):
        workflow = await start(mageflow_fake)
        with pytest.raises(mageflow.DeadlineError, match="taken notice: the status can't be written: request is too"):
            await workflow.interrupt()


async def test_size_is_told_when_it_leaves_no_room_for_a_status(mageflow_fake: FakeCluster) -> None:
    async with mageflow.Client(patience=0.05):
        workflow = await start(mageflow_fake, input="x" * 1_450_000)
        with pytest.raises(mageflow.DeadlineError, match=r"taken notice: it takes 1,45\d,\d\d\d bytes"):
            await workflow.interrupt()


async def test_operator_is_asked_for_when_nothing_else_is_known(mageflow_fake: FakeCluster) -> None:
    async with mageflow.Client(patience=0.05):
        workflow = await start(mageflow_fake)
        with pytest.raises(mageflow.DeadlineError, match="taken notice: is one running"):
            await workflow.interrupt()
