"""The wait for lifecycle requests: one loop, be it one request or a thousand.

watches ──→ sighting ──→ assess ──→ Pending, Observed: go on; else the request has its outcome
time    ──→ an operator that has answered nothing for `patience` seconds, or `seconds` that have passed
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias, assert_never

from mageflow.client.connection import Connection
from mageflow.client.diagnosis import diagnose_silence
from mageflow.client.handle import ObjectHandle
from mageflow.client.lifecycle_errors import BeingDeletedError, DeadlineError, OvertakenError
from mageflow.client.lifecycle_requests import (
    BeingDeleted,
    Deleted,
    LifecycleRequest,
    Observed,
    Overtaken,
    Pending,
    Refused,
    assess,
    take_back,
)
from mageflow.client.resource_status import Status
from mageflow.client.scopes import Scope, Snapshot, Watches, scopes_by_name
from mageflow.kube.errors import MageflowError, NotFoundError
from mageflow.kube.transport import Raw

AT_ONCE: Final = 50
"""Requests for which it is looked up at the same time why nobody answers."""


@dataclass(frozen=True, slots=True)
class Answer:
    """The operator's answer to a request."""

    status: Status
    resource: Raw
    """The whole resource that has this status."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The failure of a request: it won't be in force, or wasn't in time."""

    error: MageflowError
    message: str | None = None
    """The same without the resource's name, for a line that begins with that; None: there is no shorter one."""
    answer: Answer | None = None
    """What the operator said last; None if it hasn't answered."""


Outcome: TypeAlias = Answer | Failure


class Waiter:
    """Waits until the operator has answered each of several requests; with `until_in_force`, until each is in force.

    `seconds`: how long it may take from `started_at`, a time of the event loop, until all are in force; None: for ever.
    An operator that answers none for the connection's `patience` is said not to answer.
    `on_change`: given the uid and what the operator says, at each answer that isn't the end of the wait.
    `on_end`: given the uid and the outcome, once for each request.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        until_in_force: bool,
        seconds: float | None = None,
        started_at: float | None = None,
        on_change: Callable[[str, Answer], None] = lambda *_: None,
        on_end: Callable[[str, Outcome], None],
    ) -> None:
        self._connection = connection
        self._until_in_force = until_in_force
        self._seconds = seconds
        self._started_at = started_at
        self._on_change = on_change
        self._on_end = on_end
        self._open: dict[str, _Open] = {}
        self._answer_due = 0.0
        self._end_due: float | None = None

    async def run(self, requests: Iterable[tuple[ObjectHandle, LifecycleRequest]]) -> None:
        """Wait for all requests. An error of a watch is the outcome of the requests that it was to tell of."""
        self._open = {request.uid: _Open(handle, request) for handle, request in requests}
        if not self._open:
            return
        now = _now()
        self._answer_due = now + self._connection.patience
        if self._seconds is not None:
            self._end_due = (now if self._started_at is None else self._started_at) + self._seconds
        by_scope = _group_by_scope(self._open.values())
        async with Watches(self._connection, by_scope) as watches:
            while self._open:
                try:
                    async with asyncio.timeout_at(self._next_due()):
                        news = await watches.next()
                except TimeoutError:
                    await self._end_overdue()
                else:
                    for scope, told in news.items():
                        await self._look(by_scope[scope], told)

    async def _look(self, requests: Iterable[_Open], told: Snapshot | MageflowError) -> None:
        """Look at all open requests of a scope."""
        for it in requests:
            if it.request.uid not in self._open:
                continue
            if isinstance(told, MageflowError):
                self._end(it, Failure(told))
                continue
            resource = told.get(it.request.uid)
            if resource is None or resource is not it.seen:
                it.seen = resource
                outcome = await self._outcome_of(it, resource)
                if outcome is not None:
                    self._end(it, outcome)

    async def _outcome_of(self, it: _Open, resource: Raw | None) -> Outcome | None:
        """Return the outcome of a request by a new sighting; None if the wait goes on."""
        assessment = assess(it.request, resource)
        match assessment:
            case Pending():
                return None
            case Deleted() | BeingDeleted() | Overtaken():
                return _failure_of(it, assessment)
        assert resource is not None  # noqa: S101 - else it is Deleted
        answer = self._note_answer(it, Answer(assessment.status, resource))
        match assessment:
            case Refused(status):
                try:
                    refusal = await take_back(it.handle, it.request, resource, status)
                except MageflowError as error:
                    return Failure(error)
                return None if refusal is None else Failure(refusal, answer=answer)
            case Observed(may_be_refused=may_be_refused) if self._until_in_force or may_be_refused:
                self._on_change(it.request.uid, answer)
                return None
        return answer

    def _note_answer(self, it: _Open, answer: Answer) -> Answer:
        """Note what the operator says of a request; that it does shows that there is one."""
        if it.answer is None:
            it.answered_at = _now()
            self._answer_due = it.answered_at + self._connection.patience
        it.answer = answer
        return answer

    def _end(self, it: _Open, outcome: Outcome) -> None:
        del self._open[it.request.uid]
        self._on_end(it.request.uid, outcome)

    # ── time ──

    def _due(self, it: _Open) -> float | None:
        """Return when the wait for a request ends at the latest; None: never."""
        if it.answer is None:
            return self._answer_due
        return self._end_due if self._until_in_force else it.answered_at + self._connection.patience

    def _next_due(self) -> float | None:
        return min((due for it in self._open.values() if (due := self._due(it)) is not None), default=None)

    async def _end_overdue(self) -> None:
        """End the requests whose time has come."""
        now = _now()
        overdue = [it for it in self._open.values() if (due := self._due(it)) is not None and due <= now]
        for it in overdue:
            if it.answer is not None:
                self._end(it, self._late(it, it.answer) if self._until_in_force else it.answer)
        turns = asyncio.Semaphore(AT_ONCE)

        async def end(it: _Open) -> None:
            async with turns:
                cause = await diagnose_silence(it.handle)
            self._end(it, Failure(DeadlineError(f"{it}, but {self._silence} {cause}")))

        await asyncio.gather(*(end(it) for it in overdue if it.answer is None))

    @property
    def _silence(self) -> str:
        return f"in {self._connection.patience:g} s no operator has taken notice:"

    def _late(self, it: _Open, answer: Answer) -> Failure:
        status = answer.status
        what = f"after {self._seconds:g} s it isn't in force: {status.phase}, {status.message}"
        return Failure(DeadlineError(f"{it}, but {what}"), answer=answer)


async def await_outcome(
    handle: ObjectHandle, request: LifecycleRequest, *, wait: bool, seconds: float | None
) -> Status:
    """Wait until the operator has answered a request; with `wait`, until it is in force. Return the status then.

    Raises TaskAlreadyRunningError, OvertakenError, DeadlineError; BeingDeletedError at once if it is on its way out,
    NotFoundError if it is gone.
    """
    outcomes: list[Outcome] = []
    waiter = Waiter(
        handle.ref.connection,
        until_in_force=wait,
        seconds=seconds,
        on_end=lambda _, outcome: outcomes.append(outcome),
    )
    await waiter.run([(handle, request)])
    (outcome,) = outcomes
    if isinstance(outcome, Failure):
        raise outcome.error
    return outcome.status


@dataclass(slots=True, eq=False)
class _Open:
    """A request that is waited for."""

    handle: ObjectHandle
    request: LifecycleRequest
    seen: Raw | None = None
    """As it was assessed last."""
    answer: Answer | None = None
    answered_at: float = 0.0
    """When the first answer came."""

    def __str__(self) -> str:
        return f"spec.lifecycle of {self.handle.ref} is {self.request.lifecycle.value}"


def _failure_of(it: _Open, assessment: Deleted | BeingDeleted | Overtaken) -> Failure:
    ref, message = it.handle.ref, assessment.message
    match assessment:
        case Deleted():
            return Failure(NotFoundError(404, "NotFound", f"{ref} was deleted"), message)
        case BeingDeleted():
            return Failure(BeingDeletedError(f"{ref} {message}"), message)
        case Overtaken(lifecycle):
            what = f"this call set the lifecycle of {ref} to {it.request.lifecycle.value}"
            return Failure(OvertakenError(f"{what}, and somebody else has set it to {lifecycle.value} since"), message)
        case _:
            assert_never(assessment)


def _group_by_scope(requests: Iterable[_Open]) -> dict[Scope, list[_Open]]:
    """Return the scopes to watch, each with its requests."""
    names = defaultdict(list)
    for it in requests:
        ref = it.handle.ref
        names[ref.kind, ref.namespace].append(it)
    groups: dict[Scope, list[_Open]] = {}
    for (kind, namespace), found in names.items():
        for scope in scopes_by_name(kind, namespace, (it.handle.ref.name for it in found)):
            groups[scope] = [it for it in found if scope.name in (None, it.handle.ref.name)]
    return groups


def _now() -> float:
    return asyncio.get_running_loop().time()
