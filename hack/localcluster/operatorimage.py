"""The operator's image, built from the Dockerfile as it is, on a base made here, and given to the local cluster.

No image can be pulled, so the base is the machine's own distribution, with Python. Its name tells what it was made of,
so that it is made anew when that changes. Buildah keeps the images in a folder of the cache.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localcluster.binaries import cache_root
from localcluster.images import import_archive, list_images, remove_images
from localcluster.layout import Layout
from localcluster.packages import Package, has_program, install, missing
from localcluster.progress import Steps
from localcluster.provider import read_os_release
from localcluster.tools import alone, run, succeeds

REPOSITORY = "docker.io/local/mageflow-operator"

BUILD_STAGE = "localhost/mageflow-build"
"""Names the last image of the stage `build`: its layers stay in the cache, and dependencies aren't installed anew."""

PACKAGES = (Package("buildah", ("buildah",)), Package("debootstrap", ("debootstrap",)))

CONTENT = ("ca-certificates", "python3", "python3-pip", "python3-venv")
"""The packages that the base has, beside the smallest system that there is."""

CERTIFICATES = Path("etc/ssl/certs/ca-certificates.crt")
"""The machine's own go into the image: a package index may be reached through a proxy that has one of its own."""

UNUSED = ("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc", "usr/share/locale", "usr/share/man")


class ImageStore:
    """The images in the cache; made by `open_store`."""

    def __init__(self, folder: Path, run_folder: str) -> None:
        self._command = ["buildah", f"--root={folder}", f"--runroot={run_folder}"]

    def buildah(self, *arguments: str | Path) -> str:
        """Run buildah; raise ClusterError with what it printed if it fails."""
        return run([*self._command, *arguments])

    def has(self, image: str) -> bool:
        """Tell whether an image is there."""
        return succeeds([*self._command, "images", "--quiet", image])


@contextmanager
def open_store() -> Iterator[ImageStore]:
    """Have the images that all clones of a user share, alone."""
    folder = cache_root() / "images"
    with alone(folder / ".mageflow-lock", "building an image"), tempfile.TemporaryDirectory() as run_folder:
        yield ImageStore(folder, run_folder)


def prepare_base(layout: Layout) -> None:
    """Make the base image, so that nobody waits for it later. Needs root and Debian or Ubuntu."""
    with open_store() as store:
        _ensure_base(store, layout, Steps(total=1))


def load_operator_image(layout: Layout) -> str:
    """Build the image, import it into the running local cluster, and return its name, which tells its content."""
    steps = Steps(total=3)
    with open_store() as store:
        base = _ensure_base(store, layout, steps)
        with steps.step("build the operator's image", "a few seconds; a minute once for its dependencies"):
            image_id = _build(store, layout.root, base)
        name = f"{REPOSITORY}:{image_id[:12]}"
        with steps.step("import it") as tell:
            tell(name)
            _import(store, layout, image_id, name)
    return name


def base_name(codename: str, machine: str, certificates: bytes) -> str:
    """Name the base image by what it is made of."""
    parts = [codename, machine, *CONTENT, *UNUSED, hashlib.sha256(certificates).hexdigest()]
    return f"localhost/mageflow-base:{codename}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:12]}"


def _ensure_base(store: ImageStore, layout: Layout, steps: Steps) -> str:
    codename = read_os_release().get("VERSION_CODENAME", "")
    name = base_name(codename, platform.machine(), ("/" / CERTIFICATES).read_bytes())
    lacking = missing(PACKAGES, has_program)
    with steps.step("make the base image", "" if not lacking and store.has(name) else "a minute and a half, once"):
        install(lacking, layout.logs / "packages.log")
        if not store.has(name):
            _make_base(store, name, codename)
    return name


def _make_base(store: ImageStore, name: str, codename: str) -> None:
    with tempfile.TemporaryDirectory(prefix="build-", dir=cache_root()) as scratch:
        root = Path(scratch) / "root"
        run(["debootstrap", "--variant=minbase", f"--include={','.join(CONTENT)}", codename, root])
        for folder in UNUSED:
            shutil.rmtree(root / folder, ignore_errors=True)
            (root / folder).mkdir(parents=True)
        shutil.copy("/" / CERTIFICATES, root / CERTIFICATES)
        container = store.buildah("from", "scratch").strip()
        try:
            store.buildah("add", "--quiet", container, root, "/")
            store.buildah("commit", "--quiet", container, name)
        finally:
            store.buildah("rm", container)


def _build(store: ImageStore, root: Path, base: str) -> str:
    """Build both stages and return the image's id; layers of earlier builds that this one didn't use go."""
    build = ("bud", "--quiet", "--layers", "--isolation=chroot", "--format=docker", f"--build-arg=BASE_IMAGE={base}")
    with tempfile.NamedTemporaryFile() as id_file:
        store.buildah(*build, "--target=build", f"--tag={BUILD_STAGE}", root)
        store.buildah(*build, f"--iidfile={id_file.name}", f"--tag={REPOSITORY}", root)
        store.buildah("rmi", "--prune")
        return Path(id_file.name).read_text().removeprefix("sha256:")


def _import(store: ImageStore, layout: Layout, image_id: str, name: str) -> None:
    present = list_images(layout)
    if name not in present:
        with tempfile.TemporaryDirectory(prefix="build-", dir=cache_root()) as scratch:
            archive = Path(scratch) / "image.tar"
            store.buildah("push", "--quiet", image_id, f"docker-archive:{archive}:{name}")
            import_archive(layout, archive)
    remove_images(layout, [image for image in present if image.startswith(f"{REPOSITORY}:") and image != name])
