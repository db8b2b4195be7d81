"""Where a clone's cluster keeps what it needs, and how its things are named; two clones never meet. Pure.

Most is in the clone itself, in `.cluster/`. Unix sockets may have at most 107 characters in their path, and
containers' file systems cannot lie on every file system, so the node's own folders are elsewhere, and short.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

RUN = Path("/run/mageflow")
DATA = Path("/var/lib/mageflow")

NODE_NAME = "mageflow-local"


@dataclass(frozen=True)
class Layout:
    """The paths and names of the cluster that belongs to the clone in `root`."""

    root: Path

    @property
    def id(self) -> str:
        """Tells clones on one machine apart: 8 hexadecimal digits, the same whenever the folder is the same."""
        return hashlib.sha256(str(self.root).encode()).hexdigest()[:8]

    @property
    def state(self) -> Path:
        """The control plane's state, the kubeconfig and the logs."""
        return self.root / ".cluster"

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, whichever provider made the cluster."""
        return self.state / "kubeconfig"

    @property
    def logs(self) -> Path:
        """A file per process, and one for what installing packages printed."""
        return self.state / "logs"

    @property
    def run(self) -> Path:
        """Sockets, process records and the container runtime's volatile state."""
        return RUN / self.id

    @property
    def data(self) -> Path:
        """The container runtime's and the kubelet's persistent state."""
        return DATA / self.id

    @property
    def records(self) -> Path:
        """The process records; outside of the clone, so that `git clean` does not orphan processes."""
        return self.run / "processes"

    @property
    def runtime_socket(self) -> Path:
        """Where containerd listens."""
        return self.run / "containerd.sock"

    @property
    def pod_logs(self) -> Path:
        """Where containers' output is kept."""
        return self.data / "pod-logs"

    @property
    def bridge(self) -> str:
        """The network interface that pods are attached to; the kernel takes at most 15 characters."""
        return f"mf-{self.id}"

    @property
    def network(self) -> str:
        """The CNI network's name, also the name of the cgroup that all pods are in."""
        return f"mageflow-{self.id}"

    @property
    def nft_table(self) -> str:
        """The nftables table that holds every packet rule of this cluster."""
        return f"mageflow_{self.id}"


def of_this_clone() -> Layout:
    """Return the layout of the clone that this file is in."""
    return Layout(Path(__file__).resolve().parents[2])
