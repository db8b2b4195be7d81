"""Logs of containers: which of a pod's are read, and each line by line, however often the connection breaks off."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass

from mageflow.api import LABEL_RUN, LABEL_TASK
from mageflow.client.connection import Connection
from mageflow.client.log_line import LineQueue, LogLine, in_utc, sortable
from mageflow.core.pods import main_container
from mageflow.kube.backoff import Backoff
from mageflow.kube.errors import ApiError, InvalidError, MageflowError, NotFoundError
from mageflow.kube.paths import PODS
from mageflow.kube.transport import Raw


@dataclass(frozen=True, slots=True)
class LogSelection:
    """Which logs are asked for."""

    task: str | None = None
    """None: all."""
    container: str | None = None
    """None: the main one, and while it has not started, or never did, the init containers."""
    all_containers: bool = False

    def containers(self, pod: Raw) -> Iterator[str]:
        """Yield the containers of a pod whose logs are asked for, as far as they have one."""
        main = main_container(pod)
        states = dict(_states(pod))
        if self.all_containers:
            yield from states
        elif self.container is not None:
            yield from {self.container} & states.keys()
        elif main in states:
            yield main
        else:
            yield from (name for name in _init_containers_in_the_way(pod) if name in states)


class ContainerLog:
    """The log of one container. A second `read` or a reconnect goes on after the last line."""

    def __init__(self, connection: Connection, pod: Raw, container: str) -> None:
        self._transport = connection.transport
        self._pauses = Backoff(connection.patience)
        self._container = container
        self._is_main = container == main_container(pod)
        self._path = PODS.path(pod["metadata"]["namespace"], pod["metadata"]["name"])
        self.pod = pod["metadata"]["name"]
        self.task, self.run = task_of(pod), run_of(pod)
        self.starts_at = sortable(_start_of(dict(_states(pod)).get(container) or {}))
        """Start of the container by its node's clock, as a sortable time; empty if it isn't known. No line is older."""
        self._last = ""
        """Time of the last line that was read; empty before the first."""
        self._count = 0
        """How many lines of that time were read: `sinceTime` repeats them."""

    async def read(self) -> AsyncGenerator[LogLine]:
        """Yield the lines so far, after the last that was read; none if the container has not started."""
        async with aclosing(self._stream(follow=False)) as lines:
            async for line in lines:
                yield line

    async def follow(self, queue: LineQueue) -> None:
        """Put the lines into a queue until the container has ended, however often the connection breaks off.

        Raises the error that lasts for longer than the connection's patience.
        """
        while True:
            try:
                async with aclosing(self._stream(follow=True)) as lines:
                    async for line in lines:
                        self._pauses.note_answer()
                        self._pauses.note_progress()
                        await queue.put(line)
                if not await self._is_running():
                    return
                await self._pauses.pause()
            except MageflowError as error:
                await self._pauses.pause(error)

    async def _stream(self, *, follow: bool) -> AsyncGenerator[LogLine]:
        query = {"container": self._container, "timestamps": "true", "follow": str(follow).lower()}
        if self._last:
            query["sinceTime"] = self._last
        again = self._count
        try:
            async with self._transport.lines(f"{self._path}/log", query) as lines:
                async for line in lines:
                    written, _, text = line.decode(errors="replace").partition(" ")
                    time = in_utc(written)
                    if self._last and time == self._last and again:
                        again -= 1
                        continue
                    if self._last and sortable(time) < sortable(self._last):
                        continue
                    self._count = self._count + 1 if time == self._last else 1
                    self._last = time
                    yield LogLine(self.task, self.run, self.pod, text, time, self._container, self._is_main)
        except (InvalidError, NotFoundError):
            return  # the container has not started, or the pod is gone

    async def _is_running(self) -> bool:
        try:
            pod = await self._transport.request("GET", self._path)
        except NotFoundError:
            return False
        except ApiError as error:
            if error.may_pass:
                return True
            raise
        return "running" in (dict(_states(pod)).get(self._container) or {})


def container_names(spec: Raw) -> list[str]:
    """Return the names of all containers of a pod's spec."""
    return [it["name"] for part in ("initContainers", "containers") for it in spec.get(part) or ()]


def task_of(pod: Raw) -> str:
    """Return the name of a pod's task."""
    task: str = pod["metadata"]["labels"][LABEL_TASK]
    return task


def run_of(pod: Raw) -> int:
    """Return the number of a pod's run."""
    return int(pod["metadata"]["labels"].get(LABEL_RUN) or 0)


def _states(pod: Raw) -> Iterator[tuple[str, Raw]]:
    """Yield the containers of a pod that run or have run, each with its state; the init containers first."""
    status = pod.get("status") or {}
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        for state in (container.get("state") or {}, container.get("lastState") or {}):
            if not {"running", "terminated"}.isdisjoint(state):
                yield container["name"], state
                break


def _init_containers_in_the_way(pod: Raw) -> Iterator[str]:
    """Yield the init containers, without sidecars that have started: these keep nothing from starting."""
    for container in (pod.get("status") or {}).get("initContainerStatuses") or ():
        if "running" not in (container.get("state") or {}) or not container.get("started"):
            yield container["name"]


def _start_of(state: Raw) -> str:
    when = state.get("running") or state.get("terminated") or {}
    started: str = when.get("startedAt") or ""
    return started
