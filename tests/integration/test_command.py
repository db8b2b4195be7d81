"""The command `mageflow-operator`: what it says when it can't start, and how it ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from devkit.patience import PATIENCE
from localcluster.controlplane import ControlPlane

PROGRAM = [sys.executable, "-m", "mageflow.controller"]

NOBODY_LISTENS = "http://127.0.0.1:9"


def start(kubeconfig: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the command until it ends; it must, by itself."""
    environment = {"KUBECONFIG": str(kubeconfig), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        [*PROGRAM, *options], env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def write_kubeconfig(path: Path, server: str, **cluster: str) -> Path:
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": {"server": server, **cluster}}],
        "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "it", "user": "me"}}],
        "current-context": "here",
    }
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        pytest.param([], "give either --all-namespaces or --namespace NAME", id="no-namespace"),
        pytest.param(["-A", "-n", "team-a"], "give either --all-namespaces or --namespace NAME", id="both"),
        pytest.param(["-A", "--health-port", "0"], "--health-port", id="no-port"),
        pytest.param(["-A", "--log-format", "xml"], "--log-format", id="unknown-format"),
        pytest.param(["-A", "--everything"], "--everything", id="unknown-option"),
    ],
)
def test_usage_error_is_one_line_when_options_are_wrong(tmp_path: Path, options: list[str], complaint: str) -> None:
    ended = start(tmp_path / "none", *options)
    assert ended.returncode == 2
    (line,) = [line for line in ended.stderr.splitlines() if line.startswith("Error: ")]
    assert complaint in line
    assert "Traceback" not in ended.stderr


def test_error_tells_where_it_looked_when_there_is_no_cluster(tmp_path: Path) -> None:
    line = _only_line(start(tmp_path / "none", "--all-namespaces"))
    assert str(tmp_path / "none") in line
    assert "KUBECONFIG" in line


@pytest.mark.parametrize("text", ["", "{]", "foo: bar", "- 1"], ids=["empty", "no-yaml", "no-kubeconfig", "a-list"])
def test_error_is_one_message_when_the_kubeconfig_is_broken(tmp_path: Path, text: str) -> None:
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(text)
    ended = start(kubeconfig, "--all-namespaces")
    assert ended.returncode == 1
    assert ended.stderr.startswith(
        f"mageflow-operator: the kubeconfig ({kubeconfig}) or service account can't be used: "
    )
    assert "Traceback" not in ended.stderr


def test_error_names_the_server_when_nobody_answers(tmp_path: Path) -> None:
    line = _only_line(start(write_kubeconfig(tmp_path / "kubeconfig", NOBODY_LISTENS), "--all-namespaces"))
    assert "no answer from the API server" in line
    assert "127.0.0.1:9" in line


def test_error_tells_what_to_do_when_the_crds_are_missing(tmp_path: Path) -> None:
    """A control plane of its own: in the others' the CRDs are installed."""
    with ControlPlane(tmp_path) as cluster:
        line = _only_line(start(cluster.kubeconfig, "--all-namespaces"))
        assert cluster.server in line
        assert "kubectl apply -f crds/" in line


def test_version_is_told_when_asked(tmp_path: Path) -> None:
    ended = start(tmp_path / "none", "--version")
    assert ended.returncode == 0
    assert ended.stdout.startswith("mageflow-operator ")


def _only_line(ended: subprocess.CompletedProcess[str]) -> str:
    """Return the one line that a command that failed has written to stderr."""
    assert ended.returncode == 1, ended.stderr
    assert not ended.stdout
    (line,) = ended.stderr.splitlines()
    assert line.startswith("mageflow-operator: ")
    return line
