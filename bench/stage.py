"""The stage of the cases: a control plane, the operator in one namespace, and one beside it where the script plays.

Everything is made anew for each group of cases, so that no case pays for what another has left behind.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.api import Api, connect
from bench.kubelet import NODE
from bench.objects import path_of
from devkit.cluster import ROOT
from devkit.kubectl import Kubectl
from localcluster.controlplane import ControlPlane

OURS: Final = "ours"
"""The namespace that the operator watches."""
BY_HAND: Final = "by-hand"
"""The namespace in which a script makes the same API calls; the operator doesn't see it."""

NODE_STATUS: Final = {
    "capacity": {"cpu": "10000", "memory": "10000Gi", "pods": "100000"},
    "allocatable": {"cpu": "10000", "memory": "10000Gi", "pods": "100000"},
    "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}],
}
PATIENCE: Final = 600.0


class OperatorProcess:
    """`mageflow-operator` as a user runs it; what it has used is read from /proc."""

    def __init__(self, kubeconfig: Path, log: Path, *arguments: str) -> None:
        self._log = log.open("ab")
        program = [sys.executable, "-m", "mageflow.controller", *arguments]
        environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
        self._process = subprocess.Popen(program, env=environment, stdout=self._log, stderr=self._log)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def cpu(self) -> float:
        """Return the seconds of CPU that it has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Return the MiB that it has in memory."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize() / 2**20

    async def rest(self, quiet: float = 1.5) -> float:
        """Wait until it uses next to no CPU; return how much it had used when that began."""
        deadline = time.monotonic() + PATIENCE
        before = self.cpu()
        while time.monotonic() < deadline:
            await asyncio.sleep(quiet)
            used = self.cpu()
            if used - before <= 0.02 * quiet:
                return before
            before = used
        raise TimeoutError("the operator never comes to rest")

    def kill(self) -> None:
        """End it at once (SIGKILL)."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it (SIGTERM)."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process.poll() is None:
            self._process.send_signal(how)
            self._process.wait(60)
        self._log.close()


@dataclass(frozen=True)
class Stage:
    """What a case plays on."""

    api: Api
    control_plane: ControlPlane
    folder: Path

    @contextmanager
    def operator(self, *arguments: str) -> Iterator[OperatorProcess]:
        """Run an operator that watches OURS, or as its arguments say."""
        kubeconfig = self.control_plane.kubeconfig_for("mageflow-operator")
        arguments = arguments or (f"--namespace={OURS}", "--health-port=18080")
        process = OperatorProcess(kubeconfig, self.folder / "operator.log", *arguments)
        try:
            yield process
        finally:
            process.stop()

    async def make(self, path: str, bodies: list[Any], at_once: int = 20) -> None:
        """Create many objects."""
        places = asyncio.Semaphore(at_once)

        async def create(body: Any) -> None:
            async with places:
                await self.api.request("POST", path, body)

        await asyncio.gather(*map(create, bodies))


@asynccontextmanager
async def open_stage() -> AsyncIterator[Stage]:
    """Start a control plane with the CRDs, a node that takes every pod, and the two namespaces."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mageflow-bench-")))
        control_plane = stack.enter_context(ControlPlane(folder))
        Kubectl(control_plane.kubectl, control_plane.kubeconfig, "default").install(ROOT / "crds")
        async with connect(control_plane.kubeconfig_for("bench")) as api:
            await _set_up(api)
            yield Stage(api, control_plane, folder)


async def _set_up(api: Api) -> None:
    await api.request("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}})
    merge = "application/merge-patch+json"
    await api.request("PATCH", f"/api/v1/nodes/{NODE}/status", {"status": NODE_STATUS}, merge)
    await api.request("PATCH", f"/api/v1/nodes/{NODE}", {"spec": {"taints": []}}, merge)
    for name in (OURS, BY_HAND):
        await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    for plural in ("workflows", "chains", "swarms"):
        await api.request("GET", path_of(OURS, plural))  # answers 429 until its storage is there
