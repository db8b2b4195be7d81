"""What every test gets: the control plane, the kubelet that it plays, the operator, a namespace of its own."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import sys
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from devkit.cluster import ROOT
from devkit.kubectl import Kubectl
from localcluster.controlplane import ControlPlane

from .audit import AuditLog
from .control import Api, connect, create_namespace, create_node
from .history import PodHistories
from .kubelet import Kubelet
from .process import NAME, Operator
from .promises import check_promises
from .stage import Namespace
from .wire import Wire, open_wire

sys.setrecursionlimit(40_000)  # the audit log has what test_hostile.py made


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Etcd, API server, controller manager and scheduler, with the CRDs installed; no Node."""
    with ControlPlane(tmp_path_factory.mktemp("control-plane")) as cluster:
        Kubectl(cluster.kubectl, cluster.kubeconfig, "default").install(ROOT / "crds")
        yield cluster


@pytest_asyncio.fixture(scope="session")
async def api(control_plane: ControlPlane) -> AsyncIterator[Api]:
    """Requests of the user who runs the tests, with the one Node made."""
    async with connect(control_plane.kubeconfig) as api:
        await create_node(api)
        yield api


@pytest.fixture(scope="session")
def audit(control_plane: ControlPlane) -> AuditLog:
    return AuditLog(control_plane.audit_log)


@pytest_asyncio.fixture(scope="session")
async def histories(api: Api) -> AsyncIterator[PodHistories]:
    """What becomes of every pod, watched from before the first one is made."""
    histories = PodHistories(api)
    following = asyncio.create_task(histories.follow())
    yield histories
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following


@pytest_asyncio.fixture(scope="session")
async def kubelet(control_plane: ControlPlane, histories: PodHistories) -> AsyncIterator[Kubelet]:
    async with connect(control_plane.kubeconfig_for("kubelet")) as api:
        kubelet = Kubelet(api, histories)
        yield kubelet
        await kubelet.close()


@pytest_asyncio.fixture(scope="session")
async def wired(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Wire, Path]]:
    """The wire that the operator talks over, and the kubeconfig that leads to it."""
    async with open_wire(control_plane.kubeconfig_for(NAME), tmp_path_factory.mktemp("wire")) as wired:
        yield wired


@pytest.fixture(scope="session")
def wire(wired: tuple[Wire, Path]) -> Wire:
    return wired[0]


@pytest.fixture(scope="session")
def shared_operator(wired: tuple[Wire, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    operator = Operator(wired[1], tmp_path_factory.mktemp("operator"))
    yield operator
    operator.kill()


@pytest_asyncio.fixture
async def operator(shared_operator: Operator) -> AsyncIterator[Operator]:
    """The operator, running; one process for all tests, as long as none kills it."""
    start = len(shared_operator.log)
    await shared_operator.start()
    yield shared_operator
    shared_operator.resume()
    log = shared_operator.log[start:]
    assert "Traceback" not in log, log


@pytest_asyncio.fixture
async def namespace(
    request: pytest.FixtureRequest,
    control_plane: ControlPlane,
    api: Api,
    kubelet: Kubelet,
    operator: Operator,
    wire: Wire,
    audit: AuditLog,
    histories: PodHistories,
) -> AsyncIterator[Namespace]:
    """A namespace named after the test; afterwards, what must hold after every test is checked."""
    name = _name_for(request.node.name)
    await create_namespace(api, name)
    kubectl = Kubectl(control_plane.kubectl, control_plane.kubeconfig, name)
    namespace = Namespace(name, api, kubelet, operator, wire, audit, histories, kubectl, control_plane)
    yield namespace
    check_promises(namespace)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the end of the operator's log with a test that failed."""
    report = yield
    operator = getattr(item, "funcargs", {}).get("shared_operator")
    if report.failed and isinstance(operator, Operator):
        report.sections.append(("operator's log", operator.log[-6000:]))
    return report


def _name_for(test: str) -> str:
    """Return a namespace's name that says which test it is of; cut names are told apart by a hash."""
    name = re.sub(r"[^a-z0-9]+", "-", test.removeprefix("test_").lower())
    return f"{name[:56].strip('-')}-{hashlib.sha256(test.encode()).hexdigest()[:6]}"
