"""Bad input is told with its field before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest

import mageflow
from mageflow.testing import FakeCluster


def causes_of(error: mageflow.InvalidError) -> list[str]:
    return [cause.field for cause in error.causes]


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"image": "x", "retries": -1}, "retries"),
        ({"image": "x", "timeout_seconds": 0}, "timeoutSeconds"),
        ({"image": "x", "template": {}}, "template"),
        ({"command": ["x"]}, "image"),
        ({"image": "x", "command": "sh -c true"}, "command"),
        ({"image": "x", "args": "true"}, "args"),
        ({"template": "x"}, "template"),
    ],
)
def test_invalid_error_names_the_field_when_a_task_is_wrong(options: dict[str, Any], field: str) -> None:
    with pytest.raises(mageflow.InvalidError, match=rf"task a is invalid:\n  {field}: ") as caught:
        mageflow.task("a", **options)
    assert causes_of(caught.value) == [field]


@pytest.mark.parametrize("name", ["", "A", "a" * 64])
def test_invalid_error_names_the_name_when_it_is_wrong(name: str) -> None:
    with pytest.raises(mageflow.InvalidError) as caught:
        mageflow.task(name, image="x")
    assert causes_of(caught.value) == ["name"]


async def test_all_causes_are_told_with_their_paths_when_a_chain_is_wrong(mageflow_fake: FakeCluster) -> None:
    with pytest.raises(mageflow.InvalidError) as caught:
        await mageflow.chain([mageflow.task("a"), mageflow.task("b")], name="x")
    assert causes_of(caught.value) == ["spec.tasks[0].template", "spec.tasks[1].template"]
    with pytest.raises(mageflow.InvalidError) as caught:
        await mageflow.chain([], name="x")
    assert causes_of(caught.value) == ["spec.tasks"]


async def test_invalid_error_names_the_kind_and_the_phase_that_there_are_not(mageflow_fake: FakeCluster) -> None:
    with pytest.raises(mageflow.InvalidError, match="'job' is none of Workflow, Chain, Swarm"):
        await mageflow.get("job", "x")
    chain = await mageflow.chain([mageflow.task("a", image="x")], name="x")
    await chain.start()
    with pytest.raises(mageflow.InvalidError, match="'Done' is not a valid Phase; there are Pending"):
        await chain.wait("Done")


async def test_input_null_is_an_input(mageflow_fake: FakeCluster) -> None:
    workflow = await mageflow.workflow(mageflow.task("a", image="x", input=None), name="b", labels={"team": "c"})
    assert workflow.manifest == {
        "apiVersion": "mageflow.io/v1",
        "kind": "Workflow",
        "metadata": {"name": "b", "namespace": "default", "labels": {"team": "c"}},
        "spec": {"template": {"spec": {"containers": [{"name": "main", "image": "x"}]}}, "input": None},
    }
