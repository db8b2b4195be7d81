"""The chart, with the image that the Dockerfile makes, in a namespace where restricted Pod Security is enforced.

While these tests play, the operator of the others is stopped: what they left behind, the chart's operator works on.
The tests build on each other, in the order in which they stand.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from devkit.audit import AuditLog
from devkit.cluster import Cluster
from devkit.gate import GATE, open_gate
from devkit.helm import CHART, Helm, HelmError, find_helm
from devkit.kubectl import Kubectl, KubectlError, Raw, condition
from devkit.operator import OperatorProcess
from devkit.patience import PATIENCE
from localcluster import commands
from localcluster.components import HELM, Component
from localcluster.layout import of_this_clone
from localcluster.operatorimage import load_operator_image
from localcluster.provider import Provider

from .rights import find_refusals, user_of

RELEASE: Final = "mageflow"

SYSTEM: Final = "mageflow-system"
"""The namespace of the release."""

METRICS_PORT: Final = 8081


class Installation:
    """A release, made by one helm in its namespace."""

    def __init__(self, cluster: Cluster, helm: Component, system: Kubectl, image: str) -> None:
        self.helm = open_helm(cluster, helm)
        self.kubectl = system
        self.image = image
        self._audit_log = cluster.audit_log
        self._log: AuditLog | None = None

    def install(self, *options: str) -> None:
        """Install the chart and wait until every replica is ready."""
        if self._audit_log is not None:
            self._log = AuditLog(self._audit_log, start=self._audit_log.stat().st_size)
        self._apply("install", *options)

    def upgrade(self, *options: str) -> None:
        """Upgrade the release and wait until every replica is ready."""
        self._apply("upgrade", *options)

    def uninstall(self) -> str:
        """Uninstall the release, wait until nothing of it runs, and return what helm says; its rights were enough.

        The roles go before the pods, which then can't give the Lease back: what they lack from now on doesn't count.
        """
        assert self._log is None or find_refusals(self._log.requests_by(user_of(SYSTEM, RELEASE))) == []
        said = self.helm.run("uninstall", RELEASE, "--wait", f"--timeout={PATIENCE:.0f}s")
        wait_until("nothing of it runs", lambda: not self.pods())
        return said

    def uninstall_if_there(self) -> None:
        """Uninstall the release, unless a test that failed has done so."""
        if json.loads(self.helm.run("list", "--output=json")):
            self.uninstall()

    def pods(self) -> list[Raw]:
        """Return the operator's pods."""
        return self.kubectl.find_all("pods", f"app.kubernetes.io/name={RELEASE}")

    def metrics_of(self, pod: str) -> dict[str, float]:
        """Return what a pod tells Prometheus, asked by way of the API server: samples without labels, by name."""
        path = f"/api/v1/namespaces/{SYSTEM}/pods/{pod}:{METRICS_PORT}/proxy/metrics"
        families = text_string_to_metric_families(self.kubectl.run("get", "--raw", path))
        return {sample.name: sample.value for family in families for sample in family.samples if not sample.labels}

    def kill(self, pod: str) -> None:
        """Send SIGKILL to a pod's operator, on the node, which is this machine; the kubelet starts it again."""
        uid = next(one["metadata"]["uid"] for one in self.pods() if one["metadata"]["name"] == pod)
        pids = [int(folder.name) for folder in Path("/proc").glob("[0-9]*") if _is_operator_of(folder, uid)]
        assert pids, f"no process of pod {pod} is found"
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def evict(self, pod: str) -> bool:
        """Evict a pod as a node drain does; tell whether the disruption budget lets it go."""
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": SYSTEM}}
        path = f"/api/v1/namespaces/{SYSTEM}/pods/{pod}/eviction"
        try:
            self.kubectl.run("create", "--raw", path, "--filename=-", stdin=json.dumps(eviction))
        except KubectlError as error:
            if "disruption budget" in str(error):
                return False
            raise
        return True

    def ready_pods(self) -> list[str]:
        """Return the names of the pods that are ready and not going."""
        pods = (one for one in self.pods() if "deletionTimestamp" not in one["metadata"])
        return [one["metadata"]["name"] for one in pods if condition(one["status"], "Ready").get("status") == "True"]

    def leader(self) -> str:
        """Return the name of the pod that holds the Lease; empty if none does."""
        lease = self.kubectl.find("lease", RELEASE) or {"spec": {}}
        return str(lease["spec"].get("holderIdentity") or "").partition("_")[0]

    def describe(self) -> str:
        """Return what there is to know when something went wrong."""
        logs = f"--selector=app.kubernetes.io/name={RELEASE}"
        parts = [
            self.kubectl.run("get", "deployments,pods", "--output=wide"),
            self.kubectl.run("get", "events", "--sort-by=.lastTimestamp"),
            self.kubectl.run("logs", logs, "--prefix", "--tail=30", "--ignore-errors"),
        ]
        return "\n".join(parts)

    def _apply(self, verb: str, *options: str) -> None:
        repository, _, tag = self.image.rpartition(":")
        values = [f"--set=image.repository={repository}", f"--set-string=image.tag={tag}"]
        try:
            self.helm.run(verb, RELEASE, str(CHART), *values, *options, "--wait", f"--timeout={PATIENCE:.0f}s")
        except HelmError as error:
            raise AssertionError(f"{error}\n{self.describe()}") from error


def _is_operator_of(process: Path, pod_uid: str) -> bool:
    """Tell whether a process, by its folder in /proc, is the operator of a pod."""
    try:
        is_of_pod = pod_uid in (process / "cgroup").read_text()
        return is_of_pod and b"mageflow" in (process / "cmdline").read_bytes()
    except OSError:  # it has ended
        return False


@pytest.fixture(scope="module")
def image(pytestconfig: pytest.Config, cluster: Cluster) -> str:
    """The image's name; only the local cluster can be given one without a registry."""
    if commands.recorded_provider(of_this_clone()) is not Provider.LOCAL:
        pytest.skip("the image is built for the local cluster only")
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        return load_operator_image(of_this_clone())


@pytest.fixture(scope="module")
def system(cluster: Cluster, image: str, operator: OperatorProcess) -> Iterator[Kubectl]:
    """The release's namespace, empty, and no other operator."""
    kubectl = Kubectl(cluster.kubectl, cluster.kubeconfig, SYSTEM)
    wait_until_it_works(cluster)
    operator.stop()
    kubectl.run("delete", "namespace", SYSTEM, "--ignore-not-found")
    kubectl.run("create", "namespace", SYSTEM)
    kubectl.run("label", "namespace", SYSTEM, "pod-security.kubernetes.io/enforce=restricted")
    yield kubectl
    kubectl.run("delete", "namespace", SYSTEM, "--wait=false")
    operator.start()
    wait_until_it_works(cluster)


def wait_until_it_works(cluster: Cluster) -> None:
    """Wait until the operator has an answer: one that is stopped in the midst of its start ends with a traceback."""
    kubectl = Kubectl(cluster.kubectl, cluster.kubeconfig, "default")
    manifest = json.loads(chain_of("true"))
    manifest["spec"]["lifecycle"] = "suspended"
    kubectl.run("apply", "--filename=-", stdin=json.dumps(manifest))
    kubectl.wait_for_phase("chain/x", "Suspended")
    kubectl.run("delete", "chain", "x")


@pytest.fixture(scope="module")
def installed(cluster: Cluster, system: Kubectl, image: str) -> Iterator[Installation]:
    """The chart, installed by Helm 3. The CRDs are there already, not made by Helm: it takes them over."""
    installation = Installation(cluster, HELM[0], system, image)
    installation.install("--take-ownership")
    yield installation
    installation.uninstall_if_there()


def open_helm(cluster: Cluster, component: Component) -> Helm:
    program = find_helm(component)
    if program is None:
        pytest.skip(f"{component.name} isn't there; `python -m localcluster build` builds it")
    return Helm(program, f"--kubeconfig={cluster.kubeconfig}", f"--namespace={SYSTEM}")


def chain_of(*scripts: str) -> str:
    """Return a Chain whose tasks run scripts, and end at once when they are stopped."""
    tasks = [
        {
            "name": f"task-{number}",
            "template": {
                "spec": {
                    "containers": [
                        {
                            "name": "main",
                            "image": "busybox:1.36",
                            "command": ["sh", "-c", f"trap 'exit 143' TERM; {script}"],
                        }
                    ]
                }
            },
        }
        for number, script in enumerate(scripts)
    ]
    manifest = {"apiVersion": "mageflow.io/v1", "kind": "Chain", "metadata": {"name": "x"}, "spec": {"tasks": tasks}}
    return json.dumps(manifest)


def start_chain(kubectl: Kubectl, *scripts: str) -> None:
    kubectl.run("apply", "--filename=-", stdin=chain_of(*scripts))
    kubectl.wait_for_phase("chain/x", "Active")


def wait_until(what: str, is_met: Callable[[], object], *, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not is_met():
        assert time.monotonic() < deadline, f"after {seconds:.0f} s it is still not so that {what}"
        time.sleep(0.1)


def label_namespace(kubectl: Kubectl, label: str) -> None:
    kubectl.run("label", "namespace", kubectl.namespace, label)


def assert_each_task_ran_once(kubectl: Kubectl, status: Raw) -> None:
    assert [(task["run"], task.get("failures", 0)) for task in status["tasks"]] == [(1, 0)] * len(status["tasks"])
    assert status.get("interruptions", 0) == 0
    pods = kubectl.pods_of("chain/x")
    assert len(pods) == len(status["tasks"])
    assert {container["restartCount"] for pod in pods for container in pod["status"]["containerStatuses"]} == {0}


def test_helm_test_passes_when_it_is_installed(installed: Installation) -> None:
    assert "Phase:          Succeeded" in installed.helm.run("test", RELEASE, f"--timeout={PATIENCE:.0f}s")
    assert {pod["spec"]["containers"][0]["image"] for pod in installed.pods()} == {installed.image}
    assert installed.kubectl.find_all("workflows") == []


def test_a_release_is_smaller_than_a_secret_may_be(installed: Installation) -> None:
    secret = next(one for one in installed.kubectl.find_all("secrets", "owner=helm"))
    size = len(secret["data"]["release"]) * 3 // 4
    print(f"the release takes {size} of 1048576 bytes")
    assert size < 512 * 1024


def test_a_pod_that_is_not_restricted_is_refused_in_its_namespace(installed: Installation) -> None:
    """So the operator's own pods are not."""
    with pytest.raises(KubectlError, match="violates PodSecurity"):
        installed.kubectl.run("run", "x", "--image=busybox:1.36", "--restart=Never")


def test_it_suspends_and_resumes_when_patched_as_the_readme_says(installed: Installation, kubectl: Kubectl) -> None:
    start_chain(kubectl, GATE, "true")

    kubectl.set_lifecycle("chain/x", "suspended")
    kubectl.wait_for_phase("chain/x", "Suspending")
    open_gate(kubectl, "chain/x")
    status = kubectl.wait_for_phase("chain/x", "Suspended")
    assert status["progress"] == "1/2"
    kubectl.set_lifecycle("chain/x", "active")

    assert_each_task_ran_once(kubectl, kubectl.wait_for_phase("chain/x", "Succeeded"))


def test_each_replica_serves_metrics_and_one_of_them_leads(installed: Installation) -> None:
    wait_until("somebody leads", installed.leader)
    leads = {pod: installed.metrics_of(pod)["mageflow_is_leader"] for pod in installed.ready_pods()}

    assert sorted(leads.values()) == [0, 1]
    assert leads[installed.leader()] == 1
    assert all(installed.metrics_of(pod)["process_resident_memory_bytes"] > 0 for pod in leads)


def test_another_acts_when_the_leader_is_killed(installed: Installation, kubectl: Kubectl) -> None:
    wait_until("somebody leads", installed.leader)
    killed = installed.leader()
    start_chain(kubectl, GATE)

    installed.kill(killed)
    began = time.monotonic()
    kubectl.set_lifecycle("chain/x", "interrupted")
    status = kubectl.wait_for_phase("chain/x", "Interrupted")

    print(f"interrupted {time.monotonic() - began:.1f} s after the leader was killed")
    assert status["interruptions"] == 1
    assert installed.leader() not in ("", killed)


def test_nothing_restarts_when_it_is_upgraded_while_a_chain_runs(installed: Installation, kubectl: Kubectl) -> None:
    before = {pod["metadata"]["uid"] for pod in installed.pods()}
    start_chain(kubectl, "sleep 4", "sleep 4", "true")

    installed.upgrade("--set=log.level=debug", "--set=podDisruptionBudget.enabled=true")
    status = kubectl.wait_for_phase("chain/x", "Succeeded")

    wait_until("the old pods are gone", lambda: not before & {pod["metadata"]["uid"] for pod in installed.pods()})
    assert_each_task_ran_once(kubectl, status)


def test_a_drain_waits_for_the_other_replica_and_nothing_restarts(installed: Installation, kubectl: Kubectl) -> None:
    """The budget came with the upgrade before."""
    wait_until("both replicas are ready", lambda: len(installed.ready_pods()) == 2)
    first, second = installed.ready_pods()
    start_chain(kubectl, "sleep 3", "true")

    wait_until("the budget lets one go", lambda: installed.evict(first))
    assert not installed.evict(second)
    wait_until("both replicas are ready", lambda: len(installed.ready_pods()) == 2)
    wait_until("the budget lets the other go", lambda: installed.evict(second))

    assert_each_task_ran_once(kubectl, kubectl.wait_for_phase("chain/x", "Succeeded"))


def test_running_jobs_go_on_and_are_adopted_when_it_is_uninstalled_and_installed_again(
    installed: Installation, kubectl: Kubectl
) -> None:
    start_chain(kubectl, GATE, "true")
    crds = {crd["metadata"]["uid"] for crd in installed.kubectl.find_all("crds") if "mageflow" in crd["spec"]["group"]}
    kubectl.run("apply", "--filename=-", stdin=chain_of(GATE).replace('"x"', '"deleted"'))

    assert "[CustomResourceDefinition] chains.mageflow.io" in installed.uninstall()
    kubectl.run("delete", "chain", "deleted", f"--timeout={PATIENCE:.0f}s")
    [job] = kubectl.jobs_of("chain/x")
    open_gate(kubectl, "chain/x")
    kubectl.run("wait", f"job/{job['metadata']['name']}", "--for=condition=Complete", f"--timeout={PATIENCE:.0f}s")
    assert kubectl.status_of("chain/x")["done"] == 0
    installed.install()

    status = kubectl.wait_for_phase("chain/x", "Succeeded")
    assert_each_task_ran_once(kubectl, status)
    assert crds == {
        crd["metadata"]["uid"] for crd in installed.kubectl.find_all("crds") if "mageflow" in crd["spec"]["group"]
    }


def test_only_its_namespace_is_worked_on_when_helm_4_installs_it_for_one(
    installed: Installation, cluster: Cluster, kubectl: Kubectl
) -> None:
    """Its rights are Roles there; the service account is one that was made before."""
    installed.uninstall()
    installation = Installation(cluster, HELM[1], installed.kubectl, installed.image)
    installed.kubectl.run("create", "serviceaccount", RELEASE)
    installation.install(
        f"--set=watchNamespaces={{{kubectl.namespace}}}",
        "--set=serviceAccount.create=false",
        f"--set=serviceAccount.name={RELEASE}",
        "--set=rbac.aggregate=false",
        "--take-ownership",  # of the CRDs, which the release before has left
    )
    try:
        elsewhere = Kubectl(cluster.kubectl, cluster.kubeconfig, "default")
        elsewhere.run("apply", "--filename=-", stdin=chain_of("true"))
        start_chain(kubectl, GATE, "true")
        label_namespace(kubectl, "mageflow.io/lifecycle=suspended")  # read, as a Role doesn't let one watch it
        kubectl.wait_for_phase("chain/x", "Suspending")
        open_gate(kubectl, "chain/x")
        assert kubectl.wait_for_phase("chain/x", "Suspended")["progress"] == "1/2"
        label_namespace(kubectl, "mageflow.io/lifecycle-")
        kubectl.wait_for_phase("chain/x", "Succeeded")

        assert elsewhere.status_of("chain/x") == {"observedGeneration": 0}, "nobody has seen it"
        elsewhere.run("delete", "chain", "x")
        assert installed.kubectl.run("get", "clusterroles", f"--selector=app.kubernetes.io/instance={RELEASE}") == ""
        assert "Phase:          Succeeded" in installation.helm.run("test", RELEASE, f"--timeout={PATIENCE:.0f}s")
    finally:
        installation.uninstall_if_there()
