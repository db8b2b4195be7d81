"""Event recorder: makes Events on resources, for people: nobody waits for them, and few requests at once are theirs.

Those of one resource are made in the order in which they came about. A failure is logged, no more.
https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from mageflow.api import API_VERSION
from mageflow.controller.background import Background, Places
from mageflow.controller.clock import Clock
from mageflow.controller.settings import FIELD_MANAGER
from mageflow.core.decision import Event
from mageflow.core.observed import ObservedResource
from mageflow.kube.errors import ApiError
from mageflow.kube.paths import EVENTS
from mageflow.kube.transport import Requests

MAX_EVENTS: Final = 4
"""How many are made at once: what resources wait for goes first."""

logger = logging.getLogger(__name__)


class EventRecorder:
    """Makes Events in the background."""

    def __init__(self, client: Requests, clock: Clock, background: Background) -> None:
        self._client = client
        self._clock = clock
        self._background = background
        self._places = Places(MAX_EVENTS)
        self._last: dict[str, asyncio.Task[None]] = {}
        """By the uid of a resource: the task that makes its latest Events."""

    def record(self, observed: ObservedResource, events: Sequence[Event]) -> None:
        """Have Events made on a resource, after those that it has had."""
        if not events:
            return
        uid = observed.uid
        task = self._background.start(self._record_all(observed, events, self._last.get(uid)))
        self._last[uid] = task
        task.add_done_callback(lambda done: self._last.pop(uid) if self._last.get(uid) is done else None)

    async def _record_all(
        self, observed: ObservedResource, events: Sequence[Event], before: asyncio.Task[None] | None
    ) -> None:
        if before is not None:
            await asyncio.wait({before})
        for event in events:
            await self._places.make(self._record(observed, event))

    async def _record(self, observed: ObservedResource, event: Event) -> None:
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
            await self._client.request("POST", EVENTS.path(observed.namespace), body)
        except ApiError as error:
            if not error.is_namespace_terminating:
                logger.warning("%s: no event %s: %s", observed.title, event.reason, error.line)
