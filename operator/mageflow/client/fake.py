"""A cluster for the tests of pipelines: no API server, no operator, no pods; tasks do what the test says.

docs/client.md tells what is simulated and what isn't.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mageflow.api import LABEL_RUN, LABEL_TASK, LABEL_UID, MAIN_TASK, TaskPhase
from mageflow.client.connection import connect_using
from mageflow.client.fakeoperator import Behaviour, State, Step, TaskState, build_status, step, task_names
from mageflow.client.fakeserver import FakeServer
from mageflow.kube.transport import Raw, Transport

NAMESPACE = "default"
"""The namespace that is meant where none is named."""


class FakeTask:
    """What a task does, from when it is said: if it runs already, then now."""

    def __init__(self, cluster: FakeCluster, name: str) -> None:
        self._cluster = cluster
        self._name = name

    def succeeds(self, output: Any = None, *, logs: Iterable[str] = ()) -> None:
        """Have it end well, once it runs; every task does, if nothing else is said."""
        self._cluster.set_behaviour(self._name, Behaviour(output=output, logs=tuple(logs)))

    def fails(self, message: str = "exit code 1", *, times: int | None = None, logs: Iterable[str] = ()) -> None:
        """Have each of its runs fail, or the first `times` of them."""
        behaviour = Behaviour(failures=-1 if times is None else times, message=message, logs=tuple(logs))
        self._cluster.set_behaviour(self._name, behaviour)

    def keeps_running(self, *, logs: Iterable[str] = ()) -> None:
        """Have it start, and run until something else is said of it."""
        self._cluster.set_behaviour(self._name, Behaviour(ends=False, logs=tuple(logs)))

    def stays_pending(self) -> None:
        """Have its pod wait for a node until something else is said of it."""
        self._cluster.set_behaviour(self._name, Behaviour(starts=False))


class FakeCluster:
    """The fixture `mageflow_fake`."""

    def __init__(self) -> None:
        self.started: list[str] = []
        """The tasks that have started, in order, as `resource/task` (a Workflow's: `name/main`), once for each run."""
        self._server = FakeServer()
        self._server.on_write = self._on_write
        self._behaviours: dict[str, Behaviour] = {}
        self._states: defaultdict[str, State] = defaultdict(State)
        self._answers = True

    def task(self, name: str) -> FakeTask:
        """Return a task, to say what it does: by its name, or as `resource/task`. That of a Workflow has its name."""
        return FakeTask(self, name)

    def stop_operator(self) -> None:
        """Have nothing happen any more to what is asked for, until `start_operator`."""
        self._answers = False

    def start_operator(self) -> None:
        """Have the operator catch up with what was asked for meanwhile."""
        self._answers = True
        self._settle()

    @contextmanager
    def installed(self) -> Iterator[FakeCluster]:
        """Have every client that connects in this block, sync and async, connect to this."""

        async def open_fake(_: str | Path | None, __: str | None) -> tuple[Transport, str]:
            return self._server, NAMESPACE

        with connect_using(open_fake):
            yield self

    def set_behaviour(self, name: str, behaviour: Behaviour) -> None:
        """Say what a task does: see FakeTask."""
        with self._server.lock:
            self._behaviours[name] = behaviour
            for resource in self._server.resources:
                self._write_logs(resource, behaviour)
            self._settle()

    def _on_write(self, _: Raw) -> None:
        self._settle()

    def _settle(self) -> None:
        """Let everything happen that can."""
        with self._server.lock:
            for resource in self._server.resources if self._answers else ():
                self._settle_one(resource)

    def _settle_one(self, resource: Raw) -> None:
        state = self._states[resource["metadata"]["uid"]]
        old = resource.get("status") or {}
        if old.get("phase") in ("Succeeded", "Failed", "Canceled"):
            return
        behaviours = {name: self._behaviour_of(resource, name) for name in task_names(resource)}
        if old.get("observedGeneration") != resource["metadata"]["generation"]:
            self._server.write_status(resource, build_status(resource, state))
        while steps := step(resource, state, behaviours):
            for taken in steps:
                self._show(resource, taken, behaviours[taken.after.name])
            self._server.write_status(resource, build_status(resource, state))

    def _behaviour_of(self, resource: Raw, task: str) -> Behaviour:
        name = resource["metadata"]["name"]
        for key in (f"{name}/{task}", name if resource["kind"] == "Workflow" else task):
            if key in self._behaviours:
                return self._behaviours[key]
        return Behaviour()

    def _show(self, resource: Raw, taken: Step, behaviour: Behaviour) -> None:
        """Have the task's pod show what has become of it."""
        task = taken.after
        pod = _build_pod(resource, task)
        if taken.is_stopped:
            self._server.remove_pod(pod["metadata"]["namespace"], pod["metadata"]["name"])
            return
        if task.phase is TaskPhase.RUNNING:
            self.started.append(f"{resource['metadata']['name']}/{task.name}")
            self._server.write_log(pod["metadata"]["name"], behaviour.logs)
        self._server.put(pod)

    def _write_logs(self, resource: Raw, behaviour: Behaviour) -> None:
        """Have the tasks that run, and now behave so, write what such a task writes."""
        for task in self._states[resource["metadata"]["uid"]].tasks.values():
            if task.phase is TaskPhase.RUNNING and self._behaviour_of(resource, task.name) is behaviour:
                self._server.write_log(_build_pod(resource, task)["metadata"]["name"], behaviour.logs)


def _build_pod(resource: Raw, task: TaskState) -> Raw:
    metadata = resource["metadata"]
    states = {TaskPhase.PENDING: "waiting", TaskPhase.RUNNING: "running"}
    return {
        "kind": "Pod",
        "metadata": {
            "name": f"{metadata['name']}-{task.name}-{task.run}",
            "namespace": metadata["namespace"],
            "uid": f"{metadata['uid']}-{task.name}-{task.run}",
            "labels": {
                LABEL_UID: metadata["uid"],
                LABEL_TASK: task.name,
                LABEL_RUN: str(task.run),
            },
        },
        "spec": {"containers": [{"name": MAIN_TASK}]},
        "status": {"containerStatuses": [{"name": MAIN_TASK, "state": {states.get(task.phase, "terminated"): {}}}]},
    }
