"""The krew manifest and the archive that it names: what krew asks of them, and that their checksum is the archive's."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

import mageflow
from devkit.patience import PATIENCE

KREW = Path(__file__).parents[2] / "integrations" / "krew"
TEMPLATE = (KREW / "mageflow.yaml").read_text()

SYSTEMS = {"linux", "darwin", "windows"}
MACHINES = {"amd64", "arm64", "386", "arm", "ppc64le", "s390x"}


@pytest.fixture(scope="module")
def build() -> ModuleType:
    spec = importlib.util.spec_from_file_location("krew_build", KREW / "build.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["krew_build"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def manifest(build: ModuleType, tmp_path: Path) -> dict[str, Any]:
    (tmp_path / build.archive_name()).write_bytes(b"an archive")
    (tmp_path / "kubectl-mageflow_v0.1.0_darwin_arm64_python3.12.tar.gz").write_bytes(b"another")
    filled: dict[str, Any] = build.fill_manifest(TEMPLATE, "https://example.org/x", sorted(tmp_path.glob("*.gz")))
    return filled


def test_manifest_has_what_krew_asks_for(manifest: dict[str, Any]) -> None:
    assert (manifest["apiVersion"], manifest["kind"]) == ("krew.googlecontainertools.github.com/v1alpha2", "Plugin")
    assert manifest["metadata"]["name"] == "mageflow"  # that of the file
    spec = manifest["spec"]
    assert spec["version"] == f"v{mageflow.__version__}"
    assert 0 < len(spec["shortDescription"]) <= 50
    assert not spec["shortDescription"].endswith(".")
    assert spec["description"].strip()
    assert spec["homepage"].startswith("https://")
    assert len(spec["platforms"]) == 2
    for platform in spec["platforms"]:
        labels = platform["selector"]["matchLabels"]
        assert labels["os"] in SYSTEMS
        assert labels["arch"] in MACHINES
        assert platform["uri"].startswith("https://example.org/x/kubectl-mageflow_")
        assert platform["uri"].endswith(".tar.gz")
        assert platform["bin"] == "kubectl-mageflow"
    assert not re.findall(r"<\w+>", yaml.safe_dump(manifest))


def test_checksums_are_those_of_the_archives(manifest: dict[str, Any]) -> None:
    other, this = manifest["spec"]["platforms"]
    assert other["sha256"] == hashlib.sha256(b"another").hexdigest()
    assert other["selector"]["matchLabels"] == {"os": "darwin", "arch": "arm64"}
    assert this["sha256"] == hashlib.sha256(b"an archive").hexdigest()


def test_nothing_that_is_not_known_yet_is_in_the_template() -> None:
    assert re.findall(r"sha256: (.*)", TEMPLATE) == ['"<sha256>"']


def test_archive_is_the_same_whenever_it_is_built(build: ModuleType) -> None:
    entries = [("b", b"x", 0o644), ("a", b"y", 0o755)]
    packed = build.pack(entries)
    assert packed == build.pack(reversed(entries))
    with tarfile.open(fileobj=BytesIO(packed)) as archive:
        assert [(member.name, member.mode, member.mtime) for member in archive] == [("a", 0o755, 0), ("b", 0o644, 0)]


def test_archive_has_what_the_command_line_needs_and_not_what_the_operator_does(build: ModuleType) -> None:
    needed = {
        distribution.metadata["Name"].lower().replace("_", "-")
        for distribution in build.find_needed("mageflow-operator", "cli")
    }
    assert {"kubernetes", "pydantic", "pydantic-core", "typer", "rich", "pyyaml", "aiohttp"} <= needed
    assert needed.isdisjoint({"kopf", "uvloop", "pytest", "mageflow-operator"})
    names = {name: mode for name, _, mode in build.find_entries() if not name.startswith("lib/kubernetes/")}
    assert names["kubectl-mageflow"] == 0o755
    assert {"lib/mageflow/cli/app.py", "lib/mageflow/kube/config.py", "lib/rich/console.py", "LICENSE"} <= set(names)
    assert not [name for name in names if name.startswith("lib/mageflow/controller") or ".." in name]


def test_program_starts_when_there_is_no_more_of_mageflow_than_the_archive_has(
    build: ModuleType, tmp_path: Path
) -> None:
    for name, content, _ in build.find_entries():
        if name.startswith("lib/mageflow/"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)
    paths = [str(tmp_path / "lib"), sysconfig.get_path("purelib")]
    modules = "mageflow.cli.__main__, mageflow.cli.app, mageflow.client.container_log"
    code = f"import sys; sys.path += {paths!r}; import {modules}; print(sys.modules['mageflow'].__file__)"
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(
        command, env=_clean(), capture_output=True, text=True, check=False, timeout=PATIENCE, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(str(tmp_path)), "it is the archive's own that has started"


def _clean() -> dict[str, str]:
    """Return an environment in which no other mageflow than the archive's is found."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.mark.parametrize(
    ("version", "code", "told"),
    [
        (f"{sys.version_info.major}.{sys.version_info.minor}", 0, "started with get\n"),
        ("2.99", 1, "error: this kubectl-mageflow was built for Python 2.99, and there is no python2.99\n"),
    ],
)
def test_launcher_wants_the_python_that_it_was_built_for(tmp_path: Path, version: str, code: int, told: str) -> None:
    folder = tmp_path / "store"
    package = folder / "lib" / "mageflow" / "cli"
    package.mkdir(parents=True)
    (package / "__main__.py").write_text("import sys\ndef main(): print('started with', *sys.argv[1:])\n")
    (folder / "python-version").write_text(f"{version}\n")
    (folder / "kubectl-mageflow").write_bytes((KREW / "kubectl-mageflow").read_bytes())
    link = tmp_path / "kubectl-mageflow"  # as krew installs it
    link.symlink_to(folder / "kubectl-mageflow")
    with (tmp_path / "output").open("wb") as output:
        command = [sys.executable, "-S", str(link), "get"]
        done = subprocess.run(command, env=_clean(), stdout=output, stderr=output, check=False, timeout=PATIENCE)
    assert (done.returncode, (tmp_path / "output").read_text()) == (code, told)
    assert os.access(KREW / "kubectl-mageflow", os.X_OK)
