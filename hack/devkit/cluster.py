"""The cluster that the demo and e2e run on: this clone's, started if it isn't there, and then ended afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localcluster import commands
from localcluster.binaries import ensure
from localcluster.layout import of_this_clone
from localcluster.provider import Provider
from localcluster.tools import ClusterError

ROOT = Path(__file__).resolve().parents[2]
"""The root of the repository."""


@dataclass(frozen=True)
class Cluster:
    """How to reach it."""

    kubeconfig: Path
    kubectl: Path
    logs: Path
    """A folder for the logs of what runs beside it."""
    audit_log: Path | None
    """The API server's audit log; None if it can't be read."""


@contextmanager
def running_cluster() -> Iterator[Cluster]:
    """Have a cluster, ended afterwards unless it was there before. Raises ClusterError, saying what is missing."""
    layout = of_this_clone()
    was_there = commands.recorded_provider(layout) is not None
    kubeconfig = commands.up()
    layout.logs.mkdir(parents=True, exist_ok=True)
    try:
        yield Cluster(kubeconfig, _find_kubectl(), layout.logs, _find_audit_log())
    finally:
        if not was_there:
            commands.down(check=False)


def _find_kubectl() -> Path:
    if commands.recorded_provider(of_this_clone()) is Provider.LOCAL:
        return ensure()["kubectl"]
    found = shutil.which("kubectl")
    if found is None:
        raise ClusterError("There is no kubectl on the PATH.", "Install it, and try again.")
    return Path(found)


def _find_audit_log() -> Path | None:
    layout = of_this_clone()
    return layout.state / "audit.log" if commands.recorded_provider(layout) is Provider.LOCAL else None
