"""The spec of a Chain: tasks in sequence."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from mageflow.api.lifecycled import Lifecycled
from mageflow.api.lists import list_map
from mageflow.api.tasks import NamedTask

MAX_CHAIN_TASKS: Final = 100


class ChainSpec(Lifecycled):
    """What is wanted: tasks, one after the other, and whether they may run."""

    tasks: Annotated[
        tuple[NamedTask, ...],
        Field(min_length=1, max_length=MAX_CHAIN_TASKS, json_schema_extra=list_map("name")),
    ]
    """The tasks in the order in which they run; each gets the output of the one before in `MAGEFLOW_PREVIOUS`.

    While held, or in the write that holds, tasks that have not started may be edited, added, removed and reordered.
    """
