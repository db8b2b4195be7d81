"""What tasks write: the logs of their pods, put together line by line.

so far     each pod's log, in the order of the tasks and their runs
following  a watch of the pods ──→ a stream for each that has started ──→ one queue ──→ lines as they come
           until the resource has ended and every stream with it
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from mageflow.api import DEFAULT_CONTAINER_ANNOTATION, LABEL_RUN, LABEL_TASK, LABEL_UID
from mageflow.client.errors import InvalidError, MageflowError, NotFoundError
from mageflow.client.handle import Handle
from mageflow.client.status import read_status
from mageflow.client.transport import Raw
from mageflow.client.watching import Pauses, follow, is_passing

MAX_QUEUED: Final = 1000
"""Lines that may wait for their reader before no more are read."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a task wrote."""

    task: str
    """Name of the task; `main` in a Workflow."""
    run: int
    """Number of the run, from 1."""
    pod: str
    """Name of the pod."""
    text: str
    """The line, without its end."""
    time: str = ""
    """When it was written, by its node's clock: RFC 3339, in UTC."""

    def __str__(self) -> str:
        return f"{self.task}: {self.text}"


async def stream_logs(handle: Handle, task: str | None, *, follow: bool) -> AsyncGenerator[LogLine]:
    """Yield the lines of a resource's pods, or of those of one task."""
    logs = _Logs(handle, task)
    async with aclosing(logs.follow() if follow else logs.read()) as lines:
        async for line in lines:
            yield line


class _Logs:
    """The logs of one resource."""

    def __init__(self, handle: Handle, task: str | None) -> None:
        self._handle = handle
        self._connection = handle.place.connection
        self._path = f"/api/v1/namespaces/{handle.place.namespace}/pods"
        selector = f"{LABEL_UID}={handle.uid}" + (f",{LABEL_TASK}={task}" if task is not None else "")
        self._query = {"labelSelector": selector}

    async def read(self) -> AsyncGenerator[LogLine]:
        """Yield what there is."""
        order = _order_of_tasks(await self._handle.read())
        for pod in sorted(await self._list(), key=lambda pod: (order.get(_task(pod), len(order)), _run(pod))):
            async with aclosing(_PodLog(self._handle, pod).read()) as lines:
                async for line in lines:
                    yield line

    async def follow(self) -> AsyncGenerator[LogLine]:
        """Yield what there is and what comes, until the resource has ended or is deleted."""
        queue: asyncio.Queue[LogLine | Exception | None] = asyncio.Queue(MAX_QUEUED)
        producer = asyncio.create_task(self._produce(queue))
        try:
            while (item := await queue.get()) is not None:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            producer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await producer

    async def _produce(self, queue: asyncio.Queue[LogLine | Exception | None]) -> None:
        """Put all lines into the queue, then None; or the error that ended it."""
        try:
            async with asyncio.TaskGroup() as streams:
                followed: set[str] = set()

                def add(pods: Iterable[Raw]) -> None:
                    for pod in pods:
                        if pod["metadata"]["name"] not in followed and _has_log(pod):
                            followed.add(pod["metadata"]["name"])
                            streams.create_task(_PodLog(self._handle, pod).follow(queue))

                async def watch() -> None:
                    changes = follow(self._connection.transport, self._path, self._query, self._connection.patience)
                    async with aclosing(changes):
                        async for pods in changes:
                            add(pods.values())

                watching = streams.create_task(watch())
                await self._wait_for_end()
                watching.cancel()
                add(await self._list())
        except ExceptionGroup as errors:
            await queue.put(errors.exceptions[0])
        else:
            await queue.put(None)

    async def _wait_for_end(self) -> None:
        async with aclosing(self._handle.follow()) as resources:
            with contextlib.suppress(NotFoundError):
                async for resource in resources:
                    if read_status(resource).has_ended:
                        return

    async def _list(self) -> list[Raw]:
        listed = await self._connection.transport.request("GET", self._path, query=self._query)
        return listed.get("items") or []


class _PodLog:
    """The log of one pod's main container."""

    def __init__(self, handle: Handle, pod: Raw) -> None:
        self._transport = handle.place.connection.transport
        self._pauses = Pauses(handle.place.connection.patience)
        self._pod = pod
        self._path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
        self._last = ""
        """When the last line was written, as far as they were read; "" before the first."""
        self._count = 0
        """How many lines were written then."""

    async def read(self) -> AsyncGenerator[LogLine]:
        """Yield the lines that there are, from after the last that was read; none if no container has started."""
        async with aclosing(self._stream(follow=False)) as lines:
            async for line in lines:
                yield line

    async def follow(self, queue: asyncio.Queue[LogLine | Exception | None]) -> None:
        """Put the lines into a queue until the container has ended, however often the connection breaks off."""
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
        query = {"container": _container(self._pod), "timestamps": "true", "follow": str(follow).lower()}
        if self._last:
            query["sinceTime"] = self._last
        task, run, name = _task(self._pod), _run(self._pod), self._pod["metadata"]["name"]
        again = self._count
        try:
            async with self._transport.lines(f"{self._path}/log", query) as lines:
                async for line in lines:
                    time, _, text = line.decode(errors="replace").partition(" ")
                    if self._last and time == self._last and again:
                        again -= 1
                        continue
                    if self._last and _as_key(time) < _as_key(self._last):
                        continue
                    self._count = self._count + 1 if time == self._last else 1
                    self._last = time
                    yield LogLine(task, run, name, text, time)
        except (InvalidError, NotFoundError):
            return  # the container has not started, or the pod is gone

    async def _is_running(self) -> bool:
        try:
            pod = await self._transport.request("GET", self._path)
        except NotFoundError:
            return False
        except MageflowError as error:
            if is_passing(error):
                return True
            raise
        return "running" in _state(pod)


def _order_of_tasks(resource: Raw) -> dict[str, int]:
    return {task["name"]: number for number, task in enumerate(resource["spec"].get("tasks") or ())}


def _has_log(pod: Raw) -> bool:
    return not {"running", "terminated"}.isdisjoint(_state(pod))


def _state(pod: Raw) -> Raw:
    """Return the state of the main container: `waiting`, `running` or `terminated`, with what there is about it."""
    name = _container(pod)
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    state: Raw = next((status.get("state") or {} for status in statuses if status["name"] == name), {})
    return state


def _container(pod: Raw) -> str:
    annotations = pod["metadata"].get("annotations") or {}
    name: str = annotations.get(DEFAULT_CONTAINER_ANNOTATION) or pod["spec"]["containers"][0]["name"]
    return name


def _task(pod: Raw) -> str:
    task: str = pod["metadata"]["labels"][LABEL_TASK]
    return task


def _run(pod: Raw) -> int:
    return int(pod["metadata"]["labels"].get(LABEL_RUN) or 0)


def _as_key(time: str) -> tuple[str, str]:
    """Make a time sortable: RFC 3339 with any number of digits after the point."""
    whole, _, fraction = time.removesuffix("Z").partition(".")
    return whole, fraction.ljust(9, "0")
