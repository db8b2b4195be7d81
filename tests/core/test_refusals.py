"""A Job that the API server refuses, and a spec that can't be used: told on the resource, and never a loop."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mageflow.api import ConditionType, Lifecycle, Phase, TaskPhase, TaskStatus
from mageflow.core.jobs import MAX_INPUT
from mageflow.core.observed import NO_RUNS, ObservedResource, Refusal, Run, Runs

from .builders import (
    NOON,
    ONE_RUNNING,
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
    with_status,
    workflow,
)

INVALID = Refusal("InvalidTask", "spec.template.spec.containers[0].image: Required value", True, NOON)
FORBIDDEN = Refusal("Forbidden", "exceeded quota: compute", False, after(30))
NAME_CONFLICT = Refusal("NameConflict", "Job report-1 exists and isn't ours", False, after(30))

RECORDED = status(Phase.PENDING, entry(TaskPhase.RECORDED))
FAILED: Runs = {1: Run(failed_job(), (failed_pod(),))}


@pytest.mark.parametrize("refusal", [INVALID, FORBIDDEN, NAME_CONFLICT], ids=lambda refusal: refusal.reason)
def test_nothing_is_tried_and_the_reason_is_told_when_the_job_was_refused(refusal: Refusal) -> None:
    decision, new = decide(workflow(old=RECORDED, refusal=refusal))

    ready = condition_in(new, ConditionType.READY)
    assert (ready.status, ready.reason, ready.message) == ("False", refusal.reason, refusal.message)
    assert new.phase is Phase.PENDING
    assert decision.actions == ()


def test_first_run_is_not_tried_again_when_it_was_refused() -> None:
    decision, new = decide(workflow(refusal=INVALID))

    assert (decision.first, decision.actions) == ((), ())
    assert (task_in(new).phase, task_in(new).run) == (TaskPhase.UNSTARTED, 0)


# ── final: only an edit helps ──


def test_workflow_is_stalled_when_the_refusal_is_final() -> None:
    decision, new = decide(workflow(old=RECORDED, refusal=INVALID))

    assert condition_in(new, ConditionType.STALLED).reason == "InvalidTask"
    assert "Reconciling" not in {condition.type for condition in new.conditions}
    assert (task_in(new).phase, decision.recheck_at) == (TaskPhase.UNSTARTED, None)


def test_invalid_task_is_remembered_when_the_operator_restarts() -> None:
    refused = workflow(old=RECORDED, refusal=INVALID)
    _, new = decide(refused)
    restarted = replace(with_status(refused, new), refusals={})
    decision, again = decide(restarted, after(3600))

    assert decision.actions == ()
    assert again == new


def test_invalid_task_is_tried_again_when_the_spec_is_edited() -> None:
    refused = workflow(old=RECORDED, refusal=INVALID)
    _, new = decide(refused)
    edited = replace(with_status(refused, new), refusals={}, generation=refused.generation + 1)
    assert names_of(decide(edited)[0].actions) == ["CreateJob 2"]


def test_invalid_task_is_told_when_a_back_off_stands_before_it() -> None:
    """Else it would be waited for ever: the back-off ends, and no run starts."""
    old = status(Phase.ACTIVE, entry(TaskPhase.BACKING_OFF, retry_at=after(10)))
    observed = workflow(old=old, runs=FAILED, retries=1, input="x" * MAX_INPUT)
    for now in (NOON, after(10), after(60)):
        decision, new = decide(observed, now)
        assert condition_in(new, ConditionType.STALLED).reason == "InvalidTask"
        assert decision.actions == ()
        assert task_in(new).failures == 1
        observed = with_status(observed, new)


# ── not final: it is tried again ──


@pytest.mark.parametrize(
    ("seconds", "actions"), [(29, []), (30, ["CreateJob 1"])], ids=["not before its time", "when it is due"]
)
def test_same_run_is_tried_again_when_the_refusal_may_pass(seconds: int, actions: list[str]) -> None:
    decision, new = decide(workflow(old=RECORDED, refusal=FORBIDDEN), after(seconds))

    assert names_of(decision.actions) == actions
    assert decision.recheck_at == (None if actions else after(30))
    assert (task_in(new).phase, task_in(new).run) == (TaskPhase.RECORDED, 1)
    assert "Stalled" not in {condition.type for condition in new.conditions}


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
    assert (decision.first == ()) is is_refused
    if is_refused:
        assert ready.message.startswith("spec.input: ")


def test_size_of_the_input_is_in_bytes_when_it_is_not_ascii() -> None:
    _, new = decide(workflow(input="é" * (MAX_INPUT // 2)))
    assert condition_in(new, ConditionType.READY).reason == "InvalidTask"


def test_input_is_refused_when_it_is_nested_too_deeply() -> None:
    nested: object = None
    for _ in range(100_000):
        nested = [nested]
    _, new = decide(workflow(input=nested))
    assert condition_in(new, ConditionType.READY).message == "spec.input: it is nested too deeply"


def test_template_without_a_pod_is_left_to_the_api_server_to_refuse() -> None:
    decision, _ = decide(workflow(template={}))
    assert names_of(decision.first) == ["CreateJob 1"]


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
    assert (decision.first, decision.actions) == ((), ())
    assert [event.reason for event in decision.events] == ["InvalidTask"]


def test_task_starts_when_an_unreadable_spec_is_repaired() -> None:
    broken = unreadable(workflow())
    _, new = decide(broken)
    repaired = replace(workflow(generation=3), status=new)
    assert names_of(decide(repaired)[0].actions) == ["CreateJob 1"]


# ── why a pod doesn't start ──


def test_reason_is_told_when_the_api_server_refuses_the_pod() -> None:
    waiting = job(missing_pod="pods is forbidden: exceeded quota", explained_at=NOON)
    decision, new = decide(workflow(old=status(Phase.PENDING, entry(TaskPhase.PENDING)), runs={1: Run(waiting)}))

    ready = condition_in(new, ConditionType.READY)
    assert (ready.reason, ready.message) == ("PodNotCreated", "pods is forbidden: exceeded quota")
    assert (decision.actions, decision.recheck_at) == ((), after(30))


def test_suspension_is_told_when_somebody_else_suspends_the_job() -> None:
    decision, new = decide(
        workflow(old=status(Phase.PENDING, entry(TaskPhase.PENDING)), runs={1: Run(suspended_job())})
    )
    assert condition_in(new, ConditionType.READY).reason == "JobSuspended"
    assert (decision.actions, decision.recheck_at) == ((), None)


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
    waiting = job(created_at=after(created), explained_at=None if explained is None else after(explained))
    decision, _ = decide(workflow(old=status(Phase.PENDING, entry(TaskPhase.PENDING)), runs={1: Run(waiting)}))

    assert names_of(decision.actions) == actions
    assert decision.recheck_at == (None if recheck is None else after(recheck))


def test_job_is_not_asked_why_when_its_pod_is_there() -> None:
    runs = {1: Run(job(), (pending_pod(),))}
    decision, _ = decide(workflow(old=status(Phase.PENDING, entry(TaskPhase.PENDING)), runs=runs))
    assert (decision.actions, decision.recheck_at) == ((), None)
