"""How a run ended: what its Job and its pod tell, and the marks that we left in the ledger before we touched them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from mageflow.api import TaskPhase, TaskStatus
from mageflow.core import reasons
from mageflow.core.observed import Cause, ObservedJob, ObservedPod, Run
from mageflow.core.output import parse_output


class Ending(Enum):
    """How a run ended, as far as the task is concerned."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """Its own fault: uses up a retry."""
    DISRUPTED = "disrupted"
    """Not its fault, nor asked for: backs off, uses up no retry."""
    HELD = "held"
    """A suspend caught it before it started, as far as the API server knew."""
    INTERRUPTED = "interrupted"
    """An interrupt or a cancel stopped it."""
    LOST = "lost"
    """Someone deleted its Job: as if it had never been."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended, with what is to be said about it."""

    ending: Ending
    reason: str | None = None
    message: str | None = None
    output: Any = None
    """What it wrote, as a status can hold it."""


def find_outcome(record: TaskStatus, run: Run) -> Outcome | None:
    """Tell how the latest run ended; None while it hasn't, or while that can't be told yet."""
    if run.live_pods:
        return None
    if run.pods:
        # More than one only if someone meddled; the one that ran to its end counts.
        pod = max(run.pods, key=lambda pod: (has_succeeded(pod), pod.has_ended and not pod.is_terminating))
        return _outcome_by_pod(record, run.job, pod)
    return _outcome_by_job(record, run.job)


def _outcome_by_pod(record: TaskStatus, job: ObservedJob | None, pod: ObservedPod) -> Outcome | None:
    if has_succeeded(pod):
        return success_of(pod)
    if pod.phase == "Failed" and not pod.is_terminating and not pod.is_disrupted:
        return _failure_of(pod)
    # From here on somebody stopped it, so an exit code of 0 is no success.
    if record.holding == record.run:
        return Outcome(Ending.HELD)
    if _is_interrupting(record, job):
        return _outcome_of_interrupt(job, pod)
    if job is None or (job.is_terminating and not job.has_ended):
        return Outcome(Ending.LOST)
    if pod.is_disrupted:
        return Outcome(Ending.DISRUPTED, reasons.DISRUPTED, pod.message or f"pod {pod.name} was disrupted")
    if pod.phase == "Succeeded":
        return success_of(pod)
    return _failure_of(pod)


def has_succeeded(pod: ObservedPod) -> bool:
    """It ran to its end and did well: an exit code of 0 counts for nothing if it was stopped."""
    return pod.phase == "Succeeded" and not pod.is_terminating


def _outcome_of_interrupt(job: ObservedJob | None, pod: ObservedPod) -> Outcome | None:
    """Tell what became of a run that we stop: only the Job knows what its pod had done before."""
    if job is not None and job.is_complete:
        return success_of(pod)
    if job is not None and job.failure is not None:
        return _failure_of(pod)
    if job is None or job.is_terminating or job.is_suspension_in_force:
        return Outcome(Ending.INTERRUPTED)
    return None


def _outcome_by_job(record: TaskStatus, job: ObservedJob | None) -> Outcome | None:
    is_held = record.holding == record.run
    if job is None:
        if is_held:
            return Outcome(Ending.HELD)
        if _is_interrupting(record, job):
            return Outcome(Ending.INTERRUPTED)
        return None if record.phase is TaskPhase.RECORDED else Outcome(Ending.LOST)
    if job.has_ended:
        return Outcome(Ending.HELD) if is_held else _outcome_of_ended_job(record, job)
    if is_stopped(record, job) and job.is_suspension_in_force:
        return Outcome(Ending.HELD if is_held else Ending.INTERRUPTED)
    return None


def _outcome_of_ended_job(record: TaskStatus, job: ObservedJob) -> Outcome:
    if job.failure is None:
        return Outcome(Ending.SUCCEEDED)
    if job.is_disrupted:
        return Outcome(Ending.DISRUPTED, reasons.DISRUPTED, job.failure.message)
    if record.started_at is None:
        return Outcome(Ending.DISRUPTED, reasons.DISRUPTED, "the pod was deleted before it started")
    return Outcome(Ending.FAILED, reasons.POD_FAILED, job.failure.message)


def success_of(pod: ObservedPod) -> Outcome:
    """Return the outcome of a pod that did well, with what it wrote."""
    output, is_cut = parse_output(pod.output, pod.output_limit)
    if not is_cut:
        return Outcome(Ending.SUCCEEDED, output=output)
    what = f"the output was cut: the kubelet keeps {pod.output_limit:,} bytes of it"
    return Outcome(Ending.SUCCEEDED, reasons.OUTPUT_TRUNCATED, what, output)


def _failure_of(pod: ObservedPod) -> Outcome:
    """Tell whose fault it is that a pod failed, and what is known of it: DESIGN section 3, "Not every failure"."""
    if pod.reason == reasons.DEADLINE_EXCEEDED:
        return Outcome(Ending.FAILED, reasons.DEADLINE_EXCEEDED, pod.message)
    if pod.is_disrupted or not (pod.has_started or _could_not_start(pod)):
        what = pod.message or f"pod {pod.name} ended before a container started"
        return Outcome(Ending.DISRUPTED, pod.reason or reasons.DISRUPTED, what)
    if pod.reason == reasons.EVICTED:  # for what it took itself: an eviction for the node's sake is a disruption
        return Outcome(Ending.FAILED, reasons.EVICTED, pod.message)
    if pod.cause is None:
        return Outcome(Ending.FAILED, pod.reason or reasons.POD_FAILED, pod.message or f"pod {pod.name} failed")
    return Outcome(Ending.FAILED, pod.cause.reason or reasons.NON_ZERO_EXIT_CODE, _describe(pod.cause))


def _could_not_start(pod: ObservedPod) -> bool:
    return pod.cause is not None and pod.cause.reason == reasons.START_ERROR


def _describe(cause: Cause) -> str:
    is_plain = cause.is_main and cause.reason is None
    parts = ("" if is_plain else cause.container, f"exit code {cause.exit_code}", cause.message)
    return ": ".join(filter(None, parts))


def _is_interrupting(record: TaskStatus, job: ObservedJob | None) -> bool:
    """We are stopping the run, and not by a suspend."""
    if record.holding == record.run:
        return False
    is_going = record.phase is TaskPhase.STOPPING and (job is None or job.is_terminating)
    return is_going or (job is not None and is_stopped(record, job))


def is_stopped(record: TaskStatus, job: ObservedJob) -> bool:
    """We suspended the Job: the ledger says so, or the Job itself, where a leader that was replaced did (ADR 9)."""
    return job.is_suspended and (job.is_stopped or record.phase is TaskPhase.STOPPING)
