"""Structural schemas of the pydantic models, with a description of every field."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from pydantic import BaseModel

import mageflow.api
from generate.docstrings import attribute_docstrings, unwrap
from generate.tasktemplate import build_task_template
from mageflow.api import INT32_MAX
from mageflow.api.base import SpecModel

Schema = dict[str, Any]

_OPEN_WORDS = ("Phase", "TaskPhase", "Lifecycle", "LifecycleSource")
"""Words of the status, which a newer operator may have more of: described, and not listed as an `enum`."""


def build_schema(model: type[BaseModel]) -> Schema:
    """Return the structural schema of a model. Defaults are those of specs: the operator writes whole statuses."""
    document = model.model_json_schema(by_alias=True, mode="validation")
    return _Builder(document.pop("$defs", {})).model(document, model)


class _Builder:
    def __init__(self, definitions: dict[str, Schema]) -> None:
        self.definitions = definitions

    def model(self, schema: Schema, model: type[BaseModel]) -> Schema:
        """Build an object whose fields are a model's."""
        docstrings = attribute_docstrings(model)
        properties = {}
        for name, field in model.model_fields.items():
            alias = field.alias or name
            built = self.build(schema["properties"][alias])
            if not issubclass(model, SpecModel):
                built.pop("default", None)
            properties[alias] = {"description": _join(docstrings[name], built.pop("description", "")), **built}
        return {
            "description": unwrap(model.__doc__ or ""),
            "type": "object",
            **({"required": schema["required"]} if "required" in schema else {}),
            "properties": properties,
            **{keyword: schema[keyword] for keyword in schema if keyword.startswith("x-kubernetes-")},
        }

    def build(self, schema: Schema) -> Schema:
        """Build any schema; what stands beside a reference is added to what it refers to."""
        rest = {key: value for key, value in schema.items() if key not in ("$ref", "anyOf", "title")}
        if rest.get("default", ...) is None:
            del rest["default"]
        if "$ref" in schema:
            return {**self.definition(schema["$ref"].rpartition("/")[2]), **rest}
        if "anyOf" in schema:
            (only,) = (option for option in schema["anyOf"] if option != {"type": "null"})
            return {**self.build(only), **rest}
        if rest.get("format") == "PodTemplateSpec":
            return {**build_task_template(), "description": rest.get("description", "")}
        if rest.get("format") in _OPEN_WORDS:
            words = getattr(mageflow.api, rest.pop("format"))
            return {**rest, "description": _describe_members(words)}
        if rest.get("type") == "integer":
            return {**rest, "format": "int32" if rest.get("maximum") == INT32_MAX else "int64"}
        if "items" in rest:
            return {**rest, "items": self.build(rest["items"])}
        return rest

    def definition(self, name: str) -> Schema:
        """Build a type that has a name."""
        named = getattr(mageflow.api, name)
        if issubclass(named, StrEnum):
            return {"description": _describe_members(named), "type": "string", "enum": [*named]}
        return self.model(self.definitions[name], named)


def _describe_members(words: type[StrEnum]) -> str:
    docstrings = attribute_docstrings(words)
    return "\n".join(f"{word.value}: {docstrings[word.name]}" for word in words)


def _join(*paragraphs: str) -> str:
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)
