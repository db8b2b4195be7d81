"""A namespace of one test, and the Workflows in it. Waits have deadlines, and on failure tell all there is to know."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

import yaml

from devkit.kubectl import Kubectl, Unmet
from devkit.patience import PATIENCE
from localcluster.controlplane import ControlPlane

from .audit import AuditLog, Request
from .control import Api, Raw, RequestError, condition
from .history import PodHistories, PodHistory, can_run, is_terminating
from .kubelet import Kubelet, is_accepted
from .process import Operator
from .wire import Hold, When, Wire, Write

QUIET: Final = 1.0
"""Seconds without a write after which the operator is said to write no more."""

T = TypeVar("T")

INTERVAL: Final = 0.03

CONTAINER: Final[Raw] = {"name": "main", "image": "busybox:1.36"}
TEMPLATE: Final[Raw] = {"spec": {"containers": [CONTAINER]}}
WITH_INIT: Final[Raw] = {"spec": {"initContainers": [{"name": "prepare", "image": "busybox:1.36"}], **TEMPLATE["spec"]}}
NOWHERE: Final[Raw] = {"spec": {"nodeSelector": {"disk": "none-such"}, **TEMPLATE["spec"]}}
"""A pod that no node takes."""


@dataclass(frozen=True)
class Namespace:
    """What a test has to itself, and what it shares with all others."""

    name: str
    api: Api
    kubelet: Kubelet
    operator: Operator
    wire: Wire
    audit: AuditLog
    histories: PodHistories
    client: Kubectl
    control_plane: ControlPlane
    hanging: set[str] = field(default_factory=set)
    """The uids of resources that were deleted, and that a finalizer keeps."""

    async def create(self, name: str = "work", lifecycle: str | None = None, **spec: Any) -> Workflow:
        """Create a Workflow of one busybox container; `spec` overrides and adds."""
        body: Raw = {
            "apiVersion": "mageflow.io/v1",
            "kind": "Workflow",
            "metadata": {"name": name},
            "spec": {"template": TEMPLATE, **({} if lifecycle is None else {"lifecycle": lifecycle}), **spec},
        }
        await self.api.create(f"/apis/mageflow.io/v1/namespaces/{self.name}/workflows", body)
        return Workflow(self, name)

    async def create_running(self, name: str = "work", **spec: Any) -> tuple[Workflow, Raw]:
        """Create a Workflow, have its pod started, and wait until it is Active."""
        workflow = await self.create(name, **spec)
        pod = await workflow.wait_for_pod()
        await self.kubelet.start(pod)
        await workflow.wait_for("Active", ready="Running")
        return workflow, pod

    @property
    def pods(self) -> list[PodHistory]:
        """All pods that there ever were in it, the oldest first."""
        return self.histories.of_namespace(self.name)

    def hold(
        self, write: Write, when: When = When.BEFORE, *, name: str = "", skip: int = 0
    ) -> AbstractContextManager[Hold]:
        """Hold the operator's next write of a kind, if given to what has such a name, after `skip` others."""
        return self.wire.hold(self.name, write, when, name=name, skip=skip)

    async def kubectl(self, *arguments: str) -> str:
        """Run kubectl, and return what it writes."""
        return await asyncio.to_thread(self.client.run, *arguments)

    def writes(self) -> list[Request]:
        """What the operator has written to it, or tried to."""
        return self.audit.writes(self.name)

    async def wait_for_write(self, resource: str, *, verb: str | None = None, code: int | None = None) -> Request:
        """Wait until the operator has made, or tried, a write like this; return the last one."""

        async def is_met() -> Request | None:
            for write in reversed(self.writes()):
                if write.resource == resource and verb in (None, write.verb) and code in (None, write.code):
                    return write
            return None

        what = f"the operator has made a write {verb or ''} {resource} {code or ''}"
        return await wait_until(what, is_met, self._describe_writes)

    async def wait_until_quiet(self, seconds: float = QUIET) -> None:
        """Wait until the operator has written nothing for so long, counted from now at the earliest.

        Counted in looks as well: where each takes longer, as the machine is busy, so does what the operator does.
        """
        deadline = _now() + PATIENCE
        seen, quiet_since, looks = len(self.writes()), _now(), 0
        while _now() < quiet_since + seconds or looks < seconds / INTERVAL:
            await asyncio.sleep(INTERVAL)
            looks += 1
            if (writes := len(self.writes())) > seen:
                seen, quiet_since, looks = writes, _now(), 0
            if _now() > deadline:
                raise Unmet(f"the operator never stops to write:\n{await self._describe_writes()}")

    async def _describe_writes(self) -> str:
        return "\n".join(str(write) for write in self.writes()[-20:])


@dataclass(frozen=True)
class Workflow:
    """A Workflow that a test plays with; or, by its `kind`, a Chain or Swarm: see many.py."""

    namespace: Namespace
    name: str
    kind: str = "Workflow"

    @property
    def path(self) -> str:
        return f"/apis/mageflow.io/v1/namespaces/{self.namespace.name}/{self.kind.lower()}s/{self.name}"

    # ── what users do ──

    async def set_lifecycle(self, lifecycle: str) -> Raw:
        """Do what `kubectl patch` of the README does."""
        return await self.patch({"lifecycle": lifecycle})

    async def patch(self, spec: Raw) -> Raw:
        return await self.namespace.api.patch(self.path, {"spec": spec})

    async def hang(self) -> None:
        """Delete it, with a finalizer that nobody takes away."""
        finalized = await self.namespace.api.patch(self.path, {"metadata": {"finalizers": ["example.com/backup"]}})
        self.namespace.hanging.add(finalized["metadata"]["uid"])
        await self.delete()

    async def delete(self, policy: str = "Background") -> None:
        await self.namespace.api.delete(self.path, propagationPolicy=policy)

    # ── what there is ──

    async def read(self) -> Raw:
        return await self.namespace.api.get(self.path)

    async def status(self) -> Raw:
        return (await self.read()).get("status") or {}

    async def jobs(self) -> list[Raw]:
        return await self._children("/apis/batch/v1", "jobs")

    async def pods(self) -> list[Raw]:
        return await self._children("/api/v1", "pods")

    async def live_pods(self) -> list[Raw]:
        """The pods whose containers run or may yet start."""
        return [pod for pod in await self.pods() if can_run(pod)]

    async def event_reasons(self) -> list[str]:
        """The reasons of the Events that the operator made on it, the oldest first."""
        events = [event for event in await self._events() if event["involvedObject"].get("name") == self.name]
        events.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
        return [event["reason"] for event in events if event["involvedObject"].get("kind") == self.kind]

    # ── what is waited for ──

    async def wait_for(
        self, phase: str, *, ready: str | None = None, run: int | None = None, done: int | None = None
    ) -> Raw:
        """Wait for a phase, and if given for the reason of Ready, the number of the (first task's) run and of the
        tasks that are done; return the status.

        It must speak of the present spec, by its observedGeneration: so no wait after a patch is met by what was.
        """

        async def is_met() -> Raw | None:
            resource = await self.read()
            status: Raw = resource.get("status") or {}
            task = (status.get("tasks") or [{}])[0]
            is_so = (
                status.get("observedGeneration") == resource["metadata"]["generation"]
                and status.get("phase") == phase
                and (ready is None or condition(status, "Ready").get("reason") == ready)
                and (run is None or task.get("run") == run)
                and done in (None, status.get("done"))
            )
            return status if is_so else None

        what = ", ".join(filter(None, (phase, ready, f"run {run}" if run is not None else None)))
        return await self.wait_until(f"{self.name} is {what}", is_met)

    async def wait_for_pod(self, run: int | None = None, task: str | None = None) -> Raw:
        """Wait for a pod that the kubelet has accepted and that has not been told to go; return it."""
        labels = {"mageflow.io/run": run, "mageflow.io/task": task}
        wanted = {label: str(value) for label, value in labels.items() if value is not None}

        async def is_met() -> Raw | None:
            for pod in await self.live_pods():
                is_wanted = wanted.items() <= pod["metadata"]["labels"].items()
                if is_wanted and is_accepted(pod) and not is_terminating(pod):
                    return pod
            return None

        return await self.wait_until(f"{self.name} has a pod on the node", is_met)

    async def wait_until_none_of(self, plural: Literal["jobs", "pods"]) -> None:
        """Wait until the API server has none of its Jobs, or pods, any more."""

        async def is_met() -> bool:
            return not await (self.jobs() if plural == "jobs" else self.pods())

        await self.wait_until(f"{self.name} has no {plural}", is_met)

    async def wait_for_events(self, *reasons: str) -> None:
        """Wait until the Events on it are just these, in this order; they are made after the status is written."""

        async def is_met() -> bool:
            return await self.event_reasons() == list(reasons)

        await self.wait_until(f"the events on {self.name} are {', '.join(reasons)}", is_met)

    async def wait_until(self, what: str, is_met: Callable[[], Awaitable[T | None]]) -> T:
        """Wait until something comes true; return what it returned."""
        return await wait_until(what, is_met, self.describe)

    async def describe(self) -> str:
        """Return the resource, its Jobs, pods and events, and the operator's last requests."""
        try:
            things: Iterable[Raw] = (await self.read(), *await self.jobs(), *await self.pods(), *await self._events())
        except RequestError as error:
            things = ({"error": str(error)},)
        parts = [yaml.safe_dump(_without_noise(thing), sort_keys=False) for thing in things]
        parts.append("\n".join(str(request) for request in self.namespace.audit.requests(self.namespace.name)[-20:]))
        return "---\n".join(parts)

    async def _events(self) -> list[Raw]:
        return await self.namespace.api.list(f"/api/v1/namespaces/{self.namespace.name}/events")

    async def _children(self, prefix: str, plural: str) -> list[Raw]:
        path = f"{prefix}/namespaces/{self.namespace.name}/{plural}"
        return await self.namespace.api.list(path, f"mageflow.io/name={self.name},mageflow.io/kind={self.kind}")


async def wait_until(
    what: str, is_met: Callable[[], Awaitable[T | None]], describe: Callable[[], Awaitable[str]] | None = None
) -> T:
    """Wait until something comes true, and return it; else raise Unmet, with what `describe` returns."""
    deadline = _now() + PATIENCE
    while not (answer := await is_met()):
        if _now() > deadline:
            seen = await describe() if describe is not None else ""
            raise Unmet(f"after {PATIENCE:.0f} s it is still not so that {what}\n{seen}")
        await asyncio.sleep(INTERVAL)
    return answer


def _without_noise(thing: Raw) -> Raw:
    metadata = {key: value for key, value in thing.get("metadata", {}).items() if key != "managedFields"}
    return {**thing, "metadata": metadata}


def _now() -> float:
    return asyncio.get_running_loop().time()
