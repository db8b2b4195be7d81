"""The wire between the operator and the API server: what goes over it can be held, to make a race happen on purpose.

    operator ──→ request held before it arrives ──→ API server     nothing has happened yet; the operator waits
    operator ←── answer held after it happened  ←── API server     it has happened; the operator doesn't know
    operator ←── watch events held              ←── API server     the world goes on; what the operator knows grows old

What isn't held passes as it is. Connections that can't be made or that break off do so for the operator too.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

import aiohttp
import yaml
from aiohttp import web

from devkit.patience import PATIENCE

from .control import open_session

HOP_BY_HOP: Final = frozenset({"connection", "host", "keep-alive", "transfer-encoding", "upgrade", "content-length"})

_PATH: Final = re.compile(
    r"/(?:api|apis/[^/]+)/[^/]+/namespaces/(?P<namespace>[^/]+)"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<subresource>[^/]+))?"
)


class Write(Enum):
    """The kinds of writes that the operator makes, as HTTP method and resource."""

    CREATE_JOB = ("POST", "jobs")
    WRITE_STATUS = ("PUT", "status")
    """Of a Workflow, Chain or Swarm."""
    EVICT_POD = ("POST", "pods/eviction")
    STOP_JOB = ("PATCH", "jobs")
    DELETE_JOB = ("DELETE", "jobs")
    MAKE_EVENT = ("POST", "events")


class When(Enum):
    """On which way a write is held."""

    BEFORE = "before it reaches the API server"
    AFTER = "after it was made, before the operator learns of it"


@dataclass
class Hold:
    """A held write: of those that match, the first that comes, after `skip` others."""

    namespace: str
    name: str
    """How the names of what is written begin; "" takes all."""
    write: Write
    when: When
    skip: int = 0

    def __post_init__(self) -> None:
        self._arrived = asyncio.Event()
        self._released = asyncio.Event()
        self._is_dropped = False

    async def wait(self, *, seconds: float = PATIENCE) -> None:
        """Wait until a write like this is held."""
        try:
            async with asyncio.timeout(seconds):
                await self._arrived.wait()
        except TimeoutError:
            raise AssertionError(f"in {seconds} s the operator made no {self.write.name} of {self.name!r}") from None

    def drop(self) -> None:
        """Have what is held never arrive: whoever sent it, or waits for it, is dead."""
        self._is_dropped = True

    def release(self) -> None:
        """Let what is held pass, and what comes after it."""
        self._released.set()

    async def take(self) -> bool:
        """Keep a write here until it is released; return whether it is to arrive."""
        self._arrived.set()
        await self._released.wait()
        return not self._is_dropped

    def wants(self, ask: _Ask, when: When) -> bool:
        """Tell whether a write is to be held here."""
        if self._arrived.is_set() or self._released.is_set() or when is not self.when:
            return False
        if (ask.namespace, ask.write) != (self.namespace, self.write.value) or not ask.name.startswith(self.name):
            return False
        self.skip -= 1
        return self.skip < 0


@dataclass(frozen=True)
class _Ask:
    """What a request is about."""

    namespace: str
    name: str
    write: tuple[str, str]


class Wire:
    """Passes on what the operator asks, with the operator's own certificate."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._holds: list[Hold] = []
        self._flows: dict[str, asyncio.Event] = {}
        self._refuses = False
        self.refused: list[str] = []
        """The paths of the requests that were refused."""

    @contextmanager
    def refuse(self) -> Iterator[None]:
        """Answer each request with 401, until the block ends."""
        self._refuses = True
        try:
            yield
        finally:
            self._refuses = False

    @contextmanager
    def hold(
        self, namespace: str, write: Write, when: When = When.BEFORE, *, name: str = "", skip: int = 0
    ) -> Iterator[Hold]:
        """Hold the next write of this kind in a namespace, until the block ends or `release` is called."""
        hold = Hold(namespace, name, write, when, skip)
        self._holds.append(hold)
        try:
            yield hold
        finally:
            hold.release()
            self._holds.remove(hold)

    @contextmanager
    def hold_watch(self, plural: str) -> Iterator[None]:
        """Hold what watches of a resource tell the operator, until the block ends; then it comes, in order."""
        flow = self._flow(plural)
        flow.clear()
        try:
            yield
        finally:
            flow.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass on one request and its answer."""
        if self._refuses:
            self.refused.append(request.path)
            return web.json_response({"kind": "Status", "status": "Failure", "code": 401}, status=401)
        body = await request.read()
        ask = _classify(request, body)
        if not await self._pass(ask, When.BEFORE):
            return web.Response(status=503)
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        try:
            async with self._session.request(
                request.method, request.raw_path, headers=headers, data=body or None
            ) as upstream:
                if not await self._pass(ask, When.AFTER):
                    return web.Response(status=503)
                return await self._answer(request, upstream)
        except (aiohttp.ClientError, TimeoutError):
            return web.Response(status=502)

    async def _answer(self, request: web.Request, upstream: aiohttp.ClientResponse) -> web.StreamResponse:
        headers = {name: value for name, value in upstream.headers.items() if name.lower() not in HOP_BY_HOP}
        response = web.StreamResponse(status=upstream.status, headers=headers)
        flow = self._flow(request.path.rpartition("/")[2]) if request.query.get("watch") == "true" else None
        await response.prepare(request)
        try:
            async for chunk in upstream.content.iter_any():
                if flow is not None:
                    await flow.wait()
                await response.write(chunk)
            await response.write_eof()
        except aiohttp.ClientError:
            if request.transport is not None:
                request.transport.abort()  # it broke off in the middle: so it does for the operator
        return response

    async def _pass(self, ask: _Ask, when: When) -> bool:
        for hold in self._holds:
            if hold.wants(ask, when):
                return await hold.take()
        return True

    def _flow(self, plural: str) -> asyncio.Event:
        if plural not in self._flows:
            self._flows[plural] = asyncio.Event()
            self._flows[plural].set()
        return self._flows[plural]


@asynccontextmanager
async def open_wire(kubeconfig: Path, folder: Path) -> AsyncIterator[tuple[Wire, Path]]:
    """Open a wire for the user of a kubeconfig; yield it, and a kubeconfig in `folder` that leads to it."""
    async with open_session(kubeconfig, auto_decompress=False) as session:
        wire = Wire(session)
        app = web.Application(client_max_size=2**25)
        app.router.add_route("*", "/{path:.*}", wire.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield wire, _write_kubeconfig(folder, runner.addresses[0][1])
        finally:
            await runner.cleanup()


def _write_kubeconfig(folder: Path, port: int) -> Path:
    path = folder / "kubeconfig"
    context = {"cluster": "wire", "user": "operator"}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "wire", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "operator", "user": {}}],
        "contexts": [{"name": "wire", "context": context}],
        "current-context": "wire",
    }
    path.write_text(yaml.safe_dump(config))
    return path


def _classify(request: web.BaseRequest, body: bytes) -> _Ask:
    match = _PATH.fullmatch(request.path)
    if match is None:
        return _Ask("", "", (request.method, ""))
    is_status = match["subresource"] == "status"  # the operator writes no other than its own resources'
    resource = "status" if is_status else "/".join(filter(None, (match["plural"], match["subresource"])))
    metadata = json.loads(body).get("metadata", {}) if request.method == "POST" else {}
    name = match["name"] or metadata.get("name") or metadata.get("generateName", "")
    return _Ask(match["namespace"], name, (request.method, resource))
