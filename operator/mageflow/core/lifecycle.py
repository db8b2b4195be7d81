"""Whether tasks may run, and the phase that follows from what is seen.

                   active                          suspended                    interrupted, canceled
tasks              run                             hold                         stop
while pods run     Pending, Active                 Suspending (a single task    Interrupting
                                                   that runs on: Active)
once none can      (Succeeded, Failed)             Suspended                    Interrupted, Canceled
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import assert_never

from mageflow.api import (
    LABEL_LIFECYCLE,
    NAMESPACE_LIFECYCLES,
    Lifecycle,
    LifecycleSource,
    Phase,
    read_namespace_label,
)
from mageflow.core.run_state import OCCUPIED, RunState

STRENGTH = (Lifecycle.ACTIVE, Lifecycle.SUSPENDED, Lifecycle.INTERRUPTED, Lifecycle.CANCELED)
"""The weakest first."""


@dataclass(frozen=True, slots=True)
class FailureHold:
    """Why a resource can't go on without help: it holds as `suspended` does, whatever is asked for."""

    reason: str
    message: str
    """What is wrong, and how to mend it."""
    release: str
    """What must happen before it goes on, to follow "until"."""


@dataclass(frozen=True, slots=True)
class EffectiveLifecycle:
    """The lifecycle in force, and those that it is made from."""

    own: Lifecycle
    """The resource's `spec.lifecycle`."""
    of_namespace: Lifecycle
    """What its namespace's label asks."""
    failure: FailureHold | None = None
    """What holds it besides, if something does."""

    @property
    def lifecycle(self) -> Lifecycle:
        """The strongest of them."""
        of_failure = Lifecycle.ACTIVE if self.failure is None else Lifecycle.SUSPENDED
        return strongest(self.own, self.of_namespace, of_failure)

    @property
    def source(self) -> LifecycleSource:
        """Where that comes from: the spec, if it asks the same as another; a failure only if nothing else does."""
        if self.lifecycle is self.own:
            return LifecycleSource.SPEC
        return LifecycleSource.NAMESPACE if self.lifecycle is self.of_namespace else LifecycleSource.FAILURE


class Wanted(Enum):
    """What is to become of the tasks that have not ended."""

    RUN = "run"
    """They run."""
    HOLD = "hold"
    """Those that have not started don't start; those that run finish."""
    STOP = "stop"
    """None runs."""


def strongest(*lifecycles: Lifecycle) -> Lifecycle:
    """Return the lifecycle that holds where several apply (DESIGN promise 7)."""
    return max(lifecycles, key=STRENGTH.index)


def find_effective(
    own: Lifecycle, namespace_label: str | None, failure: FailureHold | None = None
) -> EffectiveLifecycle:
    """Find what is in force, by a resource's own lifecycle, its namespace's label, and what failed in it."""
    return EffectiveLifecycle(own, read_namespace_label(namespace_label), failure)


def find_label_problem(namespace_label: str | None) -> str | None:
    """Say what is wrong with a namespace's label; None if nothing is."""
    if namespace_label in NAMESPACE_LIFECYCLES:
        return None
    return (
        f"the namespace's label {LABEL_LIFECYCLE} is {namespace_label!r}, which is taken for suspended: "
        "it may be suspended or interrupted, or left out"
    )


def wanted_by(lifecycle: Lifecycle) -> Wanted:
    """Return what an effective lifecycle asks of the tasks."""
    match lifecycle:
        case Lifecycle.ACTIVE:
            return Wanted.RUN
        case Lifecycle.SUSPENDED:
            return Wanted.HOLD
        case Lifecycle.INTERRUPTED | Lifecycle.CANCELED:
            return Wanted.STOP
        case _:
            assert_never(lifecycle)


def derive_phase(
    lifecycle: Lifecycle,
    outcome: Phase | None,
    tasks: frozenset[RunState],
    *,
    has_ever_started: bool,
    runs_on_when_suspended: bool,
) -> Phase:
    """Find the phase: DESIGN section 2, "How the phase is found", first match wins.

    `outcome` is Succeeded or Failed once decided, else None. `tasks` are the states that its tasks are in.
    `runs_on_when_suspended` is true of a Workflow: its one task is not stopped once it has started.
    """
    if outcome is not None:
        return outcome
    is_occupied = not OCCUPIED.isdisjoint(tasks)
    match lifecycle:
        case Lifecycle.CANCELED:
            return Phase.INTERRUPTING if is_occupied else Phase.CANCELED
        case Lifecycle.INTERRUPTED:
            return Phase.INTERRUPTING if is_occupied else Phase.INTERRUPTED
        case Lifecycle.SUSPENDED:
            if RunState.RUNNING in tasks and runs_on_when_suspended:
                return Phase.ACTIVE
            return Phase.SUSPENDING if is_occupied else Phase.SUSPENDED
        case Lifecycle.ACTIVE:
            return Phase.ACTIVE if has_ever_started else Phase.PENDING
        case _:
            assert_never(lifecycle)
