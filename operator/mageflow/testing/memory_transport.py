"""What the client connects to instead of an API server: the servers of all namespaces, with watches and logs.

What writes may say is checked by the models of the API, with a few rules more; not by the CRDs' schemas. It may be used
from several event loops, each in a thread of its own.
"""

from __future__ import annotations

import asyncio
import copy
import json
import re
import threading
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any, Final

from mageflow.api import KINDS, SWARM, Kind, Lifecycle
from mageflow.client.tasks import check_spec
from mageflow.kube.errors import AlreadyExistsError, Cause, InvalidError
from mageflow.kube.paths import collection_of
from mageflow.kube.transport import JSON, Raw
from mageflow.testing.server import OPERATOR, Change, Server

USER: Final = "user"
"""Who makes the client's requests."""

_KINDS: Final[Mapping[str, Kind]] = {kind.plural: kind for kind in KINDS}
_PLURALS: Final[Mapping[str, str]] = {kind.name: kind.plural for kind in KINDS}
_PATH: Final = re.compile(
    r"/apis?/(?:[a-z0-9.]+/)?v1(?:/namespaces/(?P<namespace>[^/]+))?"
    r"(?:/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+)(?:/(?P<sub>[a-z]+))?)?)?"
)


@dataclass(frozen=True, slots=True)
class Event:
    """One change, as a watch tells it."""

    version: int
    namespace: str
    change: Change


class MemoryTransport:
    """All namespaces of a cluster; one comes to be when it is first named."""

    def __init__(self, now: Callable[[], datetime], on_namespace: Callable[[Server], None]) -> None:
        self.lock = threading.RLock()
        """Held by whoever reads or writes: all who take part."""
        self.servers: dict[str, Server] = {}
        """By namespace."""
        self.on_write: Callable[[], None] = lambda: None
        """Called after each write that a client makes."""
        self._now = now
        self._on_namespace = on_namespace
        self._versions, self._uids = count(101), count(1)
        self._newest = 100
        self._events: list[Event] = []
        self._logs: defaultdict[str, list[str]] = defaultdict(list)
        """What each pod has written, by its name, each line after the time of it."""
        self._lines = count(1)
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def server(self, namespace: str) -> Server:
        """Return the server of a namespace."""
        if namespace not in self.servers:
            server = self.servers[namespace] = Server(self._now, namespace, self._versions, self._uids)
            server.listeners.append(lambda _, change, __: self._tell(server, change))
            self._on_namespace(server)
            server.create(USER, "namespaces", {"kind": "Namespace", "metadata": {"name": namespace}, "spec": {}})
        return self.servers[namespace]

    def write_log(self, pod: str, lines: Iterable[str]) -> None:
        """Have a pod write lines."""
        with self.lock:
            self._logs[pod] += [f"2000-01-01T00:00:00.{next(self._lines):09}Z {line}" for line in lines]
            self._wake()

    def write_status(self, resource: Raw, status: Raw) -> None:
        """Replace the status of a resource, whatever the operator would say."""
        metadata, plural = resource["metadata"], _PLURALS[resource["kind"]]
        with self.lock:
            server = self.server(metadata["namespace"])
            server.change(OPERATOR, plural, metadata["name"], lambda raw: raw.update(status=copy.deepcopy(status)))

    # ── as a Transport ──

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Raw:
        """Answer a request as the API server does."""
        where, query = _read(path), query or {}
        with self.lock:
            if where["plural"] is None:  # a namespace: each is there
                return copy.deepcopy(self.server(where["namespace"]).get("namespaces", where["namespace"]))
            if method == "GET" and where["name"] is None:
                items = [raw for _, raw in self._select(where, query)]
                return {"metadata": {"resourceVersion": str(self._newest)}, "items": copy.deepcopy(items)}
            server = self.server(where["namespace"])
            if method == "GET":
                return copy.deepcopy(server.get(where["plural"], where["name"]))
            written = self._write(server, where, method, copy.deepcopy(body), is_dry_run="dryRun" in query)
            if "dryRun" not in query:
                self.on_write()
            return written

    @asynccontextmanager
    async def lines(self, path: str, query: Mapping[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Answer a watch or a request for a log."""
        where = _read(path)
        lines = self._read_log(where, query) if where["sub"] == "log" else self._watch(where, query)
        async with aclosing(lines):
            yield lines

    async def close(self) -> None:
        """Keep everything: the next connection leads here, too."""

    # ── how ──

    def _write(self, server: Server, where: Mapping[str, str], method: str, body: Any, *, is_dry_run: bool) -> Raw:
        plural, name = where["plural"], where["name"]
        match method:
            case "POST":
                body = {**body, "spec": {"lifecycle": Lifecycle.ACTIVE.value, **body["spec"]}}
                _check_spec(_KINDS[plural], body)
                target = _scratch(server, plural, body["metadata"]["name"]) if is_dry_run else server
                return copy.deepcopy(target.create(USER, plural, body))
            case "PATCH":
                old = server.get(plural, name)
                _check_patch(_KINDS[plural], old, body)
                version = body["metadata"].pop("resourceVersion", None)
                spec = {**old["spec"], **body["spec"]}
                if version is not None:
                    server.change(USER, plural, name, lambda _: None, version=version)
                if is_dry_run:
                    changed = copy.deepcopy({**old, "spec": spec})
                    changed["metadata"]["generation"] += spec != old["spec"]
                    return changed
                return copy.deepcopy(server.handle(USER, method, _path_of(server, plural, name), body))
            case "DELETE":
                return copy.deepcopy(server.delete(USER, plural, name, body or {}))
        raise NotImplementedError(f"{method} {plural}")

    def _select(self, where: Mapping[str, str], query: Mapping[str, str]) -> Iterator[tuple[str, Raw]]:
        servers = [self.server(where["namespace"])] if where["namespace"] else [*self.servers.values()]
        for server in servers:
            for raw in server.list(where["plural"]):
                if _is_selected(raw, query):
                    yield server.namespace, raw

    def _tell(self, server: Server, change: Change) -> None:
        self._newest = int(change.object["metadata"]["resourceVersion"])
        copied = Change(change.type, change.plural, copy.deepcopy(change.object))
        self._events.append(Event(self._newest, server.namespace, copied))
        self._wake()

    def _wake(self) -> None:
        for event, loop in self._waiting.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)
        self._waiting.clear()

    async def _watch(self, where: Mapping[str, str], query: Mapping[str, str]) -> AsyncGenerator[bytes]:
        seen = int(query["resourceVersion"])
        while True:
            changed = self._waiter()
            with self.lock:
                events = [event for event in self._events if event.version > seen]
            for event in events:
                seen = event.version
                is_meant = event.change.plural == where["plural"] and where["namespace"] in (None, event.namespace)
                if is_meant and _is_selected(event.change.object, query):
                    yield json.dumps({"type": event.change.type, "object": event.change.object}).encode()
            await changed.wait()

    async def _read_log(self, where: Mapping[str, str], query: Mapping[str, str]) -> AsyncGenerator[bytes]:
        read = 0
        while True:
            changed = self._waiter()
            with self.lock:
                pod = self.server(where["namespace"]).get("pods", where["name"])
                is_running = pod["status"].get("phase") == "Running"
                lines = self._logs[where["name"]][read:]
            for line in lines:
                yield line.encode()
            read += len(lines)
            if not is_running or query.get("follow") != "true":
                return
            await changed.wait()

    def _waiter(self) -> asyncio.Event:
        event = asyncio.Event()
        with self.lock:
            self._waiting[event] = asyncio.get_running_loop()
        return event


def _read(path: str) -> Mapping[str, str]:
    match = _PATH.fullmatch(path)
    if match is None:
        raise NotImplementedError(path)
    return match.groupdict()


def _path_of(server: Server, plural: str, name: str) -> str:
    return collection_of(_KINDS[plural]).path(server.namespace, name)


def _scratch(server: Server, plural: str, name: str) -> Server:
    """Return a server on which a creation is tried that isn't to be made."""
    if server.find(plural, name) is not None:
        raise AlreadyExistsError(409, "AlreadyExists", f'{plural} "{name}" already exists')
    return Server(lambda: datetime.fromisoformat(server.timestamp()), server.namespace)


def _is_selected(raw: Raw, query: Mapping[str, str]) -> bool:
    name = raw["metadata"]["name"]
    if query.get("fieldSelector", f"metadata.name={name}") != f"metadata.name={name}":
        return False
    labels = raw["metadata"].get("labels") or {}
    wanted = (word.partition("=") for word in query.get("labelSelector", "").split(",") if word)
    return all(labels.get(label) == value for label, _, value in wanted)


def _check_patch(kind: Kind, old: Raw, body: Raw) -> None:
    what = f"{kind.name} {old['metadata']['name']}"
    new = {**old["spec"], **body["spec"]}
    if old["spec"].get("lifecycle") == Lifecycle.CANCELED != new["lifecycle"]:
        raise InvalidError(what, [Cause("spec.lifecycle", "canceled is final")])
    _check_spec(kind, {**old, "spec": new})


def _check_spec(kind: Kind, item: Raw) -> None:
    what = f"{kind.name} {item['metadata']['name']}"
    spec = check_spec(kind.spec, what, item["spec"])
    names = [task["name"] for task in spec.get("tasks") or ()]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise InvalidError(what, [Cause(f"spec.tasks[{number}]", f"Duplicate value: {name}")])
    if kind is SWARM and "template" not in spec and any("template" not in task for task in spec["tasks"]):
        raise InvalidError(what, [Cause("spec.template", "a task has no template of its own, and this is missing")])
