"""What is known of every resource: the newest of each object, and nothing older than our own writes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mageflow.api import WORKFLOW
from mageflow.controller.caches import Caches
from mageflow.controller.object_store import REMEMBERED_DELETIONS
from mageflow.core.observed import NO_RUN, Evidence, ObservedResource, Refusal, Run
from mageflow.core.run_result import has_succeeded

from .clocks import StillClock
from .documents import UID, Raw, condition, deleted, ended, job, namespace, pod, resource, running

FORBIDDEN = Refusal("Forbidden", "exceeded quota")


@pytest.fixture
def caches() -> Caches:
    """Caches that know one Workflow, and its namespace."""
    caches = Caches()
    caches.namespaces.upsert(namespace())
    caches.namespaces.take_changed("team")
    caches.upsert_resource(WORKFLOW, resource())
    return caches


def seen(caches: Caches, uid: str = UID) -> ObservedResource:
    observed = caches.observe(uid)
    assert observed is not None
    return observed


def run_of(caches: Caches, number: int = 1) -> Run:
    return seen(caches).runs_of("main")[number]


def recorded(phase: str) -> Raw:
    """The Workflow, as our own write has left it: its ledger has run 1 in this phase."""
    return resource(version=101, status={"phase": "Active", "tasks": [{"name": "main", "phase": phase, "run": 1}]})


# ── what the watches don't tell ──


def test_children_are_read_when_a_request_got_no_answer(caches: Caches) -> None:
    caches.findings_of(UID).mark_stale()
    assert caches.take_stale(UID)
    assert not caches.take_stale(UID), "once"


@pytest.mark.parametrize("end", ["gone", "complete", "stopped"])
def test_children_are_read_when_a_run_is_over_and_its_pod_was_never_seen(caches: Caches, end: str) -> None:
    caches.upsert_job(job())
    assert not caches.take_stale(UID), "its pod may yet be made"
    match end:
        case "gone":
            caches.delete_job(job())
        case "complete":
            caches.upsert_job(job(version=11, status={"conditions": [{"type": "Complete", "status": "True"}]}))
        case "stopped":
            caches.upsert_job(job(version=11, status={"conditions": [{"type": "Suspended", "status": "True"}]}))
    assert caches.take_stale(UID)


def test_no_children_are_read_when_the_pod_of_the_run_is_known(caches: Caches) -> None:
    caches.upsert_pod(pod())
    caches.upsert_job(job())
    caches.upsert_job(job(version=11, status={"conditions": [{"type": "Complete", "status": "True"}]}))
    caches.delete_job(job(version=12))
    assert not caches.take_stale(UID)


def test_no_children_are_read_at_the_start_when_jobs_are_told_of_before_their_resource() -> None:
    """Of a resource that has ended its Jobs stay, and their pods may be gone: nothing is left to be found out."""
    caches = Caches()
    caches.upsert_job(job(status={"conditions": [{"type": "Complete", "status": "True"}]}))
    caches.upsert_resource(WORKFLOW, resource(status={"tasks": [{"name": "main", "phase": "Succeeded", "run": 1}]}))
    assert not caches.take_stale(UID)


def test_no_children_are_read_when_the_end_of_the_run_is_recorded(caches: Caches) -> None:
    task = {"name": "main", "phase": "Unstarted", "run": 1}
    caches.upsert_resource(WORKFLOW, resource(version=101, status={"tasks": [task]}))
    caches.upsert_job(job())
    caches.delete_job(job(version=12))
    assert not caches.take_stale(UID), "we deleted it ourselves"


# ── what belongs together ──


def test_jobs_and_pods_are_gathered_by_task_and_run(caches: Caches) -> None:
    for raw in (job(run=1), job(run=2)):
        assert caches.upsert_job(raw) == UID
    for raw in (pod(run=2), pod(run=2, uid="pod-2b"), pod(run=3)):
        assert caches.upsert_pod(raw) == UID

    runs = seen(caches).runs_of("main")
    assert {number: (run.job and run.job.uid, len(run.pods)) for number, run in runs.items()} == {
        1: ("job-1", 0),
        2: ("job-2", 2),
        3: (None, 1),
    }


def test_children_are_kept_when_they_are_seen_before_their_resource() -> None:
    caches = Caches()
    caches.upsert_pod(pod())
    caches.upsert_job(job())
    assert caches.observe(UID) is None
    caches.upsert_resource(WORKFLOW, resource())
    assert (run_of(caches).job is not None, len(run_of(caches).pods)) == (True, 1)


def test_job_is_ignored_when_another_controls_it(caches: Caches) -> None:
    assert caches.upsert_job(job(owner="another")) is None
    assert seen(caches).runs == {}


def test_pod_counts_when_it_is_an_orphan(caches: Caches) -> None:
    """Its Job was deleted; it can still run. Its labels tell whose it is."""
    assert "ownerReferences" not in pod()["metadata"]
    caches.upsert_pod(pod())
    assert len(run_of(caches).pods) == 1


def test_pod_of_another_namespace_is_ignored_whatever_its_labels_claim(caches: Caches) -> None:
    """Who may make pods in some namespace decides nothing about the tasks of another."""
    forged = pod(phase="Succeeded")
    forged["metadata"]["namespace"] = "another"
    caches.upsert_pod(forged)
    assert seen(caches).runs == {}


def test_object_is_ignored_when_it_bears_no_labels_of_ours(caches: Caches) -> None:
    raw = pod()
    del raw["metadata"]["labels"]
    assert caches.upsert_pod(raw) is None
    assert caches.delete_pod(raw) is None


# ── the newest counts ──


def test_older_state_is_dropped_when_a_newer_one_is_known(caches: Caches) -> None:
    caches.upsert_resource(WORKFLOW, resource(version=120, status={"phase": "Active"}))
    caches.upsert_resource(WORKFLOW, resource(version=110, status={"phase": "Pending"}))
    assert seen(caches).status.phase == "Active"


def test_versions_compare_as_numbers(caches: Caches) -> None:
    caches.upsert_pod(pod(version=99, phase="Pending"))
    caches.upsert_pod(pod(version=100, phase="Running"))
    caches.upsert_pod(pod(version=99, phase="Pending"))
    assert run_of(caches).pods[0].phase == "Running"


def test_object_stays_gone_when_an_answer_of_before_comes_late(caches: Caches) -> None:
    caches.upsert_job(job())
    assert caches.delete_job(deleted(job(), 30)) == UID
    caches.upsert_job(job(version=25))
    assert run_of(caches).job is None


def test_memory_of_deletions_is_bounded(caches: Caches) -> None:
    for number in range(REMEMBERED_DELETIONS + 1):
        caches.delete_job(job(uid=f"gone-{number}"))
    caches.upsert_job(job(uid="gone-0"))
    assert run_of(caches).job is not None, "the oldest is forgotten"


# ── a success stays one ──


def test_success_stays_when_the_pod_is_deleted_afterwards(caches: Caches) -> None:
    """A Job controller that suspends on an older view deletes a pod that has just succeeded, and doesn't count it."""
    caches.upsert_job(job())
    caches.upsert_pod(pod(version=20, phase="Succeeded"))
    caches.upsert_pod(deleted(pod(version=21, phase="Succeeded"), 21))
    assert not run_of(caches).pods[0].is_terminating
    assert caches.delete_pod(pod()) == UID
    assert run_of(caches).pods[0].phase == "Succeeded"


def test_success_stays_when_its_job_is_deleted_too(caches: Caches) -> None:
    """What has succeeded never runs again, whoever deletes what."""
    caches.upsert_job(job())
    caches.upsert_pod(pod(phase="Succeeded"))
    caches.delete_pod(pod())
    caches.delete_job(job())
    (kept,) = run_of(caches).pods
    assert has_succeeded(kept)


def test_success_that_came_after_the_deletion_is_none(caches: Caches) -> None:
    caches.upsert_pod(deleted(pod(version=21, phase="Succeeded"), 21))
    caches.delete_pod(deleted(pod(version=22, phase="Succeeded"), 22))
    (kept,) = run_of(caches).pods
    assert kept.is_gone
    assert not has_succeeded(kept)


# ── the last that was seen of a pod ──


def test_last_state_of_a_pod_is_kept_until_the_end_of_its_run_is_recorded(caches: Caches) -> None:
    """A kubelet that reports a start late reports it with the end, right before the pod is gone."""
    caches.upsert_pod(pod())
    caches.delete_pod(deleted(pod(version=21, phase="Failed", containerStatuses=[ended(137)]), 21))
    (kept,) = run_of(caches).pods
    assert (kept.has_started, kept.cause is not None, kept.can_run, kept.is_gone) == (True, True, False, True)

    ledger = {"phase": "Suspended", "tasks": [{"name": "main", "phase": "Unstarted", "run": 1}]}
    caches.upsert_resource(WORKFLOW, resource(version=101, status=ledger))
    assert seen(caches).runs == {}


def test_pod_that_was_deleted_without_grace_was_stopped(caches: Caches) -> None:
    caches.upsert_pod(pod(phase="Running", containerStatuses=[running()]))
    caches.delete_pod(pod(version=21, phase="Running", containerStatuses=[running()]))
    (kept,) = run_of(caches).pods
    assert (kept.is_terminating, kept.can_run, kept.has_ended_by_itself) == (True, False, False)


def test_pod_that_is_missing_is_forgotten_when_nothing_tells_how_it_ended(caches: Caches) -> None:
    """Its deletion was missed: what it was like last says nothing of its end."""
    caches.upsert_pod(pod(phase="Running", containerStatuses=[running()]))
    caches.replace_children(UID, caches.children_of(UID), [], [])
    assert seen(caches).runs == {}


def test_job_is_waited_for_anew_when_it_is_let_go() -> None:
    """Its pod is on the way from then on, however old the Job is."""
    clock = StillClock()
    caches = Caches(clock)
    caches.upsert_resource(WORKFLOW, resource())
    caches.upsert_job(job(version=10, spec={"suspend": True}))
    clock.pass_time(60)
    caches.upsert_job(job(version=11, spec={"suspend": True}))
    clock.pass_time(60)
    caches.upsert_job(job(version=12))
    observed = run_of(caches).job
    assert observed is not None
    assert observed.seen_at == clock.now()


@pytest.mark.parametrize(
    ("before", "had_failed"),
    [
        pytest.param(pod(phase="Running", containerStatuses=[ended(3)]), True, id="it had failed"),
        pytest.param(pod(phase="Running", containerStatuses=[running()]), False, id="it ran"),
        pytest.param(
            pod(phase="Failed", containerStatuses=[ended(137)], conditions=[condition("DisruptionTarget")]),
            False,
            id="the kubelet had ended it",
        ),
        pytest.param(deleted(pod(phase="Running", containerStatuses=[ended(3)])), False, id="it was deleted already"),
    ],
)
def test_failure_before_the_deletion_is_told_from_one_after_it(caches: Caches, before: Raw, had_failed: bool) -> None:
    caches.upsert_pod(before)
    caches.upsert_pod(deleted(pod(version=21, phase="Failed", containerStatuses=[ended(137)]), 21))
    assert run_of(caches).pods[0].had_failed is had_failed


# ── what is left of a run that is gone ──


@pytest.mark.parametrize(("conditions", "is_noted"), [((), True), (("Complete",), False), (("Failed",), False)])
def test_job_is_noted_when_it_goes_before_it_has_ended(
    caches: Caches, conditions: tuple[str, ...], is_noted: bool
) -> None:
    caches.upsert_resource(WORKFLOW, recorded("Running"))
    caches.upsert_job(job())
    caches.delete_job(deleted(job(status={"conditions": [condition(type_) for type_ in conditions]}), 30))
    evidence = seen(caches).runs.get("main", {}).get(1, NO_RUN).evidence
    assert (evidence is not None and evidence.lost_its_job) is is_noted


def test_job_is_noted_when_it_goes_before_its_run_was_recorded(caches: Caches) -> None:
    """A first Job is made before its record, and may be deleted by hand in between."""
    caches.upsert_job(job())
    caches.delete_job(deleted(job(), 30))
    evidence = run_of(caches).evidence
    assert evidence is not None
    assert evidence.lost_its_job


def test_nothing_is_noted_of_a_task_that_was_removed(caches: Caches) -> None:
    caches.upsert_resource(WORKFLOW, resource(version=101, status={"phase": "Active", "tasks": []}))
    caches.upsert_job(job())
    caches.delete_job(deleted(job(), 30))
    assert seen(caches).runs == {}


def test_nothing_is_noted_of_a_run_whose_end_the_ledger_has(caches: Caches) -> None:
    caches.upsert_resource(WORKFLOW, recorded("BackingOff"))
    caches.upsert_job(job())
    caches.delete_job(job())
    assert seen(caches).runs == {}


def test_events_have_been_looked_for_since_they_were_first_read() -> None:
    """By the steady clock, whatever the wall clock is set to meanwhile."""
    clock = StillClock()
    caches = Caches(clock)
    caches.namespaces.upsert(namespace())
    caches.upsert_resource(WORKFLOW, recorded("Running"))
    for _ in range(3):
        clock.pass_time(5)
        clock.set(-3600)
        caches.note_evidence(UID, "main", 1, Evidence(stop="killed"))
    evidence = run_of(caches).evidence
    assert evidence is not None
    assert (evidence.stop, evidence.looked_for, evidence.read_at) == ("killed", timedelta(seconds=10), clock.now())


@pytest.mark.parametrize("is_own", [False, True])
def test_recorded_run_is_looked_for_unless_this_operator_has_recorded_it(caches: Caches, *, is_own: bool) -> None:
    if is_own:
        caches.attempts_of(UID).record([("main", 1)])
    caches.upsert_resource(WORKFLOW, recorded("Recorded"))
    assert ("main" in seen(caches).runs) is not is_own


def test_nothing_is_kept_when_the_resource_goes(caches: Caches) -> None:
    caches.upsert_job(job())
    caches.upsert_pod(pod(phase="Succeeded"))
    caches.delete_pod(pod())
    caches.delete_resource(resource())
    caches.delete_job(job())
    assert caches.find(UID) is None


# ── when a resource goes ──


def test_resource_is_gone_when_it_was_deleted_and_its_children_follow(caches: Caches) -> None:
    caches.upsert_job(job())
    caches.upsert_pod(pod())
    assert caches.delete_resource(resource()) == UID
    assert caches.observe(UID) is None
    assert caches.delete_job(job()) == UID
    assert caches.delete_pod(pod()) == UID
    assert caches.are_expectations_fulfilled(UID)


def test_resource_starts_anew_when_it_is_made_again_under_its_name(caches: Caches) -> None:
    caches.upsert_pod(pod())
    caches.delete_resource(resource())
    caches.upsert_resource(WORKFLOW, resource(uid="another"))
    assert seen(caches, "another").runs == {}


# ── nothing is decided on a view older than our own last write ──


def test_view_is_not_current_when_a_deletion_of_ours_is_not_seen_yet(caches: Caches) -> None:
    caches.upsert_pod(pod(version=20))
    caches.expect_deletion(UID, "pod-1")
    assert not caches.are_expectations_fulfilled(UID)


def test_view_is_current_when_the_deletion_is_seen(caches: Caches) -> None:
    for news in (deleted(pod(), 22), deleted(pod(), 20)):
        caches.upsert_pod(pod(version=20))
        caches.expect_deletion(UID, "pod-1")
        caches.upsert_pod(news)
        assert caches.are_expectations_fulfilled(UID)


def test_view_is_not_current_when_only_half_of_the_eviction_is_seen(caches: Caches) -> None:
    """The API server sets DisruptionTarget first, and then deletes."""
    caches.upsert_pod(pod(version=20))
    caches.expect_deletion(UID, "pod-1")
    caches.upsert_pod(pod(version=21, conditions=[{"type": "DisruptionTarget", "status": "True"}]))
    assert not caches.are_expectations_fulfilled(UID)
    caches.upsert_pod(deleted(pod(), 22))
    assert caches.are_expectations_fulfilled(UID)


def test_view_is_current_when_the_object_is_gone(caches: Caches) -> None:
    caches.upsert_job(job())
    caches.expect_deletion(UID, "job-1")
    caches.delete_job(job(version=11))
    assert caches.are_expectations_fulfilled(UID)


def test_view_is_current_when_the_watch_was_faster_than_the_answer(caches: Caches) -> None:
    caches.upsert_pod(pod())
    caches.upsert_pod(deleted(pod(), 21))
    caches.expect_deletion(UID, "pod-1")
    assert caches.are_expectations_fulfilled(UID)
    caches.delete_pod(pod(version=22))
    caches.expect_deletion(UID, "pod-1")
    assert caches.are_expectations_fulfilled(UID)


def test_deletion_is_not_awaited_when_all_is_gone_meanwhile(caches: Caches) -> None:
    caches.delete_resource(resource())
    caches.expect_deletion(UID, "pod-1")
    assert caches.are_expectations_fulfilled(UID)


# ── read past the watches ──


def test_missed_deletion_is_made_up_for_when_the_children_are_read(caches: Caches) -> None:
    caches.upsert_job(job(run=1))
    caches.upsert_pod(pod(run=1))
    caches.expect_deletion(UID, "pod-1")
    caches.replace_children(UID, caches.children_of(UID), [job(run=2)], [])

    assert set(seen(caches).runs_of("main")) == {2}
    assert caches.are_expectations_fulfilled(UID)


def test_reading_the_children_is_harmless_when_all_is_gone_meanwhile(caches: Caches) -> None:
    caches.delete_resource(resource())
    caches.replace_children(UID, caches.children_of(UID), [], [])
    assert caches.observe(UID) is None


def test_older_answer_changes_nothing_when_the_watch_was_faster(caches: Caches) -> None:
    caches.upsert_pod(pod(version=50, phase="Running"))
    caches.replace_children(UID, caches.children_of(UID), [], [pod(version=40)])
    assert run_of(caches).pods[0].phase == "Running"


def test_pod_is_seen_when_it_was_made_while_the_children_were_read(caches: Caches) -> None:
    known = caches.children_of(UID)
    caches.upsert_pod(pod(version=50))
    caches.replace_children(UID, known, [], [])
    assert len(run_of(caches).pods) == 1
    caches.upsert_pod(pod(version=60, phase="Running"))
    assert run_of(caches).pods[0].phase == "Running"


# ── what is noted of a resource that is gone ──


def test_note_is_dropped_when_the_resource_went_during_the_request(caches: Caches) -> None:
    caches.delete_resource(resource())
    caches.attempts_of(UID).refuse("main", 1, 1, FORBIDDEN, 0.0)
    caches.findings_of(UID).note_missing_pod("job-1", "exceeded quota")
    caches.upsert_resource(WORKFLOW, resource(version=200, uid="another"))
    assert caches.uids() == ["another"]


# ── a snapshot is one ──


def test_snapshot_stays_as_it_was_when_more_is_seen(caches: Caches) -> None:
    caches.upsert_job(job())
    before = seen(caches)
    caches.upsert_pod(pod())
    caches.attempts_of(UID).refuse("main", 1, 1, FORBIDDEN, 0.0)
    assert before.runs_of("main")[1].pods == ()
    assert before.refusals == {}


# ── what a namespace asks of all that is in it ──


def test_a_resource_knows_what_its_namespace_asks(caches: Caches) -> None:
    assert seen(caches).namespace_lifecycle is None
    caches.namespaces.upsert(namespace(2, "suspended"))
    assert seen(caches).namespace_lifecycle == "suspended"
    caches.namespaces.upsert(namespace(1))
    assert seen(caches).namespace_lifecycle == "suspended", "what is older is no news"


def test_all_that_is_in_a_namespace_is_wanted_once_when_that_asks_something_else(caches: Caches) -> None:
    caches.upsert_resource(WORKFLOW, resource(uid="another"))
    caches.namespaces.upsert(namespace(2, "suspended"))
    assert sorted(caches.namespaces.take_changed("team")) == sorted([UID, "another"])
    assert caches.namespaces.take_changed("team") == []
    caches.namespaces.upsert(namespace(3, "suspended"))
    assert caches.namespaces.take_changed("team") == [], "another label has changed"
    caches.namespaces.upsert(namespace(4))
    assert len(caches.namespaces.take_changed("team")) == 2


def test_nothing_is_decided_before_the_namespace_is_known() -> None:
    """A resource that is created in a namespace that holds may be told of first: nothing of it is to start."""
    caches = Caches()
    caches.upsert_resource(WORKFLOW, resource())
    assert not caches.are_expectations_fulfilled(UID)
    caches.namespaces.upsert(namespace(1, "suspended"))
    assert caches.are_expectations_fulfilled(UID)
    assert caches.namespaces.take_changed("team") == [UID]


def test_a_namespace_is_unknown_when_it_is_deleted(caches: Caches) -> None:
    caches.namespaces.upsert(namespace(2, "suspended"))
    caches.namespaces.delete(namespace(3))
    assert caches.namespaces.take_changed("team") == []
    assert not caches.are_expectations_fulfilled(UID)


def test_a_namespace_is_known_when_the_deletion_of_its_predecessor_comes_late(caches: Caches) -> None:
    """What is told of each is handled on its own, in no order: nothing would be decided in the new one any more."""
    made_anew = namespace(30, "suspended", uid="anew")
    caches.namespaces.upsert(made_anew)
    caches.namespaces.delete(namespace(20))
    assert caches.are_expectations_fulfilled(UID)
    assert seen(caches).namespace_lifecycle == "suspended"


def test_a_resource_that_is_gone_is_not_wanted_when_its_namespace_asks_something_else(caches: Caches) -> None:
    caches.delete_resource(resource())
    caches.namespaces.upsert(namespace(2, "suspended"))
    assert caches.namespaces.take_changed("team") == []
