"""Puts the operator together and runs it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from http import HTTPStatus

import kopf

from mageflow import __version__
from mageflow.api import GROUP, KINDS, VERSION
from mageflow.controller.caches import Caches
from mageflow.controller.client import ApiError, Client, load_configuration
from mageflow.controller.clock import Clock
from mageflow.controller.exporter import expose, serving
from mageflow.controller.handlers import JOBS, NAMESPACES, PODS, Handlers, build_settings
from mageflow.controller.health import Health
from mageflow.controller.lease import Election, FencedClient
from mageflow.controller.listing import paths_of, read_everything
from mageflow.controller.namespaces import follow_namespaces, path_of
from mageflow.controller.queue import WorkQueue
from mageflow.controller.reconcile import Reconciler
from mageflow.controller.settings import Settings

logger = logging.getLogger(__name__)


class MissingResourceError(Exception):
    """The custom resources aren't installed in the cluster."""


async def run_operator(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; then finish the reconciles in hand, and give the Lease back.

    Raises CredentialsError without a cluster, ApiError if it doesn't answer, MissingResourceError without the CRDs,
    PortError if /metrics can't be served.
    """
    with serving(settings.metrics_port):
        async with Client(await load_configuration()) as client:
            await _check_resources(client)
            where = ", ".join(settings.namespaces) or "all namespaces"
            logger.info("mageflow-operator %s at %s, watching %s", __version__, client.server, where)
            if settings.lease is None:
                await _watch_and_work(settings, client, None)
            else:
                election = Election(client, Clock(), settings.lease, settings.identity)
                async with election.campaign():
                    await _watch_and_work(settings, client, election)


async def _watch_and_work(settings: Settings, client: Client, election: Election | None) -> None:
    caches = Caches()
    requests = client if election is None else FencedClient(client, election)
    reconciler = Reconciler(requests, caches, settings, Clock())
    queue = WorkQueue(
        reconciler.reconcile if election is None else election.guard(reconciler.reconcile), settings.workers
    )
    health = Health(client, queue, tuple(_watch_paths(settings)), settings.stuck_after)
    handlers = Handlers(client, caches, reconciler, queue, health)
    expose(caches, queue, election)

    async def take_over() -> None:
        """Know everything that there is, and work on all of it."""
        await read_everything(client, caches, settings.namespaces)
        for uid in caches.uids():
            queue.add(uid)

    async with asyncio.TaskGroup() as group:
        group.create_task(queue.run())
        await asyncio.sleep(0)  # the workers are there before kopf, which at its end cancels what came after it
        if election is not None:
            election.stand(take_over)
        following = group.create_task(follow_namespaces(client, settings.namespaces, handlers.see_namespace))
        try:
            await kopf.operator(
                registry=handlers.register(clusterwide=not settings.namespaces),
                settings=build_settings(),
                standalone=True,
                clusterwide=not settings.namespaces,
                namespaces=settings.namespaces,
                liveness_endpoint=f"http://0.0.0.0:{settings.health_port}/healthz",
            )
        finally:
            following.cancel()
            queue.close()


async def _check_resources(client: Client) -> None:
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
            f"the cluster at {client.server} has no {', '.join(missing)} in {GROUP}/{VERSION}: "
            "install the CRDs (kubectl apply -f crds/)"
        )


def _watch_paths(settings: Settings) -> Iterator[str]:
    ours = ((GROUP, VERSION, kind.plural) for kind in KINDS)
    for collection in (*ours, JOBS, PODS):
        yield from paths_of(*collection, settings.namespaces)
    if settings.namespaces:
        yield from map(path_of, settings.namespaces)
    else:
        yield from paths_of(*NAMESPACES, ())
