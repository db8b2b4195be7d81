"""The specs as users write them: what a task is, and the three kinds that have one or several, with a lifecycle."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, WithJsonSchema

from mageflow.api.base import INT32_MAX, AnyJson, Count, SpecModel, list_map
from mageflow.api.enums import Lifecycle
from mageflow.api.labels import MAIN_TASK
from mageflow.api.rules import CANCELED_IS_FINAL, EACH_TASK_HAS_A_TEMPLATE, none_of, validations

MAX_CHAIN_TASKS: Final = 100
MAX_SWARM_TASKS: Final = 1000
DEFAULT_CONCURRENCY: Final = 30

LEAST_GRACE_SECONDS: Final = 1
"""The least `terminationGracePeriodSeconds` of a task's pod.

With 0 the API server drops the pod at once, while its processes live on for a second or two, and a negative one it
makes 1: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination-forced
"""

PodTemplate = Annotated[dict[str, Any], WithJsonSchema({"type": "object", "format": "PodTemplateSpec"})]
"""A PodTemplateSpec as the user wrote it. Its schema in the CRD is the API server's own."""

RESERVED_NAMES: Final = (MAIN_TASK, "on-success", "on-failure")
"""What the Jobs of a Workflow's own task and of callbacks carry as the name of their task."""

TaskName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=63,
        pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$",
        json_schema_extra=validations(none_of(RESERVED_NAMES)),
    ),
]
"""A DNS label: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names"""


class Named(SpecModel):
    """One of several tasks."""

    name: TaskName
    """Names the task in status, labels and `MAGEFLOW_TASK`: a DNS label, no two the same in one resource.

    Not `main`, `on-success` or `on-failure`.
    """


class Templated(SpecModel):
    """A task with a template."""

    template: PodTemplate
    """The task's pod, as in a Job: a PodTemplateSpec.

    `restartPolicy` is `Never` or left out: containers that the kubelet restarts in place could not be held.
    `terminationGracePeriodSeconds` is at least 1: a pod that is deleted without grace can't be seen to end. May be
    edited only while held.
    """


class TaskOptions(SpecModel):
    """What a task is given, and how often and how long it is tried."""

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


class TaskSpec(TaskOptions, Templated):
    """One task: what runs, and how often it is tried."""


class NamedTask(TaskOptions, Templated, Named):
    """One task of a Chain."""


class SwarmTask(TaskOptions, Named):
    """One task of a Swarm."""

    template: PodTemplate | None = None
    """The task's pod; left out: `spec.template`. May be edited only while held."""


class Lifecycled(SpecModel):
    """A spec with a lifecycle."""

    lifecycle: Annotated[Lifecycle, Field(json_schema_extra=validations(CANCELED_IS_FINAL))] = Lifecycle.ACTIVE
    """What is wanted of it; the one control. What is seen of it is `status.phase`."""


class WorkflowSpec(Lifecycled, TaskSpec):
    """What is wanted: one task, and whether it may run."""


class ChainSpec(Lifecycled):
    """What is wanted: tasks, one after the other, and whether they may run."""

    tasks: Annotated[
        tuple[NamedTask, ...],
        Field(min_length=1, max_length=MAX_CHAIN_TASKS, json_schema_extra=list_map("name")),
    ]
    """The tasks in the order in which they run; each gets the output of the one before in `MAGEFLOW_PREVIOUS`.

    While held, or in the write that holds, tasks that have not started may be edited, added, removed and reordered.
    """


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
