"""All that there is: a server, its controllers, a node, the operator, a user; and every step that each can take."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from mageflow.api import (
    API_VERSION,
    ENDED_PHASES,
    HELD_PHASES,
    LABEL_LIFECYCLE,
    LABEL_UID,
    SWARM,
    WORKFLOW,
    Kind,
    Lifecycle,
    Phase,
    read_namespace_label,
)
from mageflow.api.rules import MANY, SINGLE
from mageflow.core.job_manifest import ANNOTATION_STOPPED
from mageflow.core.lifecycle import strongest_lifecycle
from mageflow.kube.errors import ApiError
from mageflow.kube.transport import Raw
from mageflow.testing.controllers import Collector, JobController
from mageflow.testing.node import SIGTERM_EXIT_CODE, Node
from mageflow.testing.server import OPERATOR, Server, find_condition, has_ended, is_terminating, name_of, uid_of

from .process import FROZEN, NAMESPACE, Flight, ModelClock, ModelLoop, Process
from .promises import (
    ACTIVE,
    CANCELED,
    INTERRUPTED,
    SUSPENDED,
    USER,
    Promises,
    is_held_by_failure,
    label_of_namespace,
    phase_of,
)

NAME: Final = "report"
REST: Final = {
    ACTIVE: {Phase.SUCCEEDED, Phase.FAILED},
    SUSPENDED: {Phase.SUSPENDED, Phase.SUCCEEDED, Phase.FAILED},
    INTERRUPTED: {Phase.INTERRUPTED, Phase.SUCCEEDED, Phase.FAILED},
    CANCELED: {Phase.CANCELED, Phase.SUCCEEDED, Phase.FAILED},
}
"""Where a resource comes to rest when nothing else happens, by what its spec asks."""

PREFIXES: Final = {"jobs": "/apis/batch/v1", "pods": "/api/v1"}

MAX_TURNS: Final = 2_000
"""After so many turns something goes round in circles."""


@dataclass
class Shape:
    """What the user creates."""

    kind: Kind = WORKFLOW
    tasks: int = 3
    retries: int = 1
    max_concurrency: int = 2
    has_init: bool = False
    lifecycle: Lifecycle = ACTIVE


@dataclass
class Cluster:
    """The cluster, and what can happen in it."""

    shape: Shape = field(default_factory=Shape)

    def __post_init__(self) -> None:
        self.loop = ModelLoop()
        self.clock = ModelClock(self.loop)
        self.server = Server(self.clock.now, NAMESPACE)
        self.node = Node(self.server)
        self.promises = Promises(self.server, self.node)
        self.jobs = JobController(self.server)
        self.collector = Collector(self.server)
        self.process: Process | None = None
        self.frozen: Process | None = None
        self._edits = 0
        self.is_queue_admitting = False
        """A queueing system unsuspends whatever is suspended, whoever did it."""
        self.server.create(USER, "namespaces", {"metadata": {"name": NAMESPACE, "labels": {}}})
        self.create()
        self.start_operator()

    def close(self) -> None:
        self.kill_operator()
        if self.frozen is not None:
            self.frozen.kill()
        self.loop.close()

    # ── time ──

    def pass_time(self, seconds: float) -> None:
        self.loop.clock += seconds
        self.loop.spin()

    # ── the user ──

    @property
    def plural(self) -> str:
        return self.shape.kind.plural

    @property
    def resource(self) -> Raw | None:
        return self.server.find(self.plural, NAME)

    def create(self) -> None:
        """Create the resource; nothing happens if there is one."""
        if self.resource is not None:
            return
        self.server.create(
            USER,
            self.plural,
            {
                "apiVersion": API_VERSION,
                "kind": self.shape.kind.name,
                "metadata": {"name": NAME, "namespace": NAMESPACE},
                "spec": self._build_spec(),
            },
        )

    def patch(self, **spec: Any) -> None:
        """Patch the spec, if there is a resource."""
        self._edit(lambda present: present.update(spec))

    def ask(self, lifecycle: Lifecycle) -> None:
        """Patch the lifecycle; canceled is final."""
        if self.resource is not None and self.resource["spec"].get("lifecycle") != CANCELED:
            self.patch(lifecycle=lifecycle.value)

    def label_namespace(self, lifecycle: str | None) -> None:
        """Set the namespace's label, or take it off."""
        labels = {} if lifecycle is None else {LABEL_LIFECYCLE: lifecycle}
        self.server.change(USER, "namespaces", NAMESPACE, lambda raw: raw["metadata"].update(labels=labels))

    @property
    def effective_lifecycle(self) -> Lifecycle:
        """What is asked of the resource, by its own spec and its namespace's label."""
        own = ACTIVE if self.resource is None else Lifecycle(self.resource["spec"].get("lifecycle", ACTIVE))
        return strongest_lifecycle(own, read_namespace_label(label_of_namespace(self.server)))

    def edit_task(self, number: int, lifecycle: Lifecycle | None = None) -> None:
        """Edit a task, in the write that sets the lifecycle or while held, if the rules of the CRD let one."""
        self._edits += 1
        edits: Sequence[Raw] = (
            {"template": {"spec": {"containers": [{"name": "main", "image": f"image:{self._edits}"}]}}},
            {"retries": self._edits % 3},
            {"input": self._edits},
            {"timeoutSeconds": self._edits},
        )

        def edit(spec: Raw) -> None:
            for task in pick(spec.get("tasks", [spec]), number):
                task.update(edits[self._edits % len(edits)])

        self._edit_tasks(edit, lifecycle)

    def add_task(self, lifecycle: Lifecycle | None = None) -> None:
        """Append a task, or put one first, if the rules let one."""
        self._edits += 1

        def edit(spec: Raw) -> None:
            if "tasks" in spec:
                task = self._build_task() | {"name": f"new-{self._edits}"}
                spec["tasks"] = [task, *spec["tasks"]] if self._edits % 2 else [*spec["tasks"], task]

        self._edit_tasks(edit, lifecycle)

    def remove_task(self, number: int, lifecycle: Lifecycle | None = None) -> None:
        """Remove a task, if the rules let one."""

        def edit(spec: Raw) -> None:
            if len(spec.get("tasks", ())) > 1:
                spec["tasks"] = [task for at, task in enumerate(spec["tasks"]) if at != number % len(spec["tasks"])]

        self._edit_tasks(edit, lifecycle)

    def reverse_tasks(self, lifecycle: Lifecycle | None = None) -> None:
        """Reverse the order of the tasks, if the rules let one."""
        self._edit_tasks(lambda spec: spec.update(tasks=spec["tasks"][::-1]) if "tasks" in spec else None, lifecycle)

    def limit(self, max_concurrency: int) -> None:
        """Change how many tasks may run at once, if it is a Swarm."""
        if self.shape.kind is SWARM:
            self.patch(maxConcurrency=max_concurrency)

    def delete(self, policy: str) -> None:
        """Delete the resource."""
        self._as_user("DELETE", f"/apis/mageflow.io/v1/namespaces/{NAMESPACE}/{self.plural}/{NAME}", policy)

    def leave(self, finalizer: str | None) -> None:
        """Have a finalizer keep the resource when it is deleted; None: let it go."""
        if self.resource is not None:
            kept = [] if finalizer is None else [finalizer]
            self.server.change(USER, self.plural, NAME, lambda raw: raw["metadata"].update(finalizers=kept))

    def delete_job(self, number: int, policy: str) -> None:
        """Delete a Job by hand."""
        for job in pick(self.server.list("jobs"), number):
            self._as_user("DELETE", f"/apis/batch/v1/namespaces/{NAMESPACE}/jobs/{name_of(job)}", policy)

    def clean_up(self, plural: str) -> None:
        """Delete the Jobs or the pods that have ended, as a TTL or a cleaner does."""
        for raw in self.server.list(plural):
            if has_ended(raw) or any(find_condition(raw, type_) for type_ in ("Complete", "Failed")):
                self._as_user(
                    "DELETE", f"{PREFIXES[plural]}/namespaces/{NAMESPACE}/{plural}/{name_of(raw)}", "Background"
                )

    def delete_pod(self, number: int) -> None:
        """Delete a pod by hand."""
        for pod in pick(self.server.list("pods"), number):
            self._as_user("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/{name_of(pod)}", "Background")

    def suspend_job(self, number: int) -> None:
        """Suspend a Job, as a queueing system or somebody by hand does."""
        for job in pick(self.server.list("jobs"), number):
            self.server.change(USER, "jobs", name_of(job), lambda raw: raw["spec"].update(suspend=True))

    def let_jobs_go(self, *, stopped: bool = False) -> None:
        """Unsuspend what others have suspended; `stopped`: what the operator has, as Kueue does with what it admits."""
        for job in self.server.list("jobs"):
            is_stopped = ANNOTATION_STOPPED in job["metadata"].get("annotations", {})
            if job["spec"].get("suspend") and is_stopped is stopped:
                self.server.change(USER, "jobs", name_of(job), lambda raw: raw["spec"].update(suspend=False))

    def _as_user(self, method: str, path: str, policy: str) -> None:
        try:
            self.server.handle(USER, method, path, {"propagationPolicy": policy})
        except ApiError as error:
            if error.status != 404:
                raise

    def _build_spec(self) -> Raw:
        shape = self.shape
        lifecycle = {} if shape.lifecycle is ACTIVE else {"lifecycle": shape.lifecycle.value}
        if shape.kind is WORKFLOW:
            return self._build_task() | lifecycle
        tasks = [self._build_task() | {"name": f"task-{number}"} for number in range(shape.tasks)]
        limit = {"maxConcurrency": shape.max_concurrency} if shape.kind is SWARM else {}
        return {"tasks": tasks} | limit | lifecycle

    def _build_task(self) -> Raw:
        pod: Raw = {"containers": [{"name": "main", "image": "image:0"}]}
        if self.shape.has_init:
            pod["initContainers"] = [{"name": "init", "image": "image:0"}]
        return {"template": {"spec": pod}, "retries": self.shape.retries}

    def _edit(self, edit: Callable[[Raw], Any]) -> None:
        if self.resource is not None:
            self.server.change(USER, self.plural, NAME, lambda raw: edit(raw["spec"]))

    def _edit_tasks(self, edit: Callable[[Raw], Any], lifecycle: Lifecycle | None) -> None:
        if self.resource is None:
            return
        present = Lifecycle(self.resource["spec"].get("lifecycle", ACTIVE))
        wanted = present if lifecycle is None or present is CANCELED else lifecycle
        holding = SINGLE if self.shape.kind is WORKFLOW else MANY
        phase = phase_of(self.resource) or Phase.PENDING
        if phase in (*HELD_PHASES, *holding.phases.get(wanted, ())):

            def change(spec: Raw) -> None:
                edit(spec)
                if wanted is not present:
                    spec["lifecycle"] = wanted.value

            self._edit(change)

    # ── the operator ──

    def start_operator(self) -> None:
        if self.process is None:
            self.promises.forget_unseen_successes()
            self.process = Process(self.server, self.loop, self.clock)

    def kill_operator(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process = None

    def take_over(self) -> None:
        """Freeze the operator, whose requests are not sent yet, and start another."""
        if self.process is not None:
            self.frozen, self.process = self.process, None
        self.start_operator()

    def thaw(self) -> None:
        """Let the frozen operator send what it was about to send; then it notices, and ends."""
        if self.frozen is not None:
            wire = self.frozen.wire
            wire.by = FROZEN
            for flight in list(wire.flights):
                wire.deliver(flight)
            self.frozen.kill()
            self.frozen = None

    @property
    def flights(self) -> Sequence[Flight]:
        return () if self.process is None else self.process.wire.flights

    def deliver(self, number: int, *, loses_answer: bool = False) -> None:
        for flight in pick(self.flights, number):
            assert self.process is not None
            self.process.wire.deliver(flight, loses_answer=loses_answer)
            self.loop.spin()

    def drop(self, number: int, status: int) -> None:
        for flight in pick(self.flights, number):
            assert self.process is not None
            self.process.wire.drop(flight, status)
            self.loop.spin()

    def break_watch(self, plural: str) -> None:
        if self.process is not None:
            if plural == "pods":
                self.promises.forget_unseen_successes()
            self.process.list_anew(plural)

    def work(self, *, but_creations: bool = False) -> None:
        """Let the operator hear and do all that it can; `but_creations`: an admission takes its time over Jobs."""
        if self.process is None:
            return
        for _ in range(MAX_TURNS):
            self.process.hear_all()
            waiting = [at for at, flight in enumerate(self.flights) if not (but_creations and flight.is_creation)]
            if not waiting:
                return
            self.deliver(waiting[0])
        raise AssertionError("the operator goes round in circles")

    def kill_and_keep_creations(self) -> Sequence[Flight]:
        """Kill the operator; return the creations of Jobs that are on their way: they may yet be carried out."""
        flights = [flight for flight in self.flights if flight.is_creation]
        self.kill_operator()
        return flights

    def carry_out(self, flight: Flight) -> None:
        """Carry out a request of an operator that is no more."""
        with contextlib.suppress(ApiError):
            self.server.handle(OPERATOR, flight.method, flight.path, flight.body, flight.query)

    # ── the rest ──

    def pods(self) -> list[Raw]:
        return self.server.list("pods")

    def sync_jobs(self) -> None:
        for name in self.jobs.names():
            self.jobs.sync(name)
        self.jobs.release_orphans()

    def move_pods(self, exit_code: int) -> None:
        for pod in self.pods():
            present = self.server.find("pods", name_of(pod))
            if present is not None:
                self.node.move(present, SIGTERM_EXIT_CODE if is_terminating(present) else exit_code)

    # ── the end ──

    def settle(self) -> None:
        """Let everything happen that can, fairly, until nothing is left to happen.

        What is to be stopped runs until it is told to. Whoever has suspended a Job lets it go.
        """
        self.server.fails_half_way = self.server.takes_no_status = False
        self.server.denied.clear()
        self.start_operator()
        assert self.process is not None
        still = 0
        for _ in range(MAX_TURNS):
            before = self._count_changes()
            self.work()
            self.let_jobs_go()
            if self.is_queue_admitting:
                self.let_jobs_go(stopped=True)
            self.sync_jobs()
            self.collector.collect()
            for pod in self.pods():
                if not self.is_to_be_stopped(pod):
                    self.node.move(pod, SIGTERM_EXIT_CODE if is_terminating(pod) else 0)
            self.promises.check()
            still = still + 1 if self._count_changes() == before and self.process.is_up_to_date else 0
            if still > 1:  # the first time a sync may have found that what it knew was old
                due = self.loop.next_timer()
                if due is None:
                    return
                self.pass_time(max(0.0, due - self.loop.time()))
        raise AssertionError("it never comes to rest")

    def is_to_be_stopped(self, pod: Raw) -> bool:
        lifecycle = None if self.resource is None else self.effective_lifecycle
        runs = self.node.of(pod).runs and not self.node.is_unreported(pod)
        return lifecycle in (INTERRUPTED, CANCELED) and runs and not is_terminating(pod)

    def _count_changes(self) -> int:
        facts = sum(each.runs + 2 * (each.exit_code is not None) for each in self.node.containers.values())
        return facts + sum(len(log) for log in self.server.log.values())

    def check_rest(self) -> None:
        """Check promise 5: it has converged to what the spec says, and nothing is written any more."""
        resource = self.resource
        if resource is None:
            has_left = bool(self.server.list("jobs") or self.pods())
            assert not has_left or self.promises.may_leave_orphans, "what is deleted leaves nothing"
            return
        lifecycle, phase = self.effective_lifecycle, phase_of(resource)
        if is_held_by_failure(resource):
            lifecycle = strongest_lifecycle(lifecycle, SUSPENDED)
        assert phase in REST[lifecycle], f"promise 5: {phase} isn't where {lifecycle} comes to rest"
        if phase not in ENDED_PHASES:
            assert resource["status"].get("observedNamespaceLifecycle") == label_of_namespace(self.server)
        assert resource["status"]["observedGeneration"] == resource["metadata"]["generation"]
        for uid, name in self.promises.succeeded:
            if uid == resource["metadata"]["uid"]:
                entries = resource["status"]["tasks"]
                assert any(each["name"] == name and each["phase"] == "Succeeded" for each in entries), "promise 3: lost"
        self._check_silence(resource)

    def _check_silence(self, resource: Raw) -> None:
        assert self.process is not None
        before = self._count_changes()
        self.loop.call_soon(self.process.queue.add, resource["metadata"]["uid"])
        self.loop.spin()
        self.work()
        assert self._count_changes() == before, "promise 5: once converged, nothing is written"
        if phase_of(resource) in ENDED_PHASES | HELD_PHASES:
            own = {"labelSelector": f"{LABEL_UID}={uid_of(resource)}"}
            assert all(has_ended(pod) for pod in self.server.list("pods", own))


def pick(things: Sequence[Any], number: int) -> Sequence[Any]:
    """Return one of some things, by a number however large; none of none."""
    return (things[number % len(things)],) if things else ()
