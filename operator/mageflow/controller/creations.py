"""Creates the Jobs of runs, each in the background: a slow admission holds up neither a worker nor another resource.

created                                        →  the Job goes to the caches
refused, or no answer that tells               →  noted: the next decision says so on the resource, and tries again
either way                                     →  the resource is decided upon again
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from mageflow.api import reasons
from mageflow.controller.attempts import Attempts
from mageflow.controller.background import Background, Places
from mageflow.controller.caches import Caches
from mageflow.controller.clock import Clock
from mageflow.controller.fenced_client import NotLeadingError
from mageflow.controller.observe import is_controlled_by
from mageflow.core.decision import CreateJob
from mageflow.core.observed import ObservedResource, Refusal
from mageflow.kube.errors import ApiError
from mageflow.kube.paths import JOBS
from mageflow.kube.transport import Raw, Requests

MAX_FRESH: Final = 64
"""How many creations are begun at once; those that take long don't count."""

MAX_UNANSWERED: Final = 512
"""How many may be unanswered: each holds a connection."""

logger = logging.getLogger(__name__)


class Creations:
    """The creations that are under way. `wake` is called with the uid of a resource that is to be decided upon."""

    def __init__(
        self, client: Requests, caches: Caches, clock: Clock, background: Background, wake: Callable[[str], None]
    ) -> None:
        self._client = client
        self._caches = caches
        self._clock = clock
        self._background = background
        self._wake = wake
        self._places = Places(MAX_FRESH)
        self._unanswered = asyncio.Semaphore(MAX_UNANSWERED)

    def begin(self, observed: ObservedResource, action: CreateJob) -> None:
        """Begin the creation of a Job."""
        self._note_begin(observed, action)
        self._background.start(self._create(observed, action))

    async def _create(self, observed: ObservedResource, action: CreateJob) -> None:
        may_come = False
        try:
            async with self._unanswered:
                raw = await self._find_or_create(observed, action)
            self._caches.upsert_job(raw)
            self._attempts_at(observed).accept(action.task)
        except NotLeadingError:
            pass
        except ApiError as error:
            may_come = error.may_have_happened
            self._refuse(observed, action, error)
        except Exception:
            may_come = True
            logger.exception("%s: the creation of a Job failed", observed.title)
        finally:
            self._attempts_at(observed).end(action.task, action.run, may_come=may_come)
            self._wake(observed.uid)

    async def _find_or_create(self, observed: ObservedResource, action: CreateJob) -> Raw:
        """Create a Job, or find it if it is there already."""
        path = JOBS.path(observed.namespace)

        async def create() -> Raw:
            self._note_begin(observed, action)
            return await self._client.request("POST", path, action.manifest)

        try:
            return await self._places.make(create())
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
        name = action.manifest["metadata"]["name"]
        raw = await self._client.request("GET", f"{path}/{name}")
        if not is_controlled_by(raw, observed.uid):
            raise ApiError(HTTPStatus.CONFLICT, reasons.NAME_CONFLICT, _describe_conflict(name))
        return raw

    def _refuse(self, observed: ObservedResource, action: CreateJob, error: ApiError) -> None:
        if error.is_namespace_terminating:
            self._caches.findings_of(observed.uid).mark_namespace_terminating()
            return
        if error.may_have_happened:
            self._caches.findings_of(observed.uid).mark_stale()
        refusal = read_refusal(error)
        is_news = self._attempts_at(observed).refuse(
            action.task, action.run, observed.generation, refusal, self._clock.monotonic(), error.retry_after
        )
        if is_news:
            logger.warning("%s: no Job for run %d of task %s: %s", observed.title, action.run, action.task, error.line)

    def _note_begin(self, observed: ObservedResource, action: CreateJob) -> None:
        now = self._clock.monotonic()
        self._attempts_at(observed).begin(action.task, action.run, action.template_hash, now)

    def _attempts_at(self, observed: ObservedResource) -> Attempts:
        return self._caches.attempts_of(observed.uid)


def _describe_conflict(name: str) -> str:
    return f"Job {name} exists and isn't ours: delete it, or rename this resource"


def read_refusal(error: ApiError) -> Refusal:
    """Return what is told of a Job that can't be created.

    The API server's own validation names fields; what a policy or webhook refuses, with whatever code, may be mended
    without an edit. https://kubernetes.io/docs/reference/using-api/api-concepts/
    """
    if error.names_fields or error.is_too_large:
        return Refusal(reasons.INVALID_TASK, error.message, is_invalid=True)
    if error.reason == reasons.NAME_CONFLICT:
        return Refusal(reasons.NAME_CONFLICT, error.message)
    if error.is_of_admission:
        return Refusal(reasons.JOB_NOT_CREATED, error.line)
    if (error.status in _TROUBLE or error.may_have_happened) and not error.is_denied:
        return Refusal(reasons.JOB_NOT_CREATED, error.line, is_passing=True)
    return Refusal(reasons.FORBIDDEN, error.message, is_of_quota=_is_of_quota(error))


_TROUBLE: Final = frozenset(
    {HTTPStatus.UNAUTHORIZED, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS}
)
"""What says nothing of the Job: the API server is busy, or the object isn't as it was."""


def _is_of_quota(error: ApiError) -> bool:
    """Tell whether a quota of objects lets no more Jobs be there.

    https://kubernetes.io/docs/concepts/policy/resource-quotas/#quota-on-object-count
    """
    return error.status == HTTPStatus.FORBIDDEN and "exceeded quota" in error.message and _JOBS in error.message


_JOBS: Final = "count/jobs.batch"
