"""The stage of the cases: a control plane, the operator in one namespace, and one beside it where the script plays.

Everything is made anew for each group of cases, so that no case pays for what another has left behind.
"""

from __future__ import annotations

import asyncio
import resource
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.api import MERGE, Api, Raw, connect
from bench.batches import do_all
from bench.kubelet import NODE
from bench.objects import path_of
from devkit.cluster import ROOT
from devkit.kubectl import Kubectl
from devkit.operator import OperatorProcess, cpu_seconds
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


class MeasuredOperator(OperatorProcess):
    """An operator as a user runs it; what it uses is read from /proc."""

    def __enter__(self) -> MeasuredOperator:
        self._pid = self.launch().pid
        return self

    def cpu(self) -> float:
        """Return the seconds of CPU that it has used."""
        return cpu_seconds(self._pid)

    def memory(self) -> float:
        """Return the MiB that it has in memory."""
        pages = int(Path(f"/proc/{self._pid}/statm").read_text().split()[1])
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


@dataclass(frozen=True)
class Stage:
    """What a case plays on."""

    api: Api
    control_plane: ControlPlane
    folder: Path

    def operator(self, *arguments: str) -> MeasuredOperator:
        """Return an operator, to be entered, that watches OURS, or as its arguments say."""
        kubeconfig = self.control_plane.kubeconfig_for("mageflow-operator")
        return MeasuredOperator(kubeconfig, self.folder / "operator.log", *(arguments or (f"--namespace={OURS}",)))

    async def make(self, path: str, bodies: list[Raw], at_once: int = 20) -> float:
        """Create many objects; return how many seconds that took."""
        return await do_all(bodies, at_once, lambda body: self.api.request("POST", path, body))


@asynccontextmanager
async def made_namespaces(api: Api, *names: str) -> AsyncIterator[None]:
    """Make namespaces in a cluster that stays, and have them deleted afterwards."""
    async with AsyncExitStack() as stack:
        for name in names:
            await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
            stack.push_async_callback(api.request, "DELETE", f"/api/v1/namespaces/{name}")
        yield


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
    await api.request("PATCH", f"/api/v1/nodes/{NODE}/status", {"status": NODE_STATUS}, MERGE)
    await api.request("PATCH", f"/api/v1/nodes/{NODE}", {"spec": {"taints": []}}, MERGE)
    for name in (OURS, BY_HAND):
        await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    for plural in ("workflows", "chains", "swarms"):
        await api.request("GET", path_of(OURS, plural))  # answers 429 until its storage is there
