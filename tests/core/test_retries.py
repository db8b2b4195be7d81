"""Retries, back-off, disruptions and interruptions: what counts against a task, and how long it waits."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from mageflow.api import ConditionType, Lifecycle, Phase, TaskPhase, TaskStatus
from mageflow.core.ledger import MAX_DISRUPTIONS, backoff
from mageflow.core.observed import NO_RUNS, Evidence, Run, Runs

from .builders import (
    EARLIER,
    NOON,
    ONE_RUNNING,
    after,
    complete_job,
    condition_in,
    decide,
    disrupted_job,
    entry,
    evicted,
    failed_job,
    failed_pod,
    job,
    names_of,
    pending_pod,
    refused_pod,
    running_pod,
    status,
    succeeded_pod,
    suspended_job,
    task_in,
    terminating,
    workflow,
)

ACTIVE, SUSPENDED, INTERRUPTED, CANCELED = Lifecycle

FAILED = {1: Run(failed_job(), (failed_pod(),))}
JOB_LOST = {1: Run(evidence=Evidence(lost_its_job=True))}
"""Its Job was deleted by hand, and that was seen."""
DRAINED = {1: Run(disrupted_job(), (evicted(failed_pod()),))}


def next_entry(
    task: TaskStatus, runs: Runs, lifecycle: Lifecycle = ACTIVE, now: datetime = NOON, retries: int = 1
) -> TaskStatus:
    """The ledger's entry after one decision."""
    old = status(Phase.ACTIVE, task, lifecycle)
    _, new = decide(workflow(lifecycle, old, runs, retries=retries), now)
    return task_in(new)


# ── failures ──


def test_task_backs_off_when_a_run_failed_and_retries_are_left() -> None:
    task = next_entry(entry(TaskPhase.RUNNING), FAILED)

    assert (task.phase, task.failures, task.retry_at) == (TaskPhase.BACKING_OFF, 1, after(10))
    assert (task.reason, task.message) == ("NonZeroExitCode", "exit code 1")
    assert task.finished_at == NOON


def test_task_fails_when_no_retries_are_left() -> None:
    task = next_entry(entry(TaskPhase.RUNNING, failures=1), FAILED, retries=1)
    assert (task.phase, task.failures, task.retry_at) == (TaskPhase.FAILED, 2, None)


def test_task_fails_at_once_when_it_has_no_retries() -> None:
    assert next_entry(entry(TaskPhase.RUNNING), FAILED, retries=0).phase is TaskPhase.FAILED


def test_task_runs_again_when_retries_are_added_while_it_runs() -> None:
    assert next_entry(entry(TaskPhase.RUNNING, failures=3), FAILED, retries=4).phase is TaskPhase.BACKING_OFF


def test_failure_is_counted_once_when_its_pod_and_job_stay() -> None:
    task = next_entry(entry(TaskPhase.RUNNING), FAILED)
    assert next_entry(task, FAILED) == task


@pytest.mark.parametrize(
    ("times", "seconds"), [(1, 10), (2, 20), (3, 40), (4, 80), (5, 160), (6, 320), (7, 360), (8, 360), (10_000, 360)]
)
def test_back_off_doubles_up_to_six_minutes_when_failures_add_up(times: int, seconds: int) -> None:
    assert backoff(times).total_seconds() == seconds


def test_back_off_doubles_when_the_second_run_fails() -> None:
    assert next_entry(entry(TaskPhase.RUNNING, failures=1), FAILED, retries=2).retry_at == after(20)


# ── the back-off, and how it stands still ──


@pytest.mark.parametrize(
    ("seconds", "actions"),
    [
        pytest.param(9, [], id="a second early: it waits"),
        pytest.param(10, ["CreateJob 2"], id="on time"),
        pytest.param(3600, ["CreateJob 2"], id="the operator was down for an hour"),
    ],
)
def test_next_run_starts_when_the_back_off_is_over(seconds: int, actions: list[str]) -> None:
    old = status(Phase.ACTIVE, entry(TaskPhase.BACKING_OFF, retry_at=after(10)))
    decision, _ = decide(workflow(ACTIVE, old, FAILED, retries=1), after(seconds))

    assert names_of(decision.after) == actions
    assert decision.recheck_at == (None if actions else after(10))


@pytest.mark.parametrize(
    ("now", "left"),
    [
        pytest.param(NOON, 10, id="held at its start"),
        pytest.param(after(4), 6, id="held in its midst"),
        pytest.param(after(4.4), 6, id="part of a second is rounded"),
        pytest.param(after(4.6), 5, id="more than half a second is rounded too"),
        pytest.param(after(10), 0, id="held as it ends"),
        pytest.param(after(99), 0, id="held when it is over"),
    ],
)
@pytest.mark.parametrize("lifecycle", [SUSPENDED, INTERRUPTED])
def test_back_off_stands_still_when_held(lifecycle: Lifecycle, now: datetime, left: int) -> None:
    task = next_entry(entry(TaskPhase.BACKING_OFF, retry_at=after(10)), FAILED, lifecycle, now)

    assert (task.phase, task.retry_at, task.backoff_seconds) == (TaskPhase.BACKING_OFF, None, left)
    assert next_entry(task, FAILED, lifecycle, after(7200)) == task


def test_back_off_goes_on_where_it_stood_when_resumed() -> None:
    task = next_entry(entry(TaskPhase.BACKING_OFF, backoff_seconds=6), FAILED, now=after(7200))
    assert (task.retry_at, task.backoff_seconds) == (after(7206), None)


def test_next_run_starts_at_once_when_nothing_of_the_back_off_was_left() -> None:
    task = next_entry(entry(TaskPhase.BACKING_OFF, backoff_seconds=0), FAILED)
    assert (task.phase, task.run) == (TaskPhase.RECORDED, 2)


def test_retry_is_held_when_a_run_fails_while_suspended() -> None:
    old = status(Phase.ACTIVE, entry(TaskPhase.RUNNING), SUSPENDED)
    decision, new = decide(workflow(SUSPENDED, old, FAILED, retries=1))

    assert (new.phase, task_in(new).backoff_seconds) == (Phase.SUSPENDED, 10)
    assert decision.after == ()
    assert decision.recheck_at is None


# ── disruptions: not the task's fault ──


@pytest.mark.parametrize(
    "runs",
    [
        pytest.param(DRAINED, id="drained"),
        pytest.param({1: Run(failed_job(), (refused_pod(),))}, id="refused by the kubelet"),
    ],
)
def test_no_retry_is_used_up_when_a_run_is_disrupted(runs: Runs) -> None:
    task = next_entry(entry(TaskPhase.PENDING, failures=1), runs)

    assert (task.failures, task.disruptions) == (1, 1)
    assert (task.phase, task.retry_at) == (TaskPhase.BACKING_OFF, after(10))


def test_back_off_doubles_when_disruptions_add_up() -> None:
    assert next_entry(entry(TaskPhase.PENDING, disruptions_in_row=2), DRAINED).retry_at == after(40)


def test_task_fails_when_ten_runs_in_a_row_were_disrupted() -> None:
    task = entry(TaskPhase.PENDING)
    for _ in range(MAX_DISRUPTIONS - 1):
        task = next_entry(task, DRAINED).model_copy(update={"phase": TaskPhase.PENDING})
    assert next_entry(task, DRAINED).reason == "TooManyDisruptions"
    assert next_entry(task, DRAINED).phase is TaskPhase.FAILED


def test_message_tells_of_disruptions_when_they_ended_the_task() -> None:
    old = status(Phase.ACTIVE, entry(TaskPhase.PENDING, disruptions=12, disruptions_in_row=9))
    _, new = decide(workflow(ACTIVE, old, DRAINED, retries=5))

    assert (new.phase, task_in(new).failures) == (Phase.FAILED, 0)
    (message,) = {condition.message for condition in new.conditions if condition.type == "Failed"}
    assert message == "10 runs in a row were disrupted; the last one, 1: pod report-pod was disrupted while it ran"


@pytest.mark.parametrize(
    "runs",
    [
        pytest.param(FAILED, id="a failure"),
        pytest.param({1: Run(complete_job(), (succeeded_pod(),))}, id="a success"),
    ],
)
def test_disruptions_in_a_row_start_anew_when_a_run_gets_to_its_end(runs: Runs) -> None:
    task = next_entry(entry(TaskPhase.RUNNING, disruptions=12, disruptions_in_row=9), runs)
    assert (task.disruptions, task.disruptions_in_row) == (12, 0), "all of them leave a trace"


@pytest.mark.parametrize(("minutes", "in_row"), [(9, 10), (10, 1)])
def test_disruptions_in_a_row_start_anew_when_a_run_ran_for_ten_minutes(minutes: int, in_row: int) -> None:
    started_at = NOON - timedelta(minutes=minutes)
    old = entry(TaskPhase.RUNNING, disruptions=12, disruptions_in_row=9, started_at=started_at)
    task = next_entry(old, DRAINED)
    assert (task.disruptions, task.disruptions_in_row) == (13, in_row)
    assert (task.phase is TaskPhase.FAILED) is (in_row == MAX_DISRUPTIONS)


def test_job_is_deleted_when_its_run_was_disrupted() -> None:
    old = status(Phase.ACTIVE, entry(TaskPhase.PENDING))
    assert names_of(decide(workflow(ACTIVE, old, DRAINED))[0].after) == ["DeleteJob 1"]


def test_nothing_is_counted_when_a_job_is_deleted_by_hand_before_it_started() -> None:
    task = next_entry(entry(TaskPhase.PENDING, failures=1), JOB_LOST)

    assert (task.phase, task.run) == (TaskPhase.RECORDED, 2)
    assert (task.failures, task.interruptions, task.disruptions) == (1, 0, 0)


def test_job_deleted_by_hand_is_a_disruption_when_it_had_started() -> None:
    task = next_entry(entry(TaskPhase.RUNNING, failures=1), JOB_LOST)

    assert (task.phase, task.retry_at) == (TaskPhase.BACKING_OFF, after(10))
    assert (task.failures, task.interruptions, task.disruptions, task.cut_short) == (1, 0, 1, True)


# ── what was cut short is told ──


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        pytest.param(DRAINED, "DisruptedWhileRunning", id="drained"),
        pytest.param({1: Run(job(), (terminating(succeeded_pod()),))}, "DisruptedWhileRunning", id="deleted by hand"),
        pytest.param({1: Run(suspended_job())}, "DisruptedWhileRunning", id="suspended by somebody else"),
        pytest.param(JOB_LOST, "DisruptedWhileRunning", id="its Job deleted by hand"),
        pytest.param({1: Run(failed_job(), (failed_pod(),))}, "NeverInterrupted", id="it failed by itself"),
    ],
)
def test_consistency_is_told_when_a_run_ended(runs: Runs, reason: str) -> None:
    old = status(Phase.ACTIVE, entry(TaskPhase.RUNNING))
    _, new = decide(workflow(ACTIVE, old, runs, retries=1))
    assert condition_in(new, ConditionType.CONSISTENT).reason == reason


def test_consistency_is_told_as_before_when_the_task_has_succeeded_since() -> None:
    old = status(Phase.ACTIVE, entry(TaskPhase.RUNNING))
    _, cut_short = decide(workflow(ACTIVE, old, DRAINED, retries=1))
    running = cut_short.model_copy(update={"tasks": (entry(TaskPhase.RUNNING, run=2),)})
    _, new = decide(workflow(ACTIVE, running, {2: Run(complete_job(2), (succeeded_pod(),))}))

    assert new.phase is Phase.SUCCEEDED
    assert condition_in(new, ConditionType.CONSISTENT).reason == "DisruptedWhileRunning"


def test_disruption_before_a_container_started_leaves_it_consistent() -> None:
    old = status(Phase.PENDING, entry(TaskPhase.PENDING))
    _, new = decide(workflow(ACTIVE, old, {1: Run(failed_job(), (refused_pod(),))}))
    assert condition_in(new, ConditionType.CONSISTENT).status == "True"


# ── holds and interrupts ──


@pytest.mark.parametrize(
    ("task", "runs", "lifecycle"),
    [
        pytest.param(
            entry(TaskPhase.STOPPING, holding=1), {1: Run(disrupted_job())}, SUSPENDED, id="suspended, pod gone"
        ),
        pytest.param(
            entry(TaskPhase.STOPPING, holding=1),
            {1: Run(disrupted_job(), (evicted(failed_pod(exit_code=143)),))},
            SUSPENDED,
            id="suspended, exit 143 on SIGTERM",
        ),
        pytest.param(entry(TaskPhase.STOPPING), NO_RUNS, INTERRUPTED, id="interrupted, pod gone"),
        pytest.param(
            entry(TaskPhase.STOPPING, started_at=EARLIER),
            {1: Run(suspended_job(is_terminating=True), (terminating(failed_pod(exit_code=143)),))},
            INTERRUPTED,
            id="interrupted, exit 143 on SIGTERM",
        ),
    ],
)
def test_no_retry_is_used_up_when_we_stop_a_run(task: TaskStatus, runs: Runs, lifecycle: Lifecycle) -> None:
    new = next_entry(task, runs, lifecycle, retries=0)
    assert (new.phase, new.failures, new.disruptions) == (TaskPhase.UNSTARTED, 0, 0)


def test_interruption_is_counted_when_the_run_had_started() -> None:
    old = status(Phase.ACTIVE, entry(TaskPhase.STOPPING, started_at=EARLIER), INTERRUPTED)
    _, new = decide(workflow(INTERRUPTED, old, NO_RUNS))
    assert (new.interruptions, task_in(new).interruptions) == (1, 1)


def test_interruption_is_not_counted_when_the_run_had_not_started() -> None:
    old = status(Phase.PENDING, entry(TaskPhase.STOPPING), INTERRUPTED)
    _, new = decide(workflow(INTERRUPTED, old, NO_RUNS))
    assert (new.interruptions, task_in(new).interruptions) == (0, 0)


def test_interruption_is_counted_when_the_kubelet_reports_the_start_after_the_stop() -> None:
    stopping = next_entry(entry(TaskPhase.STOPPING), {1: Run(suspended_job(), (terminating(running_pod()),))})
    assert next_entry(stopping, NO_RUNS, INTERRUPTED).interruptions == 1


def test_retries_are_all_there_when_resumed_after_an_interrupt() -> None:
    task = next_entry(entry(TaskPhase.STOPPING, started_at=EARLIER), NO_RUNS, ACTIVE)
    assert (task.phase, task.run, task.failures) == (TaskPhase.RECORDED, 2, 0)


@pytest.mark.parametrize(("interruptions", "resumed"), [(0, "false"), (2, "true")])
def test_task_is_told_when_an_earlier_run_was_interrupted(interruptions: int, resumed: str) -> None:
    old = status(Phase.ACTIVE, entry(interruptions=interruptions))
    decision, _ = decide(workflow(ACTIVE, old))

    (create,) = decision.after
    (container,) = create.manifest["spec"]["template"]["spec"]["containers"]  # type: ignore[union-attr]
    assert {"name": "MAGEFLOW_RESUMED", "value": resumed} in container["env"]


# ── when a run starts, and when the whole did ──


def test_start_is_when_it_was_seen_by_our_own_clock() -> None:
    """The kubelet's clock may be minutes off, and what is reckoned from the start is reckoned by ours."""
    old = status(Phase.PENDING, entry(TaskPhase.PENDING))
    _, new = decide(workflow(ACTIVE, old, ONE_RUNNING))
    assert (new.started_at, task_in(new).started_at) == (NOON, NOON)


def test_first_start_is_kept_when_the_next_run_starts() -> None:
    old = status(Phase.ACTIVE, entry(TaskPhase.PENDING, run=2), started_at=EARLIER)
    _, new = decide(workflow(ACTIVE, old, {2: Run(job(2), (running_pod(),))}))
    assert (new.started_at, task_in(new).started_at) == (EARLIER, NOON)


def test_workflow_stays_pending_when_its_pod_has_not_started() -> None:
    old = status(Phase.PENDING, entry(TaskPhase.PENDING))
    _, new = decide(workflow(ACTIVE, old, {1: Run(job(), (pending_pod(),))}))
    assert (new.phase, new.started_at) == (Phase.PENDING, None)


def test_task_runs_on_in_the_ledger_when_somebody_else_stops_its_pod() -> None:
    """Stopping in the ledger is our own mark: after a restart it would make a drain an interrupt."""
    task = entry(TaskPhase.RUNNING, job_uid="job-1", pod="report-pod")
    assert next_entry(task, {1: Run(job(), (evicted(running_pod()),))}, INTERRUPTED) == task


def test_run_uses_the_spec_as_it_is_when_it_is_created() -> None:
    edited = {"spec": {"containers": [{"name": "main", "image": "busybox:1.38"}]}}
    decision, new = decide(workflow(ACTIVE, status(Phase.PENDING, entry()), template=edited))

    (create,) = decision.after
    (container,) = create.manifest["spec"]["template"]["spec"]["containers"]  # type: ignore[union-attr]
    assert container["image"] == "busybox:1.38"
    assert task_in(new).template_hash != entry(TaskPhase.PENDING).template_hash


def test_run_keeps_its_hash_when_the_template_is_edited_while_it_runs() -> None:
    edited = {"spec": {"containers": [{"name": "main", "image": "busybox:1.38"}]}}
    old = status(Phase.ACTIVE, entry(TaskPhase.RUNNING))
    _, new = decide(workflow(ACTIVE, old, ONE_RUNNING, template=edited))
    assert task_in(new).template_hash == task_in(old).template_hash
