"""Write argocd-cm.yaml, which Argo CD reads, from the Lua files: `python integrations/argocd/build.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

HERE = Path(__file__).parent
GROUP = "mageflow.io"
TARGET = HERE / "argocd-cm.yaml"
NOTICE = """\
# Written by integrations/argocd/build.py from the Lua files beside it. Edit there. To be merged into your ConfigMap; an
# `apply` may drop what else it has:
#   kubectl patch configmap argocd-cm --namespace argocd --type merge --patch-file integrations/argocd/argocd-cm.yaml
"""
ACTIONS = ("suspend", "interrupt", "resume")


class _Text(str):
    """Written as a block, line by line."""


def build() -> str:
    """Return the whole file."""
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": dict(_entries())}
    return NOTICE + _dump(config_map)


def _entries() -> Iterator[tuple[str, str]]:
    """Yield the keys that Argo CD looks for: none of them may have a wildcard for the kind."""
    for folder in sorted((HERE / GROUP).iterdir()):
        name = f"{GROUP}_{folder.name}"
        yield f"resource.customizations.health.{name}", _Text((folder / "health.lua").read_text())
        yield f"resource.customizations.actions.{name}", _Text(_dump(_actions(folder / "actions")))


def _actions(folder: Path) -> dict[str, object]:
    definitions = [{"name": name, "action.lua": _Text((folder / name / "action.lua").read_text())} for name in ACTIONS]
    return {"discovery.lua": _Text((folder / "discovery.lua").read_text()), "definitions": definitions}


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: _Text) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")


_Dumper.add_representer(_Text, _represent_text)


def _dump(document: object) -> str:
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120)
    return text


if __name__ == "__main__":
    TARGET.write_text(build())
