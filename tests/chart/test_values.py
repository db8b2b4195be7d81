"""Each value of values.schema.json does what it says; whatever else is given is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from devkit.helm import CHART, HelmError

from .conftest import NAMESPACE, Manifest, Rendered, Renderer

SCHEMA = json.loads((CHART / "values.schema.json").read_text())
PEER = {"to": [{"ipBlock": {"cidr": "10.0.0.1/32"}}], "ports": [{"port": 6443}]}
TERM = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]}
NODE_AFFINITY = {"requiredDuringSchedulingIgnoredDuringExecution": TERM}
POD_TERM = {"topologyKey": "zone", "labelSelector": {"matchLabels": {"app": "x"}}}
POD_AFFINITY = {"requiredDuringSchedulingIgnoredDuringExecution": [POD_TERM]}
SPREAD = {"topologyKey": "zone", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule"}
DIGEST = f"sha256:{'ab' * 32}"


@dataclass(frozen=True)
class Case:
    """A value, and what is to be seen of it."""

    path: str
    value: Any
    read: Callable[[Rendered], Any]
    expected: Any
    others: tuple[tuple[str, Any], ...] = ()


def pod(*keys: str) -> Callable[[Rendered], Any]:
    def read(rendered: Rendered) -> Any:
        found = rendered.pod["spec"]
        for key in keys:
            found = found[key]
        return found

    return read


def is_there(kind: str, name: str = "mageflow") -> Callable[[Rendered], bool]:
    return lambda rendered: any(one["metadata"]["name"] == name for one in rendered.all(kind))


def count(kind: str) -> Callable[[Rendered], int]:
    return lambda rendered: len(rendered.all(kind))


def has_argument(argument: str) -> Callable[[Rendered], bool]:
    return lambda rendered: argument in rendered.container["args"]


def policies_of_crds(rendered: Rendered) -> set[str | None]:
    crds = rendered.all("CustomResourceDefinition")
    return {(crd["metadata"].get("annotations") or {}).get("helm.sh/resource-policy") for crd in crds}


def bound_accounts(rendered: Rendered) -> set[str]:
    bindings = [*rendered.all("ClusterRoleBinding"), *rendered.all("RoleBinding")]
    return {subject["name"] for binding in bindings for subject in binding["subjects"]}


def hooks(rendered: Rendered) -> list[str]:
    kept = [one for kind in {one["kind"] for one in rendered.manifests} for one in rendered.all(kind)]
    return [one["kind"] for one in rendered.manifests if one not in kept]


def namespaces_of_roles(rendered: Rendered) -> set[str]:
    return {role["metadata"]["namespace"] for role in rendered.all("Role")}


def annotations_of_account(rendered: Rendered) -> Any:
    return rendered.all("ServiceAccount")[0]["metadata"]["annotations"]


def endpoint(key: str) -> Callable[[Rendered], Any]:
    return lambda rendered: rendered.find("PodMonitor")["spec"]["podMetricsEndpoints"][0][key]


def label(kind: str, name: str = "mageflow") -> Callable[[Rendered], Any]:
    return lambda rendered: rendered.find(kind, name)["metadata"]["labels"]["a"]


def ports(rendered: Rendered) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in rendered.container["ports"]}


def ingress(rendered: Rendered) -> Any:
    return rendered.find("NetworkPolicy")["spec"].get("ingress")


def first_alert(rendered: Rendered) -> Any:
    return rendered.find("PrometheusRule")["spec"]["groups"][0]["rules"][0]


MONITORED = (("podMonitor.enabled", True),)
ALERTED = (("prometheusRule.enabled", True), ("prometheusRule.runbookBaseUrl", "https://example.com/docs"))
SHOWN = (("dashboard.enabled", True),)
DASHBOARD = "mageflow-dashboard"
FROM = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
RELABELING = {"targetLabel": "cluster", "replacement": "one"}

WITHOUT_CRDS = {"crds.install": False}
"""Rendering and reading them takes long."""

CASES = (
    Case("global", {"anything": 1}, count("Deployment"), 1),
    Case("enabled", True, count("Deployment"), 1),
    Case("image.repository", "example/x", lambda it: it.container["image"], "example/x:0.1.0"),
    Case("image.tag", "7", lambda it: it.container["image"], "mageflow-operator:7"),
    Case("image.digest", DIGEST, lambda it: it.container["image"], f"mageflow-operator@{DIGEST}"),
    Case("image.pullPolicy", "Always", lambda it: it.container["imagePullPolicy"], "Always"),
    Case("imagePullSecrets[].name", "key", pod("imagePullSecrets"), [{"name": "key"}]),
    Case("nameOverride", "flow", lambda it: it.pod["metadata"]["labels"]["app.kubernetes.io/name"], "flow"),
    Case("fullnameOverride", "other", is_there("Deployment", "other"), True),
    Case("replicas", 3, lambda it: it.find("Deployment")["spec"]["replicas"], 3),
    Case("watchNamespaces", ["a", "b"], has_argument("--namespace=b"), True),
    Case("watchNamespaces", ["a", "b"], has_argument("--all-namespaces"), False),
    Case("watchNamespaces", ["a", "b"], is_there("ClusterRole"), False),
    Case("watchNamespaces", ["a", "b"], namespaces_of_roles, {"a", "b", NAMESPACE}),
    Case("crds.install", False, count("CustomResourceDefinition"), 0),
    Case("crds.keep", True, policies_of_crds, {"keep"}),
    Case("crds.keep", False, policies_of_crds, {None}),
    Case("serviceAccount.create", False, count("ServiceAccount"), 0, (("serviceAccount.name", "there"),)),
    Case("serviceAccount.create", False, pod("serviceAccountName"), "default", (("rbac.create", False),)),
    Case("serviceAccount.name", "default", bound_accounts, {"default"}, (("serviceAccount.create", False),)),
    Case("serviceAccount.name", "there", bound_accounts, {"there"}, (("serviceAccount.create", False),)),
    Case("serviceAccount.name", "there", pod("serviceAccountName"), "there", (("serviceAccount.create", False),)),
    Case("serviceAccount.annotations", {"a": "b"}, annotations_of_account, {"a": "b"}),
    Case("rbac.create", False, bound_accounts, set()),
    Case("rbac.create", False, count("Role"), 0),
    Case("rbac.create", False, hooks, []),
    Case("rbac.aggregate", True, is_there("ClusterRole", "mageflow-edit"), True),
    Case("rbac.aggregate", False, count("ClusterRole"), 1),
    Case("log.level", "debug", has_argument("--log-level=debug"), True),
    Case("log.format", "json", has_argument("--log-format=json"), True),
    Case("metrics.enabled", True, has_argument("--metrics-port=8081"), True),
    Case("metrics.enabled", False, ports, {"health": 8080}),
    Case("metrics.enabled", False, has_argument("--metrics-port=8081"), False),
    Case("metrics.enabled", False, ingress, None),
    Case("metrics.port", 9000, has_argument("--metrics-port=9000"), True),
    Case("metrics.port", 9000, ports, {"health": 8080, "metrics": 9000}),
    Case("metrics.port", 9000, ingress, [{"ports": [{"protocol": "TCP", "port": 9000}]}]),
    Case("podMonitor.enabled", True, count("PodMonitor"), 1),
    Case("podMonitor.enabled", False, count("PodMonitor"), 0),
    Case("podMonitor.labels", {"a": "b"}, label("PodMonitor"), "b", MONITORED),
    Case("podMonitor.interval", "30s", endpoint("interval"), "30s", MONITORED),
    Case("podMonitor.scrapeTimeout", "5s", endpoint("scrapeTimeout"), "5s", MONITORED),
    Case("podMonitor.relabelings", [RELABELING], endpoint("relabelings"), [RELABELING], MONITORED),
    Case("podMonitor.metricRelabelings", [RELABELING], endpoint("metricRelabelings"), [RELABELING], MONITORED),
    Case("prometheusRule.enabled", True, count("PrometheusRule"), 1, ALERTED[1:]),
    Case("prometheusRule.enabled", False, count("PrometheusRule"), 0),
    Case("prometheusRule.labels", {"a": "b"}, label("PrometheusRule"), "b", ALERTED),
    Case("prometheusRule.alertLabels", {"a": "b"}, lambda it: first_alert(it)["labels"]["a"], "b", ALERTED),
    Case("prometheusRule.job", "x", lambda it: first_alert(it)["labels"]["job"], "x", ALERTED),
    Case(
        "prometheusRule.alertLabels",
        {"severity": "page"},
        lambda it: first_alert(it)["labels"]["severity"],
        "page",
        ALERTED,
    ),
    Case("prometheusRule.job", "x: #y", lambda it: 'job="x: #y"' in first_alert(it)["expr"], True, ALERTED),
    Case("prometheusRule.job", "x", lambda it: 'job="x"' in first_alert(it)["expr"], True, ALERTED),
    Case(
        "prometheusRule.runbookBaseUrl",
        "https://example.com/docs/",
        lambda it: first_alert(it)["annotations"]["runbook_url"],
        "https://example.com/docs/runbooks.md#mageflowdown",
        ALERTED[:1],
    ),
    Case("dashboard.enabled", True, is_there("ConfigMap", DASHBOARD), True),
    Case("dashboard.enabled", False, count("ConfigMap"), 0),
    Case("dashboard.namespace", "x", lambda it: it.find("ConfigMap", DASHBOARD)["metadata"]["namespace"], "x", SHOWN),
    Case("dashboard.labels", {"a": "b"}, label("ConfigMap", DASHBOARD), "b", SHOWN),
    Case(
        "dashboard.annotations",
        {"a": "b"},
        lambda it: it.find("ConfigMap", DASHBOARD)["metadata"]["annotations"],
        {"a": "b"},
        SHOWN,
    ),
    Case("extraEnv[].name", "A", lambda it: it.container["env"], [{"name": "A"}]),
    Case(
        "extraEnv[].value",
        "1",
        lambda it: it.container["env"],
        [{"name": "A", "value": "1"}],
        (("extraEnv[0].name", "A"),),
    ),
    Case(
        "extraEnv[].valueFrom",
        {"fieldRef": {"fieldPath": "spec.nodeName"}},
        lambda it: it.container["env"][0]["valueFrom"]["fieldRef"]["fieldPath"],
        "spec.nodeName",
        (("extraEnv[0].name", "A"),),
    ),
    Case("resources.limits", {"cpu": "2"}, lambda it: it.container["resources"]["limits"]["cpu"], "2"),
    Case("resources.requests", {"cpu": "1"}, lambda it: it.container["resources"]["requests"]["cpu"], "1"),
    Case("resources.claims", [{"name": "x"}], lambda it: it.container["resources"]["claims"], [{"name": "x"}]),
    Case("priorityClassName", "system-cluster-critical", pod("priorityClassName"), "system-cluster-critical"),
    Case("nodeSelector", {"disk": "ssd"}, pod("nodeSelector"), {"disk": "ssd"}),
    Case("tolerations", [{"operator": "Exists"}], pod("tolerations"), [{"operator": "Exists"}]),
    Case("affinity.nodeAffinity", NODE_AFFINITY, pod("affinity", "nodeAffinity"), NODE_AFFINITY),
    Case("affinity.podAffinity", POD_AFFINITY, pod("affinity", "podAffinity"), POD_AFFINITY),
    Case("affinity.podAntiAffinity", POD_AFFINITY, pod("affinity", "podAntiAffinity"), POD_AFFINITY),
    Case("topologySpreadConstraints", [SPREAD], pod("topologySpreadConstraints"), [SPREAD]),
    Case("podAnnotations", {"a": "b"}, lambda it: it.pod["metadata"]["annotations"]["a"], "b"),
    Case("podLabels", {"a": "b"}, lambda it: it.pod["metadata"]["labels"]["a"], "b"),
    Case("podSecurityContext", {"runAsUser": 7}, pod("securityContext", "runAsUser"), 7),
    Case("securityContext", {"privileged": False}, lambda it: it.container["securityContext"]["privileged"], False),
    Case("networkPolicy.enabled", False, count("NetworkPolicy"), 0),
    Case("networkPolicy.metricsFrom", [FROM], lambda it: ingress(it)[0]["from"], [FROM]),
    Case("networkPolicy.egress", [PEER], lambda it: it.find("NetworkPolicy")["spec"]["egress"], [PEER]),
    Case("podDisruptionBudget.enabled", True, count("PodDisruptionBudget"), 1),
    Case(
        "podDisruptionBudget.enabled",
        True,
        lambda it: it.find("PodDisruptionBudget")["spec"]["unhealthyPodEvictionPolicy"],
        "AlwaysAllow",
    ),
    Case(
        "podDisruptionBudget.maxUnavailable",
        "50%",
        lambda it: it.find("PodDisruptionBudget")["spec"]["maxUnavailable"],
        "50%",
        (("podDisruptionBudget.enabled", True),),
    ),
)


def leaves(schema: Manifest, path: str = "") -> Iterator[str]:
    """Yield the path of each value that may be given."""
    if "properties" in schema:
        for name, field in schema["properties"].items():
            yield from leaves(field, f"{path}.{name}".lstrip("."))
    elif "properties" in schema.get("items", {}):
        yield from leaves(schema["items"], f"{path}[]")
    else:
        yield path


def test_each_value_of_the_schema_has_a_case() -> None:
    assert {case.path for case in CASES} == set(leaves(SCHEMA))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.path)
def test_what_is_rendered_changes_when_a_value_is_given(helm: Renderer, case: Case) -> None:
    first = {} if case.path.startswith("crds") else WITHOUT_CRDS
    rendered = helm.template({**first, **dict(case.others), case.path.replace("[]", "[0]"): case.value})
    assert case.read(rendered) == case.expected


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("replicas", "two"),
        ("replicas", -1),
        ("watchNamespaces", "team-a"),
        ("watchNamespaces", ["Team_A"]),
        ("watchNamespaces", ["a", "a"]),
        ("log.level", "trace"),
        ("log.format", "xml"),
        ("image.pullPolicy", "Sometimes"),
        ("image.digest", "sha256:1"),
        ("image.repository", ""),
        ("enabled", False),
        ("crds.keep", "yes"),
        ("extraEnv", [{"value": "x"}]),
        ("podDisruptionBudget.maxUnavailable", "half"),
        ("podDisruptionBudget.maxUnavailable", 0),
        ("podDisruptionBudget.maxUnavailable", "0%"),
        ("fullnameOverride", "Upper Case"),
        ("metrics.port", 8080),
        ("metrics.port", 0),
        ("podMonitor.interval", "soon"),
        ("prometheusRule.runbookBaseUrl", "docs"),
        ("networkPolicy.metricsFrom", "monitoring"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(helm: Renderer, path: str, value: Any) -> None:
    with pytest.raises(HelmError, match=path.partition(".")[0]):
        helm.template({path: value})


@pytest.mark.parametrize(
    ("values", "what_is_needed"),
    [
        ({"podMonitor.enabled": True, "metrics.enabled": False}, "podMonitor.enabled needs metrics.enabled"),
        ({**dict(ALERTED), "metrics.enabled": False}, "prometheusRule.enabled needs metrics.enabled"),
        ({"prometheusRule.enabled": True}, "prometheusRule.runbookBaseUrl: where you have put docs/"),
        ({"serviceAccount.create": False}, "serviceAccount.create=false needs serviceAccount.name"),
    ],
)
def test_it_is_said_what_else_is_needed(helm: Renderer, values: dict[str, Any], what_is_needed: str) -> None:
    with pytest.raises(HelmError, match=what_is_needed):
        helm.template(values)


def test_each_default_is_in_the_schema_and_each_value_of_the_schema_has_a_default() -> None:
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(defaults) == set(SCHEMA["properties"]) - {"global", "enabled"}
    for name, field in SCHEMA["properties"].items():
        if "properties" in field and name not in ("affinity", "resources"):
            assert set(defaults[name]) == set(field["properties"])
