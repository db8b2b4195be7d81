"""How a run ended whose pod is gone before the ledger has its end, by what is left to tell (ADR 14).

what is left to tell by, the first that there is         how the run ended
the Job failed by the rule on DisruptionTarget           a disruption
its Job was seen to go before it had ended               a disruption if a container had started; else as if it had
                                                         never been
its deadline, its own limits or a probe stopped it       a failure
its main container was killed                            a disruption
it wasn't killed, and the Job is Complete                a success, its output lost
it wasn't killed, and the Job has Failed                 a failure; of a pod that never started, a disruption
nothing                                                  nobody knows: it runs again

What is there counts at once. That something isn't there counts only after a while, since an event may be written later
than what it tells of; and only as long as older events remain, since they are kept for an hour, as a rule.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from mageflow.api import TaskPhase, TaskStatus, reasons
from mageflow.core.decision import ReadEvidence
from mageflow.core.job_manifest import job_name
from mageflow.core.observed import DISRUPTION_RULE, Evidence, ObservedJob, ReasonMessage, Run
from mageflow.core.plan import Owner, Task
from mageflow.core.pods import main_container
from mageflow.core.run_result import Ending, RunResult, has_succeeded, result_of

PATIENCE: Final = timedelta(seconds=10)
"""For how long events are looked for before it counts that one isn't there."""

EXPIRY: Final = timedelta(minutes=2)
"""How much longer an event may be kept than one written just before: leases in etcd are shared for a minute."""

DECIDE: Final = timedelta(seconds=1)
"""How soon after a reading it is decided again."""

LOOK_AGAIN: Final = timedelta(seconds=5)
LOOK_AGAIN_LATER: Final = timedelta(seconds=30)

COMPLETED: Final = "Completed"
"""Reason of the Job controller's event when a Job is Complete."""

NONE: Final = Evidence()


def is_gone(entry: TaskStatus, run: Run) -> bool:
    """Tell whether an open run has neither a pod nor a Job that can still act: only evidence tells how it ended."""
    if run.pods:
        return False
    if run.job is not None:
        return run.job.has_ended
    return entry.phase is not TaskPhase.RECORDED or _may_have_been_made(run.evidence or NONE)


def _may_have_been_made(evidence: Evidence) -> bool:
    """Tell whether a recorded run may have had a Job: another operator recorded it, and events don't rule it out."""
    if not evidence.is_found or evidence.has_job:
        return evidence.is_found
    return evidence.read_at is None or evidence.looked_for < PATIENCE


def judge_run(task: Task, entry: TaskStatus, run: Run) -> RunResult | None:
    """Return how the latest run ended; None while it hasn't, or while the evidence has yet to be read.

    A mark of ours was written before we acted, and we may not have got so far: a success that events tell of counts
    more than a mark. An interrupt whose Job is gone was carried out, as a rule, and doesn't wait for events.
    """
    result = result_of(entry, run)
    if _may_have_failed_a_probe(run):
        return _judge_probe(run.evidence or NONE, result)
    if not is_gone(entry, run) or _is_plain(result, run.job):
        return result
    evidence = run.evidence or NONE
    told = _find_seen(entry, run.job, evidence) or _find_told(entry, run.job, evidence, task.grace_period)
    is_success = told is not None and told.ending is Ending.SUCCEEDED
    return told if result is None or told is None or is_success else result


def _is_plain(result: RunResult | None, job: ObservedJob | None) -> bool:
    """Tell whether a result by our own marks is certain, whatever events may say."""
    if result is None:
        return False
    return result.ending is Ending.INTERRUPTED if job is None else job.failure is not None


def awaits_evidence(entry: TaskStatus, run: Run) -> bool:
    """Tell whether an open run is over, and its end has to be looked up in events."""
    return is_gone(entry, run) or _may_have_failed_a_probe(run)


def _may_have_failed_a_probe(run: Run) -> bool:
    """Tell whether a pod that exited 0 may have been killed by the kubelet for a failed probe."""
    return not run.live_pods and any(pod.has_deadly_probe and has_succeeded(pod) for pod in run.pods)


def _judge_probe(evidence: Evidence, result: RunResult | None) -> RunResult | None:
    if evidence.read_at is None:
        return None
    fault = evidence.fault
    return result if fault is None else RunResult(Ending.FAILED, fault.reason, fault.message)


def _find_seen(entry: TaskStatus, job: ObservedJob | None, evidence: Evidence) -> RunResult | None:
    """Tell what the Job itself or its deletion shows."""
    has_run = _has_run(entry, evidence)
    if job is not None and job.is_disrupted:
        return _disrupted(job.failure.message if job.failure else "", has_run=has_run)
    if evidence.lost_its_job:
        return _disrupted("its Job was deleted while it ran", has_run=True) if has_run else RunResult(Ending.LOST)
    return None


def _has_run(entry: TaskStatus, evidence: Evidence) -> bool:
    return entry.started_at is not None or evidence.has_started


def _disrupted(what: str, *, has_run: bool) -> RunResult:
    return RunResult(Ending.DISRUPTED, reasons.DISRUPTED, what, has_run=has_run)


def _find_told(entry: TaskStatus, job: ObservedJob | None, evidence: Evidence, grace: timedelta) -> RunResult | None:
    """Tell what the events say; None while they have yet to be read, or read again."""
    end, has_run = _find_end_of_job(job) or evidence.job_end, _has_run(entry, evidence)
    if end is not None and end.reason == DISRUPTION_RULE:
        return _disrupted(end.message, has_run=has_run)
    if evidence.fault is not None:
        return RunResult(Ending.FAILED, evidence.fault.reason, evidence.fault.message)
    if evidence.stop is not None:
        return _disrupted(evidence.stop, has_run=has_run)
    if evidence.read_at is None or evidence.looked_for < PATIENCE:
        return None
    if end is None:
        is_unstarted = evidence.is_from_the_start and not has_run
        return RunResult(Ending.LOST) if is_unstarted else _unknown("its Job and its pod are gone")
    if end.reason == COMPLETED:
        return _judge_success(evidence, grace)
    if has_run:
        return RunResult(Ending.FAILED, reasons.POD_FAILED, end.message)
    if evidence.is_from_the_start:
        return _disrupted("the pod was deleted before it started", has_run=False)
    return _unknown("its Job has failed and its pod is gone")


def _judge_success(evidence: Evidence, grace: timedelta) -> RunResult | None:
    """Judge a Job that is Complete: a pod that exits 0 because it was stopped looks the same, but for an event.

    Where no older event remains, that one may have been dropped for its age. It was written at most `grace` before the
    Job's own, and so is dropped not much earlier: if that is still there after so long, it never was.
    """
    what = "the output is lost: its pod was gone before it was read"
    if evidence.is_from_the_start or (evidence.job_end is not None and evidence.looked_for >= grace + EXPIRY):
        return RunResult(Ending.SUCCEEDED, reasons.OUTPUT_LOST, what)
    if evidence.job_end is None:
        return _unknown("its Job is complete and its pod is gone: it may have been stopped")
    return None


def _unknown(what: str) -> RunResult:
    """Say that nobody knows: it may have been cut short."""
    what = f"{what}, and no event tells how it ended: it runs again"
    return RunResult(Ending.DISRUPTED, reasons.OUTCOME_UNKNOWN, what, has_run=True)


def _find_end_of_job(job: ObservedJob | None) -> ReasonMessage | None:
    if job is None or not job.has_ended:
        return None
    return job.failure or ReasonMessage(COMPLETED, "")


def plan_reading(
    owner: Owner, task: Task, entry: TaskStatus, run: Run, now: datetime
) -> tuple[ReadEvidence | None, datetime | None]:
    """Return the events to read now, or None and when to read them again."""
    evidence = run.evidence or NONE
    if evidence.read_at is not None:
        pause = LOOK_AGAIN if evidence.looked_for < PATIENCE else LOOK_AGAIN_LATER
        if now < evidence.read_at + pause:
            return None, evidence.read_at + pause
    job = job_name(owner, task.name, entry.run)
    uid = entry.job_uid if run.job is None else run.job.uid
    main = main_container(task.template or {}) if task.template_hash == entry.template_hash else None
    pod = run.pods[-1].name if run.pods else entry.pod
    return ReadEvidence(task.name, entry.run, job, uid, pod, main), now + DECIDE
