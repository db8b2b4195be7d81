"""The demo's scenes, one test each: every transition of each kind, with the examples that a user applies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import StringIO

import pytest

from demo.scenes import SCENES
from demo.stage import Scene, Stage
from devkit.cluster import ROOT, Cluster
from devkit.operator import OperatorProcess

from .conftest import open_namespace


@dataclass(frozen=True)
class Played:
    """How a scene went, and what a person would have seen."""

    stage: Stage
    text: str


@pytest.fixture(scope="module")
def played(
    request: pytest.FixtureRequest, cluster: Cluster, operator: OperatorProcess
) -> Iterator[Mapping[str, Future[Played]]]:
    """Play the scenes that are tested, up to three side by side: they wait for pods most of the time."""

    def play(scene: Scene) -> Played:
        out = StringIO()
        stage = Stage(out, has_gates=True)
        with open_namespace(cluster, scene.title) as kubectl:
            stage.scene("1 of 1", scene, kubectl)
        return Played(stage, out.getvalue())

    calls = (getattr(item, "callspec", None) for item in request.session.items)
    scenes = [call.params["scene"] for call in calls if call is not None and "scene" in call.params]
    with ThreadPoolExecutor(1) as with_pool, ThreadPoolExecutor(2) as others:
        yield {scene.title: (with_pool if scene.uses_pool else others).submit(play, scene) for scene in scenes}


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.title)
def test_every_check_passes_when_the_scene_is_played(scene: Scene, played: Mapping[str, Future[Played]]) -> None:
    seen = played[scene.title].result()

    print(seen.text)
    assert seen.stage.passed > 0
    assert seen.stage.failed == 0


def test_each_example_is_in_a_scene() -> None:
    scenes = (ROOT / "hack/demo/scenes.py").read_text()

    unplayed = [path.name for path in (ROOT / "examples").glob("*.yaml") if f'"{path.name}"' not in scenes]

    assert unplayed == []
