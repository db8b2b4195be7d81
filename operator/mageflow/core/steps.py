"""What becomes of each task in one reconcile: one list for a resource, of the tasks in its spec and of removed ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from mageflow.api import TaskStatus
from mageflow.core.decision import Action
from mageflow.core.observed import NO_RUN, ObservedResource, Refusal, Run
from mageflow.core.plan import StepRole
from mageflow.core.run_state import RunState


@dataclass(frozen=True, slots=True)
class Step:
    """What becomes of one task in one reconcile."""

    entry: TaskStatus
    """Its new ledger entry."""
    state: RunState
    """The state that it is in then."""
    actions: tuple[Action, ...] = ()
    recheck_at: datetime | None = None
    refusal: Refusal | None = None
    """Why the API server refused its Job, if it did."""
    role: StepRole = StepRole.TASK
    """What part its task has in the resource."""


def steps_of(role: StepRole, steps: Iterable[Step]) -> tuple[Step, ...]:
    """Return the steps of the tasks that have a role, in their order."""
    return tuple([step for step in steps if step.role is role])  # a list is faster, and there are many of them


def run_of(observed: ObservedResource, step: Step) -> Run:
    """Return the latest run of a step's task."""
    return observed.runs_of(step.entry.name).get(step.entry.run, NO_RUN)
