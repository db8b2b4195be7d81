"""The Debian packages that a node needs, installed only where the machine lacks them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from localcluster.tools import run

CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))


class Package(NamedTuple):
    """A Debian package, and the programs of it that are used; another vendor's are as good."""

    name: str
    programs: tuple[str, ...]


PACKAGES = (
    Package("containerd", ("containerd", "containerd-shim-runc-v2", "ctr")),
    Package("runc", ("runc",)),
    Package("containernetworking-plugins", ("cni/bridge", "cni/host-local", "cni/loopback")),
    Package("nftables", ("nft",)),
    Package("iproute2", ("ip",)),
    Package("mount", ("mount", "umount")),
)


def missing(packages: Sequence[Package], has_program: Callable[[str], bool]) -> list[str]:
    """Name the packages of which a program is not there."""
    return [package.name for package in packages if not all(has_program(program) for program in package.programs)]


def has_program(name: str) -> bool:
    """Tell whether a program is on the PATH or, for one named cni/…, in a folder of network plugins."""
    if name.startswith("cni/"):
        return any((folder / name.removeprefix("cni/")).exists() for folder in CNI_FOLDERS)
    return shutil.which(name) is not None


def cni_folder() -> Path:
    """Return the folder that the network plugins are in."""
    return next(folder for folder in CNI_FOLDERS if (folder / "bridge").exists())


def install(names: Sequence[str]) -> None:
    """Install packages, removing none; raise ClusterError with the end of apt's output if that fails."""
    if names:
        _apt("update")
        _apt("install", "--yes", "--no-install-recommends", "--no-remove", *names)


def static_busybox(cache: Path) -> Path:
    """Return a busybox that needs no libraries, unpacked from Debian's busybox-static into the cache.

    It is not installed: Debian's busybox, which many machines have, would have to go.
    """
    busybox = cache / "busybox"
    if not busybox.exists():
        _apt("update")
        with tempfile.TemporaryDirectory(dir=cache, prefix="build-") as scratch:
            _apt("download", "--option", "APT::Sandbox::User=root", "busybox-static", cwd=scratch)
            run(["dpkg-deb", "--extract", *Path(scratch).glob("*.deb"), scratch])
            (Path(scratch) / "bin" / "busybox").rename(busybox)
    return busybox


def _apt(*arguments: str, cwd: str | None = None) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run(["apt-get", *arguments], stdin=subprocess.DEVNULL, env=environment, cwd=cwd)
