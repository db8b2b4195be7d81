"""Reflectors: list and watch Jobs and pods into the caches, and wake the resources that there is news of (ADR 19).

kopf feeds our own resources and the Namespaces; Jobs and pods are most of the events, and need nothing of what kopf
does for each. The word is client-go's: https://pkg.go.dev/k8s.io/client-go/tools/cache#Reflector
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from mageflow.controller.api_server import ApiServer
from mageflow.controller.caches import Caches
from mageflow.controller.settings import WATCH_SECONDS
from mageflow.kube.backoff import Backoff
from mageflow.kube.errors import ApiError, MageflowError
from mageflow.kube.paths import JOBS, PODS, Collection
from mageflow.kube.selectors import MANAGED
from mageflow.kube.transport import Raw
from mageflow.kube.watch import Changed, Listed, News, follow

LONGEST_PAUSE: Final = 1.0
"""Seconds between two attempts to watch, at most: what happened meanwhile is acted on that much later."""

QUERY: Final = {"labelSelector": MANAGED, "timeoutSeconds": str(WATCH_SECONDS)}

logger = logging.getLogger(__name__)


class EndlessBackoff(Backoff):
    """Pauses without end: `what` fails until it succeeds, and each new cause of that is logged once."""

    def __init__(self, what: str) -> None:
        super().__init__(math.inf, LONGEST_PAUSE)
        self._what = what
        self._warned_of = ""

    def note_answer(self) -> None:
        """Note that it has succeeded."""
        super().note_answer()
        self._warned_of = ""

    async def pause(self, error: MageflowError | None = None, *, is_passing: bool = True) -> None:
        """Pause after an attempt, whatever its error."""
        cause = error.line if isinstance(error, ApiError) else str(error or "")
        if cause and cause != self._warned_of:
            logger.warning("%s: %s; it is tried again", self._what, cause)
        self._warned_of = cause or self._warned_of
        await super().pause(error, is_passing=is_passing)


@dataclass(frozen=True, slots=True)
class Feed:
    """Where news of one collection goes. Each function returns the uids of the resources that it is news for."""

    collection: Collection
    upsert: Callable[[Raw], str | None]
    delete: Callable[[Raw], str | None]
    find_missing: Callable[[str | None, frozenset[str], int], Iterable[str]]
    """Takes the namespace of a list (None: all), the uids in it, and its resource version."""


def feed_of_jobs(caches: Caches) -> Feed:
    """Return where news of Jobs goes."""
    return Feed(JOBS, caches.upsert_job, caches.delete_job, caches.find_missing_jobs)


def feed_of_pods(caches: Caches) -> Feed:
    """Return where news of pods goes."""
    return Feed(PODS, caches.upsert_pod, caches.delete_pod, caches.find_missing_pods)


class Reflector:
    """Keeps the caches in step with the Jobs and pods of the namespaces that are watched; empty: all.

    `wake` is called with the uid of a resource that is to be decided upon again.
    """

    def __init__(
        self, client: ApiServer, caches: Caches, namespaces: Sequence[str], wake: Callable[[str], None]
    ) -> None:
        self._client = client
        self._feeds = (feed_of_jobs(caches), feed_of_pods(caches))
        self._namespaces: Sequence[str | None] = namespaces or (None,)
        self._wake = wake

    async def run(self) -> None:
        """List and watch until it is cancelled."""
        async with asyncio.TaskGroup() as group:
            for feed in self._feeds:
                for namespace in self._namespaces:
                    group.create_task(self._reflect(feed, namespace))

    async def _reflect(self, feed: Feed, namespace: str | None) -> None:
        path = feed.collection.path(namespace)
        changes = follow(self._client, path, QUERY, EndlessBackoff(f"watching {path}"))
        async with aclosing(changes):
            async for news in changes:
                for uid in take_in(feed, namespace, news):
                    self._wake(uid)


def take_in(feed: Feed, namespace: str | None, news: News) -> set[str]:
    """Take in what a watch told of a namespace (None: all); return the uids of the resources that it is news for."""
    match news:
        case Changed(raw, is_gone):
            found = [feed.delete(raw) if is_gone else feed.upsert(raw)]
        case Listed(listed, version):
            found = [feed.upsert(raw) for raw in listed]
            present = frozenset(raw["metadata"]["uid"] for raw in listed)
            found += feed.find_missing(namespace, present, int(version))
    return {uid for uid in found if uid is not None}
