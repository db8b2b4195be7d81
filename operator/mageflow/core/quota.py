"""Which ended Job is deleted when a quota of Jobs refuses the next one.

Ended Jobs are kept for their logs only, as the ledger is `status.tasks` (DESIGN section 2): one whose end is recorded
may go.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mageflow.api import CLOSED_TASKS, TaskPhase, reasons
from mageflow.core.decision import Event, MakeRoom, key_of
from mageflow.core.ledger import MAX_MESSAGE, shorten_message
from mageflow.core.observed import ObservedJob, ObservedResource, Run
from mageflow.core.run_state import RunState
from mageflow.core.steps import Step


@dataclass(frozen=True, slots=True)
class Room:
    """What is done and told to make room."""

    actions: tuple[MakeRoom, ...] = ()
    events: tuple[Event, ...] = ()


def make_room(observed: ObservedResource, steps: Sequence[Step]) -> tuple[tuple[Step, ...], Room]:
    """Delete an ended Job if a quota refuses another; return the steps, as far as they tell of the quota, and that.

    One Job at a time, as the quota learns late that it is gone. The quota is told as a refusal only if no ended Job is
    left to delete.
    """
    refusal = next((step.refusal for step in steps if step.refusal is not None and _is_short(step)), None)
    if refusal is None:
        return tuple(steps), Room()
    ended = [each for each in _list_ended(observed) if key_of(MakeRoom(each.job)) not in observed.blocked]
    oldest = min((each for each in ended if each.is_recorded), key=_rank, default=None)
    if observed.is_making_room or (oldest is None and ended):  # what has just ended is recorded first
        return tuple(map(_keep_quiet, steps)), Room()
    if oldest is None:
        return tuple(map(_say_that_none_is_left, steps)), Room()
    what = f"Job {oldest.job.name} is deleted, and the logs of {oldest.what} with it, to make room: {refusal.message}"
    events = (Event("Normal", reasons.JOB_DELETED_FOR_QUOTA, what),)
    return tuple(map(_keep_quiet, steps)), Room((MakeRoom(oldest.job),), events)


@dataclass(frozen=True, slots=True)
class _Ended:
    """A Job that has ended."""

    job: ObservedJob
    what: str
    is_success: bool
    is_recorded: bool
    """The ledger has the end of its run."""


def _rank(ended: _Ended) -> tuple[bool, str]:
    """Successes go before failures, the oldest first: their times are all the API server's."""
    created_at = ended.job.created_at
    return not ended.is_success, "" if created_at is None else created_at.isoformat()


def _list_ended(observed: ObservedResource) -> Iterator[_Ended]:
    for entry in observed.status.tasks:
        for number, run in observed.runs_of(entry.name).items():
            if run.job is not None and _may_go(run):
                is_recorded = number < entry.run or (number == entry.run and entry.phase in CLOSED_TASKS)
                is_success = number == entry.run and entry.phase is TaskPhase.SUCCEEDED
                yield _Ended(run.job, f"run {number} of task {entry.name}", is_success, is_recorded)


def _may_go(run: Run) -> bool:
    return run.job is not None and run.job.has_ended and not run.job.is_terminating and not run.live_pods


def _is_short(step: Step) -> bool:
    return step.state is RunState.RECORDED and step.refusal is not None and step.refusal.is_of_quota


def _keep_quiet(step: Step) -> Step:
    if not _is_short(step):
        return step
    return replace(step, refusal=None, entry=step.entry.model_copy(update={"reason": None, "message": None}))


def _say_that_none_is_left(step: Step) -> Step:
    if step.refusal is None or not _is_short(step):
        return step
    what = f"{step.refusal.message}; no ended Job of this resource is left to make room"
    entry = step.entry.model_copy(update={"message": shorten_message(what, MAX_MESSAGE)})
    return replace(step, entry=entry, refusal=replace(step.refusal, message=what))
