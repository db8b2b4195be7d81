"""The local cluster, a control plane and one node with real pods: from nothing to ready, and back to nothing.

Its end goes by what is found, not by what was started: it works after a crash, or a start that failed half-way.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

from localcluster import images, kernel, kubelet, leftovers, network, packages, runtime
from localcluster.binaries import ensure
from localcluster.controlplane import ControlPlane
from localcluster.layout import DATA, RUN, Layout
from localcluster.leftovers import CNI_STATE, CONTAINER_LOG_LINKS, DEVICE_PLUGINS
from localcluster.processes import Supervisor, observe_process
from localcluster.progress import Steps
from localcluster.tools import extend_path, wait_until


def up(layout: Layout) -> None:
    """Start what does not run, and return once the node is ready. Needs root, Debian and the Go programs."""
    extend_path()
    ensure()
    steps = Steps(total=6)
    missing = packages.missing(packages.PACKAGES, packages.has_program)
    with steps.step("install packages", "half a minute" if missing else "") as tell:
        tell(" ".join(missing) or "none missing")
        packages.install(missing)
    with steps.step("make the pods' network") as tell:
        if has_traces(layout) and not layout.kubeconfig.exists():
            # The clone was cleaned while its cluster ran: the new one could not talk to what is left of it.
            tear_down(layout)
        leftovers.remember(layout)
        layout.run.mkdir(parents=True, exist_ok=True)
        kernel.allow_forwarding()
        subnet = network.keep_subnet(layout)
        network.create_bridge(layout, subnet)
        tell(f"{layout.bridge}, {subnet}")
    with steps.step("start the control plane"):
        control_plane = ControlPlane(
            layout.state,
            address=network.gateway(subnet),
            has_nodes=True,
            bound_to_parent=False,
            records=layout.records,
        )
        control_plane.start()
        network.apply_rules(layout, subnet, control_plane.ports.api)
    with steps.step("start containerd"):
        runtime.start(layout, control_plane.processes, subnet)
    with steps.step("load the images") as tell:
        tell(f"{images.PAUSE.name}, {images.BUSYBOX.name}")
        images.load(layout)
    with steps.step("start the kubelet"):
        kubelet.start(layout, control_plane)


def has_traces(layout: Layout) -> bool:
    """Tell whether there is anything of a local cluster, running or not."""
    return layout.run.exists() or layout.data.exists()


def has_company() -> bool:
    """Tell whether a cluster is left on this machine: once this clone's is gone, another clone's."""
    return any(path.is_dir() for path in RUN.glob("*"))


def tear_down(layout: Layout) -> None:
    """End the cluster's processes and remove its traces; does nothing where there are none."""
    _end_processes(layout)
    kernel.unmount_below(layout.run, layout.data)
    network.remove(layout)
    kernel.remove_cgroup(layout.network)
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
    _kill_all(lambda: kernel.observe_cgroup(layout.network), "the containers to end")
    _kill_all(lambda: runtime.observe_shims(layout), "the containers' shims to end")


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
    runtime.remove_dead_sockets(layout)
    sandboxes = (layout.data / "containerd" / "io.containerd.grpc.v1.cri" / "sandboxes").glob("*")
    for name in (f"{layout.network}-*", *(f"*-{sandbox.name}-*" for sandbox in sandboxes)):
        for result in CNI_STATE.glob(f"results/{name}"):
            result.unlink(missing_ok=True)
    for link in CONTAINER_LOG_LINKS.glob("*.log"):
        if Path(os.readlink(link)).is_relative_to(layout.data):
            link.unlink(missing_ok=True)


def _remove_shared_traces() -> None:
    """Remove what the machine's clusters share, now that the last is gone; folders only if they are empty."""
    kernel.restore_sysctls()
    if leftovers.KUBELET.exists() and list(leftovers.KUBELET.iterdir()) == [DEVICE_PLUGINS]:
        shutil.rmtree(leftovers.KUBELET)
    sockets = runtime.SHIM_SOCKETS
    for folder in (sockets, sockets.parent, CNI_STATE / "results", CNI_STATE, CONTAINER_LOG_LINKS, RUN, DATA):
        with contextlib.suppress(OSError):  # not empty, or not there: either way there is nothing to do
            folder.rmdir()
