"""A few objects in memory, asked as the API server is: what the client sends is answered here instead of in a cluster.

It keeps count as the API server does: a resourceVersion for each write, a generation for each write of a spec. What
writes may say is checked by the models of the API, with a few rules more; not by the CRDs' schemas.
"""

from __future__ import annotations

import asyncio
import copy
import json
import threading
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from mageflow.api import GROUP, KINDS, SWARM, Kind, Lifecycle
from mageflow.client.tasks import check_spec
from mageflow.kube.errors import AlreadyExistsError, Cause, ConflictError, InvalidError, NotFoundError
from mageflow.kube.transport import JSON, Raw

_KINDS: Final[Mapping[str, Kind]] = {kind.plural: kind for kind in KINDS}


@dataclass(frozen=True, slots=True)
class Address:
    """What a path names."""

    plural: str
    namespace: str
    name: str
    """Empty: the collection."""
    subresource: str

    def __str__(self) -> str:
        return f'{self.plural} "{self.name}"'


@dataclass(frozen=True, slots=True)
class Event:
    """One change, as a watch tells it."""

    version: int
    type: str
    address: Address
    item: Raw


class FakeServer:
    """What stands in for an API server. It may be used from several event loops, each in a thread of its own."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        """Held by whoever reads or writes: all who take part."""
        self._version = 0
        self._objects: dict[Address, Raw] = {}
        self._events: list[Event] = []
        self._waiting: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}
        self.logs: dict[str, list[str]] = {}
        """What each pod has written, by its name, each line after the time of it."""
        self._lines = 0
        """How many that is: what is written later has a later time."""
        self.on_write: Callable[[Raw], None] = lambda _: None
        """Called after each write of a spec that a client makes, with what was written."""

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
        address, query = _read_path(path), query or {}
        with self.lock:
            match method:
                case "GET" if not address.plural:  # a namespace: each is there
                    return {"kind": "Namespace", "metadata": {"name": address.namespace}}
                case "GET" if address.name:
                    return copy.deepcopy(self._find(address))
                case "GET":
                    items = [item for where, item in self._objects.items() if _is_of(where, address, query, item)]
                    return {"metadata": {"resourceVersion": str(self._version)}, "items": copy.deepcopy(items)}
                case "POST":
                    return self._create(address, copy.deepcopy(body), is_dry_run="dryRun" in query)
                case "PATCH":
                    return self._patch(address, body, is_dry_run="dryRun" in query)
                case "DELETE":
                    self._check(self._find(address), (body or {}).get("preconditions") or {})
                    self.remove(address)
                    return {}
        raise NotImplementedError(f"{method} {path}")

    @asynccontextmanager
    async def lines(self, path: str, query: Mapping[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        """Answer a watch or a request for a log."""
        address = _read_path(path)
        lines = self._read_log(address, query) if address.subresource == "log" else self._watch(address, query)
        async with aclosing(lines):
            yield lines

    async def close(self) -> None:
        """Keep everything: the next connection leads here, too."""

    # ── what the operator does ──

    @property
    def resources(self) -> list[Raw]:
        """All Workflows, Chains and Swarms, the oldest first."""
        with self.lock:
            return [copy.deepcopy(item) for where, item in self._objects.items() if where.plural in _KINDS]

    def write_status(self, resource: Raw, status: Raw) -> None:
        """Replace the status of a resource."""
        with self.lock:
            self.put({**resource, "status": status})

    def put(self, item: Raw) -> Raw:
        """Create or replace an object, whatever was there; return it."""
        with self.lock:
            address = _address_of(item)
            is_new = address not in self._objects
            self._version += 1
            item = copy.deepcopy(item)
            item["metadata"]["resourceVersion"] = str(self._version)
            self._objects[address] = item
            self._tell("ADDED" if is_new else "MODIFIED", address, item)
            return item

    def remove(self, address: Address) -> None:
        """Delete an object, and what it owns: pods that carry its uid."""
        with self.lock:
            item = self._objects.pop(address)
            self._version += 1
            item["metadata"]["resourceVersion"] = str(self._version)
            self._tell("DELETED", address, item)
            owned = [where for where, other in self._objects.items() if _owner_of(other) == item["metadata"]["uid"]]
            for where in owned:
                self.remove(where)

    def remove_pod(self, namespace: str, name: str) -> None:
        """Delete a pod."""
        self.remove(Address("pods", namespace, name, ""))

    def write_log(self, pod: str, lines: Iterable[str]) -> None:
        """Have a pod write lines."""
        with self.lock:
            for line in lines:
                self._lines += 1
                self.logs.setdefault(pod, []).append(f"2000-01-01T00:00:00.{self._lines:09}Z {line}")
            self._wake()

    # ── how ──

    def _create(self, address: Address, item: Raw, *, is_dry_run: bool) -> Raw:
        where = Address(address.plural, address.namespace, item["metadata"]["name"], "")
        if where in self._objects:
            raise AlreadyExistsError(409, "AlreadyExists", f"{where} already exists")
        _check_spec(_KINDS[address.plural], item)
        metadata = {**item["metadata"], "namespace": address.namespace, "generation": 1, "uid": str(uuid.uuid4())}
        metadata["creationTimestamp"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        item = {**item, "metadata": metadata, "spec": {"lifecycle": Lifecycle.ACTIVE.value, **item["spec"]}}
        if is_dry_run:
            return item
        created = copy.deepcopy(self.put(item))
        self.on_write(created)
        return created

    def _patch(self, address: Address, patch: Raw, *, is_dry_run: bool) -> Raw:
        old = self._find(address)
        self._check(old, patch["metadata"])
        was, new = old["spec"].get("lifecycle"), {**old["spec"], **patch["spec"]}
        if was == Lifecycle.CANCELED and new["lifecycle"] != was:
            raise InvalidError(str(address), [Cause("spec.lifecycle", "canceled is final")])
        if new == old["spec"]:
            return copy.deepcopy(old)
        metadata = {**old["metadata"], "generation": old["metadata"]["generation"] + 1}
        changed = {**old, "metadata": metadata, "spec": new}
        _check_spec(_KINDS[address.plural], changed)
        if is_dry_run:
            return copy.deepcopy(changed)
        written = copy.deepcopy(self.put(changed))
        self.on_write(written)
        return written

    def _find(self, address: Address) -> Raw:
        if address not in self._objects:
            raise NotFoundError(404, "NotFound", f"{address} not found")
        return self._objects[address]

    def _check(self, item: Raw, preconditions: Mapping[str, str]) -> None:
        metadata = item["metadata"]
        if preconditions.get("uid", metadata["uid"]) != metadata["uid"]:
            raise NotFoundError(404, "NotFound", f"{metadata['name']} was deleted, and made anew")
        if preconditions.get("resourceVersion", metadata["resourceVersion"]) != metadata["resourceVersion"]:
            raise ConflictError(409, "Conflict", "the object has been modified")

    def _tell(self, type_: str, address: Address, item: Raw) -> None:
        self._events.append(Event(self._version, type_, address, copy.deepcopy(item)))
        self._wake()

    def _wake(self) -> None:
        for event, loop in self._waiting.items():
            if not loop.is_closed():
                loop.call_soon_threadsafe(event.set)
        self._waiting.clear()

    async def _watch(self, address: Address, query: Mapping[str, str]) -> AsyncGenerator[bytes]:
        seen = int(query["resourceVersion"])
        while True:
            changed = self._waiter()
            with self.lock:
                events = [event for event in self._events if event.version > seen]
            for event in events:
                seen = event.version
                if _is_of(event.address, address, query, event.item):
                    yield json.dumps({"type": event.type, "object": event.item}).encode()
            await changed.wait()

    async def _read_log(self, address: Address, query: Mapping[str, str]) -> AsyncGenerator[bytes]:
        pod, count = Address("pods", address.namespace, address.name, ""), 0
        while True:
            changed = self._waiter()
            with self.lock:
                is_running = "running" in self._find(pod)["status"]["containerStatuses"][0]["state"]
                lines = self.logs.get(address.name, [])[count:]
            for line in lines:
                yield line.encode()
            count += len(lines)
            if not is_running or query.get("follow") != "true":
                return
            await changed.wait()

    def _waiter(self) -> asyncio.Event:
        event = asyncio.Event()
        with self.lock:
            self._waiting[event] = asyncio.get_running_loop()
        return event


def _read_path(path: str) -> Address:
    _, _, rest = path.partition("/namespaces/")
    rest = rest or f"/{path.rpartition('/')[2]}"  # of all namespaces
    namespace, plural, name, subresource = (*rest.split("/"), "", "", "")[:4]
    return Address(plural, namespace, name, subresource)


def _address_of(item: Raw) -> Address:
    plural = next((kind.plural for kind in KINDS if kind.name == item["kind"]), "pods")
    return Address(plural, item["metadata"]["namespace"], item["metadata"]["name"], "")


def _is_of(where: Address, collection: Address, query: Mapping[str, str], item: Raw) -> bool:
    if where.plural != collection.plural or collection.namespace not in ("", where.namespace):
        return False
    names = query.get("fieldSelector", f"metadata.name={where.name}")
    wanted = filter(None, query.get("labelSelector", "").split(","))
    labels = item["metadata"].get("labels") or {}
    return names == f"metadata.name={where.name}" and all(
        labels.get(label) == value for label, _, value in (word.partition("=") for word in wanted)
    )


def _owner_of(item: Raw) -> str | None:
    owner: str | None = (item["metadata"].get("labels") or {}).get(f"{GROUP}/uid")
    return owner


def _check_spec(kind: Kind, item: Raw) -> None:
    what = f"{kind.name} {item['metadata']['name']}"
    spec = check_spec(kind.spec, what, item["spec"])
    names = [task["name"] for task in spec.get("tasks") or ()]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise InvalidError(what, [Cause(f"spec.tasks[{number}]", f"Duplicate value: {name}")])
    if kind is SWARM and "template" not in spec and any("template" not in task for task in spec["tasks"]):
        raise InvalidError(what, [Cause("spec.template", "a task has no template of its own, and this is missing")])
