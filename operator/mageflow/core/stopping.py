"""What is done about a resource of which only its lifecycle counts: nothing starts, and a stop reaches its pods.

it is being deleted              stopped by its Jobs and pods alone; no status is written
its spec can't be read           held and stopped by its ledger and what the cluster has; told as InvalidTask
its status can't be read         the same, as far as the ledger can be read; told as InvalidStatus
its phase is a newer version's   the same, and the phase stays; told as UnknownPhase

Its lifecycle is read by itself, and its namespace's label isn't its own: both are known whatever else can't be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from mageflow.api import ENDED_PHASES, WORKFLOW, Lifecycle, Phase, Status, TaskStatus, reasons
from mageflow.core.asked import Asked
from mageflow.core.blocked import Blocked, put_off
from mageflow.core.conditions import Consistency, Readiness, build_conditions, was_disrupted
from mageflow.core.decision import Action, Decision
from mageflow.core.ledger import settle
from mageflow.core.lifecycle import Effective, Wanted, derive_phase, holders_of, strongest, wanted_by
from mageflow.core.observed import ObservedResource
from mageflow.core.plan import Owner, Task
from mageflow.core.readiness import Progress, find_readiness
from mageflow.core.report import earliest, events_of_transitions, run_of, tell_of_blocked
from mageflow.core.run_result import Ending
from mageflow.core.run_state import RunState, derive_state_by_cluster
from mageflow.core.task import StartPermit, Step, stop_runs, take_step

OURS: Final = frozenset({Ending.HELD, Ending.INTERRUPTED})
"""Endings that are recorded though the spec can't be read. What becomes of others depends on it, such as on the retries
that are left; their Jobs and pods keep them until then."""


def stop_only(observed: ObservedResource, now: datetime) -> Decision:
    """Decide on a resource that is being deleted, which somebody's finalizer may keep for long."""
    effective = strongest(holders_of(observed, None, now))
    is_stopped = wanted_by(effective.lifecycle) is Wanted.STOP
    actions, blocked = put_off(_stop_all(observed) if is_stopped else (), observed, now)
    return Decision(actions=actions, recheck_at=earliest(effective.recheck_at, blocked.recheck_at))


def find_obstacle(observed: ObservedResource) -> Readiness | None:
    """Tell what of a resource's status can't be understood; None if all can. Nothing is started from such a status."""
    status = observed.status
    if status.problem is not None:
        what = f"{status.problem}; nothing starts until its status is mended or removed, and a stop still works"
        return Readiness(False, reasons.INVALID_STATUS, what, is_stalled=True)
    if status.phase is not None and not isinstance(status.phase, Phase):
        what = (
            f"status.phase is {status.phase!r}, a word of a newer version of the operator: "
            "nothing starts until that is back, and a stop still works"
        )
        return Readiness(False, reasons.UNKNOWN_PHASE, what, is_stalled=True)
    return None


def unreadable_spec(observed: ObservedResource) -> Readiness:
    """Say that the spec can't be read, which the schema of the CRD should have refused."""
    return Readiness(False, reasons.INVALID_TASK, observed.problem or "", is_stalled=True)


def hold_or_stop(observed: ObservedResource, obstacle: Readiness, now: datetime) -> Decision:
    """Decide on a resource of which nothing may start: hold or stop it if that is asked for, and tell the obstacle."""
    effective = strongest(holders_of(observed, None, now))
    wanted = wanted_by(effective.lifecycle)
    can_read = observed.status.can_read("tasks")
    steps: tuple[Step, ...]
    if not can_read:  # a hold's mark is the ledger; a stop's is the Job
        steps, wanted_actions = (), _stop_all(observed) if wanted is Wanted.STOP else ()
    else:
        steps = () if wanted is Wanted.RUN else tuple(_take_steps(observed, wanted, now))
        wanted_actions = tuple(action for step in steps for action in step.actions)
    actions, blocked = put_off(wanted_actions, observed, now)
    status = _tell(observed, obstacle, effective, steps, now, blocked)
    return Decision(
        status=status,
        actions=actions,
        events=tuple(events_of_transitions(observed.status, status)) if can_read else (),
        recheck_at=earliest(effective.recheck_at, blocked.recheck_at, *(step.recheck_at for step in steps)),
    )


def _take_steps(observed: ObservedResource, wanted: Wanted, now: datetime) -> Iterator[Step]:
    """Hold or stop each task that the ledger or the cluster has."""
    owner = Owner.of(observed)
    ledger = {entry.name: entry for entry in observed.status.tasks}
    for name in dict.fromkeys((*ledger, *observed.runs)):
        entry, runs, task = ledger.get(name, TaskStatus(name=name)), observed.runs_of(name), Task(name, {})
        settled = settle(task, entry, runs, now)
        if settled.result is None or settled.result.ending in OURS:
            permit = StartPermit(creation=observed.creations.get(name))
            yield take_step(owner, task, settled, runs, wanted, now, permit)
        else:
            yield Step(entry, derive_state_by_cluster(runs), stop_runs(runs) if wanted is Wanted.STOP else ())


def _stop_all(observed: ObservedResource) -> tuple[Action, ...]:
    return tuple(action for _, runs in sorted(observed.runs.items()) for action in stop_runs(runs))


# ── what is told ──


def _tell(
    observed: ObservedResource,
    obstacle: Readiness,
    effective: Effective,
    steps: Sequence[Step],
    now: datetime,
    blocked: Blocked,
) -> Status:
    """Build the new status: conditions and what the steps have changed; the rest stays as it is."""
    old, generation = observed.status, observed.generation
    started = [step.entry.started_at for step in steps if step.entry.started_at is not None]
    started_at = old.started_at or min(started, default=None)
    phase = _derive_phase(observed, effective, steps, has_ever_started=started_at is not None)
    readiness = tell_of_blocked(blocked, phase, _find_readiness(observed, obstacle, phase, effective, steps, now))
    before = {entry.name: entry.interruptions for entry in old.tasks}
    new = sum(step.entry.interruptions - before.get(step.entry.name, 0) for step in steps)
    consistency = Consistency(
        old.interruptions + new, was_disrupted(old) or any(step.entry.cut_short for step in steps)
    )
    running = sum(step.state is RunState.RUNNING for step in steps) if steps else old.running
    changes: dict[str, Any] = {
        "lifecycle": effective.lifecycle,
        "lifecycle_source": effective.source,
        **Asked.of(observed).as_status(),
        "started_at": started_at,
        "suspended_at": None if effective.lifecycle is Lifecycle.ACTIVE else old.suspended_at or now,
        "running": running,
        "pending": max(0, old.total - old.done - old.failed - running),
        "interruptions": old.interruptions + new,
        "tasks": tuple(step.entry for step in steps) if steps else old.tasks,
        "conditions": build_conditions(phase, readiness, consistency, old.conditions, generation, now),
    }
    if _is_phase_ours(observed.status):
        changes |= {"phase": phase, "finished_at": now if phase in ENDED_PHASES else None}
    return old.model_copy(update=changes)


def _is_phase_ours(status: Status) -> bool:
    """Tell whether the phase that is seen may be written: not over one that isn't understood, which may be an end."""
    return status.problem is None and (status.phase is None or isinstance(status.phase, Phase))


def _derive_phase(
    observed: ObservedResource, effective: Effective, steps: Iterable[Step], *, has_ever_started: bool
) -> Phase:
    states = {*(step.state for step in steps), *map(derive_state_by_cluster, observed.runs.values())}
    return derive_phase(
        effective.lifecycle,
        None,
        frozenset(states),
        has_ever_started=has_ever_started,
        runs_on_when_suspended=observed.kind is WORKFLOW,
    )


def _find_readiness(
    observed: ObservedResource,
    obstacle: Readiness,
    phase: Phase,
    effective: Effective,
    steps: Iterable[Step],
    now: datetime,
) -> Readiness:
    """Tell of the hold or stop that is asked for, and of the obstacle; of that alone if it may run."""
    if effective.lifecycle is Lifecycle.ACTIVE or not _is_phase_ours(observed.status):
        return obstacle
    progress = [Progress(step.entry, step.state, run_of(observed, step), None) for step in steps]
    readiness = find_readiness(phase, effective, observed.kind is WORKFLOW, progress, now)
    return replace(readiness, message=f"{readiness.message}; {obstacle.message}")
