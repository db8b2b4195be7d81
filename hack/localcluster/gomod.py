"""The Go files that the programs are built from, derived from what the modules themselves declare. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from localcluster.components import Component, Module

_STAGING = re.compile(r"^\s*(?:require\s+)?(k8s\.io/\S+)\s+v0\.0\.0\s*(?://.*)?$", re.MULTILINE)
_GO = re.compile(r"^go\s+(\d+(?:\.\d+)*)", re.MULTILINE)


def staging_modules(go_mod: str) -> tuple[str, ...]:
    """Name the modules that k8s.io/kubernetes requires as v0.0.0: in its own repository they are folders."""
    return tuple(sorted(set(_STAGING.findall(go_mod))))


def staging_version(kubernetes: str) -> str:
    """Tell the version under which the staging modules are published: v0.34.4 for Kubernetes v1.34.4."""
    return re.sub(r"^v1\.", "v0.", kubernetes)


def required_go(go_mods: Iterable[str]) -> tuple[int, ...]:
    """Tell the newest Go version that any of these go.mod texts asks for, as in (1, 24, 0)."""
    return max((parse_version(match[1]) for text in go_mods if (match := _GO.search(text))), default=(1, 24))


def parse_version(text: str) -> tuple[int, ...]:
    """Turn "1.24.0" into (1, 24, 0)."""
    return tuple(int(part) for part in text.split("."))


def render_go_mod(modules: Sequence[Module], go_mods: Sequence[str]) -> str:
    """Write a go.mod that requires the modules; `go_mods` are their own go.mod texts, in the same order."""
    go_version = ".".join(str(part) for part in required_go(go_mods))
    replacements = [
        f"\t{name} => {name} {staging_version(module.version)}"
        for module, text in zip(modules, go_mods, strict=True)
        for name in staging_modules(text)
    ]
    lines = ["module localcluster", "", f"go {go_version}", "", "require ("]
    lines += [f"\t{module.path} {module.version}" for module in modules]
    lines += [")", "", "replace (", *replacements, ")", ""]
    return "\n".join(lines)


def render_tools_go(components: Iterable[Component]) -> str:
    """Write a Go file that imports the main packages, so that `go mod tidy` resolves what they need."""
    imports = "\n".join(f'\t_ "{component.package}"' for component in components)
    return f"package tools\n\nimport (\n{imports}\n)\n"
