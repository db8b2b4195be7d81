"""Which cluster `up` uses, and what keeps it from having one. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from localcluster.binaries import check_go
from localcluster.errors import ClusterError
from localcluster.machine import Facts


class Provider(StrEnum):
    """Where a cluster comes from."""

    CURRENT = "current"
    """The one that the kubeconfig points to, used as it is."""
    KIND = "kind"
    """Nodes in Docker containers."""
    LOCAL = "local"
    """Built from source, with real pods on this machine."""


@dataclass(frozen=True)
class Choice:
    """A provider, and why it was chosen, as the end of a sentence."""

    provider: Provider
    why: str


def choose_provider(facts: Facts, recorded: Provider | None) -> Choice:
    """Choose a provider; `recorded` is that of the cluster that this clone has already."""
    if facts.cluster_variable:
        return _parse_variable(facts.cluster_variable)
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


def _parse_variable(value: str) -> Choice:
    try:
        return Choice(Provider(value), f"CLUSTER={value} is set")
    except ValueError:
        names = ", ".join(Provider)
        raise ClusterError(f"CLUSTER is {value!r}; it may be {names}, or unset.") from None
