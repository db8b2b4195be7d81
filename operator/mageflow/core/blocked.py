"""Actions that are put off: what the API server has refused, until its pause is over, and what needs a Job to stay.

A Job stays as long as a request to create it may still be under way somewhere: while its name is taken, a late request
creates no other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mageflow.core.decision import Action, DeleteJob, DeletePod, EvictPod, HoldJob, MakeRoom, StopJob, key_of
from mageflow.core.job_manifest import job_name
from mageflow.core.observed import ObservedResource, Refusal
from mageflow.core.plan import Owner


@dataclass(frozen=True, slots=True)
class Blocked:
    """What is told of the actions that were refused."""

    stop: Refusal | None = None
    """Why a pod can't be stopped; the first, if there are several."""
    deletion: Refusal | None = None
    """Why a Job that nobody needs can't be deleted."""
    recheck_at: datetime | None = None
    """When the next of what is put off is due."""


NOTHING_BLOCKED: Final = Blocked()


def put_off(actions: Sequence[Action], observed: ObservedResource, now: datetime) -> tuple[tuple[Action, ...], Blocked]:
    """Return the actions to carry out now, and what is told of those that were refused.

    An action whose pause is over is tried again, and its refusal is told until it succeeds.
    """
    if not observed.blocked and not observed.late:
        return tuple(actions), NOTHING_BLOCKED
    refusals = observed.blocked
    guards = _guards_of(observed, now)
    known = [(action, refusals.get(key_of(action)) or _keep(action, guards)) for action in actions]
    told = [(action, refusal) for action, refusal in known if refusal is not None and not refusal.is_passing]
    late = [refusal for _, refusal in known if refusal is not None and not refusal.is_due(now)]
    blocked = Blocked(
        stop=next((refusal for action, refusal in told if isinstance(action, _STOPS)), None),
        deletion=next((refusal for action, refusal in told if not isinstance(action, _STOPS)), None),
        recheck_at=min((refusal.retry_at for refusal in late if refusal.retry_at is not None), default=None),
    )
    return tuple(action for action, refusal in known if refusal is None or refusal.is_due(now)), blocked


def _guards_of(observed: ObservedResource, now: datetime) -> dict[str, datetime]:
    """Return the names of the Jobs that must stay, each with until when a late request for it may still come true."""
    owner = Owner.of(observed)
    return {job_name(owner, task, run): until for (task, run), until in observed.late.items() if until > now}


def _keep(action: Action, guards: Mapping[str, datetime]) -> Refusal | None:
    if not isinstance(action, HoldJob | DeleteJob | MakeRoom) or action.job.name not in guards:
        return None
    return Refusal("", "", is_passing=True, retry_at=guards[action.job.name])


_STOPS = (EvictPod, HoldJob, StopJob, DeletePod)
