"""View: a resource as the command line shows it, with each task as spec and status tell of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from mageflow.api import (
    DEFAULT_CONCURRENCY,
    GROUP,
    KINDS,
    MAIN_TASK,
    SWARM,
    WORKFLOW,
    Condition,
    ConditionType,
    Kind,
    Lifecycle,
    Phase,
    TaskPhase,
    TaskStatus,
    read_lifecycle,
    reasons,
)
from mageflow.client.diagnosis import describe_deletion, is_being_deleted
from mageflow.client.resource_status import Status, read_status

UNUSABLE: Final = frozenset({reasons.OUTPUT_TRUNCATED, reasons.OUTPUT_LOST})
"""Reasons of a task that would get an output that isn't whole."""

USUAL: Final = (reasons.PENDING, reasons.BACKING_OFF)
"""Reasons of Ready for which a task that may run doesn't run yet, although all is well."""


class Trouble(NamedTuple):
    """What keeps a task from starting."""

    reason: str
    message: str

    def __str__(self) -> str:
        return ": ".join(filter(None, self))


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task."""

    record: TaskStatus
    """What the status says of it; of a Swarm's task that has never run, that is nothing but its name."""
    retries: int = 0
    """How many it is given."""

    @property
    def name(self) -> str:
        """Its name; `main` in a Workflow."""
        return self.record.name

    @property
    def phase(self) -> TaskPhase | str:
        """Its state; a str if a newer operator uses a word that this version doesn't know."""
        return self.record.phase


@dataclass(frozen=True, slots=True)
class View:
    """One resource."""

    kind: Kind
    namespace: str
    name: str
    created: datetime
    lifecycle: Lifecycle
    """What its spec asks for; a word that isn't known counts as suspended."""
    status: Status
    tasks: tuple[TaskView, ...]
    """In the order of the spec; then those that are in the status only, having been removed from the spec."""
    deletion: str | None
    """That it is being deleted, and what that means; None if it isn't."""
    at_once: int
    """How many of its tasks may have a pod at once."""

    @property
    def short(self) -> str:
        """Its name on the command line: `chain/x`."""
        return f"{self.kind.singular}/{self.name}"

    @property
    def address(self) -> str:
        """Its name as `kubectl -o name` prints it: `chain.mageflow.io/x`."""
        return f"{self.kind.singular}.{GROUP}/{self.name}"

    @property
    def phase(self) -> str:
        """Its state in a word; `Unknown` before the operator has said anything."""
        return "Unknown" if self.status.phase is None else str(self.status.phase)

    def trouble_of(self, task: TaskView) -> Trouble | None:
        """Tell what keeps a task from starting, as far as it is known; None if nothing unusual does.

        Its own entry in the status says so, or else the condition Ready, which tells of the task that is worst off; of
        many tasks of a Swarm the entries have but the word, and Ready the sentence.
        """
        record, told = task.record, self._told_of(task)
        if record.reason is None or (told is not None and told.reason == record.reason and not record.message):
            return told
        return Trouble(record.reason, record.message or "")

    def _told_of(self, task: TaskView) -> Trouble | None:
        """Return what the condition Ready says of a task."""
        ready = self._unready()
        label = "" if self.kind is WORKFLOW else f"task {task.name}: "
        if ready is None or not ready.message.startswith(label):
            return None
        return Trouble(ready.reason, ready.message.removeprefix(label))

    @property
    def is_in_trouble(self) -> bool:
        """Whether something unusual keeps one of its tasks from starting, and maybe others."""
        return self._unready() is not None

    def _unready(self) -> Condition | None:
        """Return the condition Ready if it says that something unusual keeps a task from starting."""
        ready = self.status.condition(ConditionType.READY)
        is_told = ready is not None and ready.status == "False" and ready.reason not in USUAL
        return ready if is_told and self.status.phase in (Phase.PENDING, Phase.ACTIVE) else None

    @property
    def is_refused_an_output(self) -> bool:
        """Whether its next task has to be edited before it goes on, whatever else holds it."""
        return any(task.phase is TaskPhase.UNSTARTED and task.record.reason in UNUSABLE for task in self.tasks)

    def name_tasks(self, tasks: Iterable[TaskView]) -> list[str]:
        """Return the names of tasks for a sentence; that of a Workflow is `its task`."""
        return ["its task" if self.kind is WORKFLOW and task.name == MAIN_TASK else task.name for task in tasks]

    def tasks_in(self, *phases: TaskPhase) -> list[TaskView]:
        """Return the tasks that are in one of these phases."""
        return [task for task in self.tasks if task.phase in phases]


def read_view(resource: Mapping[str, Any]) -> View:
    """Return the view of a resource as the API server sent it."""
    kind = next(kind for kind in KINDS if kind.name == resource["kind"])
    metadata, spec = resource["metadata"], resource["spec"]
    status, lifecycle = read_status(resource), read_lifecycle(spec.get("lifecycle"))
    return View(
        kind=kind,
        namespace=metadata["namespace"],
        name=metadata["name"],
        created=datetime.fromisoformat(metadata["creationTimestamp"]),
        lifecycle=lifecycle,
        status=status,
        tasks=tuple(_read_tasks(kind, spec, status)),
        deletion=describe_deletion(resource, lifecycle) if is_being_deleted(resource) else None,
        at_once=spec.get("maxConcurrency", DEFAULT_CONCURRENCY) if kind is SWARM else 1,
    )


class Views:
    """Cache of views: of many resources, only those that have changed are read anew."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[str, View]] = {}

    def read(self, resources: Iterable[Mapping[str, Any]]) -> dict[str, View]:
        """Return the views of resources by uid; those that are unchanged have the very same as before."""
        read = {}
        for resource in resources:
            metadata = resource["metadata"]
            version, view = self._read.get(metadata["uid"], (None, None))
            if view is None or version != metadata["resourceVersion"]:
                view = read_view(resource)
            read[metadata["uid"]] = metadata["resourceVersion"], view
        self._read = read  # those that are gone are forgotten
        return {uid: view for uid, (_, view) in read.items()}


def address_of(resource: Mapping[str, Any]) -> str:
    """Return the name of a resource as `kubectl -o name` prints it: `chain.mageflow.io/x`."""
    return f"{resource['kind'].lower()}.{GROUP}/{resource['metadata']['name']}"


def _read_tasks(kind: Kind, spec: Mapping[str, Any], status: Status) -> Iterator[TaskView]:
    records = {record.name: record for record in status.tasks}
    listed = [{**spec, "name": MAIN_TASK}] if kind is WORKFLOW else spec.get("tasks") or ()
    for task in listed:
        record = records.pop(task["name"], None) or TaskStatus(name=task["name"])
        yield TaskView(record, task.get("retries", 0))
    for record in records.values():
        yield TaskView(record)
