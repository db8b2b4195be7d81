"""All requests to the API server, kopf's watches included: credentials, errors, and when each watch was made."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config
from kubernetes.aio.config.incluster_config import SERVICE_HOST_ENV_NAME, SERVICE_TOKEN_FILENAME
from kubernetes.aio.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION
from yaml import YAMLError

from mageflow.controller import metrics
from mageflow.controller.settings import ANSWER_SECONDS, FIELD_MANAGER, READ_SECONDS, WRITE_SECONDS

Raw = dict[str, Any]
"""An object as the API server sends it."""

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"
NO_CONNECTION: Final = 0
"""`ApiError.status` of a request that got no answer."""


class ApiError(Exception):
    """The API server refused a request, or didn't answer (`status` 0).

    `status` is the HTTP status, `reason` the API server's own word (such as NotFound), `message` its sentence.
    """

    def __init__(self, status: int, reason: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(f"{status} {reason}: {message}" if status else f"no answer from the API server: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.details = details or {}

    @property
    def may_have_happened(self) -> bool:
        """What was asked for may have been done all the same: there was no answer, or one of a server in trouble.

        Not if a webhook said no or failed: that comes before anything is done.
        """
        is_in_doubt = self.status == NO_CONNECTION or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return is_in_doubt and not self.is_denied and not self.is_of_admission

    @property
    def is_refusal(self) -> bool:
        """The API server won't do it however often it is asked: not that it had no time, or the object has changed."""
        if "request is too large" in self.message:  # etcd's, which comes as 500
            return True
        is_for_now = self.status in (HTTPStatus.CONFLICT, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
        return HTTPStatus.BAD_REQUEST <= self.status < HTTPStatus.INTERNAL_SERVER_ERROR and not is_for_now

    @property
    def is_denied(self) -> bool:
        """A webhook said no: it may do so with any status."""
        return "denied the request" in self.message

    @property
    def is_of_admission(self) -> bool:
        """A webhook failed."""
        return "failed calling webhook" in self.message or "failed to call webhook" in self.message

    @property
    def names_fields(self) -> bool:
        """The object is invalid by fields of it; what a policy refuses has the same status, and names none."""
        return self.reason == "Invalid" and any(cause.get("field") for cause in self.details.get("causes") or ())

    @property
    def is_too_large(self) -> bool:
        """The object can't be stored, nor ever will be: etcd's and gRPC's own limits come as a server error."""
        return self.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or (
            self.status == HTTPStatus.INTERNAL_SERVER_ERROR
            and ("request is too large" in self.message or "larger than max" in self.message)
        )

    @property
    def is_namespace_terminating(self) -> bool:
        """Nothing can be created any more: the namespace is being deleted."""
        return any(cause.get("reason") == "NamespaceTerminating" for cause in self.details.get("causes", ()))


class NotLeadingError(ApiError):
    """A request that wasn't made, as another operator may act."""

    def __init__(self) -> None:
        super().__init__(NO_CONNECTION, "NotLeading", "the Lease is not held: another operator may act")


class Requests(Protocol):
    """What makes requests: a client, or one that only the leader may use."""

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Raw:
        """Make one request and return the parsed answer; raise ApiError if it isn't a success."""
        ...


class CredentialsError(Exception):
    """No cluster to talk to: neither a usable kubeconfig nor in-cluster credentials."""


class Client:
    """Requests to one API server; use it as an async context manager."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration
        configuration.client_session_kwargs = {"middlewares": (self._authenticate, self._note_watches, _check_open)}
        configuration.connection_pool_maxsize = 0  # watches hold theirs for ever; no limit
        try:
            self._api = ApiClient(configuration)
        except OSError as error:  # TLS errors are OSErrors
            raise CredentialsError(f"the certificates for {configuration.host} can't be used: {error}") from error
        self._lent: list[aiohttp.ClientSession] = []
        self.watched_at: dict[str, float] = {}
        """When each watch was last established, by path, on the monotonic clock."""

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._api.close()
        for session in self._lent:
            await session.close()

    @property
    def server(self) -> str:
        """The API server's address."""
        host: str = self._configuration.host
        return host

    async def lend_session(self) -> aiohttp.ClientSession:
        """Return a new session for kopf, which closes it when it is refused (401), and at its end.

        Our own must outlive the last reconcile. And kopf takes none again that was refused.
        """
        self._lent = [session for session in self._lent if not session.closed]
        session = _Sessions(self._configuration).open()
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

        `seconds`: how long it may take; None: as long as a read or a write may.
        """
        if method != "GET":
            manager = {} if method == "DELETE" else {"fieldManager": FIELD_MANAGER}
            limit = WRITE_SECONDS if seconds is None else seconds
            query = {**manager, "timeout": f"{limit:g}s", **(query or {})}
            seconds = WRITE_SECONDS + ANSWER_SECONDS if seconds is None else seconds
        seconds = READ_SECONDS if seconds is None else seconds
        url = f"{self.server}{path}?{urlencode(query)}" if query else f"{self.server}{path}"
        headers = {"Content-Type": content_type, "Accept": "application/json", "User-Agent": FIELD_MANAGER}
        began = time.monotonic()
        code = NO_CONNECTION
        try:
            response = await self._api.rest_client.request(
                method, url, headers=headers, body=body, _request_timeout=seconds
            )
            text = await response.read()
            code = response.status
        except (aiohttp.ClientError, ConfigException, TimeoutError) as error:  # credentials may be made anew for it
            raise ApiError(
                NO_CONNECTION, type(error).__name__, str(error) or f"no answer to {method} {path}"
            ) from error
        finally:
            metrics.API_REQUESTS.labels(method, code).inc()
            metrics.API_REQUEST_SECONDS.labels(method).observe(time.monotonic() - began)
        document = _parse(text)
        if not 200 <= response.status < 300:
            message = document.get("message") or str(text, "utf-8", "replace")
            raise ApiError(response.status, document.get("reason") or "Unknown", message, document.get("details"))
        return document

    async def _authenticate(
        self,
        request: aiohttp.ClientRequest,
        handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
    ) -> aiohttp.ClientResponse:
        """Put the present credentials on each request: a projected token is read anew as it rotates."""
        settings: dict[str, Any] = dict(await self._configuration.auth_settings())
        for setting in settings.values():
            if setting["in"] == "header" and setting["value"]:
                request.headers[setting["key"]] = setting["value"]
        return await handler(request)

    async def _note_watches(
        self,
        request: aiohttp.ClientRequest,
        handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
    ) -> aiohttp.ClientResponse:
        response = await handler(request)
        if request.url.query.get("watch") == "true" and response.status == 200:
            self.watched_at[request.url.path] = time.monotonic()
            metrics.WATCH_STARTS.labels(request.url.name).inc()
        return response


class _Sessions(RESTClientObject):
    """Opens sessions as the library's own are: TLS, proxies, limits, middlewares."""

    def open(self) -> aiohttp.ClientSession:
        """Open one."""
        session: aiohttp.ClientSession = self._create_pool_manager()
        return session


async def _check_open(
    request: aiohttp.ClientRequest,
    handler: Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]],
) -> aiohttp.ClientResponse:
    """Refuse a request in a session that was closed meanwhile, as aiohttp does if it was closed before.

    It makes a request anew whose connection broke off, and fails on an assertion if that was by closing the session.
    """
    if request.session.closed:
        raise RuntimeError("Session is closed")
    return await handler(request)


async def load_configuration() -> Configuration:
    """Find the cluster the usual way: $KUBECONFIG or ~/.kube/config if there, else the pod's service account.

    Raises CredentialsError, saying what was looked for.
    """
    configuration = Configuration()
    try:
        if _is_there(KUBE_CONFIG_DEFAULT_LOCATION):
            await load_kube_config(client_configuration=configuration)
        elif _is_there(SERVICE_TOKEN_FILENAME):
            load_incluster_config(client_configuration=configuration)
        else:
            raise CredentialsError(
                f"no cluster: neither a kubeconfig ({KUBE_CONFIG_DEFAULT_LOCATION}; set KUBECONFIG to name another) "
                f"nor a service account ({SERVICE_TOKEN_FILENAME}, {SERVICE_HOST_ENV_NAME})"
            )
    except (ConfigException, YAMLError, OSError, TypeError, ValueError, LookupError) as error:
        # The library checks little: an empty file is a TypeError.
        raise CredentialsError(f"the kubeconfig or service account can't be used: {error}") from error
    return configuration


def _is_there(paths: str) -> bool:
    return any(Path(path).expanduser().exists() for path in paths.split(":"))


def _parse(text: bytes) -> Raw:
    try:
        document: Raw = json.loads(text)
    except ValueError:
        return {}
    return document
