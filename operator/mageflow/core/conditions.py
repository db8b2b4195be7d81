"""The conditions of a resource, for people, `kubectl wait` and kstatus.

    Ready                 what the spec asks is in force: running as asked, held as asked, or ended
    Reconciling, Stalled  kstatus: present only while True
    Suspended             held, and nothing runs: safe to drain
    Consistent            no running task was ever cut short, by us or by others
    Complete, Failed      ended, as in a Job

https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from mageflow.api import ENDED_PHASES, HELD_PHASES, Condition, ConditionType, Phase, Status, find_condition, reasons
from mageflow.api.stored import shorten

MAX_MESSAGE: Final = 2048
"""Bytes of a condition's message: what an API server or a webhook says has no bound."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether what the spec asks is in force; if not, why not, and whether it ever will be without help."""

    is_ready: bool
    reason: str
    message: str
    is_stalled: bool = False


@dataclass(frozen=True, slots=True)
class Consistency:
    """What has ever cut a running task short, tasks included that have succeeded since or were removed."""

    interruptions: int = 0
    """How often a stop of ours did."""
    was_disrupted: bool = False
    """Whether anybody else did."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A condition as it should be, without its times: those come of comparing it with the old one."""

    type: ConditionType
    status: bool
    reason: str
    message: str = ""


def build_conditions(
    phase: Phase,
    readiness: Readiness,
    consistency: Consistency,
    old: Iterable[Condition],
    generation: int,
    now: datetime,
) -> tuple[Condition, ...]:
    """Build every condition of a resource; `lastTransitionTime` moves only when a status does.

    Those of a newer version, whose types this one doesn't know, stay as they are.
    """
    previous = {condition.type: condition for condition in old}
    ours = (
        _keep_time(wanted, previous.get(wanted.type), generation, now)
        for wanted in _wanted_conditions(phase, readiness, consistency)
    )
    return (*ours, *(condition for condition in previous.values() if not isinstance(condition.type, ConditionType)))


def was_disrupted(status: Status) -> bool:
    """Tell whether a status says that others have cut a running task short: that stays for ever."""
    consistent = find_condition(status.conditions, ConditionType.CONSISTENT)
    return consistent is not None and consistent.reason == reasons.DISRUPTED_WHILE_RUNNING


def _wanted_conditions(phase: Phase, readiness: Readiness, consistency: Consistency) -> Iterable[_Wanted]:
    yield _Wanted(ConditionType.READY, readiness.is_ready, readiness.reason, readiness.message)
    if readiness.is_stalled:
        yield _Wanted(ConditionType.STALLED, True, readiness.reason, readiness.message)
    elif not readiness.is_ready:
        yield _Wanted(ConditionType.RECONCILING, True, readiness.reason, readiness.message)
    yield _suspended(phase, readiness)
    yield _consistent(consistency)
    if phase is Phase.SUCCEEDED:
        yield _Wanted(ConditionType.COMPLETE, True, reasons.SUCCEEDED, readiness.message)
    if phase is Phase.FAILED:
        yield _Wanted(ConditionType.FAILED, True, reasons.FAILED, readiness.message)


def _consistent(consistency: Consistency) -> _Wanted:
    """Return the condition Consistent. Our own stops are told first: who asks for one wants to know what it cost."""
    if consistency.interruptions:
        what = f"a running task was interrupted, {consistency.interruptions} in all: it runs again from its start"
        return _Wanted(ConditionType.CONSISTENT, False, reasons.INTERRUPTED_WHILE_RUNNING, what)
    if consistency.was_disrupted:
        what = "a running task was cut short by others, as by a drain or a preemption: it runs again from its start"
        return _Wanted(ConditionType.CONSISTENT, False, reasons.DISRUPTED_WHILE_RUNNING, what)
    return _Wanted(ConditionType.CONSISTENT, True, reasons.NEVER_INTERRUPTED)


def _suspended(phase: Phase, readiness: Readiness) -> _Wanted:
    if phase in HELD_PHASES:
        return _Wanted(ConditionType.SUSPENDED, True, phase.value, "nothing runs, and nothing starts while it is held")
    if phase in ENDED_PHASES:
        return _Wanted(ConditionType.SUSPENDED, False, phase.value, "ended")
    if phase in (Phase.SUSPENDING, Phase.INTERRUPTING):
        return _Wanted(ConditionType.SUSPENDED, False, phase.value, readiness.message)
    if readiness.reason == reasons.TASK_ALREADY_RUNNING:
        return _Wanted(ConditionType.SUSPENDED, False, readiness.reason, readiness.message)
    return _Wanted(ConditionType.SUSPENDED, False, reasons.ACTIVE)


def _keep_time(wanted: _Wanted, old: Condition | None, generation: int, now: datetime) -> Condition:
    status = "True" if wanted.status else "False"
    told = (status, generation, wanted.reason, shorten(wanted.message, MAX_MESSAGE))
    if old is not None and (old.status, old.observed_generation, old.reason, old.message) == told:
        return old  # as it is most often: what is the same object is compared at no cost
    return Condition(
        type=wanted.type,
        status=status,
        observed_generation=generation,
        last_transition_time=old.last_transition_time if old is not None and old.status == status else now,
        reason=wanted.reason,
        message=told[-1],
    )
