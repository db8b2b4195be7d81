"""Every version of every pod that there was, as the API server had it: a watch gets each write, in order."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from .control import Api, Raw, RequestError


def has_started(pod: Mapping[str, Any]) -> bool:
    """Tell whether a container, init containers included, has run as far as the API server knows."""
    status = pod.get("status") or {}
    states = [
        container.get("state") or {}
        for kind in ("initContainerStatuses", "containerStatuses")
        for container in status.get(kind) or ()
    ]
    return status.get("phase") == "Running" or any(
        "running" in state or (state.get("terminated") or {}).get("startedAt") for state in states
    )


def has_ended(pod: Mapping[str, Any]) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def is_terminating(pod: Mapping[str, Any]) -> bool:
    return "deletionTimestamp" in pod["metadata"]


def is_bound(pod: Mapping[str, Any]) -> bool:
    return bool(pod["spec"].get("nodeName"))


def can_run(pod: Mapping[str, Any]) -> bool:
    """Tell whether a container of it runs or may yet start; one that no kubelet knows of can't once it is deleted."""
    return not has_ended(pod) and (is_bound(pod) or not is_terminating(pod))


@dataclass
class PodHistory:
    """All versions of one pod, the oldest first."""

    versions: list[Raw] = field(default_factory=list)
    is_gone: bool = False

    @property
    def latest(self) -> Raw:
        return self.versions[-1]

    @property
    def name(self) -> str:
        name: str = self.latest["metadata"]["name"]
        return name

    @property
    def labels(self) -> Mapping[str, str]:
        labels: Mapping[str, str] = self.latest["metadata"].get("labels") or {}
        return labels

    @property
    def created_at(self) -> int:
        """The resource version of its creation, or of the first that was seen: they order the events of all pods."""
        return _version_of(self.versions[0])

    @property
    def ever_started(self) -> bool:
        return any(has_started(version) for version in self.versions)

    @property
    def was_deleted(self) -> bool:
        return self.is_gone or is_terminating(self.latest)

    @property
    def had_started_when_deleted(self) -> bool:
        """A container had started, and not all had ended, at the moment somebody asked for the pod's deletion."""
        before = [version for version in self.versions if not is_terminating(version)]
        return self.was_deleted and bool(before) and has_started(before[-1]) and not has_ended(before[-1])

    def ran_between(self, since: int, until: float) -> bool:
        """Tell whether a container of it ran at some time between two resource versions, both left out."""
        ends = [float(_version_of(version)) for version in self.versions[1:]]
        ends.append(float(_version_of(self.latest)) if self.is_gone else math.inf)
        return any(
            has_started(version) and not has_ended(version) and _version_of(version) < until and end > since
            for version, end in zip(self.versions, ends, strict=True)
        )


class PodHistories:
    """Watches all pods for as long as `follow` runs."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._by_uid: dict[str, PodHistory] = {}
        self._listeners: list[Callable[[Raw], None]] = []

    def listen(self, listener: Callable[[Raw], None]) -> None:
        """Have a function called with each new version of a pod that is still there."""
        self._listeners.append(listener)

    def of_namespace(self, namespace: str) -> list[PodHistory]:
        """Return the pods that a namespace has had, the oldest first."""
        return [history for history in self._by_uid.values() if history.latest["metadata"]["namespace"] == namespace]

    async def follow(self) -> None:
        """Watch until canceled; what breaks off, as when the API server is restarted, is taken up again."""
        while True:
            try:
                version = await self._list()
                while True:
                    async for event in self._api.watch("/api/v1/pods", version):
                        version = event["object"]["metadata"]["resourceVersion"]
                        if event["type"] != "BOOKMARK":
                            self._take_in(event["type"], event["object"])
            except (aiohttp.ClientError, RequestError):
                await asyncio.sleep(0.1)

    async def _list(self) -> str:
        """Take in all pods as they are now; return the version to watch from."""
        answer = await self._api.get("/api/v1/pods")
        present = {pod["metadata"]["uid"]: {"apiVersion": "v1", "kind": "Pod", **pod} for pod in answer["items"]}
        for uid, history in self._by_uid.items():
            if uid not in present:
                history.is_gone = True
        for pod in present.values():
            self._take_in("MODIFIED", pod)
        version: str = answer["metadata"]["resourceVersion"]
        return version

    def _take_in(self, type_: str, pod: Raw) -> None:
        history = self._by_uid.setdefault(pod["metadata"]["uid"], PodHistory())
        history.versions.append(pod)
        if type_ == "DELETED":
            history.is_gone = True
            return
        for listener in self._listeners:
            listener(pod)


def count_running_at_once(histories: Iterable[PodHistory]) -> int:
    """Return the largest number of these pods whose containers ran at the same time."""
    return _count_at_once(histories, has_started, has_ended)


def count_live_at_once(histories: Iterable[PodHistory]) -> int:
    """Return the largest number of these pods that ran, or could have started, at the same time."""
    return _count_at_once(histories, lambda _: True, lambda pod: not can_run(pod))


def success_of(history: PodHistory) -> int | None:
    """Return the resource version at which a pod had run to its end and done well by itself, None if it never did."""
    versions = (version for version in history.versions if (version.get("status") or {}).get("phase") == "Succeeded")
    return next((_version_of(version) for version in versions if not is_terminating(version)), None)


def _count_at_once(histories: Iterable[PodHistory], begins: Callable[[Raw], bool], ends: Callable[[Raw], bool]) -> int:
    # Resource versions order the events of all pods; each counts from its first version that begins to its end.
    changes: list[tuple[int, int]] = []
    for history in histories:
        first = next((version for version in history.versions if begins(version)), None)
        if first is None:
            continue
        changes.append((_version_of(first), 1))
        last = next((version for version in history.versions if ends(version)), None)
        if last is not None or history.is_gone:
            changes.append((_version_of(last or history.latest), -1))
    most = now = 0
    for _, change in sorted(changes):
        now += change
        most = max(most, now)
    return most


def _version_of(pod: Raw) -> int:
    return int(pod["metadata"]["resourceVersion"])
