"""What the operator's image is built on where no image can be pulled: the machine's own distribution, with Python.

Images are kept by buildah in a folder of the cache. The base's name tells what it was made of, so it is made anew when
that changes.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from pathlib import Path

from localcluster.binaries import cache_root
from localcluster.machine import parse_codename
from localcluster.packages import Package, has_program, install, missing
from localcluster.progress import Steps
from localcluster.shell import run, succeeds

PACKAGES = (Package("buildah", ("buildah",)), Package("debootstrap", ("debootstrap",)))

CONTENT = ("ca-certificates", "python3", "python3-pip", "python3-venv")
"""The packages that it has, beside the smallest system that there is."""

CERTIFICATES = Path("etc/ssl/certs/ca-certificates.crt")
"""The machine's own go into the image: a package index may be reached through a proxy that has one of its own."""

UNUSED = ("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc", "usr/share/locale", "usr/share/man")


class ImageStore:
    """The images in the cache; made by `open_store`."""

    def __init__(self, folder: Path, run_folder: Path) -> None:
        self._command = ["buildah", f"--root={folder}", f"--runroot={run_folder}"]

    def buildah(self, *arguments: str | Path) -> str:
        """Run buildah; raise ClusterError with what it printed if it fails."""
        return run([*self._command, *arguments])

    def has(self, image: str) -> bool:
        """Tell whether an image is there."""
        return succeeds([*self._command, "images", "--quiet", image])


@contextmanager
def open_store() -> Iterator[ImageStore]:
    """Have the images that all clones of a user share, alone: the kernel ends the lock if we die."""
    folder = cache_root() / "images"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".mageflow-lock").open("w") as lock, tempfile.TemporaryDirectory() as run_folder:
        flock(lock, LOCK_EX)
        yield ImageStore(folder, Path(run_folder))


def ensure_base(store: ImageStore, log: Path, steps: Steps) -> str:
    """Return the name of the base image; make it if it isn't there."""
    codename = parse_codename(Path("/etc/os-release").read_text())
    name = base_name(codename, platform.machine(), ("/" / CERTIFICATES).read_bytes())
    lacking = missing(PACKAGES, has_program)
    with steps.step("make the base image", "" if not lacking and store.has(name) else "a minute and a half, once"):
        if lacking:
            install(lacking, log)
        if not store.has(name):
            _make_base(store, name, codename)
    return name


def base_name(codename: str, machine: str, certificates: bytes) -> str:
    """Name the base image by what it is made of."""
    parts = [codename, machine, *CONTENT, *UNUSED, hashlib.sha256(certificates).hexdigest()]
    return f"localhost/mageflow-base:{codename}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:12]}"


def _make_base(store: ImageStore, name: str, codename: str) -> None:
    with tempfile.TemporaryDirectory(prefix="build-", dir=cache_root()) as scratch:
        root = Path(scratch) / "root"
        run(["debootstrap", "--variant=minbase", f"--include={','.join(CONTENT)}", codename, root])
        for folder in UNUSED:
            _empty(root / folder)
        shutil.copy("/" / CERTIFICATES, root / CERTIFICATES)
        container = store.buildah("from", "scratch").strip()
        try:
            store.buildah("add", "--quiet", container, root, "/")
            store.buildah("commit", "--quiet", container, name)
        finally:
            store.buildah("rm", container)


def _empty(folder: Path) -> None:
    for path in folder.iterdir() if folder.exists() else ():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
