"""Requests over HTTP to one API server: credentials, time limits, Retry-After, and what has gone wrong."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from functools import cached_property
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException

from mageflow import __version__
from mageflow.kube.encoding import encode
from mageflow.kube.errors import NO_ANSWER, ApiError, ConfigError, CredentialsError, UnreachableError, error_of
from mageflow.kube.errors import parse_answer as parse
from mageflow.kube.transport import JSON, Raw

REQUEST_SECONDS: Final = 30.0
"""How long one request may take, and its answer, if nothing else is said."""

QUIET_TIME: Final = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=90)
"""How long a watch or a log may be silent before it is asked for again: its other end may be gone without a word."""

READING: Final = frozenset({"GET", "DELETE"})
"""Methods that manage no fields."""

Handler: TypeAlias = Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]
Middleware: TypeAlias = Callable[[aiohttp.ClientRequest, Handler], Awaitable[aiohttp.ClientResponse]]

Meter: TypeAlias = Callable[[str, int, float], None]
"""Takes the method of a request, the status of its answer (0: none came) and how many seconds it took."""


class HttpTransport:
    """Requests over HTTP, with the credentials that are valid when each is made.

    `manager`: who `managedFields` and the audit log say that it was.
    `patience`: how many seconds a single request may be put off in all because the API server asks for that
    (`Retry-After`); 0: the error says so, and the caller waits.
    `meter`: called after each single request.
    `middlewares`: aiohttp's, for all requests and for the sessions that `open_session` makes.

    Raises ConfigError if the certificates can't be used.
    """

    def __init__(
        self,
        configuration: Configuration,
        manager: str,
        *,
        patience: float = 0.0,
        meter: Meter | None = None,
        middlewares: Sequence[Middleware] = (),
    ) -> None:
        self._configuration = configuration
        self._manager = manager
        self._patience = patience
        self._meter = meter
        configuration.client_session_kwargs = {
            "middlewares": (self._authenticate, *middlewares),
            "proxy": configuration.proxy or find_proxy(self.server),
            "trust_env": False,  # aiohttp would look for a proxy, and for a netrc, at each request, in a thread
        }
        configuration.connection_pool_maxsize = 0  # watches and logs hold theirs for long; no limit
        try:
            self._rest = _Rest(configuration)
        except OSError as error:  # TLS errors are OSErrors
            raise ConfigError(f"the certificates for {self.server} can't be used: {error}") from error

    @property
    def server(self) -> str:
        """The API server's address."""
        host: str = self._configuration.host
        return host

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        seconds: float = REQUEST_SECONDS,
    ) -> Raw:
        """Make one request and return the parsed answer; raise ApiError if it isn't a success within `seconds`."""
        query = {**(query or {})} if method in READING else {"fieldManager": self._manager, **(query or {})}
        gives_up_at = time.monotonic() + self._patience
        while True:
            try:
                return await self._request(method, path, body, query, content_type, seconds)
            except ApiError as error:
                if error.retry_after is None or not error.may_pass:
                    raise
                if time.monotonic() + error.retry_after > gives_up_at:
                    raise
                await asyncio.sleep(error.retry_after)

    @asynccontextmanager
    async def lines(self, path: str, query: Mapping[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Give the lines of an answer as they come. One may be of any length; the last may have no line feed."""
        async with self._open("GET", path, query, QUIET_TIME) as response, aclosing(_split(response)) as lines:
            yield lines

    def open_session(self) -> aiohttp.ClientSession:
        """Open a session of its own for somebody else: TLS, proxies, limits and middlewares are as ours."""
        return _Rest(self._configuration).take_session()

    async def close(self) -> None:
        """Close all connections; a session that was opened for somebody else is theirs to close."""
        await self._rest.close()

    async def _request(
        self, method: str, path: str, body: Any, query: Mapping[str, str], content_type: str, seconds: float
    ) -> Raw:
        began, status = time.monotonic(), NO_ANSWER
        limits = aiohttp.ClientTimeout(total=seconds)
        try:
            async with self._open(method, path, query, limits, body, content_type) as response:
                text = await response.read()
            status = response.status
            return parse(text)
        except ApiError as error:
            status = error.status
            raise
        finally:
            if self._meter is not None:
                self._meter(method, status, time.monotonic() - began)

    @asynccontextmanager
    async def _open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        limits: aiohttp.ClientTimeout,
        body: Any = None,
        content_type: str = JSON,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Make a request and give its answer; raise what an answer other than 2xx, or none, means."""
        url = f"{self.server}{path}?{urlencode(query)}" if query else f"{self.server}{path}"
        headers = {"Content-Type": content_type, "Accept": JSON, "User-Agent": f"{self._manager}/{__version__}"}
        try:
            try:
                answer = await self._rest.send(method, url, headers, body, limits)
            except aiohttp.ClientError:
                raise
            except ValueError as error:  # such as a token with a line break in it
                raise ConfigException(error) from error
            async with answer as response:
                if not 200 <= response.status < 300:
                    text = await response.read()
                    raise error_of(response.status, text, path, response.headers.get("Retry-After"))
                yield response
        except (aiohttp.ClientError, TimeoutError) as error:
            why = str(error) or type(error).__name__
            raise UnreachableError(
                f"no answer from the API server at {self.server} to {method} {path}: {why}"
            ) from error
        except ConfigException as error:  # credentials that couldn't be renewed
            raise CredentialsError(f"the credentials for {self.server} can't be used: {error}") from error

    async def _authenticate(self, request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
        """Put the present credentials on each request: a projected token is read anew as it rotates."""
        settings: Raw = dict(await self._configuration.auth_settings())
        for setting in settings.values():
            if setting["in"] == "header" and setting["value"]:
                request.headers[setting["key"]] = setting["value"]
        return await handler(request)


class _Rest(RESTClientObject):
    """The library's connections."""

    async def send(
        self, method: str, url: str, headers: Raw, body: Any, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """Make a request; return its answer, not read yet."""
        if self.pool_manager is None:
            self.pool_manager = self.take_session()
        data = None if body is None else encode(body)
        return await self.pool_manager.request(method, url, headers=headers, data=data, timeout=limits, **self._options)

    def take_session(self) -> aiohttp.ClientSession:
        """Return a new session, which the caller closes."""
        session: aiohttp.ClientSession = self._create_pool_manager()
        return session

    @cached_property
    def _options(self) -> Raw:
        """What the configuration asks of each request."""
        configuration = self.configuration
        options = {"server_hostname": configuration.tls_server_name, "proxy_headers": configuration.proxy_headers}
        return {name: value for name, value in options.items() if value}


def find_proxy(server: str) -> str | None:
    """Return the proxy that the environment names for an address (HTTPS_PROXY, NO_PROXY), as kubectl finds it."""
    parts = urlsplit(server)
    return None if proxy_bypass(parts.netloc) else getproxies().get(parts.scheme)


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
