"""Objects as JSON, as YAML and as names: as kubectl prints them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, assert_never

from mageflow.cli.view import address_of
from mageflow.cli.yamltext import dump
from mageflow.kube.transport import Raw


class Output(StrEnum):
    """How objects are printed."""

    JSON = "json"
    YAML = "yaml"
    NAME = "name"


def format_objects(objects: Sequence[Raw], output: Output, *, is_one: bool) -> str:
    """Write objects; as the object itself if just one was asked for, else as a List."""
    if output is Output.NAME:
        return "\n".join(map(address_of, objects))
    shown = [_without_managed_fields(item) for item in objects]
    whole = shown[0] if is_one and len(shown) == 1 else _list_of(shown)
    return format_document(whole, output)


def format_document(document: Any, output: Output) -> str:
    """Write any document."""
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
