"""What is as in Kubernetes has its keys, all the way down: a typo is refused; Helm 3 would say nothing of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client

from devkit.helm import HelmError
from generate import podtemplate

from .conftest import Renderer
from .test_values import SCHEMA

Schema = dict[str, Any]

POD = json.loads(podtemplate.PATH.read_text())["schema"]["properties"]["spec"]
CONTAINER = POD["properties"]["containers"]["items"]

AS_IN_KUBERNETES = {
    "podSecurityContext": POD["properties"]["securityContext"],
    "tolerations": POD["properties"]["tolerations"],
    "affinity": POD["properties"]["affinity"],
    "topologySpreadConstraints": POD["properties"]["topologySpreadConstraints"],
    "imagePullSecrets": POD["properties"]["imagePullSecrets"],
    "securityContext": CONTAINER["properties"]["securityContext"],
    "extraEnv": CONTAINER["properties"]["env"],
    "resources": CONTAINER["properties"]["resources"],
}

LEFT_OUT = {"/extraEnv/0/valueFrom/fileKeyRef"}
"""It is about a volume, and the operator has none."""


def resolve(schema: Schema) -> Schema:
    """Follow a reference, if it is one."""
    if "$ref" not in schema:
        return schema
    found: Schema = SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")]
    return found


def objects(schema: Schema, pointer: str = "") -> Iterator[str]:
    """Yield the JSON pointer of each object that has keys of its own, in lists that of the first."""
    schema = resolve(schema)
    if "properties" in schema:
        yield pointer
        for name, field in schema["properties"].items():
            yield from objects(field, f"{pointer}/{name}")
    elif "items" in schema:
        yield from objects(schema["items"], f"{pointer}/0")


def make(schema: Schema, **more: Any) -> Any:
    """Return a value of all keys that there are, and `more` in each object."""
    schema = resolve(schema)
    if "properties" in schema:
        return {name: make(field, **more) for name, field in schema["properties"].items()} | more
    if "items" in schema:
        return [make(schema["items"], **more)]
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "integer")  # else there is a choice
    samples = {"string": "", "integer": 1, "boolean": True, "object": {}}
    return samples[kind if isinstance(kind, str) else kind[0]]


def compare(ours: Schema, theirs: Schema, pointer: str) -> Iterator[str]:
    """Tell where the keys of an object, or the types of its fields, are others than in Kubernetes."""
    ours = resolve(ours)
    if "properties" in ours:
        assert ours["additionalProperties"] is False, pointer
        expected = {name for name in theirs["properties"] if f"{pointer}/{name}" not in LEFT_OUT}
        if set(ours["properties"]) != expected:
            yield f"{pointer}: {set(ours['properties']) ^ expected}"
        for name, field in ours["properties"].items():
            yield from compare(field, theirs["properties"][name], f"{pointer}/{name}")
    elif "items" in ours:
        yield from compare(ours["items"], theirs["items"], f"{pointer}/0")
    elif ours["type"] != theirs.get("type", ours["type"]):
        yield f"{pointer}: {ours['type']} and {theirs['type']}"


def test_a_typo_is_refused_wherever_it_is(helm: Renderer) -> None:
    values = make(SCHEMA, colour="red")
    with pytest.raises(HelmError) as refused:
        helm.template(values)
    found = set(re.findall(r"at '(\S*)': additional properties 'colour' not allowed", str(refused.value)))
    assert found == set(objects(SCHEMA))
    assert len(found) > 60


@pytest.mark.parametrize("name", AS_IN_KUBERNETES)
def test_a_value_has_the_keys_that_it_has_in_a_pod(name: str) -> None:
    assert list(compare(SCHEMA["properties"][name], AS_IN_KUBERNETES[name], f"/{name}")) == []


def test_the_network_policy_has_the_keys_that_it_has_in_kubernetes() -> None:
    policy = SCHEMA["properties"]["networkPolicy"]["properties"]
    peer, rule = resolve(policy["metricsFrom"])["items"]["properties"], resolve(policy["egress"]["items"])["properties"]
    for ours, theirs in (
        (peer, client.V1NetworkPolicyPeer),
        (peer["ipBlock"]["properties"], client.V1IPBlock),
        (resolve(peer["podSelector"])["properties"], client.V1LabelSelector),
        (rule, client.V1NetworkPolicyEgressRule),
        (rule["ports"]["items"]["properties"], client.V1NetworkPolicyPort),
    ):
        assert set(ours) == set(theirs.attribute_map.values())
    assert peer["podSelector"] == peer["namespaceSelector"]
    assert rule["to"]["$ref"] == policy["metricsFrom"]["$ref"]


@pytest.mark.parametrize(
    ("path", "typo"),
    [
        ("podSecurityContext.runAsUsr", 1),
        ("securityContext.readOnlyRootFilesytem", True),
        ("securityContext.capabilities.dorp", ["ALL"]),
        ("networkPolicy.metricsFrom", [{"podSelctor": {"matchLabels": {"app": "prometheus"}}}]),
        ("networkPolicy.metricsFrom", [{"podSelector": {"matchLabel": {"app": "prometheus"}}}]),
        ("networkPolicy.metricsFrom", [{}]),
        ("networkPolicy.egress", [{"from": []}]),
        ("tolerations", [{"ky": "x"}]),
        ("affinity.podAntiAffinity", {"requiredDuringScheduling": []}),
        ("resources.limits", {"memory": ["1Gi"]}),
        ("extraEnv", [{"name": "A", "valueFrom": {"secretRef": {"name": "x"}}}]),
    ],
)
def test_such_typos_are_refused(helm_4: Renderer, path: str, typo: Any) -> None:
    with pytest.raises(HelmError, match=path.partition(".")[0]):
        helm_4.template({"crds.install": False, path: typo})
