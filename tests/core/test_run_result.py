"""How the end of a run is read from its Job and pod: DESIGN section 3, and the ledger's marks."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from mageflow.api import TaskPhase, TaskStatus
from mageflow.core.observed import NO_RUN, Cause, ObservedPod, Run
from mageflow.core.run_result import Ending, result_of

from .builders import (
    complete_job,
    disrupted_job,
    entry,
    evicted,
    failed_job,
    failed_pod,
    init_pod,
    job,
    pending_pod,
    refused_pod,
    running_pod,
    succeeded_pod,
    suspended_job,
    terminating,
    unscheduled_pod,
)

RECORDED = entry(TaskPhase.RECORDED)
PENDING = entry(TaskPhase.PENDING)
RUNNING = entry(TaskPhase.RUNNING)
HOLDING = entry(TaskPhase.STOPPING, holding=1)
"""A suspend has caught it before it started."""
STOPPING = entry(TaskPhase.STOPPING)
"""An interrupt stops it."""


@dataclass(frozen=True)
class Case:
    """A run as the cluster has it, and how it ended: None, not yet."""

    situation: str
    entry: TaskStatus
    run: Run
    ending: Ending | None
    reason: str | None = None


UNTOUCHED = [
    Case("the pod waits", PENDING, Run(job(), (pending_pod(),)), None),
    Case("an init container runs", RUNNING, Run(job(), (init_pod(),)), None),
    Case("the pod runs", RUNNING, Run(job(), (running_pod(),)), None),
    Case("the Job has no pod yet", PENDING, Run(job()), None),
    Case("the Job was never seen", RECORDED, NO_RUN, None),
    Case("the pod succeeded, the Job controller hasn't seen it yet",
         RUNNING, Run(job(), (succeeded_pod(),)), Ending.SUCCEEDED),
    Case("a container failed", RUNNING, Run(job(), (failed_pod(),)), Ending.FAILED, "NonZeroExitCode"),
    Case("the pod took longer than allowed",
         RUNNING, Run(failed_job(), (failed_pod(reason="DeadlineExceeded", exit_code=137),)),
         Ending.FAILED, "DeadlineExceeded"),
    Case("the pod took longer than allowed to start",
         PENDING, Run(failed_job(), (refused_pod(reason="DeadlineExceeded"),)), Ending.FAILED, "DeadlineExceeded"),
    Case("the pod took more of its own storage than its limit",
         RUNNING, Run(failed_job(), (failed_pod(reason="Evicted", exit_code=137),)), Ending.FAILED, "Evicted"),
    Case("a container took more memory than its limit",
         RUNNING, Run(failed_job(), (failed_pod(cause=Cause("container main", 137, "OOMKilled")),)),
         Ending.FAILED, "OOMKilled"),
    Case("its command isn't there",
         PENDING, Run(failed_job(), (refused_pod(reason=None, cause=Cause("container main", 128, "StartError")),)),
         Ending.FAILED, "StartError"),
    Case("it wrote more than the kubelet keeps",
         RUNNING, Run(complete_job(), (succeeded_pod(output="x" * 4096),)), Ending.SUCCEEDED, "OutputTruncated"),
]  # fmt: skip

HELD = [
    Case("evicted, the pod is still there", HOLDING, Run(job(), (evicted(pending_pod()),)), None),
    Case("evicted, the kubelet reports a start after all", HOLDING, Run(job(), (evicted(running_pod()),)), None),
    Case("evicted before a node took it: it counts as gone at once",
         HOLDING, Run(job(), (evicted(unscheduled_pod()),)), Ending.HELD),
    Case("evicted, it turns out to have started, and exits 0 on SIGTERM",
         HOLDING, Run(job(), (evicted(succeeded_pod()),)), Ending.HELD, "InterruptedWhileRunning"),
    Case("evicted, it turns out to have started, exits 0 on SIGTERM and the Job is complete",
         HOLDING, Run(complete_job(), (evicted(succeeded_pod()),)), Ending.HELD, "InterruptedWhileRunning"),
    Case("evicted, it turns out to have started, and exits 143 on SIGTERM",
         HOLDING, Run(disrupted_job(), (evicted(failed_pod(exit_code=143)),)), Ending.HELD, "InterruptedWhileRunning"),
    Case("evicted, it turns out to have started, and is gone",
         HOLDING, Run(disrupted_job(), (evicted(failed_pod(exit_code=143, is_gone=True)),)),
         Ending.HELD, "InterruptedWhileRunning"),
    Case("evicted, a kubelet ends it before a container started",
         HOLDING, Run(disrupted_job(), (evicted(refused_pod()),)), Ending.HELD),
    Case("evicted, the pod is gone", HOLDING, Run(disrupted_job()), Ending.HELD),
    Case("evicted, the pod is gone and the Job is complete", HOLDING, Run(complete_job()), Ending.HELD),
    Case("evicted, the pod is gone, the Job controller hasn't seen it yet", HOLDING, Run(job()), None),
    Case("evicted, pod and Job are gone", HOLDING, NO_RUN, Ending.HELD),
    Case("an interrupt comes before its Job is held, and stops it",
         HOLDING, Run(suspended_job()), None),
    Case("an interrupt came before its Job was held, and the Job is gone", HOLDING, NO_RUN, Ending.HELD),
    Case("an interrupt comes after the eviction, the Job controller is on its way",
         HOLDING, Run(job(is_suspended=True)), None),
    Case("its Job, without a pod, is being deleted", HOLDING, Run(job(is_terminating=True)), None),
    Case("the eviction came too late: it succeeded", HOLDING, Run(job(), (succeeded_pod(),)), Ending.SUCCEEDED),
    Case("the eviction came too late: it failed", HOLDING, Run(job(), (failed_pod(),)), Ending.FAILED,
         "NonZeroExitCode"),
    Case("it slipped through HoldJob and succeeded", PENDING, Run(pods=(succeeded_pod(),)), Ending.SUCCEEDED),
    Case("it slipped through HoldJob and failed",
         PENDING, Run(pods=(failed_pod(),)), Ending.FAILED, "NonZeroExitCode"),
    Case("it slipped through HoldJob, was evicted and is gone", HOLDING, NO_RUN, Ending.HELD),
    Case("it slipped through HoldJob and the kubelet refused it",
         PENDING, Run(pods=(refused_pod(),)), Ending.DISRUPTED, "OutOfcpu"),
]  # fmt: skip

INTERRUPTED = [
    Case("the pod is still there", STOPPING, Run(suspended_job(), (terminating(running_pod()),)), None),
    Case("the pod exits 0 on SIGTERM, the Job controller is on its way",
         STOPPING, Run(job(is_suspended=True), (terminating(succeeded_pod()),)), None),
    Case("the pod exits 0 on SIGTERM, its Job could be let go by others",
         STOPPING, Run(suspended_job(), (terminating(succeeded_pod()),)), None),
    Case("the pod is gone, its Job could be let go by others", STOPPING, Run(suspended_job()), None),
    Case("the pod exits 0 on SIGTERM, its Job goes",
         STOPPING, Run(suspended_job(is_terminating=True), (terminating(succeeded_pod()),)), Ending.INTERRUPTED),
    Case("the pod exits 143 on SIGTERM, its Job goes",
         STOPPING, Run(suspended_job(is_terminating=True), (terminating(failed_pod(exit_code=143)),)),
         Ending.INTERRUPTED),
    Case("the pod exits 0 on SIGTERM, its Job is gone",
         STOPPING, Run(pods=(terminating(succeeded_pod()),)), Ending.INTERRUPTED),
    Case("the pod is gone, its Job is gone", STOPPING, NO_RUN, Ending.INTERRUPTED),
    Case("somebody lets the Job go, and another pod waits",
         STOPPING, Run(job(is_stopped=True), (pending_pod(uid="pod-2"),)), None),
    Case("somebody lets the Job go, the pod is gone", STOPPING, Run(job(is_stopped=True)), None),
    Case("a leader that was replaced stopped it, the pod is still there",
         RUNNING, Run(suspended_job(is_stopped=True), (terminating(running_pod()),)), None),
    Case("a leader that was replaced stopped it, the pod exits 143 on SIGTERM",
         RUNNING, Run(suspended_job(is_stopped=True), (terminating(failed_pod(exit_code=143)),)), None),
    Case("a leader that was replaced stopped it, its Job goes",
         RUNNING, Run(suspended_job(is_stopped=True, is_terminating=True), (terminating(failed_pod(exit_code=143)),)),
         Ending.INTERRUPTED),
    Case("a leader that was replaced stopped it after its pod was evicted",
         HOLDING, Run(suspended_job(is_stopped=True)), None),
    Case("the pod is gone, the suspension isn't in force yet", STOPPING, Run(job(is_suspended=True)), None),
    Case("the pod, never on a node, is terminating, its Job goes",
         STOPPING, Run(suspended_job(is_terminating=True), (terminating(unscheduled_pod()),)), Ending.INTERRUPTED),
    Case("the pod had succeeded before, and is there",
         STOPPING, Run(suspended_job(), (succeeded_pod(),)), Ending.SUCCEEDED),
    Case("nobody saw whether the pod had succeeded before it was deleted, and the Job counts it: in doubt",
         STOPPING, Run(complete_job(is_suspended=True), (terminating(succeeded_pod()),)), Ending.INTERRUPTED),
    Case("the pod had succeeded before, and somebody deletes the Job",
         STOPPING, Run(complete_job(is_suspended=True, is_terminating=True), (succeeded_pod(is_gone=True),)),
         Ending.SUCCEEDED),
    Case("the pod had failed before", STOPPING, Run(suspended_job(), (failed_pod(),)), Ending.FAILED,
         "NonZeroExitCode"),
    Case("nobody saw whether the pod had failed before it was deleted, and the Job counts it: in doubt",
         STOPPING, Run(failed_job(is_suspended=True), (terminating(failed_pod()),)), Ending.INTERRUPTED),
    Case("a container had failed before, and its sidecar is stopped",
         STOPPING, Run(suspended_job(is_terminating=True), (terminating(failed_pod(had_failed=True)),)),
         Ending.FAILED, "NonZeroExitCode"),
    Case("somebody deletes the Job meanwhile, the pod is still there",
         STOPPING, Run(job(is_terminating=True), (terminating(running_pod()),)), None),
    Case("somebody deletes the Job meanwhile", STOPPING, Run(job(is_terminating=True)), None),
    Case("somebody deleted the Job meanwhile", STOPPING, NO_RUN, Ending.INTERRUPTED),
    Case("a pod without a Job, deleted, exits 0 on SIGTERM",
         STOPPING, Run(pods=(terminating(succeeded_pod()),)), Ending.INTERRUPTED),
]  # fmt: skip

SOMEBODY_ELSE = [
    Case("a drain evicts it", RUNNING, Run(job(), (evicted(running_pod()),)), None),
    Case("a drain evicted it, it exited 0", RUNNING, Run(job(), (evicted(succeeded_pod()),)), Ending.DISRUPTED,
         "Disrupted"),
    Case("a drain evicted it, it exited 143",
         RUNNING, Run(disrupted_job(), (evicted(failed_pod(exit_code=143)),)), Ending.DISRUPTED, "Disrupted"),
    Case("a drain evicted it before it started", PENDING, Run(job(), (evicted(unscheduled_pod()),)), Ending.DISRUPTED,
         "Disrupted"),
    Case("a drain tried to evict it, the pod runs on", RUNNING, Run(job(), (running_pod(is_disrupted=True),)), None),
    Case("a drain tried to evict it, and it succeeded",
         RUNNING, Run(job(), (succeeded_pod(is_disrupted=True),)), Ending.SUCCEEDED),
    Case("its node was short of memory",
         RUNNING, Run(disrupted_job(), (failed_pod(is_disrupted=True, reason="Evicted", exit_code=137),)),
         Ending.DISRUPTED, "Disrupted"),
    Case("its node was short of disk, and the kubelet refused it",
         PENDING, Run(failed_job(), (refused_pod(reason="Evicted"),)), Ending.DISRUPTED, "Evicted"),
    Case("the kubelet refused it before a container started",
         PENDING, Run(failed_job(), (refused_pod(),)), Ending.DISRUPTED, "OutOfcpu"),
    Case("it is deleted by hand while it runs", RUNNING, Run(job(), (terminating(running_pod()),)), None),
    Case("it was deleted by hand while it ran, and exited 143",
         RUNNING, Run(failed_job(), (terminating(failed_pod(exit_code=143)),)), Ending.DISRUPTED, "Disrupted"),
    Case("it was deleted by hand while it ran, and exited 0",
         RUNNING, Run(complete_job(), (terminating(succeeded_pod()),)), Ending.DISRUPTED, "Disrupted"),
    Case("it was deleted by hand while it ran, exited 0 and is gone",
         RUNNING, Run(complete_job(), (terminating(succeeded_pod(is_gone=True)),)), Ending.DISRUPTED, "Disrupted"),
    Case("it was deleted without grace while it ran",
         RUNNING, Run(failed_job(), (terminating(running_pod(is_gone=True)),)), Ending.DISRUPTED, "Disrupted"),
    Case("it had succeeded, was deleted by hand and is gone",
         RUNNING, Run(job(), (succeeded_pod(is_gone=True),)), Ending.SUCCEEDED),
    Case("a container had failed, then it was deleted by hand",
         RUNNING, Run(failed_job(), (terminating(failed_pod(had_failed=True)),)), Ending.FAILED, "NonZeroExitCode"),
    Case("the Job was deleted by hand, the pod is still there",
         RUNNING, Run(pods=(terminating(running_pod()),)), None),
    Case("the Job was deleted by hand, the pod exits 0 on SIGTERM",
         RUNNING, Run(pods=(terminating(succeeded_pod()),)), Ending.DISRUPTED, "Disrupted"),
    Case("the Job was deleted by hand, and the pod before it had started",
         PENDING, Run(pods=(terminating(unscheduled_pod()),)), Ending.LOST),
    Case("the Job is being deleted in the foreground, the pod exits 0 on SIGTERM",
         RUNNING, Run(job(is_terminating=True), (terminating(succeeded_pod()),)), Ending.DISRUPTED, "Disrupted"),
    Case("the Job is being deleted in the foreground, the pod exits 143 on SIGTERM",
         RUNNING, Run(job(is_terminating=True), (terminating(failed_pod(exit_code=143)),)),
         Ending.DISRUPTED, "Disrupted"),
    Case("somebody suspends the Job before its pod has started", PENDING, Run(suspended_job()), None),
    Case("somebody suspends the Job before its pod has started, and that is deleted",
         PENDING, Run(suspended_job(), (terminating(unscheduled_pod()),)), None),
    Case("somebody suspends the Job while it runs, the Job controller is on its way",
         RUNNING, Run(job(is_suspended=True), (running_pod(),)), None),
    Case("somebody suspends the Job while it runs, the pod is still there",
         RUNNING, Run(suspended_job(), (terminating(running_pod()),)), None),
    Case("somebody suspended the Job while it ran, and it exits 0 on SIGTERM",
         RUNNING, Run(suspended_job(), (terminating(succeeded_pod()),)), Ending.SUSPENDED, "JobSuspended"),
    Case("somebody suspended the Job while it ran, and it exits 143 on SIGTERM",
         RUNNING, Run(suspended_job(), (terminating(failed_pod(exit_code=143)),)), Ending.SUSPENDED, "JobSuspended"),
    Case("somebody suspended the Job while it ran, and the pod is gone",
         RUNNING, Run(suspended_job()), Ending.SUSPENDED, "JobSuspended"),
    Case("somebody suspended the Job as it started, which shows only when it has ended",
         PENDING, Run(suspended_job(), (terminating(failed_pod(exit_code=143)),)), Ending.SUSPENDED, "JobSuspended"),
    Case("somebody suspended the Job after the pod had succeeded",
         RUNNING, Run(suspended_job(), (succeeded_pod(),)), Ending.SUCCEEDED),
    Case("somebody suspended the Job and let it go before anybody looked, and another pod waits",
         RUNNING, Run(job(), (pending_pod(uid="pod-2"),)), Ending.SUSPENDED, "JobSuspended"),
    Case("somebody suspends the Job while our suspend has its pod evicted",
         HOLDING, Run(suspended_job(), (evicted(refused_pod()),)), Ending.HELD),
    Case("a second pod of the run is still there",
         RUNNING, Run(job(), (succeeded_pod(), running_pod(uid="pod-2"))), None),
    Case("a second pod of the run waits, though one has succeeded",
         RUNNING, Run(job(), (succeeded_pod(), pending_pod(uid="pod-2"))), None),
    Case("of two pods one succeeded", RUNNING, Run(job(), (failed_pod(), succeeded_pod(uid="pod-2"))),
         Ending.SUCCEEDED),
    Case("of two pods one was evicted and one failed by itself",
         RUNNING, Run(job(), (evicted(failed_pod()), failed_pod(uid="pod-2"))), Ending.FAILED, "NonZeroExitCode"),
]  # fmt: skip

GROUPS = {
    "nobody stops it": UNTOUCHED,
    "a suspend holds it": HELD,
    "an interrupt stops it": INTERRUPTED,
    "somebody else meddles": SOMEBODY_ELSE,
}


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=f"{who}: {case.situation}") for who, cases in GROUPS.items() for case in cases],
)
def test_end_of_a_run_is_read_when(case: Case) -> None:
    outcome = result_of(case.entry, case.run)

    assert (None if outcome is None else outcome.ending) is case.ending
    assert (None if outcome is None else outcome.reason) == case.reason


def test_each_ending_is_read_in_some_case() -> None:
    assert {case.ending for cases in GROUPS.values() for case in cases} == {None, *Ending}


def test_no_end_is_read_when_a_pod_still_runs() -> None:
    for cases in GROUPS.values():
        for case in cases:
            run = Run(case.run.job, (*case.run.pods, running_pod(uid="another")))
            assert result_of(case.entry, run) is None


@pytest.mark.parametrize(
    ("pod", "message"),
    [
        (failed_pod(exit_code=3), "exit code 3"),
        (failed_pod(exit_code=3, output="disk full"), "exit code 3: disk full"),
        (failed_pod(exit_code=None, message="Pod was terminated"), "Pod was terminated"),
        (failed_pod(reason="Evicted", exit_code=137, message="Usage of EmptyDir volume"), "Usage of EmptyDir volume"),
        (failed_pod(cause=Cause("container main", 137, "OOMKilled", is_main=True)), "container main: exit code 137"),
        (failed_pod(cause=Cause("container helper", 9, message="x")), "container helper: exit code 9: x"),
        (
            failed_pod(cause=Cause("init container fetch", 7, message="no route to host")),
            "init container fetch: exit code 7: no route to host",
        ),
        (failed_pod(exit_code=None), "pod report-pod failed"),
        (refused_pod(), "Node didn't have enough cpu"),
        (refused_pod(message=None), "pod report-pod ended before a container started"),
        (evicted(succeeded_pod()), "pod report-pod was disrupted while it ran"),
        (terminating(succeeded_pod()), "pod report-pod was deleted while it ran"),
        (terminating(unscheduled_pod()), "pod report-pod was deleted before a container started"),
        (evicted(succeeded_pod(message="preempted")), "preempted"),
    ],
)
def test_message_says_what_is_known_when_a_run_ended_badly(pod: ObservedPod, message: str) -> None:
    outcome = result_of(RUNNING, Run(job(), (pod,)))
    assert outcome is not None
    assert outcome.message == message


def test_output_is_kept_when_a_pod_succeeded() -> None:
    outcome = result_of(RUNNING, Run(job(), (succeeded_pod(output='{"rows": 3}'),)))
    assert outcome is not None
    assert outcome.output == {"rows": 3}
