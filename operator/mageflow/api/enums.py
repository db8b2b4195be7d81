"""The words of the API. Two that look alike are two types: `Lifecycle` is wanted, `Phase` is seen."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class Lifecycle(StrEnum):
    """What is wanted of a resource: `spec.lifecycle`."""

    ACTIVE = "active"
    """Its tasks run."""
    SUSPENDED = "suspended"
    """Nothing new starts, pending pods are scaled down; a task that runs finishes."""
    INTERRUPTED = "interrupted"
    """Running pods are deleted too. Setting it back to active runs the task again."""
    CANCELED = "canceled"
    """It stops for good. Final."""


def read_lifecycle(word: object) -> Lifecycle:
    """Return what `spec.lifecycle` asks, read by itself, whatever else of the spec can't be read.

    One that this version doesn't know holds as `suspended` does, as that of a namespace's label (docs/adr/0012).
    """
    if word is None:
        return Lifecycle.ACTIVE
    return _LIFECYCLES.get(word, Lifecycle.SUSPENDED) if isinstance(word, str) else Lifecycle.SUSPENDED


_LIFECYCLES: Final = {lifecycle.value: lifecycle for lifecycle in Lifecycle}

NAMESPACE_LIFECYCLES: Final = {
    None: Lifecycle.ACTIVE,
    "": Lifecycle.ACTIVE,
    "active": Lifecycle.ACTIVE,
    "suspended": Lifecycle.SUSPENDED,
    "interrupted": Lifecycle.INTERRUPTED,
}
"""What a namespace's label asks of all that is in it. None can be canceled by it: that is final."""


def read_namespace_label(label: str | None) -> Lifecycle:
    """Return what a namespace's label asks, None being no label.

    One that can't be understood holds as `suspended` does: who set it wants something stopped, and by that nothing is
    lost (docs/adr/0012).
    """
    return NAMESPACE_LIFECYCLES.get(label, Lifecycle.SUSPENDED)


class LifecycleSource(StrEnum):
    """Where the lifecycle in force comes from: `status.lifecycleSource`."""

    SPEC = "spec"
    """From the resource's own `spec.lifecycle`, if nothing stronger holds."""
    NAMESPACE = "namespace"
    """From the label `mageflow.io/lifecycle` of its namespace."""
    FAILURE = "failure"
    """From a failure that needs somebody to mend it: it is held as by `suspended`, and `active` doesn't release it."""


class Phase(StrEnum):
    """What is seen of a resource: `status.phase`."""

    PENDING = "Pending"
    """No container of any task has ever started."""
    ACTIVE = "Active"
    """A container of a task has started at some time, and its tasks may run."""
    SUSPENDING = "Suspending"
    """Suspended, but pods still run."""
    SUSPENDED = "Suspended"
    """No pod runs, and none starts until it is resumed."""
    INTERRUPTING = "Interrupting"
    """Interrupted or canceled, but pods still run."""
    INTERRUPTED = "Interrupted"
    """No pod runs, and none starts until it is resumed."""
    SUCCEEDED = "Succeeded"
    """Ended well. Never changes again."""
    FAILED = "Failed"
    """Ended badly. Never changes again."""
    CANCELED = "Canceled"
    """Stopped for good by its user. Never changes again."""


ENDED_PHASES: Final = frozenset({Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELED})
"""Phases that never change again, whatever `lifecycle` becomes."""

HELD_PHASES: Final = frozenset({Phase.SUSPENDED, Phase.INTERRUPTED})
"""Phases in which no pod runs and none starts."""


class TaskPhase(StrEnum):
    """The state that one task is in: `status.tasks[].phase`."""

    UNSTARTED = "Unstarted"
    """It has no run: none yet, or the latest one was held or interrupted."""
    RECORDED = "Recorded"
    """A run is recorded; its Job was not seen yet."""
    BACKING_OFF = "BackingOff"
    """Its latest run failed; it waits for the next."""
    PENDING = "Pending"
    """Its run has a Job, and no container has started."""
    RUNNING = "Running"
    """A container of its run, init containers included, has started."""
    STOPPING = "Stopping"
    """Its run is being stopped; its pod may still run."""
    SUCCEEDED = "Succeeded"
    """It has ended well, and never runs again."""
    FAILED = "Failed"
    """It has failed, with no retries left."""


ENDED_TASKS: Final = frozenset({TaskPhase.SUCCEEDED, TaskPhase.FAILED})
"""Phases of a task that never runs again."""

CLOSED_TASKS: Final = frozenset({TaskPhase.UNSTARTED, TaskPhase.BACKING_OFF}) | ENDED_TASKS
"""Phases of a task whose latest run is over."""

WAITING_TASKS: Final = frozenset({TaskPhase.UNSTARTED, TaskPhase.RECORDED, TaskPhase.BACKING_OFF})
"""Phases of a task from which a Job may be created."""

OCCUPIED_TASKS: Final = frozenset({TaskPhase.PENDING, TaskPhase.RUNNING, TaskPhase.STOPPING})
"""Phases of a task in which a pod of it runs or may yet start."""


class ConditionType(StrEnum):
    """The types in `status.conditions`."""

    READY = "Ready"
    """What the spec asks is in force: it runs, is held or has ended, as asked."""
    RECONCILING = "Reconciling"
    """kstatus: the operator is on its way to what the spec asks. Present only while True."""
    STALLED = "Stalled"
    """kstatus: what the spec asks can't be reached without help. Present only while True."""
    SUSPENDED = "Suspended"
    """It is held, and nothing runs."""
    CONSISTENT = "Consistent"
    """No running task was ever cut short, by an interrupt or by others."""
    COMPLETE = "Complete"
    """It has ended well; named as in a Job, for `kubectl wait`."""
    FAILED = "Failed"
    """It has ended badly; named as in a Job, for `kubectl wait`."""
