"""Objects as JSON, as YAML and as names: as kubectl prints them.

The YAML is such that every reader reads it alike: PyYAML, which keeps to YAML 1.1, and Go's readers, which mix it with
1.2. PyYAML leaves a text without quotes if it would itself read it as a text. Others read `1e3`, `25921e05` or `0o17`
as a number and `y` or `n` as a boolean, so that what is applied isn't what was printed.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final, assert_never

import yaml

from mageflow.cli.view import address_of
from mageflow.kube.transport import Raw

_TEXT: Final = "tag:yaml.org,2002:str"

_AMBIGUOUS: Final = re.compile(
    r"[-+]?\.?[0-9].*|[-+]?\.?(inf|infinity|nan)|y|n|yes|no|on|off|true|false|null|~|=|<<", re.IGNORECASE | re.DOTALL
)
"""What some reader may take for a number, a time, a boolean, nothing or a merge key, and a little more."""


class Output(StrEnum):
    """Output format of objects."""

    JSON = "json"
    YAML = "yaml"
    NAME = "name"


def format_objects(objects: Sequence[Raw], output: Output, *, is_one: bool) -> str:
    """Return objects as text: the object itself if just one was asked for, else a List."""
    if output is Output.NAME:
        return "\n".join(map(address_of, objects))
    shown = [_without_managed_fields(item) for item in objects]
    whole = shown[0] if is_one and len(shown) == 1 else _list_of(shown)
    return format_document(whole, output)


def format_document(document: Any, output: Output) -> str:
    """Return a document as text. Raises ValueError for NAME."""
    match output:
        case Output.JSON:
            return json.dumps(document, indent=4, ensure_ascii=False)
        case Output.YAML:
            return dump(document).removesuffix("\n")
        case Output.NAME:
            raise ValueError("a document has no name")
        case _:
            assert_never(output)


def _list_of(items: list[Raw]) -> Raw:
    return {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}}


def _without_managed_fields(item: Raw) -> Raw:
    metadata = {key: value for key, value in item["metadata"].items() if key != "managedFields"}
    return {**item, "metadata": metadata}


# ── YAML ──


class Dumper(yaml.SafeDumper):
    """Dumper that quotes each text that some reader would not read as one, and uses no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Return True: no aliases."""
        return True

    def represent_mapping(self, tag: str, mapping: Any, flow_style: bool | None = None) -> yaml.MappingNode:
        """Represent a mapping; its keys are never blocks of lines."""
        node = super().represent_mapping(tag, mapping, flow_style)
        for key, _ in node.value:
            if key.style == "|":
                key.style = '"'
        return node


def dump(document: Any) -> str:
    """Return a document as YAML, its keys sorted, each text on one line unless it has several."""
    return yaml.dump(document, Dumper=Dumper, allow_unicode=True, width=sys.maxsize)


def represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Represent a text: as a block if it has several lines, quoted if it could be taken for something else.

    What can't be seen, or some readers take for the end of a line (U+0085, U+2028), stands in double quotes, escaped.
    """
    text = str(text)
    style = "|" if _is_block(text) else '"' if not text.isprintable() else "'" if _AMBIGUOUS.fullmatch(text) else None
    return dumper.represent_scalar(_TEXT, text, style=style)


def _is_block(text: str) -> bool:
    """Tell whether a text may be a block of lines: nothing at the ends of its lines is lost or hard to see."""
    first, *others = text.split("\n")
    lines = [first, *others]
    is_plain = all(line.isprintable() and line == line.rstrip() for line in lines)
    return bool(others) and is_plain and first[:1].strip() != "" and not text.endswith("\n\n")


Dumper.add_multi_representer(str, represent_text)
Dumper.add_representer(str, represent_text)
