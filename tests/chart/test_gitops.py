"""The operator by Argo CD and Flux: the examples name what is there, and the chart takes their values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from devkit.helm import CHART, HelmError

from .conftest import NAMESPACE, RELEASE, Renderer

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "integrations"
VERSION = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]


def read(tool: str) -> dict[str, Any]:
    """Return the documents of an example, by their kinds."""
    documents = yaml.safe_load_all((FOLDER / tool / "operator.yaml").read_text())
    return {document["kind"]: document for document in documents}


APPLICATION = read("argocd")["Application"]["spec"]
HELM_RELEASE = read("flux")["HelmRelease"]["spec"]
VALUES = {"argocd": APPLICATION["source"]["helm"]["valuesObject"], "flux": HELM_RELEASE["values"]}


@pytest.mark.parametrize("tool", VALUES)
def test_the_chart_takes_the_values(helm: Renderer, tool: str) -> None:
    rendered = helm.template(VALUES[tool])
    assert rendered.container["image"] == f"registry.example.com/mageflow-operator:{VERSION}"
    with pytest.raises(HelmError, match="colour"):
        helm.template(VALUES[tool] | {"colour": "red"})


def test_argo_cd_finds_the_chart_in_git_and_deletes_no_crd() -> None:
    source = APPLICATION["source"]
    assert ROOT / source["path"] == CHART
    assert source["targetRevision"] == f"v{VERSION}"
    assert source["helm"]["releaseName"] == read("argocd")["Application"]["metadata"]["name"] == RELEASE
    assert APPLICATION["destination"]["namespace"] == NAMESPACE
    assert APPLICATION["syncPolicy"]["automated"] == {"selfHeal": True}
    assert {"CreateNamespace=true", "ServerSideApply=true"} == set(APPLICATION["syncPolicy"]["syncOptions"])


def test_flux_finds_the_chart_in_git_and_corrects_drift() -> None:
    documents = read("flux")
    chart = HELM_RELEASE["chart"]["spec"]
    assert ROOT / chart["chart"] == CHART
    assert chart["sourceRef"] == {"kind": "GitRepository", "name": documents["GitRepository"]["metadata"]["name"]}
    assert documents["GitRepository"]["spec"]["ref"] == {"tag": f"v{VERSION}"}
    assert documents["Namespace"]["metadata"]["name"] == NAMESPACE
    for kind in ("GitRepository", "HelmRelease"):
        assert documents[kind]["metadata"]["namespace"] == NAMESPACE
    assert HELM_RELEASE["releaseName"] == RELEASE
    assert HELM_RELEASE["driftDetection"] == {"mode": "enabled"}
    assert HELM_RELEASE["test"] == {"enable": True}
    assert not (CHART / "crds").exists()
