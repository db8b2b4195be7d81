"""The programs of the local cluster, and those that test the chart; the Go files that they are built from. Pure.

A new program is a line in `COMPONENTS`, or in `CHART_TOOLS` if only the tests of the chart need it: what is missing in
the cache is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Module:
    """A Go module at a version (with its leading "v")."""

    path: str
    version: str
    tags: str = ""
    """Build tags, with commas between them."""
    build_s: int = 0
    """How long it takes to build what is used of it, with nothing cached, on two cores with little else to do."""


KUBERNETES = Module("k8s.io/kubernetes", "v1.34.4", build_s=260)
"""1.34 is the last minor version whose kubelet takes cgroup v1 without a fight."""

ETCD = Module("go.etcd.io/etcd/server/v3", "v3.6.4")
"""The etcd version that Kubernetes 1.34 is built against."""

HELM_3 = Module("helm.sh/helm/v3", "v3.22.0", build_s=75)
HELM_4 = Module("helm.sh/helm/v4", "v4.3.1", build_s=110)

PROMETHEUS = Module("github.com/prometheus/prometheus", "v0.313.5", tags="remove_all_sd", build_s=95)
"""Prometheus 3.13, without its service discoveries and the clients of all clouds that they take."""


@dataclass(frozen=True)
class Component:
    """A program: its name, its main package, and the modules that are resolved together to build it."""

    name: str
    package: str
    modules: tuple[Module, ...] = (KUBERNETES, ETCD)


ALL_IN_ONE = Path(__file__).with_name("kubernetes.go")
"""The main package `localcluster/kubernetes`: one program for all components of Kubernetes, and etcd."""

_IN_ONE = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet")

COMPONENTS = (
    *(Component(name, "localcluster/kubernetes") for name in _IN_ONE),
    Component("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
)

HELM = (
    Component("helm3", "helm.sh/helm/v3/cmd/helm", (HELM_3,)),
    Component("helm4", "helm.sh/helm/v4/cmd/helm", (HELM_4,)),
)

PROMTOOL = Component("promtool", "github.com/prometheus/prometheus/cmd/promtool", (PROMETHEUS,))

CHART_TOOLS = (*HELM, PROMTOOL)


def staging_modules(go_mod: str) -> tuple[str, ...]:
    """Name the modules that k8s.io/kubernetes requires as v0.0.0: in its own repository they are folders."""
    return tuple(sorted(set(re.findall(r"^\s*(?:require\s+)?(k8s\.io/\S+)\s+v0\.0\.0\s*(?://.*)?$", go_mod, re.M))))


def render_go_mod(modules: Sequence[Module], go_mods: Sequence[str]) -> str:
    """Write a go.mod that requires the modules; `go_mods` are their own go.mod texts, in the same order.

    The staging modules are published as v0.34.4 for Kubernetes v1.34.4.
    """
    versions = re.findall(r"^go\s+(\d[\d.]*)", "\n".join(go_mods), re.M)
    replacements = [
        f"\t{name} => {name} {module.version.replace('v1.', 'v0.', 1)}"
        for module, text in zip(modules, go_mods, strict=True)
        for name in staging_modules(text)
    ]
    requirements = [f"\t{module.path} {module.version}" for module in modules]
    lines = ["module localcluster", "", f"go {max(versions, key=parse_version)}", ""]
    return "\n".join([*lines, "require (", *requirements, ")", "", "replace (", *replacements, ")", ""])


def render_tools_go(components: Iterable[Component]) -> str:
    """Write a Go file that imports the main packages, so that `go mod tidy` resolves what they need."""
    imports = "\n".join(f'\t_ "{package}"' for package in sorted({component.package for component in components}))
    return f"package tools\n\nimport (\n{imports}\n)\n"


def parse_version(text: str) -> tuple[int, ...]:
    """Turn "1.24.0" into (1, 24, 0)."""
    return tuple(int(part) for part in text.split("."))
