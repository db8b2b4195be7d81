"""Reads the Namespaces that an operator with rights in these alone can't watch, every 2 seconds.

A Role may let one `get` its own Namespace, but neither list nor watch it: those requests are made of the whole cluster.
https://kubernetes.io/docs/reference/access-authn-authz/rbac/#role-and-clusterrole
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus

from mageflow.controller.client import ApiError, Client, Raw
from mageflow.controller.settings import NAMESPACE_SECONDS

logger = logging.getLogger(__name__)


def path_of(namespace: str) -> str:
    """Return the path of a Namespace."""
    return f"/api/v1/namespaces/{namespace}"


async def read_namespace(client: Client, namespace: str) -> Raw | None:
    """Return a Namespace, None if there is none. Raises ApiError."""
    try:
        return await client.request("GET", path_of(namespace))
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return None
        raise


async def follow_namespaces(client: Client, namespaces: Sequence[str], see: Callable[[Raw], None]) -> None:
    """Read each Namespace again and again, and pass on what was read, until cancelled.

    One that can't be read counts for /healthz as a watch that can't be made.
    """
    await asyncio.gather(*(_follow(client, namespace, see) for namespace in namespaces))


async def _follow(client: Client, namespace: str, see: Callable[[Raw], None]) -> None:
    problem = None
    while True:
        try:
            raw = await read_namespace(client, namespace)
        except ApiError as error:
            if str(error) != problem:
                logger.warning("namespace %s can't be read, and nothing new starts in it: %s", namespace, error)
            problem = str(error)
        else:
            problem = None
            client.watched_at[path_of(namespace)] = time.monotonic()
            if raw is not None:
                see(raw)
        await asyncio.sleep(NAMESPACE_SECONDS)
