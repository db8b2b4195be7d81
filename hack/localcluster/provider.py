"""The choice of a cluster, by what the machine offers; what keeps it from having a local one."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from localcluster.binaries import cache_folder, check_go, go_version, missing
from localcluster.components import COMPONENTS
from localcluster.tools import ClusterError, succeeds


class Provider(StrEnum):
    """Where a cluster comes from."""

    CURRENT = "current"
    """The one that the kubeconfig points to, used as it is."""
    KIND = "kind"
    """Nodes in Docker containers."""
    LOCAL = "local"
    """Built from source, with real pods on this machine."""


@dataclass(frozen=True)
class Facts:
    """What a provider is chosen by."""

    cluster_variable: str
    """The environment's CLUSTER, or empty."""
    docker_answers: bool
    has_kind: bool
    is_root: bool
    distribution: frozenset[str]
    """As in {"ubuntu", "debian"}."""
    has_binaries: bool
    """All of the cluster's programs are in the cache."""
    go_version: str | None
    """What `go version` prints."""


def observe_facts() -> Facts:
    """Look at the machine and the environment."""
    return Facts(
        cluster_variable=os.environ.get("CLUSTER", ""),
        docker_answers=succeeds(["docker", "info"], timeout=10),
        has_kind=shutil.which("kind") is not None,
        is_root=os.geteuid() == 0,
        distribution=find_distribution(read_os_release()),
        has_binaries=not missing(COMPONENTS, cache_folder()),
        go_version=go_version(),
    )


def read_os_release() -> Mapping[str, str]:
    """Return what /etc/os-release says; nothing where there is none."""
    try:
        return platform.freedesktop_os_release()
    except OSError:
        return {}


def find_distribution(os_release: Mapping[str, str]) -> frozenset[str]:
    """Name the distribution, and those that it is like."""
    return frozenset(f"{os_release.get('ID', '')} {os_release.get('ID_LIKE', '')}".split())


class Choice(NamedTuple):
    """A provider, and why it was chosen, as the end of a sentence."""

    provider: Provider
    why: str


def choose_provider(facts: Facts, recorded: Provider | None) -> Choice:
    """Choose a provider; `recorded` is that of the cluster that this clone has already."""
    value = facts.cluster_variable
    if value and value not in list(Provider):
        raise ClusterError(f"CLUSTER is {value!r}; it may be {', '.join(Provider)}, or unset.")
    if value:
        return Choice(Provider(value), f"CLUSTER={value} is set")
    if recorded is not None:
        return Choice(recorded, "this clone has one already")
    if facts.docker_answers and facts.has_kind:
        return Choice(Provider.KIND, "`docker info` answers and `kind` is on the PATH")
    lacking = "`docker info` does not answer" if not facts.docker_answers else "`kind` is not on the PATH"
    return Choice(Provider.LOCAL, lacking)


def check_local(facts: Facts) -> None:
    """Raise ClusterError, naming everything that the local provider lacks here."""
    problems = []
    if not facts.is_root:
        problems.append("It needs root, for network interfaces, mounts and cgroups: run the command with sudo -E.")
    if not facts.distribution & {"debian", "ubuntu"}:
        found = ", ".join(sorted(facts.distribution)) or "unknown"
        problems.append(f"It needs Debian or Ubuntu, for apt packages; this is {found}.")
    if not facts.has_binaries:
        try:
            check_go(facts.go_version)
        except ClusterError as error:
            problems.append(str(error).replace("\n", "\n  "))
    if problems:
        raise ClusterError(
            "A local cluster with real pods cannot be started here.\n- " + "\n- ".join(problems),
            "Or use a cluster you have: CLUSTER=current (your kubeconfig), or Docker with kind.",
        )
