"""Decisions on a resource of which nothing may start: it is being deleted, or can't be read. A stop reaches its pods.

it is being deleted              stopped by its Jobs and pods alone; no status is written
its spec can't be read           held and stopped by its ledger and what the cluster has; told as InvalidTask
its status can't be read         the same, as far as the ledger can be read; told as InvalidStatus
its phase is a newer version's   the same, and the phase stays; told as UnknownPhase

Its lifecycle is read by itself, and the label is its namespace's: both are known whatever else can't be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

from mageflow.api import ENDED_PHASES, WORKFLOW, Lifecycle, Phase, Status, TaskStatus, reasons
from mageflow.core.asked import Asked
from mageflow.core.blocked import Blocked, put_off
from mageflow.core.conditions import build_conditions
from mageflow.core.decision import Action, Decision, earliest
from mageflow.core.garbage import stop_runs
from mageflow.core.ledger import settle
from mageflow.core.lifecycle import Effective, Wanted, derive_phase, holders_of, strongest, wanted_by
from mageflow.core.observed import ObservedResource
from mageflow.core.plan import Owner, Task
from mageflow.core.readiness import Obstacle, View, derive_readiness
from mageflow.core.run_result import Ending
from mageflow.core.run_state import RunState, derive_state_by_cluster
from mageflow.core.status_builder import count_state, derive_consistency, find_first_start
from mageflow.core.steps import Step
from mageflow.core.task import StartPermit, take_step
from mageflow.core.transition_events import events_of_transitions

OURS: Final = frozenset({Ending.HELD, Ending.INTERRUPTED})
"""Endings that are recorded though the spec can't be read. What becomes of others depends on it, such as on the retries
that are left; their Jobs and pods keep them until then."""


def stop_only(observed: ObservedResource, now: datetime) -> Decision:
    """Decide on a resource that is being deleted, which somebody's finalizer may keep for long."""
    effective = strongest(holders_of(observed, None, now))
    is_stopped = wanted_by(effective.lifecycle) is Wanted.STOP
    actions, blocked = put_off(_stop_all(observed) if is_stopped else (), observed, now)
    return Decision(after=actions, recheck_at=earliest(effective.recheck_at, blocked.recheck_at))


def find_obstacle(observed: ObservedResource) -> Obstacle | None:
    """Tell what of a resource's status can't be understood; None if all can. Nothing is started from such a status."""
    status = observed.status
    if status.problem is not None:
        what = f"{status.problem}; nothing starts until its status is mended or removed, and a stop still works"
        return Obstacle(reasons.INVALID_STATUS, what, hides_phase=True)
    if status.phase is not None and not isinstance(status.phase, Phase):
        what = (
            f"status.phase is {status.phase!r}, a word of a newer version of the operator: "
            "nothing starts until that is back, and a stop still works"
        )
        return Obstacle(reasons.UNKNOWN_PHASE, what, hides_phase=True)
    return None


def unreadable_spec(observed: ObservedResource) -> Obstacle:
    """Say that the spec can't be read, which the schema of the CRD should have refused."""
    return Obstacle(reasons.INVALID_TASK, observed.problem or "", hides_phase=False)


def hold_or_stop(observed: ObservedResource, obstacle: Obstacle, now: datetime) -> Decision:
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
        after=actions,
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
    obstacle: Obstacle,
    effective: Effective,
    steps: Sequence[Step],
    now: datetime,
    blocked: Blocked,
) -> Status:
    """Build the new status: conditions and what the steps have changed; the rest stays as it is."""
    old, generation, is_single = observed.status, observed.generation, observed.kind is WORKFLOW
    started_at = old.started_at or find_first_start(steps)
    phase = derive_phase(
        effective.lifecycle,
        None,
        frozenset((*(step.state for step in steps), *map(derive_state_by_cluster, observed.runs.values()))),
        has_ever_started=started_at is not None,
        runs_on_when_suspended=is_single,
    )
    view = View(observed, phase, effective, steps, now, is_single, blocked=blocked, obstacle=obstacle)
    consistency = derive_consistency(old, steps)
    running = count_state(RunState.RUNNING, steps) if steps else old.running
    changes: dict[str, Any] = {
        "lifecycle": effective.lifecycle,
        "lifecycle_source": effective.source,
        **Asked.of(observed).as_status(),
        "started_at": started_at,
        "suspended_at": None if effective.lifecycle is Lifecycle.ACTIVE else old.suspended_at or now,
        "running": running,
        "pending": max(0, old.total - old.done - old.failed - running),
        "interruptions": consistency.interruptions,
        "tasks": tuple(step.entry for step in steps) if steps else old.tasks,
        "conditions": build_conditions(phase, derive_readiness(view), consistency, old.conditions, generation, now),
    }
    if not obstacle.hides_phase:
        changes |= {"phase": phase, "finished_at": now if phase in ENDED_PHASES else None}
    return old.model_copy(update=changes)
