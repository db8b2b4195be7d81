"""Workflow, Chain, Swarm: the classes that a program works with, and their verbs."""

from __future__ import annotations

import asyncio
import copy
import warnings
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import ClassVar

from mageflow.api import CHAIN, SWARM, WORKFLOW, Kind, Lifecycle, Phase
from mageflow.client.container_log import LogSelection
from mageflow.client.handle import ObjectHandle, ObjectRef, Propagation
from mageflow.client.lifecycle_errors import DeadlineError, EndedError, InconsistentWarning, NotStartedError
from mageflow.client.lifecycle_requests import send_request
from mageflow.client.log_line import LogLine
from mageflow.client.log_stream import stream_logs
from mageflow.client.resource_status import Status, read_status
from mageflow.client.waiter import await_outcome
from mageflow.kube.errors import Cause, InvalidError, NotFoundError
from mageflow.kube.transport import Raw


class Resource:
    """A Workflow, Chain or Swarm: not in the cluster yet, or there.

    `suspend`, `interrupt`, `resume` and `cancel` set the lifecycle and return the status that is the operator's answer;
    with `wait=True`, the status by which it is in force: nothing runs any more, or it runs again. `seconds` limits
    that wait. If the resource ends meanwhile, that status is returned. Before `start()` nothing is sent: the lifecycle
    is noted for `start()`, and the status returned is empty.

    Each method that makes requests may raise UnreachableError, UnauthorizedError, ForbiddenError, and NotFoundError
    once the resource is deleted. The four also raise OvertakenError if somebody else sets another lifecycle meanwhile,
    BeingDeletedError, InvalidError if it is canceled, and DeadlineError.
    """

    _kind: ClassVar[Kind]

    def __init__(self, ref: ObjectRef, manifest: Raw, *, uid: str | None = None) -> None:
        self._ref = ref
        self._manifest = manifest
        self._handle = None if uid is None else ObjectHandle(ref, uid)

    def __repr__(self) -> str:
        return f"<{self._ref}{'' if self.is_started else ', not started'}>"

    @property
    def kind(self) -> str:
        """As in a manifest: `Workflow`, `Chain`, `Swarm`."""
        return self._kind.name

    @property
    def name(self) -> str:
        """Its name."""
        return self._ref.name

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return self._ref.namespace

    @property
    def is_started(self) -> bool:
        """It was created by `start()`, or found by `get()`."""
        return self._handle is not None

    @property
    def manifest(self) -> Raw:
        """A copy of what `start()` creates, or `get()` has read."""
        return copy.deepcopy(self._manifest)

    async def start(self) -> None:
        """Create it. Raises AlreadyExistsError if its name is taken, as it is on a second `start()`."""
        created = await self._ref.create(self._manifest)
        self._handle = ObjectHandle(self._ref, created["metadata"]["uid"])

    async def suspend(self, *, wait: bool = False, seconds: float | None = None) -> Status:
        """Have nothing new start, and what has started finish."""
        return await self._set_lifecycle(Lifecycle.SUSPENDED, wait, seconds)

    async def interrupt(self, *, wait: bool = False, seconds: float | None = None) -> Status:
        """Stop what runs, too. What was running runs again from its start once resumed."""
        return await self._set_lifecycle(Lifecycle.INTERRUPTED, wait, seconds)

    async def resume(self, *, wait: bool = False, seconds: float | None = None) -> Status:
        """Have it go on. Warns with InconsistentWarning if a running task was ever cut short."""
        status = await self._set_lifecycle(Lifecycle.ACTIVE, wait, seconds)
        if not status.is_consistent:
            what = f"{self._ref} was interrupted while it ran: what ran then runs again from its start"
            warnings.warn(what, InconsistentWarning, stacklevel=2)
        return status

    async def cancel(self, *, wait: bool = False, seconds: float | None = None) -> Status:
        """Stop it for good."""
        return await self._set_lifecycle(Lifecycle.CANCELED, wait, seconds)

    async def check(self, lifecycle: Lifecycle | str) -> Raw:
        """Have the API server check a lifecycle; return the resource as it would be. Nothing is written.

        Raises InvalidError if it is canceled, which is final.
        """
        return await self._started().patch({"lifecycle": Lifecycle(lifecycle).value}, dry_run=True)

    async def status(self) -> Status:
        """Return its status, which may be older than a change of the spec: see `Status.is_current`."""
        return read_status(await self._started().read())

    async def watch(self) -> AsyncGenerator[Status]:
        """Yield its current status, then each that differs from the one before, to its end.

        Raises NotFoundError if it is deleted.
        """
        before: Status | None = None
        async with aclosing(self._started().follow()) as resources:
            async for resource in resources:
                status = read_status(resource)
                if status.is_current and status != before:
                    yield status
                    before = status
                if status.has_ended:
                    return

    async def wait(self, *phases: Phase | str, seconds: float | None = None) -> Status:
        """Wait until it is in one of these phases, by default in Succeeded; return the status that says so.

        Raises EndedError if it ends in another, DeadlineError after `seconds`.
        """
        wanted = _read_phases(phases) or {Phase.SUCCEEDED}
        what = f"{self._ref} is {' or '.join(sorted(wanted))}"
        status = Status()
        try:
            async with asyncio.timeout(seconds), aclosing(self.watch()) as statuses:
                async for status in statuses:
                    if status.phase in wanted:
                        return status
        except TimeoutError:
            seen = f"{status.phase}, {status.message}" if status.phase else "the operator has said nothing of it yet"
            raise DeadlineError(f"after {seconds:g} s it is still not so that {what}: {seen}") from None
        raise EndedError(f"{self._ref} has ended as {status.phase}: {status.message}", status)

    async def logs(
        self,
        *,
        task: str | None = None,
        container: str | None = None,
        all_containers: bool = False,
        follow: bool = False,
        by_time: bool = False,
    ) -> AsyncGenerator[LogLine]:
        """Yield what its tasks, or one of them, have written so far, task by task, run by run.

        That is the log of the main container and, while it has not started or if it never did, of the init containers;
        or that of `container`, or of `all_containers`. With `by_time` the lines of several tasks come in the order in
        which they were written. With `follow`, go on until it ends, lines of several tasks mixed as they come. The pods
        of runs that were held, interrupted or disrupted are gone, and their logs with them.

        Raises NotFoundError if it has no such task, or no such container.
        """
        wanted = LogSelection(task, container, all_containers)
        async with aclosing(stream_logs(self._started(), wanted, follow=follow, by_time=by_time)) as lines:
            async for line in lines:
                yield line

    async def delete(
        self, *, propagation_policy: Propagation = "Background", wait: bool = False, seconds: float | None = None
    ) -> None:
        """Delete it. Its Jobs and pods, and so their logs, go with it, unless the policy is `Orphan`.

        With `wait`, until it is gone: with the policy `Foreground`, that is after its Jobs and pods.
        """
        handle = self._started()
        await handle.delete(propagation_policy)
        if not wait:
            return
        try:
            async with asyncio.timeout(seconds), aclosing(handle.follow()) as resources:
                async for _ in resources:
                    pass
        except TimeoutError:
            raise DeadlineError(f"{self._ref} is being deleted, but after {seconds:g} s it is still there") from None
        except NotFoundError:
            return

    async def _set_lifecycle(self, lifecycle: Lifecycle, wait: bool, seconds: float | None) -> Status:
        if self._handle is None:
            self._manifest["spec"]["lifecycle"] = lifecycle.value
            return Status()
        request = await send_request(self._handle, lifecycle)
        return await await_outcome(self._handle, request, wait=wait, seconds=seconds)

    def _started(self) -> ObjectHandle:
        if self._handle is None:
            raise NotStartedError(f"{self._ref} isn't in the cluster yet: start() comes first")
        return self._handle


class Workflow(Resource):
    """One task."""

    _kind = WORKFLOW

    async def suspend(self, *, wait: bool = False, seconds: float | None = None) -> Status:
        """Keep it from starting. If it runs already, raise TaskAlreadyRunningError, and leave it as it was.

        Nothing is written if its status says that it runs. If it turns out later, the change is taken back, unless
        somebody else has changed the spec since: `is_taken_back` and the message tell.
        """
        return await super().suspend(wait=wait, seconds=seconds)


class Chain(Resource):
    """Tasks one after the other, each given the output of the one before."""

    _kind = CHAIN


class Swarm(Resource):
    """Tasks side by side, at most `maxConcurrency` at once."""

    _kind = SWARM


def _read_phases(phases: tuple[Phase | str, ...]) -> set[Phase]:
    try:
        return {Phase(phase) for phase in phases}
    except ValueError as error:
        what = f"{error}; there are {', '.join(Phase)}"
        raise InvalidError("what is waited for", [Cause("phases", what)]) from None
