"""The operator: the real caches, queue and reconciler, on a wire on which each request and each watch event waits.

    reconcile → request ──→ Flight … delivered, refused, lost, answered … ──→ goes on
    Server.log ──→ Watch … told in order, late, again, or broken and listed anew … ──→ caches, queue

The event loop's clock is the model's: no time passes but by `pass_time`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from mageflow.api import KINDS, Kind
from mageflow.controller.caches import Caches
from mageflow.controller.clock import Clock
from mageflow.controller.queue import WorkQueue
from mageflow.controller.reconcile import Reconciler
from mageflow.controller.settings import Settings
from mageflow.kube.errors import NO_ANSWER, ApiError
from mageflow.kube.transport import Raw
from mageflow.testing.server import OPERATOR, Change, Server

NAMESPACE: Final = "team"

FROZEN: Final = "frozen leader"
"""Who makes the requests of an operator that goes on after another took over."""
WATCHED: Final = ("namespaces", *(kind.plural for kind in KINDS), "jobs", "pods")
RESOURCES: Final[dict[str, Kind]] = {kind.plural: kind for kind in KINDS}
WORKERS: Final = 4
NOON: Final = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


class ModelLoop(asyncio.SelectorEventLoop):
    """An event loop that waits for nothing, with a clock that stands still until it is told."""

    def __init__(self) -> None:
        self.clock = 0.0
        super().__init__()

    def time(self) -> float:
        return self.clock

    def spin(self) -> None:
        """Run all that can run now."""
        while True:
            self.call_soon(self.stop)
            self.run_forever()
            if not self._ready:  # type: ignore[attr-defined]
                return

    def next_timer(self) -> float | None:
        """Return when the next timer is due; None if there is none."""
        times: list[float] = [each.when() for each in self._scheduled if not each.cancelled()]  # type: ignore[attr-defined]
        return min(times, default=None)


class ModelClock(Clock):
    """Both clocks, by the time of the loop."""

    def __init__(self, loop: ModelLoop) -> None:
        self._loop = loop

    def now(self) -> datetime:
        return NOON + timedelta(seconds=self._loop.clock)

    def monotonic(self) -> float:
        return self._loop.clock


@dataclass(eq=False)
class Flight:
    """A request on its way."""

    method: str
    path: str
    body: Any
    query: Mapping[str, str] | None
    answer: asyncio.Future[Raw]

    def __str__(self) -> str:
        return f"{self.method} {self.path.rsplit('/team/')[-1]}"

    @property
    def is_creation(self) -> bool:
        """It is to create a Job."""
        return str(self) == "POST jobs"


class Wire:
    """Stands where the client does."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.by = OPERATOR
        self.flights: list[Flight] = []
        self.is_cut = False

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Raw:
        """Have a request wait on the wire."""
        if self.is_cut:
            raise asyncio.CancelledError
        flight = Flight(method, path, body, query, asyncio.get_running_loop().create_future())
        self.flights.append(flight)
        return await flight.answer

    def deliver(self, flight: Flight, *, loses_answer: bool = False) -> None:
        """Let a request arrive, and its answer too, if it isn't lost."""
        self.flights.remove(flight)
        try:
            answer = self._server.handle(self.by, flight.method, flight.path, flight.body, flight.query)
        except ApiError as error:
            self._fail(flight, ApiError(NO_ANSWER, "TimeoutError", "lost") if loses_answer else error)
            return
        if loses_answer:
            self._fail(flight, ApiError(NO_ANSWER, "TimeoutError", "lost"))
        elif not flight.answer.done():
            flight.answer.set_result(answer)

    def drop(self, flight: Flight, status: int = NO_ANSWER) -> None:
        """Lose a request, or have the API server too busy for it."""
        self._server.has_lost_status |= flight.path.endswith("/status")
        self.flights.remove(flight)
        self._fail(flight, ApiError(status, "ServiceUnavailable", "try again"))

    def _fail(self, flight: Flight, error: ApiError) -> None:
        if not flight.answer.done():
            flight.answer.set_exception(error)


class Process:
    """One operator from its start to its end."""

    def __init__(self, server: Server, loop: ModelLoop, clock: Clock) -> None:
        self._server = server
        self._loop = loop
        self.wire = Wire(server)
        self.caches = Caches(clock)
        self.reconciler = Reconciler(self.wire, self.caches, Settings(), clock, wake=lambda uid: self.queue.add(uid))
        self.queue = WorkQueue(self.reconciler.reconcile, WORKERS)
        self._told: dict[str, int] = {}
        for plural in WATCHED:
            self.list_anew(plural, is_start=True)
        self._work = loop.create_task(self.queue.run())
        for plural in WATCHED:
            self.list_anew(plural)
        loop.spin()

    # ── watches ──

    def list_anew(self, plural: str, *, is_start: bool = False) -> None:
        """Break a watch and list: what was deleted meanwhile isn't told."""
        self._told[plural] = len(self._server.log[plural])
        for raw in self._server.list(plural):
            self._tell(Change("LISTED", plural, raw), is_silent=is_start)

    def hear_next(self, plural: str) -> None:
        """Let the next event of a watch arrive."""
        log = self._server.log[plural]
        if self._told[plural] < len(log):
            self._told[plural] += 1
            self._tell(log[self._told[plural] - 1])

    def hear_again(self, plural: str, back: int) -> None:
        """Let an event arrive that has arrived already."""
        told = self._told[plural]
        if back < told:
            change = self._server.log[plural][told - 1 - back]
            self._tell(Change("MODIFIED", plural, change.object) if change.type == "ADDED" else change)

    def hear_all(self) -> None:
        """Let all events arrive."""
        for plural in WATCHED:
            while self._told[plural] < len(self._server.log[plural]):
                self.hear_next(plural)
        self._loop.spin()

    @property
    def is_up_to_date(self) -> bool:
        """All events have arrived."""
        return all(self._told[plural] == len(self._server.log[plural]) for plural in WATCHED)

    def _tell(self, change: Change, *, is_silent: bool = False) -> None:
        is_gone = change.type == "DELETED"
        match change.plural:
            case "jobs":
                uid = self.caches.delete_job(change.object) if is_gone else self.caches.upsert_job(change.object)
            case "pods":
                uid = self.caches.delete_pod(change.object) if is_gone else self.caches.upsert_pod(change.object)
            case "namespaces":
                self.caches.namespaces.upsert(change.object)
                if not is_silent:
                    self._run_in_loop(lambda: self._add(*self.caches.namespaces.take_changed(NAMESPACE)))
                return
            case plural if is_gone:
                uid = self.caches.delete_resource(change.object)
            case plural:
                uid = self.caches.upsert_resource(RESOURCES[plural], change.object)
        if uid is not None and not is_silent:
            self._run_in_loop(lambda: self._add(uid))

    def _add(self, *uids: str) -> None:
        for uid in uids:
            self.reconciler.hear(uid)
            self.queue.add(uid)

    def _run_in_loop(self, act: Callable[[], None]) -> None:
        """Call something that needs a running loop."""
        self._loop.call_soon(act)
        self._loop.spin()

    # ── its end ──

    def kill(self) -> None:
        """End it as SIGKILL does: what waits on the wire is lost."""
        self.wire.is_cut = True
        self.wire.flights.clear()
        self._work.cancel()
        self.reconciler.background.cancel()
        self._run_in_loop(self.queue.close)
        assert self._work.done()
