"""Requests to the control plane, and the one Node that is there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import load_kube_config

from devkit.patience import PATIENCE

Raw = dict[str, Any]

NODE: Final = "node-1"

NODE_MANIFEST: Final[Raw] = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": NODE},
}
NODE_STATUS: Final[Raw] = {
    "status": {
        "capacity": {"cpu": "1000", "memory": "1000Gi", "pods": "10000"},
        "allocatable": {"cpu": "1000", "memory": "1000Gi", "pods": "10000"},
        "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "a test plays it"}],
    }
}

REQUEST_TIMEOUT: Final = aiohttp.ClientTimeout(total=PATIENCE)

MERGE: Final = "application/merge-patch+json"
STRATEGIC: Final = "application/strategic-merge-patch+json"


class RequestError(Exception):
    """The API server refused a request; `code` is the HTTP status, the message its sentence."""

    def __init__(self, code: int, answer: Mapping[str, Any]) -> None:
        super().__init__(f"{code} {answer.get('reason')}: {answer.get('message')}")
        self.code = code
        self.answer = answer


class Api:
    """Requests of one user, with JSON as it goes over the wire: what is asserted is what any client would see."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def get(self, path: str, **query: str) -> Raw:
        """Read an object or a list."""
        return await self._request("GET", path, query=query)

    async def find(self, path: str) -> Raw | None:
        """Read an object; None if it isn't there."""
        try:
            return await self.get(path)
        except RequestError as error:
            if error.code == 404:
                return None
            raise

    async def list(self, path: str, selector: str = "") -> list[Raw]:
        """Read the objects that carry the labels of `selector`."""
        items: list[Raw] = (await self.get(path, labelSelector=selector))["items"]
        return items

    async def create(self, path: str, body: Raw) -> Raw:
        """Create an object in the collection at `path`."""
        return await self._request("POST", path, body)

    async def patch(self, path: str, body: Raw, content_type: str = MERGE) -> Raw:
        """Patch an object."""
        return await self._request("PATCH", path, body, content_type=content_type)

    async def replace(self, path: str, body: Raw) -> Raw:
        """Replace an object; if `body` has a resourceVersion, only if it is still the present one."""
        return await self._request("PUT", path, body)

    async def delete(self, path: str, **options: Any) -> Raw:
        """Delete an object, with DeleteOptions such as `propagationPolicy`."""
        return await self._request("DELETE", path, options)

    async def watch(self, path: str, resource_version: str) -> AsyncIterator[Raw]:
        """Yield each event since a version, until the watch ends; raise RequestError if it can't go on."""
        query = {"watch": "true", "resourceVersion": resource_version, "allowWatchBookmarks": "true"}
        async with self._session.get(path, params=query) as response:
            if response.status >= 400:
                raise RequestError(response.status, await response.json())
            async for line in response.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise RequestError(event["object"].get("code", 0), event["object"])
                yield event

    async def _request(
        self,
        method: str,
        path: str,
        body: Raw | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Raw:
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type}
        async with self._session.request(
            method, path, params=query, data=data, headers=headers, timeout=REQUEST_TIMEOUT
        ) as response:
            answer: Raw = await response.json()
            if response.status >= 400:
                raise RequestError(response.status, answer)
            return answer


@asynccontextmanager
async def open_session(kubeconfig: Path, *, auto_decompress: bool = True) -> AsyncIterator[aiohttp.ClientSession]:
    """Open an HTTP session for the user of a kubeconfig."""
    configuration = Configuration()
    await load_kube_config(str(kubeconfig), client_configuration=configuration)
    connector = aiohttp.TCPConnector(ssl=RESTClientObject(configuration).ssl_context, limit=0)
    async with aiohttp.ClientSession(
        configuration.host,
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
        read_bufsize=2**21,
        auto_decompress=auto_decompress,
    ) as session:
        yield session
    await asyncio.sleep(0.1)  # aiohttp closes its connections in the loop's next turns


@asynccontextmanager
async def connect(kubeconfig: Path) -> AsyncIterator[Api]:
    """Open a session for requests of the user of a kubeconfig."""
    async with open_session(kubeconfig) as session:
        yield Api(session)


async def create_node(api: Api) -> None:
    """Have a Node that the scheduler accepts; nobody renews it, and in this control plane nobody minds."""
    await api.create("/api/v1/nodes", NODE_MANIFEST)
    await api.patch(f"/api/v1/nodes/{NODE}/status", NODE_STATUS)
    await api.patch(f"/api/v1/nodes/{NODE}", {"spec": {"taints": None}})


async def create_namespace(api: Api, name: str) -> None:
    """Create a namespace and wait for its default service account, without which it takes no pods."""
    await api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while await api.find(f"/api/v1/namespaces/{name}/serviceaccounts/default") is None:
        assert asyncio.get_running_loop().time() < deadline, f"no default service account in {name}"
        await asyncio.sleep(0.02)


def condition(thing: Mapping[str, Any], type_: str) -> Raw:
    """Return a condition of an object or a status; empty if it isn't there."""
    status = thing.get("status", thing)
    conditions = (status.get("conditions") or ()) if isinstance(status, Mapping) else ()
    return next((condition for condition in conditions if condition["type"] == type_), {})
