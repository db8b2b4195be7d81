"""Reads the Namespaces that an operator with rights in these alone can't watch, every 2 seconds.

A Role may let one `get` its own Namespace, but neither list nor watch it: those requests are made of the whole cluster.
https://kubernetes.io/docs/reference/access-authn-authz/rbac/#role-and-clusterrole

With a Namespace go the Roles in it. So one that may not be read any more is left alone: nothing is known of it, and so
nothing is decided about what is in it. The others are worked on.
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
from mageflow.kube.transport import Raw

logger = logging.getLogger(__name__)


def path_of(namespace: str) -> str:
    """Return the path of a Namespace."""
    return f"/api/v1/namespaces/{namespace}"


class NamespaceReader:
    """Knows which of some Namespaces may be read, and what was read."""

    def __init__(self, client: ApiServer, namespaces: Sequence[str]) -> None:
        self._client = client
        self._namespaces = namespaces
        self._problems: dict[str, str] = {}
        """Why one can't be read, as it was logged."""
        self.forbidden: set[str] = set()
        """Those that may not be read now: they are gone, with the Roles in them, or the Roles are."""

    async def read_all(self, lose: Callable[[str], None]) -> list[Raw]:
        """Read each that may be read and is there; `lose` is called with the names of the others.

        Raises ApiError if one can't be read for another reason.
        """
        found = []
        for namespace in self._namespaces:
            raw = await self._read(namespace)
            if raw is None:
                lose(namespace)
            else:
                found.append(raw)
        return found

    def readable(self) -> tuple[str, ...]:
        """Return the names of those that may be read, as far as is known."""
        return tuple(namespace for namespace in self._namespaces if namespace not in self.forbidden)

    async def follow(self, see: Callable[[Raw], None], lose: Callable[[str], None]) -> None:
        """Read each again and again, and pass on what was read, until cancelled; not all at the same moment."""
        count = len(self._namespaces)
        delays = (NAMESPACE_SECONDS * number / count for number in range(count))
        followers = zip(self._namespaces, delays, strict=True)
        await asyncio.gather(*(self._follow(namespace, delay, see, lose) for namespace, delay in followers))

    async def _follow(
        self, namespace: str, delay: float, see: Callable[[Raw], None], lose: Callable[[str], None]
    ) -> None:
        while True:
            try:
                raw = await self._read(namespace)
                if raw is None:
                    lose(namespace)
                else:
                    see(raw)
            except ApiError as error:
                self._tell(namespace, f"can't be read, and what it asked last counts: {error}")
            except Exception:
                logger.exception("namespace %s can't be read, and what it asked last counts", namespace)
            await asyncio.sleep(NAMESPACE_SECONDS + delay)
            delay = 0.0

    async def _read(self, namespace: str) -> Raw | None:
        """Return a Namespace; None if there is none, or it may not be read. Raises ApiError."""
        path, raw = path_of(namespace), None
        try:
            raw = await self._client.request("GET", path)
        except ApiError as error:
            if error.status == HTTPStatus.FORBIDDEN:
                self.forbidden.add(namespace)
                self._tell(namespace, f"may not be read, and is left alone: {error}")
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
