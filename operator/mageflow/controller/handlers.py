"""The functions that kopf calls, for our own resources and the Namespaces: each event goes to the caches.

An event that is news puts the key of its resource into the work queue. Jobs and pods come by reflector.py. No decision
is made here, nothing is written to the objects, and no finalizer is set.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from itertools import chain, repeat
from typing import Any

import kopf

from mageflow.api import KINDS
from mageflow.controller.api_server import ApiServer
from mageflow.controller.caches import Caches
from mageflow.controller.health import Health
from mageflow.controller.queue import WorkQueue
from mageflow.controller.reconcile import Reconciler
from mageflow.controller.settings import WATCH_SECONDS
from mageflow.kube.paths import NAMESPACES, collection_of
from mageflow.kube.transport import Raw
from mageflow.kube.watch import PAGE

LOGIN_SECONDS = 1.0
"""The least time between two logins: as long as credentials are refused, each watch asks for others."""

IDLE_SECONDS = 0.2
"""How long kopf keeps a task and a queue for an object that there was an event of: as many as there are objects."""


class ListBackoffs:
    """The pauses between attempts to list or watch, in seconds; they have no end, and /healthz tells of a long row.

    kopf's own pauses grow to minutes, though a cluster is soon well again. And after the last of them it would end the
    operator, even if only one namespace was deleted.
    """

    def __iter__(self) -> Iterator[float]:
        """Begin anew."""
        return chain((0.1, 0.2, 0.5), repeat(1.0, 10), repeat(5.0))


class Handlers:
    """The functions that kopf calls, one line each; `register` tells kopf of them."""

    def __init__(
        self, client: ApiServer, caches: Caches, reconciler: Reconciler, queue: WorkQueue, health: Health
    ) -> None:
        self._client = client
        self._caches = caches
        self._reconciler = reconciler
        self._queue = queue
        self._health = health
        self._logs_in_after = 0.0

    def register(self, *, clusterwide: bool) -> kopf.OperatorRegistry:
        """Build the registry of all that kopf calls; Namespaces are watched only if all of them are (`clusterwide`)."""
        registry = kopf.OperatorRegistry()
        kopf.on.login(registry=registry)(self.log_in)
        kopf.on.probe(registry=registry, id="health")(self.probe)
        if clusterwide:
            kopf.on.event(*NAMESPACES, registry=registry)(self.on_namespace_event)
        for kind in KINDS:
            kopf.on.event(*collection_of(kind), registry=registry, param=kind)(self.on_resource_event)
        return registry

    async def log_in(self, **_: Any) -> kopf.AiohttpSession:
        """Lend kopf a new session with our credentials, at most one a second; it asks again when one is refused."""
        await asyncio.sleep(max(0.0, self._logs_in_after - time.monotonic()))
        self._logs_in_after = time.monotonic() + LOGIN_SECONDS
        return kopf.AiohttpSession(server=self._client.address, aiohttp_session=await self._client.lend_session())

    async def probe(self, **_: Any) -> str:
        """Answer /healthz: "ok", or an exception that kopf answers with status 500."""
        return self._health.check()

    async def on_resource_event(self, event: kopf.RawEvent, param: Any = None, **_: Any) -> None:
        """Work on the Workflow, Chain or Swarm, of kind `param`."""
        raw: Any = event["object"]
        is_gone = event["type"] == "DELETED"
        uid = self._caches.delete_resource(raw) if is_gone else self._caches.upsert_resource(param, raw)
        if uid is not None:
            self.wake(uid)

    async def on_namespace_event(self, event: kopf.RawEvent, **_: Any) -> None:
        """Work on all that is in the Namespace, if its label says something new."""
        raw: Any = event["object"]
        if event["type"] == "DELETED":
            self._caches.namespaces.delete(raw)
        else:
            self.upsert_namespace(raw)

    def upsert_namespace(self, raw: Raw) -> None:
        """Take in a Namespace that was read or watched, and work on all that is in it if its label has changed."""
        self._caches.namespaces.upsert(raw)
        for uid in self._caches.namespaces.take_changed(raw["metadata"]["name"]):
            self.wake(uid)

    def wake(self, uid: str) -> None:
        """Have a resource reconciled that there is news of."""
        self._reconciler.hear(uid)
        self._queue.add(uid)


class NoDiffBase(kopf.DiffBaseStorage):
    """Nothing to compare objects with: kopf would copy and compare each one for handlers of changes; none is there.

    https://docs.kopf.dev/en/stable/configuration/#change-detection
    """

    def build(self, **_: Any) -> kopf.BodyEssence:
        """Return what is compared of an object: nothing, so that nothing is copied."""
        return kopf.BodyEssence({})

    def fetch(self, **_: Any) -> kopf.BodyEssence | None:
        """Return what was stored of it."""
        return None

    def store(self, **_: Any) -> None:
        """Store nothing: the user's objects get no annotation."""


def build_settings() -> kopf.OperatorSettings:
    """Build kopf's settings: nothing written, compared or scanned."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.reconnect_backoff = 0.1
    settings.networking.request_timeout = 60.0
    settings.networking.error_backoffs = ListBackoffs()
    settings.watching.chunk_size = PAGE
    settings.queueing.idle_timeout = IDLE_SECONDS
    return settings
