"""integrations/argocd/argocd-cm.yaml: the Lua files beside it, as Argo CD reads them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

from mageflow.api import GROUP
from mageflow.cli.objects import Dumper

_NOTICE = """\
# Written by `make generate` from the Lua files beside it. Edit there. To be merged into your ConfigMap; an `apply` may
# drop what else it has:
#   kubectl patch configmap argocd-cm --namespace argocd --type merge --patch-file integrations/argocd/argocd-cm.yaml
"""
_ACTIONS = ("suspend", "interrupt", "resume")


class _Text(str):
    """Written as a block, line by line."""


def build_config_map(scripts: Path) -> str:
    """Return the whole file; `scripts` is the folder that has the group's, as Argo CD's `resource_customizations`."""
    data = dict(_entries(scripts))
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "argocd-cm"}, "data": data}
    return _NOTICE + _dump(config_map)


def _entries(scripts: Path) -> Iterator[tuple[str, str]]:
    """Yield the keys that Argo CD looks for: none of them may have a wildcard for the kind."""
    for folder in sorted((scripts / GROUP).iterdir()):
        name = f"{GROUP}_{folder.name}"
        yield f"resource.customizations.health.{name}", _Text((folder / "health.lua").read_text())
        yield f"resource.customizations.actions.{name}", _Text(_dump(_actions(folder / "actions")))


def _actions(folder: Path) -> dict[str, object]:
    definitions = [{"name": name, "action.lua": _Text((folder / name / "action.lua").read_text())} for name in _ACTIONS]
    return {"discovery.lua": _Text((folder / "discovery.lua").read_text()), "definitions": definitions}


class _Dumper(Dumper):
    """Writes scripts line by line, whatever is in them."""


def _represent_text(dumper: yaml.SafeDumper, text: _Text) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")


_Dumper.add_representer(_Text, _represent_text)


def _dump(document: object) -> str:
    text: str = yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120)
    return text
