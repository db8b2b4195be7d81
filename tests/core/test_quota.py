"""A quota of Jobs: those of runs that are recorded as over make room, the oldest first, one at a time."""

from __future__ import annotations

from dataclasses import replace

from mageflow.api import ConditionType, Phase, TaskPhase
from mageflow.core.decision import Decision, MakeRoom, key_of
from mageflow.core.observed import ObservedResource, Refusal, Run, Runs

from . import builders
from .builders import after, complete_job, condition_in, decide, failed_job, failed_pod, succeeded_pod, with_creations
from .many_builders import chain, chain_task, entry, of, one, status, swarm

QUOTA = 'jobs.batch "report-0" is forbidden: exceeded quota: few, requested: count/jobs.batch=1'
REFUSED = Refusal("Forbidden", QUOTA, retry_at=after(8), is_of_quota=True)
DONE = one(succeeded_pod(), complete_job())


def done(task: str, created: float) -> Runs:
    """A run that succeeded, with a Job created then."""
    return of(task, one(succeeded_pod(), complete_job(created_at=after(created))))


THREE = {"a": done("a", -10), "b": done("b", -30), "c": done("c", -20)}


def waiting(runs: dict[str, Runs], refusal: Refusal = REFUSED) -> ObservedResource:
    """A Chain whose last task waits for a quota, and the Jobs that are left of the others."""
    old = status(Phase.ACTIVE, [*(entry(name, TaskPhase.SUCCEEDED) for name in "abc"), entry("d", TaskPhase.RECORDED)])
    return with_creations(chain(tasks=map(chain_task, "abcd"), old=old, runs=runs, refusals={"d": refusal}))


def going(decision: Decision) -> list[str]:
    return [action.job.uid for action in decision.after if isinstance(action, MakeRoom)]


def test_oldest_success_makes_room_and_an_event_says_that_its_logs_go_with_it() -> None:
    decision, new = decide(waiting(THREE))

    assert going(decision) == ["b-1"]
    (event,) = decision.events
    assert (event.type, event.reason) == ("Normal", "JobDeletedForQuota")
    assert "the logs of run 1 of task b with it" in event.message
    assert condition_in(new, ConditionType.READY).reason == "Pending", "room is being made: nothing is wrong"


def test_no_other_makes_room_when_the_quota_may_not_know_yet_that_one_is_gone() -> None:
    decision, new = decide(replace(waiting(THREE), is_making_room=True))
    assert (going(decision), decision.recheck_at) == ([], after(8))
    assert condition_in(new, ConditionType.READY).reason == "Pending"


def test_failed_run_makes_room_when_no_success_is_left() -> None:
    old = builders.status(Phase.ACTIVE, builders.entry(TaskPhase.RECORDED, run=2, failures=1))
    runs = {1: Run(failed_job(), (failed_pod(),))}
    decision, _ = decide(with_creations(builders.workflow(old=old, runs=runs, retries=1, refusal=REFUSED)))
    assert going(decision) == ["job-1"]


def test_quota_is_named_when_no_job_is_left_to_make_room() -> None:
    decision, new = decide(waiting({}))

    assert going(decision) == []
    ready = condition_in(new, ConditionType.READY)
    assert (ready.status, ready.reason) == ("False", "Forbidden")
    assert ready.message == f"task d: {QUOTA}; no ended Job of this resource is left to make room"


def test_end_is_recorded_before_its_job_makes_room() -> None:
    old = status(Phase.ACTIVE, [entry("a", TaskPhase.RUNNING), entry("b", TaskPhase.RECORDED)])
    observed = with_creations(swarm(tasks="ab", old=old, runs={"a": DONE}, refusals={"b": REFUSED}))
    decision, new = decide(observed)
    assert (going(decision), condition_in(new, ConditionType.READY).reason) == ([], "Pending")
    later, _ = decide(builders.with_status(observed, new))
    assert len(going(later)) == 1


def test_next_one_makes_room_when_the_oldest_can_not_be_deleted() -> None:
    (action,) = (action for action in decide(waiting(THREE))[0].after if isinstance(action, MakeRoom))
    no = Refusal("StopRefused", "Job job-b-1 can't be deleted: no", retry_at=after(30))
    decision, _ = decide(replace(waiting(THREE), blocked={key_of(action): no}))
    assert going(decision) == ["c-1"]


def test_nothing_makes_room_for_another_quota() -> None:
    other = replace(REFUSED, message="exceeded quota: compute, requested: cpu=1", is_of_quota=False)
    decision, new = decide(waiting(THREE, other))
    assert going(decision) == []
    assert condition_in(new, ConditionType.READY).message == f"task d: {other.message}"


def test_nothing_makes_room_when_it_is_held() -> None:
    assert going(decide(replace(waiting(THREE), namespace_lifecycle="suspended"))[0]) == []
