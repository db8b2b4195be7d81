"""A cluster for the tests of pipelines: nothing but memory, the real decisions, and tasks that do what the test says.

    the test writes  →  operator, Job controller, garbage collector, node: each takes a step, until all is done

Time passes only where a back-off is all that is left. docs/client.md tells what is simulated and what isn't.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from mageflow.api import (
    KINDS,
    LABEL_LIFECYCLE,
    LABEL_NAME,
    LABEL_TASK,
    LABEL_UID,
    MAIN_TASK,
    TaskPhase,
)
from mageflow.client.connection import connect_using
from mageflow.kube.transport import Raw, Transport
from mageflow.testing.controllers import Collector, JobController
from mageflow.testing.inline_operator import InlineOperator, VirtualClock
from mageflow.testing.memory_transport import USER, MemoryTransport
from mageflow.testing.node import SIGTERM_EXIT_CODE, Node
from mageflow.testing.server import Server, has_ended, is_terminating, label_of, name_of, uid_of

NAMESPACE: Final = "default"
"""The namespace that is meant where none is named."""

MAX_TURNS: Final = 100_000
"""After so many turns something goes round in circles."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a task does."""

    starts: bool = True
    """False: its pod stays pending, as if no node took it."""
    ends: bool = True
    """False: it runs on."""
    output: Any = None
    failures: int = 0
    """How many of its runs fail before one succeeds; -1: all."""
    message: str = ""
    """Why they fail."""
    logs: tuple[str, ...] = ()
    """What each run writes when it starts."""


class FakeTask:
    """What a task does, from when it is said: if it runs already, then now."""

    def __init__(self, cluster: FakeCluster, name: str) -> None:
        self._cluster = cluster
        self._name = name

    def succeeds(self, output: Any = None, *, logs: Iterable[str] = ()) -> None:
        """Have it end well, once it runs; every task does, if nothing else is said."""
        self._cluster.set_behaviour(self._name, Behaviour(output=output, logs=tuple(logs)))

    def fails(self, message: str = "", *, times: int | None = None, logs: Iterable[str] = ()) -> None:
        """Have each of its runs fail with exit code 1, or the first `times` of them."""
        behaviour = Behaviour(failures=-1 if times is None else times, message=message, logs=tuple(logs))
        self._cluster.set_behaviour(self._name, behaviour)

    def keeps_running(self, *, logs: Iterable[str] = ()) -> None:
        """Have it start, and run until something else is said of it."""
        self._cluster.set_behaviour(self._name, Behaviour(ends=False, logs=tuple(logs)))

    def stays_pending(self) -> None:
        """Have its pod wait for a node until something else is said of it."""
        self._cluster.set_behaviour(self._name, Behaviour(starts=False))


@dataclass(eq=False)
class _Namespace:
    """What acts in one namespace."""

    server: Server
    jobs: JobController = field(init=False)
    collector: Collector = field(init=False)
    node: Node = field(init=False)

    def __post_init__(self) -> None:
        self.jobs, self.collector, self.node = (
            JobController(self.server), Collector(self.server), Node(self.server)
        )  # fmt: skip


class FakeCluster:
    """The fixture `mageflow_fake`."""

    def __init__(self) -> None:
        self.started: list[str] = []
        """The tasks that have started, in order, as `resource/task` (a Workflow's: `name/main`), once for each run."""
        self._clock = VirtualClock(datetime.now(UTC).replace(microsecond=0))
        self._operator = InlineOperator(self._clock)
        self._namespaces: list[_Namespace] = []
        self.transport = MemoryTransport(self._clock.now, self._join)
        """What clients connect to."""
        self.transport.on_write = self._settle
        self._behaviours: dict[str, Behaviour] = {}
        self._failures: Counter[tuple[str, str]] = Counter()
        """How many runs have failed, by the uid of a resource and the name of a task."""
        self._answers = True

    def task(self, name: str) -> FakeTask:
        """Return a task, to say what it does: by its name, or as `resource/task`. That of a Workflow has its name."""
        return FakeTask(self, name)

    def label_namespace(self, lifecycle: str | None, namespace: str = NAMESPACE) -> None:
        """Hold all that is in a namespace, as its label `mageflow.io/lifecycle` does; None: take that off."""
        labels = {} if lifecycle is None else {LABEL_LIFECYCLE: lifecycle}
        with self.transport.lock:
            server = self.transport.server(namespace)
            server.change(USER, "namespaces", namespace, lambda raw: raw["metadata"].update(labels=labels))
            self._settle()

    def stop_operator(self) -> None:
        """Have the operator do nothing any more about what is asked for, until `start_operator`."""
        self._answers = False

    def start_operator(self) -> None:
        """Have the operator catch up with what was asked for meanwhile."""
        self._answers = True
        self._settle()

    @contextmanager
    def installed(self) -> Iterator[FakeCluster]:
        """Have every client that connects in this block, sync and async, connect to this."""

        async def open_fake(_: str | Path | None, __: str | None) -> tuple[Transport, str]:
            return self.transport, NAMESPACE

        with connect_using(open_fake):
            yield self

    def set_behaviour(self, name: str, behaviour: Behaviour) -> None:
        """Say what a task does: see FakeTask."""
        with self.transport.lock:
            self._behaviours[name] = behaviour
            for where in self._namespaces:
                for pod in where.server.list("pods"):
                    if where.node.of(pod).runs and self._behaviour_of(pod) is behaviour:
                        self.transport.write_log(name_of(pod), behaviour.logs)
            self._settle()

    # ── what happens ──

    def _join(self, server: Server) -> None:
        self._namespaces.append(_Namespace(server))
        server.listeners.append(lambda _, change, __: self._operator.hear(server, change))

    def _settle(self) -> None:
        """Let everything happen that can."""
        with self.transport.lock:
            for _ in range(MAX_TURNS):
                is_moving = self._answers and self._operator.work()
                for where in self._namespaces:
                    is_moving |= self._move(where)
                if not is_moving and not self._pass_back_off():
                    return
        raise AssertionError("it never comes to rest")

    def _move(self, where: _Namespace) -> bool:
        """Let each take a step in a namespace; return whether anything has changed."""
        before = self._count_changes(where)
        for job in where.server.list("jobs"):
            where.jobs.sync(name_of(job))
        where.jobs.release_orphans()
        where.collector.collect()
        for pod in where.server.list("pods"):
            present = where.server.find("pods", name_of(pod))
            if present is not None:
                self._move_pod(where, present)
        return self._count_changes(where) != before

    def _count_changes(self, where: _Namespace) -> int:
        facts = sum(each.runs + 2 * (each.exit_code is not None) for each in where.node.containers.values())
        return facts + sum(len(log) for log in where.server.log.values())

    def _move_pod(self, where: _Namespace, pod: Raw) -> None:
        """Let a pod take the next step that its task's behaviour lets it take."""
        behaviour, container = self._behaviour_of(pod), where.node.of(pod)
        if "nodeName" not in pod["spec"] and not behaviour.starts:
            return
        if not container.runs:
            is_new = container.is_fresh and "nodeName" in pod["spec"]
            where.node.move(pod, 0)
            if is_new and container.runs:
                self.started.append(f"{label_of(pod, LABEL_NAME)}/{label_of(pod, LABEL_TASK)}")
                self.transport.write_log(name_of(pod), behaviour.logs)
        elif where.node.is_unreported(pod):
            where.node.report(pod)
        elif is_terminating(pod):
            where.node.end(pod, SIGTERM_EXIT_CODE)
        elif behaviour.ends and not has_ended(pod):
            self._end(where.node, pod, behaviour)

    def _end(self, node: Node, pod: Raw, behaviour: Behaviour) -> None:
        """End what a pod runs."""
        key = label_of(pod, LABEL_UID), label_of(pod, LABEL_TASK)
        is_failing = behaviour.failures == -1 or self._failures[key] < behaviour.failures
        self._failures[key] += is_failing
        node.of(pod).message = behaviour.message if is_failing else _write_output(behaviour.output)
        node.end(pod, int(is_failing))

    def _behaviour_of(self, pod: Raw) -> Behaviour:
        resource, task = label_of(pod, LABEL_NAME), label_of(pod, LABEL_TASK)
        for key in (f"{resource}/{task}", resource if task == MAIN_TASK else task):
            if key in self._behaviours:
                return self._behaviours[key]
        return Behaviour()

    def _pass_back_off(self) -> bool:
        """Let time pass until the next back-off is over; return whether there is one that isn't held."""
        if not self._answers:
            return False
        due = [
            (datetime.fromisoformat(task["retryAt"]), where.server, uid_of(raw))
            for where in self._namespaces
            for kind in KINDS
            for raw in where.server.list(kind.plural)
            for task in raw.get("status", {}).get("tasks", ())
            if task["phase"] == TaskPhase.BACKING_OFF and task.get("retryAt")
        ]
        if not due:
            return False
        time, server, uid = min(due, key=lambda each: each[0])
        self._clock.pass_until(time)
        self._operator.look_again(server, uid)
        return True


def _write_output(output: Any) -> str:
    """Return what a task writes to its termination message."""
    if output is None:
        return ""
    return output if isinstance(output, str) else json.dumps(output)
