"""The kubelet's part: what a kubelet would write about its pods, at the moments that the test chooses.

The scheduler binds pods; the kubelet then accepts them, and says no more until the test calls `start`, `succeed`,
`fail`, `refuse`, … What is deleted it ends by itself, as a kubelet does, in the manner that the test chose:

    a bound pod is deleted  →  its containers end (exit code 143, or 0, or the test says when)
                            →  the final status is written  →  the pod is deleted with grace period 0

What is written, in which order, is what the kubelet of 1.34 does (pkg/kubelet/status/status_manager.go).
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from enum import Enum
from http import HTTPStatus
from typing import Any, Final

from devkit.patience import PATIENCE

from .control import NODE, STRATEGIC, Api, Raw, RequestError, condition
from .history import PodHistories, has_ended, has_started, is_terminating

UNKNOWN_END: Final[Raw] = {
    "exitCode": 137,
    "reason": "ContainerStatusUnknown",
    "message": "The container could not be located when the pod was terminated",
}
"""How the kubelet reports a container that never ran, when it ends the pod: without startedAt."""


class OnSigterm(Enum):
    """What the containers of a deleted pod do."""

    HEED = "end at once with exit code 143"
    EXIT_0 = "end at once with exit code 0, as many programs do"
    IGNORE = "run on, until the test calls `give_up`"


class Kubelet:
    """Plays the kubelet of the only node."""

    def __init__(self, api: Api, pods: PodHistories) -> None:
        self._api = api
        self._manners: dict[str, OnSigterm] = {}
        self._accepted: set[str] = set()
        self._unreported: set[str] = set()
        self._ending: set[str] = set()
        self._deleted: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._tasks: set[asyncio.Task[None]] = set()
        pods.listen(self._on_pod)

    # ── what the test tells it to do ──

    def on_sigterm(self, namespace: str, manner: OnSigterm) -> None:
        """Choose what the containers of this namespace do when their pod is deleted; by default they heed it."""
        self._manners[namespace] = manner

    async def start_init(self, pod: Raw) -> Raw:
        """Report the first init container as running: the pod stays Pending."""
        first, *others = _init_names(pod)
        return await self._report(
            pod,
            phase="Pending",
            initContainerStatuses=[_container(pod, first, _running())]
            + [_container(pod, name, _waiting("PodInitializing")) for name in others],
            containerStatuses=[_container(pod, name, _waiting("PodInitializing")) for name in _main_names(pod)],
        )

    async def start(self, pod: Raw) -> Raw:
        """Report every main container as running, every init container as done."""
        inits = _init_names(pod)
        return await self._report(
            pod,
            phase="Running",
            initContainerStatuses=[_container(pod, name, _terminated(0)) for name in inits],
            containerStatuses=[_container(pod, name, _running()) for name in _main_names(pod)],
            ready=True,
        )

    def start_unreported(self, pod: Raw) -> None:
        """Have the containers run, and not tell: a kubelet reports a start up to a second late."""
        self._unreported.add(pod["metadata"]["uid"])

    async def succeed(self, pod: Raw, output: str = "") -> Raw:
        """Report that every container ended with exit code 0; `output` is the termination message."""
        return await self._end(pod, 0, output)

    async def fail(self, pod: Raw, exit_code: int = 1, output: str = "") -> Raw:
        """Report that every container ended with an exit code."""
        return await self._end(pod, exit_code, output)

    async def refuse(self, pod: Raw, reason: str = "OutOfcpu") -> Raw:
        """Refuse a pod before any container started: the node has less room than the scheduler thought."""
        return await self._report(
            pod, phase="Failed", reason=reason, message=f"Pod was rejected: {reason}", containerStatuses=[]
        )

    async def exceed_deadline(self, pod: Raw) -> Raw:
        """End a pod that took longer than its activeDeadlineSeconds."""
        return await self._end(
            pod,
            137,
            reason="DeadlineExceeded",
            message="Pod was active on the node longer than the specified deadline",
        )

    async def evict(self, pod: Raw) -> Raw:
        """End a pod because the node is short of memory: the kubelet's own eviction, not the API's."""
        disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}
        return await self._end(
            pod, 137, reason="Evicted", message="The node was low on resource: memory.", more_conditions=[disrupted]
        )

    async def evict_for_excess(self, pod: Raw) -> Raw:
        """End a pod that took more storage than it may: the kubelet marks that as no disruption."""
        message = 'Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". '
        return await self._end(pod, 137, reason="Evicted", message=message)

    async def wait_in(self, pod: Raw, reason: str, message: str = "") -> Raw:
        """Report that the main containers wait: `ErrImagePull`, `CreateContainerConfigError`, …"""
        waiting = _waiting(reason, message)
        return await self._report(
            pod, phase="Pending", containerStatuses=[_container(pod, name, waiting) for name in _main_names(pod)]
        )

    async def mark_as_disrupted(self, pod: Raw) -> None:
        """Do what the API server does to a pod that it is about to delete because of an eviction."""
        disrupted = {"type": "DisruptionTarget", "status": "True", "reason": "EvictionByEvictionAPI"}
        disrupted["lastTransitionTime"] = _now()  # one that is two minutes old is taken back by a controller
        await self._api.patch(f"{_path(pod)}/status", {"status": {"conditions": [disrupted]}}, STRATEGIC)

    async def give_up(self, pod: Raw, exit_code: int = 137) -> None:
        """End a deleted pod whose containers ignored SIGTERM, once it is deleted: before, that would be a failure."""
        async with asyncio.timeout(PATIENCE):
            await self._deleted[pod["metadata"]["uid"]].wait()
        async with self._turns[pod["metadata"]["uid"]]:
            await self._finish(pod, exit_code)

    async def attempt(self, pod: Raw, report: Callable[[Raw], Awaitable[object]]) -> bool:
        """Report something of a pod, such as `start`, unless it is known to be going; tell whether that was done."""
        async with self._turns[pod["metadata"]["uid"]]:
            if pod["metadata"]["uid"] in self._ending:
                return False
            try:
                await report(pod)
            except RequestError as error:
                _tolerate_gone(error)
                return False
            return True

    async def close(self) -> None:
        """Wait for what it is doing; fail if any of it failed."""
        await asyncio.gather(*self._tasks)

    # ── what it does by itself ──

    def _on_pod(self, pod: Raw) -> None:
        uid = pod["metadata"]["uid"]
        if pod["spec"].get("nodeName") != NODE:
            return
        if is_terminating(pod):
            self._deleted[uid].set()
            if uid not in self._ending and not has_ended(pod):
                self._ending.add(uid)
                self._spawn(pod, self._manners.get(pod["metadata"]["namespace"], OnSigterm.HEED))
        elif uid not in self._accepted:
            self._accepted.add(uid)
            self._spawn(pod, None)

    def _spawn(self, pod: Raw, manner: OnSigterm | None) -> None:
        task = asyncio.create_task(self._take_turn(pod, manner))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take_turn(self, pod: Raw, manner: OnSigterm | None) -> None:
        """Do one thing after the other to a pod, in the order in which they came up."""
        async with self._turns[pod["metadata"]["uid"]]:
            if manner is None:
                await self._accept(pod)
            else:
                await self._terminate(pod, manner)

    async def _accept(self, pod: Raw) -> None:
        """Report that the pod is known, and its containers are being created."""
        names = _main_names(pod)
        inits = _init_names(pod)
        waiting = _waiting("PodInitializing" if inits else "ContainerCreating")
        try:
            await self._report(
                pod,
                phase="Pending",
                initContainerStatuses=[_container(pod, name, waiting) for name in inits],
                containerStatuses=[_container(pod, name, waiting) for name in names],
            )
        except RequestError as error:
            _tolerate_gone(error)

    async def _terminate(self, pod: Raw, manner: OnSigterm) -> None:
        if not has_started(pod) and pod["metadata"]["uid"] not in self._unreported:
            await self._finish(pod, None)
        else:
            await self._tell_of_a_kill(pod)
            if manner is not OnSigterm.IGNORE:
                await self._finish(pod, 143 if manner is OnSigterm.HEED else 0)

    async def _tell_of_a_kill(self, pod: Raw) -> None:
        """Make the kubelet's event of stopping a container that runs; by it a kill is known when its pod is gone."""
        metadata = pod["metadata"]
        body: Raw = {
            "metadata": {"generateName": f"{metadata['name']}."},
            "involvedObject": {
                "apiVersion": "v1",
                "kind": "Pod",
                "namespace": metadata["namespace"],
                "name": metadata["name"],
                "uid": metadata["uid"],
                "fieldPath": "spec.containers{main}",
            },
            "type": "Normal",
            "reason": "Killing",
            "message": "Stopping container main",
        }
        try:
            await self._api.create(f"/api/v1/namespaces/{metadata['namespace']}/events", body)
        except RequestError as error:
            if error.code != HTTPStatus.FORBIDDEN:  # the namespace is being deleted
                raise

    async def _finish(self, pod: Raw, exit_code: int | None) -> None:
        """Write the final status (None: no container ever ran), then take the pod out of the API server."""
        try:
            if has_ended(await self._api.get(_path(pod))):
                pass  # by itself, just before
            elif exit_code is not None:
                await self._end(pod, exit_code)
            else:
                # With init containers that never ran, the others stay as they are: waiting.
                state: Raw = {"terminated": UNKNOWN_END} if not _init_names(pod) else _waiting("PodInitializing")
                states = [_container(pod, name, state) for name in _main_names(pod)]
                await self._report(pod, phase="Failed", containerStatuses=states)
            await self._api.delete(_path(pod), gracePeriodSeconds=0, preconditions={"uid": pod["metadata"]["uid"]})
        except RequestError as error:
            _tolerate_gone(error)

    async def _end(
        self,
        pod: Raw,
        exit_code: int,
        output: str = "",
        reason: str | None = None,
        message: str | None = None,
        more_conditions: Sequence[Raw] = (),
    ) -> Raw:
        inits = _init_names(pod)
        current = await self._api.get(_path(pod))
        in_init = current["status"].get("phase") == "Pending" and bool(inits)
        main = _waiting("PodInitializing") if in_init else _terminated(exit_code, output)
        return await self._report(
            pod,
            phase="Succeeded" if exit_code == 0 and not in_init else "Failed",
            reason=reason,
            message=message,
            initContainerStatuses=[_container(pod, name, _terminated(exit_code if in_init else 0)) for name in inits],
            containerStatuses=[_container(pod, name, main) for name in _main_names(pod)],
            more_conditions=more_conditions,
        )

    async def _report(
        self, pod: Raw, *, ready: bool = False, more_conditions: Sequence[Raw] = (), **status: Any
    ) -> Raw:
        """Patch the status as the kubelet does: with the pod's uid, and no resourceVersion."""
        now = _now()
        is_ready = "True" if ready else "False"
        status["conditions"] = [
            {"type": type_, "status": is_ready, "lastTransitionTime": now} for type_ in ("ContainersReady", "Ready")
        ]
        status["conditions"] += [{"lastTransitionTime": now, **condition} for condition in more_conditions]
        status.setdefault("startTime", pod["status"].get("startTime") or now)
        body = {"metadata": {"uid": pod["metadata"]["uid"]}, "status": status}
        return await self._api.patch(f"{_path(pod)}/status", body, STRATEGIC)


async def drain(api: Api, pod: Raw) -> None:
    """Evict a pod as `kubectl drain` does: somebody else's doing, not the operator's."""
    metadata = {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata}
    await api.create(f"{_path(pod)}/eviction", body)


def is_accepted(pod: Raw) -> bool:
    """Tell whether the kubelet has accepted the pod."""
    return bool(condition(pod, "Ready")) and bool(pod["spec"].get("nodeName"))


def _path(pod: Raw) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def _init_names(pod: Raw) -> list[str]:
    return [container["name"] for container in pod["spec"].get("initContainers") or ()]


def _main_names(pod: Raw) -> list[str]:
    return [container["name"] for container in pod["spec"]["containers"]]


def _container(pod: Raw, name: str, state: Raw) -> Raw:
    containers = (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"])
    image = next(container["image"] for container in containers if container["name"] == name)
    return {
        "name": name,
        "image": image,
        "imageID": "",
        "ready": "running" in state,
        "started": "running" in state,
        "restartCount": 0,
        "state": state,
    }


def _waiting(reason: str, message: str = "") -> Raw:
    return {"waiting": {"reason": reason, "message": message}}


def _running() -> Raw:
    return {"running": {"startedAt": _now()}}


def _terminated(exit_code: int, output: str = "") -> Raw:
    return {
        "terminated": {
            "exitCode": exit_code,
            "reason": "Completed" if exit_code == 0 else "Error",
            "message": output,
            "startedAt": _now(),
            "finishedAt": _now(),
        }
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _tolerate_gone(error: RequestError) -> None:
    """A pod that went meanwhile, or was made anew under its name, is nothing for the kubelet to care about."""
    if error.code not in (404, 409):
        raise error
