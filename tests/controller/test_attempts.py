"""What is known of requests that were refused or aren't answered: how often, since when, and until when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from mageflow.api import WORKFLOW
from mageflow.controller.attempts import INVALID_PAUSE, LAST_SECONDS, LONGEST_PAUSE, Attempts
from mageflow.controller.caches import Caches
from mageflow.core.observed import Creation, ObservedResource, Refusal

from .clocks import StillClock
from .documents import UID, deleted, job, namespace, pod, resource

FORBIDDEN = Refusal("Forbidden", "exceeded quota: few, used: 2")
INVALID = Refusal("InvalidTask", "spec.template: Required value", is_invalid=True)
TROUBLE = Refusal("JobNotCreated", "500 InternalError", is_passing=True)
OF_QUOTA = Refusal("Forbidden", "exceeded quota: few", is_of_quota=True)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def caches(clock: StillClock) -> Caches:
    """Caches that know one Workflow, and its namespace."""
    caches = Caches(clock)
    caches.namespaces.upsert(namespace())
    caches.upsert_resource(WORKFLOW, resource())
    return caches


@pytest.fixture
def attempts(caches: Caches) -> Attempts:
    return caches.attempts_of(UID)


def seen(caches: Caches) -> ObservedResource:
    observed = caches.observe(UID)
    assert observed is not None
    return observed


def recorded(caches: Caches, run: int = 1, phase: str = "Recorded", version: int = 101) -> None:
    """Have the status say that a run is recorded."""
    task = {"name": "main", "phase": phase, "run": run}
    caches.upsert_resource(WORKFLOW, resource(version=version, status={"phase": "Pending", "tasks": [task]}))


# ── refusals ──


@pytest.mark.parametrize(
    ("refusal", "pauses"),
    [
        pytest.param(FORBIDDEN, [1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE], id="grows up to half a minute"),
        pytest.param(TROUBLE, [1, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE], id="so does a server's trouble"),
        pytest.param(INVALID, [INVALID_PAUSE, INVALID_PAUSE], id="six minutes where the task is at fault"),
    ],
)
def test_pause_grows_with_each_refusal(
    caches: Caches, attempts: Attempts, clock: StillClock, refusal: Refusal, pauses: list[float]
) -> None:
    for pause in pauses:
        attempts.refuse("main", 1, 1, refusal, clock.monotonic())
        assert seen(caches).refusals["main"].retry_at == clock.now() + timedelta(seconds=pause)


@pytest.mark.parametrize(
    ("retry_after", "pauses"),
    [
        pytest.param(None, [1, 2, 4, 8], id="it says nothing"),
        pytest.param(5.0, [5, 5, 5, 8], id="for longer than the pause"),
        pytest.param(0.0, [1, 2, 4, 8], id="not at all"),
    ],
)
def test_api_server_is_left_alone_for_as_long_as_it_says(
    caches: Caches, attempts: Attempts, clock: StillClock, retry_after: float | None, pauses: list[float]
) -> None:
    """A disruption budget that isn't counted yet refuses an eviction for ten seconds: it was tried after one."""
    for pause in pauses:
        attempts.refuse("main", 1, 1, TROUBLE, clock.monotonic(), retry_after)
        attempts.block("EvictPod pod-1", Refusal("EvictionRefused", "no"), clock.monotonic(), retry_after)
        due = clock.now() + timedelta(seconds=pause)
        assert seen(caches).refusals["main"].retry_at == due
        assert seen(caches).blocked["EvictPod pod-1"].retry_at == due


def test_api_server_is_left_alone_though_there_is_room_under_a_quota(
    caches: Caches, attempts: Attempts, clock: StillClock
) -> None:
    caches.upsert_job(job())
    attempts.refuse("main", 2, 1, OF_QUOTA, clock.monotonic(), 20.0)
    caches.delete_job(job(version=11))
    assert seen(caches).refusals["main"].retry_at == clock.now() + timedelta(seconds=20)


def test_cause_is_news_once_whatever_is_counted_in_it_and_whichever_job_it_names(attempts: Attempts) -> None:
    def refuse(task: str, message: str, reason: str = "Forbidden") -> bool:
        return attempts.refuse(task, 1, 1, Refusal(reason, message), 0.0)

    assert refuse("a", 'jobs "x-0123456789" is forbidden: used 2')
    assert not refuse("a", 'jobs "x-0123456789" is forbidden: used 3')
    assert not refuse("b", 'jobs "x-abcdef0123" is forbidden: used 3')
    assert refuse("a", "another policy")
    assert refuse("a", "another policy", "JobNotCreated")


def test_message_stays_as_it_was_first_said_when_only_numbers_in_it_change(caches: Caches, attempts: Attempts) -> None:
    """Else each try would be a write of the status."""
    attempts.refuse("main", 1, 1, FORBIDDEN, 0.0)
    attempts.refuse("main", 1, 1, Refusal("Forbidden", "exceeded quota: few, used: 3"), 0.0)
    assert seen(caches).refusals["main"].message == FORBIDDEN.message


def test_servers_trouble_is_told_when_it_lasts(caches: Caches, attempts: Attempts) -> None:
    told = []
    for _ in range(3):
        attempts.refuse("main", 1, 1, TROUBLE, 0.0)
        told.append(not seen(caches).refusals["main"].is_passing)
    assert told == [False, False, True]


def test_refusal_is_forgotten_when_the_spec_is_edited_or_the_job_created_or_another_run_recorded(
    caches: Caches, attempts: Attempts
) -> None:
    attempts.refuse("main", 1, 1, FORBIDDEN, 0.0)
    recorded(caches, run=1)
    assert set(seen(caches).refusals) == {"main"}
    recorded(caches, run=2, version=102)
    assert not seen(caches).refusals
    attempts.refuse("main", 2, 1, FORBIDDEN, 0.0)
    attempts.accept("main")
    assert not seen(caches).refusals
    attempts.refuse("main", 2, 1, FORBIDDEN, 0.0)
    caches.upsert_resource(WORKFLOW, resource(version=103, generation=2))
    assert not seen(caches).refusals


# ── what may come of a creation ──


def test_creation_is_known_from_its_begin_until_its_run_is_told_of(
    caches: Caches, attempts: Attempts, clock: StillClock
) -> None:
    noon = clock.now()
    attempts.begin("main", 1, "hash", clock.monotonic())
    clock.pass_time(2)
    ends_at = noon + timedelta(seconds=LAST_SECONDS)
    assert seen(caches).creations == {"main": Creation(1, "hash", noon, ends_at)}
    attempts.end("main", 1, may_come=False)
    assert seen(caches).creations == {"main": Creation(1, "hash")}
    recorded(caches)
    assert seen(caches).creations == {"main": Creation(1, "hash")}, "nobody else has asked for it"
    recorded(caches, phase="Pending", version=102)
    assert seen(caches).creations == {}


def test_job_may_come_for_as_long_as_a_request_may_take_when_none_was_answered_so_that_it_tells(
    caches: Caches, attempts: Attempts, clock: StillClock
) -> None:
    """Also if the next one is refused: it may overtake the one before."""
    ends_at = clock.now() + timedelta(seconds=LAST_SECONDS)
    attempts.begin("main", 1, "hash", clock.monotonic())
    clock.pass_time(1)
    attempts.end("main", 1, may_come=True)
    assert seen(caches).creations["main"].ends_at == ends_at
    attempts.begin("main", 1, "hash", clock.monotonic())
    attempts.end("main", 1, may_come=False)
    assert seen(caches).creations["main"] == Creation(1, "hash", None, ends_at)


def test_job_of_a_run_that_another_recorded_may_come_counted_from_when_that_was_seen(
    caches: Caches, attempts: Attempts, clock: StillClock
) -> None:
    recorded(caches)
    ends_at = clock.now() + timedelta(seconds=LAST_SECONDS)
    assert seen(caches).creations == {"main": Creation(1, ends_at=ends_at)}
    clock.pass_time(10)
    assert seen(caches).creations == {"main": Creation(1, ends_at=ends_at)}
    attempts.begin("main", 1, "hash", clock.monotonic())
    attempts.end("main", 1, may_come=False)
    assert seen(caches).creations["main"].ends_at == ends_at, "our own refusal says nothing of the other's request"


@pytest.mark.parametrize("is_recorded", [True, False])
def test_run_is_our_own_only_if_its_record_was_written(caches: Caches, attempts: Attempts, is_recorded: bool) -> None:
    attempts.record({("main", 1)})
    if not is_recorded:
        attempts.forget_own({("main", 1)})
    recorded(caches)
    assert bool(seen(caches).creations) is not is_recorded


def test_own_runs_are_anothers_too_when_that_may_have_acted_meanwhile(caches: Caches, attempts: Attempts) -> None:
    attempts.record({("main", 1)})
    recorded(caches)
    caches.begin_term()
    assert seen(caches).creations["main"].ends_at is not None


# ── room under a quota ──


def test_what_a_quota_refused_is_tried_soon_when_a_job_is_gone(
    caches: Caches, attempts: Attempts, clock: StillClock
) -> None:
    caches.upsert_job(job())
    for _ in range(5):
        attempts.refuse("main", 2, 1, OF_QUOTA, clock.monotonic())
    assert seen(caches).refusals["main"].retry_at == clock.now() + timedelta(seconds=16)
    caches.delete_job(job(version=11))
    assert seen(caches).refusals["main"].retry_at == clock.now() + timedelta(seconds=1)


def test_room_is_being_made_until_a_job_is_created_or_the_quota_should_know(
    caches: Caches, attempts: Attempts, clock: StillClock
) -> None:
    attempts.refuse("main", 2, 1, OF_QUOTA, clock.monotonic())
    for end in ("created", "late"):
        attempts.refuse("main", 2, 1, OF_QUOTA, clock.monotonic())
        attempts.make_room(clock.monotonic())
        assert seen(caches).is_making_room
        if end == "created":
            attempts.accept("main")
        else:
            clock.pass_time(10)
        assert not seen(caches).is_making_room


# ── stops ──


def test_refused_stop_is_told_until_it_passes_or_its_pod_is_gone(caches: Caches, attempts: Attempts) -> None:
    caches.upsert_pod(pod())
    for is_carried_out in (True, False):
        attempts.block("EvictPod pod-1", Refusal("EvictionRefused", "no"), 0.0)
        assert set(seen(caches).blocked) == {"EvictPod pod-1"}
        if is_carried_out:
            attempts.unblock("EvictPod pod-1")
        else:
            caches.delete_pod(pod(version=30))
        assert not seen(caches).blocked


def test_stop_is_not_made_twice_when_it_is_not_answered_and_told_when_that_takes_long(
    caches: Caches, attempts: Attempts, clock: StillClock
) -> None:
    attempts.act("EvictPod pod-1", "EvictionRefused", clock.monotonic())
    facts: list[Any] = []
    for seconds in (0, 9, 1, 20):
        clock.pass_time(seconds)
        blocked = seen(caches).blocked["EvictPod pod-1"]
        facts.append((blocked.is_passing, blocked.is_due(clock.now())))
    assert facts == [(True, False), (True, False), (False, False), (False, False)]
    attempts.end_act("EvictPod pod-1")
    assert not seen(caches).blocked


# ── one clock ──


@pytest.mark.parametrize("off", [-120.0, 120.0], ids=["behind", "ahead"])
def test_time_without_a_pod_counts_from_when_the_job_was_seen(caches: Caches, clock: StillClock, off: float) -> None:
    """It was counted from the Job's creationTimestamp: two minutes behind the API server, a suspend took 104 s."""
    clock.set(off)
    caches.upsert_job(job())
    clock.pass_time(4)
    (its_job,) = (run.job for run in seen(caches).runs_of("main").values())
    assert its_job is not None
    assert its_job.seen_at == clock.now() - timedelta(seconds=4)
    clock.set(off)
    (its_job,) = (run.job for run in seen(caches).runs_of("main").values())
    assert its_job is not None
    assert its_job.seen_at == clock.now() - timedelta(seconds=4), "though the clock is set meanwhile"


def test_reason_why_a_job_has_no_pod_is_told_with_the_job(caches: Caches, clock: StillClock) -> None:
    caches.upsert_job(job())
    caches.findings_of(UID).note_missing_pod("job-1", "exceeded quota")
    clock.pass_time(3)
    (its_job,) = (run.job for run in seen(caches).runs_of("main").values())
    assert its_job is not None
    assert (its_job.missing_pod, its_job.explained_at) == ("exceeded quota", clock.now() - timedelta(seconds=3))


def test_time_of_a_deletion_is_counted_from_when_it_was_seen(caches: Caches, clock: StillClock) -> None:
    going = deleted(pod())
    going["metadata"]["deletionGracePeriodSeconds"] = 30
    caches.upsert_pod(pod())
    clock.pass_time(60)
    caches.upsert_pod(going | {"metadata": going["metadata"] | {"resourceVersion": "30"}})
    clock.pass_time(10)
    caches.upsert_pod(going | {"metadata": going["metadata"] | {"resourceVersion": "40"}})
    (its_pod,) = seen(caches).runs_of("main")[1].pods
    assert its_pod.deletion_due == clock.now() + timedelta(seconds=20)
