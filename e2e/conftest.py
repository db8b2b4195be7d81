"""A real cluster with real pods: this clone's, started if it isn't up, and the operator as a process beside it."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator

import pytest

from devkit.audit import AuditLog
from devkit.cluster import ROOT, Cluster, running_cluster
from devkit.kubectl import Kubectl
from devkit.operator import OperatorProcess
from localcluster.errors import ClusterError

NO_CLUSTER = "there is no cluster: "
"""How the reason begins for which tests were skipped then."""


@pytest.fixture(scope="session")
def cluster(pytestconfig: pytest.Config) -> Iterator[Cluster]:
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        context = running_cluster()
        try:
            cluster = context.__enter__()
        except ClusterError as error:
            pytest.skip(f"{NO_CLUSTER}{error}")
    try:
        Kubectl(cluster.kubectl, cluster.kubeconfig, "default").install(ROOT / "crds")
        yield cluster
    finally:
        with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
            context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def operator(cluster: Cluster) -> Iterator[OperatorProcess]:
    """The operator; a traceback in its log is a failure, whatever the tests say."""
    log = cluster.logs / "operator-e2e.log"
    log.unlink(missing_ok=True)
    with OperatorProcess(cluster.kubeconfig, log) as process:
        yield process
    assert "Traceback" not in log.read_text(), process.log_tail(100)


@pytest.fixture
def kubectl(request: pytest.FixtureRequest, cluster: Cluster, operator: OperatorProcess) -> Iterator[Kubectl]:
    """kubectl in a namespace of the test's own."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    name = f"{words[:40].rstrip('-')}-{zlib.crc32(words.encode()):08x}"
    kubectl = Kubectl(cluster.kubectl, cluster.kubeconfig, name)
    kubectl.run("create", "namespace", name)
    yield kubectl
    kubectl.run("delete", "namespace", name, "--wait=false")


@pytest.fixture
def audit_log(cluster: Cluster) -> AuditLog:
    """What the API server was asked; only the local cluster has it."""
    if cluster.audit_log is None:
        pytest.skip("this cluster's audit log can't be read")
    return AuditLog(cluster.audit_log)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the end of the operator's log under a failed test."""
    outcome: pytest.Result[pytest.TestReport] = yield  # type: ignore[name-defined]
    report = outcome.get_result()
    operator = getattr(item, "funcargs", {}).get("operator")
    if report.failed and operator is not None:
        report.sections.append(("the operator's log", operator.log_tail()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it so that nobody misses it when there were no real pods."""
    reasons = [report.longrepr[2] for report in terminalreporter.stats.get("skipped", ())]
    reason = next((reason for reason in reasons if NO_CLUSTER in reason), None)
    if reason is not None:
        terminalreporter.section("E2E WAS SKIPPED: NOTHING WAS TRIED ON REAL PODS", sep="!", red=True, bold=True)
        terminalreporter.line(reason)
