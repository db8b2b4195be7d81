"""Which programs the local cluster is made of, and which test the chart; the Go modules they are built from.

To add one, add a line to `COMPONENTS`, or to `CHART_TOOLS` what only the tests of the chart need: only what is missing
in the cache is built.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Module:
    """A Go module at a version (with its leading "v")."""

    path: str
    version: str
    tags: str = ""
    """Build tags, with commas between them."""


KUBERNETES = Module("k8s.io/kubernetes", "v1.34.4")
"""1.34 is the last minor version whose kubelet takes cgroup v1 without a fight."""

ETCD = Module("go.etcd.io/etcd/server/v3", "v3.6.4")
"""The etcd version that Kubernetes 1.34 is built against."""

HELM_3 = Module("helm.sh/helm/v3", "v3.22.0")
HELM_4 = Module("helm.sh/helm/v4", "v4.3.1")

PROMETHEUS = Module("github.com/prometheus/prometheus", "v0.313.5", tags="remove_all_sd")
"""Prometheus 3.13, without its service discoveries and the clients of all clouds that they take."""


@dataclass(frozen=True)
class Component:
    """A program: its name, its main package, and the modules that are resolved together to build it."""

    name: str
    package: str
    modules: tuple[Module, ...] = (KUBERNETES, ETCD)


COMPONENTS = (
    Component("etcd", "go.etcd.io/etcd/server/v3"),
    Component("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    Component("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    Component("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    Component("kubelet", "k8s.io/kubernetes/cmd/kubelet"),
    Component("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
)

HELM = (
    Component("helm3", "helm.sh/helm/v3/cmd/helm", (HELM_3,)),
    Component("helm4", "helm.sh/helm/v4/cmd/helm", (HELM_4,)),
)

PROMTOOL = Component("promtool", "github.com/prometheus/prometheus/cmd/promtool", (PROMETHEUS,))

CHART_TOOLS = (*HELM, PROMTOOL)
