"""A cluster in Docker containers, made by kind."""

from __future__ import annotations

from pathlib import Path

from localcluster.layout import Layout
from localcluster.progress import Steps
from localcluster.shell import run

NAME = "mageflow"


def is_recorded(layout: Layout) -> bool:
    """Tell whether this clone's cluster, if any, was made by kind."""
    return _record(layout).exists()


def up(layout: Layout) -> None:
    """Create the cluster unless it is there, and write its kubeconfig."""
    layout.state.mkdir(exist_ok=True)
    _record(layout).touch()
    steps = Steps(total=1)
    if NAME in run(["kind", "get", "clusters"]).split():
        with steps.step("find the kind cluster"):
            run(["kind", "export", "kubeconfig", "--name", NAME, "--kubeconfig", layout.kubeconfig])
    else:
        with steps.step("create a kind cluster", "a minute, more if its image is not there yet"):
            run(["kind", "create", "cluster", "--name", NAME, "--kubeconfig", layout.kubeconfig, "--wait", "2m"])


def down(layout: Layout) -> None:
    """Delete the cluster, if it is there."""
    run(["kind", "delete", "cluster", "--name", NAME, "--kubeconfig", layout.kubeconfig])


def _record(layout: Layout) -> Path:
    return layout.state / "kind"
