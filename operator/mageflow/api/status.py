"""The statuses: what the operator writes, and reads back as its ledger."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, WithJsonSchema

from mageflow.api.base import AnyJson, Count, StatusModel, Time
from mageflow.api.enums import ConditionType, Lifecycle, LifecycleSource, Phase, TaskPhase
from mageflow.api.lists import list_map


class Condition(StatusModel):
    """One fact about a resource, in the shape of `metav1.Condition`."""

    type: Annotated[ConditionType | str, Field(union_mode="left_to_right"), WithJsonSchema({"type": "string"})]
    """Which fact. Types of a newer operator stay strings."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    observed_generation: Annotated[int, Field(ge=0)]
    """The `metadata.generation` that it was found at."""
    last_transition_time: Time
    """When `status` last changed."""
    reason: str
    """Why, in one PascalCase word for programs."""
    message: str = ""
    """Why, in a sentence for people."""


class TaskStatus(StatusModel):
    """The ledger of one task: what losing its Jobs must not lose."""

    name: str
    """The task's name; `main` in a Workflow."""
    phase: TaskPhase = TaskPhase.UNSTARTED
    """The state that it is in."""
    run: Count = 0
    """Number of the latest run, 0 before the first. Each run is one Job with one pod."""
    holding: Count | None = None
    """The run whose pod is being evicted by a suspend: however that run ends, it was held."""
    job: str | None = None
    """Name of the latest run's Job."""
    job_uid: str | None = None
    """Uid of that Job, while the run isn't over: its events tell how it ended if it is gone by then."""
    pod: str | None = None
    """Name of the latest run's pod, while the run isn't over: likewise."""
    template_hash: str | None = None
    """Hash of what the latest run was made from: tells whether an edit has come into force."""
    failures: Count = 0
    """How many of its runs have failed."""
    interruptions: Count = 0
    """How often it was interrupted while it ran. Uses up no retry."""
    disruptions: Count = 0
    """How many of its runs ended through no fault of its own, such as a node drain, or nobody knows how."""
    disruptions_in_row: Count = 0
    """How many of those since it last made progress: a failure of its own, or ten minutes of running."""
    retry_at: Time | None = None
    """When the back-off before the next run ends."""
    backoff_seconds: Count | None = None
    """What is left of the back-off, while it stands still because the resource is held."""
    started_at: Time | None = None
    """When the first container of the latest run started."""
    finished_at: Time | None = None
    """When the latest run ended."""
    output: AnyJson = None
    """What it wrote to its termination message. Only in a Chain, for the task after it."""
    reason: str | None = None
    """Why it is in this phase, in one PascalCase word for programs."""
    message: str | None = None
    """Why it is in this phase, in a sentence for people."""

    def to_json(self) -> dict[str, Any]:
        """Return it as the API server stores it: `name`, `phase` and what isn't default."""
        return {
            "name": self.name,
            "phase": self.phase.value,
            **self.model_dump(mode="json", exclude_defaults=True),
        }


class Status(StatusModel):
    """What the operator has seen and done."""

    phase: Phase | None = None
    """What is seen of it."""
    lifecycle: Lifecycle | None = None
    """The lifecycle in force: the strongest of the resource's own and its namespace's."""
    lifecycle_source: LifecycleSource | None = None
    """Where the lifecycle in force comes from."""
    observed_namespace_lifecycle: str | None = None
    """The namespace's label `mageflow.io/lifecycle` as this status knows it. It doesn't move `metadata.generation`."""
    observed_generation: Annotated[int, Field(ge=0)] | None = None
    """The `metadata.generation` that this status speaks of."""
    started_at: Time | None = None
    """When the first container of any task ever started."""
    finished_at: Time | None = None
    """When it ended."""
    suspended_at: Time | None = None
    """When the present hold was seen first."""
    done: Count = 0
    """How many tasks have succeeded."""
    total: Count = 0
    """How many tasks there are."""
    running: Count = 0
    """How many tasks run: a container has started and the pod has not ended."""
    failed: Count = 0
    """How many tasks have failed for good."""
    pending: Count = 0
    """How many tasks have neither started nor ended."""
    progress: str | None = None
    """`done` and `total` for people, such as `2/5`."""
    interruptions: Count = 0
    """How often a running task was interrupted. Uses up no retry."""
    output: AnyJson = None
    """What the task wrote to its termination message: any JSON, or text."""
    tasks: Annotated[tuple[TaskStatus, ...], Field(json_schema_extra=list_map("name"))] = ()
    """The ledger of its tasks."""
    conditions: Annotated[tuple[Condition, ...], Field(json_schema_extra=list_map("type"))] = ()
    """What holds of it."""

    def to_json(self) -> dict[str, Any]:
        """Return it as the API server stores it: without what is unset, counts always there."""
        document: dict[str, Any] = self.model_dump(mode="json", exclude_none=True, exclude={"tasks"})
        return document | {"tasks": [task.to_json() for task in self.tasks]}
