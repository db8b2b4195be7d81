"""A kubelet that starts, ends and kills pods at once; it binds them too, as no scheduler is to be waited for.

It plays one namespace. What it costs the API server is the same for the operator's pods and for the floor's.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp

from bench.api import AnswerError, Api, Raw
from bench.objects import pods
from bench.sightings import Sightings

NODE: Final = "node-1"
STRATEGIC: Final = "application/strategic-merge-patch+json"
AT_ONCE: Final = 20
"""How many pods it sees to at once."""


class Kubelet:
    """Ends each pod that was bound as soon as it is there, if `ends_pods`; kills each that is told to go."""

    def __init__(self, api: Api, *, ends_pods: bool) -> None:
        self._api = api
        self._ends_pods = ends_pods
        self._seen: set[str] = set()
        self._killed: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(AT_ONCE)
        self.ended = 0

    def play(self, seen: Sightings) -> None:
        """Play for all pods that a watch tells of."""
        for raw in seen.objects.values():
            self._on_pod("ADDED", raw)
        seen.listeners.append(self._on_pod)

    async def bind(self, pod: Raw, node: str) -> None:
        """Bind a pod to a node, as the scheduler does."""
        metadata = {"name": pod["metadata"]["name"]}
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        path = f"{pods(pod['metadata']['namespace'], metadata['name'])}/binding"
        await self._api.request(
            "POST", path, {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
        )

    async def start(self, pod: Raw) -> None:
        """Report that a pod runs."""
        state = {"running": {"startedAt": _now()}}
        await self._report(pod, phase="Running", containerStatuses=[_container(state)])

    def _on_pod(self, type_: str, pod: Raw) -> None:
        uid = pod["metadata"]["uid"]
        if type_ == "DELETED" or "nodeName" not in pod["spec"]:
            return
        if "deletionTimestamp" in pod["metadata"] and uid not in self._killed:
            self._killed.add(uid)
            self._begin(self._kill(pod))
        elif self._ends_pods and uid not in self._seen:
            self._seen.add(uid)
            self._begin(self._end(pod))

    def _begin(self, work: Any) -> None:
        task = asyncio.ensure_future(self._do(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _do(self, work: Any) -> None:
        async with self._places:
            try:
                await work
            except AnswerError as error:
                if error.status not in (404, 409):
                    raise
            except aiohttp.ClientConnectionError:
                pass  # the control plane is stopped while pods go

    async def _end(self, pod: Raw) -> None:
        await self._report(pod, phase="Succeeded", containerStatuses=[_container(_terminated(0))])
        self.ended += 1

    async def _kill(self, pod: Raw) -> None:
        if pod["status"].get("phase") not in ("Succeeded", "Failed"):
            await self._report(pod, phase="Failed", containerStatuses=[_container(_terminated(143))])
        metadata = pod["metadata"]
        options = {"gracePeriodSeconds": 0, "preconditions": {"uid": metadata["uid"]}}
        await self._api.request("DELETE", pods(metadata["namespace"], metadata["name"]), options)

    async def _report(self, pod: Raw, **status: Any) -> None:
        metadata = pod["metadata"]
        body = {"metadata": {"uid": metadata["uid"]}, "status": {"startTime": _now(), **status}}
        path = f"{pods(metadata['namespace'], metadata['name'])}/status"
        await self._api.request("PATCH", path, body, STRATEGIC)


def _container(state: Raw) -> Raw:
    names = {"name": "main", "image": "busybox:1.36", "imageID": "sha256:0", "restartCount": 0}
    return {**names, "ready": "running" in state, "state": state}


def _terminated(exit_code: int) -> Raw:
    times = {"startedAt": _now(), "finishedAt": _now()}
    return {"terminated": {"exitCode": exit_code, "reason": "Completed" if not exit_code else "Error", **times}}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
