"""How the end of a run is read that is gone: ADR 14, and the table in core/evidence.py."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from mageflow.api import Phase, TaskPhase, TaskStatus
from mageflow.core.decision import ReadEvidence
from mageflow.core.evidence import EXPIRY, PATIENCE, judge_run
from mageflow.core.lifecycle import Wanted
from mageflow.core.observed import NO_RUN, Evidence, ReasonMessage, Run, Runs
from mageflow.core.run_result import Ending
from mageflow.core.run_state import RunState
from mageflow.core.steps import Step

from .builders import (
    NOON,
    OWNER,
    TASK,
    after,
    complete_job,
    condition_in,
    decide,
    disrupted_job,
    entry,
    failed_job,
    failed_pod,
    job,
    names_of,
    pending_pod,
    running_pod,
    status,
    succeeded_pod,
    take_step,
    task_in,
    workflow,
)

PENDING = entry(TaskPhase.PENDING)
RUNNING = entry(TaskPhase.RUNNING)
RECORDED = entry(TaskPhase.RECORDED)
HOLDING = entry(TaskPhase.STOPPING, holding=1)
STOPPING = entry(TaskPhase.STOPPING)
COMPLETED = ReasonMessage("Completed", "Job completed")
BACKOFF = ReasonMessage("BackoffLimitExceeded", "Job has reached the specified backoff limit")
RULE = ReasonMessage("PodFailurePolicy", "Pod team/x has condition DisruptionTarget matching FailJob rule at index 0")
GRACE = timedelta(seconds=30)


def read(looked_for: timedelta = PATIENCE, **facts: Any) -> Evidence:
    """Events that have been looked for long enough; the pod's creation is among them."""
    return Evidence(**{"read_at": NOON, "looked_for": looked_for, "is_from_the_start": True, **facts})


def too_late(looked_for: timedelta = PATIENCE, **facts: Any) -> Evidence:
    """The oldest events have been dropped."""
    return read(looked_for, **{"is_from_the_start": False, **facts})


@dataclass(frozen=True)
class Case:
    """A run that is gone, and how it ended: None, that can't be told yet."""

    situation: str
    entry: TaskStatus
    run: Run
    ending: Ending | None
    reason: str | None = None


def gone(evidence: Evidence | None) -> Run:
    return Run(None, (), evidence)


JOB_COMPLETE = [
    Case("nothing was read yet", RUNNING, Run(complete_job()), None),
    Case("events were read once", RUNNING, Run(complete_job(), (), read(timedelta(0))), None),
    Case("it ended by itself",
         RUNNING, Run(complete_job(), (), read(job_end=COMPLETED)), Ending.SUCCEEDED, "OutputLost"),
    Case("it ended by itself, before its start was recorded",
         PENDING, Run(complete_job(), (), read(job_end=COMPLETED)), Ending.SUCCEEDED, "OutputLost"),
    Case("it ended by itself before its Job was ever seen",
         RECORDED, Run(complete_job(), (), read(job_end=COMPLETED)), Ending.SUCCEEDED, "OutputLost"),
    Case("it ended by itself, and the Job controller's event was dropped",
         RUNNING, Run(complete_job(), (), read()), Ending.SUCCEEDED, "OutputLost"),
    Case("it was killed and exited 0",
         RUNNING, Run(complete_job(), (), read(timedelta(0), stop="it was killed")), Ending.DISRUPTED, "Disrupted"),
    Case("a probe killed it and it exited 0",
         RUNNING, Run(complete_job(), (), read(timedelta(0), fault=ReasonMessage("ProbeFailed", "HTTP 500"))),
         Ending.FAILED, "ProbeFailed"),
    Case("its events are too old", RUNNING, Run(complete_job(), (), too_late()), Ending.DISRUPTED, "OutcomeUnknown"),
    Case("the oldest events are gone, it may have been killed",
         RUNNING, Run(complete_job(), (), too_late(job_end=COMPLETED)), None),
    Case("the oldest events are gone, and the last is still there when that of a kill would be",
         RUNNING, Run(complete_job(), (), too_late(GRACE + EXPIRY, job_end=COMPLETED)),
         Ending.SUCCEEDED, "OutputLost"),
    Case("the oldest events are gone, and so is the last when looked for again",
         RUNNING, Run(complete_job(), (), too_late(GRACE)), Ending.DISRUPTED, "OutcomeUnknown"),
    Case("we had suspended it, but it had ended before",
         STOPPING, Run(complete_job(is_suspended=True), (), read()), Ending.SUCCEEDED, "OutputLost"),
    Case("somebody deletes the Job now",
         RUNNING, Run(complete_job(is_terminating=True), (), read()), Ending.SUCCEEDED, "OutputLost"),
]  # fmt: skip

JOB_FAILED = [
    Case("nothing was read yet", RUNNING, Run(failed_job()), None),
    Case("by the rule on DisruptionTarget", RUNNING, Run(disrupted_job()), Ending.DISRUPTED, "Disrupted"),
    Case("it failed by itself", RUNNING, Run(failed_job(), (), read(job_end=BACKOFF)), Ending.FAILED, "PodFailed"),
    Case("it failed by itself, as its events tell",
         PENDING, Run(failed_job(), (), read(has_started=True)), Ending.FAILED, "PodFailed"),
    Case("it was killed", RUNNING, Run(failed_job(), (), read(stop="it was killed")), Ending.DISRUPTED, "Disrupted"),
    Case("it took longer than allowed",
         RUNNING, Run(failed_job(), (), read(fault=ReasonMessage("DeadlineExceeded", "too long"))),
         Ending.FAILED, "DeadlineExceeded"),
    Case("it exceeded its own limit",
         RUNNING, Run(failed_job(), (), read(fault=ReasonMessage("Evicted", "its emptyDir"))),
         Ending.FAILED, "Evicted"),
    Case("it never started", PENDING, Run(failed_job(), (), read(job_end=BACKOFF)), Ending.DISRUPTED, "Disrupted"),
    Case("it had started, and its events are too old", RUNNING, Run(failed_job(), (), too_late()),
         Ending.FAILED, "PodFailed"),
    Case("it may have started, and its events are too old", PENDING, Run(failed_job(), (), too_late()),
         Ending.DISRUPTED, "OutcomeUnknown"),
]  # fmt: skip

JOB_GONE = [
    Case("nothing was read yet", RUNNING, NO_RUN, None),
    Case("its Job was never seen", RECORDED, NO_RUN, None),
    Case("another operator recorded it, nothing was read yet", RECORDED, gone(Evidence(is_found=True)), None),
    Case("another operator recorded it, and no event tells of its Job",
         RECORDED, gone(too_late(is_found=True)), None),
    Case("another operator recorded it and made its Job, which ended by itself",
         RECORDED, gone(read(is_found=True, has_job=True, job_end=COMPLETED)), Ending.SUCCEEDED, "OutputLost"),
    Case("it ended by itself", RUNNING, gone(read(job_end=COMPLETED)), Ending.SUCCEEDED, "OutputLost"),
    Case("it was killed and exited 0", RUNNING, gone(read(job_end=COMPLETED, stop="it was killed")),
         Ending.DISRUPTED, "Disrupted"),
    Case("it failed", RUNNING, gone(read(job_end=BACKOFF)), Ending.FAILED, "PodFailed"),
    Case("it failed by the rule on DisruptionTarget", RUNNING, gone(read(job_end=RULE)),
         Ending.DISRUPTED, "Disrupted"),
    Case("it was killed, and nobody counted it", RUNNING, gone(read(stop="it was killed")),
         Ending.DISRUPTED, "Disrupted"),
    Case("it had started, and no event tells its end", RUNNING, gone(read()), Ending.DISRUPTED, "OutcomeUnknown"),
    Case("it had started, as its events tell, and none tells its end",
         PENDING, gone(read(has_started=True)), Ending.DISRUPTED, "OutcomeUnknown"),
    Case("it never started", PENDING, gone(read()), Ending.LOST),
    Case("no events remain", RUNNING, gone(too_late()), Ending.DISRUPTED, "OutcomeUnknown"),
    Case("no events remain of what wasn't seen to start", PENDING, gone(too_late()),
         Ending.DISRUPTED, "OutcomeUnknown"),
    Case("the oldest events are gone, the last isn't",
         RUNNING, gone(too_late(GRACE + EXPIRY, job_end=COMPLETED)), Ending.SUCCEEDED, "OutputLost"),
    Case("it was seen to be deleted before it had a pod", PENDING, gone(Evidence(lost_its_job=True)), Ending.LOST),
    Case("it was seen to be deleted while it ran", RUNNING, gone(Evidence(lost_its_job=True)),
         Ending.DISRUPTED, "Disrupted"),
]  # fmt: skip

PROBED = [
    Case("it runs", RUNNING, Run(job(), (running_pod(has_deadly_probe=True),)), None),
    Case("it exited 0, nothing was read yet", RUNNING, Run(job(), (succeeded_pod(has_deadly_probe=True),)), None),
    Case("it did well", RUNNING, Run(job(), (succeeded_pod(has_deadly_probe=True),), read()), Ending.SUCCEEDED),
    Case("it was killed for its probe and exited 0",
         RUNNING,
         Run(job(), (succeeded_pod(has_deadly_probe=True),), read(fault=ReasonMessage("ProbeFailed", "HTTP 500"))),
         Ending.FAILED, "ProbeFailed"),
    Case("it failed", RUNNING, Run(job(), (failed_pod(has_deadly_probe=True),)), Ending.FAILED, "NonZeroExitCode"),
]  # fmt: skip

MARKED = [
    Case("a suspend evicted it, its Job is complete, nothing was read yet", HOLDING, Run(complete_job()), None),
    Case("a suspend evicted it and it exited 0", HOLDING, Run(complete_job(), (), read(stop="it was killed")),
         Ending.HELD),
    Case("a suspend was to evict it, and it ended by itself", HOLDING, Run(complete_job(), (), read()),
         Ending.SUCCEEDED, "OutputLost"),
    Case("a suspend evicted it, and no event remains", HOLDING, Run(complete_job(), (), too_late()), Ending.HELD),
    Case("a suspend evicted it, as its Job says", HOLDING, Run(disrupted_job()), Ending.HELD),
    Case("a suspend deleted its Job, which had no pod", HOLDING, gone(Evidence(lost_its_job=True)), Ending.HELD),
    Case("a suspend was to evict it, it ended by itself, and its Job is gone",
         HOLDING, gone(read(job_end=COMPLETED)), Ending.SUCCEEDED, "OutputLost"),
    Case("a suspend evicted it, all is gone, and nothing tells of it", HOLDING, gone(read()), Ending.HELD),
    Case("an interrupt stopped it, and somebody deleted its Job", STOPPING, gone(Evidence(lost_its_job=True)),
         Ending.INTERRUPTED),
    Case("an interrupt stopped it, and its Job is gone", STOPPING, NO_RUN, Ending.INTERRUPTED),
]  # fmt: skip

GROUPS = {
    "it has a probe": PROBED,
    "we were to stop it": MARKED,
    "the Job is Complete": JOB_COMPLETE,
    "the Job has Failed": JOB_FAILED,
    "the Job is gone": JOB_GONE,
}


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=f"{where}: {case.situation}") for where, cases in GROUPS.items() for case in cases],
)
def test_end_of_a_run_that_is_gone_is_told_when(case: Case) -> None:
    outcome = judge_run(TASK, case.entry, case.run)

    assert (None if outcome is None else outcome.ending) is case.ending
    assert (None if outcome is None else outcome.reason) == case.reason


# ── what is done about it ──


def step(runs: Runs, old: TaskStatus = RUNNING, wanted: Wanted = Wanted.RUN) -> Step:
    return take_step(OWNER, TASK, old, runs, wanted, NOON)


@pytest.mark.parametrize("wanted", Wanted)
@pytest.mark.parametrize("run", [NO_RUN, Run(complete_job()), Run(failed_job())], ids=["gone", "complete", "failed"])
def test_nothing_is_begun_before_events_are_read_when_a_run_is_gone(run: Run, wanted: Wanted) -> None:
    """A hold in particular leaves no mark: it would call held what may have succeeded."""
    done = step({1: run} if run != NO_RUN else {}, wanted=wanted)
    assert names_of(done.actions) == ["ReadEvidence"]
    assert (done.state, done.entry.phase, done.entry.holding) == (RunState.STOPPING, TaskPhase.RUNNING, None)


@pytest.mark.parametrize("wanted", Wanted)
def test_recorded_run_of_another_operator_is_looked_for_before_anything_is_done(wanted: Wanted) -> None:
    """Its Job may have been made, have succeeded and be gone."""
    done = step({1: gone(Evidence(is_found=True))}, RECORDED, wanted)
    assert (names_of(done.actions), done.entry.phase) == (["ReadEvidence"], TaskPhase.RECORDED)


def test_recorded_run_gets_its_job_when_no_event_tells_of_one() -> None:
    assert names_of(step({1: gone(too_late(is_found=True))}, RECORDED).actions) == ["CreateJob 1"]


def test_events_are_read_when_a_pod_exited_0_that_a_probe_may_have_killed() -> None:
    done = step({1: Run(job(), (succeeded_pod(has_deadly_probe=True),))})
    assert done.actions == (ReadEvidence("main", 1, job().name, "job-1", "report-pod", "main"),)
    assert done.entry.phase is TaskPhase.RUNNING


def test_what_the_ledger_kept_says_where_to_look() -> None:
    old = entry(TaskPhase.RUNNING, job_uid="job-1", pod="report-x")
    assert step({}, old).actions == (ReadEvidence("main", 1, job().name, "job-1", "report-x", "main"),)


def test_any_container_may_be_the_main_one_when_the_template_was_edited() -> None:
    (action,) = step({}, entry(TaskPhase.RUNNING, template_hash="other")).actions
    assert isinstance(action, ReadEvidence)
    assert action.main is None


def test_events_are_read_again_after_a_while_when_they_tell_nothing() -> None:
    just_read = step({1: gone(read(timedelta(0)))})
    assert (just_read.actions, just_read.recheck_at) == ((), after(5))
    long_ago = step({1: gone(read(timedelta(0), read_at=after(-5)))})
    assert names_of(long_ago.actions) == ["ReadEvidence"]


def test_next_run_waits_for_its_back_off_when_nobody_knows_how_the_last_one_ended() -> None:
    old = status(Phase.ACTIVE, RUNNING)
    decision, new = decide(workflow(old=old, runs={1: gone(too_late())}))
    task = task_in(new)
    assert (task.phase, task.reason, task.retry_at) == (TaskPhase.BACKING_OFF, "OutcomeUnknown", after(10))
    assert (task.failures, task.disruptions, task.disruptions_in_row) == (0, 1, 1)
    assert [event.reason for event in decision.events] == ["OutcomeUnknown"]


def test_lost_output_is_told_when_a_workflow_succeeded() -> None:
    old = status(Phase.ACTIVE, RUNNING)
    decision, new = decide(workflow(old=old, runs={1: gone(read(job_end=COMPLETED))}))
    assert (new.phase, new.output, task_in(new).reason) == (Phase.SUCCEEDED, None, "OutputLost")
    message = "run 1 succeeded; the output is lost: its pod was gone before it was read"
    assert condition_in(new, "Ready").message == message  # type: ignore[arg-type]
    assert [(event.type, event.reason) for event in decision.events] == [("Warning", "OutputLost")]


def test_resource_says_what_is_waited_for_when_a_run_is_gone() -> None:
    _, new = decide(workflow(old=status(Phase.ACTIVE, RUNNING), runs={}))
    message = "run 1 is over: its events are read to tell how it ended"
    assert condition_in(new, "Ready").message == message  # type: ignore[arg-type]


# ── what the ledger keeps of a run that isn't over ──


def test_names_are_kept_in_a_write_that_is_made_anyway() -> None:
    runs = {1: Run(job(), (running_pod(),))}
    _, new = decide(workflow(old=status(Phase.PENDING, PENDING), runs=runs))
    assert (task_in(new).job_uid, task_in(new).pod) == ("job-1", "report-pod")


def test_nothing_is_written_for_the_sake_of_a_name() -> None:
    observed = workflow(old=status(Phase.PENDING, PENDING), runs={1: Run(job())}, generation=1)
    _, old = decide(observed)
    assert old.tasks[0].job_uid == "job-1"
    again = workflow(old=old, runs={1: Run(job(), (pending_pod(),))}, generation=1)
    assert decide(again)[1] == old


def test_names_are_dropped_when_the_run_is_over() -> None:
    old = entry(TaskPhase.RUNNING, job_uid="job-1", pod="report-pod")
    for run in (Run(complete_job(), (succeeded_pod(),)), gone(too_late()), gone(Evidence(lost_its_job=True))):
        _, new = decide(workflow(old=status(Phase.ACTIVE, old), runs={1: run}))
        assert (task_in(new).job_uid, task_in(new).pod) == (None, None)
