"""What the chart renders, whatever its values."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import mageflow
from devkit.helm import CHART, HelmError
from mageflow.api import KINDS

from .conftest import Manifest, Rendered, Renderer

ROOT = Path(__file__).parents[2]

MAX_RELEASE = 1024 * 1024
"""Bytes that a Secret may hold; a release is one.

https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-size
"""


@pytest.fixture(scope="module")
def default(helm: Renderer) -> Rendered:
    return helm.template()


def test_helm_finds_nothing_wrong(helm: Renderer) -> None:
    assert "1 chart(s) linted, 0 chart(s) failed" in helm.run("lint", "--strict", str(CHART))


def test_the_crds_are_those_of_the_repository(default: Rendered) -> None:
    crds = {crd["metadata"]["name"]: crd["spec"] for crd in default.all("CustomResourceDefinition")}
    files = [yaml.safe_load(path.read_text()) for path in (ROOT / "crds").glob("*.yaml")]
    assert len(crds) == len(KINDS)
    assert crds == {crd["metadata"]["name"]: crd["spec"] for crd in files}


def test_a_release_fits_into_a_secret(helm: Renderer) -> None:
    """Helm keeps the templates and what they rendered to, as JSON, gzipped and encoded twice."""
    templates = {str(path): path.read_text() for path in CHART.rglob("*") if path.is_file()}
    templates = {name: base64.b64encode(text.encode()).decode() for name, text in templates.items()}
    release = {"chart": templates, "manifest": helm.run("template", "x", str(CHART), "--kube-version=1.34")}
    size = len(base64.b64encode(base64.b64encode(gzip.compress(json.dumps(release).encode()))))
    assert 100_000 < size < MAX_RELEASE / 2


def test_the_versions_agree() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == mageflow.__version__
    assert f"ARG VERSION={mageflow.__version__}\n" in (ROOT / "Dockerfile").read_text()


def test_the_crds_that_artifact_hub_shows_are_the_kinds() -> None:
    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    shown = {(crd["kind"], crd["version"], crd["name"]) for crd in yaml.safe_load(annotations["artifacthub.io/crds"])}
    assert shown == {(kind.name, "v1", kind.crd_name) for kind in KINDS}


def test_the_examples_that_artifact_hub_shows_are_one_of_each_kind() -> None:
    annotations = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    examples = {example["kind"]: example for example in yaml.safe_load(annotations["artifacthub.io/crdsExamples"])}
    assert set(examples) == {kind.name for kind in KINDS}
    for kind in KINDS:
        assert examples[kind.name]["apiVersion"] == "mageflow.io/v1"
        kind.spec.model_validate(examples[kind.name]["spec"])


def test_an_older_kubernetes_is_refused(helm: Renderer) -> None:
    with pytest.raises(HelmError, match=r">=1\.31"):
        helm.run("template", "x", str(CHART), "--kube-version=1.30")


def test_the_pods_meet_the_restricted_standard(helm: Renderer, default: Rendered) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted."""
    task = json.loads(_environment(_test_pod(default))["TEMPLATE"])
    for spec in (default.pod["spec"], _test_pod(default)["spec"], task["spec"]):
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert not {"hostNetwork", "hostPID", "hostIPC", "volumes"} & set(spec)


def test_no_rule_reaches_secrets_or_grants_more_than_it_names(default: Rendered) -> None:
    for role in (*default.all("ClusterRole"), *default.all("Role")):
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not {"secrets", "serviceaccounts/token", "roles", "clusterroles"} & set(rule["resources"])


def test_a_namespaced_operator_has_the_same_rules_there_and_none_elsewhere(helm: Renderer, default: Rendered) -> None:
    """But for the Namespaces themselves: a Role can't grant to list or watch them (ADR 12)."""
    rendered = helm.template({"watchNamespaces": ["team-a"]})
    [there] = [role["rules"] for role in rendered.all("Role") if role["metadata"]["namespace"] == "team-a"]
    everywhere = default.find("ClusterRole")["rules"]
    assert [rule for rule in there if rule not in everywhere] == [
        {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["team-a"], "verbs": ["get"]}
    ]
    assert [rule for rule in everywhere if rule not in there] == [
        {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["list", "watch"]}
    ]
    assert rendered.all("ClusterRoleBinding") == []


def test_the_status_is_not_for_users_to_write(default: Rendered) -> None:
    rules = default.find("ClusterRole", "mageflow-edit")["rules"]
    assert {resource for rule in rules for resource in rule["resources"]} == {kind.plural for kind in KINDS}


def test_the_lease_is_the_one_that_may_be_written(default: Rendered) -> None:
    rules = default.find("Role", "mageflow-lease")["rules"]
    assert {name for rule in rules for name in rule.get("resourceNames", ())} == {"mageflow"}
    assert {"--leader-elect", "--lease-name=mageflow"} <= set(default.container["args"])


MONITORED = {
    "podMonitor.enabled": True,
    "prometheusRule.enabled": True,
    "prometheusRule.runbookBaseUrl": "https://example.com/docs",
    "dashboard.enabled": True,
    "podDisruptionBudget.enabled": True,
}

NO_TEXT = {
    *("replicas", "containerPort", "port", "periodSeconds", "failureThreshold", "timeoutSeconds", "maxSkew"),
    *("automountServiceAccountToken", "runAsNonRoot", "runAsUser", "runAsGroup", "maxUnavailable"),
    *("allowPrivilegeEscalation", "readOnlyRootFilesystem"),
}
"""The fields that aren't text."""


def fields(value: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each field that is neither an object nor a list, with its name; of a list, that of the list."""
    if isinstance(value, dict):
        assert all(isinstance(name, str) for name in value)
        for name, field in value.items():
            yield from fields(field, name)
    elif isinstance(value, list):
        for entry in value:
            yield from fields(entry, key)
    else:
        yield key, value


def test_text_stays_text_that_yaml_would_take_for_a_number_or_a_boolean(helm: Renderer) -> None:
    values = MONITORED | {
        "crds.install": False,
        "watchNamespaces": ["123", "on"],
        "nameOverride": "off",
        "fullnameOverride": "1",
        "serviceAccount.name": "2",
        "priorityClassName": "no",
        "dashboard.namespace": "3",
        "podLabels": {"team": "7"},
        "podAnnotations": {"team": "7"},
        "prometheusRule.alertLabels": {"team": "7"},
        "image.tag": "1.0",
    }
    rendered = helm.template(values, release="on", namespace="42")
    assert (
        rendered.find("Deployment", "1")["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/instance"] == "on"
    )
    assert {key for key, value in fields(rendered.manifests) if not isinstance(value, str)} <= NO_TEXT


@pytest.mark.parametrize(
    ("release", "name"),
    [
        pytest.param(f"mageflow{'x' * 41}.abc", f"mageflow{'x' * 41}", id="a dot is where the name is cut"),
        pytest.param("y" * 49, "y" * 49, id="a dash is where the name is cut"),
        pytest.param(f"{'y' * 48}.z", f"{'y' * 48}.z", id="nothing is cut but what the chart adds"),
    ],
)
def test_a_long_name_ends_in_a_letter_or_a_digit(helm: Renderer, release: str, name: str) -> None:
    assert helm.template({"crds.install": False}, release=release).all("Deployment")[0]["metadata"]["name"] == name


def test_labels_of_users_take_the_place_of_others_but_not_of_those_of_the_selector(helm: Renderer) -> None:
    """A key that were there twice is found by the loader."""
    of_selector = {"app.kubernetes.io/name": "x", "app.kubernetes.io/instance": "y"}
    labels = {**of_selector, "app.kubernetes.io/part-of": "platform", "team": "a"}
    places = ("podLabels", "podMonitor.labels", "prometheusRule.labels", "dashboard.labels")
    annotations = {"podAnnotations": {"kubectl.kubernetes.io/default-container": "x"}}
    rendered = helm.template({**MONITORED, "crds.install": False, **annotations, **dict.fromkeys(places, labels)})
    selector = rendered.find("Deployment")["spec"]["selector"]["matchLabels"]
    config_map = rendered.find("ConfigMap", "mageflow-dashboard")
    for one in (rendered.pod, rendered.find("PodMonitor"), rendered.find("PrometheusRule"), config_map):
        found = one["metadata"]["labels"]
        assert found.items() >= {**selector, "app.kubernetes.io/part-of": "platform", "team": "a"}.items()
        assert found["app.kubernetes.io/version"] == mageflow.__version__
    assert rendered.pod["metadata"]["annotations"] == annotations["podAnnotations"]


def test_two_releases_share_no_name(helm: Renderer) -> None:
    names = [
        {
            (one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"])
            for one in helm.template({"crds.install": False, "watchNamespaces": [namespace]}, release=release).manifests
        }
        for release, namespace in (("one", "a"), ("two", "b"))
    ]
    assert not names[0] & names[1]


def test_nobody_may_connect_to_it_but_to_read_the_metrics(default: Rendered) -> None:
    spec = default.find("NetworkPolicy")["spec"]
    metrics = next(port for port in default.container["ports"] if port["name"] == "metrics")
    assert spec["policyTypes"] == ["Ingress"]
    assert spec["ingress"] == [{"ports": [{"protocol": "TCP", "port": metrics["containerPort"]}]}]
    assert spec["podSelector"] == default.find("Deployment")["spec"]["selector"]


def test_what_install_md_says_of_monitoring_is_taken(helm: Renderer) -> None:
    text = (ROOT / "docs" / "install.md").read_text().partition("## Monitoring")[2].partition("## Upgrade")[0]
    values = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    rendered = helm.template({name: value for part in values for name, value in part.items()})
    for kind in ("PodMonitor", "PrometheusRule", "ConfigMap"):
        assert len(rendered.all(kind)) == 1
    metrics = next(port for port in rendered.container["ports"] if port["name"] == "metrics")
    assert rendered.pod["metadata"]["annotations"]["prometheus.io/port"] == str(metrics["containerPort"])


@pytest.mark.parametrize("page", ["README.md", "docs/install.md", "helm/mageflow/README.md"])
def test_each_installation_that_is_written_down_says_where_the_image_is(page: str) -> None:
    """The default is the name of an image that nobody has pushed."""
    commands = re.findall(r"^helm install .*", (ROOT / page).read_text().replace("\\\n", ""), re.MULTILINE)
    assert commands
    assert all("--set image.repository=$REPOSITORY/mageflow-operator" in command for command in commands)


def test_the_pods_of_helm_test_are_not_the_operators(default: Rendered) -> None:
    selector = default.find("Deployment")["spec"]["selector"]["matchLabels"]
    assert selector.items() <= default.pod["metadata"]["labels"].items()
    assert not selector.items() <= _test_pod(default)["metadata"]["labels"].items()


def test_helm_test_plays_in_a_namespace_that_is_watched(helm: Renderer, default: Rendered) -> None:
    assert _environment(_test_pod(default))["NAMESPACE"] == "mageflow-system"
    assert _environment(_test_pod(helm.template({"watchNamespaces": ["team-a", "b"]})))["NAMESPACE"] == "team-a"


def _test_pod(rendered: Rendered) -> Manifest:
    return rendered.find("Pod", "mageflow-test")


def _environment(pod: Manifest) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in pod["spec"]["containers"][0]["env"]}
