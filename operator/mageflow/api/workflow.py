"""The spec of a Workflow: one task."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from mageflow.api.base import INT32_MAX, Count, SpecModel
from mageflow.api.enums import Lifecycle


class WorkflowSpec(SpecModel):
    """What is wanted: one task, and whether it may run."""

    lifecycle: Lifecycle = Lifecycle.ACTIVE
    """What is wanted of it."""
    template: dict[str, Any]
    """The task's pod, as the user wrote it: a PodTemplateSpec."""
    input: Any | None = None
    """Any JSON, given to the task in `MAGEFLOW_INPUT`."""
    retries: Count = 0
    """How often a failed run is followed by another."""
    timeout_seconds: Annotated[int, Field(ge=1, le=INT32_MAX)] | None = None
    """Time allowed for each run, from the kubelet's acceptance of the pod."""

    @property
    def has_input(self) -> bool:
        """An input was given, if only `null`."""
        return "input" in self.model_fields_set
