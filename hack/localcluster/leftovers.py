"""What a cluster could leave on the machine, looked at before the first `up` and after `down`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from localcluster import shims, teardown
from localcluster.cgroups import hierarchies
from localcluster.files import write_whole
from localcluster.layout import DATA, RUN, Layout
from localcluster.mounts import observe_mounts
from localcluster.processes import observe_commands
from localcluster.shell import run, succeeds
from localcluster.sysctls import observe_sysctls

Traces = Mapping[str, list[str]]
"""By kind, as in {"mounts": ["/proc", …]}; each trace is one line of text."""

_FOLDERS = (
    RUN,
    DATA,
    teardown.CNI_STATE,
    shims.SOCKETS.parent,
    teardown.CONTAINER_LOG_LINKS,
    teardown.DEVICE_PLUGINS.parent,
)


def observe_traces(layout: Layout) -> Traces:
    """Look at everything that running pods changes on a machine, and at this cluster's processes."""
    mounts = observe_mounts()
    return {
        "processes": _observe_processes(layout),
        "mounts": [str(mount.point) for mount in mounts],
        "network interfaces": [link["ifname"] for link in json.loads(run(["ip", "-json", "link"]))],
        "network namespaces": run(["ip", "netns", "list"]).splitlines(),
        "packet rules": _observe_rules(),
        "cgroups": [
            str(path) for top in hierarchies(mounts) for path in (*top.glob("*/"), *top.glob("*/*/")) if path.is_dir()
        ],
        "files": [str(path) for folder in _FOLDERS for path in (folder, *folder.rglob("*")) if path.exists()],
        "kernel settings": [f"{name} = {value}" for name, value in observe_sysctls().items()],
    }


def find_left(layout: Layout, before: Traces, after: Traces, *, has_company: bool) -> list[str]:
    """Name what is there after and was not before, each with its kind.

    With company, other clusters that came and went meanwhile, only what bears this cluster's name.
    """
    return [
        f"{kind}: {trace}"
        for kind, traces in after.items()
        for trace in traces
        if trace not in set(before.get(kind, ())) and (not has_company or layout.id in trace)
    ]


def remember(layout: Layout) -> None:
    """Write down the traces that are there, unless that was done at an earlier `up`."""
    path = _remembered(layout)
    if not path.exists():
        write_whole(path, json.dumps(observe_traces(layout)))


def recall(layout: Layout) -> Traces | None:
    """Return what `remember` wrote down; None if there is no cluster."""
    path = _remembered(layout)
    return json.loads(path.read_text()) if path.exists() else None


def _remembered(layout: Layout) -> Path:
    return layout.data / "before.json"


def _observe_processes(layout: Layout) -> list[str]:
    """List the processes that are given this cluster's folders; a container's are told by their cgroup."""
    commands = ((pid, " ".join(arguments)) for pid, arguments in observe_commands())
    return [
        f"{pid} {command}"
        for pid, command in commands
        if layout.network in command or f"{layout.state}/" in command or f"{layout.run}/" in command
    ]


def _observe_rules() -> list[str]:
    rules = run(["nft", "list", "ruleset"])
    if succeeds(["iptables-save"]):
        rules += "".join(line for line in run(["iptables-save"]).splitlines(True) if not line.startswith("#"))
    return rules.splitlines()
