"""The operator's image, built from the Dockerfile as it is, and given to the local cluster."""

from __future__ import annotations

import tempfile
from pathlib import Path

from localcluster.baseimage import ImageStore, ensure_base, open_store
from localcluster.binaries import cache_root
from localcluster.images import import_archive, list_images, remove_images
from localcluster.layout import Layout
from localcluster.progress import Steps

REPOSITORY = "docker.io/local/mageflow-operator"

BUILD_STAGE = "localhost/mageflow-build"
"""Names the last image of the stage `build`: its layers stay in the cache, and dependencies aren't installed anew."""


def prepare_base(layout: Layout) -> None:
    """Make the base image, so that nobody waits for it later. Needs root and Debian or Ubuntu."""
    with open_store() as store:
        ensure_base(store, layout.logs / "packages.log", Steps(total=1))


def load_operator_image(layout: Layout) -> str:
    """Build the image, import it into the running local cluster, and return its name, which tells its content."""
    steps = Steps(total=3)
    with open_store() as store:
        base = ensure_base(store, layout.logs / "packages.log", steps)
        with steps.step("build the operator's image", "a few seconds; a minute once for its dependencies"):
            image_id = _build(store, layout.root, base)
        name = f"{REPOSITORY}:{image_id[:12]}"
        with steps.step("import it") as step:
            step.detail = name
            _import(store, layout, image_id, name)
    return name


def _build(store: ImageStore, root: Path, base: str) -> str:
    """Build both stages and return the image's id; layers of earlier builds that this one didn't use go."""
    with tempfile.NamedTemporaryFile() as id_file:
        arguments = [
            "bud",
            "--quiet",
            "--layers",
            "--isolation=chroot",
            "--format=docker",
            f"--build-arg=BASE_IMAGE={base}",
        ]
        store.buildah(*arguments, "--target=build", f"--tag={BUILD_STAGE}", root)
        store.buildah(*arguments, f"--iidfile={id_file.name}", f"--tag={REPOSITORY}", root)
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
