"""The operator's image, built from the Dockerfile as it is, on a base made here, and given to the local cluster.

No image can be pulled, so the base is the machine's own distribution, with Python. Its name tells what it was made of,
so that it is made anew when that changes. Buildah keeps the images in a folder of the cache.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from localcluster.binaries import cache_root
from localcluster.images import import_archive, list_images, remove_images
from localcluster.layout import Layout
from localcluster.packages import Package, has_program, install, missing
from localcluster.progress import Steps
from localcluster.provider import read_os_release
from localcluster.tools import alone, run

REPOSITORY = "docker.io/local/mageflow-operator"

BUILD_STAGE = "localhost/mageflow-build"
"""Names the last image of the stage `build`: its layers stay in the cache, and dependencies aren't installed anew."""

PACKAGES = (Package("buildah", ("buildah",)), Package("debootstrap", ("debootstrap",)))

CONTENT = ("ca-certificates", "python3", "python3-pip", "python3-venv")
"""The packages that the base has, beside the smallest system that there is."""

CERTIFICATES = Path("etc/ssl/certs/ca-certificates.crt")
"""The machine's own go into the image: a package index may be reached through a proxy that has one of its own."""

UNUSED = ("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc", "usr/share/locale", "usr/share/man")


Buildah = Callable[..., str]
"""Runs buildah with these arguments, on the images in the cache."""


def prepare_base() -> None:
    """Make the base image, so that nobody waits for it later. Needs root and Debian or Ubuntu."""
    with _open_store() as buildah:
        _ensure_base(buildah, Steps(total=1))


def load_operator_image(layout: Layout) -> str:
    """Build the image, import it into the running local cluster, and return its name, which tells its content."""
    steps = Steps(total=3)
    with _open_store() as buildah:
        base = _ensure_base(buildah, steps)
        with steps.step("build the operator's image", "a few seconds; a minute once for its dependencies"):
            image_id = _build(buildah, layout.root, base)
        name = f"{REPOSITORY}:{image_id[:12]}"
        with steps.step("import it") as tell:
            tell(name)
            _import(buildah, layout, image_id, name)
    return name


def base_name(codename: str, machine: str, certificates: bytes) -> str:
    """Name the base image by what it is made of."""
    parts = [codename, machine, *CONTENT, *UNUSED, hashlib.sha256(certificates).hexdigest()]
    return f"localhost/mageflow-base:{codename}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:12]}"


@contextmanager
def _open_store() -> Iterator[Buildah]:
    """Have the images that all clones of a user share, alone."""
    folder = cache_root() / "images"
    with alone(folder / ".mageflow-lock", "building an image"), tempfile.TemporaryDirectory() as run_folder:
        yield lambda *arguments: run(["buildah", f"--root={folder}", f"--runroot={run_folder}", *arguments])


def _ensure_base(buildah: Buildah, steps: Steps) -> str:
    codename = read_os_release().get("VERSION_CODENAME", "")
    name = base_name(codename, platform.machine(), ("/" / CERTIFICATES).read_bytes())
    lacking = missing(PACKAGES, has_program)
    is_there = not lacking and buildah("images", "--quiet", "--filter", f"reference={name}")
    with steps.step("make the base image", "" if is_there else "a minute and a half, once"):
        install(lacking)
        if not is_there:
            _make_base(buildah, name, codename)
    return name


def _make_base(buildah: Buildah, name: str, codename: str) -> None:
    with tempfile.TemporaryDirectory(prefix="build-", dir=cache_root()) as scratch:
        root = Path(scratch) / "root"
        run(["debootstrap", "--variant=minbase", f"--include={','.join(CONTENT)}", codename, root])
        for folder in UNUSED:
            shutil.rmtree(root / folder, ignore_errors=True)
            (root / folder).mkdir(parents=True, exist_ok=True)
        shutil.copy("/" / CERTIFICATES, root / CERTIFICATES)
        container = buildah("from", "scratch").strip()
        try:
            buildah("add", "--quiet", container, root, "/")
            buildah("commit", "--quiet", container, name)
        finally:
            buildah("rm", container)


def _build(buildah: Buildah, root: Path, base: str) -> str:
    """Build both stages and return the image's id; layers of earlier builds that this one didn't use go."""
    build = ("bud", "--quiet", "--layers", "--isolation=chroot", "--format=docker", f"--build-arg=BASE_IMAGE={base}")
    with tempfile.NamedTemporaryFile() as id_file:
        buildah(*build, "--target=build", f"--tag={BUILD_STAGE}", root)
        buildah(*build, f"--iidfile={id_file.name}", f"--tag={REPOSITORY}", root)
        buildah("rmi", "--prune")
        return Path(id_file.name).read_text().removeprefix("sha256:")


def _import(buildah: Buildah, layout: Layout, image_id: str, name: str) -> None:
    present = list_images(layout)
    if name not in present:
        with tempfile.TemporaryDirectory(prefix="build-", dir=cache_root()) as scratch:
            archive = Path(scratch) / "image.tar"
            buildah("push", "--quiet", image_id, f"docker-archive:{archive}:{name}")
            import_archive(layout, archive)
    remove_images(layout, [image for image in present if image.startswith(f"{REPOSITORY}:") and image != name])
