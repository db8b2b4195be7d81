"""Findings: what was learned about a resource and stands in none of its objects. They end with this process.

- why a request was refused, or isn't answered: `attempts`
- since when a Job, or the deletion of a pod, has been known, by our own steady clock
- why a Job has no pod, and what the events of a run that is gone tell
- whether the watches may be wrong about its Jobs and pods, which are then to be read: it is stale
- that its namespace is being deleted
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mageflow.api import TaskPhase
from mageflow.controller.attempts import Attempts
from mageflow.controller.clock import Clock, Moment
from mageflow.controller.observe import PodOfRun, RunKey
from mageflow.controller.retention import is_open, is_settled
from mageflow.core.observed import Evidence, ObservedResource


class Findings:
    """What was learned about one resource, its Jobs and its pods."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._attempts: Attempts | None = None
        self.first_seen: dict[str, float] = {}
        """By uid, on the steady clock: when a Job was first seen, and a pod first seen terminating."""
        self.missing_pods: dict[str, tuple[str, float]] = {}
        """By a Job's uid: why it has no pod, and when that was asked."""
        self.evidence: dict[RunKey, Evidence] = {}
        """What is left to tell by of runs that are gone, while the ledger doesn't have their end."""
        self.readings: dict[RunKey, tuple[float, float]] = {}
        """When the events of such a run were read first, and last."""
        self.is_namespace_terminating = False
        self._is_stale = False
        self._runs_to_find_a_pod_of: dict[RunKey, None] = {}
        """Runs that are over by their Jobs, and of which no pod was ever seen: there may be one.

        Jobs may be told of before their resource. So whether the ledger has the end of such a run, which leaves nothing
        to find, is looked at when it matters.
        """

    # ── requests ──

    @property
    def attempts(self) -> Attempts:
        """What was asked of the API server for it, and was refused or isn't answered yet; to be added to."""
        if self._attempts is None:
            self._attempts = Attempts()  # most resources rest, and never need it
        return self._attempts

    def show_attempts(self, resource: ObservedResource, moment: Moment) -> Mapping[str, Any]:
        """Return what a snapshot of the resource tells of them; `note_found_records` comes before."""
        return {} if self._attempts is None else self._attempts.show(resource, moment)

    def forget_own(self) -> None:
        """Note that another process may have asked for any Job meanwhile."""
        if self._attempts is not None:
            self._attempts.forget_own()

    def forget_target(self, uid: str) -> None:
        """Note that a Job or pod is gone."""
        if self._attempts is not None:
            self._attempts.forget_target(uid)

    # ── the namespace, the watches ──

    def mark_namespace_terminating(self) -> None:
        """Note that the namespace is being deleted: nothing is to be done about the resource any more."""
        self.is_namespace_terminating = True

    def mark_stale(self) -> None:
        """Note that the Jobs and pods are to be read before anything is decided.

        A write got no answer and may have been made; or an object that we know isn't there any more.
        """
        self._is_stale = True

    def take_stale(self, resource: ObservedResource | None) -> bool:
        """Tell whether the Jobs and pods are to be read; whoever asks is to read them, or to mark them stale again.

        They are if `mark_stale` was called, and if a run that the ledger has as open is over by its Job, or its Job is
        gone, and no pod of it was seen: one may still run, or may have succeeded.
        """
        is_stale = self._is_stale or self._has_open_run_without_pod(resource)
        self._is_stale = False
        self._runs_to_find_a_pod_of.clear()
        return is_stale

    def note_run_over(self, key: RunKey, pods: Iterable[PodOfRun]) -> None:
        """Note that a run is over by its Job. If no pod of it is known, the watch of pods may be the slower one."""
        if not any(key == pod_key for pod_key, _ in pods):
            self._runs_to_find_a_pod_of[key] = None

    def note_pod(self, key: RunKey) -> None:
        """Note that a pod of a run was seen."""
        self._runs_to_find_a_pod_of.pop(key, None)

    def _has_open_run_without_pod(self, resource: ObservedResource | None) -> bool:
        if not self._runs_to_find_a_pod_of:
            return False
        ledger = {} if resource is None else {entry.name: entry for entry in resource.status.tasks}
        return any(is_open(ledger.get(key.task), key.run) for key in self._runs_to_find_a_pod_of)

    # ── Jobs and pods ──

    def note_seen(self, uid: str, *, anew: bool = False) -> None:
        """Note that a Job, or a pod that is terminating, is there; `anew`: what went before doesn't count."""
        if anew or uid not in self.first_seen:
            self.first_seen[uid] = self._clock.monotonic()

    def note_missing_pod(self, job_uid: str, why: str) -> None:
        """Note why a Job has no pod ("" if nothing tells), as was asked just now."""
        self.missing_pods[job_uid] = (why, self._clock.monotonic())

    def note_job_gone(self) -> None:
        """Note that a Job is gone: there may be room under a quota."""
        if self._attempts is not None:
            self._attempts.see_job_go(self._clock.monotonic())

    def delete_object(self, uid: str) -> None:
        """Forget what was found out about a Job or pod that is gone."""
        self.first_seen.pop(uid, None)
        self.missing_pods.pop(uid, None)
        self.forget_target(uid)

    # ── runs that are gone ──

    def note_evidence(self, key: RunKey, resource: ObservedResource | None, **facts: Any) -> None:
        """Note what tells of a run that is gone, as fields of Evidence, if the ledger may yet ask for it."""
        if not is_settled(key, resource):
            known = self.evidence.get(key, Evidence())
            self.evidence[key] = replace(known, **facts)

    def note_events(self, key: RunKey, resource: ObservedResource, seen: Evidence) -> None:
        """Note what the events of a run that is gone tell, as read just now."""
        now = self._clock.monotonic()
        first, _ = self.readings.get(key, (now, now))
        self.readings[key] = first, now
        self.note_evidence(
            key,
            resource,
            has_started=seen.has_started,
            is_from_the_start=seen.is_from_the_start,
            has_job=seen.has_job,
            stop=seen.stop,
            fault=seen.fault,
            job_end=seen.job_end,
        )

    def note_found_records(self, resource: ObservedResource) -> None:
        """Note the runs that the ledger has as recorded, and that another operator, or one before us, has recorded."""
        for entry in resource.status.tasks:
            if entry.phase is TaskPhase.RECORDED and not self.attempts.is_own(entry.name, entry.run):
                key = RunKey(resource.namespace, resource.uid, entry.name, entry.run)
                self.note_evidence(key, resource, is_found=True)

    def drop_settled(self, resource: ObservedResource | None) -> None:
        """Forget the evidence of runs whose end the ledger has by now."""
        for key in [key for key in self.evidence if is_settled(key, resource)]:
            del self.evidence[key]
            self.readings.pop(key, None)
