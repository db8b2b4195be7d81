"""The operator's requests to the API server, counted, with kopf's watches among them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from kubernetes.aio.client import Configuration

from mageflow.controller import metrics
from mageflow.controller.settings import ANSWER_SECONDS, FIELD_MANAGER, LIST_SECONDS, READ_SECONDS, WRITE_SECONDS
from mageflow.kube.http import Handler, HttpTransport
from mageflow.kube.transport import JSON, Raw


class ApiServer:
    """Requests to one API server; use it as an async context manager.

    Raises ConfigError if the certificates can't be used.
    """

    def __init__(self, configuration: Configuration) -> None:
        self._http = HttpTransport(
            configuration, FIELD_MANAGER, meter=_count, middlewares=(self._note_watches, _check_open)
        )
        self._lent: list[aiohttp.ClientSession] = []
        self.watched_at: dict[str, float] = {}
        """When each watch was last established, by path, on the monotonic clock."""

    async def __aenter__(self) -> ApiServer:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def address(self) -> str:
        """Its URL."""
        return self._http.server

    async def lend_session(self) -> aiohttp.ClientSession:
        """Return a new session for kopf, which closes it when it is refused (401), and at its end.

        Our own must outlive the last reconcile. And kopf takes none again that was refused.
        """
        self._lent = [session for session in self._lent if not session.closed]
        session = self._http.open_session()
        self._lent.append(session)
        return session

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        seconds: float | None = None,
    ) -> Raw:
        """Make one request and return the parsed answer; raise ApiError if it isn't a success, or takes too long.

        `seconds`: how long it may take; None: as long as a read or a write may. A write is ended by the API server
        itself after that time, so that it can't be made long after it was asked for (docs/adr/0015).
        """
        if method != "GET":
            limit = WRITE_SECONDS if seconds is None else seconds
            query = {"timeout": f"{limit:g}s", **(query or {})}
            seconds = WRITE_SECONDS + ANSWER_SECONDS if seconds is None else seconds
        if seconds is None:
            seconds = LIST_SECONDS if query is not None and "limit" in query else READ_SECONDS
        return await self._http.request(method, path, body, query=query, content_type=content_type, seconds=seconds)

    @asynccontextmanager
    async def lines(self, path: str, query: Mapping[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the lines of a watch as they come, as `Transport.lines`."""
        async with self._http.lines(path, query) as lines:
            yield lines

    async def close(self) -> None:
        """Close all connections, those that were lent as well."""
        await self._http.close()
        for session in self._lent:
            await session.close()

    async def _note_watches(self, request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
        response = await handler(request)
        if request.url.query.get("watch") == "true" and response.status == 200:
            self.watched_at[request.url.path] = time.monotonic()
            metrics.WATCH_STARTS.labels(request.url.name).inc()
        return response


def _count(method: str, status: int, seconds: float) -> None:
    metrics.API_REQUESTS.labels(method, status).inc()
    metrics.API_REQUEST_SECONDS.labels(method).observe(seconds)


async def _check_open(request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
    """Refuse a request in a session that was closed meanwhile, as aiohttp does if it was closed before.

    It makes a request anew whose connection broke off, and fails on an assertion if that was by closing the session.
    """
    if request.session.closed:
        raise RuntimeError("Session is closed")
    return await handler(request)
