"""What the machine offers: the facts by which a provider is chosen."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from localcluster.binaries import cache_folder, go_version, missing
from localcluster.components import COMPONENTS
from localcluster.shell import succeeds


@dataclass(frozen=True)
class Facts:
    """What `choose_provider` goes by."""

    cluster_variable: str
    """The environment's CLUSTER, or empty."""
    docker_answers: bool
    has_kind: bool
    is_root: bool
    distribution: frozenset[str]
    """ID and ID_LIKE of /etc/os-release, as in {"ubuntu", "debian"}."""
    has_binaries: bool
    """All of the cluster's programs are in the cache."""
    go_version: str | None
    """What `go version` prints."""


def observe_facts() -> Facts:
    """Look at the machine and the environment."""
    os_release = Path("/etc/os-release")
    return Facts(
        cluster_variable=os.environ.get("CLUSTER", ""),
        docker_answers=succeeds(["docker", "info"], timeout_s=10),
        has_kind=shutil.which("kind") is not None,
        is_root=os.geteuid() == 0,
        distribution=parse_os_release(os_release.read_text() if os_release.exists() else ""),
        has_binaries=not missing(COMPONENTS, cache_folder()),
        go_version=go_version(),
    )


def parse_os_release(text: str) -> frozenset[str]:
    """Read ID and ID_LIKE from /etc/os-release."""
    fields = _parse_fields(text)
    return frozenset(f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".split())


def parse_codename(text: str) -> str:
    """Read VERSION_CODENAME from /etc/os-release, as in "bookworm"; empty if there is none."""
    return _parse_fields(text).get("VERSION_CODENAME", "")


def _parse_fields(text: str) -> dict[str, str]:
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    return {name: value.strip("\"'") for name, value in pairs}
