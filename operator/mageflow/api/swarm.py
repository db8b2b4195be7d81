"""The spec of a Swarm: tasks side by side."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field

from mageflow.api.base import INT32_MAX
from mageflow.api.lifecycled import Lifecycled
from mageflow.api.lists import list_map
from mageflow.api.rules import EACH_TASK_HAS_A_TEMPLATE, validations
from mageflow.api.tasks import PodTemplate, SwarmTask

MAX_SWARM_TASKS: Final = 1000
DEFAULT_CONCURRENCY: Final = 30


class SwarmSpec(Lifecycled):
    """What is wanted: tasks side by side, how many at once, and whether they may run."""

    model_config = ConfigDict(json_schema_extra=validations(EACH_TASK_HAS_A_TEMPLATE))

    template: PodTemplate | None = None
    """The pod of each task that has no template of its own. May be edited only while held."""
    max_concurrency: Annotated[int, Field(ge=1, le=INT32_MAX)] = DEFAULT_CONCURRENCY
    """How many tasks may have a pod at once. May be changed at any time; what runs is never stopped by it."""
    tasks: Annotated[tuple[SwarmTask, ...], Field(max_length=MAX_SWARM_TASKS, json_schema_extra=list_map("name"))]
    """The tasks; they start in this order.

    While held, or in the write that holds, tasks that have not started may be edited, added, removed and reordered.
    """
