"""A Job that the API server refuses, and a spec that can't be used: told on the resource, and never a loop."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from mageflow.api import ConditionType, Lifecycle, Phase, Status, TaskPhase, TaskStatus
from mageflow.core.decide import decide as decide_resource
from mageflow.core.decision import CreateJob, Decision
from mageflow.core.job_manifest import MAX_INPUT
from mageflow.core.observed import NO_RUNS, Creation, ObservedResource, Refusal, Run, Runs

from .builders import (
    NOON,
    ONE_RUNNING,
    TASK,
    after,
    condition_in,
    decide,
    entry,
    failed_job,
    failed_pod,
    job,
    names_of,
    pending_pod,
    status,
    suspended_job,
    task_in,
    under_way,
    with_status,
    workflow,
)

INVALID = Refusal("InvalidTask", "spec.template.spec.containers[0].image: Required value", True, after(360))
FORBIDDEN = Refusal("Forbidden", "team rule 7: every container needs limits", retry_at=after(30))
NAME_CONFLICT = Refusal("NameConflict", "Job report-1 exists and isn't ours", retry_at=after(30))
NOT_CREATED = Refusal("JobNotCreated", "500 InternalError: failed calling webhook", retry_at=after(30))
PASSING = replace(NOT_CREATED, is_passing=True)

RECORDED = status(Phase.PENDING, entry(TaskPhase.RECORDED))


def first_creation(decision: Decision) -> CreateJob:
    (action,) = decision.after
    assert isinstance(action, CreateJob)
    return action


FAILED: Runs = {1: Run(failed_job(), (failed_pod(),))}


each_refusal = pytest.mark.parametrize(
    "refusal", [INVALID, FORBIDDEN, NAME_CONFLICT, NOT_CREATED], ids=lambda refusal: refusal.reason
)


@each_refusal
def test_nothing_is_tried_and_the_reason_is_told_when_the_job_was_refused(refusal: Refusal) -> None:
    decision, new = decide(workflow(old=RECORDED, refusal=refusal))

    ready = condition_in(new, ConditionType.READY)
    assert (ready.status, ready.reason, ready.message) == ("False", refusal.reason, refusal.message)
    assert new.phase is Phase.PENDING
    assert decision.after == ()


@each_refusal
def test_first_run_is_recorded_when_it_was_refused(refusal: Refusal) -> None:
    """So that it can be tried again without a write: the ledger says why it can't start."""
    observed = replace(workflow(refusal=refusal), creations={"main": Creation(1, TASK.template_hash)})
    decision, new = decide(observed)

    assert (decision.before, decision.after, decision.recheck_at) == ((), (), refusal.retry_at)
    entry = task_in(new)
    assert (entry.phase, entry.run, entry.reason) == (TaskPhase.RECORDED, 1, refusal.reason)


@each_refusal
def test_refusal_is_told_until_it_passes_and_nothing_is_written_when_it_is_tried_again(refusal: Refusal) -> None:
    """Also by an operator that has just started: it tries at once, and says what the last one was told."""
    refused = workflow(old=RECORDED, refusal=refusal)
    _, new = decide(refused)
    for observed in (with_status(refused, new), replace(with_status(refused, new), refusals={})):
        decision, same = decide(observed, after(3600))
        assert names_of(decision.after) == ["CreateJob 1"]
        assert same == new
        in_flight = replace(observed, creations={"main": under_way(first_creation(decision), after(3600))})
        waiting, still = decide(in_flight, after(3600))
        assert (waiting.after, still) == ((), new)
    created = replace(with_status(refused, new), runs={"main": {1: Run(job())}}, refusals={})
    _, passed = decide(created)
    assert (task_in(passed).reason, task_in(passed).message) == (None, None)
    assert condition_in(passed, ConditionType.READY).reason == "Pending"


def test_server_error_is_not_told_when_it_may_be_over_at_the_next_try() -> None:
    decision, new = decide(workflow(old=RECORDED, refusal=PASSING))
    assert condition_in(new, ConditionType.READY).reason == "Pending"
    assert (task_in(new).reason, decision.recheck_at) == (None, after(30))


# ── the task is at fault, as far as can be told ──


def test_workflow_is_stalled_when_its_task_is_invalid() -> None:
    decision, new = decide(workflow(old=RECORDED, refusal=INVALID))

    assert condition_in(new, ConditionType.STALLED).reason == "InvalidTask"
    assert "Reconciling" not in {condition.type for condition in new.conditions}
    assert (task_in(new).phase, decision.recheck_at) == (TaskPhase.RECORDED, after(360))


def test_invalid_task_is_tried_again_when_the_spec_is_edited() -> None:
    refused = workflow(old=RECORDED, refusal=INVALID)
    _, new = decide(refused)
    edited = replace(with_status(refused, new), refusals={}, generation=refused.generation + 1)
    decision, edited_status = decide(edited)
    assert names_of(decision.after) == ["CreateJob 1"]
    assert condition_in(edited_status, ConditionType.READY).reason == "Pending"


# ── a creation that takes its time ──


def creating(began: float, lifecycle: Lifecycle = Lifecycle.ACTIVE, old: Status | None = RECORDED) -> ObservedResource:
    """A Workflow whose Job is being created since then."""
    creation = Creation(1, TASK.template_hash, after(began), after(began + 35))
    return replace(workflow(lifecycle, old), creations={"main": creation})


def test_first_run_is_recorded_when_its_creation_takes_more_than_a_second() -> None:
    assert decide_resource(creating(0, old=None), NOON) == Decision(recheck_at=after(1))
    decision, new = decide(creating(-1, old=None))

    assert (decision.before, decision.after) == ((), ())
    entry = task_in(new)
    assert (new.phase, entry.phase, entry.run) == (Phase.PENDING, TaskPhase.RECORDED, 1)
    assert entry.template_hash == TASK.template_hash


@pytest.mark.parametrize(
    ("began", "reason", "recheck"),
    [
        pytest.param(-9, "Pending", 1, id="nine seconds"),
        pytest.param(-10, "JobNotCreated", None, id="ten seconds"),
    ],
)
def test_creation_is_waited_for_and_told_when_it_takes_long(began: int, reason: str, recheck: int | None) -> None:
    decision, new = decide(creating(began))
    assert (decision.after, decision.recheck_at) == ((), None if recheck is None else after(recheck))
    assert condition_in(new, ConditionType.READY).reason == reason


@pytest.mark.parametrize("old", [None, RECORDED], ids=["unrecorded", "recorded"])
@pytest.mark.parametrize(
    ("lifecycle", "waits", "quiet"),
    [
        (Lifecycle.SUSPENDED, Phase.SUSPENDING, Phase.SUSPENDED),
        (Lifecycle.INTERRUPTED, Phase.INTERRUPTING, Phase.INTERRUPTED),
        (Lifecycle.CANCELED, Phase.INTERRUPTING, Phase.CANCELED),
    ],
)
def test_hold_waits_when_a_job_may_yet_come(
    lifecycle: Lifecycle, waits: Phase, quiet: Phase, old: Status | None
) -> None:
    """Nothing is quiet as long as a Job may come of a request: under way, or unanswered for less than it may take."""
    in_flight = creating(-60, lifecycle, old)
    unanswered = replace(in_flight, creations={"main": Creation(1, TASK.template_hash, None, after(1))})
    refused = replace(in_flight, creations={"main": Creation(1, TASK.template_hash)})
    for observed, recheck in ((in_flight, None), (unanswered, after(1))):
        decision, new = decide(observed)
        assert (new.phase, task_in(new).phase, task_in(new).run) == (waits, TaskPhase.RECORDED, 1)
        assert (decision.after, decision.recheck_at) == ((), recheck)
        assert "report-" in condition_in(new, ConditionType.READY).message
    for observed, now in ((unanswered, after(1)), (refused, NOON)):
        decision, new = decide(observed, now)
        assert (new.phase, task_in(new).phase, decision.after) == (quiet, TaskPhase.UNSTARTED, ())


def test_run_that_another_operator_recorded_is_created_when_it_may_run() -> None:
    observed = replace(workflow(old=RECORDED), creations={"main": Creation(1, ends_at=after(35))})
    assert names_of(decide(observed)[0].after) == ["CreateJob 1"]


def test_invalid_task_is_told_when_a_back_off_stands_before_it() -> None:
    """Else it would be waited for ever: the back-off ends, and no run starts."""
    old = status(Phase.ACTIVE, entry(TaskPhase.BACKING_OFF, retry_at=after(10)))
    observed = workflow(old=old, runs=FAILED, retries=1, input="x" * MAX_INPUT)
    for now in (NOON, after(10), after(60)):
        decision, new = decide(observed, now)
        assert condition_in(new, ConditionType.STALLED).reason == "InvalidTask"
        assert decision.after == ()
        assert task_in(new).failures == 1
        observed = with_status(observed, new)


# ── when it is tried again ──


@pytest.mark.parametrize(
    ("seconds", "actions"), [(-1, []), (0, ["CreateJob 1"])], ids=["not before its time", "when it is due"]
)
@each_refusal
def test_same_run_is_tried_again_when_it_is_due(refusal: Refusal, seconds: int, actions: list[str]) -> None:
    assert refusal.retry_at is not None
    decision, new = decide(workflow(old=RECORDED, refusal=refusal), refusal.retry_at + timedelta(seconds=seconds))

    assert names_of(decision.after) == actions
    assert decision.recheck_at == (None if actions else refusal.retry_at)
    assert (task_in(new).phase, task_in(new).run) == (TaskPhase.RECORDED, 1)
    assert ("Stalled" in {condition.type for condition in new.conditions}) is refusal.is_invalid


@pytest.mark.parametrize("lifecycle", [Lifecycle.SUSPENDED, Lifecycle.INTERRUPTED])
@pytest.mark.parametrize("refusal", [INVALID, FORBIDDEN], ids=lambda refusal: refusal.reason)
def test_workflow_is_held_when_its_job_was_refused(refusal: Refusal, lifecycle: Lifecycle) -> None:
    _, new = decide(workflow(lifecycle, RECORDED, refusal=refusal))
    assert condition_in(new, ConditionType.SUSPENDED).status == "True"


def test_refusal_is_forgotten_when_the_task_runs() -> None:
    _, new = decide(workflow(old=status(Phase.ACTIVE, entry(TaskPhase.RUNNING)), runs=ONE_RUNNING, refusal=FORBIDDEN))
    assert condition_in(new, ConditionType.READY).reason == "Running"


# ── the input ──


@pytest.mark.parametrize(
    ("size", "is_refused"),
    [
        pytest.param(MAX_INPUT - 2, False, id="as large as an environment variable may be"),
        pytest.param(MAX_INPUT - 1, True, id="a byte larger"),
    ],
)
def test_input_is_refused_when_no_environment_variable_holds_it(size: int, is_refused: bool) -> None:
    decision, new = decide(workflow(input="x" * size))

    ready = condition_in(new, ConditionType.READY)
    assert (ready.reason == "InvalidTask") is is_refused
    assert (decision.before == ()) is is_refused
    if is_refused:
        assert ready.message.startswith("spec.input: ")


def test_size_of_the_input_is_in_bytes_when_it_is_not_ascii() -> None:
    _, new = decide(workflow(input="é" * (MAX_INPUT // 2)))
    assert condition_in(new, ConditionType.READY).reason == "InvalidTask"


@pytest.mark.parametrize(("containers", "is_refused"), [(9, False), (12, True)])
def test_input_is_refused_when_the_job_gets_too_large_as_each_container_is_given_it(
    containers: int, is_refused: bool
) -> None:
    """The API server took the Workflow and could not store its Job: it was tried again for ever, without a word."""
    template = {"spec": {"containers": [{"name": f"c{number}", "image": "busybox"} for number in range(containers)]}}
    decision, new = decide(workflow(template=template, input="x" * (127 * 1024)))

    ready = condition_in(new, ConditionType.READY)
    assert ((ready.reason == "InvalidTask"), decision.before == ()) == (is_refused, is_refused)
    if is_refused:
        assert ready.message.startswith("spec.input: the Job takes 1,")
        assert "12 containers" in ready.message


def test_input_is_refused_when_it_is_nested_too_deeply() -> None:
    nested: object = None
    for _ in range(100_000):
        nested = [nested]
    _, new = decide(workflow(input=nested))
    assert condition_in(new, ConditionType.READY).message == "spec.input: it is nested too deeply"


def test_template_without_a_pod_is_left_to_the_api_server_to_refuse() -> None:
    decision, _ = decide(workflow(template={}))
    assert names_of(decision.before) == ["CreateJob 1"]


# ── a spec that can't be read ──


def unreadable(observed: ObservedResource) -> ObservedResource:
    return replace(observed, spec=None, problem="spec.retries: Input should be greater than or equal to 0")


@pytest.mark.parametrize(
    ("phase", "task", "runs"),
    [
        pytest.param(None, entry(run=0), NO_RUNS, id="new"),
        pytest.param(Phase.ACTIVE, entry(TaskPhase.RUNNING), ONE_RUNNING, id="running"),
        pytest.param(Phase.PENDING, entry(), NO_RUNS, id="resumed"),
    ],
)
def test_problem_is_told_and_nothing_done_when_the_spec_is_unreadable(
    phase: Phase | None, task: TaskStatus, runs: Runs
) -> None:
    old = status(phase, task)
    decision, new = decide(unreadable(workflow(old=old, runs=runs)))

    stalled = condition_in(new, ConditionType.STALLED)
    assert (stalled.reason, stalled.message) == (
        "InvalidTask",
        "spec.retries: Input should be greater than or equal to 0",
    )
    assert (new.phase, new.tasks) == (phase or Phase.PENDING, old.tasks)
    assert (decision.before, decision.after) == ((), ())
    assert [event.reason for event in decision.events] == ["InvalidTask"]


def test_task_starts_when_an_unreadable_spec_is_repaired() -> None:
    broken = unreadable(workflow())
    _, new = decide(broken)
    repaired = replace(workflow(generation=3), status=new)
    assert names_of(decide(repaired)[0].after) == ["CreateJob 1"]


# ── why a pod doesn't start ──


def test_reason_is_told_when_the_api_server_refuses_the_pod() -> None:
    waiting = job(missing_pod="pods is forbidden: exceeded quota", explained_at=NOON)
    decision, new = decide(workflow(old=status(Phase.PENDING, entry(TaskPhase.PENDING)), runs={1: Run(waiting)}))

    ready = condition_in(new, ConditionType.READY)
    assert (ready.reason, ready.message) == ("PodNotCreated", "pods is forbidden: exceeded quota")
    assert (decision.after, decision.recheck_at) == ((), after(30))


def test_suspension_is_told_when_somebody_else_suspends_the_job() -> None:
    decision, new = decide(
        workflow(old=status(Phase.PENDING, entry(TaskPhase.PENDING)), runs={1: Run(suspended_job())})
    )
    assert condition_in(new, ConditionType.READY).reason == "JobSuspended"
    assert (decision.after, decision.recheck_at) == ((), None)


@pytest.mark.parametrize(
    ("created", "explained", "actions", "recheck"),
    [
        pytest.param(-4, None, [], 1, id="not in its first seconds"),
        pytest.param(-5, None, ["ExplainMissingPod"], None, id="after five seconds"),
        pytest.param(-60, -29, [], 1, id="not again at once"),
        pytest.param(-60, -30, ["ExplainMissingPod"], None, id="again after half a minute"),
    ],
)
def test_job_is_asked_why_it_has_no_pod(
    created: int, explained: int | None, actions: list[str], recheck: int | None
) -> None:
    waiting = job(seen_at=after(created), explained_at=None if explained is None else after(explained))
    decision, _ = decide(workflow(old=status(Phase.PENDING, entry(TaskPhase.PENDING)), runs={1: Run(waiting)}))

    assert names_of(decision.after) == actions
    assert decision.recheck_at == (None if recheck is None else after(recheck))


def test_job_is_not_asked_why_when_its_pod_is_there() -> None:
    runs = {1: Run(job(), (pending_pod(),))}
    decision, _ = decide(workflow(old=status(Phase.PENDING, entry(TaskPhase.PENDING)), runs=runs))
    assert (decision.after, decision.recheck_at) == ((), None)
