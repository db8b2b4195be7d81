"""The demo's scenes, one test each: every transition of each kind, with the examples that a user applies."""

from __future__ import annotations

import pytest

from demo.scenes import SCENES
from demo.stage import Scene, Stage
from devkit.cluster import ROOT
from devkit.kubectl import Kubectl


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.title)
def test_every_check_passes_when_the_scene_is_played(scene: Scene, kubectl: Kubectl) -> None:
    stage = Stage()

    stage.scene("1 of 1", scene, kubectl)

    assert stage.passed > 0
    assert stage.failed == 0


def test_each_example_is_in_a_scene() -> None:
    scenes = (ROOT / "hack/demo/scenes.py").read_text()

    unplayed = [path.name for path in (ROOT / "examples").glob("*.yaml") if f'"{path.name}"' not in scenes]

    assert unplayed == []
