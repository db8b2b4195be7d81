"""Retention: for how long what was seen of a run that is gone is still needed. Pure.

Nothing but its last state may tell how a pod ended: its exit code, a start that the kubelet reported late, a success
that the Job controller deleted uncounted, as it suspended the Job on an older view (ADR 13). So the last state of a pod
outlives its deletion for as long as

- the resource is there, and
- the ledger doesn't have the end of the pod's run, or the pod succeeded and its Job looks as if it might make another.
"""

from __future__ import annotations

from collections.abc import Iterable

from mageflow.api import CLOSED_TASKS, ENDED_TASKS, TaskStatus
from mageflow.controller.observe import JobOfRun, RunKey
from mageflow.core.observed import ObservedPod, ObservedResource
from mageflow.core.run_result import has_succeeded


def is_last_state_needed(
    key: RunKey, pod: ObservedPod, resource: ObservedResource | None, jobs: Iterable[JobOfRun]
) -> bool:
    """Tell whether the last state of a pod that is gone is needed.

    `resource` is the one that the pod belongs to, None if that is gone, and `jobs` are those of the resource.
    A pod that was last seen running isn't needed: that says nothing of its end.
    """
    if resource is None or not (pod.has_ended or pod.is_terminating):
        return False
    if has_succeeded(pod) and any(job_key == key and not job.has_ended for job_key, job in jobs):
        return True
    entry = _find_entry(resource, key.task)
    if entry is None or entry.run < key.run:
        return True
    if entry.phase in ENDED_TASKS:
        return False
    return has_succeeded(pod) or is_open(entry, key.run)


def is_settled(key: RunKey, resource: ObservedResource | None) -> bool:
    """Tell whether the ledger has the end of a run, or a later one, or doesn't know the task any more."""
    if resource is None:
        return True
    entry = _find_entry(resource, key.task)
    if entry is None:
        return resource.status.phase is not None
    return entry.run > key.run or (entry.run == key.run and not is_open(entry, key.run))


def is_open(entry: TaskStatus | None, run: int) -> bool:
    """Tell whether a ledger entry lacks the end of a run."""
    return entry is None or (entry.run == run and entry.phase not in CLOSED_TASKS)


def _find_entry(resource: ObservedResource, task: str) -> TaskStatus | None:
    return next((entry for entry in resource.status.tasks if entry.name == task), None)
