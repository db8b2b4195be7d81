"""The requests for one resource that were refused or aren't answered yet, and what may still come of them.

    begin ──→ under way ──→ created      the Job is seen
                       ├──→ refused      told, and tried again after a pause that grows
                       └──→ no answer    the same, and a Job may come of it until the API server would have ended it

All times are of this process's steady clock, from when it began or saw something; never of the API server's clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from mageflow.api import TaskPhase, TaskStatus
from mageflow.controller.clock import Moment
from mageflow.controller.settings import WRITE_SECONDS
from mageflow.core.observed import Creation, ObservedResource, Refusal

LAST_SECONDS: Final = WRITE_SECONDS + 5.0
"""How long after a request was begun something may come of it: as long as it may take, and a margin."""

FIRST_PAUSE: Final = 1.0
"""Seconds before what was refused is tried again; they double."""

LONGEST_PAUSE: Final = 30.0

INVALID_PAUSE: Final = 360.0
"""The same where the task itself is at fault, as far as can be told."""

PASSING_TRIES: Final = 2
"""How many server errors in a row aren't told: most have passed by then."""

SLOW_SECONDS: Final = 10.0
"""How long an answer may take before that is told."""

ROOM_SECONDS: Final = 10.0
"""How long a quota may take to learn that a Job is gone."""


@dataclass(slots=True)
class _Refused:
    """A refusal, and how often in a row it came."""

    refusal: Refusal
    run: int
    tries: int
    retry_at: float
    not_before: float
    """When the API server is to be asked again at the earliest, as it said itself."""

    def show(self, moment: Moment) -> Refusal:
        is_passing = self.refusal.is_passing and self.tries <= PASSING_TRIES
        return replace(self.refusal, retry_at=moment.at(self.retry_at), is_passing=is_passing)


@dataclass(slots=True)
class _Begun:
    """Requests to create the Job of a run."""

    run: int
    template_hash: str | None
    began_at: float | None


class Attempts:
    """The attempts at one resource."""

    def __init__(self) -> None:
        self._refused: dict[str, _Refused] = {}
        self._refused_generation = 0
        self._begun: dict[str, _Begun] = {}
        self._blocked: dict[str, _Refused] = {}
        self._acting: dict[str, tuple[float, str]] = {}
        self._own: set[tuple[str, int]] = set()
        """Runs that this process has recorded: no other has asked for their Jobs."""
        self._found: set[tuple[str, int]] = set()
        """Runs that were found recorded."""
        self._late: dict[tuple[str, int], float] = {}
        """Until when a Job may come of a request that got no answer, or that another process made."""
        self._made_room_at: float | None = None

    # ── the Jobs of runs ──

    def begin(self, task: str, run: int, template_hash: str | None, now: float) -> None:
        """Note that the creation of a run's Job is under way."""
        self._begun[task] = _Begun(run, template_hash, now)
        self._own.add((task, run))

    def end(self, task: str, run: int, *, may_come: bool) -> None:
        """Note that it is answered; `may_come`: but not so that one could tell whether the Job is made."""
        known = self._begun.get(task)
        if known is not None and known.run == run:
            if may_come and known.began_at is not None:
                self._late[task, run] = max(self._late.get((task, run), 0.0), known.began_at + LAST_SECONDS)
            known.began_at = None

    def refuse(
        self, task: str, run: int, generation: int, refusal: Refusal, now: float, retry_after: float | None = None
    ) -> bool:
        """Note that the Job of a run was refused; return whether that is news: the cause is another than before.

        `retry_after`: for how many seconds it isn't tried again at least, as the API server said.
        """
        if self._refused_generation != generation:
            self._refused.clear()
        self._refused_generation = generation
        is_news = not any(_is_same(each.refusal, refusal) for each in self._refused.values())
        self._refused[task] = _note(self._refused.get(task), refusal, run, now, retry_after)
        return is_news

    def accept(self, task: str) -> None:
        """Note that the Job of a run is created."""
        self._refused.pop(task, None)
        self._made_room_at = None

    def record(self, runs: Iterable[tuple[str, int]]) -> None:
        """Note that this process records runs: no other has asked for their Jobs."""
        self._own.update(runs)

    def is_own(self, task: str, run: int) -> bool:
        """Tell whether this process has recorded a run."""
        return (task, run) in self._own

    def forget_own(self, runs: Iterable[tuple[str, int]] | None = None) -> None:
        """Note that runs were not recorded, or, if None, that another process may have asked for any Job meanwhile."""
        if runs is None:
            self._own.clear()
            self._found.clear()
        else:
            self._own.difference_update(runs)

    # ── quota ──

    def make_room(self, now: float) -> None:
        """Note that a Job was deleted as a quota lets no more be there."""
        self._made_room_at = now

    def see_job_go(self, now: float) -> None:
        """Note that a Job is gone: of what a quota has refused, the next is tried soon."""
        of_quota = [each for each in self._refused.values() if each.refusal.is_of_quota]
        if of_quota:
            first = min(of_quota, key=lambda each: each.retry_at)
            first.tries, first.retry_at = 1, max(min(first.retry_at, now + FIRST_PAUSE), first.not_before)

    # ── stops and deletions ──

    def act(self, key: str, reason: str, now: float) -> None:
        """Note that an action is under way, by its `key_of`, and as what it is told if that takes long."""
        self._acting[key] = (now, reason)

    def end_act(self, key: str) -> None:
        """Note that it is answered."""
        self._acting.pop(key, None)

    def block(self, key: str, refusal: Refusal, now: float, retry_after: float | None = None) -> bool:
        """Note that an action was refused; return whether that is news. `retry_after`: as in `refuse`."""
        is_news = not any(_is_same(each.refusal, refusal) for each in self._blocked.values())
        self._blocked[key] = _note(self._blocked.get(key), refusal, 0, now, retry_after)
        return is_news

    def unblock(self, key: str) -> None:
        """Note that an action was carried out."""
        self._blocked.pop(key, None)

    def forget_target(self, uid: str) -> None:
        """Note that a Job or pod is gone."""
        for key in [key for key in self._blocked if key.endswith(f" {uid}")]:
            del self._blocked[key]

    # ── what is known ──

    def show(self, resource: ObservedResource, moment: Moment) -> Mapping[str, Any]:
        """Return what a snapshot of the resource tells of it."""
        recorded = [entry for entry in resource.status.tasks if entry.phase is TaskPhase.RECORDED]
        if not (recorded or self._refused or self._begun or self._blocked or self._acting or self._late):
            return {}
        ledger = {entry.name: entry for entry in resource.status.tasks}
        self._look_at(recorded, ledger, moment.steady)
        return {
            "refusals": self._show_refusals(resource, ledger, moment),
            "creations": self._show_creations(recorded, moment),
            "late": {key: moment.at(ends_at) for key, ends_at in self._late.items()},
            "blocked": self._show_blocked(moment),
            "is_making_room": self._made_room_at is not None and moment.steady < self._made_room_at + ROOM_SECONDS,
        }

    def _look_at(self, recorded: Iterable[TaskStatus], ledger: Mapping[str, TaskStatus], now: float) -> None:
        """Note which runs are recorded of which another process may have asked for the Job."""
        found = {(entry.name, entry.run) for entry in recorded} - self._own
        for key in found - self._found:
            self._late[key] = max(self._late.get(key, 0.0), now + LAST_SECONDS)
        self._found = found
        for key in [key for key, ends_at in self._late.items() if ends_at <= now]:
            del self._late[key]
        for task, begun in list(self._begun.items()):
            entry = ledger.get(task)
            is_told = entry is not None and (
                entry.run > begun.run or (entry.run == begun.run and entry.phase is not TaskPhase.RECORDED)
            )
            if is_told and begun.began_at is None:
                del self._begun[task]
                self._own.discard((task, begun.run))

    def _show_refusals(
        self, resource: ObservedResource, ledger: Mapping[str, TaskStatus], moment: Moment
    ) -> dict[str, Refusal]:
        if self._refused_generation != resource.generation:
            return {}
        return {
            task: refused.show(moment)
            for task, refused in self._refused.items()
            if task not in ledger or ledger[task].run <= refused.run
        }

    def _show_creations(self, recorded: Iterable[TaskStatus], moment: Moment) -> dict[str, Creation]:
        begun = {entry.name: _Begun(entry.run, None, None) for entry in recorded} | self._begun
        shown = {task: self._show_creation(task, creation, moment) for task, creation in begun.items()}
        return {task: each for task, each in shown.items() if task in self._begun or each.ends_at is not None}

    def _show_creation(self, task: str, begun: _Begun, moment: Moment) -> Creation:
        late = self._late.get((task, begun.run))
        ends = [] if late is None else [late]
        ends += [] if begun.began_at is None else [begun.began_at + LAST_SECONDS]
        return Creation(
            begun.run,
            begun.template_hash,
            None if begun.began_at is None else moment.at(begun.began_at),
            moment.at(max(ends)) if ends else None,
        )

    def _show_blocked(self, moment: Moment) -> dict[str, Refusal]:
        shown = {key: refused.show(moment) for key, refused in self._blocked.items()}
        for key, (since, reason) in self._acting.items():
            due = since + SLOW_SECONDS
            is_young = moment.steady < due
            retry_at = moment.at(due) if is_young else None
            known = shown.get(key) or Refusal(reason, "the API server has not answered yet", is_passing=is_young)
            shown[key] = replace(known, retry_at=retry_at)
        return shown


def _note(known: _Refused | None, refusal: Refusal, run: int, now: float, retry_after: float | None) -> _Refused:
    """Count a refusal: what it says stays as it was first said, as numbers in it change."""
    is_same = known is not None and known.run == run and _is_same(known.refusal, refusal)
    tries = known.tries + 1 if known is not None and is_same else 1
    pause = INVALID_PAUSE if refusal.is_invalid else min(FIRST_PAUSE * 2.0 ** min(tries - 1, 20), LONGEST_PAUSE)
    kept = known.refusal if known is not None and is_same else refusal
    not_before = now + (retry_after or 0.0)
    return _Refused(kept, run, tries, max(now + pause, not_before), not_before)


def _is_same(one: Refusal, other: Refusal) -> bool:
    return one.reason == other.reason and _outline(one.message) == _outline(other.message)


def _outline(text: str) -> str:
    """Return what a message says whichever Job it is about, and whatever has been counted."""
    return re.sub(r"[0-9]+", "0", re.sub(r"[\w.-]*-[0-9a-f]{10}\b", "", text))
