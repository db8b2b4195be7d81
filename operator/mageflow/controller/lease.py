"""Leader election by a Lease: of several operators, one acts (docs/adr/0010, docs/adr/0015).

    nobody's, given back, or not renewed for as long as it lasts  ──→  take it  ──→  act  ──→  renew it, again and again
                                                                                      │
                     until the deadline: as long as the Lease lasts, less a margin, from when its last renewal was sent

All times are on this process's monotonic clock. How long a Lease has not been renewed is counted from when its last
renewal was seen, so the clocks of two operators needn't agree. The leader looks at the deadline before each request,
and begins none after it. A request that was begun before may outlast the deadline: it has a precondition, or its
object's name guards it, and the next leader reckons with it.
https://kubernetes.io/docs/concepts/architecture/leases/
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from mageflow.controller.api_server import ApiServer
from mageflow.controller.clock import Clock
from mageflow.controller.settings import LeaseName
from mageflow.kube.errors import ApiError
from mageflow.kube.transport import Raw

LEASE_SECONDS: Final = 4
"""How long a Lease lasts that is not renewed: an operator that was killed is replaced after that."""

MARGIN_SECONDS: Final = 0.5
"""How much sooner its holder stops acting: some time passes between the look at the deadline and the request."""

RENEW_SECONDS: Final = 1.0
"""How often the holder renews it."""

LOOK_SECONDS: Final = 0.5
"""How often the others read it: a Lease that was given back is taken within that time."""

RENEWAL_SECONDS: Final = 1.5
"""How long one request for the Lease may take, so that there is time for another before the deadline."""

SOON_SECONDS: Final = 0.05
"""The shortest pause between two requests for the Lease."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ObservedLease:
    """The Lease as it was read last."""

    raw: Raw
    since: float
    """When this version of it was read first, on the monotonic clock."""

    @property
    def spec(self) -> Raw:
        """Its spec; empty if it has none."""
        spec: Raw = self.raw.get("spec") or {}
        return spec

    @property
    def holder(self) -> str:
        """Who holds it; empty if nobody does."""
        return self.spec.get("holderIdentity") or ""

    @property
    def version(self) -> str:
        """Its resourceVersion: it moves with each renewal."""
        version: str = self.raw["metadata"]["resourceVersion"]
        return version

    @property
    def ends_at(self) -> float:
        """When it may be taken if nobody renews it."""
        return self.since + (self.spec.get("leaseDurationSeconds") or LEASE_SECONDS)

    def is_free(self, now: float) -> bool:
        """Tell whether anyone may take it."""
        return not self.holder or now >= self.ends_at


class Election:
    """Takes the Lease when it can, from `become_candidate` to `withdraw`, and keeps it.

    `on_elected` is called each time that the Lease was taken. Until it has returned nobody is the leader, though the
    Lease is renewed meanwhile. If it raises ApiError it is called again with the next renewal.
    """

    def __init__(
        self,
        client: ApiServer,
        clock: Clock,
        name: LeaseName,
        identity: str,
        on_elected: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self._client = client
        self._clock = clock
        self._name = name
        self._identity = identity
        self._on_elected = on_elected
        self._is_candidate = False
        self._taking_over: asyncio.Task[None] | None = None
        """The call of `on_elected` since the Lease was taken."""
        self._lease: ObservedLease | None = None
        self._deadline = 0.0
        self._warned_of = ""

    def become_candidate(self) -> None:
        """Take the Lease from now on when it may be taken, as long as `run` goes on."""
        self._is_candidate = True

    def withdraw(self) -> None:
        """Act no more, and neither take nor renew the Lease: `run` is about to end."""
        self._is_candidate = False
        self._stop_acting()

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        """Take and keep the Lease during the block; then give it back, so that another takes it at once."""
        async with asyncio.TaskGroup() as group:
            keeping = group.create_task(self._keep())
            yield
            keeping.cancel()
        await self._give_back()

    @property
    def seconds_left(self) -> float:
        """For how many seconds this operator may still act; 0 if it doesn't hold the Lease."""
        return max(0.0, self._deadline - self._clock.monotonic())

    @property
    def is_leader(self) -> bool:
        """It holds the Lease, and `on_elected` has returned."""
        return self.seconds_left > 0 and _is_done(self._taking_over)

    async def _keep(self) -> None:
        try:
            while True:
                try:
                    await self._step()
                except ApiError as error:
                    self._warn(f"{self._name}: {error.line}")
                    pause = SOON_SECONDS if self.seconds_left else self._pause()
                else:
                    pause = self._pause()
                    self._warned_of = "" if _error_of(self._taking_over) is None else self._warned_of
                await asyncio.sleep(pause)
        finally:
            self._stop_acting()

    async def _give_back(self) -> None:
        try:
            await self._get()
            if self._lease is not None and self._lease.holder == self._identity:
                await self._write({"holderIdentity": "", "leaseDurationSeconds": 1})
        except ApiError as error:
            logger.warning("%s could not be given back, and ends by itself: %s", self._name, error.line)

    async def _step(self) -> None:
        if not self._is_candidate:
            return
        if not self.seconds_left:
            if self._taking_over is not None:
                logger.warning("%s was not renewed in time: another may act now", self._name)
            self._stop_acting()
            await self._get()
        if self._lease is not None and not self._may_be_taken(self._lease):
            return
        await self._take()
        error = _error_of(self._taking_over)
        if error is not None:
            self._warn(f"{self._name} is held, but what there is can't be read yet: {error.line}")
        elif self._taking_over is None:
            logger.info("%s is held by %s", self._name, self._identity)
        if self._is_candidate and (error is not None or self._taking_over is None):
            self._taking_over = asyncio.create_task(self._on_elected())

    def _warn(self, what: str) -> None:
        """Log a failure that is tried again soon: once for as long as it is the same."""
        if what != self._warned_of:
            logger.warning(what)
        self._warned_of = what

    def _may_be_taken(self, lease: ObservedLease) -> bool:
        return lease.holder == self._identity or lease.is_free(self._clock.monotonic())

    def _stop_acting(self) -> None:
        self._deadline = 0.0
        if self._taking_over is not None:
            self._taking_over.cancel()
            self._taking_over = None

    async def _get(self) -> None:
        try:
            lease = await self._client.request("GET", self._name.path, seconds=RENEWAL_SECONDS)
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise
            self._lease = None
            return
        if self._lease is None or self._lease.version != lease["metadata"]["resourceVersion"]:
            self._lease = ObservedLease(lease, self._clock.monotonic())

    async def _take(self) -> None:
        """Take or renew the Lease; raise ApiError if that fails."""
        sent_at = self._clock.monotonic()
        now = self._clock.now().isoformat(timespec="microseconds").replace("+00:00", "Z")
        changes: dict[str, Any] = {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": LEASE_SECONDS,
            "renewTime": now,
        }
        if self._lease is None or self._lease.holder != self._identity:
            transitions = 0 if self._lease is None else self._lease.spec.get("leaseTransitions") or 0
            changes |= {"acquireTime": now, "leaseTransitions": transitions + 1}
        try:
            await self._write(changes)
        except ApiError as error:
            if error.status == HTTPStatus.CONFLICT:
                await self._get()  # a renewal of ours that got no answer, or somebody else has taken it
                if self._lease is not None and self._lease.holder != self._identity:
                    self._stop_acting()
            raise
        self._deadline = sent_at + LEASE_SECONDS - MARGIN_SECONDS

    async def _write(self, changes: dict[str, Any]) -> None:
        known = self._lease
        if known is None:
            metadata = {"name": self._name.name, "namespace": self._name.namespace}
            body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": changes}
            lease = await self._client.request("POST", self._name.collection, body, seconds=RENEWAL_SECONDS)
        else:
            body = {**known.raw, "spec": {**known.spec, **changes}}
            lease = await self._client.request("PUT", self._name.path, body, seconds=RENEWAL_SECONDS)
        self._lease = ObservedLease(lease, self._clock.monotonic())

    def _pause(self) -> float:
        """Return for how many seconds to wait before the next step: a Lease that ends is taken soon."""
        if self.seconds_left:
            return RENEW_SECONDS
        if self._lease is None or not self._lease.holder:
            return LOOK_SECONDS
        return min(LOOK_SECONDS, max(SOON_SECONDS, self._lease.ends_at - self._clock.monotonic()))


def _is_done(task: asyncio.Task[None] | None) -> bool:
    """Tell whether a task has ended without an error."""
    return task is not None and task.done() and _error_of(task) is None


def _error_of(task: asyncio.Task[None] | None) -> ApiError | None:
    """Return the ApiError by which a task has failed, None if by none. Raises any other error, which is a bug."""
    error = None if task is None or not task.done() else task.exception()
    if error is not None and not isinstance(error, ApiError):
        raise error
    return error
