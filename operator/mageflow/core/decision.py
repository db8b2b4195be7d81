"""What `decide` returns: actions, a status to write, events to make, a time to look again: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, assert_never

from mageflow.api import Status
from mageflow.core.observed import ObservedJob, ObservedPod
from mageflow.core.run_result import Ending


@dataclass(frozen=True, slots=True)
class CreateJob:
    """Create the Job of a run. "Already exists" with our uid as its owner is success."""

    task: str
    manifest: Mapping[str, Any]
    run: int
    template_hash: str | None


@dataclass(frozen=True, slots=True)
class EvictPod:
    """Evict a pod that has not started, with its uid and resourceVersion as preconditions: suspend."""

    pod: ObservedPod


@dataclass(frozen=True, slots=True)
class HoldJob:
    """Delete a Job that has no pod yet, orphaning a pod that slips through: suspend."""

    job: ObservedJob


@dataclass(frozen=True, slots=True)
class StopJob:
    """Set `suspend: true` on a Job, which deletes its pod, running or not: interrupt."""

    job: ObservedJob
    was_running: bool = field(default=False, compare=False)
    """A container of the run had started: kept on the Job, where the ledger may not be writable."""


@dataclass(frozen=True, slots=True)
class DeletePod:
    """Delete a pod that has no Job any more, with its uid and resourceVersion as preconditions: interrupt."""

    pod: ObservedPod


@dataclass(frozen=True, slots=True)
class DeleteJob:
    """Delete the Job of a run that is over, or that we have stopped, with its uid as precondition."""

    job: ObservedJob
    in_foreground: bool = False
    """It stays until its pods are gone, and makes no other. Else they are collected in the background."""


@dataclass(frozen=True, slots=True)
class MakeRoom:
    """Delete a Job that has ended, and its logs with it: a quota lets no more Jobs be there."""

    job: ObservedJob


@dataclass(frozen=True, slots=True)
class ExplainMissingPod:
    """Read the events of a Job that has no pod, to say on the resource why."""

    job: ObservedJob


@dataclass(frozen=True, slots=True)
class ReadEvidence:
    """Read the events of a run that is gone, to tell how it ended (ADR 14)."""

    task: str
    run: int
    job_name: str
    """Its Job's name."""
    job_uid: str | None
    """None if it isn't known: then all that is told of a Job of this name counts."""
    pod: str | None
    """Its pod's name; None if it isn't known: the Job's events tell."""
    main: str | None
    """The name of the container whose end counts; None if it isn't known."""


Action = CreateJob | EvictPod | HoldJob | StopJob | DeletePod | DeleteJob | MakeRoom | ExplainMissingPod | ReadEvidence


def key_of(action: Action) -> str:
    """Return the name of an action in the notes on its refusals: its type and the Job, pod or task it is about."""
    match action:
        case CreateJob(task):
            target = task
        case EvictPod(pod) | DeletePod(pod):
            target = pod.uid
        case HoldJob(job) | StopJob(job) | DeleteJob(job) | MakeRoom(job) | ExplainMissingPod(job):
            target = job.uid
        case ReadEvidence(task, run):
            target = f"{task} {run}"
        case _:
            assert_never(action)
    return f"{type(action).__name__} {target}"


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event on the resource; made on lifecycle transitions and failures only."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


def _is_a_stop(action: Action) -> bool:
    """Tell whether an action stops pods as asked. To delete a Job whose stop somebody has undone is one."""
    return isinstance(action, StopJob | DeletePod) or (isinstance(action, DeleteJob) and action.job.is_stop_undone)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done, in this order: `before`, write `status` if it changed, `after`, `events`."""

    before: tuple[Action, ...] = ()
    """Carried out before the status is written, as what needs no record ahead.

    Today the first runs of a resource that has no status yet: created before they are recorded (DESIGN section 3).
    With them there is no `status`: it is decided upon when they are answered, or after a second."""
    status: Status | None = None
    """The whole new status; None: leave it as it is."""
    after: tuple[Action, ...] = ()
    """Carried out once the status is written, which says ahead what they do."""
    events: tuple[Event, ...] = ()
    endings: tuple[Ending, ...] = ()
    """How runs have ended, as the status says from now on."""
    recheck_at: datetime | None = None
    """When to decide again even if nothing is seen to change."""

    @property
    def stops(self) -> tuple[Action, ...]:
        """Those of `after` that are carried out even if the status can't be written: a stop reaches its pods.

        The mark that they leave on the Job keeps what they did until it is recorded. A hold's mark is the ledger, so a
        hold waits; and what is created or deleted without a record would be created or lost again.
        """
        return tuple(action for action in self.after if _is_a_stop(action))


def earliest(*times: datetime | None) -> datetime | None:
    """Return the earliest time, None if there is none."""
    return min((time for time in times if time is not None), default=None)
