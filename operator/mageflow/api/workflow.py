"""The spec of a Workflow: one task."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from mageflow.api.base import INT32_MAX, AnyJson, Count, SpecModel
from mageflow.api.enums import Lifecycle
from mageflow.api.rules import CANCELED_IS_FINAL, validations

PodTemplate = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "format": "PodTemplateSpec"})]
"""A PodTemplateSpec as the user wrote it. Its schema in the CRD is the API server's own."""


class WorkflowSpec(SpecModel):
    """What is wanted: one task, and whether it may run."""

    lifecycle: Annotated[Lifecycle, Field(json_schema_extra=validations(CANCELED_IS_FINAL))] = Lifecycle.ACTIVE
    """What is wanted of it; the one control. What is seen of it is `status.phase`."""
    template: PodTemplate
    """The task's pod, as in a Job: a PodTemplateSpec.

    `restartPolicy` is `Never` or left out: containers that the kubelet restarts in place could not be held. May be
    edited only while held.
    """
    input: AnyJson = None
    """Any JSON, given to the task in the environment variable `MAGEFLOW_INPUT`. May be edited only while held."""
    retries: Count = 0
    """How often a failed run is followed by another. Neither a suspend nor an interrupt nor a node drain uses up one.

    May be edited only while held.
    """
    timeout_seconds: Annotated[int, Field(ge=1, le=INT32_MAX)] | None = None
    """Time allowed for each run.

    It counts from when the kubelet accepts the pod, image pull and init containers included, but not while the pod
    waits for a node. The smaller of it and the template's own `activeDeadlineSeconds` counts. May be edited only while
    held.
    """

    @property
    def has_input(self) -> bool:
        """An input was given, if only `null`."""
        return "input" in self.model_fields_set
