"""Builds the archive of `kubectl mageflow` for krew, for this machine and this Python, and the manifest that names it.

    lib/              what `mageflow-operator[cli]` needs, as it is installed here, and mageflow itself
    kubectl-mageflow  starts it
    python-version    the version of Python that its parts in C are for
    LICENSE

The same installation gives the same archive, byte for byte.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import platform
import sys
import tarfile
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import Any, Final

import yaml
from packaging.requirements import Requirement

from mageflow import __version__
from mageflow.cli.objects import Dumper

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parents[1]
PACKAGE: Final = ROOT / "operator" / "mageflow"
DIST: Final = ROOT / "dist" / "krew"

PYTHON: Final = f"{sys.version_info.major}.{sys.version_info.minor}"
SYSTEM: Final = platform.system().lower()
MACHINE: Final = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())

LEFT_OUT: Final = ("controller",)
"""Parts of mageflow that the command line has no use for."""

Entry = tuple[str, bytes, int]
"""A file of the archive: its name, what is in it, its mode."""


def main() -> None:
    """Build both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--url", required=True, help="the folder from which the archives will be downloaded")
    url = parser.parse_args().url.rstrip("/")
    if not url.startswith("https://"):
        parser.error("say where the archives will be: make krew URL=https://…")
    DIST.mkdir(parents=True, exist_ok=True)
    archive = DIST / archive_name()
    archive.write_bytes(pack(find_entries()))
    manifest = fill_manifest((HERE / "mageflow.yaml").read_text(), url, sorted(DIST.glob("*.tar.gz")))
    (DIST / "mageflow.yaml").write_text(yaml.dump(manifest, Dumper=Dumper, sort_keys=False))
    sys.stdout.write(f"{archive}\n{DIST / 'mageflow.yaml'}\n")


def archive_name() -> str:
    """Name the archive of this machine."""
    return f"kubectl-mageflow_v{__version__}_{SYSTEM}_{MACHINE}_python{PYTHON}.tar.gz"


def fill_manifest(template: str, url: str, archives: Iterable[Path]) -> dict[str, Any]:
    """Fill in the template: an entry for each archive, by its name, with the checksum that it has."""
    manifest: dict[str, Any] = yaml.safe_load(template)
    spec = manifest["spec"]
    (platform_template,) = spec["platforms"]
    spec["platforms"] = []
    for archive in archives:
        _, version, system, machine, python = archive.name.removesuffix(".tar.gz").split("_")
        checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
        words = {"version": version, "url": url, "os": system, "arch": machine, "archive": archive.name}
        words |= {"sha256": checksum, "python": python}
        spec["platforms"].append(_fill(platform_template, words))
        for field in ("version", "homepage", "caveats"):
            spec[field] = _fill(spec[field], words)
    return manifest


def _fill(template: Any, words: dict[str, str]) -> Any:
    if isinstance(template, dict):
        return {key: _fill(value, words) for key, value in template.items()}
    if isinstance(template, list):
        return [_fill(value, words) for value in template]
    for word, value in words.items():
        template = template.replace(f"<{word}>", value)
    return template


def find_entries() -> Iterator[Entry]:
    """Yield all files of the archive."""
    yield "LICENSE", (ROOT / "LICENSE").read_bytes(), 0o644
    yield "kubectl-mageflow", (HERE / "kubectl-mageflow").read_bytes(), 0o755
    yield "python-version", f"{PYTHON}\n".encode(), 0o644
    for path in PACKAGE.rglob("*"):
        where = path.relative_to(PACKAGE)
        if path.is_file() and "__pycache__" not in path.parts and where.parts[0] not in LEFT_OUT:
            yield f"lib/mageflow/{where}", path.read_bytes(), 0o644
    for needed in find_needed("mageflow-operator", "cli"):
        for file in needed.files or ():
            path = Path(str(file.locate()))
            if ".." not in file.parts and file.suffix != ".pyc" and path.is_file():
                yield f"lib/{file}", path.read_bytes(), 0o644


def find_needed(name: str, extra: str) -> list[Distribution]:
    """Return what a distribution needs with an extra, and what that needs, and so on; without itself."""
    found: dict[str, Distribution] = {}
    left = [(name, extra)]
    seen = set(left)
    while left:
        current, with_extra = left.pop()
        requirements = map(Requirement, distribution(current).requires or ())
        for needed in requirements:
            if needed.marker is None or needed.marker.evaluate({"extra": with_extra}):
                found[needed.name.lower().replace("_", "-")] = distribution(needed.name)
                more = {(needed.name, extra) for extra in (needed.extras or {""})} - seen
                seen |= more
                left += more
    return [found[key] for key in sorted(found)]


def pack(entries: Iterable[Entry]) -> bytes:
    """Pack files into a .tar.gz that depends on nothing but them."""
    tar = io.BytesIO()
    with tarfile.open(fileobj=tar, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content, mode in sorted(entries):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), mode
            archive.addfile(member, io.BytesIO(content))
    return gzip.compress(tar.getvalue(), mtime=0)


if __name__ == "__main__":
    main()
