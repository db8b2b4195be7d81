"""DESIGN's promises 1 to 5 and 7 as invariants: each change of an object is looked at when it is made.

`Promises` knows what is so on the node, whatever the API server has been told, and remembers who did what.
"""

from __future__ import annotations

from typing import Final

from mageflow.api import (
    CHAIN,
    ENDED_PHASES,
    HELD_PHASES,
    KINDS,
    LABEL_LIFECYCLE,
    LABEL_TASK,
    LABEL_UID,
    MAIN_TASK,
    Lifecycle,
    LifecycleSource,
    Phase,
    TaskPhase,
    read_namespace_label,
)
from mageflow.api.reasons import OUTPUT_LOST, TOO_MANY_DISRUPTIONS
from mageflow.core.job_manifest import ANNOTATION_STOPPED
from mageflow.core.lifecycle import strongest_lifecycle
from mageflow.kube.transport import Raw
from mageflow.testing.controllers import COLLECTOR, JOB_CONTROLLER
from mageflow.testing.node import Container, Node
from mageflow.testing.server import (
    OPERATOR,
    Change,
    Server,
    find_condition,
    has_ended,
    is_terminating,
    label_of,
    name_of,
    owner_of,
    uid_of,
)

from .process import FROZEN, NAMESPACE

ACTIVE, SUSPENDED, INTERRUPTED, CANCELED = Lifecycle
RESOURCES: Final = tuple(kind.plural for kind in KINDS)
USER: Final = "user"
ENDS: Final = {Phase.SUCCEEDED, Phase.FAILED}
PHASES: Final = {
    ACTIVE: {Phase.PENDING, Phase.ACTIVE} | ENDS,
    SUSPENDED: {Phase.ACTIVE, Phase.SUSPENDING, Phase.SUSPENDED} | ENDS,
    INTERRUPTED: {Phase.INTERRUPTING, Phase.INTERRUPTED} | ENDS,
    CANCELED: {Phase.INTERRUPTING, Phase.CANCELED} | ENDS,
}
"""What a resource may say of itself, by the lifecycle that it speaks of."""

Task = tuple[str, str]
"""The uid of a resource, and the name of one of its tasks."""


def task_of(raw: Raw) -> Task:
    """Return the task that a Job or a pod belongs to."""
    return label_of(raw, LABEL_UID), label_of(raw, LABEL_TASK)


def can_run(pod: Raw) -> bool:
    """A container of it runs or may yet start, as far as the API server knows."""
    return not has_ended(pod) and not (is_terminating(pod) and "nodeName" not in pod["spec"])


def has_started(pod: Raw) -> bool:
    """A container of it, init containers included, runs or has ended, as far as the API server knows."""
    status = pod["status"]
    containers = (*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ()))
    return any("running" in each["state"] or "terminated" in each["state"] for each in containers)


def phase_of(resource: Raw) -> Phase | None:
    phase = resource.get("status", {}).get("phase")
    return None if phase is None else Phase(phase)


def tasks_of(resource: Raw) -> set[str]:
    """Return the names of the tasks in a spec."""
    spec = resource["spec"]
    return {task["name"] for task in spec["tasks"]} if "tasks" in spec else {MAIN_TASK}


def is_held_by_failure(resource: Raw) -> bool:
    """Tell whether it says that it can't go on without help: a task would get an output that is lost."""
    status = resource.get("status", {})
    if status.get("lifecycleSource") != LifecycleSource.FAILURE:
        return False
    lost = [entry for entry in status["tasks"] if entry["phase"] == TaskPhase.SUCCEEDED]
    assert any(entry.get("reason") == OUTPUT_LOST for entry in lost), "promise 7: nobody asked for that"
    return True


def label_of_namespace(server: Server) -> str | None:
    """Return what the namespace asks of all that is in it."""
    label: str | None = server.get("namespaces", NAMESPACE)["metadata"]["labels"].get(LABEL_LIFECYCLE)
    return label


def _limit_of(resource: Raw) -> int:
    limit: int = resource["spec"].get("maxConcurrency", 1)
    return limit


def _has_job_ended(job: Raw) -> bool:
    return any(find_condition(job, type_) for type_ in ("Complete", "Failed"))


class Promises:
    """Looks at each change, and at everything after each step."""

    def __init__(self, server: Server, node: Node) -> None:
        self._server = server
        self._node = node
        self._specs: dict[tuple[str, int], Raw] = {}
        """Each resource as it was, by uid and generation."""
        self._deleted: dict[str, str] = {}
        """Who deleted each Job, by its uid."""
        self._jobs: dict[str, Raw] = {}
        """Each Job as it was created, by its uid."""
        self._created: dict[str, str] = {}
        """The uid of the last Job of each name."""
        self._ghosts: set[str] = set()
        """The uids of Jobs that a leader made after another had taken over."""
        self._withdrawn_by_us: set[str] = set()
        """The uids of Jobs that the operator deleted and whose pods it left."""
        self._stoppers: dict[str, str] = {}
        """Who was the first to delete a pod, by its uid."""
        self._made_for: dict[str, str | None] = {}
        """The uid of the Job that each pod was made for."""
        self._dangling: set[str] = set()
        """The uids of pods that were made for a Job that was gone already: the collector's, in a moment. A hold deletes
        only a Job that has had no pod for long, so this takes a Job controller that is far behind (ADR 8). And those of
        the Jobs of a leader that was frozen for longer than its Lease lasted."""
        self.may_leave_orphans = False
        """Something was deleted so that its dependents stay: by the user, or a Job before it had a pod (HoldJob)."""
        self._allowed: dict[str, int] = {}
        """How many tasks of a resource may run at once: more than its limit for as long as those go on that had begun
        when it was lowered."""
        self._labels: list[str | None] = []
        """What the namespace has asked, one after the other."""
        self._labels_told: dict[str, int] = {}
        """Which of these a resource's status speaks of, by uid."""
        self.succeeded: set[Task] = set()
        """Tasks of which a pod was reported to have succeeded that nobody had deleted."""
        server.listeners.append(self._on_change)

    # ── each change ──

    def _on_change(self, by: str, change: Change, old: Raw | None) -> None:
        match change.plural, change.type:
            case "events", _:
                pass
            case "namespaces", _:
                self._labels.append(change.object["metadata"]["labels"].get(LABEL_LIFECYCLE))
            case "jobs", "ADDED":
                self._on_job_created(by, change.object)
            case "jobs", _:
                assert old is not None
                self._on_job_changed(by, change, old)
            case "pods", "ADDED":
                self._on_pod_created(by, change.object)
            case "pods", _:
                assert old is not None
                self._on_pod_changed(by, change.object, old)
            case _:
                self._on_resource_changed(by, change.object, old)

    def _on_job_created(self, by: str, job: Raw) -> None:
        if by == FROZEN:
            self._ghosts.add(uid_of(job))
            return
        assert by == OPERATOR
        self._jobs[uid_of(job)] = job
        task, name = task_of(job), name_of(job)
        assert task not in self.succeeded, "promise 3: a task that succeeded is never run again"
        pods = [pod for pod in self._pods_of(task) if uid_of(pod) not in self._dangling]
        assert not any(can_run(pod) for pod in pods), "promise 3: nothing runs twice"
        assert self._is_its_turn(task), "a Chain's tasks run in their order"
        before = self._deleted.get(self._created.get(name, ""))
        assert before != OPERATOR, "promise 3: a run's number is used once"
        self._created[name] = uid_of(job)

    def _is_its_turn(self, task: Task) -> bool:
        """Tell whether those before it have succeeded, as the spec has it that the status speaks of, or had it before.

        A run that was recorded gets its Job, although its task was put behind others meanwhile.
        """
        uid, name = task
        resource = self._find_resource(uid)
        if resource is None or resource["kind"] != CHAIN.name:
            return True
        status = resource.get("status", {})
        observed = status.get("observedGeneration")
        done = {entry["name"] for entry in status.get("tasks", ()) if entry["phase"] == TaskPhase.SUCCEEDED}
        orders = [
            [each["name"] for each in spec["spec"]["tasks"]]
            for (owner, generation), spec in self._specs.items()
            if owner == uid and (observed is None or generation <= observed)
        ]
        return any(name in order and done.issuperset(order[: order.index(name)]) for order in orders)

    def _on_job_changed(self, by: str, change: Change, old: Raw) -> None:
        job = change.object
        self.may_leave_orphans |= "orphan" in job["metadata"].get("finalizers", ())
        begins_to_go = is_terminating(job) and not is_terminating(old)
        if begins_to_go or (change.type == "DELETED" and not is_terminating(old)):
            self._deleted[uid_of(job)] = by
            if "orphan" in job["metadata"].get("finalizers", ()):
                self._withdrawn_by_us |= {uid_of(job)} if by == OPERATOR else set()
            elif by == OPERATOR:
                pods = [pod for pod in self._pods_of(task_of(job)) if owner_of(pod) == uid_of(job)]
                is_stopped = ANNOTATION_STOPPED in old["metadata"].get("annotations", {})
                may_stop = is_stopped or self._may_stop(task_of(job))
                assert may_stop or not [pod for pod in pods if can_run(pod) and has_started(pod)], "promise 1"
            task = task_of(job)
            is_told = self._is_told_by_events(job) and self._is_asked_for(task)
            if by != OPERATOR and not self._is_recorded(task) and not is_told:
                self.succeeded.discard(task)  # with its Job goes what nobody has recorded
        if by == USER:
            self._withdrawn_by_us.discard(uid_of(job))  # it is theirs now what becomes of its pods
        if by == OPERATOR and job["spec"].get("suspend") and not old["spec"].get("suspend"):
            assert self._may_stop(task_of(job)), "promise 1: a suspend never stops a Job"

    def _on_pod_created(self, by: str, pod: Raw) -> None:
        assert by == JOB_CONTROLLER
        self._made_for[uid_of(pod)] = owner_of(pod)
        is_a_ghosts = owner_of(pod) in self._ghosts
        if is_a_ghosts or not any(uid_of(job) == owner_of(pod) for job in self._server.list("jobs")):
            self._dangling.add(uid_of(pod))

    def _is_deleted_by_others(self, pod: Raw) -> bool:
        """Tell whether someone has deleted the pod's Job: then its run is as if it had never been."""
        return self._deleted.get(self._made_for[uid_of(pod)] or "", OPERATOR) != OPERATOR

    def _on_pod_changed(self, by: str, pod: Raw, old: Raw) -> None:
        if is_terminating(pod) and not is_terminating(old):
            self._stoppers[uid_of(pod)] = by
            if by == OPERATOR and has_started(old) and can_run(old):
                assert self._may_stop(task_of(pod)), "promise 1: a suspend never deletes a pod that has started"
            if by == COLLECTOR and has_started(old) and can_run(old) and uid_of(pod) not in self._dangling:
                assert owner_of(pod) not in self._withdrawn_by_us, "promise 1: a suspend orphans no running pod"
        has_succeeded = pod["status"].get("phase") == "Succeeded" and not has_ended(old) and not is_terminating(pod)
        if has_succeeded and not self._is_deleted_by_others(pod):
            self.succeeded.add(task_of(pod))

    def _on_resource_changed(self, by: str, resource: Raw, old: Raw | None) -> None:
        generation = resource["metadata"]["generation"]
        self.may_leave_orphans |= "orphan" in resource["metadata"].get("finalizers", ())
        self._specs[uid_of(resource), generation] = resource
        if by not in (OPERATOR, FROZEN):
            return
        assert old is not None
        assert resource["spec"] == old["spec"], "promise 4: the spec is the user's"
        version = {"resourceVersion": ""}
        assert resource["metadata"] | version == old["metadata"] | version, "promise 4: only the status is written"
        phase, before = phase_of(resource), phase_of(old)
        assert before not in ENDED_PHASES or phase is before, "an ended phase never changes"
        lifecycle = self._lifecycle(resource)
        assert phase in PHASES[lifecycle] or before in ENDED_PHASES, f"promise 7: {phase} is not what {lifecycle} asks"
        if resource["status"].get("interruptions"):
            assert find_condition(resource, "Consistent") is None, "an interrupted resource may be inconsistent"
        self._check_label(resource)
        self._check_counts(resource)
        self._check_ends(resource)

    def _check_label(self, resource: Raw) -> None:
        """What its namespace asks is told in the order in which it was asked."""
        label, since = resource["status"].get("observedNamespaceLifecycle"), self._labels_told.get(uid_of(resource), 0)
        assert label in self._labels[since:], f"the namespace doesn't ask {label} any more"
        self._labels_told[uid_of(resource)] = self._labels.index(label, since)

    def _check_counts(self, resource: Raw) -> None:
        """The counts are those of the tasks in the spec that the status speaks of."""
        status = resource["status"]
        names = tasks_of(self._specs[uid_of(resource), status["observedGeneration"]])
        phases = [entry["phase"] for entry in status.get("tasks", ()) if entry["name"] in names]
        if phase_of(resource) not in ENDED_PHASES:  # then nothing but observedGeneration follows the spec any more
            assert status["total"] == len(names)
            assert (status["done"], status["failed"]) == (phases.count("Succeeded"), phases.count("Failed"))

    def _check_ends(self, resource: Raw) -> None:
        """What is said of tasks is so: what failed did so by itself, what succeeded wasn't stopped."""
        for entry in resource["status"].get("tasks", ()):
            containers = self._containers_of((uid_of(resource), entry["name"]))
            own_failures = sum(container.has_failed_by_itself for _, container in containers)
            assert entry.get("failures", 0) <= own_failures, "promise 3: others' stops are no failures"
            if entry["phase"] == TaskPhase.FAILED and entry.get("reason") != TOO_MANY_DISRUPTIONS:
                retries = self._fewest_retries(uid_of(resource), entry["name"])
                assert entry["failures"] > retries, "promise 3: nothing but a failure uses up a retry"
            if entry["phase"] == TaskPhase.SUCCEEDED:
                assert any(
                    container.exit_code == 0 and not container.was_told_to_stop for _, container in containers
                ), "promise 3: whoever stopped it, a pod that exits 0 because of that has not succeeded"

    # ── after each step ──

    def check(self) -> None:
        """Check what holds at every instant."""
        for plural in RESOURCES:
            for resource in self._server.list(plural):
                self._check_quiet(resource)
                self._check_limit(resource)
        pods = [pod for pod in self._server.list("pods") if uid_of(pod) not in self._dangling]
        running = [task_of(pod) for pod in pods if self._node.of(pod).runs]
        assert len(running) == len(set(running)), "promise 3: nothing runs twice at once"

    def _check_quiet(self, resource: Raw) -> None:
        phase, uid = phase_of(resource), uid_of(resource)
        if phase not in HELD_PHASES | ENDED_PHASES:
            return
        for pod in self._server.list("pods", {"labelSelector": f"{LABEL_UID}={uid}"}):
            if uid_of(pod) in self._dangling:
                continue  # the collector's, in a moment
            assert not can_run(pod), f"promise 2: {phase} means that no pod can run"
            assert not self._node.of(pod).runs, f"promise 2: {phase} means that no container runs"

    def _check_limit(self, resource: Raw) -> None:
        uid, limit = uid_of(resource), _limit_of(resource)
        before = max(_limit_of(spec) for (owner, _), spec in self._specs.items() if owner == uid)
        allowed = max(limit, self._allowed.get(uid, before))
        if (
            phase_of(resource) is not None
        ):  # the first runs may be made from a view older than the limit (DESIGN section 3)
            allowed = max(limit, min(allowed, self._count_begun(resource)))
        self._allowed[uid] = allowed
        pods = self._server.list("pods", {"labelSelector": f"{LABEL_UID}={uid}"})
        running = {task_of(pod) for pod in pods if self._node.of(pod).runs and uid_of(pod) not in self._dangling}
        assert len(running) <= allowed, f"at most {allowed} at once"

    def _count_begun(self, resource: Raw) -> int:
        """Count the tasks that have a pod, or a Job that may yet make one, or are about to get one."""
        selector = {"labelSelector": f"{LABEL_UID}={uid_of(resource)}"}
        jobs = [job for job in self._server.list("jobs", selector) if not _has_job_ended(job)]
        pods = [pod for pod in self._server.list("pods", selector) if can_run(pod)]
        entries = resource["status"].get("tasks", ())
        recorded = {entry["name"] for entry in entries if entry["phase"] == TaskPhase.RECORDED}
        return len(recorded | {task_of(each)[1] for each in (*jobs, *pods)})

    # ── what happens to successes that nobody has recorded ──

    def forget_unseen_successes(self) -> None:
        """Drop the successes that nothing tells of any more: nobody was watching (docs/reliability.md)."""
        self.succeeded = {task for task in self.succeeded if self._is_recorded(task) or self._is_told(task)}

    def _is_recorded(self, task: Task) -> bool:
        uid, name = task
        resource = self._find_resource(uid)
        entries = () if resource is None else resource.get("status", {}).get("tasks", ())
        return any(entry["name"] == name and entry["phase"] == TaskPhase.SUCCEEDED for entry in entries)

    def _is_asked_for(self, task: Task) -> bool:
        """Tell whether the operator will look for events: not between a first Job and its record, nor of a stop."""
        resource = self._find_resource(task[0])
        status = {} if resource is None else resource.get("status", {})
        stopped = {entry["name"] for entry in status.get("tasks", ()) if entry["phase"] == "Stopping"}
        return "phase" in status and (task[1] not in stopped or self._is_holding(task))

    def _is_holding(self, task: Task) -> bool:
        resource = self._find_resource(task[0])
        entries = () if resource is None else resource.get("status", {}).get("tasks", ())
        return any(entry["name"] == task[1] and entry.get("holding") for entry in entries)

    def _is_told(self, task: Task) -> bool:
        if any(pod["status"]["phase"] == "Succeeded" and not is_terminating(pod) for pod in self._pods_of(task)):
            return True
        return any(self._is_told_by_events(job) for job in self._jobs.values() if task_of(job) == task)

    def _is_told_by_events(self, job: Raw) -> bool:
        """Tell whether the Job controller's events say that a Job is Complete, and none is so old that it is gone."""
        about = {"fieldSelector": f"involvedObject.uid={uid_of(job)}"}
        return {"SuccessfulCreate", "Completed"} <= {event["reason"] for event in self._server.list("events", about)}

    # ── inside ──

    def _find_resource(self, uid: str) -> Raw | None:
        resources = (raw for plural in RESOURCES for raw in self._server.list(plural))
        return next((raw for raw in resources if uid_of(raw) == uid), None)

    def _lifecycle(self, resource: Raw) -> Lifecycle:
        """Return what was asked of a resource, as its status knows it."""
        status = resource["status"]
        own = self._specs[uid_of(resource), status["observedGeneration"]]["spec"].get("lifecycle", ACTIVE)
        asked = strongest_lifecycle(Lifecycle(own), read_namespace_label(status.get("observedNamespaceLifecycle")))
        return strongest_lifecycle(asked, SUSPENDED) if is_held_by_failure(resource) else asked

    def _may_stop(self, task: Task) -> bool:
        """The status, written ahead, says why a task that runs is stopped."""
        uid, name = task
        resource = self._find_resource(uid)
        if resource is None:
            return True  # what belongs to it goes with it
        if is_terminating(resource) or self._server.has_lost_status:
            return self._is_stop_unanswered(resource, name) or self._is_stop_recorded(resource, name)
        return self._is_stop_recorded(resource, name)

    def _is_stop_unanswered(self, resource: Raw, name: str) -> bool:
        """Tell whether a stop was asked for that no status speaks of: none is, or can be, written."""
        uid, observed = uid_of(resource), resource.get("status", {}).get("observedGeneration") or 0
        asked = [raw for (of, generation), raw in self._specs.items() if of == uid and generation >= observed]
        labels = self._labels[self._labels_told.get(uid, 0) :]
        return any(
            strongest_lifecycle(Lifecycle(raw["spec"].get("lifecycle", ACTIVE)), read_namespace_label(label))
            in (INTERRUPTED, CANCELED)
            or name not in tasks_of(raw)
            for raw in asked
            for label in labels
        )

    def _is_stop_recorded(self, resource: Raw, name: str) -> bool:
        uid, observed = uid_of(resource), resource.get("status", {}).get("observedGeneration")
        if observed is None:
            return False
        is_removed = name not in tasks_of(self._specs[uid, observed])
        is_interrupted = self._lifecycle(resource) in (INTERRUPTED, CANCELED)
        return is_interrupted or is_removed or phase_of(resource) in ENDED_PHASES

    def _fewest_retries(self, uid: str, name: str) -> int:
        """Return the fewest retries that a task was ever to have: none for as long as it is removed from the spec."""
        fewest: list[int] = []
        for (owner, _), resource in self._specs.items():
            if owner == uid:
                tasks = resource["spec"].get("tasks", [resource["spec"]])
                retries = [task.get("retries", 0) for task in tasks if task.get("name", MAIN_TASK) == name]
                fewest.append(min(retries, default=0))
        return min(fewest)

    def _pods_of(self, task: Task) -> list[Raw]:
        return [pod for pod in self._server.list("pods") if task_of(pod) == task]

    def _containers_of(self, task: Task) -> list[tuple[str, Container]]:
        return [(uid, container) for uid, container in self._node.containers.items() if container.task == task]
