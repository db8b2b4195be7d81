"""The node's changes to the kernel: mounts, the cgroup of all pods, settings of the whole machine.

With cgroup v1 there is a hierarchy per controller, each a mount of its own; with v2 there is one.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from localcluster.layout import RUN
from localcluster.tools import run, write_whole

SYSCTLS = (
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


@dataclass(frozen=True)
class Mount:
    """A mount point and the kind of file system on it."""

    point: Path
    kind: str


def parse_mounts(text: str) -> list[Mount]:
    r"""Read /proc/self/mounts, in the order in which things were mounted; the kernel writes a blank as \040."""
    lines = (line.split(" ") for line in text.splitlines())
    return [
        Mount(Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), point)), kind)
        for _, point, kind, *_ in lines
    ]


def observe_mounts() -> list[Mount]:
    """List what is mounted now."""
    return parse_mounts(Path("/proc/self/mounts").read_text())


def unmount_below(*folders: Path) -> None:
    """Unmount everything in and below the folders, the last mounted first."""
    for mount in reversed(observe_mounts()):
        if any(mount.point.is_relative_to(folder) for folder in folders):
            run(["umount", "--lazy", mount.point])


def cgroup_hierarchies() -> list[Path]:
    """Name the mount points of all cgroup hierarchies, each once."""
    return sorted({mount.point for mount in observe_mounts() if mount.kind in ("cgroup", "cgroup2")})


def create_cgroup(name: str) -> None:
    """Make the cgroup in every hierarchy, with every controller that the hierarchy offers."""
    for hierarchy in cgroup_hierarchies():
        controllers = hierarchy / "cgroup.controllers"
        for controller in controllers.read_text().split() if controllers.exists() else ():
            # A controller that real-time processes or a container's outer limits keep us from is done without.
            with contextlib.suppress(OSError):
                (hierarchy / "cgroup.subtree_control").write_text(f"+{controller}")
        (hierarchy / name).mkdir(exist_ok=True)


def observe_cgroup(name: str) -> set[int]:
    """Return the ids of all processes in the cgroup and in those below it."""
    found: set[int] = set()
    for folder in _cgroup_folders(name):
        with contextlib.suppress(OSError):
            found.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
    return found


def remove_cgroup(name: str) -> None:
    """Remove the cgroup and those below it, in every hierarchy. No process may be left in them."""
    for folder in _cgroup_folders(name):
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()


def _cgroup_folders(name: str) -> Iterator[Path]:
    """Name the cgroup's folders, those within another before it."""
    for hierarchy in cgroup_hierarchies():
        folders = [path for path in (hierarchy / name, *(hierarchy / name).rglob("*")) if path.is_dir()]
        yield from sorted(folders, reverse=True)


def observe_sysctls() -> dict[str, str]:
    """Read the settings of the whole machine that a node changes."""
    return {name: path.read_text().strip() for name in SYSCTLS if (path := Path("/proc/sys") / name).exists()}


def allow_forwarding() -> None:
    """Let packets pass from pods to the outside; what was set before the machine's first cluster is written down."""
    if not _REMEMBERED.exists():
        write_whole(_REMEMBERED, json.dumps(observe_sysctls()))
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def restore_sysctls() -> None:
    """Put the settings back; to be called when the last cluster of the machine goes."""
    if _REMEMBERED.exists():
        for name, value in json.loads(_REMEMBERED.read_text()).items():
            if observe_sysctls().get(name) != value:
                (Path("/proc/sys") / name).write_text(value)
        _REMEMBERED.unlink()
