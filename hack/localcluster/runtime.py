"""The container runtime: a containerd of the cluster's own, beside one that the machine may have."""

from __future__ import annotations

import json
import tempfile
from ipaddress import IPv4Network
from pathlib import Path
from typing import NamedTuple

from localcluster import network
from localcluster.images import PAUSE
from localcluster.layout import Layout
from localcluster.packages import cni_folder
from localcluster.processes import Supervisor, observe_commands
from localcluster.tools import run, succeeds, wait_until

SHIM_SOCKETS = Path("/run/containerd/s")
"""Where shims, a process per pod, listen, whatever containerd's configuration says."""

_CAP_SYS_RESOURCE = 24


class RuntimeSettings(NamedTuple):
    """What depends on the machine."""

    cni_folder: Path
    snapshotter: str
    may_lower_oom_score: bool


def has_capability(status: str, number: int) -> bool:
    """Tell from the text of /proc/self/status whether a capability is in effect."""
    line = next(line for line in status.splitlines() if line.startswith("CapEff:"))
    return bool(int(line.split()[1], 16) >> number & 1)


def render_config(layout: Layout, settings: RuntimeSettings) -> str:
    """Write containerd's configuration: all its folders are ours, so that removing them leaves nothing."""
    return f"""\
version = 2
root = "{layout.data}/containerd"
state = "{layout.run}/containerd"

[grpc]
  address = "{layout.runtime_socket}"

[plugins."io.containerd.internal.v1.opt"]
  path = "{layout.data}/containerd/opt"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE.name}"
  # Without CAP_SYS_RESOURCE no process may lower its score, and no sandbox would start.
  restrict_oom_score_adj = {str(not settings.may_lower_oom_score).lower()}
  # Keeps them out of /run/netns, where `ip netns` would list them.
  netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{settings.cni_folder}"
  conf_dir = "{layout.run}/cni"

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "{settings.snapshotter}"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  Root = "{layout.run}/runc"
"""


def start(layout: Layout, processes: Supervisor, subnet: IPv4Network) -> None:
    """Start containerd and wait until it answers."""
    config = layout.run / "containerd.toml"
    if not processes.is_running("containerd"):
        layout.data.mkdir(parents=True, exist_ok=True)
        remove_dead_sockets(layout)
        snapshotter = "overlayfs" if _can_overlay(layout.data) else "native"
        may_lower_oom_score = has_capability(Path("/proc/self/status").read_text(), _CAP_SYS_RESOURCE)
        config.write_text(render_config(layout, RuntimeSettings(cni_folder(), snapshotter, may_lower_oom_score)))
    cni = layout.run / "cni" / "mageflow.conflist"
    cni.parent.mkdir(exist_ok=True)
    cni.write_text(json.dumps(network.cni_config(layout, subnet), indent=2))
    processes.start("containerd", ["containerd", "--config", config])
    question = ("ctr", "--address", layout.runtime_socket, "version")
    wait_until(lambda: succeeds(question), 30, f"containerd (its log is {processes.log('containerd')})")


def observe_shims(layout: Layout) -> set[int]:
    """Find the processes that containerd left: shims that serve our socket, and runc at work on our state."""
    marks = {str(layout.runtime_socket), str(layout.run / "runc" / "k8s.io")}
    return {
        pid
        for pid, arguments in observe_commands()
        if Path(arguments[0]).name in ("containerd-shim-runc-v2", "runc") and marks.intersection(arguments)
    }


def remove_dead_sockets(layout: Layout) -> None:
    """Remove the sockets of shims that are gone without having done so; after a crash containerd would not."""
    listening = Path("/proc/net/unix").read_text()
    for address in (layout.run / "containerd" / "io.containerd.runtime.v2.task" / "k8s.io").glob("*/address"):
        socket = address.read_text().strip().removeprefix("unix://")
        if socket not in listening:
            Path(socket).unlink(missing_ok=True)


def _can_overlay(folder: Path) -> bool:
    """Tell whether the folder's file system takes an overlay: inside a container it often does not."""
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for name in ("lower", "upper", "work", "merged"):
            (Path(scratch) / name).mkdir()
        options = f"lowerdir={scratch}/lower,upperdir={scratch}/upper,workdir={scratch}/work"
        merged = Path(scratch) / "merged"
        if not succeeds(["mount", "-t", "overlay", "overlay", "-o", options, merged]):
            return False
        run(["umount", merged])
        return True
