"""YAML as the generated manifests have it."""

from __future__ import annotations

from typing import Any

import yaml

from mageflow.cli.objects import Dumper

WIDTH = 110


class Compact(dict[str, Any]):
    """A mapping that nobody reads as YAML: written on full lines instead of one line a key."""


class _Dumper(Dumper):
    """Knows what is to be compact."""


def _represent_compact(dumper: yaml.SafeDumper, mapping: Compact) -> yaml.Node:
    return dumper.represent_mapping("tag:yaml.org,2002:map", mapping, flow_style=True)


_Dumper.add_representer(Compact, _represent_compact)


def dump(document: Any) -> str:
    """Return a document as YAML, its keys in the order that they have."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=WIDTH, allow_unicode=True)
