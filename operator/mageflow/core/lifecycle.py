"""Whether tasks may run: who holds a resource, what is in force by that, and the phase that follows.

                   active                          suspended                    interrupted, canceled
tasks              run                             hold                         stop
while pods run     Pending, Active                 Suspending (a single task    Interrupting
                                                   that runs on: Active)
once none can      (Succeeded, Failed)             Suspended                    Interrupted, Canceled
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import assert_never

from mageflow.api import (
    ENDED_PHASES,
    LABEL_LIFECYCLE,
    NAMESPACE_LIFECYCLES,
    Lifecycle,
    LifecycleSource,
    Phase,
    read_namespace_label,
)
from mageflow.core.asked import Asked
from mageflow.core.observed import ObservedResource
from mageflow.core.run_state import OCCUPIED, RunState

STRENGTH = (Lifecycle.ACTIVE, Lifecycle.SUSPENDED, Lifecycle.INTERRUPTED, Lifecycle.CANCELED)
"""The weakest first."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who, or what, keeps a resource from being active."""

    source: LifecycleSource
    lifecycle: Lifecycle
    """What it asks; not `active`."""
    since: datetime | None = None
    """Since when, if that is known."""
    until: datetime | None = None
    """When it lets go by itself; None: not by itself."""
    reason: str | None = None
    """Why it holds: the PascalCase reason of a failure."""
    message: str | None = None
    """What is wrong, and how to mend it, where a failure holds."""
    release: str = ""
    """What must happen before it lets go, to follow "until"."""


@dataclass(frozen=True, slots=True)
class Effective:
    """The lifecycle in force."""

    lifecycle: Lifecycle
    source: LifecycleSource
    """Where it comes from; the spec, if nothing holds."""
    holders: tuple[Holder, ...] = ()
    """All that hold, the strongest first."""
    recheck_at: datetime | None = None
    """When the first of them lets go by itself."""

    @property
    def failure(self) -> Holder | None:
        """The failure that holds it, if nothing else holds as much: no lifecycle that is asked for releases it."""
        if self.source is not LifecycleSource.FAILURE:
            return None
        return self.holders[0]


class Wanted(Enum):
    """What is to become of the tasks that have not ended."""

    RUN = "run"
    """They run."""
    HOLD = "hold"
    """Those that have not started don't start; those that run finish."""
    STOP = "stop"
    """None runs."""


def strongest_lifecycle(*lifecycles: Lifecycle) -> Lifecycle:
    """Return the lifecycle that holds where several apply (DESIGN promise 7)."""
    return max(lifecycles, key=STRENGTH.index)


def is_stop_awaited(observed: ObservedResource) -> bool:
    """Tell whether a resource is to be held or stopped and its status doesn't say yet that it is."""
    phase = observed.status.phase
    if phase in ENDED_PHASES:
        return False
    asked = strongest_lifecycle(observed.lifecycle_alone, read_namespace_label(observed.namespace_lifecycle))
    is_under_way = phase in (Phase.SUSPENDING, Phase.INTERRUPTING)
    is_news = asked is not Lifecycle.ACTIVE and not Asked.of(observed).is_answered_by(observed.status)
    return is_under_way or is_news


def holders_of(observed: ObservedResource, failure: Holder | None, now: datetime) -> tuple[Holder, ...]:
    """Return all that hold a resource now, the strongest first; of equals the spec, then its namespace, then a failure.

    `failure` is what the settled ledger says: see handover.py.
    """
    known = (_holder_of_spec(observed), _holder_of_namespace(observed), failure)
    holders = [holder for holder in known if holder is not None and (holder.until is None or now < holder.until)]
    return tuple(sorted(holders, key=lambda holder: STRENGTH.index(holder.lifecycle), reverse=True))


def strongest(holders: Sequence[Holder]) -> Effective:
    """Return what is in force by all that hold, the strongest of which comes first (DESIGN promise 7)."""
    if not holders:
        return Effective(Lifecycle.ACTIVE, LifecycleSource.SPEC)
    first = holders[0]
    recheck_at = min((holder.until for holder in holders if holder.until is not None), default=None)
    return Effective(first.lifecycle, first.source, tuple(holders), recheck_at)


def describe_release(holders: Iterable[Holder]) -> str:
    """Say what must happen before anything starts, to follow "until": all that hold must let go."""
    by_source = sorted(holders, key=lambda holder: list(LifecycleSource).index(holder.source))
    return " and ".join(holder.release for holder in by_source)


def _holder_of_spec(observed: ObservedResource) -> Holder | None:
    if observed.lifecycle is Lifecycle.ACTIVE:
        return None
    return Holder(LifecycleSource.SPEC, observed.lifecycle, release="resumed")


def _holder_of_namespace(observed: ObservedResource) -> Holder | None:
    lifecycle = read_namespace_label(observed.namespace_lifecycle)
    if lifecycle is Lifecycle.ACTIVE:
        return None
    release = f"the namespace's label {LABEL_LIFECYCLE} is taken off"
    return Holder(LifecycleSource.NAMESPACE, lifecycle, release=release)


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
    """Return the phase: DESIGN section 2, "How the phase is found", first match wins.

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
