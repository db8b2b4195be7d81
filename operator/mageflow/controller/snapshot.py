"""Snapshot: a resource, its Jobs, its pods and what was found out about them → the frozen ObservedResource. Pure.

The findings are on the steady clock of this process; in a snapshot they are on the wall clock as it goes now.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from mageflow.controller.clock import Moment
from mageflow.controller.findings import Findings
from mageflow.controller.observe import JobOfRun, PodOfRun
from mageflow.core.observed import ObservedJob, ObservedPod, ObservedResource, Run

_Runs = dict[str, dict[int, Run]]
"""By task name and number."""


def build_snapshot(
    resource: ObservedResource,
    jobs: Iterable[JobOfRun],
    pods: Iterable[PodOfRun],
    findings: Findings,
    moment: Moment,
) -> ObservedResource:
    """Return the one input of a decision. `resource` has its namespace's label already, and no runs yet."""
    return replace(
        resource,
        is_terminating=resource.is_terminating or findings.is_namespace_terminating,
        runs=_gather_runs(resource.namespace, jobs, pods, findings, moment),
        **findings.show_attempts(resource, moment),
    )


def _gather_runs(
    namespace: str, jobs: Iterable[JobOfRun], pods: Iterable[PodOfRun], findings: Findings, moment: Moment
) -> _Runs:
    """Gather the Jobs and pods of the resource's own namespace, whatever the labels of others claim."""
    runs: _Runs = {}
    for key, job in jobs:
        if key.namespace == namespace:
            runs.setdefault(key.task, {})[key.run] = Run(_explain(job, findings, moment))
    for key, pod in pods:
        if key.namespace == namespace:
            of_task = runs.setdefault(key.task, {})
            run = of_task.get(key.run, Run())
            of_task[key.run] = replace(run, pods=(*run.pods, _time_deletion(pod, findings, moment)))
    _add_evidence(runs, findings, moment)
    _time_jobs_without_pod(runs, findings, moment)
    return runs


def _explain(job: ObservedJob, findings: Findings, moment: Moment) -> ObservedJob:
    """Tell why a Job has no pod, if that was asked."""
    if job.uid not in findings.missing_pods:
        return job
    why, asked_at = findings.missing_pods[job.uid]
    return replace(job, missing_pod=why, explained_at=moment.at(asked_at))


def _time_deletion(pod: ObservedPod, findings: Findings, moment: Moment) -> ObservedPod:
    """Tell when the grace period of a terminating pod is over."""
    if not pod.is_terminating or pod.uid not in findings.first_seen:
        return pod
    return replace(pod, deletion_due=moment.at(findings.first_seen[pod.uid] + pod.grace_seconds))


def _add_evidence(runs: _Runs, findings: Findings, moment: Moment) -> None:
    for key, evidence in findings.evidence.items():
        if key in findings.readings:
            first, last = findings.readings[key]
            evidence = replace(evidence, read_at=moment.at(last), looked_for=timedelta(seconds=last - first))
        of_task = runs.setdefault(key.task, {})
        of_task[key.run] = replace(of_task.get(key.run, Run()), evidence=evidence)


def _time_jobs_without_pod(runs: _Runs, findings: Findings, moment: Moment) -> None:
    """Tell since when each Job has been known that may get a pod, and has none."""
    for of_task in runs.values():
        for number, run in of_task.items():
            if run.may_get_a_pod and run.job is not None and run.job.uid in findings.first_seen:
                since = moment.at(findings.first_seen[run.job.uid])
                of_task[number] = replace(run, job=replace(run.job, seen_at=since))
