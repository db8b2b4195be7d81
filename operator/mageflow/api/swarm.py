"""The spec of a Swarm: tasks side by side."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from mageflow.api.base import INT32_MAX
from mageflow.api.lifecycled import Lifecycled
from mageflow.api.tasks import PodTemplate, SwarmTask

MAX_SWARM_TASKS: Final = 1000
DEFAULT_CONCURRENCY: Final = 30


class SwarmSpec(Lifecycled):
    """What is wanted: tasks side by side, how many at once, and whether they may run."""

    template: PodTemplate | None = None
    """The pod of each task that has no template of its own. May be edited only while held."""
    max_concurrency: Annotated[int, Field(ge=1, le=INT32_MAX)] = DEFAULT_CONCURRENCY
    """How many tasks may have a pod at once. May be changed at any time; what runs is never stopped by it."""
    tasks: Annotated[tuple[SwarmTask, ...], Field(max_length=MAX_SWARM_TASKS)]
    """The tasks; they start in this order. May be edited only while held."""
