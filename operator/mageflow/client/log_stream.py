"""Logs of a resource: the lines of all its pods, so far or as they come.

so far     the log of each container, read side by side: in the order of the tasks and their runs, or of time
following  a watch of the pods ──→ a stream for each container that has started ──→ one queue ──→ lines as they come
           until the resource has ended and every stream with it
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from typing import Final

from mageflow.api import ENDED_PHASES, MAIN_TASK, WORKFLOW
from mageflow.client.container_log import ContainerLog, LogSelection, container_names, run_of, task_of
from mageflow.client.handle import ObjectHandle
from mageflow.client.log_line import LineQueue, LogLine
from mageflow.client.log_merge import merge, read_in_turn
from mageflow.kube.errors import NotFoundError
from mageflow.kube.paths import PODS
from mageflow.kube.selectors import uid_selector
from mageflow.kube.transport import Raw
from mageflow.kube.watch import list_and_watch

MAX_QUEUED: Final = 1000
"""Lines that may wait for their reader before no more are read."""

MAX_NAMES: Final = 10
"""Names that an error lists."""


async def stream_logs(
    handle: ObjectHandle, wanted: LogSelection, *, follow: bool, by_time: bool
) -> AsyncGenerator[LogLine]:
    """Yield the lines of a resource's pods, of the tasks and containers that are wanted.

    `follow`: go on until the resource has ended. `by_time`: so far, in the order of time instead of that of the tasks.

    Raises NotFoundError if no task, or no container, has the name that is wanted.
    """
    logs = _Logs(handle, wanted)
    async with aclosing(logs.follow() if follow else logs.read(by_time=by_time)) as lines:
        async for line in lines:
            yield line


class _Logs:
    """The logs of one resource."""

    def __init__(self, handle: ObjectHandle, wanted: LogSelection) -> None:
        self._handle = handle
        self._wanted = wanted
        self._connection = handle.ref.connection
        self._path = PODS.path(handle.ref.namespace)
        self._query = {"labelSelector": uid_selector(handle.uid)}

    async def read(self, *, by_time: bool) -> AsyncGenerator[LogLine]:
        """Yield what there is."""
        resource = await self._handle.read()
        pods = await self._check(resource)
        order = {name: number for number, name in enumerate(_task_names(resource))}
        pods = sorted(pods, key=lambda pod: (order.get(task_of(pod), len(order)), run_of(pod)))
        logs = (log for pod in pods for log in self._logs_of(pod))
        async with aclosing(merge(logs) if by_time else read_in_turn(logs)) as lines:
            async for line in lines:
                yield line

    async def follow(self) -> AsyncGenerator[LogLine]:
        """Yield what there is and what comes, until the resource has ended or is deleted."""
        await self._check(await self._handle.read())
        queue: LineQueue = asyncio.Queue(MAX_QUEUED)
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

    async def _produce(self, queue: LineQueue) -> None:
        """Put all lines into the queue, then None; or the error that ended it."""
        try:
            async with asyncio.TaskGroup() as streams:
                followed: set[tuple[str, str]] = set()

                def add(pods: Iterable[Raw]) -> None:
                    for pod in pods:
                        for container in self._wanted.containers(pod):
                            key = pod["metadata"]["name"], container
                            if key not in followed:
                                followed.add(key)
                                log = ContainerLog(self._connection, pod, container)
                                streams.create_task(log.follow(queue))

                async def watch() -> None:
                    changes = list_and_watch(
                        self._connection.transport, self._path, self._query, self._connection.patience
                    )
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
                    if (resource.get("status") or {}).get("phase") in ENDED_PHASES:
                        return

    async def _list(self) -> list[Raw]:
        listed = await self._connection.transport.request("GET", self._path, query=self._query)
        return listed.get("items") or []

    def _logs_of(self, pod: Raw) -> Iterator[ContainerLog]:
        for container in self._wanted.containers(pod):
            yield ContainerLog(self._connection, pod, container)

    async def _check(self, resource: Raw) -> list[Raw]:
        """Return the pods of what is wanted; raise NotFoundError if nothing has the name that is wanted."""
        task, container = self._wanted.task, self._wanted.container
        if task is not None:
            known = _task_names(resource)
            if task not in known:  # one that was taken out of the spec may still have pods
                self._check_name("task", task, [*known, *map(task_of, await self._list())])
            self._query["labelSelector"] = uid_selector(self._handle.uid, task)
        pods = await self._list()
        if container is not None:
            specs = [*_pod_specs(resource), *(pod["spec"] for pod in pods)]
            self._check_name("container", container, [name for spec in specs for name in container_names(spec)])
        return pods

    def _check_name(self, what: str, name: str, names: list[str]) -> None:
        known = list(dict.fromkeys(names))
        if name not in known:
            shown = difflib.get_close_matches(name, known, MAX_NAMES) or known[:MAX_NAMES]
            others = f" and {len(known) - len(shown)} more" if len(known) > len(shown) else ""
            there = f"there is {', '.join(shown)}{others}" if known else "there is none yet"
            raise NotFoundError(404, "NotFound", f"{self._handle.ref} has no {what} {name!r}: {there}")


def _task_names(resource: Raw) -> list[str]:
    """Return the names of its tasks, in order; last those that are in the status only."""
    if resource["kind"] == WORKFLOW.name:
        return [MAIN_TASK]
    recorded = (resource.get("status") or {}).get("tasks") or ()
    return [task["name"] for task in (*(resource["spec"].get("tasks") or ()), *recorded)]


def _pod_specs(resource: Raw) -> Iterator[Raw]:
    """Yield the pod specs that its own spec contains."""
    spec = resource["spec"]
    for part in (spec, spec.get("taskDefaults") or {}, *(spec.get("tasks") or ())):
        if "template" in part:
            yield part["template"].get("spec") or {}
