"""The images that are there without a registry: pause, for the pods' sandboxes, and busybox.

They are put together from a static busybox as a docker-archive: a tar file with a manifest, a configuration, and
one layer, itself a tar file.
"""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from localcluster.binaries import cache_folder
from localcluster.layout import Layout
from localcluster.packages import static_busybox
from localcluster.tools import run


class Image(NamedTuple):
    """An image that holds busybox alone: its full name, and what its containers run by default."""

    name: str
    command: tuple[str, ...]


PAUSE = Image("docker.io/local/pause:1", ("sleep", "2147483647"))
"""Holds a pod's namespaces until it is killed."""

BUSYBOX = Image("docker.io/library/busybox:1.36", ("sh",))
"""Named like the public image, so that the same examples run on any cluster."""


def load(layout: Layout) -> None:
    """Make and import the images that the container runtime lacks."""
    present = list_images(layout)
    lacking = [image for image in (PAUSE, BUSYBOX) if image.name not in present]
    if lacking:
        busybox = static_busybox(cache_folder())
        layer = build_layer(busybox.read_bytes(), run([busybox, "--list"]).split())
        for image in lacking:
            with tempfile.NamedTemporaryFile(suffix=".tar") as file:
                file.write(build_archive(image, layer, platform.machine()))
                file.flush()
                import_archive(layout, Path(file.name))


def build_layer(busybox: bytes, applets: Sequence[str]) -> bytes:
    """Lay out a file system: /bin with busybox and a link to it for each applet, and a /tmp for everyone."""
    return _tar(
        *(_entry(folder, mode=0o755, kind=tarfile.DIRTYPE) for folder in ("bin", "etc", "root", "usr", "usr/bin")),
        _entry("tmp", mode=0o1777, kind=tarfile.DIRTYPE),
        _entry("bin/busybox", busybox, mode=0o755),
        *(_entry(f"bin/{applet}", link="busybox") for applet in applets if applet != "busybox"),
        _entry("usr/bin/env", link="../../bin/busybox"),
        _entry("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"),
    )


def build_archive(image: Image, layer: bytes, machine: str) -> bytes:
    """Put an image together; `machine` is as `uname -m` prints it."""
    config = json.dumps(
        {
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine),
            "os": "linux",
            "config": {"Env": ["PATH=/bin:/usr/bin"], "Cmd": list(image.command)},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        }
    ).encode()
    config_name = f"{hashlib.sha256(config).hexdigest()}.json"
    manifest = [{"Config": config_name, "RepoTags": [image.name], "Layers": ["layer.tar"]}]
    return _tar(
        _entry(config_name, config), _entry("layer.tar", layer), _entry("manifest.json", json.dumps(manifest).encode())
    )


def _entry(
    name: str, content: bytes = b"", *, mode: int = 0o644, kind: bytes = tarfile.REGTYPE, link: str = ""
) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.mode, info.size, info.linkname = mode, len(content), link
    info.type = tarfile.SYMTYPE if link else kind
    return info, content


def _tar(*entries: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def import_archive(layout: Layout, archive: Path) -> None:
    """Give the container runtime the image in a docker-archive."""
    # The first container that needs it unpacks it, with the snapshotter that is configured.
    _ctr(layout, "images", "import", "--no-unpack", str(archive))


def list_images(layout: Layout) -> list[str]:
    """Return the full names of the images that the container runtime has."""
    return _ctr(layout, "images", "list", "--quiet").split()


def remove_images(layout: Layout, names: Sequence[str]) -> None:
    """Take images from the container runtime; containers that run go on."""
    if names:
        _ctr(layout, "images", "remove", *names)


def _ctr(layout: Layout, *arguments: str) -> str:
    return run(["ctr", "--address", layout.runtime_socket, "--namespace", "k8s.io", *arguments])
