"""Requests and watches made as plainly as can be: aiohttp, JSON, one kept-alive pool; the floor is made of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

import aiohttp
from kubernetes.aio.client import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import load_kube_config

Raw: TypeAlias = dict[str, Any]

JSON: Final = "application/json"
MERGE: Final = "application/merge-patch+json"

PATIENCE: Final = 60.0
"""Seconds that an API server may ask to wait (429), as one does that has just got a new kind."""


class AnswerError(Exception):
    """An answer other than 2xx."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text[:300]}")
        self.status = status


class Api:
    """Requests of one user."""

    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session = session
        self._server = server

    async def request(self, method: str, path: str, body: Any = None, content_type: str = JSON, **query: str) -> Raw:
        """Make one request; raises AnswerError."""
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": content_type}
        gives_up_at = time.monotonic() + PATIENCE
        while True:
            async with self._session.request(
                method, self._server + path, params=query, data=data, headers=headers
            ) as response:
                text = await response.read()
            if response.status != 429 or time.monotonic() > gives_up_at:
                break
            await asyncio.sleep(0.1)
        if response.status >= 300:
            raise AnswerError(response.status, text.decode(errors="replace"))
        answer: Raw = json.loads(text)
        return answer

    async def watch(self, path: str, version: str, **query: str) -> AsyncIterator[Raw]:
        """Yield each event since a version."""
        query |= {"watch": "true", "resourceVersion": version, "allowWatchBookmarks": "true"}
        async with self._session.get(
            self._server + path, params=query, timeout=aiohttp.ClientTimeout(total=None)
        ) as response:
            if response.status >= 300:
                raise AnswerError(response.status, await response.text())
            async for line in response.content:
                yield json.loads(line)


@asynccontextmanager
async def connect(kubeconfig: Path) -> AsyncIterator[Api]:
    """Open a pool of connections as the user of a kubeconfig."""
    configuration = Configuration()
    await load_kube_config(str(kubeconfig), client_configuration=configuration)
    context = RESTClientObject(configuration).ssl_context
    connector = aiohttp.TCPConnector(ssl=context, limit=0)
    async with aiohttp.ClientSession(connector=connector, read_bufsize=2**21) as session:
        yield Api(session, configuration.host)
