"""What is known of every resource, its Jobs, their pods and its namespace: from the watches, and our writes' answers.

    watch event ──┐                         ┌── is_current(uid)?   no: an own write isn't seen yet
                  ├─→ the newest of each ───┤
    own write ────┘                         └── observe(uid)  →  a frozen snapshot

A watch can lag behind our own last write, so a state older than one already known is dropped, and after a write whose
answer doesn't bring the new state (an eviction, a deletion) the resource isn't decided upon until the watch has it.
Resource versions of one kind compare as integers:
https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final, Protocol, TypeVar

from mageflow.api import CLOSED_TASKS, ENDED_TASKS, Kind, TaskPhase, TaskStatus
from mageflow.controller.attempts import Attempts, Moment
from mageflow.controller.clock import Clock
from mageflow.controller.knownnamespaces import KnownNamespaces
from mageflow.controller.observe import (
    RunKey,
    is_controlled_by,
    observe_job,
    observe_pod,
    observe_resource,
    run_key,
)
from mageflow.core.observed import Evidence, ObservedJob, ObservedPod, ObservedResource, Run
from mageflow.core.run_result import has_succeeded
from mageflow.kube.transport import Raw

REMEMBERED_DELETIONS: Final = 10_000
"""How many deleted objects are remembered, so that a write's answer that comes late doesn't bring one back."""


class _Versioned(Protocol):
    @property
    def uid(self) -> str: ...
    @property
    def resource_version(self) -> str: ...


V = TypeVar("V", bound=_Versioned)


@dataclass(slots=True)
class _Family:
    """What belongs to one resource."""

    resource: ObservedResource | None = None
    jobs: dict[str, tuple[RunKey, ObservedJob]] = field(default_factory=dict)
    pods: dict[str, tuple[RunKey, ObservedPod]] = field(default_factory=dict)
    awaited: set[str] = field(default_factory=set)
    """Uids of what an own write has deleted, and the watch doesn't say so yet."""
    attempts: Attempts = field(default_factory=Attempts)
    """What was asked of the API server for it, and is refused or not answered yet."""
    since: dict[str, float] = field(default_factory=dict)
    """By uid, on the steady clock: when a Job was first seen, and a pod first seen terminating."""
    is_doomed: bool = False
    """Its namespace is being deleted, which nothing can stop any more."""
    missing_pods: dict[str, tuple[str, float]] = field(default_factory=dict)
    """By a Job's uid: why it has no pod, and when that was asked."""

    kept: set[str] = field(default_factory=set)
    """The uids of pods that are gone, and of which the ledger doesn't have the end yet."""
    evidence: dict[RunKey, Evidence] = field(default_factory=dict)
    """What else is left to tell by of runs that are gone, while the ledger doesn't have their end."""
    readings: dict[RunKey, tuple[float, float]] = field(default_factory=dict)
    """When the events of such a run were read first, and last."""
    is_in_doubt: bool = False
    """There may be Jobs and pods that the watches don't tell of, or not yet."""
    unseen: set[RunKey] = field(default_factory=set)
    """Runs that are over by what is told of their Jobs, and whose pods nothing was told of: one may be there.

    Not if the ledger has the run's end; that is looked at when it matters: Jobs may be told of before their resource.
    """

    def keep(self, pod_uid: str) -> bool:
        """Keep a pod that is gone as it was seen last, if its end is known and not recorded; tell whether it is kept.

        Its exit code, a start that the kubelet reported late, a success: nothing else would tell of them.
        """
        key, pod = self.pods.get(pod_uid, (None, None))
        if key is None or pod is None or not (pod.has_ended or pod.is_terminating) or not self._is_needed(key, pod):
            return False
        self.pods[pod_uid] = (key, replace(pod, is_gone=True))
        self.kept.add(pod_uid)
        self.awaited.discard(pod_uid)
        return True

    def drop_kept(self) -> None:
        """Forget what is kept of runs that are gone, once the ledger has their end, or the resource is gone."""
        for uid in [uid for uid in self.kept if not self._is_needed(*self.pods[uid])]:
            del self.pods[uid]
            self.kept.discard(uid)
            self.since.pop(uid, None)
        for key in [key for key in self.evidence if self._is_settled(key)]:
            del self.evidence[key]
            self.readings.pop(key, None)

    def note(self, key: RunKey, **facts: Any) -> None:
        """Note what tells of a run that is gone, if the ledger may yet ask for it."""
        if not self._is_settled(key):
            known = self.evidence.get(key, Evidence())
            self.evidence[key] = replace(known, **facts)

    def find_records(self) -> None:
        """Note the runs that the ledger has as recorded, and that this operator hasn't recorded."""
        resource = self.resource
        if resource is None:
            return
        for entry in resource.status.tasks:
            if entry.phase is TaskPhase.RECORDED and not self.attempts.is_own(entry.name, entry.run):
                self.note(RunKey(resource.namespace, resource.uid, entry.name, entry.run), is_found=True)

    def _is_settled(self, key: RunKey) -> bool:
        """Tell whether the ledger has the end of a run, or a later one, or doesn't know the task any more."""
        if self.resource is None:
            return True
        entry = self._entry_of(key)
        if entry is None:
            return self.resource.status.phase is not None
        return entry.run > key.run or (entry.run == key.run and not _is_open(entry, key.run))

    def _entry_of(self, key: RunKey) -> TaskStatus | None:
        entries = () if self.resource is None else self.resource.status.tasks
        return next((entry for entry in entries if entry.name == key.task), None)

    def _is_needed(self, key: RunKey, pod: ObservedPod) -> bool:
        if self.resource is None:
            return False
        if has_succeeded(pod) and any(job_key == key and not job.has_ended for job_key, job in self.jobs.values()):
            return True  # else it would look as if the Job might make another
        entry = self._entry_of(key)
        if entry is None or entry.run < key.run:
            return True
        if entry.phase in ENDED_TASKS:
            return False
        return has_succeeded(pod) or _is_open(entry, key.run)

    def look_for_pod(self, key: RunKey) -> None:
        """Note that a run is over by its Job: if no pod of it is known, the watch of pods may be the slower one."""
        if not any(key == pod_key for pod_key, _ in self.pods.values()):
            self.unseen.add(key)

    def has_open_unseen(self) -> bool:
        """Tell whether the ledger doesn't have the end of a run that is unseen."""
        entries = () if self.resource is None or not self.unseen else self.resource.status.tasks
        ledger = {entry.name: entry for entry in entries}
        return any(_is_open(ledger.get(key.task), key.run) for key in self.unseen)

    @property
    def is_empty(self) -> bool:
        return self.resource is None and not self.jobs and not self.pods


class Caches:
    """The newest known state of everything, by the uid of the resource that it belongs to."""

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = Clock() if clock is None else clock
        self._families: dict[str, _Family] = {}
        self.namespaces = KnownNamespaces()
        self._deleted: OrderedDict[str, None] = OrderedDict()

    # ── from the watches, and from the answers to our own writes ──

    def see_resource(self, kind: Kind, raw: Raw) -> str:
        """Take in a Workflow, Chain or Swarm; return its uid."""
        uid: str = raw["metadata"]["uid"]
        family = self._families.setdefault(uid, _Family())
        known = family.resource
        if self._is_news(raw, known, family):
            family.resource = observe_resource(kind, raw, known)
            family.drop_kept()
            self.namespaces.add_resource(family.resource.namespace, uid)
        self._drop_if_empty(uid)
        return uid

    def see_job(self, raw: Raw) -> str | None:
        """Take in a Job; return the uid of the resource that it belongs to, None if to none of ours."""
        key = run_key(raw)
        if key is None or not is_controlled_by(raw, key.owner_uid):
            return None
        family = self._family(key)
        _, known = family.jobs.get(raw["metadata"]["uid"], (None, None))
        uid = self._see(key, raw, family.jobs, observe_job)
        _, job = family.jobs.get(raw["metadata"]["uid"], (None, None))
        family.drop_kept()
        if job is not None:
            is_let_go = known is not None and known.is_suspended and not job.is_suspended
            since = self._clock.monotonic() if is_let_go else family.since.get(job.uid, self._clock.monotonic())
            family.since[job.uid] = since
        if job is not None and _is_over(job) and (known is None or not _is_over(known)):
            family.look_for_pod(key)
        return uid

    def see_pod(self, raw: Raw) -> str | None:
        """Take in a pod; return the uid of the resource that it belongs to, None if to none of ours.

        Its labels tell, not its owner: a pod whose Job was deleted has none, and can still run.
        """
        key = run_key(raw)
        if key is None:
            return None
        family = self._family(key)
        family.unseen.discard(key)
        _, known = family.pods.get(raw["metadata"]["uid"], (None, None))
        uid = self._see(key, raw, family.pods, lambda raw: _carry_over(known, observe_pod(raw)))
        _, pod = family.pods.get(raw["metadata"]["uid"], (None, None))
        if pod is not None and pod.is_terminating:
            family.since.setdefault(pod.uid, self._clock.monotonic())
        return uid

    def forget_resource(self, raw: Raw) -> str:
        """Take in that a resource is gone; return its uid. Its Jobs and pods follow, each with its own event."""
        uid: str = raw["metadata"]["uid"]
        self._bury(uid)
        family = self._families.get(uid)
        if family is not None:
            if family.resource is not None:
                self.namespaces.remove_resource(family.resource.namespace, uid)
            family.resource = None
            family.drop_kept()
            self._drop_if_empty(uid)
        return uid

    def forget_job(self, raw: Raw) -> str | None:
        """Take in that a Job is gone; return the uid of the resource that it belonged to."""
        key = run_key(raw)
        family = None if key is None else self._families.get(key.owner_uid)
        if family is not None and key is not None:
            family.look_for_pod(key)
            family.attempts.see_job_go(self._clock.monotonic())
            if not observe_job(raw).has_ended:
                family.note(key, lost_its_job=True)
        uid = self._forget(raw, lambda family: family.jobs)
        if family is not None:
            family.drop_kept()
        return uid

    def forget_pod(self, raw: Raw) -> str | None:
        """Take in that a pod is gone; return the uid of the resource that it belonged to.

        What was seen of it last is kept until the ledger has the end of its run: a Job controller that suspends the Job
        on an older view deletes a pod that has succeeded without counting it; and what a kubelet has reported late, or
        what a container exited with after a stop, may show in the last state only.
        """
        uid, key = raw["metadata"]["uid"], run_key(raw)
        family = None if key is None else self._families.get(key.owner_uid)
        if family is not None:
            family.attempts.forget_target(uid)
        if family is not None and key is not None and uid in family.kept:
            return key.owner_uid
        if family is not None and key is not None and uid not in self._deleted:
            self.see_pod(raw)
            _, pod = family.pods[uid]
            family.pods[uid] = key, replace(pod, is_terminating=pod.is_terminating or not pod.has_ended)
            if family.keep(uid):
                self._bury(uid)
                return key.owner_uid
        return self._forget(raw, lambda family: family.pods)

    # ── what our own doing makes known ──

    def await_deletion(self, owner_uid: str, uid: str) -> None:
        """Note that a write has deleted a Job or pod: decide nothing until the watch says so, if it hasn't already.

        A newer state is not enough: an eviction marks the pod as disrupted first, and then deletes it.
        """
        family = self._families.get(owner_uid)
        if family is None or uid in self._deleted:
            return
        _, known = family.jobs.get(uid) or family.pods.get(uid) or (None, None)
        if known is not None and not known.is_terminating:
            family.awaited.add(uid)

    def attempts_of(self, owner_uid: str) -> Attempts:
        """Return what is known of requests for a resource, to be noted there; of one that is gone nothing is kept."""
        family = self._families.get(owner_uid)
        return Attempts() if family is None else family.attempts

    def begin_term(self) -> None:
        """Note that another operator may have acted until now."""
        for family in self._families.values():
            family.attempts.forget_own()

    def note_doom(self, owner_uid: str) -> None:
        """Note that a resource's namespace is being deleted: nothing is to be done about it any more."""
        family = self._families.get(owner_uid)
        if family is not None:
            family.is_doomed = True

    def doubt(self, owner_uid: str) -> None:
        """Note that a resource's Jobs and pods are to be read before anything is decided.

        A write got no answer and may have happened; an object that we know isn't there any more.
        """
        family = self._families.get(owner_uid)
        if family is not None:
            family.is_in_doubt = True

    def take_doubt(self, owner_uid: str) -> bool:
        """Tell whether a resource's Jobs and pods are to be read; whoever asks is to read them, or to doubt again.

        Besides `doubt`: a run is over by its Job, or its Job is gone, and no pod of it was seen. There may be one that
        still runs, or that has succeeded.
        """
        family = self._families.get(owner_uid)
        if family is None:
            return False
        is_in_doubt = family.is_in_doubt or family.has_open_unseen()
        family.is_in_doubt = False
        family.unseen.clear()
        return is_in_doubt

    def note_missing_pod(self, owner_uid: str, job_uid: str, why: str) -> None:
        """Note why a Job has no pod ("" if nothing tells), as was asked just now."""
        family = self._families.get(owner_uid)
        if family is not None:
            family.missing_pods[job_uid] = (why, self._clock.monotonic())

    def note_evidence(self, owner_uid: str, task: str, run: int, seen: Evidence) -> None:
        """Note what the events of a run that is gone tell, as just read."""
        family = self._families.get(owner_uid)
        if family is None or family.resource is None:
            return
        key = RunKey(family.resource.namespace, owner_uid, task, run)
        now = self._clock.monotonic()
        family.readings[key] = family.readings.get(key, (now, now))[0], now
        family.note(
            key,
            has_started=seen.has_started,
            is_from_the_start=seen.is_from_the_start,
            has_job=seen.has_job,
            stop=seen.stop,
            fault=seen.fault,
            job_end=seen.job_end,
        )

    def resources(self) -> list[ObservedResource]:
        """Return all resources that are known, without their Jobs and pods. Safe to call from another thread."""
        return [family.resource for family in list(self._families.values()) if family.resource is not None]

    def uids(self) -> list[str]:
        """Return the uids of all resources that anything is known of."""
        return list(self._families)

    def children_of(self, owner_uid: str) -> frozenset[str]:
        """Return the uids of all Jobs and pods that are known of a resource."""
        family = self._families.get(owner_uid)
        return frozenset() if family is None else frozenset((*family.jobs, *family.pods, *family.awaited))

    def replace_children(self, owner_uid: str, known: Iterable[str], jobs: list[Raw], pods: list[Raw]) -> None:
        """Take in all Jobs and pods of a resource as just read.

        `known` are those that were known before: one that isn't among what was read is gone. What the watch brought
        meanwhile may be newer than what was read.
        """
        if not jobs and not pods and owner_uid not in self._families:
            return
        family = self._families.setdefault(owner_uid, _Family())
        present = {raw["metadata"]["uid"] for raw in (*jobs, *pods)}
        gone = set(known) - present
        for uid in gone:
            if uid in family.jobs:
                key, _ = family.jobs.pop(uid)
                family.attempts.see_job_go(self._clock.monotonic())
                if uid in family.awaited:
                    family.note(key, lost_its_job=True)  # by our own hand
            family.since.pop(uid, None)
            family.attempts.forget_target(uid)
            if not family.keep(uid):
                family.pods.pop(uid, None)
                family.kept.discard(uid)
            self._bury(uid)
        family.awaited.clear()
        family.drop_kept()
        for raw in jobs:
            self.see_job(raw)
        for raw in pods:
            self.see_pod(raw)
        self._drop_if_empty(owner_uid)

    # ── what is known ──

    def is_current(self, uid: str) -> bool:
        """Tell whether all of a resource is known at least as new as our own last write to it, and its namespace is."""
        family = self._families.get(uid)
        if family is None:
            return True
        resource = family.resource
        return not family.awaited and (resource is None or resource.namespace in self.namespaces)

    def has_live_pods(self, uid: str) -> bool:
        """Tell whether a pod of a resource runs or may yet start, as far as is known."""
        family = self._families.get(uid)
        return family is not None and any(pod.can_run for _, pod in family.pods.values())

    def find(self, uid: str) -> ObservedResource | None:
        """Return a resource as it is known, without its Jobs and pods; None if it is gone."""
        family = self._families.get(uid)
        resource = None if family is None else family.resource
        label = None if resource is None else self.namespaces.lifecycle_of(resource.namespace)
        return resource if resource is None or label is None else replace(resource, namespace_lifecycle=label)

    def observe(self, uid: str) -> ObservedResource | None:
        """Return a snapshot of a resource with its Jobs and pods; None if it is gone."""
        family, resource = self._families.get(uid), self.find(uid)
        if family is None or resource is None:
            return None
        moment = Moment(self._clock.now(), self._clock.monotonic())
        family.find_records()
        return replace(
            resource,
            is_terminating=resource.is_terminating or family.is_doomed,
            runs=_gather_runs(family, resource.namespace, moment),
            **family.attempts.show(resource, moment),
        )

    # ── inside ──

    def _family(self, key: RunKey) -> _Family:
        return self._families.setdefault(key.owner_uid, _Family())

    def _see(
        self, key: RunKey, raw: Raw, known: dict[str, tuple[RunKey, V]], read: Callable[[Mapping[str, Any]], V]
    ) -> str:
        uid = raw["metadata"]["uid"]
        old = known.get(uid)
        if self._is_news(raw, None if old is None else old[1], self._families[key.owner_uid]):
            known[uid] = (key, read(raw))
        self._drop_if_empty(key.owner_uid)
        return key.owner_uid

    def _is_news(self, raw: Raw, known: _Versioned | None, family: _Family) -> bool:
        uid, version = raw["metadata"]["uid"], int(raw["metadata"]["resourceVersion"])
        if uid in self._deleted or (known is not None and version < int(known.resource_version)):
            return False
        if "deletionTimestamp" in raw["metadata"]:
            family.awaited.discard(uid)
        return True

    def _forget(self, raw: Raw, children: Callable[[_Family], dict[str, Any]]) -> str | None:
        uid, key = raw["metadata"]["uid"], run_key(raw)
        self._bury(uid)
        family = None if key is None else self._families.get(key.owner_uid)
        if family is None or key is None:
            return None
        children(family).pop(uid, None)
        family.drop_kept()
        family.awaited.discard(uid)
        family.missing_pods.pop(uid, None)
        family.since.pop(uid, None)
        family.attempts.forget_target(uid)
        self._drop_if_empty(key.owner_uid)
        return key.owner_uid

    def _bury(self, uid: str) -> None:
        self._deleted[uid] = None
        while len(self._deleted) > REMEMBERED_DELETIONS:
            self._deleted.popitem(last=False)

    def _drop_if_empty(self, uid: str) -> None:
        if self._families[uid].is_empty:
            del self._families[uid]


def _is_open(entry: TaskStatus | None, run: int) -> bool:
    """Tell whether a ledger entry lacks the end of a run."""
    return entry is None or (entry.run == run and entry.phase not in CLOSED_TASKS)


def _is_over(job: ObservedJob) -> bool:
    """Tell whether a Job says that no pod of it can run."""
    return job.has_ended or job.is_suspension_in_force


def _carry_over(known: ObservedPod | None, new: ObservedPod) -> ObservedPod:
    """Return what is known of a pod now: what had ended before it was deleted has ended by itself, and that counts."""
    if known is None:
        return new
    if known.has_ended_by_itself:
        return replace(known, resource_version=new.resource_version)
    had_failed = known.cause is not None and not (known.is_terminating or known.is_disrupted)
    return replace(new, had_failed=new.is_terminating and (had_failed or known.had_failed))


def _gather_runs(family: _Family, namespace: str, moment: Moment) -> dict[str, dict[int, Run]]:
    """Gather the Jobs and pods of a resource: those of its own namespace, whatever the labels of others claim."""
    runs: dict[str, dict[int, Run]] = {}
    for key, job in family.jobs.values():
        if key.namespace != namespace:
            continue
        if job.uid in family.missing_pods:
            why, when = family.missing_pods[job.uid]
            job = replace(job, missing_pod=why, explained_at=moment.at(when))
        runs.setdefault(key.task, {})[key.run] = Run(job)
    for key, pod in family.pods.values():
        if key.namespace != namespace:
            continue
        if pod.is_terminating and pod.uid in family.since:
            due = moment.at(family.since[pod.uid] + pod.grace_seconds)
            pod = replace(pod, deletion_due=due)
        of_task = runs.setdefault(key.task, {})
        run = of_task.get(key.run, Run())
        of_task[key.run] = replace(run, pods=(*run.pods, pod))
    for key, evidence in family.evidence.items():
        if key in family.readings:
            first, last = family.readings[key]
            evidence = replace(evidence, read_at=moment.at(last), looked_for=timedelta(seconds=last - first))
        of_task = runs.setdefault(key.task, {})
        of_task[key.run] = replace(of_task.get(key.run, Run()), evidence=evidence)
    _tell_since_when_jobs_have_no_pod(runs, family, moment)
    return runs


def _tell_since_when_jobs_have_no_pod(runs: dict[str, dict[int, Run]], family: _Family, moment: Moment) -> None:
    for of_task in runs.values():
        for number, run in of_task.items():
            if run.may_get_a_pod and run.job is not None and run.job.uid in family.since:
                of_task[number] = replace(run, job=replace(run.job, seen_at=moment.at(family.since[run.job.uid])))
