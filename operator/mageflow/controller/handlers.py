"""The functions that kopf calls: each watch event goes to the caches, and puts one key into the work queue.

For each event kopf calls an index function and then a handler, both with the same object:

    index_…      the caches take it in
    on_…_event   the caches know this version already, and don't read it again; its resource is to be reconciled

kopf calls the index function of every object that there is before it calls the first handler. So the caches are
complete when the queue gets its first key. Of a deletion only the handler is told. No decision is made here, nothing is
written to the objects, and no finalizer is set.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
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
from mageflow.kube.paths import JOBS, NAMESPACES, PODS, collection_of
from mageflow.kube.selectors import MANAGED
from mageflow.kube.transport import Raw

LOGIN_SECONDS = 1.0
"""The least time between two logins: as long as credentials are refused, each watch asks for others."""


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
            kopf.index(*NAMESPACES, registry=registry)(self.index_namespace)
            kopf.on.event(*NAMESPACES, registry=registry)(self.on_namespace_event)
        for kind in KINDS:
            kopf.index(*collection_of(kind), registry=registry, param=kind)(self.index_resource)
        kopf.index(*JOBS, registry=registry)(self.index_job)
        kopf.index(*PODS, registry=registry)(self.index_pod)
        for kind in KINDS:
            kopf.on.event(*collection_of(kind), registry=registry, param=kind)(self.on_resource_event)
        kopf.on.event(*JOBS, registry=registry)(self.on_job_event)
        kopf.on.event(*PODS, registry=registry)(self.on_pod_event)
        return registry

    async def log_in(self, **_: Any) -> kopf.AiohttpSession:
        """Lend kopf a new session with our credentials, at most one a second; it asks again when one is refused."""
        await asyncio.sleep(max(0.0, self._logs_in_after - time.monotonic()))
        self._logs_in_after = time.monotonic() + LOGIN_SECONDS
        return kopf.AiohttpSession(server=self._client.address, aiohttp_session=await self._client.lend_session())

    async def probe(self, **_: Any) -> str:
        """Answer /healthz: "ok", or an exception that kopf answers with status 500."""
        return self._health.check()

    async def index_resource(self, body: kopf.Body, param: Any = None, **_: Any) -> None:
        """Take in a Workflow, Chain or Swarm, of kind `param`, before any event is handled."""
        self._caches.upsert_resource(param, dict(body))

    async def index_namespace(self, body: kopf.Body, **_: Any) -> None:
        """Take in a Namespace before any event is handled."""
        self._caches.namespaces.upsert(dict(body))

    async def index_job(self, body: kopf.Body, **_: Any) -> None:
        """Take in a Job before any event is handled."""
        self._caches.upsert_job(dict(body))

    async def index_pod(self, body: kopf.Body, **_: Any) -> None:
        """Take in a pod before any event is handled."""
        self._caches.upsert_pod(dict(body))

    async def on_resource_event(self, event: kopf.RawEvent, param: Any = None, **_: Any) -> None:
        """Work on the Workflow, Chain or Swarm, of kind `param`."""
        self._pass_on(event, partial(self._caches.upsert_resource, param), self._caches.delete_resource)

    async def on_job_event(self, event: kopf.RawEvent, **_: Any) -> None:
        """Work on the resource that the Job belongs to."""
        self._pass_on(event, self._caches.upsert_job, self._caches.delete_job)

    async def on_pod_event(self, event: kopf.RawEvent, **_: Any) -> None:
        """Work on the resource that the pod belongs to."""
        self._pass_on(event, self._caches.upsert_pod, self._caches.delete_pod)

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
        self._wake(self._caches.namespaces.take_changed(raw["metadata"]["name"]))

    def _pass_on(
        self, event: kopf.RawEvent, upsert: Callable[[Raw], str | None], delete: Callable[[Raw], str | None]
    ) -> None:
        raw: Any = event["object"]
        uid = delete(raw) if event["type"] == "DELETED" else upsert(raw)
        if uid is not None:
            self._wake([uid])

    def _wake(self, uids: Iterable[str]) -> None:
        for uid in uids:
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
    """Build kopf's settings: nothing written, compared or scanned, only our own Jobs and pods watched."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.peering.standalone = True
    settings.scanning.disabled = True
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.watching.server_timeout = WATCH_SECONDS
    settings.watching.reconnect_backoff = 0.1
    settings.networking.request_timeout = 60.0
    settings.networking.error_backoffs = ListBackoffs()
    settings.watching.label_selectors["jobs"] = MANAGED
    settings.watching.label_selectors["pods"] = MANAGED
    return settings
