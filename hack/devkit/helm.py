"""helm, as a user calls it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from localcluster.binaries import path_of
from localcluster.components import Component

CHART = Path(__file__).parents[2] / "helm" / "mageflow"


class HelmError(Exception):
    """helm exited with an error; the message is what it wrote."""


class Helm:
    """One helm, given the same options each time."""

    def __init__(self, program: Path, *options: str) -> None:
        self._command = [str(program), *options]

    def run(self, *arguments: str) -> str:
        """Run helm with these arguments and return what it writes; raise HelmError if it fails."""
        command = [*self._command, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        if done.returncode:
            raise HelmError(done.stderr.strip() or done.stdout.strip())
        return done.stdout


def find_helm(component: Component) -> Path | None:
    """Return a helm of this major version: the one in the cache, else the one on the PATH; None if there is neither."""
    built = path_of(component)
    if built.exists():
        return built
    found = shutil.which("helm")
    major = component.name.removeprefix("helm")
    if found is None or not Helm(Path(found)).run("version", "--template={{.Version}}").startswith(f"v{major}."):
        return None
    return Path(found)
