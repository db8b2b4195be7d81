"""Requests that fail, and credentials that can't be found or used: each told in one sentence."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiohttp import web
from kubernetes.aio.client import Configuration
from kubernetes.aio.config import ConfigException

from mageflow.controller import api_server as module
from mageflow.controller.api_server import ApiServer
from mageflow.kube import config
from mageflow.kube.config import load_config
from mageflow.kube.errors import ApiError, ConfigError

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@pytest.fixture
def answers() -> dict[str, Answer]:
    """What the server answers, by path."""
    return {}


@pytest.fixture
async def client(answers: dict[str, Answer]) -> AsyncIterator[ApiServer]:
    """A client of an HTTP server that gives these answers."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return await answers[request.path](request)

    runner = web.ServerRunner(web.Server(answer))  # type: ignore[arg-type]
    await runner.setup()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        await web.SockSite(runner, listener).start()
        host = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with ApiServer(Configuration(host=host)) as client:
            yield client
        await runner.cleanup()


def says(status: int, body: str, content_type: str = "application/json") -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body, content_type=content_type)

    return answer


async def error_of(client: ApiServer, path: str = "/x", method: str = "GET") -> ApiError:
    with pytest.raises(ApiError) as caught:
        await client.request(method, path)
    return caught.value


# ── answers ──


async def test_answer_is_parsed_when_the_request_succeeds(client: ApiServer, answers: dict[str, Answer]) -> None:
    answers["/x"] = says(201, '{"kind": "Job"}')
    assert await client.request("POST", "/x", {"a": 1}) == {"kind": "Job"}


async def test_api_servers_own_words_are_kept_when_it_refuses(client: ApiServer, answers: dict[str, Answer]) -> None:
    answers["/x"] = says(409, '{"reason": "Conflict", "message": "the object has been modified"}')
    error = await error_of(client)
    assert (error.status, error.reason, error.message) == (409, "Conflict", "the object has been modified")
    assert str(error) == "409 Conflict: the object has been modified"


@pytest.mark.parametrize("body", ["", "upstream connect error", "{", "{}"])
async def test_body_is_the_message_when_something_else_answers(
    client: ApiServer, answers: dict[str, Answer], body: str
) -> None:
    answers["/x"] = says(502, body, "text/plain")
    error = await error_of(client)
    assert (error.status, error.reason, error.message) == (502, "Unknown", body or "no word about /x")


async def test_terminating_namespace_is_told_apart_when_nothing_can_be_created(
    client: ApiServer, answers: dict[str, Answer]
) -> None:
    answers["/gone"] = says(
        403, '{"reason": "Forbidden", "message": "x", "details": {"causes": [{"reason": "NamespaceTerminating"}]}}'
    )
    answers["/quota"] = says(403, '{"reason": "Forbidden", "message": "exceeded quota", "details": {"kind": "jobs"}}')
    assert (await error_of(client, "/gone", "POST")).is_namespace_terminating
    assert not (await error_of(client, "/quota", "POST")).is_namespace_terminating


async def test_writes_name_their_manager_and_how_long_they_may_take(
    client: ApiServer, answers: dict[str, Answer]
) -> None:
    queries: dict[str, str] = {}

    async def answer(request: web.Request) -> web.StreamResponse:
        queries[request.method] = request.rel_url.raw_query_string
        return web.json_response({})

    answers["/x"] = answer
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        await client.request(method, "/x", query={"a": "b c"})
    assert queries == {
        "GET": "a=b+c",
        "DELETE": "timeout=30s&a=b+c",
        **dict.fromkeys(("POST", "PUT", "PATCH"), "fieldManager=mageflow-operator&timeout=30s&a=b+c"),
    }


# ── no answer ──


async def test_error_says_that_nothing_answered_when_the_server_is_away() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        host = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with ApiServer(Configuration(host=host)) as client:
            error = await error_of(client)
    assert error.status == 0
    assert str(error).startswith(f"no answer from the API server at {host} to GET /x: ")


async def test_error_says_that_nothing_answered_when_the_connection_breaks(
    client: ApiServer, answers: dict[str, Answer]
) -> None:
    async def hang_up(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    answers["/x"] = hang_up
    assert (await error_of(client, method="POST")).status == 0


async def test_error_says_that_nothing_answered_when_it_takes_too_long(
    client: ApiServer, answers: dict[str, Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "READ_SECONDS", 0.01)

    released = asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.Response()

    answers["/x"] = wait
    error = await error_of(client)
    released.set()
    assert error.status == 0
    assert error.message == f"no answer from the API server at {client.address} to GET /x: TimeoutError"


async def test_error_says_that_nothing_was_asked_when_credentials_can_not_be_made_anew(
    client: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A credential plugin that failed ended the operator with a traceback."""

    async def fail() -> dict[str, object]:
        raise ConfigException("exec: process returned 1")

    monkeypatch.setattr(client._http._configuration, "auth_settings", fail)
    error = await error_of(client)
    assert error.status == 0
    assert error.message == f"the credentials for {client.address} can't be used: exec: process returned 1"


# ── what an answer tells ──


@pytest.mark.parametrize(
    ("error", "facts"),
    [
        pytest.param(
            ApiError(422, "Invalid", "x", {"causes": [{"field": "spec.template", "message": "Required"}]}),
            {"names_fields"},
            id="a schema",
        ),
        pytest.param(ApiError(422, "Invalid", "denied", {"causes": [{"message": "denied"}]}), set(), id="a policy"),
        pytest.param(ApiError(413, "RequestEntityTooLarge", "limit is 3145728"), {"is_too_large"}, id="a large body"),
        pytest.param(ApiError(500, "", "etcdserver: request is too large"), {"is_too_large"}, id="etcd's limit"),
        pytest.param(
            ApiError(500, "", "trying to send message larger than max (2 vs. 1)"), {"is_too_large"}, id="gRPC's limit"
        ),
        pytest.param(
            ApiError(500, "InternalError", 'failed calling webhook "x": timed out'), {"is_of_admission"}, id="a webhook"
        ),
        pytest.param(
            ApiError(409, "Conflict", 'admission webhook "x" denied the request: no'), {"is_denied"}, id="a denial"
        ),
        pytest.param(ApiError(500, "InternalError", "etcdserver: leader changed"), set(), id="a server in trouble"),
    ],
)
def test_kinds_of_refusals_are_told_apart(error: ApiError, facts: set[str]) -> None:
    known = ("names_fields", "is_too_large", "is_of_admission", "is_denied")
    assert {fact for fact in known if getattr(error, fact)} == facts


# ── watches: when each was made ──


async def test_watch_is_noted_when_it_is_made(client: ApiServer, answers: dict[str, Answer]) -> None:
    answers["/version"] = says(200, "{}")
    answers["/pods"] = says(200, "{}")
    answers["/jobs"] = says(410, "{}")
    session = await client.lend_session()
    for path, query in (("/pods", {"watch": "true"}), ("/jobs", {"watch": "true"}), ("/version", {})):
        async with session.get(f"{client.address}{path}", params=query):
            pass
    assert set(client.watched_at) == {"/pods"}


# ── credentials ──


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place where nothing is found."""
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    return tmp_path


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: here
contexts: [{name: here, context: {cluster: here, user: me}}]
clusters: [{name: here, cluster: {server: "https://192.0.2.1:6443"}}]
users: [{name: me, user: {token: secret}}]
"""


async def test_places_are_named_when_there_is_no_cluster(home: Path) -> None:
    with pytest.raises(ConfigError, match="no cluster") as caught:
        await load_config()
    assert str(home / "config") in str(caught.value)
    assert str(home / "token") in str(caught.value)


async def test_cluster_is_the_kubeconfigs_when_there_is_one(home: Path) -> None:
    (home / "config").write_text(KUBECONFIG)
    assert (await load_config()).configuration.host == "https://192.0.2.1:6443"


async def test_cluster_is_found_when_one_of_several_files_is_there(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "config").write_text(KUBECONFIG)
    monkeypatch.setenv("KUBECONFIG", f"{home / 'missing'}:{home / 'config'}")
    assert (await load_config()).configuration.host == "https://192.0.2.1:6443"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="it is empty"),
        pytest.param("{", id="it is no YAML"),
        pytest.param("hello", id="it is a word"),
        pytest.param(
            KUBECONFIG.replace("current-context: here", "current-context: there"), id="its context is missing"
        ),
        pytest.param(KUBECONFIG.replace("cluster: here,", "cluster: there,"), id="its cluster is missing"),
        pytest.param("apiVersion: v1\nkind: Config\n", id="it has nothing in it"),
    ],
)
async def test_one_sentence_is_said_when_the_kubeconfig_is_unusable(home: Path, text: str) -> None:
    (home / "config").write_text(text)
    with pytest.raises(ConfigError, match="can't be used"):
        await load_config()


async def test_one_sentence_is_said_when_the_service_account_is_unusable(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "token").write_text("")
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(ConfigError, match="can't be used"):
        await load_config()


async def test_page_of_a_list_may_take_longer_than_another_read(
    client: ApiServer, answers: dict[str, Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its objects may be large: 500 Swarms of a thousand tasks."""
    monkeypatch.setattr(module, "READ_SECONDS", 0.01)
    released = asyncio.Event()

    async def wait(_: web.Request) -> web.StreamResponse:
        await released.wait()
        return web.json_response({"items": []})

    answers["/x"] = wait
    listing = asyncio.create_task(client.request("GET", "/x", query={"limit": "500"}))
    assert (await error_of(client)).status == 0, "another read, that was begun later, has ended meanwhile"
    assert not listing.done()
    released.set()
    assert await listing == {"items": []}
