"""The Debian packages that a node needs, installed only where the machine lacks them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from localcluster.tools import ClusterError, run

CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))


@dataclass(frozen=True)
class Package:
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


def install(names: Sequence[str], log: Path) -> None:
    """Install packages, removing none; raise ClusterError with the end of apt's output if that fails."""
    if names:
        _apt(log, "update")
        _apt(log, "install", "--yes", "--no-install-recommends", "--no-remove", *names)


def static_busybox(cache: Path, log: Path) -> Path:
    """Return a busybox that needs no libraries, unpacked from Debian's busybox-static into the cache.

    It is not installed: Debian's busybox, which many machines have, would have to go.
    """
    busybox = cache / "busybox"
    if not busybox.exists():
        _apt(log, "update")
        with tempfile.TemporaryDirectory(dir=cache, prefix="build-") as scratch:
            _apt(log, "download", "--option", "APT::Sandbox::User=root", "busybox-static", cwd=Path(scratch))
            run(["dpkg-deb", "--extract", *Path(scratch).glob("*.deb"), scratch])
            (Path(scratch) / "bin" / "busybox").rename(busybox)
    return busybox


def _apt(log: Path, *arguments: str, cwd: Path | None = None) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a") as output:
        command = ["apt-get", *arguments]
        code = subprocess.call(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, cwd=cwd
        )
    if code != 0:
        end = "\n".join(log.read_text().splitlines()[-10:])
        raise ClusterError(f"`{' '.join(command)}` failed:\n{end}", f"All it printed is in {log}.")
