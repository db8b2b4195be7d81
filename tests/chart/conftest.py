"""Helm, in both versions, and promtool: `make test` builds them, as does `python -m localcluster build`. No cluster."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from devkit.helm import CHART, Helm, find_helm
from localcluster.binaries import path_of
from localcluster.components import HELM, PROMTOOL, Component

RELEASE = "mageflow"
NAMESPACE = "mageflow-system"

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Rendered:
    """What `helm template` wrote."""

    manifests: list[Manifest]

    def find(self, kind: str, name: str = RELEASE) -> Manifest:
        """Return the one manifest of this kind and name."""
        found = [one for one in self.manifests if (one["kind"], one["metadata"]["name"]) == (kind, name)]
        assert len(found) == 1, f"{len(found)} of {kind} {name}"
        return found[0]

    def all(self, kind: str) -> list[Manifest]:
        """Return the manifests of a kind, without those of `helm test`."""
        return [
            one
            for one in self.manifests
            if one["kind"] == kind and "helm.sh/hook" not in (one["metadata"].get("annotations") or {})
        ]

    @property
    def pod(self) -> Manifest:
        """The operator's pod."""
        pod: Manifest = self.find("Deployment")["spec"]["template"]
        return pod

    @property
    def container(self) -> Manifest:
        """The operator's container."""
        container: Manifest = self.pod["spec"]["containers"][0]
        return container


class Strict(yaml.CSafeLoader):
    """Refuses a key that is there twice, of which Kubernetes would take either."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value]
        assert len(set(keys)) == len(keys), f"twice in {keys}: {node.start_mark}"
        return super().construct_mapping(node, deep)


class Renderer(Helm):
    """A helm that renders the chart."""

    def template(
        self, values: dict[str, Any] | None = None, *, release: str = RELEASE, namespace: str = NAMESPACE
    ) -> Rendered:
        """Render the chart with these values, given as one would on the command line."""
        settings = [f"--set-json={key}={json.dumps(value)}" for key, value in (values or {}).items()]
        text = self.run("template", release, str(CHART), f"--namespace={namespace}", "--kube-version=1.34", *settings)
        return Rendered([manifest for manifest in yaml.load_all(text, Loader=Strict) if manifest])


@pytest.fixture(scope="session", params=HELM, ids=lambda component: component.name)
def helm(request: pytest.FixtureRequest) -> Renderer:
    """Each version of Helm that the chart is for."""
    return _open(request.param)


@pytest.fixture(scope="session")
def helm_4() -> Renderer:
    """One version, where what is rendered matters and not by whom."""
    return _open(HELM[-1])


def _open(component: Component) -> Renderer:
    program = find_helm(component)
    if program is None:
        pytest.skip(f"{component.name} isn't there; `make test` builds it")
    return Renderer(program)


@pytest.fixture(scope="session")
def promtool() -> Path:
    """Prometheus's own test of rules: the one in the cache, else the one on the PATH."""
    built = path_of(PROMTOOL)
    found = built if built.exists() else shutil.which(PROMTOOL.name)
    if found is None:
        pytest.skip("promtool isn't there; `make test` builds it")
    return Path(found)
