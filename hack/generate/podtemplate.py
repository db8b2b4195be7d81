"""PodTemplateSpec of an API server, taken as a structural schema.

    kubectl get --raw /openapi/v3/api/v1 | python -m generate.podtemplate

writes `podtemplate.json`. Needed only to follow a newer Kubernetes; what we add to it is in `tasktemplate.py`.
What a structural schema may hold: https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Schema = dict[str, Any]

PATH = Path(__file__).with_name("podtemplate.json")

_CORE = "io.k8s.api.core.v1"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"

_KEPT = (
    "type",
    "format",
    "enum",
    "required",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
)
"""Keywords that mean the same in a structural schema. Descriptions, defaults, unions and patch strategies go."""

_DROPPED = {f"{_CORE}.PodSpec": frozenset({"ephemeralContainers"})}
"""Fields that a pod template of a Job can't have."""

_NUMBER = r"(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))"

QUANTITY: Schema = {
    "x-kubernetes-preserve-unknown-fields": True,
    "pattern": rf"^[+-]?{_NUMBER}(([KMGTPE]i)|[numkMGTPE]|([eE][+-]?[0-9]+))?$",
    "maxProperties": 0,
    "maxItems": 0,
}
"""A number or a string in the notation of Kubernetes' quantities.

Without a type, because `cpu: 0.5` is right, and `x-kubernetes-int-or-string` refuses it.
"""

METADATA: Schema = {
    "type": "object",
    "properties": {
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
        "creationTimestamp": {"type": "string", "format": "date-time", "nullable": True},
        "finalizers": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "name": {"type": "string"},
        "namespace": {"type": "string"},
    },
}
"""Of ObjectMeta what means something in a template, and the `creationTimestamp: null` that `kubectl create` prints."""

_REPLACED: Mapping[str, Schema] = {
    _QUANTITY: QUANTITY,
    _INT_OR_STRING: {"x-kubernetes-int-or-string": True},
    f"{_META}.ObjectMeta": METADATA,
}


def convert(document: Mapping[str, Any]) -> Schema:
    """Return PodTemplateSpec of an OpenAPI v3 document of the group `v1`, as a structural schema."""
    schemas: Mapping[str, Schema] = document["components"]["schemas"]
    return _convert_named(f"{_CORE}.PodTemplateSpec", schemas)


def _convert_named(name: str, schemas: Mapping[str, Schema]) -> Schema:
    if name in _REPLACED:
        return _REPLACED[name]
    schema = _convert(schemas[name], schemas)
    for field in _DROPPED.get(name, ()):
        del schema["properties"][field]
    return schema


def _convert(schema: Schema, schemas: Mapping[str, Schema]) -> Schema:
    reference = _reference(schema)
    if reference is not None:
        return _convert_named(reference, schemas)
    converted: Schema = {keyword: schema[keyword] for keyword in _KEPT if keyword in schema}
    if "properties" in schema:
        converted["properties"] = {
            name: _convert(field, schemas) for name, field in sorted(schema["properties"].items())
        }
    for keyword in ("items", "additionalProperties"):
        if keyword in schema:
            converted[keyword] = _convert(schema[keyword], schemas)
    if "x-kubernetes-list-map-keys" in schema:
        _default_keys(schema, converted["items"], schemas)
    return converted


def _reference(schema: Schema) -> str | None:
    """Return the name of the type that a schema stands for: a `$ref`, or an `allOf` of just one."""
    alternatives = schema.get("allOf", [schema])
    if len(alternatives) != 1:
        raise ValueError(f"an allOf of {len(alternatives)} can't be made structural: {schema}")
    reference: str | None = alternatives[0].get("$ref")
    return None if reference is None else reference.rpartition("/")[2]


def _default_keys(schema: Schema, item: Schema, schemas: Mapping[str, Schema]) -> None:
    """Keep the defaults of list keys that may be left out: the API server refuses a key without either."""
    reference = _reference(schema["items"])
    original = schema["items"] if reference is None else schemas[reference]
    for key in schema["x-kubernetes-list-map-keys"]:
        if key not in item.get("required", ()):
            item["properties"][key]["default"] = original["properties"][key]["default"]


def main() -> None:
    """Read the OpenAPI document from standard input and write `podtemplate.json`."""
    document = json.load(sys.stdin)
    taken = {"kubernetes": document["info"]["version"], "schema": convert(document)}
    PATH.write_text(json.dumps(taken, indent=1) + "\n")
    print(f"{PATH}: PodTemplateSpec of Kubernetes {taken['kubernetes']}")


if __name__ == "__main__":
    main()
