"""Over HTTP: what a refusal means, credentials, and what becomes of watches and logs when the other end goes away."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from kubernetes.aio.client import Configuration
from kubernetes.aio.config.incluster_config import InClusterConfigLoader

import mageflow
from mageflow.kube import backoff, config
from mageflow.kube.transport import Raw

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

CHAINS = "/apis/mageflow.io/v1/namespaces/team-a/chains"
PODS = "/api/v1/namespaces/team-a/pods"


class Server:
    """An HTTP server that gives the answers of a test, each path's in turn, the last one for ever."""

    def __init__(self) -> None:
        self.answers: dict[str, list[Answer]] = {}
        self.requests: list[web.Request] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        key = f"watch {request.path}" if request.query.get("watch") else request.path
        self.requests.append(request)  # type: ignore[arg-type]
        answers = self.answers[key]
        return await (answers.pop(0) if len(answers) > 1 else answers[0])(request)  # type: ignore[arg-type]

    def queries(self, key: str) -> list[dict[str, str]]:
        path, is_watch = key.removeprefix("watch "), key.startswith("watch ")
        found = [request for request in self.requests if request.path == path]
        return [dict(request.query) for request in found if ("watch" in request.query) is is_watch]


@pytest.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Server]:
    server = Server()
    runner = web.ServerRunner(web.Server(server.handle), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    write_kubeconfig(tmp_path / "config", f"http://127.0.0.1:{runner.addresses[0][1]}", {"token": "secret"})
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(backoff, "FIRST_PAUSE", 0.001)
    yield server
    await runner.cleanup()


@pytest.fixture
async def client(server: Server) -> AsyncIterator[mageflow.Client]:
    client = mageflow.Client(patience=0.5)
    yield client
    await client.close()


def write_kubeconfig(path: Path, url: str, user: Raw, namespace: str = "team-a") -> None:
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "it", "cluster": {"server": url}}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "me", "namespace": namespace}}],
        "current-context": "it",
    }
    path.write_text(yaml.safe_dump(document))


def says(status: int, body: Any) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(status=status, text=text, content_type="application/json")

    return answer


def streams(*lines: Any, quiet_for: float = 0.01, breaks_off: bool = False) -> Answer:
    """Answer line by line, then end, or break off."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for line in lines:
            await response.write((line if isinstance(line, str) else f"{json.dumps(line)}\n").encode())
        if breaks_off and request.transport is not None:
            await asyncio.sleep(quiet_for)
            request.transport.abort()
        return response

    return answer


def refusal(status: int, reason: str, message: str = "no", **details: Any) -> Answer:
    return says(status, {"kind": "Status", "reason": reason, "message": message, "details": details})


def chain(phase: str, version: int, *, uid: str = "u-1", generation: int = 1, observed: int = 1) -> Raw:
    metadata = {"name": "x", "namespace": "team-a", "uid": uid, "resourceVersion": str(version)}
    return {
        "kind": "Chain",
        "metadata": {**metadata, "generation": generation},
        "spec": {"lifecycle": "active", "tasks": [{"name": "load"}, {"name": "extract"}]},
        "status": {"phase": phase, "observedGeneration": observed},
    }


def event(type_: str, item: Raw) -> Raw:
    return {"type": type_, "object": item}


def listed(version: int, *items: Raw) -> Answer:
    return says(200, {"metadata": {"resourceVersion": str(version)}, "items": items})


async def find(server: Server, client: mageflow.Client) -> mageflow.Chain:
    server.answers[f"{CHAINS}/x"] = [says(200, chain("Pending", 1))]
    return await mageflow.get("chain", "x", client=client)


# ── refusals ──


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (refusal(401, "Unauthorized", "Unauthorized"), mageflow.UnauthorizedError, "401 Unauthorized"),
        (refusal(403, "Forbidden", 'User "a" cannot get'), mageflow.ForbiddenError, 'User "a" cannot get'),
        (refusal(404, "NotFound", "not found", name="x"), mageflow.NotFoundError, r"not found$"),
        (says(404, "404 page not found"), mageflow.NotFoundError, "are MageFlow's CRDs installed"),
        (refusal(409, "Conflict"), mageflow.ConflictError, "409 Conflict"),
        (refusal(409, "AlreadyExists"), mageflow.AlreadyExistsError, "409 AlreadyExists"),
        (refusal(400, "BadRequest", "what?"), mageflow.InvalidRequestError, "what?"),
        (refusal(429, "TooManyRequests", "slowly"), mageflow.RequestError, "429 TooManyRequests: slowly"),
        (says(502, "<html>bad gateway</html>"), mageflow.RequestError, "502 Unknown: <html>bad gateway"),
        (says(500, ""), mageflow.RequestError, "500 Unknown: no word about /apis"),
        (says(500, "[]"), mageflow.RequestError, "500 Unknown"),
    ],
)
async def test_each_refusal_has_its_class_when_the_api_server_refuses(
    server: Server, client: mageflow.Client, answer: Answer, kind: type[mageflow.MageflowError], message: str
) -> None:
    server.answers[f"{CHAINS}/x"] = [answer]
    with pytest.raises(kind, match=message) as caught:
        await mageflow.get("chain", "x", client=client)
    assert type(caught.value) is kind


# ── Retry-After ──


def puts_off(seconds: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        body = {"kind": "Status", "reason": "TooManyRequests", "message": "slowly"}
        return web.json_response(body, status=429, headers={"Retry-After": seconds})

    return answer


async def test_request_is_made_again_when_the_api_server_asks_to_wait(server: Server, client: mageflow.Client) -> None:
    server.answers[f"{CHAINS}/x"] = [puts_off("0"), puts_off("0"), says(200, chain("Pending", 1))]
    assert (await mageflow.get("chain", "x", client=client)).name == "x"
    assert len(server.requests) == 3


async def test_error_is_raised_at_once_when_it_asks_to_wait_for_longer_than_a_request_may_take(
    server: Server, client: mageflow.Client
) -> None:
    server.answers[f"{CHAINS}/x"] = [puts_off("3600")]
    with pytest.raises(mageflow.RequestError, match="slowly") as caught:
        await mageflow.get("chain", "x", client=client)
    assert caught.value.retry_after == 3600
    assert len(server.requests) == 1


async def test_no_pause_is_shorter_than_the_api_server_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    pauses = backoff.Backoff(patience=60.0)
    await pauses.pause(mageflow.ApiError(429, "TooManyRequests", "slowly", retry_after=7.0))
    await pauses.pause(mageflow.ApiError(429, "TooManyRequests", "slowly"))
    assert slept == [7.0, 2 * backoff.FIRST_PAUSE]
    with pytest.raises(mageflow.ApiError, match="slowly"):
        await pauses.pause(mageflow.ApiError(429, "TooManyRequests", "slowly", retry_after=61.0))


async def test_causes_have_their_fields_when_the_api_server_finds_it_invalid(
    server: Server, client: mageflow.Client
) -> None:
    causes = [{"field": "spec.tasks[0].name", "message": "Invalid value: reserved", "reason": "FieldValueInvalid"}]
    strict = 'strict decoding error: unknown field "spec.taks", duplicate field "spec.tasks[0].name"'
    server.answers[CHAINS] = [
        refusal(422, "Invalid", kind="Chain", name="x", causes=causes),
        refusal(400, "BadRequest", strict),
    ]
    described = [mageflow.task("main", image="x")]
    with pytest.raises(mageflow.InvalidError) as caught:
        await mageflow.chain(described, name="x", client=client)
    assert str(caught.value) == "Chain x is invalid:\n  spec.tasks[0].name: Invalid value: reserved"
    with pytest.raises(mageflow.InvalidError) as caught:
        await mageflow.chain(described, name="x", client=client)
    assert [str(cause) for cause in caught.value.causes] == [
        "spec.taks: unknown field",
        "spec.tasks[0].name: duplicate field",
    ]
    assert server.queries(CHAINS)[0] == {
        "fieldManager": "mageflow-client", "fieldValidation": "Strict", "dryRun": "All",
    }  # fmt: skip


async def test_unreachable_error_tells_where_when_nobody_listens(tmp_path: Path) -> None:
    write_kubeconfig(tmp_path / "config", "http://127.0.0.1:1", {})
    async with mageflow.Client(kubeconfig=tmp_path / "config"):
        with pytest.raises(mageflow.UnreachableError, match=r"no answer .* at http://127.0.0.1:1 to GET /apis.*: .+"):
            await mageflow.get("chain", "x")


# ── which cluster, and who asks ──


async def test_config_error_tells_where_it_looked_when_there_is_no_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    with pytest.raises(mageflow.ConfigError, match=r"neither a kubeconfig .*none.* nor a service account"):
        await mageflow.Client().open()
    with pytest.raises(mageflow.ConfigError, match=r"no kubeconfig .*/other"):
        async with mageflow.Client(kubeconfig=tmp_path / "other"):
            pass


@pytest.mark.parametrize("text", ["", "{", "a: b", "[]", "current-context: x\ncontexts: []\n"])
async def test_config_error_tells_it_when_the_kubeconfig_cannot_be_used(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").write_text(text)
    with pytest.raises(mageflow.ConfigError, match=r"the kubeconfig .*config.* can't be used"):
        await mageflow.Client(kubeconfig=tmp_path / "config").open()


async def test_config_error_names_the_context_that_there_is_not(server: Server) -> None:
    with pytest.raises(mageflow.ConfigError, match="nowhere"):
        await mageflow.Client(context="nowhere").open()


async def test_config_error_tells_it_when_the_certificates_cannot_be_used(tmp_path: Path) -> None:
    user = {"client-certificate-data": base64.b64encode(b"x").decode(), "client-key-data": "eA=="}
    write_kubeconfig(tmp_path / "config", "https://127.0.0.1:1", user)
    with pytest.raises(mageflow.ConfigError, match=r"certificates for https://127.0.0.1:1 can't be used"):
        await mageflow.Client(kubeconfig=tmp_path / "config").open()


async def test_namespace_is_the_contexts_unless_another_is_named(server: Server, client: mageflow.Client) -> None:
    found = await find(server, client)
    assert found.namespace == "team-a"
    assert server.requests[0].headers["Authorization"] == "Bearer secret"
    assert server.requests[0].headers["User-Agent"].startswith("mageflow-client/")


async def test_projected_token_is_read_anew_when_it_rotates(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pod's token is replaced within the hour; the connection stays."""
    for name, text in (("token", "first"), ("namespace", "team-a\n"), ("ca", "any")):
        (tmp_path / name).write_text(text)
    url = yaml.safe_load((tmp_path / "config").read_text())["clusters"][0]["cluster"]["server"]
    pod = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    loader = InClusterConfigLoader(str(tmp_path / "token"), str(tmp_path / "ca"), environ=pod)

    def load(client_configuration: Configuration) -> None:
        loader.load_and_set(client_configuration)
        loader.host, loader.ssl_ca_cert = url, None  # this server speaks no TLS
        loader._set_config(client_configuration)

    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    monkeypatch.setattr(config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(config, "NAMESPACE_FILE", tmp_path / "namespace")
    monkeypatch.setattr(config, "load_incluster_config", load)
    server.answers[f"{CHAINS}/x"] = [says(200, chain("Pending", 1))]
    async with mageflow.Client():
        found = await mageflow.get("chain", "x")
        assert found.namespace == "team-a"
        (tmp_path / "token").write_text("second")
        loader.token_expires_at = datetime.min  # a minute later
        await found.status()
    assert [request.headers["Authorization"] for request in server.requests] == ["bearer first", "bearer second"]


# ── watches ──


async def phases_seen(found: mageflow.Chain) -> list[str]:
    return [str(status.phase) async for status in found.watch()]


async def test_watch_goes_on_where_it_was_when_it_breaks_off(server: Server, client: mageflow.Client) -> None:
    found = await find(server, client)
    server.answers[CHAINS] = [listed(5, chain("Pending", 5))]
    server.answers[f"watch {CHAINS}"] = [
        streams(event("MODIFIED", chain("Active", 6)), breaks_off=True),
        refusal(500, "InternalError"),
        streams(event("BOOKMARK", {"metadata": {"resourceVersion": "9"}})),
        streams('{"type": "MODIF'),
        streams(event("MODIFIED", chain("Succeeded", 10))),
    ]
    assert await phases_seen(found) == ["Pending", "Active", "Succeeded"]
    assert [query["resourceVersion"] for query in server.queries(f"watch {CHAINS}")] == ["5", "6", "6", "9", "9"]
    assert len(server.queries(CHAINS)) == 1


@pytest.mark.parametrize(
    "gone",
    [
        refusal(410, "Expired", "too old resource version"),
        streams(event("ERROR", {"code": 410, "reason": "Expired", "message": "too old resource version"})),
    ],
)
async def test_watch_lists_anew_when_its_place_is_gone(server: Server, client: mageflow.Client, gone: Answer) -> None:
    found = await find(server, client)
    server.answers[CHAINS] = [listed(5, chain("Pending", 5)), listed(50, chain("Succeeded", 50))]
    server.answers[f"watch {CHAINS}"] = [gone]
    assert await phases_seen(found) == ["Pending", "Succeeded"]


async def test_watch_ends_with_an_error_when_it_is_deleted_or_made_anew(
    server: Server, client: mageflow.Client
) -> None:
    found = await find(server, client)
    server.answers[CHAINS] = [listed(5, chain("Pending", 5))]
    server.answers[f"watch {CHAINS}"] = [streams(event("DELETED", chain("Pending", 6)))]
    with pytest.raises(mageflow.NotFoundError, match="was deleted"):
        await phases_seen(found)
    server.answers[CHAINS] = [listed(9, chain("Succeeded", 9, uid="u-2"))]
    with pytest.raises(mageflow.NotFoundError, match="was deleted"):
        await phases_seen(found)


async def test_watch_gives_up_when_patience_ends_or_at_once_when_it_is_forbidden(
    server: Server, client: mageflow.Client
) -> None:
    found = await find(server, client)
    server.answers[CHAINS] = [listed(5, chain("Pending", 5))]
    server.answers[f"watch {CHAINS}"] = [refusal(503, "ServiceUnavailable", "not now")]
    with pytest.raises(mageflow.RequestError, match="not now"):
        await phases_seen(found)
    assert len(server.queries(f"watch {CHAINS}")) > 3
    server.requests.clear()
    server.answers[f"watch {CHAINS}"] = [refusal(403, "Forbidden")]
    with pytest.raises(mageflow.ForbiddenError):
        await phases_seen(found)
    assert len(server.queries(f"watch {CHAINS}")) == 1


async def test_a_watch_that_is_quiet_for_long_and_breaks_off_is_made_anew(server: Server) -> None:
    """It had an answer each time: patience is for the time without any."""
    server.answers[f"{CHAINS}/x"] = [says(200, chain("Pending", 1))]
    server.answers[CHAINS] = [listed(5, chain("Pending", 5))]
    server.answers[f"watch {CHAINS}"] = [
        *[streams(quiet_for=0.2, breaks_off=True)] * 3,
        streams(event("MODIFIED", chain("Succeeded", 10))),
    ]
    client = mageflow.Client(patience=0.1)
    assert await phases_seen(await mageflow.get("chain", "x", client=client)) == ["Pending", "Succeeded"]
    await client.close()


async def test_a_status_of_an_older_spec_is_not_believed(server: Server, client: mageflow.Client) -> None:
    found = await find(server, client)
    server.answers[CHAINS] = [listed(5, chain("Suspended", 5, generation=2, observed=1))]
    server.answers[f"watch {CHAINS}"] = [
        streams(
            event("MODIFIED", chain("Suspended", 6, generation=3, observed=2)),
            event("MODIFIED", chain("Active", 7, generation=3, observed=3)),
            event("MODIFIED", chain("Suspended", 8, generation=4, observed=4)),
        )
    ]
    status = await found.wait("Suspended")
    assert (status.generation, status.observed_generation) == (4, 4)


def test_a_condition_that_is_older_than_its_status_is_not_believed() -> None:
    def status(observed: int) -> mageflow.Status:
        ready = {"type": "Ready", "status": "True", "observedGeneration": observed, "reason": "Running"}
        return mageflow.Status.model_validate(
            {
                "phase": "Active",
                "observedGeneration": 3,
                "generation": 3,
                "conditions": [{**ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
            }
        )

    assert status(3).is_in_force
    assert not status(2).is_in_force
    assert (status(3).reason, status(2).reason) == ("Running", "")


async def test_a_suspend_that_always_comes_too_late_pauses_and_gives_up(
    server: Server, client: mageflow.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tried again at once, for ever."""
    monkeypatch.setattr(backoff, "FIRST_PAUSE", 0.05)
    workflow = {**chain("Pending", 1), "kind": "Workflow", "spec": {"lifecycle": "active"}}

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            return await says(200, workflow)(request)
        return await refusal(409, "Conflict", "the object has been modified")(request)

    path = CHAINS.replace("chains", "workflows")
    server.answers[f"{path}/x"] = [answer]
    found = await mageflow.get("workflow", "x", client=client)
    with pytest.raises(mageflow.ConflictError, match="the object has been modified"):
        await found.suspend()
    tried = [request for request in server.requests if request.method == "PATCH"]
    assert 2 <= len(tried) <= 6


# ── logs ──


def pod(name: str, task: str, run: int = 1, state: str = "terminated") -> Raw:
    labels = {"mageflow.io/task": task, "mageflow.io/run": str(run)}
    return {
        "metadata": {"name": name, "namespace": "team-a", "uid": name, "labels": labels, "resourceVersion": "1"},
        "spec": {"containers": [{"name": "main"}]},
        "status": {"containerStatuses": [{"name": "main", "state": {state: {}}}]},
    }


async def test_lines_come_in_the_order_of_tasks_and_runs(server: Server, client: mageflow.Client) -> None:
    found = await find(server, client)
    server.answers[PODS] = [
        listed(1, pod("p-1", "extract"), pod("p-3", "load", 10), pod("p-2", "load", 2), pod("p-4", "load", 11))
    ]
    server.answers[f"{PODS}/p-1/log"] = [streams("2026-01-01T00:00:00Z from extract\n")]
    server.answers[f"{PODS}/p-2/log"] = [streams("2026-01-01T00:00:00Z \n2026-01-01T00:00:01Z b\xff  c\n")]
    server.answers[f"{PODS}/p-3/log"] = [streams("2026-01-01T00:00:00Z no line feed")]
    server.answers[f"{PODS}/p-4/log"] = [refusal(400, "BadRequest", "is waiting to start")]
    lines = [line async for line in found.logs()]

    assert [(line.task, line.run, line.pod, line.text) for line in lines] == [
        ("load", 2, "p-2", ""),
        ("load", 2, "p-2", "b\xff  c"),
        ("load", 10, "p-3", "no line feed"),
        ("extract", 1, "p-1", "from extract"),
    ]
    assert str(lines[-1]) == "extract: from extract"
    assert server.queries(PODS)[0]["labelSelector"] == "mageflow.io/uid=u-1"


def pod_with_init(name: str, task: str, init: Raw, main: Raw, sidecar: Raw | None = None) -> Raw:
    """Return a pod of a container `main`, an init container `fetch` and a sidecar `proxy`, with their states."""
    statuses = [{"name": "fetch", "state": init}, *([{"name": "proxy", **sidecar}] if sidecar is not None else ())]
    return {
        **pod(name, task),
        "spec": {
            "initContainers": [{"name": "fetch"}, {"name": "proxy", "restartPolicy": "Always"}],
            "containers": [{"name": "main"}],
        },
        "status": {"initContainerStatuses": statuses, "containerStatuses": [{"name": "main", "state": main}]},
    }


ENDED: Raw = {"terminated": {}}
WAITS: Raw = {"waiting": {}}
RUNS: Raw = {"running": {}}


@pytest.mark.parametrize(
    ("states", "asked", "read"),
    [
        ((ENDED, ENDED), {}, {"main"}),
        ((ENDED, WAITS), {}, {"fetch"}),
        ((RUNS, WAITS), {}, {"fetch"}),
        ((ENDED, RUNS), {"container": "fetch"}, {"fetch"}),
        ((ENDED, WAITS), {"container": "main"}, set()),
        ((ENDED, WAITS, {"state": WAITS, "lastState": ENDED}), {}, {"fetch", "proxy"}),  # it fails again and again
        ((ENDED, WAITS, {"state": RUNS, "started": True}), {}, {"fetch"}),
        ((ENDED, RUNS, {"state": RUNS, "started": True}), {}, {"main"}),
        ((ENDED, RUNS, {"state": RUNS, "started": True}), {"all_containers": True}, {"fetch", "proxy", "main"}),
        ((WAITS, WAITS), {}, set()),
    ],
)
async def test_init_containers_are_read_while_the_main_one_has_not_started(
    server: Server, client: mageflow.Client, states: tuple[Raw, ...], asked: Any, read: set[str]
) -> None:
    found = await find(server, client)
    server.answers[PODS] = [listed(1, pod_with_init("p-1", "load", *states))]
    server.answers[f"{PODS}/p-1/log"] = [streams("2026-01-01T00:00:00Z x\n")]
    lines = [line async for line in found.logs(**asked)]
    assert {line.container for line in lines} == read
    assert all(line.is_main is (line.container == "main") for line in lines)
    assert {query["container"] for query in server.queries(f"{PODS}/p-1/log")} == read


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"task": "laod"}, "Chain team-a/x has no task 'laod': there is load and 1 more"),
        ({"task": "zzz"}, "Chain team-a/x has no task 'zzz': there is load, extract"),
        ({"container": "mian"}, "Chain team-a/x has no container 'mian': there is main and 2 more"),
    ],
)
async def test_a_name_that_nothing_has_is_an_error_that_tells_those_there_are(
    server: Server, client: mageflow.Client, asked: Any, complaint: str, follow: bool
) -> None:
    found = await find(server, client)
    server.answers[CHAINS] = [listed(5, chain("Succeeded", 5))]
    server.answers[PODS] = [listed(1, pod_with_init("p-1", "load", ENDED, ENDED))]
    server.answers[f"watch {PODS}"] = [streams()]
    with pytest.raises(mageflow.NotFoundError) as refused:
        _ = [line async for line in found.logs(follow=follow, **asked)]
    assert refused.value.message == complaint


async def test_lines_of_several_tasks_come_in_the_order_of_time_when_it_is_asked_for(
    server: Server, client: mageflow.Client
) -> None:
    found = await find(server, client)
    server.answers[PODS] = [listed(1, pod("p-1", "extract"), pod("p-2", "load"))]
    server.answers[f"{PODS}/p-1/log"] = [streams("2026-01-01T00:00:02Z c\n2026-01-01T02:00:03+02:00 d\n")]
    server.answers[f"{PODS}/p-2/log"] = [streams("2026-01-01T00:00:01Z a\n2026-01-01T00:00:01.5Z b\n")]
    assert "".join([line.text async for line in found.logs(by_time=True)]) == "abcd"


async def test_no_line_is_lost_or_twice_when_a_followed_log_breaks_off(server: Server, client: mageflow.Client) -> None:
    found = await find(server, client)
    server.answers[CHAINS] = [listed(5, chain("Active", 5))]
    server.answers[f"watch {CHAINS}"] = [streams(event("MODIFIED", chain("Succeeded", 6)))]
    server.answers[PODS] = [listed(1, pod("p-1", "load", state="running"))]
    server.answers[f"watch {PODS}"] = [streams()]
    server.answers[f"{PODS}/p-1"] = [says(200, pod("p-1", "load", state="running")), says(200, pod("p-1", "load"))]
    one, two, three = (f"2026-01-01T00:00:00.{when}Z" for when in ("1", "15", "2"))
    server.answers[f"{PODS}/p-1/log"] = [
        streams(f"{one} a\n{two} b\n{two} c\n", breaks_off=True),
        streams(f"{one} a\n{two} b\n{two} c\n{two} d\n{three} e\n"),
        streams(f"{three} e\n{three} f\n"),
    ]
    assert "".join([line.text async for line in found.logs(follow=True)]) == "abcdef"
    assert [query.get("sinceTime") for query in server.queries(f"{PODS}/p-1/log")] == [None, two, three]


async def test_following_ends_with_the_error_when_logs_are_forbidden(server: Server, client: mageflow.Client) -> None:
    found = await find(server, client)
    server.answers[CHAINS] = [listed(5, chain("Active", 5))]
    server.answers[f"watch {CHAINS}"] = [streams()]
    server.answers[PODS] = [refusal(403, "Forbidden", "pods is forbidden")]
    with pytest.raises(mageflow.ForbiddenError, match="pods is forbidden"):
        _ = [line async for line in found.logs(follow=True)]
