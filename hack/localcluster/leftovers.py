"""Traces that a cluster could leave on the machine: looked for before the first `up`, and again by `down --check`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from localcluster import kernel, runtime
from localcluster.layout import DATA, RUN, Layout
from localcluster.processes import observe_commands
from localcluster.tools import run, write_whole

Traces = Mapping[str, list[str]]
"""By kind, as in {"mounts": ["/proc", …]}; each trace is one line of text."""

CNI_STATE = Path("/var/lib/cni")
CONTAINER_LOG_LINKS = Path("/var/log/containers")
KUBELET = Path("/var/lib/kubelet")
DEVICE_PLUGINS = KUBELET / "device-plugins"
"""Where a kubelet listens for device plugins, whatever its configuration says."""

_FOLDERS = (RUN, DATA, CNI_STATE, runtime.SHIM_SOCKETS.parent, CONTAINER_LOG_LINKS, KUBELET)


def observe(layout: Layout) -> Traces:
    """Look at everything that running pods changes on a machine, and at this cluster's processes."""
    cgroups = (path for top in kernel.cgroup_hierarchies() for path in (*top.glob("*/"), *top.glob("*/*/")))
    files = (path for folder in _FOLDERS for path in (folder, *folder.rglob("*")))
    commands = ((pid, " ".join(arguments)) for pid, arguments in observe_commands())
    # The processes that are given this cluster's folders; a container's are told by their cgroup.
    marks = (layout.network, f"{layout.state}/", f"{layout.run}/")
    return {
        "processes": [f"{pid} {command}" for pid, command in commands if any(mark in command for mark in marks)],
        "mounts": [str(mount.point) for mount in kernel.observe_mounts()],
        "network interfaces": [link["ifname"] for link in json.loads(run(["ip", "-json", "link"]))],
        "network namespaces": run(["ip", "netns", "list"]).splitlines(),
        "packet rules": run(["nft", "list", "ruleset"]).splitlines(),
        "cgroups": [str(path) for path in cgroups if path.is_dir()],
        "files": [str(path) for path in files if path.exists()],
        "kernel settings": [f"{name} = {value}" for name, value in kernel.observe_sysctls().items()],
    }


def find_left(layout: Layout, before: Traces, after: Traces, *, has_company: bool) -> list[str]:
    """Name what is there after and was not before, each with its kind.

    With company, other clusters that came and went meanwhile, only what bears this cluster's name.
    """
    return [
        f"{kind}: {trace}"
        for kind, traces in after.items()
        for trace in traces
        if trace not in before.get(kind, ()) and (not has_company or layout.id in trace)
    ]


def remember(layout: Layout) -> None:
    """Write down the traces that are there, unless that was done at an earlier `up`."""
    if not layout.before.exists():
        write_whole(layout.before, json.dumps(observe(layout)))


def recall(layout: Layout) -> Traces | None:
    """Return what `remember` wrote down; None if there is no cluster."""
    return json.loads(layout.before.read_text()) if layout.before.exists() else None
