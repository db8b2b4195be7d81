"""Puts the operator together and runs it."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from http import HTTPStatus

import kopf

from mageflow import __version__
from mageflow.api import GROUP, KINDS, VERSION
from mageflow.controller.api_server import ApiServer
from mageflow.controller.background import Background
from mageflow.controller.caches import Caches
from mageflow.controller.clock import Clock
from mageflow.controller.exporter import expose, serve
from mageflow.controller.handlers import JOBS, NAMESPACES, PODS, Handlers, build_settings
from mageflow.controller.health import Health
from mageflow.controller.lease import Election, FencedClient
from mageflow.controller.listing import paths_of, read_everything
from mageflow.controller.namespaces import NamespaceReader, path_of
from mageflow.controller.queue import WorkQueue
from mageflow.controller.reconcile import Reconciler
from mageflow.controller.settings import Settings
from mageflow.kube.config import load_config
from mageflow.kube.errors import ApiError
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
        reader = await _read_namespaces(client, settings.namespaces)
        if settings.lease is None:
            returned = await _watch_and_work(settings, client, reader, None)
        else:
            election = Election(client, Clock(), settings.lease, settings.identity)
            async with election.campaign():
                returned = await _watch_and_work(settings, client, reader, election)
    if returned:
        raise NamespaceError(f"namespace {', '.join(returned)} may be read now: start anew to watch it")


async def _read_namespaces(client: ApiServer, namespaces: Sequence[str]) -> NamespaceReader | None:
    """Find out which namespaces may be read; None if all are to be watched. Raises NamespaceError if none may."""
    if not namespaces:
        return None
    reader = NamespaceReader(client, namespaces)
    await reader.read_all(lambda _: None)
    if not reader.readable():
        raise NamespaceError(f"there is no right to get any of the namespaces {', '.join(namespaces)}")
    return reader


async def _watch_and_work(
    settings: Settings, client: ApiServer, reader: NamespaceReader | None, election: Election | None
) -> set[str]:
    """Run until it is to end; return the namespaces that weren't watched as they might not be read, and now may."""
    clock = Clock()
    caches = Caches(clock)
    watched = () if reader is None else reader.readable()
    returned: set[str] = set()
    is_to_end = asyncio.Event()
    requests = client if election is None else FencedClient(client, election)
    reconciler = Reconciler(requests, caches, settings, clock, wake=lambda uid: queue.add(uid))
    queue = WorkQueue(
        reconciler.reconcile if election is None else election.guard(reconciler.reconcile), settings.workers
    )
    health = Health(client, queue, partial(_watch_paths, watched, reader), settings.stuck_after)
    handlers = Handlers(client, caches, reconciler, queue, health)
    expose(caches, queue, election)

    async def take_over() -> None:
        """Know everything that there is, and work on all of it."""
        caches.begin_term()
        await read_everything(client, caches, reader)
        for uid in caches.uids():
            queue.add(uid)

    def see_namespace(raw: Raw) -> None:
        handlers.see_namespace(raw)
        if raw["metadata"]["name"] not in watched:
            returned.add(raw["metadata"]["name"])
            is_to_end.set()

    async with asyncio.TaskGroup() as group:
        working = group.create_task(queue.run())
        await asyncio.sleep(0)  # the workers are there before kopf, which at its end cancels what came after it
        if election is not None:
            election.stand(take_over)
        following = None if reader is None else group.create_task(reader.follow(see_namespace, caches.namespaces.lose))
        finish = partial(_finish_work, queue, working, reconciler.background, election)
        try:
            await _run_kopf(handlers, settings, watched, is_to_end, finish)
        finally:
            if following is not None:
                following.cancel()
            queue.close()
            await reconciler.background.close()  # if kopf ended by an error, nobody else has
    return returned


async def _finish_work(
    queue: WorkQueue, working: asyncio.Task[None], background: Background, election: Election | None
) -> None:
    """Finish the reconciles in hand and what they have asked for, and begin no other."""
    queue.close()
    await asyncio.wait((working,))
    await background.close()
    if election is not None:
        election.withdraw()


async def _run_kopf(
    handlers: Handlers,
    settings: Settings,
    watched: Sequence[str],
    is_to_end: asyncio.Event,
    finish_work: Callable[[], Awaitable[None]],
) -> None:
    """Watch the namespaces `watched`, none: all, until SIGTERM, SIGINT or `is_to_end`; then finish the work, and end.

    kopf takes each task of the loop that was made after its start for its own: at its end it waits for them, after 5 s
    it cancels them. It leaves such a task itself, the one that waits for the stop flag, if it is ended by a signal. So
    it gets no signal, but the flag, and that once no task of ours is left.
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


def _watch_paths(watched: Sequence[str], reader: NamespaceReader | None) -> Iterator[str]:
    """Yield the paths of all watches that are to be there; Namespaces that are read by one of their own count as such.

    Those in a namespace that may not be read any more are not to be.
    """
    ours = ((GROUP, VERSION, kind.plural) for kind in KINDS)
    namespaces = None if reader is None else [name for name in watched if name not in reader.forbidden]
    for collection in (*ours, JOBS, PODS):
        yield from paths_of(*collection, namespaces)
    yield from paths_of(*NAMESPACES, None) if namespaces is None else map(path_of, namespaces)
