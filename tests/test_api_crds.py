from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from generate.__main__ import ROOT, render_files
from generate.crd import build_crd
from generate.docstrings import attribute_docstrings
from generate.podtemplate import METADATA, QUANTITY, convert
from generate.schema import Schema
from mageflow.api import CHAIN, INT32_MAX, KINDS, SWARM, WORKFLOW, Kind, Lifecycle, Phase, TaskPhase

KUBECTL_APPLY_LIMIT = 262_144
"""Bytes of all annotations together: client-side `kubectl apply` keeps the whole document in one."""


def schema_of(kind: Kind) -> Schema:
    schema: Schema = build_crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


def fields_of(schema: Schema, path: str = "") -> dict[str, Schema]:
    """Return all fields below a schema by their paths, but for those of pod templates."""
    found = {}
    for name, field in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        found[here] = field
        if name != "template":
            found |= fields_of(field, here) | fields_of(field.get("items", {}), f"{here}[]")
    return found


@pytest.mark.parametrize(("path", "text"), [pytest.param(*file, id=str(file[0])) for file in render_files()])
def test_generated_files_are_current(path: Path, text: str) -> None:
    assert (ROOT / path).read_text() == text, "run `make generate` and commit what it writes"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_crd_is_small_enough_for_kubectl_apply_as_one_json_document(kind: Kind) -> None:
    assert len(json.dumps(build_crd(kind), separators=(",", ":"))) < 0.9 * KUBECTL_APPLY_LIMIT


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_yaml_says_the_same_as_the_manifest(kind: Kind) -> None:
    text = (ROOT / "crds" / f"mageflow.io_{kind.plural}.yaml").read_text()
    assert yaml.safe_load(text) == json.loads(json.dumps(build_crd(kind)))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_field_of_ours_has_a_description(kind: Kind) -> None:
    fields = fields_of(schema_of(kind)) | {"": schema_of(kind)}
    bare = [path for path, field in fields.items() if len(field.get("description", "")) < 10]
    assert bare == [".metadata"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_pod_templates_have_no_descriptions_inside(kind: Kind) -> None:
    for path, field in fields_of(schema_of(kind)).items():
        if path.endswith(".template"):
            assert '"description"' not in json.dumps(field["properties"]).replace('"description": {', "")


def test_lifecycle_explains_each_of_its_values() -> None:
    description = fields_of(schema_of(WORKFLOW))[".spec.lifecycle"]["description"]
    assert all(f"\n{lifecycle}: " in description for lifecycle in Lifecycle)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (WORKFLOW, {".spec.retries": 0}),
        (CHAIN, {".spec.tasks[].retries": 0}),
        (SWARM, {".spec.tasks[].retries": 0, ".spec.maxConcurrency": 30}),
    ],
    ids=["Workflow", "Chain", "Swarm"],
)
def test_nothing_else_has_defaults(kind: Kind, expected: dict[str, object]) -> None:
    fields = fields_of(schema_of(kind))
    defaults = {path: field["default"] for path, field in fields.items() if "default" in field}
    assert defaults == {".spec.lifecycle": "active", ".status": {"observedGeneration": 0}, **expected}


def test_enums_list_every_member() -> None:
    fields = fields_of(schema_of(WORKFLOW))
    assert fields[".spec.lifecycle"]["enum"] == [*Lifecycle]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_words_of_the_status_are_explained_and_none_is_refused(kind: Kind) -> None:
    """A newer operator has more of them: if a rollback of the CRD refused them, no status could be written any more."""
    fields = {path: field for path, field in fields_of(schema_of(kind)).items() if path.startswith(".status.")}
    assert {path for path, field in fields.items() if "enum" in field} == {".status.conditions[].status"}
    assert all(f"\n{phase}: " in fields[".status.phase"]["description"] for phase in Phase)
    assert all(f"\n{phase}: " in fields[".status.tasks[].phase"]["description"] for phase in TaskPhase)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_status_and_its_tasks_keep_fields_of_a_newer_version(kind: Kind) -> None:
    fields = fields_of(schema_of(kind))
    keeping = (fields[".status"], fields[".status.tasks"]["items"])
    assert all(field["x-kubernetes-preserve-unknown-fields"] is True for field in keeping)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_lists_are_merged_by_key(kind: Kind) -> None:
    fields = fields_of(schema_of(kind))
    keys = {path: field.get("x-kubernetes-list-map-keys") for path, field in fields.items() if "items" in field}
    tasks = {} if kind is WORKFLOW else {".spec.tasks": ["name"]}
    assert keys == {**tasks, ".status.tasks": None, ".status.conditions": ["type"]}
    assert fields[".status.tasks"]["x-kubernetes-list-type"] == "atomic"


@pytest.mark.parametrize(("kind", "least", "most"), [(CHAIN, 1, 100), (SWARM, None, 1000)], ids=["Chain", "Swarm"])
def test_tasks_are_as_many_as_the_design_says(kind: Kind, least: int | None, most: int) -> None:
    tasks = fields_of(schema_of(kind))[".spec.tasks"]
    assert (tasks.get("minItems"), tasks["maxItems"]) == (least, most)
    assert tasks["items"]["required"][0] == "name"


@pytest.mark.parametrize("kind", [CHAIN, SWARM], ids=lambda kind: kind.name)
def test_names_of_tasks_are_dns_labels_and_none_of_ours(kind: Kind) -> None:
    name = fields_of(schema_of(kind))[".spec.tasks[].name"]
    assert (name["minLength"], name["maxLength"]) == (1, 63)
    (rule,) = name["x-kubernetes-validations"]
    assert rule["rule"] == "!(self in ['main', 'on-success', 'on-failure'])"


def test_reference_lists_every_rule_when_it_stands_in_a_task() -> None:
    reference = (ROOT / "docs" / "reference.md").read_text()
    for rule in (
        "`spec.tasks[].name`: may be none of main, on-success, on-failure",
        "`spec.tasks[].template.spec.restartPolicy`: must be Never",
        "`spec.template`: a task has no template of its own",
    ):
        assert rule in reference


def test_bounds_are_those_of_the_models() -> None:
    fields = fields_of(schema_of(WORKFLOW))
    retries, timeout = fields[".spec.retries"], fields[".spec.timeoutSeconds"]
    assert (retries["minimum"], retries["maximum"], retries["format"]) == (0, INT32_MAX, "int32")
    assert (timeout["minimum"], timeout["maximum"]) == (1, INT32_MAX)


def test_pods_have_a_grace_in_every_template() -> None:
    templates = [
        field for kind in KINDS for path, field in fields_of(schema_of(kind)).items() if path.endswith(".template")
    ]
    assert len(templates) == 4
    for template in templates:
        grace = template["properties"]["spec"]["properties"]["terminationGracePeriodSeconds"]
        assert grace == {"type": "integer", "format": "int64", "minimum": 1, "nullable": True}


def test_input_takes_any_json_when_it_has_no_type() -> None:
    given = fields_of(schema_of(WORKFLOW))[".spec.input"]
    assert given["x-kubernetes-preserve-unknown-fields"]
    assert given["nullable"]
    assert "type" not in given


@pytest.mark.parametrize("folder", ["examples", "tests/manifests/valid"])
def test_valid_manifests_are_read_by_the_models(folder: str) -> None:
    for path in (ROOT / folder).glob("*.yaml"):
        for document in yaml.safe_load_all(path.read_text()):
            (kind,) = (kind for kind in KINDS if kind.name == document["kind"])
            kind.spec.model_validate(document["spec"])


def test_docstrings_of_attributes_are_found_when_they_follow_them() -> None:
    class Sample:
        first: int = 0
        """One
        line."""
        second = 1
        third: str
        """Two.

        Paragraphs."""

    assert attribute_docstrings(Sample) == {"first": "One line.", "third": "Two.\n\nParagraphs."}


# ── the pod template ──


def openapi(**schemas: Any) -> dict[str, Any]:
    """Return an OpenAPI v3 document in which PodTemplateSpec is `PodTemplateSpec`."""
    return {"components": {"schemas": {f"io.k8s.api.core.v1.{name}": schema for name, schema in schemas.items()}}}


def reference(name: str) -> dict[str, Any]:
    return {"allOf": [{"$ref": f"#/components/schemas/{name}"}], "default": {}, "description": "words"}


def test_references_are_inlined_when_an_all_of_has_just_one() -> None:
    document = openapi(
        PodTemplateSpec={"type": "object", "properties": {"spec": reference("io.k8s.api.core.v1.Spec")}},
        Spec={"type": "object", "description": "words", "properties": {"a": {"type": "string", "default": ""}}},
    )
    assert convert(document) == {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string"}}}},
    }


def test_conversion_fails_when_an_all_of_has_two() -> None:
    with pytest.raises(ValueError, match="allOf of 2"):
        convert(openapi(PodTemplateSpec={"allOf": [{}, {}]}))


def test_defaults_are_kept_only_on_list_keys_that_may_be_left_out() -> None:
    item = {
        "type": "object",
        "required": ["port"],
        "properties": {
            "port": {"type": "integer", "default": 0},
            "protocol": {"type": "string", "default": "TCP"},
            "name": {"type": "string", "default": ""},
        },
    }
    document = openapi(
        PodTemplateSpec={
            "type": "array",
            "items": reference("io.k8s.api.core.v1.Port"),
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["port", "protocol"],
            "x-kubernetes-patch-strategy": "merge",
        },
        Port=item,
    )
    converted = convert(document)
    assert converted["items"]["properties"] == {
        "name": {"type": "string"},
        "port": {"type": "integer"},
        "protocol": {"type": "string", "default": "TCP"},
    }
    assert "x-kubernetes-patch-strategy" not in converted


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("io.k8s.apimachinery.pkg.api.resource.Quantity", QUANTITY),
        ("io.k8s.apimachinery.pkg.util.intstr.IntOrString", {"x-kubernetes-int-or-string": True}),
        ("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta", METADATA),
    ],
)
def test_types_with_a_form_of_their_own_are_replaced(name: str, expected: dict[str, Any]) -> None:
    assert convert(openapi(PodTemplateSpec=reference(name))) == expected


@pytest.mark.parametrize(
    ("text", "is_quantity"),
    [
        ("1", True),
        ("0.5", True),
        (".5", True),
        ("+1", True),
        ("500m", True),
        ("1e3", True),
        ("1E-3", True),
        ("128Mi", True),
        ("1.5Gi", True),
        ("", False),
        ("m", False),
        ("5GiB", False),
        ("5 Gi", False),
        ("1,5", False),
        ("128mi", False),
    ],
)
def test_quantities_are_those_of_kubernetes(text: str, is_quantity: bool) -> None:
    assert bool(re.search(QUANTITY["pattern"], text)) is is_quantity
