"""The status that is written: conditions and their times, output, what an ended resource keeps, and fixpoints."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from mageflow.api import Condition, ConditionType, Lifecycle, Phase, Status, TaskPhase
from mageflow.core.decide import decide as decide_resource
from mageflow.core.decision import Decision
from mageflow.core.observed import Evidence, ObservedPod, ObservedResource, ReasonMessage, Run, Runs
from mageflow.core.output import MAX_OUTPUT_DEPTH, OUTPUT_LIMIT, parse_output
from mageflow.core.trouble import NODE_PATIENCE

from .builders import (
    EARLIER,
    NOON,
    ONE_PENDING,
    ONE_RUNNING,
    after,
    complete_job,
    condition_in,
    decide,
    entry,
    evicted,
    failed_job,
    failed_pod,
    job,
    names_of,
    pending_pod,
    running_pod,
    status,
    succeeded_pod,
    suspended_job,
    task_in,
    terminating,
    unscheduled_pod,
    with_runs,
    with_status,
    workflow,
)
from .test_workflow_table import SCENES

ACTIVE, SUSPENDED, INTERRUPTED, CANCELED = Lifecycle

RUNNING = status(Phase.ACTIVE, entry(TaskPhase.RUNNING))
PENDING = status(Phase.PENDING, entry(TaskPhase.PENDING))


def succeed(output: str | None, limit: int = OUTPUT_LIMIT) -> Status:
    """The status once the task has succeeded with an output."""
    pod = succeeded_pod(output=output, output_limit=limit)
    _, new = decide(workflow(old=RUNNING, runs={1: Run(complete_job(), (pod,))}))
    return new


# ── output ──


@pytest.mark.parametrize(
    ("text", "output"),
    [
        pytest.param(None, None, id="none"),
        pytest.param("", None, id="empty"),
        pytest.param('{"rows": 3, "files": [null]}', {"rows": 3, "files": [None]}, id="an object"),
        pytest.param("42", 42, id="a number"),
        pytest.param("true", True, id="a boolean"),
        pytest.param("null", None, id="null"),
        pytest.param('"42"', "42", id="a string"),
        pytest.param("all done\n", "all done", id="text, without the newline at its end"),
        pytest.param("{broken", "{broken", id="text that begins like JSON"),
        pytest.param("é" * 9, "é" * 9, id="text that is not ASCII"),
        pytest.param("NaN", "NaN", id="NaN, which is no JSON"),
        pytest.param('{"loss": NaN}', '{"loss": NaN}', id="NaN inside"),
        pytest.param("[-Infinity]", "[-Infinity]", id="Infinity"),
        pytest.param("1e400", "1e400", id="a number that overflows"),
        pytest.param("9223372036854775807", 2**63 - 1, id="the largest integer of the API server"),
        pytest.param("9223372036854775808", "9223372036854775808", id="a larger one, which it would round"),
        pytest.param("9" * 4095, "9" * 4095, id="one that it would refuse"),
        pytest.param('"\\ud800"', "\ud800", id="half a surrogate pair"),
    ],
)
def test_output_is_json_where_it_can_be_when_the_task_succeeded(text: str | None, output: Any) -> None:
    new = succeed(text)

    assert new.output == output
    assert task_in(new).reason is None
    json.dumps(new.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("opening", "closing", "depth"),
    [("[", "]", MAX_OUTPUT_DEPTH + 1), ("[", "]", 500), ("[", "]", 2000), ('{"a":', "}", 600)],
)
def test_output_stays_text_when_it_is_nested_too_deeply(opening: str, closing: str, depth: int) -> None:
    text = opening * depth + "1" * (opening != "[") + closing * depth
    new = succeed(text)

    assert new.output == text
    assert new.to_json()["output"] == text


def test_output_is_json_when_it_is_nested_as_deeply_as_allowed() -> None:
    value, _ = parse_output("[" * MAX_OUTPUT_DEPTH + "]" * MAX_OUTPUT_DEPTH)
    assert isinstance(value, list)


WHOLE = '{"files":["' + "x" * (OUTPUT_LIMIT - 14) + '"]}'
assert len(WHOLE) == OUTPUT_LIMIT


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        pytest.param("x" * OUTPUT_LIMIT, OUTPUT_LIMIT, id="text"),
        pytest.param("1" * OUTPUT_LIMIT, OUTPUT_LIMIT, id="digits: a number as far as it goes"),
        pytest.param("é" * (OUTPUT_LIMIT // 2), OUTPUT_LIMIT, id="characters of two bytes"),
        pytest.param("é" * (OUTPUT_LIMIT // 2 - 1) + "x\ufffd", OUTPUT_LIMIT, id="a character was cut in two"),
        pytest.param(WHOLE[:3072], 3072, id="JSON, at the share of one of four containers"),
        pytest.param(WHOLE[-3072:], 3072, id="its end"),
        pytest.param("x" * 1536, 1536, id="text, at the share of one of eight"),
    ],
)
def test_output_is_marked_truncated_when_it_fills_the_termination_message(text: str, limit: int) -> None:
    new = succeed(text, limit)
    assert (new.output, task_in(new).reason) == (text, "OutputTruncated")
    assert f"{limit:,} bytes" in (task_in(new).message or "")
    ready = condition_in(new, ConditionType.READY)
    assert (ready.status, ready.reason) == ("True", "Succeeded")
    assert f"the kubelet keeps {limit:,} bytes" in ready.message


@pytest.mark.parametrize(
    "text",
    [WHOLE, WHOLE.replace("x", "", 1) + "\n", f"[{WHOLE.replace('xx', '', 1)}]"],
    ids=["object", "line", "array"],
)
def test_output_is_not_marked_truncated_when_it_is_whole_json(text: str) -> None:
    """At 4,096 bytes sharp it was said to be cut, which it can't have been."""
    new = succeed(text)
    assert (new.output, task_in(new).reason) == (json.loads(text), None)


def test_output_is_not_marked_truncated_when_it_is_short_of_the_limit() -> None:
    new = succeed("x" * 3071, 3072)
    assert (new.output, task_in(new).reason, task_in(new).message) == ("x" * 3071, None, None)
    assert condition_in(new, ConditionType.READY).message == "run 1 succeeded"


def test_output_is_not_a_failed_runs_when_the_next_succeeds() -> None:
    old = status(Phase.ACTIVE, entry(TaskPhase.RUNNING, run=2, failures=1))
    runs = {
        1: Run(failed_job(), (failed_pod(output="disk full"),)),
        2: Run(complete_job(2), (succeeded_pod(output="7"),)),
    }
    assert decide(workflow(old=old, runs=runs, retries=1))[1].output == 7


# ── conditions ──


def test_condition_that_is_as_it_was_is_the_same_object() -> None:
    """What is compared with itself, to find out whether the status is to be written, is compared at no cost."""
    runs = {1: Run(job(), (running_pod(),))}
    before = decide(workflow(old=RUNNING, runs=runs))[1]
    after = decide(workflow(old=before, runs=runs))[1]
    assert before.conditions
    assert all(now is was for now, was in zip(after.conditions, before.conditions, strict=True))


def test_conditions_are_all_told_in_order_when_it_runs() -> None:
    _, new = decide(workflow(old=RUNNING, runs=ONE_RUNNING))
    assert [condition.type for condition in new.conditions] == ["Ready", "Suspended", "Consistent"]


@pytest.mark.parametrize(
    ("run", "phase", "condition"),
    [
        pytest.param(Run(complete_job(), (succeeded_pod(),)), Phase.SUCCEEDED, "Complete", id="succeeded: Complete"),
        pytest.param(Run(failed_job(), (failed_pod(),)), Phase.FAILED, "Failed", id="failed: Failed"),
    ],
)
def test_end_is_told_as_in_a_job_when_it_has_ended(run: Run, phase: Phase, condition: str) -> None:
    _, new = decide(workflow(old=RUNNING, runs={1: run}))

    told = {condition.type for condition in new.conditions if condition.status == "True"}
    assert condition in told
    assert told.isdisjoint({"Complete", "Failed"} - {condition})
    assert (new.phase, new.finished_at) == (phase, NOON)


def test_counts_tell_the_end_when_it_has_ended() -> None:
    new = succeed(None)
    assert (new.done, new.failed, new.pending, new.running, new.progress) == (1, 0, 0, 0, "1/1")
    _, new = decide(workflow(old=RUNNING, runs={1: Run(failed_job(), (failed_pod(),))}))
    assert (new.done, new.failed, new.pending, new.running, new.progress) == (0, 1, 0, 0, "0/1")


@pytest.mark.parametrize("lifecycle", Lifecycle)
@pytest.mark.parametrize(
    ("run", "phase"),
    [(Run(complete_job(), (succeeded_pod(),)), Phase.SUCCEEDED), (Run(failed_job(), (failed_pod(),)), Phase.FAILED)],
    ids=["succeeded", "failed"],
)
def test_end_is_recorded_in_any_lifecycle(lifecycle: Lifecycle, run: Run, phase: Phase) -> None:
    assert decide(workflow(lifecycle, RUNNING, {1: run}))[1].phase is phase


def test_inconsistency_stays_told_when_resumed_and_ended() -> None:
    old = status(Phase.ACTIVE, entry(TaskPhase.RUNNING, run=2, interruptions=1), interruptions=1)
    runs = {2: Run(complete_job(2), (succeeded_pod(),))}
    for observed in (workflow(old=old, runs={2: Run(job(2), (running_pod(),))}), workflow(old=old, runs=runs)):
        consistent = condition_in(decide(observed)[1], ConditionType.CONSISTENT)
        assert (consistent.status, consistent.reason) == ("False", "InterruptedWhileRunning")


def test_consistent_is_true_when_only_a_pending_task_was_interrupted() -> None:
    old = status(Phase.INTERRUPTING, entry(TaskPhase.STOPPING), INTERRUPTED)
    _, new = decide(workflow(INTERRUPTED, old, {1: Run(suspended_job())}))
    assert condition_in(new, ConditionType.CONSISTENT).status == "True"


@pytest.mark.parametrize("lifecycle", Lifecycle)
@pytest.mark.parametrize("phase", SCENES, ids=lambda phase: phase or "no status yet")
def test_generation_is_told_by_status_and_conditions_alike(phase: Phase | None, lifecycle: Lifecycle) -> None:
    old, runs = SCENES[phase]
    _, new = decide(workflow(lifecycle, old, runs, generation=7))
    assert {new.observed_generation, *(condition.observed_generation for condition in new.conditions)} == {7}


@pytest.mark.parametrize("lifecycle", Lifecycle)
@pytest.mark.parametrize("phase", SCENES, ids=lambda phase: phase or "no status yet")
def test_time_of_a_condition_moves_when_its_status_does(phase: Phase | None, lifecycle: Lifecycle) -> None:
    old, runs = SCENES[phase]
    before = decide(workflow(ACTIVE, old, runs))[1]
    after_patch = decide(workflow(lifecycle, before, runs), after(60))[1]

    was = {condition.type: condition for condition in before.conditions}
    for condition in after_patch.conditions:
        earlier = was.get(condition.type)
        has_changed = earlier is None or earlier.status != condition.status
        expected = after(60) if has_changed or earlier is None else earlier.last_transition_time
        assert condition.last_transition_time == expected, condition


def test_time_stays_when_only_reason_and_message_change() -> None:
    old = decide(workflow(old=PENDING, runs=ONE_PENDING))[1]
    waiting = pending_pod(waiting=ReasonMessage("ImagePullBackOff", "image x can't be pulled"))
    new = decide(workflow(old=old, runs={1: Run(job(), (waiting,))}), after(60))[1]

    ready = condition_in(new, ConditionType.READY)
    assert (ready.reason, ready.last_transition_time) == ("ImagePullBackOff", NOON)


def test_cause_is_told_anew_when_the_first_one_is_mended() -> None:
    first, second = (
        {1: Run(job(), (unscheduled_pod(waiting=ReasonMessage("Unschedulable", why)),))}
        for why in ("no cpu", "no node")
    )
    old = decide(workflow(old=PENDING, runs=first))[1]
    new = decide(workflow(old=old, runs=second))[1]
    assert condition_in(new, ConditionType.READY).message == task_in(new).message == "no node"


NO_IMAGE = ReasonMessage("ImagePullBackOff", "container main: image x can't be pulled")


def test_trouble_is_in_the_ledger_when_the_task_waits_and_gone_when_it_runs() -> None:
    waiting = decide(workflow(old=PENDING, runs={1: Run(job(), (pending_pod(waiting=NO_IMAGE),))}))[1]
    running = decide(workflow(old=waiting, runs=ONE_RUNNING))[1]
    assert (task_in(waiting).reason, task_in(waiting).message) == (NO_IMAGE.reason, NO_IMAGE.message)
    assert (task_in(running).reason, task_in(running).message) == (None, None)


@pytest.mark.parametrize("lifecycle", [SUSPENDED, INTERRUPTED])
def test_trouble_is_forgotten_when_the_task_is_stopped(lifecycle: Lifecycle) -> None:
    runs: Runs = {1: Run(job(), (pending_pod(waiting=NO_IMAGE),))}
    waiting = decide(workflow(old=PENDING, runs=runs))[1]
    assert task_in(decide(workflow(lifecycle, waiting, runs))[1]).reason is None


def test_cause_of_a_failure_is_kept_when_a_pod_slipped_through() -> None:
    """What the task's latest run ended with was taken for what keeps a run from starting, and cleared."""
    old = status(Phase.ACTIVE, entry(TaskPhase.BACKING_OFF, run=2, retry_at=after(60)))
    new = decide(workflow(old=old, runs={1: Run(job(), (running_pod(),))}, retries=3))[1]
    assert (task_in(new).phase, task_in(new).reason) == (TaskPhase.BACKING_OFF, "NonZeroExitCode")


def test_container_that_still_runs_is_named_when_the_main_one_has_ended() -> None:
    new = decide(workflow(old=RUNNING, runs={1: Run(job(), (running_pod(lingering=("proxy",)),))}))[1]
    ready = condition_in(new, ConditionType.READY)
    what = "the main container has ended, still running: proxy; only a native sidecar is stopped then"
    assert (ready.status, ready.reason, ready.message) == ("True", "Running", f"run 1 is running; {what}")
    assert (task_in(new).reason, task_in(new).message) == ("ContainerStillRunning", what)


def test_start_of_the_hold_is_kept_when_it_becomes_stronger() -> None:
    old = decide(workflow(SUSPENDED))[1]
    assert decide(workflow(INTERRUPTED, old), after(60))[1].suspended_at == NOON
    resumed = decide(workflow(ACTIVE, old), after(60))[1]
    assert resumed.suspended_at is None
    assert decide(workflow(SUSPENDED, resumed), after(90))[1].suspended_at == after(90)


# ── why a hold takes its time ──


@pytest.mark.parametrize(
    ("pod", "lifecycle", "phase"),
    [
        (evicted(pending_pod()), SUSPENDED, Phase.SUSPENDING),
        (terminating(running_pod()), INTERRUPTED, Phase.INTERRUPTING),
    ],
)
def test_node_is_named_when_it_does_not_confirm_that_the_pod_is_gone(
    pod: ObservedPod, lifecycle: Lifecycle, phase: Phase
) -> None:
    holding = 1 if lifecycle is SUSPENDED else None
    old = status(phase, entry(TaskPhase.STOPPING, holding=holding), lifecycle)
    observed = workflow(lifecycle, old, {1: Run(job(is_suspended=holding is None), (pod,))})
    assert pod.deletion_due is not None
    deadline = pod.deletion_due + NODE_PATIENCE

    decision, early = decide(observed, deadline - timedelta(seconds=1))
    assert condition_in(early, ConditionType.READY).reason == phase.value
    assert condition_in(early, ConditionType.READY).message == "waiting for pods to end: report-pod"
    assert decision.recheck_at == deadline

    decision, late = decide(observed, deadline)
    ready = condition_in(late, ConditionType.READY)
    assert (late.phase, ready.reason) == (phase, "NodeUnreachable")
    assert "report-pod" in ready.message
    assert "node-1" in ready.message
    assert decision.recheck_at is None

    counted_anew = replace(pod, deletion_due=deadline + timedelta(seconds=30))
    observed = with_runs(with_status(observed, late), {1: Run(job(is_suspended=holding is None), (counted_anew,))})
    _, same = decide(observed, deadline)
    assert same == late, "an operator that has just started takes nothing back"


# ── ended: nothing of it changes ──

ENDED = (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELED)


@pytest.mark.parametrize("lifecycle", Lifecycle)
@pytest.mark.parametrize("phase", ENDED)
def test_only_the_generation_changes_when_an_ended_workflow_is_edited(phase: Phase, lifecycle: Lifecycle) -> None:
    old, runs = SCENES[phase]
    assert old is not None
    decision, new = decide(workflow(lifecycle, old, runs, generation=5, retries=3), after(3600))

    def without_generation(written: Status) -> Status:
        conditions = tuple(condition.model_copy(update={"observed_generation": 0}) for condition in written.conditions)
        return written.model_copy(update={"observed_generation": None, "conditions": conditions})

    assert without_generation(new) == without_generation(old)
    assert new.observed_generation == 5
    assert (decision.before, decision.after, decision.events, decision.recheck_at) == ((), (), (), None)


@pytest.mark.parametrize("phase", ENDED)
def test_nothing_is_written_when_an_ended_workflow_is_seen_again(phase: Phase) -> None:
    old, runs = SCENES[phase]
    assert decide(workflow(CANCELED, old, runs, generation=1))[1] == old


@pytest.mark.parametrize("phase", ENDED)
@pytest.mark.parametrize(
    ("run", "actions"),
    [
        pytest.param(Run(job(), (pending_pod(),)), ["StopJob 1"], id="its Job turned up"),
        pytest.param(Run(pods=(running_pod(),)), ["DeletePod"], id="a pod without a Job"),
        pytest.param(Run(pods=(terminating(running_pod()),)), [], id="a pod that is going"),
        pytest.param(
            Run(job(is_suspended=True, is_stopped=True), (running_pod(),)), [], id="its Job is stopped already"
        ),
        pytest.param(Run(job(is_suspended=True), (running_pod(),)), ["StopJob 1"], id="somebody else suspends its Job"),
        pytest.param(
            Run(suspended_job()), ["DeleteJob 1"], id="somebody else has suspended its Job, and can let it go"
        ),
    ],
)
def test_pod_is_stopped_when_it_turns_up_after_the_end(phase: Phase, run: Run, actions: list[str]) -> None:
    """A CreateJob without an answer, or a pod that slipped through a hold, and then a cancel."""
    old, _ = SCENES[phase]
    assert names_of(decide(workflow(old=old, runs={1: run}))[0].after) == actions


def test_nothing_is_done_when_it_is_being_deleted_and_no_stop_is_asked_for() -> None:
    for phase, lifecycle in product(SCENES, (Lifecycle.ACTIVE, Lifecycle.SUSPENDED)):
        old, runs = SCENES[phase]
        assert decide_resource(workflow(lifecycle, old, runs, is_terminating=True), NOON) == Decision()


# ── level-triggered: a decision carried out needs no other ──


def seen_again(observed: ObservedResource, new: Status, created: bool) -> ObservedResource:
    """What is observed next, if all that happens is the write of the status, and the first Job's creation."""
    if created:
        observed = workflow(observed.spec.lifecycle if observed.spec else ACTIVE, runs={1: Run(job(seen_at=NOON))})
    return with_status(observed, new)


@pytest.mark.parametrize("lifecycle", Lifecycle)
@pytest.mark.parametrize("phase", SCENES, ids=lambda phase: phase or "no status yet")
def test_status_is_final_when_nothing_else_changes(phase: Phase | None, lifecycle: Lifecycle) -> None:
    old, runs = SCENES[phase]
    observed = workflow(lifecycle, old, runs)
    decision, new = decide(observed)
    again, same = decide(seen_again(observed, new, bool(decision.before)), after(1))

    assert same == new
    assert again.events == ()
    assert set(names_of(again.after)) <= set(names_of(decision.after))


# ── events: on transitions of the lifecycle and on failures, not on progress ──


def events_of(observed: ObservedResource) -> list[str]:
    return [f"{event.type} {event.reason}" for event in decide(observed)[0].events]


DRAINED: Runs = {1: Run(job(), (evicted(succeeded_pod()),))}
FAILED: Runs = {1: Run(failed_job(), (failed_pod(),))}
HOLDING = status(Phase.SUSPENDING, entry(TaskPhase.STOPPING, holding=1), SUSPENDED)
STOPPING = status(Phase.INTERRUPTING, entry(TaskPhase.STOPPING), INTERRUPTED)
HELD = status(Phase.SUSPENDED, entry(), SUSPENDED)
GONE: Runs = {1: Run(evidence=Evidence(lost_its_job=True))}


@pytest.mark.parametrize(
    ("observed", "events"),
    [
        pytest.param(workflow(), [], id="created"),
        pytest.param(workflow(old=PENDING, runs=ONE_RUNNING), [], id="started"),
        pytest.param(workflow(old=RUNNING, runs={1: Run(complete_job(), (succeeded_pod(),))}), [], id="succeeded"),
        pytest.param(workflow(SUSPENDED, PENDING, ONE_PENDING), [], id="suspending"),
        pytest.param(workflow(INTERRUPTED, RUNNING, ONE_RUNNING), [], id="interrupting"),
        pytest.param(workflow(SUSPENDED, HOLDING, GONE), ["Normal Suspended"], id="suspended"),
        pytest.param(workflow(SUSPENDED), ["Normal Suspended"], id="created suspended"),
        pytest.param(workflow(INTERRUPTED, STOPPING, GONE), ["Normal Interrupted"], id="interrupted"),
        pytest.param(workflow(CANCELED, STOPPING, GONE), ["Normal Canceled"], id="canceled"),
        pytest.param(workflow(ACTIVE, HELD), ["Normal Resumed"], id="resumed"),
        pytest.param(workflow(SUSPENDED, HELD), [], id="still suspended"),
        pytest.param(
            workflow(SUSPENDED, RUNNING, ONE_RUNNING), ["Warning TaskAlreadyRunning"], id="suspended while it runs"
        ),
        pytest.param(workflow(old=RUNNING, runs=FAILED), ["Warning Failed"], id="failed"),
        pytest.param(
            workflow(old=RUNNING, runs=FAILED, retries=1), ["Warning NonZeroExitCode"], id="failed, a retry follows"
        ),
        pytest.param(workflow(old=RUNNING, runs=DRAINED), ["Warning Disrupted"], id="drained"),
        pytest.param(
            workflow(SUSPENDED, RUNNING, FAILED, retries=1),
            ["Warning NonZeroExitCode", "Normal Suspended"],
            id="failed while suspended",
        ),
        pytest.param(
            workflow(old=PENDING, runs={1: Run(job(), (pending_pod(waiting=ReasonMessage("ImagePullBackOff", "x")),))}),
            ["Warning ImagePullBackOff"],
            id="its image can't be pulled",
        ),
    ],
)
def test_event_is_made_when(observed: ObservedResource, events: list[str]) -> None:
    assert events_of(observed) == events


def test_event_is_made_once_when_the_reason_stays() -> None:
    observed = workflow(SUSPENDED, RUNNING, ONE_RUNNING)
    new = decide(observed)[1]
    assert events_of(with_status(observed, new)) == []


# ── what others wrote is read, and survives or not ──


def test_first_run_is_recorded_as_pending_when_its_job_is_created_before_the_status() -> None:
    decision, new = decide(workflow())
    assert names_of(decision.before) == ["CreateJob 1"]
    assert (decision.after, task_in(new).phase) == ((), TaskPhase.PENDING)


@pytest.mark.parametrize("lifecycle", [SUSPENDED, INTERRUPTED, CANCELED])
def test_no_job_is_made_when_created_held(lifecycle: Lifecycle) -> None:
    decision, new = decide(workflow(lifecycle))
    assert (decision.before, decision.after) == ((), ())
    assert task_in(new).run == 0


def test_run_is_written_ahead_when_there_is_a_status() -> None:
    decision, new = decide(workflow(ACTIVE, HELD))
    assert decision.before == ()
    assert names_of(decision.after) == ["CreateJob 2"]
    assert (task_in(new).phase, task_in(new).run) == (TaskPhase.RECORDED, 2)


def test_ledger_of_a_task_is_kept_when_the_spec_has_it_no_more() -> None:
    old = status(Phase.PENDING, tasks=(entry(TaskPhase.PENDING).model_copy(update={"name": "other"}),))
    assert [task.name for task in decide(workflow(old=old))[1].tasks] == ["main", "other"]


def test_conditions_of_the_old_status_do_not_pile_up() -> None:
    stale = Condition(
        type=ConditionType.STALLED,
        status="True",
        observed_generation=1,
        last_transition_time=EARLIER,
        reason="InvalidTask",
    )
    old = PENDING.model_copy(update={"conditions": (stale,)})
    assert "Stalled" not in {condition.type for condition in decide(workflow(old=old, runs=ONE_PENDING))[1].conditions}
