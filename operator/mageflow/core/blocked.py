"""Stops and deletions that the API server refuses: they are put off, and told of, until they pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mageflow.core.decision import Action, DeletePod, EvictPod, HoldJob, StopJob, key_of
from mageflow.core.observed import Refusal


@dataclass(frozen=True, slots=True)
class Blocked:
    """What of a decision can't be carried out."""

    stop: Refusal | None = None
    """Why a pod can't be stopped; the first, if there are several."""
    deletion: Refusal | None = None
    """Why a Job that nobody needs can't be deleted."""
    recheck_at: datetime | None = None
    """When the next of what is put off is due."""


NOTHING_BLOCKED: Final = Blocked()


def put_off(
    actions: Sequence[Action], refusals: Mapping[str, Refusal], now: datetime
) -> tuple[tuple[Action, ...], Blocked]:
    """Return the actions that are to be carried out now, and what is told of those that were refused before.

    `refusals` are by `key_of` an action. One that is due is tried, and told of all the same.
    """
    if not refusals:
        return tuple(actions), NOTHING_BLOCKED
    known = [(action, refusals.get(key_of(action))) for action in actions]
    told = [(action, refusal) for action, refusal in known if refusal is not None and not refusal.is_passing]
    late = [refusal for _, refusal in known if refusal is not None and not refusal.is_due(now)]
    blocked = Blocked(
        stop=next((refusal for action, refusal in told if isinstance(action, _STOPS)), None),
        deletion=next((refusal for action, refusal in told if not isinstance(action, _STOPS)), None),
        recheck_at=min((refusal.retry_at for refusal in late if refusal.retry_at is not None), default=None),
    )
    return tuple(action for action, refusal in known if refusal is None or refusal.is_due(now)), blocked


_STOPS = (EvictPod, HoldJob, StopJob, DeletePod)
