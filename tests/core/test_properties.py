"""What holds for whatever is seen: any Jobs and pods, any ledger, any lifecycle. DESIGN section 1 is the source."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import product
from typing import Any

from hypothesis import assume, event, given
from hypothesis import strategies as st

from mageflow.api import (
    ENDED_PHASES,
    ENDED_TASKS,
    LABEL_RUN,
    MAIN_TASK,
    Lifecycle,
    Phase,
    Status,
    TaskPhase,
    TaskStatus,
)
from mageflow.core.decision import (
    Action,
    CreateJob,
    Decision,
    DeleteJob,
    DeletePod,
    EvictPod,
    ExplainMissingPod,
    HoldJob,
    StopJob,
)
from mageflow.core.ledger import MAX_DISRUPTIONS
from mageflow.core.observed import ObservedJob, ObservedPod, ObservedResource, ReasonMessage, Refusal, Run, Runs
from mageflow.core.run_state import is_cut_short_by_suspension

from .builders import (
    EARLIER,
    FRESH,
    NOON,
    after,
    decide_and_record,
    entry,
    failed_pod,
    job,
    pending_pod,
    refused_pod,
    status,
    succeeded_pod,
    unscheduled_pod,
    with_creations,
    with_first,
    with_status,
    workflow,
)

# ── anything that may be seen ──

moments = st.integers(-400, 400).map(after)


def _any_pod() -> Iterator[ObservedPod]:
    for phase, is_terminating, is_disrupted in product(
        ("Pending", "Running", "Succeeded", "Failed", "Unknown"), (False, True), (False, True)
    ):
        facts = {"phase": phase, "is_terminating": is_terminating, "is_disrupted": is_disrupted}
        facts |= {"deletion_due": after(-61) if is_disrupted else after(30)} if is_terminating else {}
        for has_started in (False, True):
            if not has_started and phase in ("Running", "Succeeded"):
                continue
            yield pending_pod(has_started=has_started, **facts)
        yield pending_pod(has_started=phase != "Pending", **facts)
        if phase == "Pending":
            yield unscheduled_pod(waiting=ReasonMessage("Unschedulable", "no node takes the pod"), **facts)
        if phase == "Succeeded":
            yield succeeded_pod(**facts | {"output": '{"rows": 3}'})
            yield succeeded_pod(**facts | {"output": "[NaN, 1e999]"})
        if phase == "Failed":
            for reason in ("Evicted", "DeadlineExceeded"):
                yield failed_pod(**facts | {"reason": reason, "message": "a message", "exit_code": None})
            yield refused_pod(**facts)


def _any_job() -> Iterator[ObservedJob]:
    ends: list[dict[str, Any]] = [{}, {"is_complete": True}]
    ends += [{"failure": ReasonMessage(reason, "a message")} for reason in ("BackoffLimitExceeded", "PodFailurePolicy")]
    suspensions = [{}, {"is_suspended": True}, {"is_suspended": True, "is_suspension_in_force": True}]
    for end, suspension, is_terminating in product(ends, suspensions, (False, True)):
        yield job(is_terminating=is_terminating, **end, **suspension)
    yield job(seen_at=NOON)
    yield job(missing_pod="pods is forbidden", explained_at=NOON)


any_job = st.sampled_from((None, *_any_job()))
any_pod = st.sampled_from(tuple(_any_pod()))
any_lifecycle = st.sampled_from(Lifecycle)
numbers_of_runs = st.sets(st.integers(1, 4), max_size=3)
no_pods_or_some, some_pods = (st.lists(any_pod, min_size=least, max_size=2) for least in (0, 1))


@st.composite
def _runs(draw: st.DrawFn) -> Runs:
    runs = {}
    for number in draw(numbers_of_runs):
        its_job = draw(any_job)
        its_pods = draw(some_pods if its_job is None else no_pods_or_some)
        runs[number] = Run(
            None if its_job is None else replace(its_job, name=f"report-{number}", uid=f"job-{number}"),
            tuple(replace(pod, uid=f"pod-{number}-{index}") for index, pod in enumerate(its_pods)),
        )
    return runs


a_few = st.integers(0, 3)
run_numbers = st.integers(1, 4)
yes_or_no = st.booleans()
disruptions = st.integers(0, MAX_DISRUPTIONS - 1)
phases_of_the_ledger = st.sampled_from(sorted(set(TaskPhase) - ENDED_TASKS))


@st.composite
def _ledgers(draw: st.DrawFn, phase: TaskPhase) -> TaskStatus:
    run = draw(run_numbers)
    facts: dict[str, Any] = {"job": "report-x", "started_at": EARLIER if draw(yes_or_no) else None}
    if phase is TaskPhase.UNSTARTED and draw(yes_or_no):
        facts["job"] = None  # given up as never made
    if phase is TaskPhase.STOPPING and draw(yes_or_no):
        facts["holding"] = run
    if phase is TaskPhase.BACKING_OFF:
        facts |= {"retry_at": draw(moments)} if draw(yes_or_no) else {"backoff_seconds": draw(a_few)}
    counts = {
        "failures": draw(a_few),
        "interruptions": draw(a_few),
        "disruptions": draw(a_few),
        "disruptions_in_row": draw(disruptions),
    }
    return entry(phase, run, **counts, **facts)


any_phase = st.sampled_from((None, *Phase))


@st.composite
def _statuses(draw: st.DrawFn) -> Status:
    """A status as we write it: the ledger says ended if and only if the phase does."""
    phase = draw(any_phase)
    if phase is None:
        return Status()
    if phase in (Phase.SUCCEEDED, Phase.FAILED):
        task = draw(_ledgers(TaskPhase(phase.value)))
    elif phase is not Phase.ACTIVE and draw(yes_or_no):
        task = FRESH
    else:
        task = draw(_ledgers(draw(phases_of_the_ledger)))
    return status(phase, task, draw(any_lifecycle), interruptions=task.interruptions)


any_runs, any_status = _runs(), _statuses()
any_refusal = st.sampled_from(
    (
        None,
        Refusal("InvalidTask", "a message", True, NOON),
        Refusal("Forbidden", "a message", False, NOON),
        Refusal("Forbidden", "a message", False, after(30)),
    )
)


@st.composite
def workflows(draw: st.DrawFn, *lifecycles: Lifecycle) -> ObservedResource:
    lifecycle = lifecycles[0] if len(lifecycles) == 1 else draw(any_lifecycle)
    assume(not lifecycles or lifecycle in lifecycles)
    return with_creations(
        workflow(lifecycle, draw(any_status), draw(any_runs), refusal=draw(any_refusal), retries=draw(a_few))
    )


# ── in the words of the promises ──


@dataclass(frozen=True)
class Case:
    """What was seen, and what was decided on it."""

    observed: ObservedResource
    decision: Decision

    @property
    def status(self) -> Status:
        assert self.decision.status is not None
        return self.decision.status

    @property
    def before(self) -> TaskStatus:
        return self.observed.status.tasks[0] if self.observed.status.tasks else FRESH

    @property
    def task(self) -> TaskStatus:
        (task,) = self.status.tasks or (FRESH,)
        return task

    @property
    def runs(self) -> Runs:
        return self.observed.runs_of(MAIN_TASK)

    @property
    def actions(self) -> tuple[Action, ...]:
        return (*self.decision.before, *self.decision.after)

    @property
    def creations(self) -> list[int]:
        return [
            int(action.manifest["metadata"]["labels"][LABEL_RUN])
            for action in self.actions
            if isinstance(action, CreateJob)
        ]

    @property
    def live_pods(self) -> list[ObservedPod]:
        return [pod for run in self.runs.values() for pod in run.live_pods]

    @property
    def has_ended_before(self) -> bool:
        return self.observed.status.phase in ENDED_PHASES


def consider(observed: ObservedResource, now: datetime = NOON) -> Case:
    case = Case(observed, decide_and_record(observed, now))
    event(f"{observed.status.phase} → {case.status.phase}")
    return case


def may_make_a_pod(run: Run) -> bool:
    """The Job controller may create a pod: the Job is unfinished, and has had none."""
    job = run.job
    return (
        job is not None
        and not run.pods
        and not job.has_ended
        and not job.is_terminating
        and not (job.is_suspended and job.is_suspension_in_force)
    )


def has_succeeded(pod: ObservedPod) -> bool:
    return pod.phase == "Succeeded" and not pod.is_terminating


# ── promise 1: a suspend never kills a started task ──


@given(workflows(Lifecycle.SUSPENDED))
def test_suspend_touches_nothing_that_has_started(observed: ObservedResource) -> None:
    case = consider(observed)
    assume(not case.has_ended_before and case.task.phase not in ENDED_TASKS)

    for action in case.actions:
        assert not isinstance(action, StopJob | DeletePod | CreateJob)
        if isinstance(action, EvictPod):
            assert not action.pod.has_started
        if isinstance(action, HoldJob):
            assert not case.runs[case.task.run].live_pods


@given(workflows(Lifecycle.SUSPENDED))
def test_mark_is_written_before_a_pod_is_evicted(observed: ObservedResource) -> None:
    """Unless the run's end is recorded already, by which its late pod changes nothing."""
    case = consider(observed)
    is_over = case.task.phase is TaskPhase.BACKING_OFF or is_cut_short_by_suspension(case.task)
    of_the_latest = () if is_over else case.runs.get(case.task.run, Run()).pods

    for action in case.actions:
        if is_over and isinstance(action, HoldJob):
            assert case.runs[case.task.run].job == action.job
        elif isinstance(action, HoldJob) or (isinstance(action, EvictPod) and action.pod in of_the_latest):
            assert case.task.holding == case.task.run


@given(workflows(Lifecycle.ACTIVE))
def test_active_stops_nothing_of_the_latest_run(observed: ObservedResource) -> None:
    """Unless somebody else had suspended it, and lets it go: it makes way for the next."""
    case = consider(observed)
    assume(
        not case.has_ended_before and case.task.phase not in ENDED_TASKS and not is_cut_short_by_suspension(case.task)
    )
    of_the_latest = case.runs.get(case.task.run, Run()).pods if case.task.phase is not TaskPhase.BACKING_OFF else ()

    for action in case.actions:
        assert not isinstance(action, StopJob | HoldJob | DeletePod)
        if isinstance(action, EvictPod):
            assert action.pod not in of_the_latest


@given(workflows())
def test_no_job_is_deleted_while_a_pod_of_it_can_run(observed: ObservedResource) -> None:
    case = consider(observed)
    for action in case.actions:
        if isinstance(action, DeleteJob):
            (run,) = [run for run in case.runs.values() if run.job == action.job]
            assert not run.live_pods


@given(workflows())
def test_nothing_is_stopped_twice(observed: ObservedResource) -> None:
    for action in consider(observed).actions:
        match action:
            case EvictPod(pod) | DeletePod(pod):
                assert pod.can_run
                assert not pod.is_terminating
            case StopJob(target) | DeleteJob(target) | HoldJob(target):
                assert not target.is_terminating
            case CreateJob() | ExplainMissingPod():
                pass


# ── promise 2: suspended means quiet ──


@given(workflows())
def test_held_is_said_only_when_nothing_runs_or_may_start(observed: ObservedResource) -> None:
    case = consider(observed)
    if case.has_ended_before or case.status.phase not in (Phase.SUSPENDED, Phase.INTERRUPTED, Phase.CANCELED):
        return
    assert case.live_pods == []
    assert case.creations == []
    for run in case.runs.values():
        if may_make_a_pod(run):
            assert DeleteJob(run.job) in case.actions  # type: ignore[arg-type]


@given(workflows(Lifecycle.SUSPENDED, Lifecycle.INTERRUPTED, Lifecycle.CANCELED))
def test_nothing_starts_while_held(observed: ObservedResource) -> None:
    assert consider(observed).creations == []


@given(workflows(Lifecycle.INTERRUPTED, Lifecycle.CANCELED))
def test_interrupt_leaves_no_pod_alone(observed: ObservedResource) -> None:
    """Each pod that can run is going, or is made to go by this decision."""
    case = consider(observed)
    stopped = [action.job for action in case.actions if isinstance(action, StopJob)]
    deleted = [action.pod for action in case.actions if isinstance(action, DeletePod)]
    latest = case.runs.get(case.task.run, Run())
    for number, run in case.runs.items():
        if any(pod.is_terminating for pod in run.live_pods) and run is latest:
            continue  # one at a time: two pods of a run are nothing that we make
        for pod in run.live_pods:
            is_going = pod.is_terminating or (run.job is not None and run.job.is_suspended)
            assert is_going or run.job in stopped or pod in deleted, number


# ── promise 3: nothing is lost, and nothing runs twice ──


@given(workflows())
def test_no_run_starts_once_the_task_has_succeeded(observed: ObservedResource) -> None:
    case = consider(observed)
    if case.before.phase is TaskPhase.SUCCEEDED or any(
        has_succeeded(pod) for run in case.runs.values() for pod in run.pods
    ):
        assert case.creations == []


@given(workflows())
def test_at_most_one_run_starts_and_only_when_no_pod_can_run(observed: ObservedResource) -> None:
    case = consider(observed)
    assert len(case.creations) <= 1
    if case.creations:
        assert case.live_pods == []


@given(workflows())
def test_run_numbers_go_up_and_none_is_used_again(observed: ObservedResource) -> None:
    case = consider(observed)
    assert case.task.run >= case.before.run
    for number in case.creations:
        assert number == case.task.run
        assert number not in case.runs
        assert number > case.before.run or case.before.phase is TaskPhase.RECORDED
        assert all(number > other for other in case.runs)


def was_stopped_by_us(case: Case) -> bool:
    """The latest run bears our mark, and nothing says that it got to its end by itself before."""
    before, run = case.before, case.runs.get(case.before.run, Run())
    if before.phase is not TaskPhase.STOPPING or max(case.runs, default=0) > before.run:
        return False
    has_ended_itself = any(not pod.is_terminating for pod in run.pods)
    is_interrupted = run.job is None or (run.job.is_suspended and not run.job.has_ended)
    return not has_ended_itself and (before.holding == before.run or is_interrupted)


@given(workflows())
def test_nothing_counts_against_the_task_when_we_stopped_it(observed: ObservedResource) -> None:
    case = consider(observed)
    if was_stopped_by_us(case):
        assert case.task.failures == case.before.failures
        assert case.task.disruptions == case.before.disruptions


@given(workflows())
def test_counts_never_go_down(observed: ObservedResource) -> None:
    case = consider(observed)
    assert case.task.failures >= case.before.failures
    assert case.task.interruptions >= case.before.interruptions
    assert case.task.failures + case.task.interruptions <= case.before.failures + case.before.interruptions + 1


@given(workflows())
def test_ended_phase_never_changes(observed: ObservedResource) -> None:
    case = consider(observed)
    if case.has_ended_before:
        assert (case.status.phase, case.task) == (observed.status.phase, case.before)
        assert (case.creations, case.decision.events) == ([], ())


# ── promise 5: level-triggered ──


def seen_next(case: Case) -> ObservedResource:
    """What is seen next if nothing happens but our own write of the status, and the creation of a first Job."""
    return with_status(with_first(case.observed, case.decision), case.status)


def was_suspended_by_somebody_else(case: Case) -> bool:
    its_job = case.runs.get(case.task.run, Run()).job
    return its_job is not None and its_job.is_suspended and case.before.phase is not TaskPhase.STOPPING


@given(workflows())
def test_second_decision_changes_nothing_when_nothing_else_does(observed: ObservedResource) -> None:
    first = consider(observed)
    if was_suspended_by_somebody_else(first):
        first = consider(seen_next(first))  # our mark on it comes first, the end of the run after
    second = consider(seen_next(first))

    assert second.status == first.status
    assert second.decision.events == ()
    assert second.creations == (first.creations if not first.decision.before else [])


@given(workflows())
def test_status_survives_when_written_and_read_back(observed: ObservedResource) -> None:
    new = consider(observed).status
    assert Status.model_validate(json.loads(json.dumps(new.to_json(), allow_nan=False))) == new


@given(workflows(), moments)
def test_look_again_is_asked_for_only_in_the_future(observed: ObservedResource, now: datetime) -> None:
    decision = consider(observed, now).decision
    assert decision.recheck_at is None or decision.recheck_at > now


@given(workflows())
def test_status_speaks_of_this_generation_and_counts_one_task(observed: ObservedResource) -> None:
    case = consider(observed)
    new = case.status
    assert {new.observed_generation, *(condition.observed_generation for condition in new.conditions)} == {
        observed.generation
    }
    if not case.has_ended_before:
        assert new.done + new.failed + new.running + new.pending == new.total == 1
