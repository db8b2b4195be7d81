"""Carries a decision out: each action is one API request with a precondition, and its answer goes to the caches.

precondition failed, or the object is gone   →  RetryError: observe again, decide again
the Job of a run is refused                   →  noted; the next decision says so on the resource
no answer, server errors, throttling          →  ApiError: the queue backs off
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import timedelta
from http import HTTPStatus
from typing import assert_never

from mageflow.api import API_VERSION, GROUP, VERSION, Status
from mageflow.controller.caches import Caches
from mageflow.controller.client import MERGE_PATCH, ApiError, Raw, Requests
from mageflow.controller.clock import Clock
from mageflow.controller.observe import is_controlled_by
from mageflow.controller.queue import RetryError
from mageflow.controller.settings import FIELD_MANAGER
from mageflow.core import reasons
from mageflow.core.decision import (
    Action,
    CreateJob,
    DeleteJob,
    DeletePod,
    Event,
    EvictPod,
    ExplainMissingPod,
    HoldJob,
    StopJob,
)
from mageflow.core.jobs import ANNOTATION_STOPPED, STOPPED, STOPPED_WHILE_RUNNING
from mageflow.core.observed import ObservedJob, ObservedPod, ObservedResource, Refusal

REFUSAL_RETRY = timedelta(seconds=30)
"""How long after a refusal that may pass (quota, rights, a name taken) the Job is tried again."""

MAX_REQUESTS = 16
"""How many requests are made at once for one resource."""

CHANGED = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT})
"""The object isn't as we saw it, or is gone."""

INVALID = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})

logger = logging.getLogger(__name__)


class Actor:
    """Carries out actions on the Jobs and pods of one resource, and writes its status."""

    def __init__(self, client: Requests, caches: Caches, observed: ObservedResource, clock: Clock) -> None:
        self._client = client
        self._caches = caches
        self._observed = observed
        self._clock = clock
        self._jobs = f"/apis/batch/v1/namespaces/{observed.namespace}/jobs"
        self._pods = f"/api/v1/namespaces/{observed.namespace}/pods"

    async def carry_out(self, actions: Sequence[Action]) -> None:
        """Carry out actions, several at once; all are tried, and then the first error is raised.

        Raises RetryError if what an action was decided on has changed, ApiError if the API server failed.
        """
        limit = asyncio.Semaphore(MAX_REQUESTS)

        async def carry_out_one(action: Action) -> None:
            async with limit:
                await self._carry_out(action)

        results = await asyncio.gather(*map(carry_out_one, actions), return_exceptions=True)
        for error in (result for result in results if isinstance(result, BaseException)):
            raise error

    async def _carry_out(self, action: Action) -> None:
        logger.debug("%s %s: %s", self._observed.namespace, self._observed.name, type(action).__name__)
        try:
            await self._dispatch(action)
        except ApiError as error:
            if error.may_have_happened or error.status == HTTPStatus.NOT_FOUND:
                self._caches.doubt(self._observed.uid)
            if error.status in CHANGED:
                raise RetryError(f"{type(action).__name__}: {error}") from error
            raise

    async def _create_job(self, action: CreateJob) -> bool:
        """Create a Job; return False if the API server refused it, which is noted for the next decision.

        Raises RetryError in a namespace that is being deleted: the resource is taken as being deleted from then on.
        """
        observed = self._observed
        try:
            raw = await self._client.request("POST", self._jobs, action.manifest)
        except ApiError as error:
            if error.status == HTTPStatus.CONFLICT:
                return await self._adopt(action)
            if error.is_namespace_terminating:
                self._caches.note_doom(observed.uid)
                raise RetryError("the namespace is being deleted") from error
            refusal = self._read_refusal(error)
            if refusal is None:
                raise
            self._caches.note_refusal(observed.uid, action.task, observed.generation, refusal)
            return False
        self._caches.clear_refusal(observed.uid, action.task)
        self._caches.see_job(raw)
        return True

    def _read_refusal(self, error: ApiError) -> Refusal | None:
        """Return what an error says of the Job itself; None if it says nothing of it (no answer, a server error)."""
        now = self._clock.now()
        if error.status in INVALID:
            return Refusal(reasons.INVALID_TASK, error.message, is_final=True, retry_at=now)
        if error.status == HTTPStatus.FORBIDDEN:
            return Refusal(reasons.FORBIDDEN, error.message, is_final=False, retry_at=now + REFUSAL_RETRY)
        return None

    async def write_status(self, status: Status) -> None:
        """Replace the status, if the resource is still as it was observed; raise RetryError if not."""
        observed = self._observed
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
            raw = await self._client.request("PUT", f"{_path_of(observed)}/status", body)
            self._caches.see_resource(observed.kind, raw)
        except ApiError as error:
            if error.status not in CHANGED:
                message = f"the status can't be written: {error.message}"
                raise ApiError(error.status, error.reason, message, error.details) from error
            await read_resource(self._client, self._caches, observed)
            raise RetryError(f"the status of {observed.namespace}/{observed.name}: {error}") from error

    async def stop_unrecorded(self, stops: Sequence[Action]) -> None:
        """Carry out a stop though the status can't be written, if the resource is still as it was observed.

        Its resourceVersion is the precondition of a status write, so it is looked at first: a stop that was taken back
        meanwhile stops nothing. Raises RetryError if anything has changed.
        """
        if not stops:
            return
        observed = self._observed
        await read_resource(self._client, self._caches, observed)
        known = self._caches.find(observed.uid)
        if known is None or known.resource_version != observed.resource_version:
            raise RetryError(f"{observed.namespace}/{observed.name} was changed")
        await self.carry_out(stops)

    async def record(self, event: Event) -> None:
        """Make an Event on the resource. It is for people only, so a failure is logged and no more."""
        observed = self._observed
        now = self._clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        reference = {
            "apiVersion": API_VERSION,
            "kind": observed.kind.name,
            "namespace": observed.namespace,
            "name": observed.name,
            "uid": observed.uid,
            "resourceVersion": observed.resource_version,
        }
        body = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{observed.name[:200]}.", "namespace": observed.namespace},
            "involvedObject": reference,
            "type": event.type,
            "reason": event.reason,
            "message": event.message[:1024],
            "source": {"component": FIELD_MANAGER},
            "reportingComponent": FIELD_MANAGER,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._client.request("POST", f"/api/v1/namespaces/{observed.namespace}/events", body)
        except ApiError as error:
            if not error.is_namespace_terminating:
                logger.warning("no event %s on %s/%s: %s", event.reason, observed.namespace, observed.name, error)

    async def _dispatch(self, action: Action) -> None:
        match action:
            case CreateJob():
                if not await self._create_job(action):
                    raise RetryError("the Job was refused")
            case EvictPod(pod):
                await self._evict(pod)
            case HoldJob(job):
                await self._hold(job)
            case StopJob(job, was_running):
                mark = STOPPED_WHILE_RUNNING if was_running else STOPPED
                metadata = {"uid": job.uid, "annotations": {ANNOTATION_STOPPED: mark}}
                body = {"metadata": metadata, "spec": {"suspend": True}}
                raw = await self._client.request("PATCH", f"{self._jobs}/{job.name}", body, content_type=MERGE_PATCH)
                self._caches.see_job(raw)
            case DeletePod(pod):
                body = {"preconditions": {"uid": pod.uid, "resourceVersion": pod.resource_version}}
                await self._client.request("DELETE", f"{self._pods}/{pod.name}", body)
                self._await_deletion(pod)
            case DeleteJob(job, in_foreground):
                await self._delete_job(job, "Foreground" if in_foreground else "Background")
            case ExplainMissingPod(job):
                await self._explain(job)
            case _:
                assert_never(action)

    async def _adopt(self, action: CreateJob) -> bool:
        """Take a Job that exists already as created, if it is ours."""
        name = action.manifest["metadata"]["name"]
        raw = await self._client.request("GET", f"{self._jobs}/{name}")
        observed = self._observed
        if is_controlled_by(raw, observed.uid):
            self._caches.see_job(raw)
            return True
        what = f"Job {name} exists and isn't ours: delete it, or rename this resource"
        refusal = Refusal(reasons.NAME_CONFLICT, what, is_final=False, retry_at=self._clock.now() + REFUSAL_RETRY)
        self._caches.note_refusal(observed.uid, action.task, observed.generation, refusal)
        return False

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

    async def _hold(self, job: ObservedJob) -> None:
        """Delete a Job that has no pod. Its pods are read past their watch, before and after: one may slip through."""
        if await self._see_pods_of(job):
            raise RetryError(f"Job {job.name} has a pod")
        await self._delete_job(job, "Orphan")
        await self._see_pods_of(job)

    async def _see_pods_of(self, job: ObservedJob) -> bool:
        answer = await self._client.request("GET", self._pods, query={"labelSelector": f"job-name={job.name}"})
        for raw in answer["items"]:
            self._caches.see_pod(raw)
        return bool(answer["items"])

    async def _explain(self, job: ObservedJob) -> None:
        """Read why a Job has no pod: the Job controller tells only in an Event."""
        selector = f"involvedObject.uid={job.uid},reason=FailedCreate"
        path = f"/api/v1/namespaces/{self._observed.namespace}/events"
        answer = await self._client.request("GET", path, query={"fieldSelector": selector})
        messages = [item.get("message") or "" for item in answer.get("items", ())]
        self._caches.note_missing_pod(self._observed.uid, job.uid, messages[-1] if messages else "", self._clock.now())
        if messages:
            raise RetryError(f"say why Job {job.name} has no pod")

    def _await_deletion(self, thing: ObservedJob | ObservedPod) -> None:
        self._caches.await_deletion(self._observed.uid, thing.uid)


def _path_of(observed: ObservedResource) -> str:
    return f"/apis/{GROUP}/{VERSION}/namespaces/{observed.namespace}/{observed.kind.plural}/{observed.name}"


async def read_resource(client: Requests, caches: Caches, observed: ObservedResource) -> None:
    """Read a resource past the watch, which may have missed that it was deleted, or be slow."""
    metadata = {"uid": observed.uid, "resourceVersion": observed.resource_version}
    try:
        raw = await client.request("GET", _path_of(observed))
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        caches.forget_resource({"metadata": metadata})
        return
    if raw["metadata"]["uid"] == observed.uid:
        caches.see_resource(observed.kind, raw)
    else:
        caches.forget_resource({"metadata": metadata})


async def read_children(client: Requests, namespace: str, selector: str) -> tuple[list[Raw], list[Raw]]:
    """Read all Jobs and pods of a resource, past the watches."""
    answers = [
        await client.request("GET", f"{prefix}/namespaces/{namespace}/{plural}", query={"labelSelector": selector})
        for prefix, plural in (("/apis/batch/v1", "jobs"), ("/api/v1", "pods"))
    ]
    jobs, pods = (list(answer["items"]) for answer in answers)
    return jobs, pods
