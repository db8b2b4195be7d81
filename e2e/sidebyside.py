"""Tests that wait most of the time, played side by side: each in a namespace of its own.

    @side_by_side
    def test_outcome_when_situation(kubectl: WatchedKubectl) -> None: ...

All of a module that are to run are begun with the first of them, `AT_ONCE` at a time (`plays` in conftest.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Final

from devkit.gitops.watched import WatchedKubectl

AT_ONCE: Final = 6

Story = Callable[[WatchedKubectl], None]
Plays = Mapping[Story, "Future[None]"]


def side_by_side(story: Story) -> Callable[[Plays], None]:
    """Make a test of a function that takes the kubectl of its namespace."""

    def test(plays: Plays) -> None:
        plays[story].result()

    for attribute in ("__name__", "__qualname__", "__doc__", "__module__"):
        setattr(test, attribute, getattr(story, attribute))
    test.story = story  # type: ignore[attr-defined]
    return test
