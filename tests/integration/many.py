"""Chains and Swarms that a test plays with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from .control import Raw
from .stage import TEMPLATE, Namespace, Workflow

KINDS: Final = ("Chain", "Swarm")

NAMES: Final = ("a", "b", "c")


@dataclass(frozen=True)
class Many(Workflow):
    """A Chain or a Swarm."""

    async def task(self, name: str) -> Raw:
        """Return a task's entry in the status; empty if it has none."""
        return entry_of(await self.status(), name)

    async def start(self, *tasks: str, run: int | None = None) -> list[Raw]:
        """Have the pods of tasks started, once they are there; return them."""
        pods = [await self.wait_for_pod(run, task) for task in tasks]
        for pod in pods:
            await self.namespace.kubelet.start(pod)
        return pods

    async def finish(self, *tasks: str, run: int | None = None, output: str = "") -> None:
        """Have tasks run to their end, one after the other."""
        for task in tasks:
            (pod,) = await self.start(task, run=run)
            await self.namespace.kubelet.succeed(pod, output)

    async def live_tasks(self) -> list[str]:
        """Name the tasks that have a pod that runs or may yet start, in alphabetical order."""
        return sorted(task_of(pod) for pod in await self.live_pods())

    async def wait_for_live(self, *tasks: str) -> None:
        """Wait until just these tasks have a pod that runs or may yet start."""

        async def is_met() -> bool:
            return await self.live_tasks() == sorted(tasks)

        await self.wait_until(f"pods of {self.name} are there for {', '.join(tasks) or 'nothing'}", is_met)


def named(name: str, **fields: Any) -> Raw:
    """Return a task of one busybox container; `fields` overrides and adds."""
    return {"name": name, "template": TEMPLATE, **fields}


async def create_many(
    namespace: Namespace,
    kind: str,
    name: str = "work",
    tasks: Sequence[Raw | str] = NAMES,
    lifecycle: str | None = None,
    **spec: Any,
) -> Many:
    """Create a Chain or a Swarm of tasks, given as they are or by their names; `spec` adds to it."""
    body: Raw = {
        "apiVersion": "mageflow.io/v1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": {
            "tasks": [named(task) if isinstance(task, str) else task for task in tasks],
            **({} if lifecycle is None else {"lifecycle": lifecycle}),
            **spec,
        },
    }
    await namespace.api.create(f"/apis/mageflow.io/v1/namespaces/{namespace.name}/{kind.lower()}s", body)
    return Many(namespace, name, kind)


def entry_of(status: Raw, name: str) -> Raw:
    """Return a task's entry in a status; empty if it has none."""
    return next((task for task in status.get("tasks", ()) if task["name"] == name), {})


def task_of(pod: Raw) -> str:
    """Return the name of the task that a pod is of."""
    name: str = pod["metadata"]["labels"]["mageflow.io/task"]
    return name


def variable(pod: Raw, name: str) -> str:
    """Return what a pod's container sees as an environment variable."""
    variables: dict[str, str] = {entry["name"]: entry.get("value", "") for entry in pod["spec"]["containers"][0]["env"]}
    return variables[name]
