"""docs/reference.md: the fields of each kind, and the rules that `kubectl apply` holds them to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from generate.docstrings import attribute_docstrings
from generate.schema import build_schema
from mageflow.api import API_VERSION, ConditionType, Kind, Status
from mageflow.api.kinds import CATEGORY
from mageflow.api.variables import Variable

Schema = dict[str, Any]

_TEMPLATE = "[PodTemplateSpec](https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-template-v1/)"

_HEADER = ("| field | type | meaning |", "|---|---|---|")


def build_reference(kinds: Iterable[Kind]) -> str:
    """Return the reference as Markdown."""
    lines = ["# Reference", "", f"API version `{API_VERSION}`.", ""]
    for kind in kinds:
        lines += _kind(kind)
    lines += _status()
    lines += _conditions()
    lines += _variables()
    return "\n".join(lines)


def _kind(kind: Kind) -> Iterator[str]:
    yield from (f"## {kind.name}", "", kind.description, "")
    yield f"`kubectl get {kind.plural}`, short `{kind.short_name}`; `kubectl get {CATEGORY}` lists all kinds."
    yield from ("", f"### {kind.name} spec", "", *_table("spec", build_schema(kind.spec)))
    yield from ("", f"### What `kubectl apply` refuses in a {kind.name}", "")
    for rule in _messages(kind):
        yield f"- {rule}"
    yield ""


def _status() -> Iterator[str]:
    yield from ("## Status", "", "Kinds differ in what they use of it, not in its fields.", "")
    yield from _table("status", build_schema(Status))
    yield ""


def _table(path: str, schema: Schema) -> Iterator[str]:
    yield from (schema["description"], "", *_HEADER, *_rows(path, schema))


def _rows(path: str, schema: Schema) -> Iterator[str]:
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        here = f"{path}.{name}"
        yield f"| `{here}` | {_type(name, field, is_required=name in required)} | {_cell(field['description'])} |"
        items = field.get("items", {})
        if "description" in items:
            yield from _rows(f"{here}[]", items)


def _type(name: str, field: Schema, *, is_required: bool) -> str:
    facts = [_TEMPLATE if name == "template" else field.get("format") or field.get("type") or "any JSON"]
    if "items" in field:
        facts = [f"list by `{key}`" for key in field.get("x-kubernetes-list-map-keys", ())] or ["list"]
    facts += [
        f"{words} {field[bound]}"
        for bound, words in (("minimum", "at least"), ("minItems", "at least"), ("maxItems", "at most"))
        if bound in field
    ]
    if is_required:
        facts.append("required")
    if "default" in field:
        facts.append(f"default `{field['default']}`")
    return ", ".join(facts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n\n", "<br>").replace("\n", "<br>")


def _messages(kind: Kind) -> Iterator[str]:
    yield from _messages_of("spec", build_schema(kind.spec))
    for rule in kind.rules:
        yield f"`{(rule.field_path or '').removeprefix('.')}`: {rule.message}"


def _messages_of(path: str, schema: Schema) -> Iterator[str]:
    for rule in schema.get("x-kubernetes-validations", ()):
        yield f"`{path}{rule.get('fieldPath', '')}`: {rule['message']}"
    for name, field in schema.get("properties", {}).items():
        yield from _messages_of(f"{path}.{name}", field)
    if "items" in schema:
        yield from _messages_of(f"{path}[]", schema["items"])


def _conditions() -> Iterator[str]:
    yield from ("## Conditions", "", "| type | when True |", "|---|---|")
    for name, meaning in attribute_docstrings(ConditionType).items():
        yield f"| `{ConditionType[name]}` | {meaning} |"
    yield ""


def _variables() -> Iterator[str]:
    yield from ("## What a task sees", "", "| variable | value |", "|---|---|")
    for name, meaning in attribute_docstrings(Variable).items():
        yield f"| `{Variable[name]}` | {meaning} |"
    yield ""
