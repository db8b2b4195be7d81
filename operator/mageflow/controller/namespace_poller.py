"""Poller of the Namespaces that an operator with rights in these alone can't watch; each is read every 2 seconds.

A Role may allow to `get` its own Namespace, but not to list or watch it: Namespaces are listed in the whole cluster.
https://kubernetes.io/docs/reference/access-authn-authz/rbac/#role-and-clusterrole

The Roles in a Namespace go with it. So one that may not be read any more is left alone, and the others are worked on:
what isn't known of a Namespace leaves what is in it undecided.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus

from mageflow.controller.api_server import ApiServer
from mageflow.controller.settings import NAMESPACE_SECONDS
from mageflow.kube.errors import ApiError
from mageflow.kube.paths import NAMESPACES
from mageflow.kube.transport import Raw

logger = logging.getLogger(__name__)


class NamespacePoller:
    """Reads the Namespaces that it was made for, and tells which of them may be read."""

    def __init__(self, client: ApiServer, namespaces: Sequence[str]) -> None:
        self._client = client
        self._namespaces = namespaces
        self._problems: dict[str, str] = {}
        """By name: why one can't be read, as it was logged."""
        self.forbidden: set[str] = set()
        """Those that may not be read now: either they are gone, and the Roles in them, or only the Roles are."""

    async def read_all(self, mark_unknown: Callable[[str], None]) -> list[Raw]:
        """Return those that are there and may be read; `mark_unknown` is called with the name of each other.

        Raises ApiError if one can't be read for another reason.
        """
        found = []
        for namespace in self._namespaces:
            raw = await self._read(namespace)
            if raw is None:
                mark_unknown(namespace)
            else:
                found.append(raw)
        return found

    def readable(self) -> tuple[str, ...]:
        """Return the names of those that may be read, as far as is known."""
        return tuple(namespace for namespace in self._namespaces if namespace not in self.forbidden)

    async def poll(self, upsert: Callable[[Raw], None], mark_unknown: Callable[[str], None]) -> None:
        """Read each again and again until cancelled, not all at the same moment.

        `upsert` is called with each that was read, `mark_unknown` with the name of one that isn't there, or may not be
        read. After any other failure what is known of it stays.
        """
        count = len(self._namespaces)
        delays = (NAMESPACE_SECONDS * number / count for number in range(count))
        pollers = zip(self._namespaces, delays, strict=True)
        await asyncio.gather(*(self._poll(namespace, delay, upsert, mark_unknown) for namespace, delay in pollers))

    async def _poll(
        self, namespace: str, delay: float, upsert: Callable[[Raw], None], mark_unknown: Callable[[str], None]
    ) -> None:
        while True:
            try:
                raw = await self._read(namespace)
                if raw is None:
                    mark_unknown(namespace)
                else:
                    upsert(raw)
            except ApiError as error:
                self._tell(namespace, f"can't be read, and what it asked last counts: {error.line}")
            except Exception:
                logger.exception("namespace %s can't be read, and what it asked last counts", namespace)
            await asyncio.sleep(NAMESPACE_SECONDS + delay)
            delay = 0.0

    async def _read(self, namespace: str) -> Raw | None:
        """Return a Namespace; None if there is none, or it may not be read. Raises ApiError."""
        path, raw = NAMESPACES.path(name=namespace), None
        try:
            raw = await self._client.request("GET", path)
        except ApiError as error:
            if error.status == HTTPStatus.FORBIDDEN:
                self.forbidden.add(namespace)
                self._tell(namespace, f"may not be read, and is left alone: {error.line}")
                return None
            if error.status != HTTPStatus.NOT_FOUND:
                raise
        self.forbidden.discard(namespace)
        self._problems.pop(namespace, None)
        self._client.watched_at[path] = time.monotonic()  # for /healthz it is a watch that was made
        return raw

    def _tell(self, namespace: str, problem: str) -> None:
        """Log a problem, once for as long as it is the same."""
        if self._problems.get(namespace) != problem:
            logger.warning("namespace %s %s", namespace, problem)
        self._problems[namespace] = problem
