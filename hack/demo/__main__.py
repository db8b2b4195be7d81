"""The command line of the demo: sets everything up, plays the scenes, and exits 1 if a check failed."""

from __future__ import annotations

import sys
import time

from demo.scenes import SCENES
from demo.stage import Stage
from devkit.cluster import ROOT, Cluster, running_cluster
from devkit.kubectl import Kubectl, KubectlError, Unmet
from devkit.operator import OperatorError, OperatorProcess
from localcluster.tools import ClusterError

NAMESPACE = "mageflow-demo"


def main() -> int:
    """Play every scene; return the exit code."""
    began = time.monotonic()
    stage = Stage()
    try:
        with running_cluster() as cluster:
            _play(stage, cluster)
    except (ClusterError, OperatorError, KubectlError, Unmet) as error:
        stage.fail(str(error))
    return stage.close(time.monotonic() - began)


def _play(stage: Stage, cluster: Cluster) -> None:
    everywhere = Kubectl(cluster.kubectl, cluster.kubeconfig, "default")
    stage.title("Install the custom resources and start the operator")
    stage.show(f"kubectl apply -f crds/\n{everywhere.install(ROOT / 'crds')}")
    if everywhere.find("namespace", NAMESPACE) is not None:
        everywhere.run("delete", "namespace", NAMESPACE)
    everywhere.run("create", "namespace", NAMESPACE)
    kubectl = Kubectl(cluster.kubectl, cluster.kubeconfig, NAMESPACE)
    try:
        with OperatorProcess(cluster.kubeconfig, cluster.logs / "operator.log") as operator:
            stage.show(f"mageflow-operator --all-namespaces    (its log: {operator.log})")
            for number, scene in enumerate(SCENES, start=1):
                stage.scene(f"{number} of {len(SCENES)}", scene, kubectl)
            stage.title("All of them, at the end")
            stage.command("kubectl get mageflow")
            stage.show(kubectl.run("get", "mageflow"))
    finally:
        everywhere.run("delete", "namespace", NAMESPACE, "--wait=false")


if __name__ == "__main__":
    sys.exit(main())
