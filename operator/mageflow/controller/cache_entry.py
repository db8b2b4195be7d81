"""Cache entry of one resource: its Jobs and pods, what our writes must yet show, and what was found out.

An entry is there before its resource is, if its Jobs or pods are told of first, and after it, as long as any is left.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mageflow.controller.clock import Clock
from mageflow.controller.expectations import Expectations
from mageflow.controller.findings import Findings
from mageflow.controller.object_store import ObjectStore, Tombstones
from mageflow.controller.observe import JobOfRun, PodOfRun, RunKey, observe_job, observe_pod
from mageflow.controller.retention import is_last_state_needed
from mageflow.core.observed import ObservedJob, ObservedPod, ObservedResource
from mageflow.kube.transport import Raw


class CacheEntry:
    """What belongs to one resource, but for the resource itself.

    `resource` is handed in where a rule asks for the ledger; it is None if the resource is gone, or not told of yet.
    """

    __slots__ = ("expectations", "findings", "jobs", "pods")

    def __init__(self, tombstones: Tombstones, clock: Clock) -> None:
        self.jobs: ObjectStore[JobOfRun] = ObjectStore(tombstones)
        self.pods: ObjectStore[PodOfRun] = ObjectStore(tombstones)
        self.expectations = Expectations()
        self.findings = Findings(clock)

    @property
    def is_empty(self) -> bool:
        """No Job and no pod is known."""
        return not self.jobs and not self.pods

    def upsert_job(self, key: RunKey, raw: Raw) -> bool:
        """Take in a Job, whose labels name the run `key`; return whether it tells anything that a decision reads."""
        _, before = self.jobs.get(raw["metadata"]["uid"]) or (None, None)
        _, job = self.jobs.upsert(raw, lambda _: (key, observe_job(raw))) or (None, None)
        is_fulfilled = self._fulfil(raw)
        if job is None:
            return is_fulfilled
        is_let_go = before is not None and before.is_suspended and not job.is_suspended
        self.findings.note_seen(job.uid, anew=is_let_go)
        if _is_over(job) and (before is None or not _is_over(before)):
            self.findings.note_run_over(key, self.pods.values())
        return is_fulfilled or _is_news(before, job)

    def upsert_pod(self, key: RunKey, raw: Raw) -> bool:
        """Take in a pod, whose labels name the run `key`; return whether it tells anything that a decision reads."""
        self.findings.note_pod(key)
        _, before = self.pods.get(raw["metadata"]["uid"]) or (None, None)
        _, pod = self.pods.upsert(raw, lambda known: (key, _carry_over(known, observe_pod(raw)))) or (None, None)
        is_fulfilled = self._fulfil(raw)
        if pod is None:
            return is_fulfilled
        if pod.is_terminating:
            self.findings.note_seen(pod.uid)
        return is_fulfilled or _is_news(before, pod)

    def delete_job(self, key: RunKey, raw: Raw, resource: ObservedResource | None) -> None:
        """Take in that a Job is gone; `raw` is its last state."""
        self.findings.note_run_over(key, self.pods.values())
        self.findings.note_job_gone()
        if not observe_job(raw).has_ended:
            self.findings.note_evidence(key, resource, lost_its_job=True)
        self.jobs.delete(raw["metadata"]["uid"])
        self._drop(raw["metadata"]["uid"])

    def delete_pod(self, key: RunKey, raw: Raw, resource: ObservedResource | None) -> None:
        """Take in that a pod is gone; `raw` is its last state, which is retained if it is needed."""
        uid = raw["metadata"]["uid"]
        self.findings.forget_target(uid)
        if self.pods.is_retained(uid):
            return
        if not self.pods.is_gone(uid):
            self.upsert_pod(key, raw)
        _, pod = self.pods.get(uid) or (None, None)
        if pod is not None:  # one that ran, and is gone without a grace period, was stopped
            pod = replace(pod, is_terminating=pod.is_terminating or not pod.has_ended)
        self._delete_or_retain(key, uid, pod, resource)

    def delete_missing(self, uids: Iterable[str], resource: ObservedResource | None) -> None:
        """Take in that Jobs and pods are gone, as all that are there were read."""
        for uid in uids:
            job_key, job = self.jobs.get(uid) or (None, None)
            if job_key is not None and job is not None:
                self.findings.note_job_gone()
                if uid in self.expectations:
                    self.findings.note_evidence(job_key, resource, lost_its_job=True)  # by our own hand
            self.jobs.delete(uid)
            pod_key, pod = self.pods.get(uid) or (None, None)
            self._delete_or_retain(pod_key, uid, pod, resource)
            self._drop(uid)
        self.expectations.fulfil_all()

    def release(self, resource: ObservedResource | None) -> None:
        """Forget what isn't needed any more of runs that are gone."""
        jobs = self.jobs.values()
        for uid in self.pods.release(lambda pod: is_last_state_needed(*pod, resource, jobs)):
            self._drop(uid)
        self.findings.drop_settled(resource)

    def _delete_or_retain(
        self, key: RunKey | None, uid: str, pod: ObservedPod | None, resource: ObservedResource | None
    ) -> None:
        """Take in that a pod is gone; `pod` is its last state."""
        if key is not None and pod is not None and is_last_state_needed(key, pod, resource, self.jobs.values()):
            self.pods.retain(uid, (key, replace(pod, is_gone=True)))
            self.expectations.fulfil(uid)
        else:
            self.pods.delete(uid)
            self._drop(uid)

    def _fulfil(self, raw: Raw) -> bool:
        """Note the deletion that an object shows; return whether it was expected."""
        uid = raw["metadata"]["uid"]
        is_expected = "deletionTimestamp" in raw["metadata"] and uid in self.expectations
        if is_expected:
            self.expectations.fulfil(uid)
        return is_expected

    def _drop(self, uid: str) -> None:
        """Forget what there is about a Job or pod that is gone."""
        self.expectations.fulfil(uid)
        self.findings.delete_object(uid)


def _is_news(before: ObservedJob | ObservedPod | None, now: ObservedJob | ObservedPod) -> bool:
    """Tell whether more than the resource version is new, by which an object is evicted or deleted as it was seen."""
    return before is None or replace(before, resource_version=now.resource_version) != now


def _is_over(job: ObservedJob) -> bool:
    """Tell whether a Job says that no pod of it can run."""
    return job.has_ended or job.is_suspension_in_force


def _carry_over(known: PodOfRun | None, new: ObservedPod) -> ObservedPod:
    """Return what is known of a pod now: what had ended before it was deleted has ended by itself, and that counts."""
    if known is None:
        return new
    _, before = known
    if before.has_ended_by_itself:
        return replace(before, resource_version=new.resource_version)
    had_failed = before.cause is not None and not (before.is_terminating or before.is_disrupted)
    return replace(new, had_failed=new.is_terminating and (had_failed or before.had_failed))
