"""Paths and names of a clone's cluster; no two clones on a machine share one. Pure.

Most is in the clone itself, in `.cluster/`. The node's own folders are elsewhere, with short names: the path of a Unix
socket may have 107 characters at most, and containers' file systems cannot lie on every file system.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

RUN = Path("/run/mageflow")
DATA = Path("/var/lib/mageflow")
NODE_NAME = "mageflow-local"


class Layout:
    """The paths and names of the cluster that belongs to the clone in `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.id = hashlib.sha256(str(root).encode()).hexdigest()[:8]
        """Tells clones on one machine apart; the same whenever the folder is the same."""

        self.state = root / ".cluster"
        """The control plane's state."""
        self.kubeconfig = self.state / "kubeconfig"
        """The administrator's, whichever provider made the cluster."""
        self.logs = self.state / "logs"
        """A file per process."""
        self.kind_record = self.state / "kind"
        """Is there if the cluster was made by kind."""

        self.data = DATA / self.id
        """The container runtime's and the kubelet's files."""
        self.before = self.data / "before.json"
        """What was on the machine before the cluster; `down --check` compares."""
        self.run = RUN / self.id
        """Sockets, process records and the container runtime's volatile state."""
        self.runtime_socket = self.run / "containerd.sock"
        self.records = self.run / "processes"
        """Outside of the clone, so that `git clean` does not orphan processes."""

        self.bridge = f"mf-{self.id}"
        """The network interface that pods are attached to; the kernel takes 15 characters at most."""
        self.network = f"mageflow-{self.id}"
        """The CNI network, and the cgroup that all pods are in."""
        self.nft_table = f"mageflow_{self.id}"
        """The nftables table that holds every packet rule of the cluster."""


def of_this_clone() -> Layout:
    """Return the layout of the clone that this file is in."""
    return Layout(Path(__file__).resolve().parents[2])
