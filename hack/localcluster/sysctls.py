"""Kernel settings that a node changes for the whole machine, remembered so that `down` puts them back."""

from __future__ import annotations

import json
from pathlib import Path

from localcluster.files import write_whole
from localcluster.layout import RUN

NAMES = (
    "net/ipv4/ip_forward",
    # These are set by the kubelet.
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)

_REMEMBERED = RUN / "sysctls.json"


def observe_sysctls() -> dict[str, str]:
    """Read the settings as they are."""
    return {name: path.read_text().strip() for name in NAMES if (path := Path("/proc/sys") / name).exists()}


def remember() -> None:
    """Write down the present values, unless a cluster did so before."""
    if not _REMEMBERED.exists():
        write_whole(_REMEMBERED, json.dumps(observe_sysctls()))


def allow_forwarding() -> None:
    """Let packets pass from pods to the outside."""
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def restore() -> None:
    """Put the remembered values back; to be called when the last cluster of the machine goes."""
    if not _REMEMBERED.exists():
        return
    now = observe_sysctls()
    for name, value in json.loads(_REMEMBERED.read_text()).items():
        if now.get(name) != value:
            (Path("/proc/sys") / name).write_text(value)
    _REMEMBERED.unlink()
