"""Ends a local cluster, and removes what it, its containers and its network left on the machine.

It goes by what is found, not by what was started: it works after a crash, or a start that failed half-way.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from localcluster import cgroups, network, shims, sysctls
from localcluster.layout import DATA, RUN, Layout
from localcluster.mounts import unmount_below
from localcluster.processes import Supervisor, observe_process, wait_until

CNI_STATE = Path("/var/lib/cni")
CONTAINER_LOG_LINKS = Path("/var/log/containers")
DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")
"""Where a kubelet listens for device plugins, whatever its configuration says."""


def has_traces(layout: Layout) -> bool:
    """Tell whether there is anything of a local cluster, running or not."""
    return layout.run.exists() or layout.data.exists()


def has_company() -> bool:
    """Tell whether a cluster is left on this machine: once this clone's is gone, another clone's."""
    return any(path.is_dir() for path in RUN.glob("*"))


def tear_down(layout: Layout) -> None:
    """End the cluster's processes and remove its traces; does nothing where there are none."""
    _end_processes(layout)
    unmount_below([layout.run, layout.data])
    network.remove(layout)
    cgroups.remove(layout.network)
    _remove_traces(layout)
    for folder in (layout.run, layout.data, layout.state):
        if folder.exists():
            shutil.rmtree(folder)
    if not has_company():
        _remove_shared_traces()


def _end_processes(layout: Layout) -> None:
    """Kill what starts containers first; then the containers; their shims, which reap them, last."""
    processes = Supervisor(layout.records, layout.logs, bound_to_parent=False)
    for name in ("kubelet", "containerd", *processes.names()):
        processes.kill(name)
    _kill_all(lambda: cgroups.observe_processes(layout.network), "the containers to end")
    _kill_all(lambda: shims.observe_shims(layout), "the containers' shims to end")


def _kill_all(observe: Callable[[], set[int]], what: str) -> None:
    """Kill whatever is seen, until nothing is; what is killed may have started another meanwhile."""

    def all_gone() -> bool:
        alive = {pid for pid in observe() if (state := observe_process(pid)) and state.letter not in "ZX"}
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not alive

    wait_until(all_gone, 60, what, interval_s=0.02)


def _remove_traces(layout: Layout) -> None:
    """Remove files in folders that are not ours alone."""
    shims.remove_dead_sockets(layout)
    for sandbox in (layout.data / "containerd" / "io.containerd.grpc.v1.cri" / "sandboxes").glob("*"):
        for result in CNI_STATE.glob(f"results/*-{sandbox.name}-*"):
            result.unlink(missing_ok=True)
    for result in CNI_STATE.glob(f"results/{layout.network}-*"):
        result.unlink(missing_ok=True)
    for link in CONTAINER_LOG_LINKS.glob("*.log"):
        if Path(os.readlink(link)).is_relative_to(layout.data):
            link.unlink(missing_ok=True)


def _remove_shared_traces() -> None:
    """Remove what the machine's clusters share, now that the last is gone; folders only if they are empty."""
    sysctls.restore()
    kubelet = DEVICE_PLUGINS.parent
    if kubelet.exists() and list(kubelet.iterdir()) == [DEVICE_PLUGINS]:
        shutil.rmtree(kubelet)
    for folder in (
        shims.SOCKETS,
        shims.SOCKETS.parent,
        CNI_STATE / "results",
        CNI_STATE,
        CONTAINER_LOG_LINKS,
        RUN,
        DATA,
    ):
        # Not empty, or not there: either way there is nothing to do.
        with contextlib.suppress(OSError):
            folder.rmdir()
