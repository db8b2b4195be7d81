"""Which tasks a resource has, and which of them may run: what its kind makes of its spec.

A plan is data: `workflow.py`, `chain.py` and `swarm.py` each make one of their spec.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from mageflow.api import ENDED_TASKS, Phase, TaskPhase, TaskStatus, reasons
from mageflow.core.jobs import Task
from mageflow.core.ledger import is_understood
from mageflow.core.observed import Refusal

Ledger = Mapping[str, TaskStatus]
"""The entries of `status.tasks`, by task name."""

Window = Mapping[str, Refusal | None]
"""The names of the tasks that may run now, each with why its next run can't start, if it can't."""

MAX_PASSED_OVER: Final = 100
"""How many tasks that can't start are passed over: what is wrong with more is wrong with all, and told once."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a kind makes of a spec."""

    tasks: Sequence[Task]
    """In the order in which they start."""
    max_at_once: int = 1
    """How many may have a pod at once, counting one that may yet be made."""
    ends_at_first_failure: bool = True
    """The first failed task ends it as Failed. False: it ends once all have, as Failed if any failed."""
    runs_on_when_suspended: bool = False
    """A task that runs is all there is: a suspend doesn't stop it, and the phase stays Active."""
    keeps_outputs: bool = False
    """The ledger keeps what each task wrote."""
    has_output: bool = True
    """What its last task wrote is its own output."""
    keeps_entries: bool = True
    """The ledger has a full entry for each task. False: none for one without a run, little for one that succeeded."""

    @property
    def is_single(self) -> bool:
        """It has one task that needs no name."""
        return self.runs_on_when_suspended


def find_outcome(plan: Plan, ledger: Ledger) -> Phase | None:
    """Tell how it has ended, by its tasks: Succeeded, Failed, or None while it hasn't."""
    phases = [_phase_in(ledger, task.name) for task in plan.tasks]
    if TaskPhase.FAILED in phases and (plan.ends_at_first_failure or ENDED_TASKS.issuperset(phases)):
        return Phase.FAILED
    return Phase.SUCCEEDED if all(phase is TaskPhase.SUCCEEDED for phase in phases) else None


def find_window(
    plan: Plan, ledger: Ledger, find_refusal: Callable[[Task, TaskStatus | None], Refusal | None]
) -> Window:
    """Find the tasks that may run now: the first `max_at_once` that have not ended, and those that have begun to.

    One that can't start without an edit takes no other's place, unless those after it depend on it.
    """
    window: dict[str, Refusal | None] = {}
    places, passed_over = plan.max_at_once, 0
    for task in plan.tasks:
        entry = ledger.get(task.name)
        if entry is not None and entry.phase in ENDED_TASKS:
            continue
        if places <= 0 and not _has_begun(entry):
            continue
        refusal = window[task.name] = find_refusal(task, entry)
        can_start = refusal is None or not refusal.is_invalid
        if can_start or plan.ends_at_first_failure or passed_over == MAX_PASSED_OVER:
            places -= 1
        else:
            passed_over += 1
    return window


def _has_begun(entry: TaskStatus | None) -> bool:
    """Tell whether a run is recorded, was refused for good, or can't be understood: that goes on being told."""
    return entry is not None and (
        entry.phase is TaskPhase.RECORDED or entry.reason == reasons.INVALID_TASK or not is_understood(entry)
    )


def _phase_in(ledger: Ledger, name: str) -> TaskPhase | str:
    entry = ledger.get(name)
    return TaskPhase.UNSTARTED if entry is None else entry.phase
