"""What a program loads before it does anything: a command costs what it imports, so what it doesn't need stays away."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from devkit.patience import PATIENCE

SYNCHRONOUS = {"requests", "requests_oauthlib", "urllib3", "websocket", "kubernetes.config.kube_config"}
"""What only the half of the Kubernetes client needs that nobody here uses."""

KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: here, cluster: {server: "http://127.0.0.1:9"}}]
contexts: [{name: here, context: {cluster: here, user: me}}]
users: [{name: me, user: {token: x}}]
current-context: here
"""


def loaded_by(program: str, *arguments: str, kubeconfig: Path) -> set[str]:
    """Return the names of all modules that are loaded when a program ends."""
    code = f"""
import json, sys
sys.argv[1:] = {list(arguments)!r}
from {program}.__main__ import main
try:
    main()
except SystemExit:
    pass
sys.stdout.flush()
print(json.dumps(list(sys.modules)), file=sys.__stderr__)
"""
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=PATIENCE, env=environment
    )
    return set(json.loads(done.stderr.splitlines()[-1]))


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Path:
    path = tmp_path / "config"
    path.write_text(KUBECONFIG)
    return path


@pytest.mark.parametrize("arguments", [("--version",), ("get", "--help"), ("suspend", "--help")], ids=" ".join)
def test_what_asks_no_cluster_loads_no_http(kubeconfig: Path, arguments: tuple[str, ...]) -> None:
    loaded = loaded_by("mageflow.cli", *arguments, kubeconfig=kubeconfig)
    assert loaded.isdisjoint({"aiohttp", "kubernetes", "mageflow.kube.http", "mageflow.controller", "kopf"})


def test_what_asks_a_cluster_loads_one_half_of_the_client(kubeconfig: Path) -> None:
    loaded = loaded_by("mageflow.cli", "get", "workflows", kubeconfig=kubeconfig)
    assert {"aiohttp", "mageflow.kube.http"} <= loaded, "it has asked"
    assert loaded.isdisjoint(SYNCHRONOUS | {"mageflow.controller", "kopf", "uvloop", "prometheus_client"})


def test_operator_loads_one_half_of_the_client(kubeconfig: Path) -> None:
    """kopf takes two classes of the other half if it finds them, with all that they load."""
    loaded = loaded_by("mageflow.controller", "--version", kubeconfig=kubeconfig)
    assert "kopf" in loaded
    assert loaded.isdisjoint(SYNCHRONOUS | {"kubernetes.client.models"})


def run(code: str) -> None:
    """Run code in a process of its own, in which imports are light."""
    start = "from mageflow.kube.light_imports import import_lightly\nimport_lightly()\n"
    subprocess.run([sys.executable, "-c", start + code], check=True, timeout=PATIENCE)


def test_module_that_is_lazy_is_there_when_it_is_used() -> None:
    run("""
import kubernetes, sys
assert "kubernetes.config.kube_config" not in sys.modules
assert kubernetes.config.load_kube_config.__name__ == "load_kube_config"
assert "kubernetes.config.kube_config" in sys.modules
from kubernetes.watch import Watch
assert Watch.__name__ == "Watch"
""")


@pytest.mark.parametrize("given", [None, "/nowhere/cert.pem"], ids=["nothing", "a file"])
def test_certificate_authorities_are_there_for_our_own_connections(given: str | None) -> None:
    """A cluster whose kubeconfig names no authority is checked by the system's; aiohttp's own context has none."""
    variable = f"os.environ['SSL_CERT_FILE'] = {given!r}" if given else "os.environ.pop('SSL_CERT_FILE', None)"
    run(f"""
import os, ssl
{variable}
before = dict(os.environ), ssl.create_default_context().get_ca_certs()
import aiohttp, asyncio
from kubernetes.aio.client import Configuration
from mageflow.kube.http import HttpTransport, _Rest
assert aiohttp.connector._SSL_CONTEXT_VERIFIED.get_ca_certs() == []
configuration = Configuration(host="https://cluster.example")
assert (dict(os.environ), _Rest(configuration).ssl_context.get_ca_certs()) == before
""")
