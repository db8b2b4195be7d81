"""A stop always reaches its pods: what can't be understood, or is being deleted, starts nothing and can be stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from mageflow.api import MAIN_TASK, ConditionType, Lifecycle, Phase, Status, TaskPhase
from mageflow.core.decide import decide as decide_resource
from mageflow.core.decision import (
    Action,
    Decision,
    DeleteJob,
    DeletePod,
    EvictPod,
    ExplainMissingPod,
    HoldJob,
    StopJob,
)
from mageflow.core.observed import NO_RUNS, ObservedResource, Run, Runs

from . import many_builders as many
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
    with_runs,
    with_status,
    workflow,
)
from .test_many_properties import resources
from .test_properties import workflows

SUSPENDED, INTERRUPTED, CANCELED = Lifecycle.SUSPENDED, Lifecycle.INTERRUPTED, Lifecycle.CANCELED
PROBLEM = "spec.onSuccess: Extra inputs are not permitted"
RUNNING = status(Phase.ACTIVE, entry(TaskPhase.RUNNING))
PENDING = status(Phase.PENDING, entry(TaskPhase.PENDING))
STOPPED_JOB = suspended_job(is_stopped=True)


def unreadable(observed: ObservedResource) -> ObservedResource:
    """The resource with a spec of which only the lifecycle can be read."""
    return replace(observed, spec=None, problem=PROBLEM, lifecycle_alone=observed.lifecycle)


def stored(old: Status, **fields: Any) -> Status:
    """The status with other values stored in some fields, by their names in JSON."""
    return Status.read({**old.to_json(), **fields})


def edited(old: Status) -> Status:
    """A status that somebody has edited: when it started is no time."""
    return stored(old, startedAt="yesterday")


def newer(old: Status) -> Status:
    """A status whose phase is a word of a newer version."""
    return stored(old, phase="Waiting")


def with_task_phase(old: Status, phase: str, **fields: Any) -> Status:
    """A status whose one task's phase is a word of a newer version."""
    return stored(old, tasks=[{**task_in(old).to_json(), "phase": phase, **fields}])


# ── a spec that can't be read ──


@pytest.mark.parametrize(
    ("lifecycle", "label", "old", "runs", "actions", "phase"),
    [
        (INTERRUPTED, None, RUNNING, ONE_RUNNING, ["StopJob 1"], Phase.INTERRUPTING),
        (CANCELED, None, RUNNING, ONE_RUNNING, ["StopJob 1"], Phase.INTERRUPTING),
        (Lifecycle.ACTIVE, "interrupted", RUNNING, ONE_RUNNING, ["StopJob 1"], Phase.INTERRUPTING),
        (SUSPENDED, "interrupted", RUNNING, ONE_RUNNING, ["StopJob 1"], Phase.INTERRUPTING),
        (SUSPENDED, None, PENDING, ONE_PENDING, ["EvictPod"], Phase.SUSPENDING),
        (Lifecycle.ACTIVE, "suspended", PENDING, ONE_PENDING, ["EvictPod"], Phase.SUSPENDING),
        (SUSPENDED, None, RUNNING, ONE_RUNNING, [], Phase.ACTIVE),
        (Lifecycle.ACTIVE, None, RUNNING, ONE_RUNNING, [], Phase.ACTIVE),
        (INTERRUPTED, None, None, ONE_RUNNING, ["StopJob 1"], Phase.INTERRUPTING),
        (INTERRUPTED, None, status(Phase.ACTIVE, entry(TaskPhase.RECORDED)), NO_RUNS, [], Phase.INTERRUPTED),
        (CANCELED, None, status(Phase.ACTIVE, entry(TaskPhase.BACKING_OFF)), NO_RUNS, [], Phase.CANCELED),
    ],
    ids=[
        "interrupted while it runs",
        "canceled while it runs",
        "its namespace is interrupted",
        "its namespace is interrupted, and it is to be suspended",
        "suspended before it starts",
        "its namespace is suspended before it starts",
        "suspended while it runs",
        "active",
        "interrupted, and nothing is recorded",
        "interrupted before its Job is made",
        "canceled in a back-off",
    ],
)
def test_workflow_is_held_and_stopped_when_its_spec_is_unreadable(
    lifecycle: Lifecycle, label: str | None, old: Status | None, runs: Runs, actions: list[str], phase: Phase
) -> None:
    """A user's field of a newer version took the emergency stop away: nothing was done about such a resource."""
    observed = replace(unreadable(workflow(lifecycle, old, runs)), namespace_lifecycle=label)
    decision, new = decide(observed)
    assert names_of(decision.after) == actions
    assert decision.before == ()
    assert new.phase is phase
    assert new.observed_namespace_lifecycle == label
    assert PROBLEM in condition_in(new, ConditionType.READY).message


def test_unreadable_resource_comes_to_rest_when_it_is_interrupted() -> None:
    observed = unreadable(workflow(INTERRUPTED, RUNNING, ONE_RUNNING))
    _, new = decide(observed)
    assert task_in(new).phase is TaskPhase.STOPPING
    going = with_runs(with_status(observed, new), {1: Run(STOPPED_JOB, (terminating(running_pod()),))})
    _, new = decide(going)
    assert new.phase is Phase.INTERRUPTING
    quiet = with_runs(with_status(going, new), {1: Run(STOPPED_JOB)})
    decision, new = decide(quiet)
    assert (new.phase, names_of(decision.after)) == (Phase.INTERRUPTING, ["DeleteJob 1"])
    gone = with_runs(with_status(quiet, new), {})
    decision, new = decide(gone)
    assert (new.phase, task_in(new).interruptions, new.interruptions) == (Phase.INTERRUPTED, 1, 1)
    assert condition_in(new, ConditionType.CONSISTENT).status == "False"
    assert condition_in(new, ConditionType.SUSPENDED).status == "True"
    decision, again = decide(with_status(gone, new), after(60))
    assert (names_of(decision.after), again) == ([], new)


def test_run_counts_as_interrupted_when_the_spec_can_be_read_again() -> None:
    stopping = status(Phase.INTERRUPTING, entry(TaskPhase.STOPPING, started_at=EARLIER), INTERRUPTED)
    _, new = decide(unreadable(workflow(INTERRUPTED, stopping)))
    decision, new = decide(workflow(old=with_status(workflow(), new).status, generation=3))
    assert names_of(decision.after) == ["CreateJob 2"]
    assert task_in(new).interruptions == 1


@pytest.mark.parametrize(
    "run",
    [Run(failed_job(), (failed_pod(),)), Run(complete_job(), (succeeded_pod(),))],
    ids=["failed", "succeeded"],
)
@pytest.mark.parametrize("lifecycle", [SUSPENDED, INTERRUPTED])
def test_end_of_a_run_is_left_to_its_job_when_the_spec_that_judges_it_is_unreadable(
    lifecycle: Lifecycle, run: Run
) -> None:
    """Whether retries are left isn't known: with none assumed, an end that can't be undone would be recorded."""
    observed = unreadable(workflow(lifecycle, RUNNING, {1: run}))
    decision, new = decide(observed)
    assert (new.tasks, names_of(decision.after)) == (RUNNING.tasks, [])
    assert new.phase in (Phase.SUSPENDED, Phase.INTERRUPTED)


def test_every_task_is_stopped_when_the_spec_of_a_swarm_is_unreadable() -> None:
    entries = (many.compact("a"), many.entry("b", TaskPhase.RUNNING), many.entry("c", TaskPhase.PENDING))
    old = many.status(Phase.ACTIVE, entries)
    runs = {"b": many.RUNNING, "c": many.PENDING, "d": many.PENDING}
    decision, new = decide(unreadable(many.swarm(INTERRUPTED, old, runs)))
    assert many.names_of(decision.after) == ["StopJob b-1", "StopJob c-1", "StopJob d-1"]
    assert [task.name for task in new.tasks] == ["a", "b", "c", "d"]


# ── a status that can't be understood ──


@pytest.mark.parametrize(
    ("spoil", "reason"), [(edited, "InvalidStatus"), (newer, "UnknownPhase")], ids=["edited", "of a newer version"]
)
class TestStatusNotUnderstood:
    @pytest.mark.parametrize(
        "old",
        [
            status(Phase.PENDING),
            status(Phase.ACTIVE, entry(TaskPhase.RECORDED)),
            status(Phase.ACTIVE, entry(TaskPhase.BACKING_OFF, retry_at=EARLIER)),
            status(Phase.FAILED, entry(TaskPhase.FAILED, failures=3)),
        ],
        ids=["new", "a run is recorded", "a retry is due", "it has failed"],
    )
    def test_nothing_starts_and_the_reason_is_told(self, spoil: Any, reason: str, old: Status) -> None:
        spoiled = spoil(old)
        observed = workflow(old=spoiled, retries=9)
        decision = decide_resource(observed, NOON)
        if spoil is edited and old.phase is Phase.FAILED:
            assert decision.after == ()  # that it has ended can be read
            return
        assert (decision.before, decision.after) == ((), ())
        assert decision.status is not None
        assert condition_in(decision.status, ConditionType.STALLED).reason == reason
        assert [event.reason for event in decision.events] == [reason]
        written = decision.status.to_json()
        assert all(written[name] == spoiled.to_json()[name] for name in ("phase", "tasks"))
        again = decide_resource(replace(observed, status=Status.read(written)), after(60))
        assert (again.status, again.after, again.events) == (decision.status, (), ())

    @pytest.mark.parametrize("lifecycle", [INTERRUPTED, CANCELED])
    def test_it_is_stopped_when_asked_for(self, spoil: Any, reason: str, lifecycle: Lifecycle) -> None:
        spoiled = spoil(RUNNING)
        decision, new = decide(workflow(lifecycle, spoiled, ONE_RUNNING))
        assert names_of(decision.after) == ["StopJob 1"]
        assert task_in(new).phase is TaskPhase.STOPPING
        assert new.to_json()["phase"] == spoiled.to_json()["phase"]
        _, new = decide(workflow(lifecycle, Status.read(new.to_json()), {1: Run(STOPPED_JOB)}))
        _, new = decide(workflow(lifecycle, Status.read(new.to_json())))
        assert new.to_json()["phase"] == spoiled.to_json()["phase"]
        assert condition_in(new, ConditionType.STALLED).reason == reason
        assert task_in(new).interruptions == 1

    def test_it_is_held_when_asked_for(self, spoil: Any, reason: str) -> None:
        decision, new = decide(workflow(SUSPENDED, spoil(PENDING), ONE_PENDING))
        assert names_of(decision.after) == ["EvictPod"]
        assert (task_in(new).holding, condition_in(new, ConditionType.READY).reason) == (1, reason)


@pytest.mark.parametrize(
    ("lifecycle", "runs", "actions"),
    [(INTERRUPTED, ONE_RUNNING, ["StopJob 1"]), (SUSPENDED, ONE_PENDING, []), (Lifecycle.ACTIVE, ONE_PENDING, [])],
    ids=["stopped by its Job", "not held: its mark would be the ledger", "left alone"],
)
def test_only_a_stop_is_carried_out_when_the_ledger_is_unreadable(
    lifecycle: Lifecycle, runs: Runs, actions: list[str]
) -> None:
    spoiled = stored(RUNNING, tasks=[{"name": "main", "run": "one"}])
    decision, new = decide(workflow(lifecycle, spoiled, runs))
    assert names_of(decision.after) == actions
    assert new.to_json()["tasks"] == [{"name": "main", "run": "one"}]
    assert "status.tasks.0.run" in condition_in(new, ConditionType.READY).message


def test_what_ended_stays_ended_when_its_status_has_words_of_a_newer_version() -> None:
    """It became Active, and ran again: `lifecycleSource: parent` emptied the ledger."""
    ended = status(Phase.FAILED, entry(TaskPhase.FAILED, run=3, failures=3))
    old = stored(ended, lifecycle="paused", lifecycleSource="parent", outcome="Failed")
    decision, new = decide(workflow(old=old, retries=2))
    assert (decision.before, decision.after) == ((), ())
    assert (new.phase, task_in(new).failures) == (Phase.FAILED, 3)
    assert {"lifecycleSource": "parent", "outcome": "Failed"}.items() <= new.to_json().items()


def test_fields_of_a_newer_version_are_kept_when_the_status_is_built_anew() -> None:
    fields = {"checkpoint": {"step": 4}, "callback": None}
    old = stored(RUNNING, holders=[{"source": "parent"}], tasks=[{**task_in(RUNNING).to_json(), **fields}])
    condition = {"type": "CallbackFailed", "status": "True", "reason": "Failed", "observedGeneration": 1}
    old = stored(old, conditions=[{**condition, "lastTransitionTime": "2026-11-24T11:00:00Z"}])
    _, new = decide(workflow(INTERRUPTED, old, ONE_RUNNING))
    written = new.to_json()
    assert written["holders"] == [{"source": "parent"}]
    assert fields.items() <= written["tasks"][0].items()
    assert condition_in(new, "CallbackFailed").reason == "Failed"  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("task", "run"), [("a", Run(complete_job(), (succeeded_pod(),))), ("b", Run(failed_job(), (failed_pod(),)))]
)
def test_fields_of_a_newer_version_are_kept_when_a_swarm_makes_an_entry_small(task: str, run: Run) -> None:
    entries = [many.entry(name, TaskPhase.RUNNING).to_json() | {"results": name} for name in "ab"]
    old = stored(many.status(Phase.ACTIVE), tasks=entries)
    runs = dict.fromkeys("ab", many.RUNNING) | {task: {1: run}}
    _, new = decide(many.swarm(old=old, runs=runs))
    assert [entry["results"] for entry in new.to_json()["tasks"][:2]] == ["a", "b"]


# ── a task whose phase is of a newer version ──


@pytest.mark.parametrize(
    ("lifecycle", "runs", "actions", "phase"),
    [
        (Lifecycle.ACTIVE, NO_RUNS, [], Phase.PENDING),
        (Lifecycle.ACTIVE, ONE_RUNNING, [], Phase.ACTIVE),
        (SUSPENDED, NO_RUNS, [], Phase.SUSPENDED),
        (SUSPENDED, ONE_PENDING, ["EvictPod"], Phase.SUSPENDING),
        (SUSPENDED, {1: Run(job(), (evicted(pending_pod()),))}, [], Phase.SUSPENDING),
        (SUSPENDED, {1: Run(job())}, ["HoldJob 1"], Phase.SUSPENDING),
        (SUSPENDED, ONE_RUNNING, [], Phase.ACTIVE),
        (INTERRUPTED, NO_RUNS, [], Phase.INTERRUPTED),
        (INTERRUPTED, ONE_RUNNING, ["StopJob 1"], Phase.INTERRUPTING),
        (INTERRUPTED, {1: Run(STOPPED_JOB, (terminating(running_pod()),))}, [], Phase.INTERRUPTING),
        (INTERRUPTED, {1: Run(STOPPED_JOB)}, [], Phase.INTERRUPTED),
        (INTERRUPTED, {1: Run(None, (running_pod(),))}, ["DeletePod"], Phase.INTERRUPTING),
        (CANCELED, ONE_RUNNING, ["StopJob 1"], Phase.INTERRUPTING),
    ],
)
def test_task_is_left_alone_but_for_a_stop_when_its_phase_is_of_a_newer_version(
    lifecycle: Lifecycle, runs: Runs, actions: list[str], phase: Phase
) -> None:
    started = status(Phase.PENDING, entry(TaskPhase.PENDING, started_at=EARLIER if runs is ONE_RUNNING else None))
    decision, new = decide(workflow(lifecycle, with_task_phase(started, "Sleeping"), runs, retries=5))
    assert names_of(decision.after) == actions
    assert decision.before == ()
    assert (new.phase, task_in(new).phase) == (phase, "Sleeping")
    if lifecycle is Lifecycle.ACTIVE:
        stalled = condition_in(new, ConditionType.STALLED)
        assert (stalled.reason, "'Sleeping'" in stalled.message) == ("UnknownPhase", True)


def test_others_go_on_and_it_takes_no_place_when_a_task_of_a_swarm_is_of_a_newer_version() -> None:
    entries = [{"name": "a", "phase": "Skipped", "run": 1}]
    decision, new = decide(many.swarm(old=stored(many.status(Phase.ACTIVE), tasks=entries), tasks="abc", at_once=2))
    assert many.names_of(decision.after) == ["CreateJob b-1", "CreateJob c-1"]
    assert condition_in(new, ConditionType.STALLED).reason == "UnknownPhase"
    assert new.to_json()["tasks"][0] == entries[0]


def test_task_after_it_waits_when_a_task_of_a_chain_is_of_a_newer_version() -> None:
    entries = [{"name": "a", "phase": "Skipped", "run": 1}]
    decision, new = decide(many.chain(old=stored(many.status(Phase.ACTIVE), tasks=entries)))
    assert (decision.before, decision.after) == ((), ())
    assert new.phase is Phase.PENDING
    assert condition_in(new, ConditionType.STALLED).message.startswith("task a: its phase is 'Skipped'")


# ── being deleted ──


@pytest.mark.parametrize(
    ("lifecycle", "label", "run", "actions"),
    [
        (Lifecycle.ACTIVE, None, Run(job(), (running_pod(),)), []),
        (SUSPENDED, "suspended", Run(job(), (pending_pod(),)), []),
        (INTERRUPTED, None, Run(job(), (running_pod(),)), ["StopJob 1"]),
        (INTERRUPTED, None, Run(job(), (pending_pod(),)), ["StopJob 1"]),
        (INTERRUPTED, None, Run(job()), ["StopJob 1"]),
        (INTERRUPTED, None, Run(suspended_job()), ["DeleteJob 1"]),
        (CANCELED, None, Run(job(), (running_pod(),)), ["StopJob 1"]),
        (Lifecycle.ACTIVE, "interrupted", Run(job(), (running_pod(),)), ["StopJob 1"]),
        (INTERRUPTED, None, Run(None, (running_pod(),)), ["DeletePod"]),
        (INTERRUPTED, None, Run(None, (terminating(running_pod()),)), []),
        (INTERRUPTED, None, Run(STOPPED_JOB, (terminating(running_pod()),)), []),
        (INTERRUPTED, None, Run(failed_job(), (failed_pod(),)), []),
        (INTERRUPTED, None, Run(job(is_stopped=True), (running_pod(),)), ["DeleteJob 1"]),
    ],
)
@pytest.mark.parametrize("is_readable", [True, False], ids=["", "unreadable"])
def test_a_stop_alone_is_carried_out_when_it_is_being_deleted(
    lifecycle: Lifecycle, label: str | None, run: Run, actions: list[str], is_readable: bool
) -> None:
    """Somebody's finalizer may keep it for long, and its pods ran on whatever was asked."""
    observed = replace(workflow(lifecycle, RUNNING, {1: run}, is_terminating=True), namespace_lifecycle=label)
    decision = decide_resource(observed if is_readable else unreadable(observed), NOON)
    assert names_of(decision.after) == actions
    assert decision == Decision(after=decision.after)


# ── no status can be written ──


@pytest.mark.parametrize(
    ("action", "goes_ahead"),
    [
        (StopJob(job()), True),
        (DeletePod(running_pod()), True),
        (DeleteJob(job(is_stopped=True), in_foreground=True), True),
        (DeleteJob(complete_job()), False),
        (EvictPod(pending_pod()), False),
        (HoldJob(job()), False),
        (ExplainMissingPod(job()), False),
    ],
    ids=lambda action: type(action).__name__,
)
def test_only_a_stop_goes_ahead_when_the_status_cannot_be_written(action: Action, goes_ahead: bool) -> None:
    assert Decision(after=(action,)).stops == ((action,) if goes_ahead else ())


def test_run_counts_as_interrupted_when_only_its_job_knows_that_it_ran() -> None:
    """It was stopped while no status could be written, and the operator was started anew since."""
    old = status(Phase.PENDING, entry(TaskPhase.PENDING))
    observed = workflow(INTERRUPTED, old, {1: Run(replace(STOPPED_JOB, was_running=True))})
    decision, new = decide(observed)
    assert names_of(decision.after) == ["DeleteJob 1"]
    _, new = decide(with_runs(with_status(observed, new), NO_RUNS))
    assert (task_in(new).interruptions, condition_in(new, ConditionType.CONSISTENT).status) == (1, "False")


# ── whatever is seen ──

any_resource = st.one_of(resources(), workflows())


def is_to_be_stopped(observed: ObservedResource) -> bool:
    return {observed.lifecycle, observed.namespace_lifecycle} & {INTERRUPTED, CANCELED, "interrupted"} != set()


def check_reached(runs: Mapping[str, Runs], decision: Decision) -> None:
    """Check that no pod of them can run once the actions have been carried out."""
    jobs = {action.job.uid for action in decision.after if isinstance(action, StopJob)}
    pods = {action.pod.uid for action in decision.after if isinstance(action, DeletePod)}
    for run in (run for of_task in runs.values() for run in of_task.values()):
        is_stopped = run.job is not None and (run.job.uid in jobs or run.job.is_stopped)
        for pod in run.live_pods:
            assert is_stopped or pod.is_terminating or pod.uid in pods


def deletes_what_could_be_let_go(action: Action) -> bool:
    """A Job without a pod that somebody else suspended, or one of ours that somebody lets go: it would make a pod."""
    return isinstance(action, DeleteJob) and (
        (action.job.is_gated and action.job.is_suspension_in_force) or action.job.is_stop_undone
    )


@given(any_resource, st.sampled_from((None, "suspended", "interrupted")))
def test_nothing_but_a_stop_happens_when_it_is_being_deleted(observed: ObservedResource, label: str | None) -> None:
    observed = replace(observed, is_terminating=True, namespace_lifecycle=label)
    decision = decide_resource(observed, NOON)
    event(f"{len(decision.after)} actions")
    assert decision == Decision(after=decision.after)
    assert all(
        isinstance(action, StopJob | DeletePod) or deletes_what_could_be_let_go(action) for action in decision.after
    )
    if is_to_be_stopped(observed):
        check_reached(observed.runs, decision)
    else:
        assert decision.after == ()


@given(any_resource, st.sampled_from((unreadable, lambda it: replace(it, status=newer(it.status)))))
def test_nothing_starts_and_a_stop_is_carried_out_when_it_cannot_be_understood(
    observed: ObservedResource, spoil: Any
) -> None:
    observed = spoil(observed)
    decision = decide_resource(observed, NOON)
    assert not [action for action in (*decision.before, *decision.after) if type(action).__name__ == "CreateJob"]
    assert decision.status is not None
    again = decide_resource(replace(observed, status=Status.read(decision.status.to_json())), NOON)
    assert decision.before == again.before == ()
    event(f"{decision.status.phase}")


@given(workflows(INTERRUPTED, CANCELED), st.sampled_from(("Sleeping", "Recorded ", "")))
def test_every_pod_is_stopped_when_the_phase_of_its_task_is_of_a_newer_version(
    observed: ObservedResource, word: str
) -> None:
    entries = [{**(task.to_json()), "phase": word} for task in observed.status.tasks] or [{"name": MAIN_TASK}]
    phase = Phase.ACTIVE if observed.status.phase is not None else None
    observed = replace(observed, status=stored(observed.status, tasks=entries, **({"phase": phase} if phase else {})))
    if not observed.status.tasks[0].run:
        return
    decision = decide_resource(observed, NOON)
    check_reached(observed.runs, decision)
