"""Two operators over disjoint namespaces, as two releases make them: each works on its own alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from localcluster.controlplane import ControlPlane

from .control import create_namespace
from .process import Operator
from .stage import Namespace

USERS = ("mageflow-operator-a", "mageflow-operator-b")


@pytest_asyncio.fixture
async def both(
    namespace: Namespace, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Namespace, Namespace]]:
    """Two namespaces, each with an operator of its own, which has a user and a Lease of its own."""
    namespace.operator.kill()
    other = replace(namespace, name=f"{namespace.name}-b")
    await create_namespace(namespace.api, other.name)
    operators = []
    for user, place in zip(USERS, (namespace, other), strict=True):
        command = ("-m", "mageflow.controller", "--namespace", place.name)
        elect = ("--leader-elect", "--lease-namespace", place.name)
        operator = Operator(control_plane.kubeconfig_for(user), tmp_path_factory.mktemp(user), (*command, *elect))
        await operator.start()
        operators.append(operator)
    yield namespace, other
    for operator in operators:
        operator.kill()
        assert "Traceback" not in operator.log, operator.log[-6000:]
    await namespace.api.delete(f"/api/v1/namespaces/{other.name}")


async def test_each_works_on_its_own_namespace(both: tuple[Namespace, Namespace]) -> None:
    for place in both:
        workflow, _ = await place.create_running("same-name")
        await workflow.set_lifecycle("interrupted")
    for place in both:
        workflow = replace(workflow, namespace=place)
        await workflow.wait_for("Interrupted")
        await workflow.set_lifecycle("active")
        pod = await workflow.wait_for_pod(run=2)
        await place.kubelet.start(pod)
        await place.kubelet.succeed(pod)
        await workflow.wait_for("Succeeded")
    first, second = both
    for user, own, others in ((USERS[0], first, second), (USERS[1], second, first)):
        assert own.audit.writes(own.name, user)
        assert own.audit.requests(others.name, user) == []
