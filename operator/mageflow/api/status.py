"""The statuses: what the operator writes, and reads back as its ledger.

A newer operator may have written one: words that this one doesn't know stay strings, and fields that it doesn't know
are kept, so that going back to an older version loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import ConfigDict, Field, PrivateAttr, ValidationError, WithJsonSchema

from mageflow.api.base import ATOMIC_LIST, AnyJson, Count, StatusModel, Time, list_map
from mageflow.api.enums import ConditionType, Lifecycle, LifecycleSource, Phase, TaskPhase

KnownFirst = Field(union_mode="left_to_right")

AnyPhase = Annotated[Phase | str, KnownFirst, WithJsonSchema({"type": "string", "format": "Phase"})]
AnyTaskPhase = Annotated[TaskPhase | str, KnownFirst, WithJsonSchema({"type": "string", "format": "TaskPhase"})]
AnyLifecycle = Annotated[Lifecycle | str, KnownFirst, WithJsonSchema({"type": "string", "format": "Lifecycle"})]
AnySource = Annotated[
    LifecycleSource | str, KnownFirst, WithJsonSchema({"type": "string", "format": "LifecycleSource"})
]


KEEPS_UNKNOWN_FIELDS: Final[dict[str, Any]] = {"x-kubernetes-preserve-unknown-fields": True}

REBUILT: Final = frozenset(
    {
        "conditions",
        "done",
        "failed",
        "lifecycle",
        "lifecycleSource",
        "observedGeneration",
        "observedNamespaceLifecycle",
        "pending",
        "progress",
        "running",
        "total",
    }
)
"""Fields of a status that are made anew in each reconcile: that they can't be read loses nothing."""

MAX_PROBLEMS: Final = 3
"""How much that is wrong with a status is told at once."""


class Condition(StatusModel):
    """One fact about a resource, in the shape of `metav1.Condition`."""

    type: Annotated[ConditionType | str, KnownFirst, WithJsonSchema({"type": "string"})]
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

    model_config = ConfigDict(json_schema_extra=KEEPS_UNKNOWN_FIELDS)

    name: str
    """The task's name; `main` in a Workflow."""
    phase: AnyTaskPhase = TaskPhase.UNSTARTED
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
    cut_short: bool = False
    """A run of it was cut short by others while it ran: a drain, a preemption, somebody's deletion or suspension."""
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
    refused_hash: str | None = None
    """Hash of what it was when it was refused an output that was cut or lost: the Chain is held until it is edited."""
    reason: str | None = None
    """Why it is in this phase, in one PascalCase word for programs."""
    message: str | None = None
    """Why it is in this phase, in a sentence for people."""

    @property
    def is_understood(self) -> bool:
        """This version knows its phase: a newer one may have written another."""
        return isinstance(self.phase, TaskPhase)

    @property
    def was_cut_short(self) -> bool:
        """A run of it was cut short while it ran, by us or by others: the next is told by MAGEFLOW_RESUMED."""
        return self.interruptions > 0 or self.cut_short

    def to_json(self) -> dict[str, Any]:
        """Return it as the API server stores it: `name`, `phase` and what isn't default."""
        return {
            "name": self.name,
            "phase": str(self.phase),
            **self.model_dump(mode="json", exclude_defaults=True),
        }


class Status(StatusModel):
    """What the operator has seen and done."""

    model_config = ConfigDict(json_schema_extra=KEEPS_UNKNOWN_FIELDS)

    phase: AnyPhase | None = None
    """What is seen of it."""
    lifecycle: AnyLifecycle | None = None
    """The lifecycle in force: the strongest of the resource's own and its namespace's."""
    lifecycle_source: AnySource | None = None
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
    tasks: Annotated[tuple[TaskStatus, ...], Field(json_schema_extra=ATOMIC_LIST)] = ()
    """The ledger of its tasks."""
    conditions: Annotated[tuple[Condition, ...], Field(json_schema_extra=list_map("type"))] = ()
    """What holds of it."""

    _unread: dict[str, Any] = PrivateAttr(default_factory=dict)
    _problem: str | None = PrivateAttr(default=None)

    @classmethod
    def read(cls, stored: Mapping[str, Any]) -> Self:
        """Read a status as it is stored; `problem` tells what of it can't be read, which is kept and written back."""
        try:
            return cls.model_validate(stored)
        except ValidationError as error:
            lines = error.errors()
        wrong = {str(line["loc"][0]) for line in lines}
        status = cls.model_validate({name: value for name, value in stored.items() if name not in wrong})
        told = [line for line in lines if line["loc"][0] not in REBUILT][:MAX_PROBLEMS]
        if told:
            status._unread = {name: stored[name] for name in wrong - REBUILT}
            status._problem = "; ".join(f"status.{'.'.join(map(str, line['loc']))}: {line['msg']}" for line in told)
        return status

    @property
    def problem(self) -> str | None:
        """What of it can't be read, naming the fields; None if all can."""
        return self._problem

    def can_read(self, field: str) -> bool:
        """Tell whether a field, by its name in JSON, was read; one that isn't there was."""
        return field not in self._unread

    def to_json(self) -> dict[str, Any]:
        """Return it as the API server stores it: without what is unset, counts always there."""
        document: dict[str, Any] = self.model_dump(mode="json", exclude_none=True, exclude={"tasks"})
        kept = {**(self.model_extra or {}), **self._unread}
        return document | {"tasks": [task.to_json() for task in self.tasks]} | kept


def find_condition(conditions: Iterable[Condition], type_: ConditionType) -> Condition | None:
    """Return the condition of a type, or None."""
    return next((condition for condition in conditions if condition.type == type_), None)
