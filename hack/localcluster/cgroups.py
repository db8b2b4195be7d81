"""The cgroup that all pods of a cluster are in: made before the kubelet starts, and by it their processes are found.

With cgroup v1 there is a hierarchy per controller, each a mount of its own; with v2 there is one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from localcluster.mounts import Mount, observe_mounts


def hierarchies(mounts: list[Mount]) -> list[Path]:
    """Name the mount points of all cgroup hierarchies, each once."""
    return sorted({mount.point for mount in mounts if mount.kind in ("cgroup", "cgroup2")})


def create(name: str) -> None:
    """Make the cgroup in every hierarchy, with every controller that the hierarchy offers."""
    for hierarchy in hierarchies(observe_mounts()):
        controllers = hierarchy / "cgroup.controllers"
        if controllers.exists():
            for controller in controllers.read_text().split():
                # A controller that real-time processes or a container's outer limits keep us from is done without.
                with contextlib.suppress(OSError):
                    (hierarchy / "cgroup.subtree_control").write_text(f"+{controller}")
        (hierarchy / name).mkdir(exist_ok=True)


def observe_processes(name: str) -> set[int]:
    """Return the ids of all processes in the cgroup and in those below it."""
    found: set[int] = set()
    for folder in _folders(name):
        with contextlib.suppress(FileNotFoundError, OSError):
            found.update(int(pid) for pid in (folder / "cgroup.procs").read_text().split())
    return found


def remove(name: str) -> None:
    """Remove the cgroup and those below it, in every hierarchy. No process may be left in them."""
    for folder in _folders(name):
        with contextlib.suppress(FileNotFoundError):
            folder.rmdir()


def _folders(name: str) -> Iterator[Path]:
    """Name the cgroup's folders, the deepest first."""
    for hierarchy in hierarchies(observe_mounts()):
        top = hierarchy / name
        if top.exists():
            below = [path for path in top.rglob("*") if path.is_dir()]
            yield from sorted([top, *below], key=lambda path: len(path.parts), reverse=True)
