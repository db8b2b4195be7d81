"""What stands in for the operator and the kubelet: tasks that start and end as a test says, at once, in no time.

    Unstarted ──→ Pending ──→ Running ──→ Succeeded, Failed
        ↑            │           │  └──→ Unstarted, if it failed and has retries left
        └── held ────┴─ stopped ─┘

Each step of any task is one write of the status: a watch sees Pending, then Active, then Succeeded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from mageflow.api import DEFAULT_CONCURRENCY, MAIN_TASK, Lifecycle, Phase, TaskPhase
from mageflow.kube.transport import Raw

ENDED: Final = (TaskPhase.SUCCEEDED, TaskPhase.FAILED)
OCCUPIED: Final = (TaskPhase.PENDING, TaskPhase.RUNNING)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a task does."""

    starts: bool = True
    """False: its pod stays pending, as if no node took it."""
    ends: bool = True
    """False: it runs on."""
    output: Any = None
    failures: int = 0
    """How many of its runs fail before one succeeds; -1: all."""
    message: str = ""
    """Why they fail."""
    logs: tuple[str, ...] = ()
    """What each run writes when it starts."""


@dataclass(frozen=True, slots=True)
class TaskState:
    """How far a task has got."""

    name: str
    phase: TaskPhase = TaskPhase.UNSTARTED
    run: int = 0
    failures: int = 0
    interruptions: int = 0
    output: Any = None
    message: str = ""

    def to_json(self) -> Raw:
        """Return its entry in `status.tasks`."""
        entry = {"name": self.name, "phase": self.phase.value, "run": self.run, "failures": self.failures}
        return entry | {"interruptions": self.interruptions, "output": self.output, "message": self.message}


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a task."""

    before: TaskState
    after: TaskState

    @property
    def is_stopped(self) -> bool:
        """A pod goes: the task was held or interrupted, and has not failed."""
        return self.after.phase is TaskPhase.UNSTARTED and self.after.failures == self.before.failures


@dataclass(slots=True)
class State:
    """How far a resource has got."""

    tasks: dict[str, TaskState] = field(default_factory=dict)
    has_started: bool = False


def step(resource: Raw, state: State, behaviours: Mapping[str, Behaviour]) -> list[Step]:
    """Let each task whose turn it is take one step; return those that were taken."""
    lifecycle = Lifecycle(resource["spec"]["lifecycle"])
    steps = []
    for name in _whose_turn(resource, state):
        before = state.tasks.get(name) or TaskState(name)
        after = _advance(before, lifecycle, behaviours[name], _find_task(resource, name).get("retries", 0))
        if after != before:
            state.tasks[name] = after
            state.has_started |= after.phase is TaskPhase.RUNNING
            steps.append(Step(before, after))
    return steps


def build_status(resource: Raw, state: State) -> Raw:
    """Return the status that tells how far it has got."""
    names = task_names(resource)
    tasks = [state.tasks.get(name) or TaskState(name) for name in names]
    phase = _find_phase(resource, state, tasks)
    counts = {
        "done": sum(task.phase is TaskPhase.SUCCEEDED for task in tasks),
        "failed": sum(task.phase is TaskPhase.FAILED for task in tasks),
        "running": sum(task.phase is TaskPhase.RUNNING for task in tasks),
        "total": len(tasks),
    }
    shows_output = resource["kind"] != "Swarm" and phase is Phase.SUCCEEDED
    return {
        "phase": phase.value,
        "lifecycle": resource["spec"]["lifecycle"],
        "observedGeneration": resource["metadata"]["generation"],
        **counts,
        "pending": counts["total"] - counts["done"] - counts["failed"] - counts["running"],
        "progress": f"{counts['done']}/{counts['total']}",
        "interruptions": sum(task.interruptions for task in tasks),
        "output": tasks[-1].output if shows_output else None,
        "tasks": [task.to_json() for task in tasks],
        "conditions": list(_conditions(resource, phase, tasks)),
    }


def task_names(resource: Raw) -> list[str]:
    """Return the names of its tasks, in order."""
    return [MAIN_TASK] if resource["kind"] == "Workflow" else [task["name"] for task in resource["spec"]["tasks"]]


def _whose_turn(resource: Raw, state: State) -> list[str]:
    """Return the tasks that may run, as far as their place among the others goes."""
    tasks = [state.tasks.get(name) or TaskState(name) for name in task_names(resource)]
    if resource["kind"] == "Chain" and any(task.phase is TaskPhase.FAILED for task in tasks):
        return []
    unfinished = [task.name for task in tasks if task.phase not in ENDED]
    limit = resource["spec"].get("maxConcurrency", DEFAULT_CONCURRENCY) if resource["kind"] == "Swarm" else 1
    return unfinished[:limit]


def _advance(task: TaskState, lifecycle: Lifecycle, behaviour: Behaviour, retries: int) -> TaskState:
    is_stopped = lifecycle in (Lifecycle.INTERRUPTED, Lifecycle.CANCELED)
    match task.phase:
        case TaskPhase.UNSTARTED if lifecycle is Lifecycle.ACTIVE:
            return replace(task, phase=TaskPhase.PENDING, run=task.run + 1)
        case TaskPhase.PENDING if lifecycle is not Lifecycle.ACTIVE:
            return replace(task, phase=TaskPhase.UNSTARTED)
        case TaskPhase.PENDING if behaviour.starts:
            return replace(task, phase=TaskPhase.RUNNING)
        case TaskPhase.RUNNING if is_stopped:
            return replace(task, phase=TaskPhase.UNSTARTED, interruptions=task.interruptions + 1)
        case TaskPhase.RUNNING if behaviour.ends:
            return _end(task, behaviour, retries)
        case _:
            return task


def _end(task: TaskState, behaviour: Behaviour, retries: int) -> TaskState:
    if behaviour.failures >= 0 and task.failures >= behaviour.failures:
        return replace(task, phase=TaskPhase.SUCCEEDED, output=behaviour.output)
    failed = replace(task, failures=task.failures + 1, message=behaviour.message)
    return replace(failed, phase=TaskPhase.FAILED if failed.failures > retries else TaskPhase.UNSTARTED)


def _find_phase(resource: Raw, state: State, tasks: Sequence[TaskState]) -> Phase:
    phases = [task.phase for task in tasks]
    has_failed = TaskPhase.FAILED in phases
    if has_failed and (resource["kind"] != "Swarm" or all(phase in ENDED for phase in phases)):
        return Phase.FAILED
    if all(phase is TaskPhase.SUCCEEDED for phase in phases):
        return Phase.SUCCEEDED
    is_occupied = any(phase in OCCUPIED for phase in phases)
    match Lifecycle(resource["spec"]["lifecycle"]):
        case Lifecycle.CANCELED:
            return Phase.INTERRUPTING if is_occupied else Phase.CANCELED
        case Lifecycle.INTERRUPTED:
            return Phase.INTERRUPTING if is_occupied else Phase.INTERRUPTED
        case Lifecycle.SUSPENDED if TaskPhase.RUNNING not in phases or resource["kind"] != "Workflow":
            return Phase.SUSPENDING if is_occupied else Phase.SUSPENDED
        case _:
            return Phase.ACTIVE if state.has_started else Phase.PENDING


def _conditions(resource: Raw, phase: Phase, tasks: Sequence[TaskState]) -> Iterator[Raw]:
    is_suspended = resource["spec"]["lifecycle"] == Lifecycle.SUSPENDED
    runs = any(task.phase is TaskPhase.RUNNING for task in tasks)
    if phase in (Phase.ACTIVE, Phase.PENDING):
        reason = "TaskAlreadyRunning" if is_suspended else "Running" if runs else "Pending"
    else:
        reason = phase.value
    is_ready = reason not in ("TaskAlreadyRunning", "Pending", "Suspending", "Interrupting")
    failed = next((task for task in tasks if task.phase is TaskPhase.FAILED), None)
    message = "" if failed is None else f"task {failed.name}: run {failed.run} failed: {failed.message}"
    yield _condition(resource, "Ready", is_ready, reason, message or f"{reason}, says the fake operator")
    yield _condition(resource, "Suspended", phase in (Phase.SUSPENDED, Phase.INTERRUPTED), phase.value)
    was_interrupted = any(task.interruptions for task in tasks)
    why = "InterruptedWhileRunning" if was_interrupted else "NeverInterrupted"
    yield _condition(resource, "Consistent", not was_interrupted, why)
    if phase is Phase.SUCCEEDED:
        yield _condition(resource, "Complete", True, "Succeeded")
    if phase is Phase.FAILED:
        yield _condition(resource, "Failed", True, "Failed", message)


def _condition(resource: Raw, type_: str, holds: bool, reason: str, message: str = "") -> Raw:
    return {
        "type": type_,
        "status": str(holds),
        "observedGeneration": resource["metadata"]["generation"],
        "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "reason": reason,
        "message": message,
    }


def _find_task(resource: Raw, name: str) -> Raw:
    spec: Raw = resource["spec"]
    return spec if resource["kind"] == "Workflow" else next(task for task in spec["tasks"] if task["name"] == name)
