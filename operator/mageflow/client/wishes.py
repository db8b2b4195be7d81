"""Lifecycles that are asked for: written, answered by the operator, and, if a running task is in the way, taken back.

    read: does its task run? ──→ then nothing is written, raise TaskAlreadyRunning
          │
    write spec.lifecycle ──→ wait for a status that speaks of it ──→ return the status
                               │        │            │
                               │        │            └─ TaskAlreadyRunning: take it back, raise
                               │        └─ another lifecycle since: raise OvertakenError
                               └─ none in time: raise DeadlineError

Which status speaks of a write: `metadata.generation` counts the writes of the spec, and only those, and the write's own
answer tells the number that it got. A status with an `observedGeneration` of at least that number was made knowing it.
"""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import dataclass

from mageflow.api import WORKFLOW, Lifecycle, LifecycleSource, Phase, TaskPhase, read_lifecycle, reasons
from mageflow.client.errors import DeadlineError, OvertakenError, TaskAlreadyRunningError
from mageflow.client.handle import Handle
from mageflow.client.silence import check_deletion, find_cause
from mageflow.client.status import Status, read_status
from mageflow.kube.backoff import Backoff
from mageflow.kube.errors import ConflictError
from mageflow.kube.transport import Raw


@dataclass(frozen=True, slots=True)
class Wish:
    """A lifecycle that was written."""

    lifecycle: Lifecycle
    generation: int
    """Of the spec, as the write left it."""
    before: Lifecycle | None = None
    """What it was before this write, and is to be again if it is taken back; None if this write changed nothing."""


async def write_wish(handle: Handle, lifecycle: Lifecycle) -> Wish:
    """Write a lifecycle, whatever is there: as `kubectl patch` does."""
    written = await handle.patch({"lifecycle": lifecycle.value})
    return Wish(lifecycle, written["metadata"]["generation"])


async def write_suspend(handle: Handle) -> Wish:
    """Suspend a single task, over the lifecycle that was just read, so that it is known what to take it back to.

    Raises TaskAlreadyRunningError, with nothing written, if the status shows that the task runs: a write that is then
    taken back would be told by two Events, and be two changes for whoever watches the spec. ConflictError, if somebody
    else writes between each reading and the write after it for as long as the connection has patience.
    """
    pauses = Backoff(handle.place.connection.patience)
    while True:
        seen = await handle.read()
        before = _lifecycle_of(seen)
        status = read_status(seen)
        if runs_on(status):
            check_deletion(handle, seen, Lifecycle.SUSPENDED)
            raise _refusal(handle, f"run {status.tasks[0].run}", before)
        try:
            spec, version = {"lifecycle": Lifecycle.SUSPENDED.value}, seen["metadata"]["resourceVersion"]
            written = await handle.patch(spec, version=version)
        except ConflictError as error:  # somebody, the operator most often, has written since it was read
            await pauses.pause(error, is_passing=True)
        else:
            changed = None if before is Lifecycle.SUSPENDED else before
            return Wish(Lifecycle.SUSPENDED, written["metadata"]["generation"], changed)


def runs_on(status: Status) -> bool:
    """Tell whether the single task that a status tells of runs, so that a suspend finds nothing to hold."""
    return not status.has_ended and any(task.phase is TaskPhase.RUNNING for task in status.tasks)


async def await_answer(handle: Handle, wish: Wish, *, wait: bool, seconds: float | None) -> Status:
    """Wait until the operator answers a wish; with `wait`, until it is in force. Return the status that says so.

    The operator has as long as the connection has patience; that it is in force may take `seconds`.
    Raises TaskAlreadyRunningError, OvertakenError, DeadlineError; BeingDeletedError at once if it is on its way out,
    NotFoundError if it is gone.
    """
    loop = asyncio.get_running_loop()
    patience = handle.place.connection.patience
    limit = None if seconds is None else loop.time() + seconds
    answer: Status | None = None
    try:
        async with asyncio.timeout(patience) as deadline, aclosing(handle.follow()) as resources:
            async for resource in resources:
                status = read_status(resource)
                if status.has_ended:
                    break
                check_deletion(handle, resource, wish.lifecycle)
                _check_overtaken(handle, wish, resource)
                if not status.observes(wish.generation):
                    continue
                if status.reason == reasons.TASK_ALREADY_RUNNING and wish.lifecycle is Lifecycle.SUSPENDED:
                    await _refuse(handle, wish, resource, status)
                    continue
                if answer is None and wait:
                    deadline.reschedule(limit)
                answer = status
                if _is_settled(status, wish) if wait else not _may_yet_be_refused(handle, status):
                    break
    except TimeoutError:
        if answer is not None and not wait:
            return answer
        cause = await find_cause(handle) if answer is None else ""
        raise _too_late(handle, wish, answer, patience if answer is None else seconds, cause) from None
    return status


async def _refuse(handle: Handle, wish: Wish, resource: Raw, status: Status) -> None:
    """Take back a suspend that found its task running, and raise TaskAlreadyRunningError.

    The take-back must undo this client's own write, and never overwrite what somebody else wrote after it. The
    resourceVersion that this client's write gave can't be the precondition: the operator's answer, in the status, has
    moved it by now, so that no take-back would ever succeed. What counts is that nobody has written the *spec* since,
    which is so as long as `metadata.generation` is the number that the write gave. The object in hand shows that at
    its own resourceVersion; with that as the precondition, it is still so at the moment of the take-back.
    If it isn't (409), return: what has changed comes next from the watch, and is judged anew. So a task that failed
    meanwhile, whose retry the suspend does hold, stays suspended.
    """
    if wish.before is None:
        raise _refusal(handle, status.message, wish.lifecycle)
    what = f"{handle.place} is running ({status.message}); interrupt() would stop it"
    metadata = resource["metadata"]
    if metadata["generation"] != wish.generation:
        why = (
            "the suspend was NOT taken back: somebody else has changed the spec since "
            f"(generation {metadata['generation']}, this call wrote {wish.generation})"
        )
        raise TaskAlreadyRunningError(f"{what}; {why}", is_taken_back=False)
    try:
        await handle.patch({"lifecycle": wish.before.value}, version=metadata["resourceVersion"])
    except ConflictError:
        return
    why = f"the suspend was taken back: spec.lifecycle is {wish.before.value} again"
    raise TaskAlreadyRunningError(f"{what}; {why}", is_taken_back=True)


def _refusal(handle: Handle, how: str, lifecycle: Lifecycle) -> TaskAlreadyRunningError:
    """Return the error that says that nothing was written: `lifecycle` is what it was, and is."""
    was_suspended = lifecycle is Lifecycle.SUSPENDED
    why = "it was to be suspended before this call, and still is" if was_suspended else "nothing was changed"
    what = f"{handle.place} is running ({how}); interrupt() would stop it; {why}"
    return TaskAlreadyRunningError(what, is_taken_back=not was_suspended)


def _is_settled(status: Status, wish: Wish) -> bool:
    """What was asked for is in force, or it is `active` and something has to be mended first."""
    is_stopped = status.is_current and status.lifecycle_source is LifecycleSource.FAILURE
    return status.is_in_force or (is_stopped and wish.lifecycle is Lifecycle.ACTIVE)


def _may_yet_be_refused(handle: Handle, status: Status) -> bool:
    """A single task whose pod is being evicted: if that comes too late, the task runs on after all."""
    return handle.place.kind is WORKFLOW and status.phase is Phase.SUSPENDING


def _check_overtaken(handle: Handle, wish: Wish, resource: Raw) -> None:
    now = _lifecycle_of(resource)
    if resource["metadata"]["generation"] > wish.generation and now is not wish.lifecycle:
        what = f"this call set the lifecycle of {handle.place} to {wish.lifecycle.value}"
        raise OvertakenError(f"{what}, and somebody else has set it to {now.value} since")


def _too_late(handle: Handle, wish: Wish, answer: Status | None, seconds: float | None, cause: str) -> DeadlineError:
    what = f"spec.lifecycle of {handle.place} is {wish.lifecycle.value}"
    if answer is None:
        return DeadlineError(f"{what}, but in {seconds:g} s no operator has taken notice: {cause}")
    return DeadlineError(f"{what}, but after {seconds:g} s it isn't in force: {answer.phase}, {answer.message}")


def _lifecycle_of(resource: Raw) -> Lifecycle:
    return read_lifecycle(resource["spec"].get("lifecycle"))
