"""Scopes: what one watch tells of, and several watches at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Collection, Iterable
from contextlib import aclosing
from typing import Final, NamedTuple, Self, TypeAlias

from mageflow.api import Kind
from mageflow.client.connection import Connection
from mageflow.client.handle import collection_path
from mageflow.kube.errors import MageflowError
from mageflow.kube.transport import Raw
from mageflow.kube.watch import list_and_watch

MAX_NAMED: Final = 10
"""Names of one kind and namespace that have a watch each; for more, one watch tells of all that is there."""


class Scope(NamedTuple):
    """What one watch tells of."""

    kind: Kind
    namespace: str | None
    """None: all."""
    name: str | None = None
    """None: all. By name it can be watched also by a user whose Role lists `resourceNames`."""


Snapshot: TypeAlias = dict[str, Raw]
"""All resources of a scope, by uid."""


def scopes_by_name(kind: Kind, namespace: str | None, names: Iterable[str]) -> list[Scope]:
    """Return a scope for each name; if the names are many, one scope for all resources there."""
    names = list(dict.fromkeys(names))
    return [Scope(kind, namespace, name) for name in names] if len(names) <= MAX_NAMED else [Scope(kind, namespace)]


class Watches:
    """Async context manager: a watch for each of several scopes; `next` returns what they tell."""

    def __init__(self, connection: Connection, scopes: Collection[Scope], selector: str | None = None) -> None:
        self._connection = connection
        self._scopes = scopes
        self._selector = selector
        self._news: dict[Scope, Snapshot | Exception] = {}
        self._has_news = asyncio.Event()
        self._pumps: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Self:
        self._pumps = [asyncio.create_task(self._pump(scope)) for scope in self._scopes]
        return self

    async def __aexit__(self, *_: object) -> None:
        for pump in self._pumps:
            pump.cancel()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def next(self) -> dict[Scope, Snapshot | MageflowError]:
        """Return the scopes of which there is news, each with all that is in it now, or with what ended its watch.

        It may be cancelled: nothing is lost.
        """
        await self._has_news.wait()
        self._has_news.clear()
        news: dict[Scope, Snapshot | MageflowError] = {}
        for scope, told in self._news.items():
            if isinstance(told, Exception) and not isinstance(told, MageflowError):
                raise told
            news[scope] = told
        self._news = {}
        return news

    async def _pump(self, scope: Scope) -> None:
        query = {} if self._selector is None else {"labelSelector": self._selector}
        if scope.name is not None:
            query["fieldSelector"] = f"metadata.name={scope.name}"
        connection = self._connection
        try:
            path = collection_path(scope.kind, scope.namespace)
            async with aclosing(list_and_watch(connection.transport, path, query, connection.patience)) as changes:
                async for objects in changes:
                    self._tell(scope, dict(objects))
        except Exception as error:
            self._tell(scope, error)

    def _tell(self, scope: Scope, told: Snapshot | Exception) -> None:
        self._news[scope] = told
        self._has_news.set()


async def watch_all(
    connection: Connection, scopes: Collection[Scope], selector: str | None = None
) -> AsyncGenerator[Snapshot]:
    """Yield all resources of several scopes, then anew after each change. Raises the error that ends a watch."""
    seen: dict[Scope, Snapshot] = {}
    async with Watches(connection, scopes, selector) as watches:
        while True:
            for scope, told in (await watches.next()).items():
                if isinstance(told, MageflowError):
                    raise told
                seen[scope] = told
            if len(seen) == len(scopes):
                yield {uid: resource for it in scopes for uid, resource in seen[it].items()}
