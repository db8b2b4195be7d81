"""The chart as a dependency of another, as of a platform's: Helm puts more among its values then."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from devkit.helm import CHART, HelmError

from .conftest import NAMESPACE, Rendered, Renderer

IMAGE = {"image": {"repository": "registry.example.com/mageflow-operator"}, "crds": {"install": False}}


class Platform:
    """A chart that has this one as a dependency."""

    def __init__(self, helm: Renderer, folder: Path, dependency: dict[str, Any], values: dict[str, Any]) -> None:
        self._helm = helm
        self._folder = folder
        shutil.copytree(CHART, folder / "charts" / "mageflow")
        (folder / "templates").mkdir()
        version = yaml.safe_load((CHART / "Chart.yaml").read_text())["version"]
        dependencies = [{"name": "mageflow", "version": version, **dependency}]
        chart = {"apiVersion": "v2", "name": "platform", "version": "0.1.0", "dependencies": dependencies}
        (folder / "Chart.yaml").write_text(yaml.safe_dump(chart))
        (folder / "values.yaml").write_text(yaml.safe_dump(values))

    def render(self, *settings: str) -> list[str]:
        """Return the kinds of what is rendered."""
        given = [f"--set={setting}" for setting in settings]
        text = self._helm.run(
            "template", "p", str(self._folder), f"--namespace={NAMESPACE}", "--kube-version=1.34", *given
        )
        return [one["kind"] for one in Rendered([it for it in yaml.safe_load_all(text) if it]).manifests]

    def lint(self, *settings: str) -> str:
        """Return what `helm lint` says; it fails if anything is wrong."""
        return self._helm.run("lint", str(self._folder), "--strict", *(f"--set={setting}" for setting in settings))


def test_it_is_rendered_or_left_out_by_its_condition(helm: Renderer, tmp_path: Path) -> None:
    values = {"global": {"team": "a"}, "mageflow": {"enabled": True, **IMAGE}}
    platform = Platform(helm, tmp_path, {"condition": "mageflow.enabled"}, values)
    assert "Deployment" in platform.render()
    assert len(platform.render()) > 5
    assert platform.render("mageflow.enabled=false") == []
    for setting in ("mageflow.enabled=true", "mageflow.enabled=false"):
        assert "0 chart(s) failed" in platform.lint(setting)


def test_it_is_rendered_or_left_out_by_a_tag(helm: Renderer, tmp_path: Path) -> None:
    platform = Platform(helm, tmp_path, {"tags": ["jobs"]}, {"tags": {"jobs": True}, "mageflow": IMAGE})
    assert "Deployment" in platform.render()
    assert platform.render("tags.jobs=false") == []
    assert "0 chart(s) failed" in platform.lint()


def test_it_may_have_another_name_and_hand_values_to_its_parent(helm: Renderer, tmp_path: Path) -> None:
    dependency = {
        "alias": "jobs",
        "condition": "jobs.enabled,global.jobs",
        "import-values": [{"child": "metrics", "parent": "operatorMetrics"}],
    }
    platform = Platform(helm, tmp_path, dependency, {"jobs": {"enabled": True, **IMAGE}})
    assert "Deployment" in platform.render()
    assert platform.render("jobs.enabled=false") == []


def test_a_typo_is_still_refused(helm: Renderer, tmp_path: Path) -> None:
    values = {"mageflow": {"enabled": True, **IMAGE}}
    platform = Platform(helm, tmp_path, {"condition": "mageflow.enabled"}, values)
    with pytest.raises(HelmError, match="enabeld"):
        platform.render("mageflow.enabeld=true")
