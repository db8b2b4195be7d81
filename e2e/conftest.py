"""A real cluster with real pods: this clone's, started if it isn't up, and the operator as a process beside it."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from devkit.audit import AuditLog
from devkit.cluster import ROOT, Cluster, running_cluster
from devkit.gitops.watched import WatchedKubectl
from devkit.helm import Helm, find_helm
from devkit.kubectl import Kubectl
from devkit.operator import OperatorProcess
from localcluster.components import HELM
from localcluster.tools import ClusterError

from .rights import Account, find_refusals, make_account, remove_account
from .sidebyside import AT_ONCE, Plays, Story

NO_CLUSTER = "there is no cluster: "
"""How the reason begins for which tests were skipped then."""

ACCOUNT = "mageflow-e2e"
"""The operator's service account, its namespace, and the release that the chart is rendered as for it."""


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
def session_log(cluster: Cluster) -> AuditLog | None:
    """What the API server is asked from now on; only the local cluster has it."""
    log = cluster.audit_log
    return None if log is None else AuditLog(log, start=log.stat().st_size)


@pytest.fixture(scope="session")
def account(cluster: Cluster) -> Iterator[Account]:
    """The chart's own service account: the operator has no other rights in any of these tests."""
    program = find_helm(HELM[0])
    if program is None:
        pytest.skip("there is no helm; `python -m localcluster build` builds it")
    remove_account(cluster, ACCOUNT)
    Kubectl(cluster.kubectl, cluster.kubeconfig, "default").run("wait", "--for=delete", f"namespace/{ACCOUNT}")
    yield make_account(cluster, Helm(program), ACCOUNT)
    remove_account(cluster, ACCOUNT)


@pytest.fixture(scope="session")
def operator(cluster: Cluster, account: Account, session_log: AuditLog | None) -> Iterator[OperatorProcess]:
    """The operator; a traceback in its log, or a right that it lacked, is a failure, whatever the tests say."""
    log = cluster.logs / "operator-e2e.log"
    log.unlink(missing_ok=True)
    with OperatorProcess(account.kubeconfig, log) as process:
        yield process
    assert "Traceback" not in log.read_text(), process.log_tail(100)
    assert session_log is None or find_refusals(session_log.requests_by(account.user)) == []


@contextmanager
def open_namespace(cluster: Cluster, name: str) -> Iterator[WatchedKubectl]:
    """Yield kubectl in a namespace named after something; what Argo CD and Flux make of what it reads is checked."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    namespace = f"{words[:40].rstrip('-')}-{zlib.crc32(words.encode()):08x}"
    kubectl = WatchedKubectl(cluster.kubectl, cluster.kubeconfig, namespace)
    kubectl.run("create", "namespace", namespace)
    try:
        yield kubectl
    finally:
        kubectl.run("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
def kubectl(request: pytest.FixtureRequest, cluster: Cluster, operator: OperatorProcess) -> Iterator[WatchedKubectl]:
    """kubectl in a namespace of the test's own."""
    with open_namespace(cluster, request.node.name) as kubectl:
        yield kubectl


@pytest.fixture(scope="module")
def plays(request: pytest.FixtureRequest, cluster: Cluster, operator: OperatorProcess) -> Iterator[Plays]:
    """Play the tests of the module that are selected and may be played side by side."""

    def play(story: Story) -> None:
        with open_namespace(cluster, story.__name__.removeprefix("test_")) as kubectl:
            story(kubectl)

    items = (item for item in request.session.items if item.path == request.path)
    stories = [story for item in items if (story := getattr(getattr(item, "function", None), "story", None))]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {story: pool.submit(play, story) for story in stories}


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
