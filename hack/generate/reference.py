"""docs/reference.md: the fields of each kind, and the rules that `kubectl apply` holds them to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from generate.docstrings import attribute_docstrings
from generate.schema import build_schema
from mageflow.api import API_VERSION, ConditionType, Kind, Status
from mageflow.api.kinds import CATEGORY

Schema = dict[str, Any]

_HEADER = ("| field | type | meaning |", "|---|---|---|")


def build_reference(kinds: Iterable[Kind]) -> str:
    """Return the reference as Markdown."""
    lines = ["# Reference", "", f"API version `{API_VERSION}`.", ""]
    for kind in kinds:
        lines += _kind(kind)
    lines += _conditions()
    return "\n".join(lines)


def _kind(kind: Kind) -> Iterator[str]:
    yield from (f"## {kind.name}", "", kind.description, "")
    yield f"`kubectl get {kind.plural}`, short `{kind.short_name}`; `kubectl get {CATEGORY}` lists all kinds."
    for name, model in (("spec", kind.spec), ("status", Status)):
        schema = build_schema(model)
        yield from ("", f"### {kind.name} {name}", "", schema["description"], "")
        yield from _HEADER
        yield from _rows(name, schema)
    yield from ("", f"### What `kubectl apply` refuses in a {kind.name}", "")
    for rule in _messages(kind):
        yield f"- {rule}"
    yield ""


def _rows(path: str, schema: Schema) -> Iterator[str]:
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        here = f"{path}.{name}"
        yield f"| `{here}` | {_type(field, is_required=name in required)} | {_cell(field['description'])} |"
        items = field.get("items", {})
        if "description" in items:
            yield from _rows(f"{here}[]", items)


def _type(field: Schema, *, is_required: bool) -> str:
    facts = [field.get("format") or field.get("type") or "any JSON"]
    if facts == ["PodTemplateSpec"]:
        facts = ["[PodTemplateSpec](https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/)"]
    if field.get("minimum") is not None:
        facts.append(f"at least {field['minimum']}")
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


def _conditions() -> Iterator[str]:
    yield from ("## Conditions", "", "| type | when True |", "|---|---|")
    for name, meaning in attribute_docstrings(ConditionType).items():
        yield f"| `{ConditionType[name]}` | {meaning} |"
    yield ""
