"""What a task is: a Workflow's spec is one, a Chain and a Swarm list them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from mageflow.api.base import INT32_MAX, AnyJson, Count, SpecModel

PodTemplate = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "format": "PodTemplateSpec"})]
"""A PodTemplateSpec as the user wrote it. Its schema in the CRD is the API server's own."""


TaskName = Annotated[
    str,
    Field(min_length=1, max_length=63, pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"),
]
"""A DNS label: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names"""


class TaskSpec(SpecModel):
    """One task: what runs, and how often it is tried."""

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


class NamedTask(TaskSpec):
    """One task of a Chain."""

    name: TaskName
    """Names the task; no two tasks of a Chain have the same name."""


class SwarmTask(SpecModel):
    """One task of a Swarm."""

    name: TaskName
    """Names the task; no two tasks of a Swarm have the same name."""
    template: PodTemplate | None = None
    """The task's pod; left out: `spec.template`. May be edited only while held."""
    input: AnyJson = None
    """Any JSON, given to the task in the environment variable `MAGEFLOW_INPUT`. May be edited only while held."""
    retries: Count = 0
    """How often a failed run is followed by another. May be edited only while held."""
    timeout_seconds: Annotated[int, Field(ge=1, le=INT32_MAX)] | None = None
    """Time allowed for each run, from the kubelet's acceptance of the pod. May be edited only while held."""
