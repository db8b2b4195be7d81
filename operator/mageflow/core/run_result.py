"""How a run ended: what its Job and its pod tell, and the marks that we left in the ledger before we touched them.

Whoever stops a run, it has not succeeded, and it is no failure of its task (DESIGN section 3). What a container exits
with counts only if it had ended before anybody stopped its pod; what does not count runs again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from mageflow.api import TaskPhase, TaskStatus, reasons
from mageflow.core.observed import Cause, ObservedJob, ObservedPod, Run
from mageflow.core.output import parse_output


class Ending(Enum):
    """How a run ended, as far as the task is concerned."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """Its own fault: uses up a retry."""
    DISRUPTED = "disrupted"
    """Not its fault, nor asked for: backs off, uses up no retry."""
    SUSPENDED = "suspended"
    """Somebody else suspended its Job while it ran: runs again once they let go, with no back-off."""
    HELD = "held"
    """A suspend caught it before it started, as far as the API server knew."""
    INTERRUPTED = "interrupted"
    """An interrupt or a cancel stopped it."""
    LOST = "lost"
    """Someone deleted its Job before it started: as if it had never been."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """How a run ended, with what is to be said about it."""

    ending: Ending
    reason: str | None = None
    message: str | None = None
    output: Any = None
    """What it wrote, as a status can hold it."""
    has_run: bool = False
    """A container of it had started, also if the ledger has no start: the run was cut short, unless it ended by itself.
    """


def result_of(entry: TaskStatus, run: Run) -> RunResult | None:
    """Return how the latest run ended; None while it hasn't, or while that can't be told yet.

    `entry` is its ledger entry with the marks up to date: `started_at` is set once a container was seen to have
    started. Of a run whose pod is gone only our own marks tell here; the rest is for evidence.py.
    """
    if run.live_pods:
        return _result_of_replaced(entry, run)
    if run.pods:
        # More than one only if someone meddled; the one that ran to its end counts.
        pod = max(run.pods, key=lambda pod: (has_succeeded(pod), pod.has_ended_by_itself, pod.had_failed))
        return _result_by_pod(entry, run.job, pod)
    return _result_by_job(entry, run.job)


def has_succeeded(pod: ObservedPod) -> bool:
    """It ran to its end and did well: an exit code of 0 counts for nothing if it was stopped."""
    return pod.phase == "Succeeded" and pod.has_ended_by_itself


def is_stopped(entry: TaskStatus, job: ObservedJob) -> bool:
    """We suspended the Job: the ledger says so, or the Job itself, where a leader that was replaced did (ADR 9)."""
    return job.is_stopped or (job.is_suspended and entry.phase is TaskPhase.STOPPING)


def has_lost_its_pod(entry: TaskStatus, run: Run) -> bool:
    """The pod that had started is gone, and its Job has made another: somebody suspended the Job, then let it go.

    What has started never counts as not started again, so a pod that hasn't is another one.
    """
    if entry.started_at is None or any(pod.has_ended_by_itself for pod in run.pods):
        return False
    return bool(run.live_pods) and not any(pod.has_started for pod in run.live_pods)


def _result_of_replaced(entry: TaskStatus, run: Run) -> RunResult | None:
    """End a run whose Job has made a second pod: a run has one, and the next must know that it was cut short."""
    job = run.job
    if job is None or entry.holding == entry.run or is_stopped(entry, job) or not has_lost_its_pod(entry, run):
        return None
    return _result_of_suspension(job)


def _result_by_pod(entry: TaskStatus, job: ObservedJob | None, pod: ObservedPod) -> RunResult | None:
    if has_succeeded(pod):
        return success_of(pod)
    if pod.has_ended_by_itself or pod.had_failed:
        return _failure_of(pod)
    # From here on somebody stopped it, so an exit code counts for nothing.
    has_run = pod.has_started or entry.started_at is not None
    if entry.holding == entry.run:
        return _result_of_hold(pod)
    if _is_interrupting(entry, job):
        return _result_of_interrupt(job, has_run)
    if job is not None and job.is_gated:
        return _result_of_suspension(job) if has_run else None
    if not has_run and (job is None or (job.is_terminating and not job.has_ended)):
        return RunResult(Ending.LOST)
    if pod.phase == "Failed" and not pod.is_terminating:
        return _failure_of(pod)
    return RunResult(Ending.DISRUPTED, reasons.DISRUPTED, pod.message or _describe_disruption(pod), has_run=has_run)


def _describe_disruption(pod: ObservedPod) -> str:
    what = "disrupted" if pod.is_disrupted else "deleted"
    return f"pod {pod.name} was {what} {'while it ran' if pod.has_started else 'before a container started'}"


def _result_of_hold(pod: ObservedPod) -> RunResult:
    """Return the result of a pod that a suspend has evicted. The kubelet may report only now that it had started."""
    if not pod.has_started:
        return RunResult(Ending.HELD)
    what = f"pod {pod.name} was evicted by a suspend, and turned out to have started"
    return RunResult(Ending.HELD, reasons.INTERRUPTED_WHILE_RUNNING, what, has_run=True)


def _result_of_interrupt(job: ObservedJob | None, has_run: bool) -> RunResult | None:
    """End a run that we stop, once its Job is gone: as long as it is there somebody may unsuspend it."""
    if job is None or job.is_terminating or job.has_ended:
        return RunResult(Ending.INTERRUPTED, has_run=has_run)
    return None


def _result_of_suspension(job: ObservedJob) -> RunResult:
    return RunResult(Ending.SUSPENDED, reasons.JOB_SUSPENDED, describe_gate(job, "while it ran"), has_run=True)


def describe_gate(job: ObservedJob, when: str = "") -> str:
    """Say who has suspended a Job, and what lets it go on."""
    who = f"by {job.suspended_by}" if job.suspended_by else "by somebody else"
    what = " ".join(filter(None, (f"Job {job.name} was suspended {who}", when)))
    return f"{what}: it goes on once spec.suspend of that Job is false"


def _result_by_job(entry: TaskStatus, job: ObservedJob | None) -> RunResult | None:
    is_held = entry.holding == entry.run
    has_run = entry.started_at is not None
    if job is None:
        if is_held:
            return RunResult(Ending.HELD)
        if _is_interrupting(entry, job):
            return RunResult(Ending.INTERRUPTED)
        return None
    if job.has_ended:
        return RunResult(Ending.HELD) if is_held else None
    if not job.is_suspension_in_force:
        return None
    if job.is_terminating and is_stopped(entry, job):
        return RunResult(Ending.HELD if is_held else Ending.INTERRUPTED)
    if job.is_gated and has_run and not is_stopped(entry, job):
        return _result_of_suspension(job)
    return None


def success_of(pod: ObservedPod) -> RunResult:
    """Return the result of a pod that did well, with what it wrote."""
    output, is_cut = parse_output(pod.output, pod.output_limit)
    if not is_cut:
        return RunResult(Ending.SUCCEEDED, output=output)
    what = f"the output was cut: the kubelet keeps {pod.output_limit:,} bytes of it"
    return RunResult(Ending.SUCCEEDED, reasons.OUTPUT_TRUNCATED, what, output)


def _failure_of(pod: ObservedPod) -> RunResult:
    """Tell whose fault it is that a pod failed, and what is known of it: DESIGN section 3, "Not every failure"."""
    if pod.reason == reasons.DEADLINE_EXCEEDED:
        return RunResult(Ending.FAILED, reasons.DEADLINE_EXCEEDED, pod.message)
    if pod.is_disrupted or not (pod.has_started or _could_not_start(pod)):
        what = pod.message or f"pod {pod.name} ended before a container started"
        reason = None if pod.is_disrupted else pod.reason  # the kubelet evicts for either's sake: one word for each
        return RunResult(Ending.DISRUPTED, reason or reasons.DISRUPTED, what, has_run=pod.has_started)
    if pod.reason == reasons.EVICTED:  # for what it took itself: an eviction for the node's sake is a disruption
        return RunResult(Ending.FAILED, reasons.EVICTED, pod.message)
    if pod.cause is None:
        return RunResult(Ending.FAILED, pod.reason or reasons.POD_FAILED, pod.message or f"pod {pod.name} failed")
    return RunResult(Ending.FAILED, pod.cause.reason or reasons.NON_ZERO_EXIT_CODE, _describe(pod.cause))


def _could_not_start(pod: ObservedPod) -> bool:
    return pod.cause is not None and pod.cause.reason == reasons.START_ERROR


def _describe(cause: Cause) -> str:
    is_plain = cause.is_main and cause.reason is None
    parts = ("" if is_plain else cause.container, f"exit code {cause.exit_code}", cause.message)
    return ": ".join(filter(None, parts))


def _is_interrupting(entry: TaskStatus, job: ObservedJob | None) -> bool:
    """We are stopping the run, and not by a suspend."""
    if entry.holding == entry.run:
        return False
    is_going = entry.phase is TaskPhase.STOPPING and (job is None or job.is_terminating)
    return is_going or (job is not None and is_stopped(entry, job))
