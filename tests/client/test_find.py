"""What the command line needs of the client besides: resources found by their labels, and lifecycles only checked."""

from __future__ import annotations

import pytest

import mageflow
import mageflow.sync
from mageflow.testing import FakeCluster


async def start(name: str, namespace: str = "default", **labels: str) -> mageflow.Chain:
    chain = await mageflow.chain([mageflow.task("a", image="x")], name=name, namespace=namespace, labels=labels)
    await chain.start()
    return chain


async def test_resources_of_all_kinds_are_found_in_the_order_of_kind_and_name(mageflow_fake: FakeCluster) -> None:
    await start("y")
    await start("x")
    workflow = await mageflow.workflow(mageflow.task("z", image="x"))
    await workflow.start()
    assert [repr(it) for it in await mageflow.find()] == [
        "<Workflow default/z>", "<Chain default/x>", "<Chain default/y>"
    ]  # fmt: skip
    assert [it.name for it in await mageflow.find("mch")] == ["x", "y"]
    with pytest.raises(mageflow.InvalidError, match="pod"):
        await mageflow.find("pod")


async def test_resources_are_found_by_label_in_one_namespace_or_in_all(mageflow_fake: FakeCluster) -> None:
    await start("x", team="a")
    await start("x", "other", team="a")
    await start("y", team="b")
    assert [repr(it) for it in await mageflow.find(selector="team=a")] == ["<Chain default/x>"]
    everywhere = await mageflow.find(selector="team=a", all_namespaces=True)
    assert [it.namespace for it in everywhere] == ["default", "other"]
    assert [it.name for it in await mageflow.find(namespace="other")] == ["x"]
    assert [it.name for it in await mageflow.find(name="y")] == ["y"]
    assert await mageflow.find(name="y", selector="team=a") == []


async def test_what_is_found_says_what_it_is_and_can_be_used(mageflow_fake: FakeCluster) -> None:
    mageflow_fake.task("a").stays_pending()
    await start("x")
    (found,) = await mageflow.find()
    assert (found.manifest["apiVersion"], found.manifest["kind"]) == ("mageflow.io/v1", "Chain")
    assert (await found.suspend()).phase is mageflow.Phase.SUSPENDED


async def test_nothing_is_written_when_a_lifecycle_is_only_checked(mageflow_fake: FakeCluster) -> None:
    mageflow_fake.task("a").stays_pending()
    chain = await start("x")
    assert (await chain.check("suspended"))["spec"]["lifecycle"] == "suspended"
    assert (await mageflow.get("chain", "x")).manifest["spec"]["lifecycle"] == "active"
    await chain.cancel()
    with pytest.raises(mageflow.InvalidError, match="final"):
        await chain.check("active")


def test_sync_code_finds_the_same(mageflow_fake: FakeCluster) -> None:
    mageflow.sync.chain([mageflow.task("a", image="x")], name="x").start()
    (found,) = mageflow.sync.find("chain")
    assert isinstance(found, mageflow.sync.Chain)
    assert found.check("canceled")["spec"]["lifecycle"] == "canceled"
