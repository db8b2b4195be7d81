"""Requests over HTTP: credentials, time limits, and what has gone wrong."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException

from mageflow import __version__
from mageflow.client.answers import error_of, parse_answer
from mageflow.client.config import Config
from mageflow.client.errors import ConfigError, UnreachableError
from mageflow.client.transport import JSON, Raw

MANAGER: Final = "mageflow-client"
"""Who `managedFields` and the audit log say that it was."""

REQUEST_TIME: Final = aiohttp.ClientTimeout(total=30)
"""How long one request may take, and its answer."""

QUIET_TIME: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=90)
"""How long a watch or a log may be silent before it is asked for again: its other end may be gone without a word."""


class HttpTransport:
    """Requests over HTTP, with the credentials that are valid when each is made."""

    def __init__(self, config: Config) -> None:
        self._configuration = config.configuration
        self._configuration.client_session_kwargs = {"middlewares": (self._authenticate,)}
        self._configuration.connection_pool_maxsize = 0  # the logs of a Swarm may be many streams; no limit
        try:
            self._rest = RESTClientObject(self._configuration)
        except OSError as error:  # TLS errors are OSErrors
            what = f"the certificates for {self._configuration.host} can't be used: {error}"
            raise ConfigError(what) from error

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Raw:
        """Make one request and return the parsed answer."""
        query = {**(query or {})} if method in ("GET", "DELETE") else {"fieldManager": MANAGER, **(query or {})}
        async with self._open(method, path, query, REQUEST_TIME, body, content_type) as response:
            return parse_answer(await response.read())

    @asynccontextmanager
    async def lines(self, path: str, query: Mapping[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the lines of an answer as they come. One may be of any length; the last may have no line feed."""
        async with self._open("GET", path, query, QUIET_TIME) as response, aclosing(_split(response)) as lines:
            yield lines

    async def close(self) -> None:
        """Close all connections."""
        await self._rest.close()

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        time: aiohttp.ClientTimeout,
        body: Any = None,
        content_type: str = JSON,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Make a request and give its answer; raise what an answer other than 2xx, or none, means."""
        url = f"{self._configuration.host}{path}?{urlencode(query)}" if query else f"{self._configuration.host}{path}"
        headers = {"Content-Type": content_type, "Accept": JSON, "User-Agent": f"{MANAGER}/{__version__}"}
        try:
            try:
                answer = await self._rest.request(method, url, headers=headers, body=body, _request_timeout=time)
            except aiohttp.ClientError:
                raise
            except ValueError as error:  # such as a token with a line break in it
                raise ConfigException(error) from error
            async with answer.response as response:
                if not 200 <= response.status < 300:
                    raise error_of(response.status, await response.read(), path)
                yield response
        except (aiohttp.ClientError, TimeoutError) as error:
            why = str(error) or type(error).__name__
            raise UnreachableError(f"no answer from {self._configuration.host} to {method} {path}: {why}") from error
        except ConfigException as error:  # credentials that couldn't be renewed
            raise ConfigError(f"the credentials for {self._configuration.host} can't be used: {error}") from error

    async def _authenticate(
        self,
        request: aiohttp.ClientRequest,
        handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
    ) -> aiohttp.ClientResponse:
        """Put the present credentials on each request: a projected token is read anew as it rotates."""
        settings: Raw = dict(await self._configuration.auth_settings())
        for setting in settings.values():
            if setting["in"] == "header" and setting["value"]:
                request.headers[setting["key"]] = setting["value"]
        return await handler(request)


async def _split(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
    rest: list[bytes] = []
    async for chunk in response.content.iter_any():
        first, *others = chunk.split(b"\n")
        rest.append(first)
        for other in others:
            yield b"".join(rest)
            rest = [other]
    if any(rest):
        yield b"".join(rest)
