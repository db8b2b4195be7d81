"""What is mounted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localcluster.shell import run


@dataclass(frozen=True)
class Mount:
    """A mount point and the kind of file system on it."""

    point: Path
    kind: str


def parse_mounts(text: str) -> list[Mount]:
    """Read /proc/self/mounts, in the order in which things were mounted."""
    lines = (line.split(" ") for line in text.splitlines())
    return [Mount(Path(_unescaped(fields[1])), fields[2]) for fields in lines]


def observe_mounts() -> list[Mount]:
    """List what is mounted now."""
    return parse_mounts(Path("/proc/self/mounts").read_text())


def unmount_below(folders: Sequence[Path]) -> None:
    """Unmount everything in and below the folders, the last mounted first."""
    for mount in reversed(observe_mounts()):
        if any(mount.point.is_relative_to(folder) for folder in folders):
            run(["umount", "--lazy", mount.point])


def _unescaped(field: str) -> str:
    r"""Undo the kernel's escapes, as in \040 for a blank."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
