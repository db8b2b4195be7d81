"""Carries a decision out: each action is one API request with a precondition, and its answer goes to the caches.

precondition failed, or the object is gone    →  CONFLICT: observe again, decide again
refused, or the API server is in trouble      →  REFUSED: noted; the next decision says so, and tries again
more is known now than when it was decided    →  LEARNED: decide again
the Lease isn't held                          →  TRANSIENT: decide again
no answer within a second                     →  it goes on by itself; when it is answered, decide again
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from typing import Final, assert_never

from mageflow.api import API_VERSION, Status, TaskPhase, reasons
from mageflow.controller.attempts import Attempts
from mageflow.controller.background import FRESH_SECONDS, Background, Places
from mageflow.controller.caches import Caches
from mageflow.controller.clock import Clock
from mageflow.controller.creations import Creations
from mageflow.controller.fenced_client import NotLeadingError
from mageflow.controller.fresh_reads import path_of, read_resource
from mageflow.controller.run_evidence import find_pods, observe_events
from mageflow.core.decision import (
    Action,
    CreateJob,
    DeleteJob,
    DeletePod,
    EvictPod,
    ExplainMissingPod,
    HoldJob,
    MakeRoom,
    ReadEvidence,
    StopJob,
    key_of,
)
from mageflow.core.job_manifest import ANNOTATION_STOPPED, STOPPED, STOPPED_WHILE_RUNNING
from mageflow.core.observed import ObservedJob, ObservedPod, ObservedResource, Refusal
from mageflow.kube.errors import ApiError
from mageflow.kube.paths import EVENTS, JOBS, PODS
from mageflow.kube.selectors import job_selector
from mageflow.kube.transport import MERGE_PATCH, Raw, Requests

MAX_REQUESTS: Final = 16
"""How many requests are made at once for one resource."""

CHANGED: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT})
"""The object isn't as we saw it, or is gone."""

logger = logging.getLogger(__name__)


Stop = EvictPod | HoldJob | StopJob | DeletePod | DeleteJob | MakeRoom | ExplainMissingPod | ReadEvidence
"""What is done to a Job or pod, or asked about one."""


class Result(StrEnum):
    """What came of carrying something out; of several things the first of these that did."""

    CONFLICT = "Conflict"
    """What it was decided on isn't so any more: somebody wrote at the same time, or the object is gone."""
    LEARNED = "Learned"
    """More is known now than when it was decided: a Job has got a pod, or why it has none."""
    TRANSIENT = "Transient"
    """No request was made, as the Lease isn't held."""
    REFUSED = "Refused"
    """The API server refuses it, or is in trouble: noted, told if it stays so, and tried again after a pause."""
    DONE = "Done"
    """It was done, or goes on by itself: its answer has the resource decided upon again."""

    @property
    def asks_again(self) -> bool:
        """The resource is to be decided upon again soon."""
        return self in (Result.CONFLICT, Result.LEARNED, Result.TRANSIENT)

    @property
    def is_progress(self) -> bool:
        """More is known than before, so that it needn't wait."""
        return self in (Result.CONFLICT, Result.LEARNED)


def first_of(results: Iterable[Result]) -> Result:
    """Return what counts of several results."""
    return min(results, key=list(Result).index, default=Result.DONE)


@dataclass(frozen=True, slots=True)
class Means:
    """What is shared by all that is carried out."""

    creations: Creations
    background: Background
    wake: Callable[[str], None]
    """Called with the uid of a resource that is to be decided upon again."""


class Executor:
    """Carries out actions on the Jobs and pods of one resource, and writes its status."""

    def __init__(
        self, client: Requests, caches: Caches, observed: ObservedResource, clock: Clock, means: Means
    ) -> None:
        self._client = client
        self._caches = caches
        self._observed = observed
        self._clock = clock
        self._means = means
        self._jobs = JOBS.path(observed.namespace)
        self._pods = PODS.path(observed.namespace)

    @property
    def _attempts(self) -> Attempts:
        return self._caches.attempts_of(self._observed.uid)

    async def carry_out(self, actions: Sequence[Action]) -> Result:
        """Carry out actions, several at once: creations are begun, the others are waited for, but not for long.

        Each is one request with the preconditions that DESIGN section 3 asks for, so that one which was decided on an
        older state does nothing. Raises nothing that the API server says: it is in the result, and in the caches.
        """
        places = Places(MAX_REQUESTS)
        tasks = set()
        for action in actions:
            logger.debug("%s: %s", self._observed.title, type(action).__name__)
            if isinstance(action, CreateJob):
                self._means.creations.begin(self._observed, action)
            else:
                self._attempts.act(key_of(action), _reason_for(action), self._clock.monotonic())
                tasks.add(self._means.background.start(places.make(self._carry_out(action))))
        return first_of(await self._wait_for(tasks))

    async def _wait_for(self, tasks: Set[asyncio.Task[Result]]) -> list[Result]:
        """Wait for tasks for a second, and return the results of those that are done.

        Those that take longer have the resource decided upon again at their end.
        """
        if not tasks:
            return []
        done, late = await asyncio.wait(tasks, timeout=FRESH_SECONDS)
        for task in late:
            task.add_done_callback(self._see_late_end)
        return [task.result() for task in done]

    def _see_late_end(self, task: asyncio.Task[Result]) -> None:
        if task.cancelled():
            return
        error = task.exception()
        if error is not None:
            logger.error("%s: %s", self._observed.title, error)
        self._means.wake(self._observed.uid)

    async def _carry_out(self, action: Stop) -> Result:
        try:
            result = await self._dispatch(action)
        except ApiError as error:
            if error.may_have_happened or error.status == HTTPStatus.NOT_FOUND:
                self._caches.findings_of(self._observed.uid).mark_stale()
            logger.debug("%s: %s: %s", self._observed.title, type(action).__name__, error)
            if error.status in CHANGED and not error.is_denied:
                if error.status == HTTPStatus.CONFLICT:
                    await self._read_again(action)
                return Result.CONFLICT
            if isinstance(error, NotLeadingError):
                return Result.TRANSIENT
            self._note_refusal(action, error)
            return Result.REFUSED
        else:
            if result is Result.DONE:
                self._attempts.unblock(key_of(action))
            return result
        finally:
            self._attempts.end_act(key_of(action))

    async def _read_again(self, action: Stop) -> None:
        """Read a Job or pod that isn't as it was seen, past its watch: what is tried next is decided on that."""
        match action:
            case EvictPod(seen) | DeletePod(seen):
                path, upsert = self._pods, self._caches.upsert_pod
            case HoldJob(seen) | StopJob(seen) | DeleteJob(seen) | MakeRoom(seen):
                path, upsert = self._jobs, self._caches.upsert_job
            case _:
                return
        try:  # as a list, for which there are the rights
            answer = await self._client.request("GET", path, query={"fieldSelector": f"metadata.name={seen.name}"})
        except ApiError:
            answer = {"items": []}
        for raw in answer["items"]:
            upsert(raw)
        if seen.uid not in [raw["metadata"]["uid"] for raw in answer["items"]]:
            self._caches.findings_of(self._observed.uid).mark_stale()

    def _note_refusal(self, action: Stop, error: ApiError) -> None:
        """Note that a stop or deletion was refused: it is tried again, and told if it stays so."""
        what = f"{_name_target(action)}: {error if error.may_have_happened else error.message}"
        refusal = Refusal(_reason_for(action), what, is_passing=error.may_have_happened)
        if self._attempts.block(key_of(action), refusal, self._clock.monotonic(), error.retry_after):
            logger.warning("%s: %s", self._observed.title, what)
        self._means.wake(self._observed.uid)

    async def write_status(self, status: Status) -> Result:
        """Replace the status, if the resource is still as it was observed: CONFLICT if not, and it is read anew.

        The precondition is its resourceVersion, so that no run is recorded, nor a mark made, on an older spec or
        status (DESIGN section 3, "The status is written ahead"). Raises ApiError if the API server refuses the status
        or doesn't answer: then nothing that needs the record may be done.
        """
        observed = self._observed
        recorded = _list_recorded(status) - _list_recorded(observed.status)
        if recorded:
            self._attempts.record(recorded)
        body = {
            "apiVersion": API_VERSION,
            "kind": observed.kind.name,
            "metadata": {
                "name": observed.name,
                "namespace": observed.namespace,
                "resourceVersion": observed.resource_version,
            },
            "status": status.to_json(),
        }
        try:
            raw = await self._client.request("PUT", f"{path_of(observed)}/status", body)
        except ApiError as error:
            if not error.may_have_happened:
                self._attempts.forget_own(recorded)
            if error.status not in CHANGED:
                message = f"the status can't be written: {error.message}"
                raise ApiError(error.status, error.reason, message, error.details, error.retry_after) from error
            logger.debug("the status of %s: %s", observed.title, error)
            await read_resource(self._client, self._caches, observed)
            return Result.CONFLICT
        self._wake_if_news(self._caches.upsert_resource(observed.kind, raw))
        return Result.DONE

    async def stop_unrecorded(self, stops: Sequence[Action]) -> Result:
        """Carry out a stop though the status can't be written, if the resource is still as it was observed.

        Its resourceVersion is the precondition of a status write, so it is looked at first: a stop that was taken back
        meanwhile stops nothing.
        """
        if not stops:
            return Result.DONE
        observed = self._observed
        await read_resource(self._client, self._caches, observed)
        known = self._caches.find(observed.uid)
        if known is None or known.resource_version != observed.resource_version:
            return Result.CONFLICT
        return await self.carry_out(stops)

    async def _dispatch(self, action: Stop) -> Result:
        match action:
            case EvictPod(pod):
                await self._evict(pod)
            case HoldJob(job):
                return await self._hold(job)
            case StopJob(job, was_running):
                mark = STOPPED_WHILE_RUNNING if was_running else STOPPED
                metadata = {"uid": job.uid, "annotations": {ANNOTATION_STOPPED: mark}}
                body = {"metadata": metadata, "spec": {"suspend": True}}
                raw = await self._client.request("PATCH", f"{self._jobs}/{job.name}", body, content_type=MERGE_PATCH)
                self._wake_if_news(self._caches.upsert_job(raw))
            case DeletePod(pod):
                body = {"preconditions": {"uid": pod.uid, "resourceVersion": pod.resource_version}}
                await self._client.request("DELETE", f"{self._pods}/{pod.name}", body)
                self._await_deletion(pod)
            case DeleteJob(job, in_foreground):
                await self._delete_job(job, "Foreground" if in_foreground else "Background")
            case MakeRoom(job):
                await self._delete_job(job, "Background")
                self._attempts.make_room(self._clock.monotonic())
            case ExplainMissingPod(job):
                return await self._explain(job)
            case ReadEvidence():
                await self._read_evidence(action)
            case _:
                assert_never(action)
        return Result.DONE

    async def _evict(self, pod: ObservedPod) -> None:
        """Evict a pod if it is still just as it was observed: not started.

        https://kubernetes.io/docs/concepts/scheduling-eviction/api-eviction/
        """
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod.name, "namespace": self._observed.namespace},
            "deleteOptions": {"preconditions": {"uid": pod.uid, "resourceVersion": pod.resource_version}},
        }
        await self._client.request("POST", f"{self._pods}/{pod.name}/eviction", body)
        self._await_deletion(pod)

    async def _delete_job(self, job: ObservedJob, policy: str) -> None:
        body = {"propagationPolicy": policy, "preconditions": {"uid": job.uid}}
        await self._client.request("DELETE", f"{self._jobs}/{job.name}", body)
        self._await_deletion(job)

    async def _hold(self, job: ObservedJob) -> Result:
        """Delete a Job that has no pod. Its pods are read past their watch, before and after: one may slip through."""
        if await self._see_pods_of(job):
            return Result.LEARNED
        await self._delete_job(job, "Orphan")
        await self._see_pods_of(job)
        return Result.DONE

    async def _see_pods_of(self, job: ObservedJob) -> bool:
        answer = await self._client.request("GET", self._pods, query={"labelSelector": job_selector(job.name)})
        for raw in answer["items"]:
            self._wake_if_news(self._caches.upsert_pod(raw))
        return bool(answer["items"])

    async def _explain(self, job: ObservedJob) -> Result:
        """Read why a Job has no pod: the Job controller tells only in an Event."""
        events = await self._read_events(f"involvedObject.uid={job.uid},reason=FailedCreate")
        messages = [event.get("message") or "" for event in events]
        self._caches.findings_of(self._observed.uid).note_missing_pod(job.uid, messages[-1] if messages else "")
        return Result.LEARNED if messages else Result.DONE

    async def _read_evidence(self, action: ReadEvidence) -> None:
        """Read the events of a run that is gone: of its Job, and of the pod that the ledger or those name."""
        of_job = await self._read_events(f"involvedObject.kind=Job,involvedObject.name={action.job_name}")
        if action.job_uid is not None:
            of_job = [event for event in of_job if event["involvedObject"].get("uid") == action.job_uid]
        of_pod: list[Raw] = []
        for name in find_pods(of_job) if action.pod is None else [action.pod]:
            of_pod += await self._read_events(f"involvedObject.kind=Pod,involvedObject.name={name}")
        seen = observe_events(of_job, of_pod, action.main)
        self._caches.note_evidence(self._observed.uid, action.task, action.run, seen)

    async def _read_events(self, selector: str) -> list[Raw]:
        path = EVENTS.path(self._observed.namespace)
        answer = await self._client.request("GET", path, query={"fieldSelector": selector})
        return list(answer.get("items") or ())

    def _wake_if_news(self, uid: str | None) -> None:
        """Have a resource decided upon again if an answer was news: a watch that tells the same later brings none."""
        if uid is not None:
            self._means.wake(uid)

    def _await_deletion(self, thing: ObservedJob | ObservedPod) -> None:
        self._caches.expect_deletion(self._observed.uid, thing.uid)


def _list_recorded(status: Status) -> set[tuple[str, int]]:
    return {(entry.name, entry.run) for entry in status.tasks if entry.phase is TaskPhase.RECORDED}


def _reason_for(action: Stop) -> str:
    match action:
        case EvictPod():
            return reasons.EVICTION_REFUSED
        case ExplainMissingPod() | ReadEvidence():
            return reasons.EVENTS_UNREADABLE
        case _:
            return reasons.STOP_REFUSED


def _name_target(action: Stop) -> str:
    """Say what can't be done."""
    match action:
        case EvictPod(pod):
            return f"pod {pod.name} can't be evicted"
        case DeletePod(pod):
            return f"pod {pod.name} can't be deleted"
        case StopJob(job):
            return f"Job {job.name} can't be suspended"
        case HoldJob(job) | DeleteJob(job) | MakeRoom(job):
            return f"Job {job.name} can't be deleted"
        case ExplainMissingPod(job):
            return f"the events of Job {job.name} can't be read"
        case ReadEvidence(job_name=name):
            return f"the events of Job {name}, and of its pod, can't be read"
        case _:
            assert_never(action)
