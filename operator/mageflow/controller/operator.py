"""The operator: all its parts, put together and run."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from http import HTTPStatus
from typing import Any

import kopf

from mageflow import __version__
from mageflow.api import GROUP, KINDS, VERSION
from mageflow.controller.api_server import ApiServer
from mageflow.controller.caches import Caches
from mageflow.controller.clock import Clock
from mageflow.controller.fenced_client import FencedClient
from mageflow.controller.handlers import Handlers, build_settings
from mageflow.controller.health import Health
from mageflow.controller.instrumentation import register_gauges, serve
from mageflow.controller.lease import Election
from mageflow.controller.namespace_poller import NamespacePoller
from mageflow.controller.queue import WorkQueue
from mageflow.controller.reconcile import Reconciler
from mageflow.controller.reflector import EndlessBackoff, Reflector
from mageflow.controller.resync import paths_of, relist_everything
from mageflow.controller.settings import Settings
from mageflow.kube.config import load_config
from mageflow.kube.errors import ApiError
from mageflow.kube.memory import set_aside
from mageflow.kube.paths import JOBS, NAMESPACES, PODS, collection_of
from mageflow.kube.transport import Raw

logger = logging.getLogger(__name__)


class MissingResourceError(Exception):
    """The custom resources aren't installed in the cluster."""


class NamespaceError(Exception):
    """The namespaces to watch may not be read, or one may be read again and is to be watched from a new start on."""


async def run_operator(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; then finish the reconciles in hand, and give the Lease back.

    Raises ConfigError without a cluster, ApiError if it doesn't answer, MissingResourceError without the CRDs,
    PortError if /metrics can't be served, NamespaceError if it is to be started anew for another namespace.
    """
    serve(settings.metrics_port)
    async with ApiServer((await load_config()).configuration) as client:
        await _check_resources(client)
        where = ", ".join(settings.namespaces) or "all namespaces"
        logger.info("mageflow-operator %s at %s, watching %s", __version__, client.address, where)
        poller = await _read_namespaces(client, settings.namespaces)
        returned = await Operator(settings, client, poller).run()
    if returned:
        raise NamespaceError(f"namespace {', '.join(returned)} may be read now: start anew to watch it")


async def _read_namespaces(client: ApiServer, namespaces: Sequence[str]) -> NamespacePoller | None:
    """Find out which namespaces may be read; None if all are to be watched. Raises NamespaceError if none may."""
    if not namespaces:
        return None
    poller = NamespacePoller(client, namespaces)
    await poller.read_all(lambda _: None)
    if not poller.readable():
        raise NamespaceError(f"there is no right to get any of the namespaces {', '.join(namespaces)}")
    return poller


class Operator:
    """All parts of one operator, connected. `poller` reads the namespaces that are watched; None: all are watched."""

    def __init__(self, settings: Settings, client: ApiServer, poller: NamespacePoller | None) -> None:
        self._settings = settings
        self._client = client
        self._poller = poller
        clock = Clock()
        self._caches = Caches(clock)
        self._election = (
            None
            if settings.lease is None
            else Election(client, clock, settings.lease, settings.identity, self._take_over)
        )
        requests = client if self._election is None else FencedClient(client, self._election)
        self._reconciler = Reconciler(requests, self._caches, settings, clock, wake=lambda uid: self._queue.add(uid))
        self._queue = WorkQueue(self._reconcile, settings.workers, self._reconciler.is_urgent)
        self._has_begun = False
        """All that was there at the start is known; of an operator with a Lease its Election tells the same."""
        self._watched = () if poller is None else poller.readable()
        """The namespaces that are watched; empty: all."""
        self._returned: set[str] = set()
        """The namespaces that weren't watched as they might not be read, and that may be read now."""
        self._is_to_end = asyncio.Event()
        health = Health(client, self._queue, partial(_watch_paths, self._watched, poller), settings.stuck_after)
        self._handlers = Handlers(client, self._caches, self._reconciler, self._queue, health)
        self._reflector = Reflector(client, self._caches, self._watched, self._handlers.wake)
        register_gauges(self._caches, self._queue, self._election)

    async def run(self) -> set[str]:
        """Run until it is to end; return the namespaces that are to be watched from a new start on."""
        async with nullcontext() if self._election is None else self._election.run():
            await self._watch_and_work()
        return self._returned

    async def _watch_and_work(self) -> None:
        async with asyncio.TaskGroup() as group:
            working = group.create_task(self._queue.run())
            await asyncio.sleep(0)  # the workers are there before kopf, which at its end cancels what came after it
            feeding = [group.create_task(work) for work in self._feeds()]
            try:
                finish = partial(self._finish_work, working, feeding)
                await _run_kopf(self._handlers, self._settings, self._watched, self._is_to_end, finish)
            finally:
                _cancel(feeding)
                self._queue.close()
                await self._reconciler.background.close()  # if kopf ended by an error, nobody else has

    def _feeds(self) -> Iterator[Coroutine[Any, Any, None]]:
        """Yield what brings news until it is cancelled, beside kopf."""
        yield self._reflector.run()
        if self._poller is not None:
            yield self._poll(self._poller)
        if self._election is None:
            yield self._begin()
        else:
            self._election.become_candidate()

    async def _begin(self) -> None:
        """Take over without a Lease."""
        backoff = EndlessBackoff("reading what there is")
        while not self._has_begun:
            try:
                await self._take_over()
            except ApiError as error:
                await backoff.pause(error)
            else:
                self._has_begun = True

    async def _reconcile(self, uid: str) -> float | None:
        """Reconcile a resource if it is for this operator to do so, and all that there is is known; else do nothing.

        What it leaves undone is no loss: whoever takes over reconciles everything.
        """
        may_act = self._has_begun if self._election is None else self._election.is_leader
        return await self._reconciler.reconcile(uid) if may_act else None

    async def _take_over(self) -> None:
        """Know everything that there is, and work on all of it."""
        self._caches.begin_term()
        with set_aside():
            await relist_everything(self._client, self._caches, self._poller)
        for uid in self._caches.uids():
            self._queue.add(uid)

    async def _poll(self, poller: NamespacePoller) -> None:
        await poller.poll(self._upsert_namespace, self._caches.namespaces.mark_unknown)

    def _upsert_namespace(self, raw: Raw) -> None:
        """Take in a Namespace that was read; end if its resources aren't watched, as a watch can't be added."""
        self._handlers.upsert_namespace(raw)
        if raw["metadata"]["name"] not in self._watched:
            self._returned.add(raw["metadata"]["name"])
            self._is_to_end.set()

    async def _finish_work(self, working: asyncio.Task[None], feeding: Iterable[asyncio.Task[None]]) -> None:
        """Finish the reconciles in hand and what they have asked for, and begin no other."""
        _cancel(feeding)  # kopf takes the tasks that they have made for its own
        self._queue.close()
        await asyncio.wait((working,))
        await self._reconciler.background.close()
        if self._election is not None:
            self._election.withdraw()


def _cancel(tasks: Iterable[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()


async def _run_kopf(
    handlers: Handlers,
    settings: Settings,
    watched: Sequence[str],
    is_to_end: asyncio.Event,
    finish_work: Callable[[], Awaitable[None]],
) -> None:
    """Watch the namespaces `watched`, none: all, until SIGTERM, SIGINT or `is_to_end`; then finish the work, and end.

    kopf takes each task of the loop that was made after its start for its own: at its end it waits for all of them, and
    cancels them after 5 s. If a signal ends it, it leaves behind a task of its own, which waits for the stop flag. So
    it is given no signal but the stop flag, and that when no task of ours is left.
    """
    ours = asyncio.all_tasks()
    is_finished = asyncio.Event()
    tasks = await kopf.spawn_tasks(
        registry=handlers.register(clusterwide=not watched),
        settings=build_settings(),
        standalone=True,
        clusterwide=not watched,
        namespaces=watched,
        stop_flag=is_finished,
        liveness_endpoint=f"http://0.0.0.0:{settings.health_port}/healthz",
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, is_to_end.set)

    async def finish() -> None:
        await is_to_end.wait()
        logger.info("ending: no reconcile is begun any more, and those in hand are finished")
        await finish_work()
        is_finished.set()

    finishing = asyncio.create_task(finish())
    try:
        await kopf.run_tasks(tasks, ignored={*ours, finishing})
    finally:
        finishing.cancel()


async def _check_resources(client: ApiServer) -> None:
    try:
        served = await client.request("GET", f"/apis/{GROUP}/{VERSION}")
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        served = {}
    names = {resource["name"] for resource in served.get("resources", ())}
    missing = [kind.plural for kind in KINDS if kind.plural not in names]
    if missing:
        raise MissingResourceError(
            f"the cluster at {client.address} has no {', '.join(missing)} in {GROUP}/{VERSION}: "
            "install the CRDs (kubectl apply -f crds/)"
        )


def _watch_paths(watched: Sequence[str], poller: NamespacePoller | None) -> Iterator[str]:
    """Yield the paths of all watches that are to be there; a Namespace that is polled counts as one.

    None is to be there of what is in a namespace that may not be read any more.
    """
    namespaces = None if poller is None else [name for name in watched if name not in poller.forbidden]
    for collection in (*map(collection_of, KINDS), JOBS, PODS):
        yield from paths_of(collection, namespaces)
    yield from (NAMESPACES.path(name=name) for name in ((None,) if namespaces is None else namespaces))
