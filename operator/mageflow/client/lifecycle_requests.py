"""Lifecycle requests: a lifecycle that was written to a spec, and what later sightings of the resource say of it.

`assess` decides, without any I/O; the first line that holds is the assessment:

    Deleted         the resource is gone; it may have been made anew, which is another resource
    Ended           it has succeeded, failed or been canceled
    BeingDeleted    no status will ever say that the request is in force
    Pending         this is how it was before the write
    Overtaken       somebody else has set another lifecycle since, whether the operator has answered them or not
    Pending         the status is older than the write
    Refused         its single task runs, and a suspend never stops a task: the write is to be taken back
    InForce         what was asked for is so, or nothing more will come of it
    Observed        the operator has answered, and is at work

Age is told by generations: `metadata.generation` counts the writes of the spec, and only those, and the answer to a
write has the number that it got. A status with an `observedGeneration` of at least that was made knowing the write.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from mageflow.api import WORKFLOW, Lifecycle, Phase, TaskPhase, read_lifecycle, reasons
from mageflow.client.diagnosis import check_deletion, describe_deletion, is_being_deleted
from mageflow.client.handle import ObjectHandle
from mageflow.client.lifecycle_errors import TaskAlreadyRunningError
from mageflow.client.resource_status import Status, read_status
from mageflow.kube.backoff import Backoff
from mageflow.kube.errors import ConflictError
from mageflow.kube.transport import Raw


@dataclass(frozen=True, slots=True)
class LifecycleRequest:
    """A lifecycle that was written to a spec."""

    uid: str
    """Of the resource."""
    lifecycle: Lifecycle
    generation: int
    """Of the spec, as the write left it."""
    before: Lifecycle | None = None
    """The lifecycle to which the write can be taken back; None if it isn't to be, or changed nothing."""


# ── assess ──


@dataclass(frozen=True, slots=True)
class Pending:
    """The operator hasn't answered yet."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The operator has answered, and what was asked for isn't in force yet."""

    status: Status
    may_be_refused: bool = False
    """A pod that hasn't started, as far as is known, is being evicted: if that comes too late, its task runs on."""


@dataclass(frozen=True, slots=True)
class InForce:
    """What was asked for is so; or it is `active`, and something else holds it."""

    status: Status


@dataclass(frozen=True, slots=True)
class Ended:
    """It has ended, which nothing changes any more."""

    status: Status


@dataclass(frozen=True, slots=True)
class Refused:
    """A suspend found the task of a Workflow running."""

    status: Status


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Somebody else has set another lifecycle since."""

    lifecycle: Lifecycle
    """Theirs."""

    @property
    def message(self) -> str:
        """What has happened, as a sentence without the resource's name."""
        return f"somebody else has set its lifecycle to {self.lifecycle} since"


@dataclass(frozen=True, slots=True)
class BeingDeleted:
    """It is on its way out; somebody's finalizer may keep it for long."""

    message: str
    """What that means for its pods, as a sentence without the resource's name."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """It is gone."""

    message: str = "it was deleted"
    """What has happened, as a sentence without the resource's name."""


Assessment: TypeAlias = Pending | Observed | InForce | Ended | Refused | Overtaken | BeingDeleted | Deleted


def assess(request: LifecycleRequest, resource: Raw | None) -> Assessment:
    """Tell what has become of a request, by one sighting of the resource; None: there is no such resource.

    Whether it is asked for still comes before whether it is in force: what is in force may be what somebody else asked
    for since.
    """
    if resource is None or resource["metadata"]["uid"] != request.uid:
        return Deleted()
    status = read_status(resource)
    if status.has_ended:
        return Ended(status)
    if is_being_deleted(resource):
        return BeingDeleted(describe_deletion(resource, request.lifecycle))
    if status.generation < request.generation:
        return Pending()
    lifecycle = read_lifecycle(resource["spec"].get("lifecycle"))
    if lifecycle is not request.lifecycle:
        return Overtaken(lifecycle)
    if not status.observes(request.generation):
        return Pending()
    return _assess_answer(request, resource, status)


def _assess_answer(request: LifecycleRequest, resource: Raw, status: Status) -> Assessment:
    """Tell what the operator's answer to a request means."""
    if request.lifecycle is Lifecycle.SUSPENDED and status.reason == reasons.TASK_ALREADY_RUNNING:
        return Refused(status)
    is_held = status.is_current and (status.is_held_by_namespace or status.is_held_by_failure)
    if status.is_in_force or (request.lifecycle is Lifecycle.ACTIVE and is_held):
        return InForce(status)
    is_single = resource["kind"] == WORKFLOW.name
    return Observed(status, may_be_refused=is_single and status.phase is Phase.SUSPENDING)


def runs_on(status: Status) -> bool:
    """Tell whether the task of a Workflow runs, so that a suspend finds nothing to hold."""
    return not status.has_ended and any(task.phase is TaskPhase.RUNNING for task in status.tasks)


# ── write ──


async def send_request(handle: ObjectHandle, lifecycle: Lifecycle) -> LifecycleRequest:
    """Write a lifecycle: revertibly where a running task may refuse it, which is a suspend of a Workflow.

    Raises what `request_lifecycle` and `request_revertible` raise.
    """
    if handle.ref.kind is WORKFLOW and lifecycle is Lifecycle.SUSPENDED:
        return await request_revertible(handle, lifecycle)
    return await request_lifecycle(handle, lifecycle)


async def request_lifecycle(handle: ObjectHandle, lifecycle: Lifecycle) -> LifecycleRequest:
    """Write a lifecycle, whatever is there: as `kubectl patch` does. Raises what a patch raises."""
    written = await handle.patch({"lifecycle": lifecycle.value})
    return LifecycleRequest(handle.uid, lifecycle, written["metadata"]["generation"])


async def request_revertible(handle: ObjectHandle, lifecycle: Lifecycle) -> LifecycleRequest:
    """Write a lifecycle to a Workflow over the one that was just read, so that the write can be taken back.

    Raises TaskAlreadyRunningError, with nothing written, if the status shows that the task runs: a write that is then
    taken back would be told by two Events, and be two changes for whoever watches the spec. ConflictError, if somebody
    else writes between each reading and the write after it until the connection's patience ends; there is a pause
    after each such conflict.
    """
    backoff = Backoff(handle.ref.connection.patience)
    while True:
        seen = await handle.read()
        before = read_lifecycle(seen["spec"].get("lifecycle"))
        status = read_status(seen)
        if runs_on(status):
            check_deletion(handle, seen, lifecycle)
            raise _nothing_written(handle, f"run {status.tasks[0].run}", before)
        try:
            written = await handle.patch({"lifecycle": lifecycle.value}, version=seen["metadata"]["resourceVersion"])
        except ConflictError as error:  # somebody, the operator most often, has written since it was read
            await backoff.pause(error, is_passing=True)
        else:
            generation = written["metadata"]["generation"]
            return LifecycleRequest(handle.uid, lifecycle, generation, None if before is lifecycle else before)


async def take_back(
    handle: ObjectHandle, request: LifecycleRequest, resource: Raw, status: Status
) -> TaskAlreadyRunningError | None:
    """Take back a suspend that found its task running; return the error for the caller, None if it is to look again.

    The take-back must undo this client's own write, and never overwrite what somebody else wrote after it. The
    resourceVersion that this client's write gave can't be the precondition: the operator's answer, in the status, has
    moved it by now, so that no take-back would ever succeed. What counts is that nobody has written the *spec* since,
    which is so as long as `metadata.generation` is the number that the write gave. The object in hand shows that at
    its own resourceVersion; with that as the precondition, it is still so at the moment of the take-back.
    If it isn't (409), return None: what has changed comes next from the watch, and is assessed anew. So a task that
    failed meanwhile, whose retry the suspend does hold, stays suspended.
    """
    if request.before is None:
        return _nothing_written(handle, status.message, request.lifecycle)
    what = f"{handle.ref} is running ({status.message}); interrupt() would stop it"
    metadata = resource["metadata"]
    if metadata["generation"] != request.generation:
        why = (
            "the suspend was NOT taken back: somebody else has changed the spec since "
            f"(generation {metadata['generation']}, this call wrote {request.generation})"
        )
        return TaskAlreadyRunningError(what, is_taken_back=False, consequence=why)
    try:
        await handle.patch({"lifecycle": request.before.value}, version=metadata["resourceVersion"])
    except ConflictError:
        return None
    why = f"the suspend was taken back: spec.lifecycle is {request.before.value} again"
    return TaskAlreadyRunningError(what, is_taken_back=True, consequence=why)


def _nothing_written(handle: ObjectHandle, how: str, lifecycle: Lifecycle) -> TaskAlreadyRunningError:
    """Return the error that says that nothing was written: `lifecycle` is what it was, and is."""
    was_suspended = lifecycle is Lifecycle.SUSPENDED
    why = "it was to be suspended before this call, and still is" if was_suspended else "nothing was changed"
    what = f"{handle.ref} is running ({how}); interrupt() would stop it"
    return TaskAlreadyRunningError(what, is_taken_back=not was_suspended, consequence=why)
