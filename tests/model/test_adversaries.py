"""Each adversary by its name: what it does, and what comes of it.

Most strike at each point of each story: a resource of each kind that is suspended or interrupted, before its first
container has started or after, resumed when it is held, and ends.
"""

from __future__ import annotations

import pytest

from mageflow.api import SWARM, WORKFLOW, Lifecycle, Phase
from mageflow.controller.metrics import RECONCILE_ERRORS, ReconcileError
from mageflow.core.task import POD_PATIENCE
from mageflow.kube.errors import ApiError
from mageflow.kube.transport import Raw
from mageflow.testing.node import SIGTERM_EXIT_CODE
from mageflow.testing.server import EVENT_TTL, find_condition, is_terminating

from .cluster import Cluster, Shape
from .process import WATCHED
from .promises import ACTIVE, CANCELED, INTERRUPTED, SUSPENDED, can_run, phase_of
from .stories import STORIES, Story, strike_at_each_point

each_story = pytest.mark.parametrize("story", STORIES, ids=str)
each_policy = pytest.mark.parametrize("policy", ["Background", "Foreground", "Orphan"])


@pytest.fixture
def cluster():  # type: ignore[no-untyped-def]
    cluster = Cluster(Shape(WORKFLOW, retries=0))
    yield cluster
    cluster.close()


def phase(cluster: Cluster) -> Phase | None:
    assert cluster.resource is not None
    return phase_of(cluster.resource)


def entry(cluster: Cluster) -> Raw:
    assert cluster.resource is not None
    ledger: list[Raw] = cluster.resource["status"]["tasks"]
    return ledger[0]


def make_pod(cluster: Cluster) -> Raw:
    """Bring a resource to where its first pod is on the node, and everyone knows."""
    cluster.work()
    cluster.sync_jobs()
    (pod,) = cluster.pods()
    cluster.node.bind(pod)
    cluster.work()
    return cluster.pods()[0]


def start(cluster: Cluster) -> None:
    (pod,) = cluster.pods()
    cluster.node.start(pod)
    cluster.node.report(pod)


# ── the kubelet ──


def test_a_kubelet_reports_a_start_late_and_what_it_runs_exits_0(cluster: Cluster) -> None:
    pod = make_pod(cluster)
    cluster.node.start(pod)
    cluster.ask(SUSPENDED)
    cluster.work()
    assert is_terminating(cluster.pods()[0]), "as far as the API server knew it had not started"
    cluster.node.end(cluster.pods()[0], 0)
    cluster.node.report(cluster.pods()[0])
    assert cluster.pods()[0]["status"]["phase"] == "Succeeded"
    cluster.settle()
    assert (phase(cluster), entry(cluster)["phase"]) == (Phase.SUSPENDED, "Unstarted"), "it was held"
    cluster.ask(ACTIVE)
    cluster.settle()
    assert (phase(cluster), entry(cluster)["run"]) == (Phase.SUCCEEDED, 2)


@each_story
def test_a_node_stops_answering_and_comes_back(story: Story) -> None:
    """What is deleted meanwhile keeps its pod: it says Suspending or Interrupting as long as the pod may run."""

    def strike(cluster: Cluster) -> None:
        for _ in range(3):
            cluster.work()
            cluster.sync_jobs()
            cluster.collector.collect()
            cluster.pass_time(60)
            cluster.promises.check()

    strike_at_each_point(story, strike)


@each_story
def test_a_node_is_drained_at_each_point(story: Story) -> None:
    def strike(cluster: Cluster) -> None:
        for pod in cluster.pods():
            cluster.node.drain(pod)

    strike_at_each_point(story, strike)


# ── the API server ──


def bring_to_rest_unrecorded(cluster: Cluster) -> None:
    """Let everything happen while no status can be written, or none is."""
    for _ in range(6):
        cluster.work()
        cluster.sync_jobs()
        for pod in cluster.pods():
            if not cluster.is_to_be_stopped(pod):
                cluster.node.move(pod, SIGTERM_EXIT_CODE if is_terminating(pod) else 0)
        cluster.pass_time(10)
        cluster.promises.check()


def ask_for_a_stop(cluster: Cluster, story: Story) -> None:
    """Ask in one of three ways, so that each is asked of each kind."""
    if story.lifecycle is SUSPENDED:
        cluster.label_namespace("interrupted")
    else:
        cluster.ask(INTERRUPTED if story.is_running else CANCELED)


@each_story
def test_no_status_can_be_written_and_a_stop_is_asked_for(story: Story) -> None:
    """Its pods ran on whatever was asked: a status was recorded first, or nothing was done."""

    def strike(cluster: Cluster) -> None:
        cluster.server.takes_no_status = True
        ask_for_a_stop(cluster, story)
        bring_to_rest_unrecorded(cluster)
        assert not [pod for pod in cluster.pods() if can_run(pod)]

    strike_at_each_point(story, strike)


@each_story
def test_no_status_can_be_written_and_a_hold_is_asked_for(story: Story) -> None:
    """A hold waits until its mark can be written: no started task is killed, and none is taken for done or failed."""

    def strike(cluster: Cluster) -> None:
        cluster.server.takes_no_status = True
        cluster.ask(SUSPENDED)
        bring_to_rest_unrecorded(cluster)

    strike_at_each_point(story, strike)


@pytest.mark.parametrize("is_killed", [False, True], ids=["", "the operator is started anew"])
def test_a_stop_that_was_not_recorded_is_found_on_its_job(cluster: Cluster, is_killed: bool) -> None:
    make_pod(cluster)
    start(cluster)
    cluster.server.takes_no_status = True
    cluster.work()
    cluster.ask(INTERRUPTED)
    bring_to_rest_unrecorded(cluster)
    assert not cluster.pods()
    if is_killed:
        cluster.kill_operator()
    cluster.settle()
    cluster.check_rest()
    assert (phase(cluster), entry(cluster)["interruptions"]) == (Phase.INTERRUPTED, 1)
    cluster.ask(ACTIVE)
    cluster.settle()
    assert (phase(cluster), entry(cluster)["run"]) == (Phase.SUCCEEDED, 2)


@each_story
def test_it_hangs_in_deletion_and_a_stop_is_asked_for(story: Story) -> None:
    """Somebody's finalizer keeps it: nothing starts, no status is written, and its pods are stopped all the same."""

    def strike(cluster: Cluster) -> None:
        cluster.leave("example.com/backup")
        cluster.delete("Background")
        ask_for_a_stop(cluster, story)
        bring_to_rest_unrecorded(cluster)
        assert not [pod for pod in cluster.pods() if can_run(pod)]
        cluster.leave(None)

    strike_at_each_point(story, strike)


def half_evict(cluster: Cluster) -> None:
    make_pod(cluster)
    cluster.server.fails_half_way = True
    cluster.ask(SUSPENDED)
    assert cluster.process is not None
    cluster.process.hear_all()
    while not cluster.server.fails_half_way or cluster.flights:
        cluster.deliver(0)
        if not cluster.server.fails_half_way:
            break
    (pod,) = cluster.pods()
    assert find_condition(pod, "DisruptionTarget")
    assert not is_terminating(pod)


def test_an_eviction_marks_the_pod_and_fails_to_delete_it(cluster: Cluster) -> None:
    half_evict(cluster)
    cluster.settle()
    assert (phase(cluster), entry(cluster)["phase"]) == (Phase.SUSPENDED, "Unstarted"), "it is tried again"


def test_an_eviction_marks_the_pod_and_fails_to_delete_it_and_the_pod_starts(cluster: Cluster) -> None:
    half_evict(cluster)
    start(cluster)
    cluster.work()
    assert phase(cluster) is Phase.ACTIVE, "the mark means nothing while it runs"
    cluster.settle()
    assert (phase(cluster), entry(cluster)["run"]) == (Phase.SUCCEEDED, 1)


def test_a_write_that_got_no_answer_is_looked_for(cluster: Cluster) -> None:
    """Found by the model: the Job of a resource that was interrupted meanwhile ran on, unknown to its status."""
    assert cluster.process is not None
    cluster.process.hear_all()
    cluster.deliver(0, loses_answer=True)
    cluster.sync_jobs()
    assert len(cluster.pods()) == 1
    cluster.ask(INTERRUPTED)
    cluster.process.hear_next("workflows")
    cluster.pass_time(1)
    while cluster.flights:
        cluster.deliver(0)
        cluster.promises.check()
    cluster.settle()
    assert phase(cluster) is Phase.INTERRUPTED
    assert not cluster.server.list("jobs")


# ── admission ──

DENIALS = {
    "a policy": ApiError(422, "Invalid", "denied", {"causes": [{"message": "team rule 7"}]}),
    "a schema": ApiError(422, "Invalid", "invalid", {"causes": [{"field": "spec.template", "message": "Required"}]}),
    "a webhook": ApiError(400, "BadRequest", 'admission webhook "x" denied the request: team rule 7'),
    "a quota": ApiError(403, "Forbidden", "exceeded quota: few, used: count/jobs.batch=2"),
    "a webhook that fails": ApiError(500, "InternalError", 'failed calling webhook "x": refused'),
    "a server in trouble": ApiError(500, "InternalError", "etcdserver: leader changed"),
}
each_denial = pytest.mark.parametrize("denial", DENIALS)


def go_on(cluster: Cluster, seconds: float, *, but_creations: bool = False) -> None:
    """Let everyone do what they can for a while."""
    for _ in range(4):
        cluster.work(but_creations=but_creations)
        cluster.sync_jobs()
        cluster.move_pods(0)
        cluster.pass_time(seconds / 4)
        cluster.promises.check()


@each_story
def test_an_admission_is_slow_at_each_point(story: Story) -> None:
    """The creation of a Job holds nobody up; what comes of it in the end counts."""
    strike_at_each_point(story, lambda cluster: go_on(cluster, 25, but_creations=True))


@each_story
@each_denial
def test_an_admission_refuses_jobs_at_each_point_and_is_changed(story: Story, denial: str) -> None:
    """No refusal is for ever, whatever its code: the rest of the story is as if it had never been."""

    def strike(cluster: Cluster) -> None:
        cluster.server.denied["POST jobs"] = DENIALS[denial]
        go_on(cluster, 60)

    strike_at_each_point(story, strike)


@each_story
@pytest.mark.parametrize("code", [403, 429, 500])
def test_an_admission_refuses_stops_at_each_point_and_is_changed(story: Story, code: int) -> None:
    """As long as it does nothing is said to be quiet that isn't, and once it doesn't, what is asked for is done."""

    def strike(cluster: Cluster) -> None:
        for what in ("POST eviction", "PATCH jobs", "DELETE jobs", "DELETE pods"):
            cluster.server.denied[what] = ApiError(code, "Forbidden", "ask the storage team before you evict")
        go_on(cluster, 60)

    strike_at_each_point(story, strike)


@each_story
@pytest.mark.parametrize("wish", [ACTIVE, SUSPENDED, INTERRUPTED, CANCELED])
def test_a_creation_comes_true_after_the_operator_was_killed(story: Story, wish: Lifecycle) -> None:
    """The next one reckons with it: nothing is said to be held for as long as a request of the last may take."""

    def strike(cluster: Cluster) -> None:
        if cluster.resource is not None and not cluster.resource.get("status", {}).get("tasks"):
            return  # not recorded yet, which takes a second at most: docs/reliability.md
        late = cluster.kill_and_keep_creations()
        cluster.start_operator()
        cluster.ask(wish)
        go_on(cluster, 25)
        for flight in late:
            cluster.carry_out(flight)
        go_on(cluster, 5)

    strike_at_each_point(story, strike)


def test_nothing_is_said_to_be_held_while_the_creation_of_a_job_is_not_answered(cluster: Cluster) -> None:
    cluster.work(but_creations=True)
    cluster.pass_time(1)
    cluster.work(but_creations=True)
    assert (phase(cluster), entry(cluster)["phase"]) == (Phase.PENDING, "Recorded"), "no status stays empty"
    cluster.ask(SUSPENDED)
    for seconds in (1, 10, 60):
        cluster.work(but_creations=True)
        assert phase(cluster) is Phase.SUSPENDING
        cluster.pass_time(seconds)
    cluster.settle()
    assert (phase(cluster), cluster.server.list("jobs")) == (Phase.SUSPENDED, [])


def test_refusal_is_told_with_its_sentence_until_it_passes(cluster: Cluster) -> None:
    cluster.server.denied["POST jobs"] = DENIALS["a policy"]
    changed = RECONCILE_ERRORS.labels(ReconcileError.CHANGED)
    before = changed._value.get()
    cluster.work()
    ready = find_ready(cluster)
    assert (ready["status"], ready["reason"], ready["message"]) == ("False", "Forbidden", "denied")
    writes = len(cluster.server.log["workflows"])
    for _ in range(5):
        cluster.pass_time(30)
        cluster.work()
    assert len(cluster.server.log["workflows"]) == writes, "it is tried again, and nothing is written"
    assert changed._value.get() == before, "nobody else has changed anything"
    cluster.settle()
    assert (phase(cluster), entry(cluster)["run"]) == (Phase.SUCCEEDED, 1)


def test_refused_eviction_is_told_with_its_sentence_until_it_passes(cluster: Cluster) -> None:
    make_pod(cluster)
    cluster.server.denied["POST eviction"] = ApiError(403, "Forbidden", "ask the storage team before you evict")
    cluster.ask(SUSPENDED)
    cluster.work()
    ready = find_ready(cluster)
    assert (phase(cluster), ready["reason"]) == (Phase.SUSPENDING, "EvictionRefused")
    assert ready["message"].endswith("ask the storage team before you evict")
    cluster.server.denied.clear()
    cluster.pass_time(30)
    cluster.work()
    cluster.settle()
    assert phase(cluster) is Phase.SUSPENDED


def find_ready(cluster: Cluster) -> Raw:
    assert cluster.resource is not None
    conditions: list[Raw] = cluster.resource["status"]["conditions"]
    return next(each for each in conditions if each["type"] == "Ready")


# ── the Job controller ──


def test_the_job_controller_makes_the_pod_late_and_it_is_waited_for(cluster: Cluster) -> None:
    """A Job without a pod isn't deleted at once: the pod may be on its way, and would be nobody's (ADR 8)."""
    cluster.work()
    (name,) = cluster.jobs.names()
    cluster.jobs.step(name)  # it has decided to make the pod
    cluster.ask(SUSPENDED)
    cluster.work()
    assert phase(cluster) is Phase.SUSPENDING
    assert cluster.server.list("jobs"), "it is waited for"
    cluster.jobs.sync(name)
    cluster.work()
    (pod,) = cluster.pods()
    assert is_terminating(pod)
    assert find_condition(pod, "DisruptionTarget"), "it was evicted"
    cluster.settle()
    assert phase(cluster) is Phase.SUSPENDED


def test_the_job_controller_is_stopped_and_the_job_is_held(cluster: Cluster) -> None:
    cluster.work()
    cluster.ask(SUSPENDED)
    cluster.work()
    cluster.pass_time(POD_PATIENCE.total_seconds())
    cluster.work()
    (job,) = cluster.server.list("jobs")
    assert is_terminating(job), "quota, or a controller that is down: no pod is to be expected"
    cluster.settle()
    assert (phase(cluster), cluster.pods()) == (Phase.SUSPENDED, [])


def test_a_pod_slips_through_while_its_job_is_deleted_and_runs_to_its_end(cluster: Cluster) -> None:
    cluster.work()
    cluster.ask(SUSPENDED)
    cluster.work()
    cluster.pass_time(POD_PATIENCE.total_seconds())
    cluster.deliver(0)  # it reads that there is no pod
    cluster.sync_jobs()
    (pod,) = cluster.pods()
    cluster.node.bind(pod)
    cluster.node.start(cluster.pods()[0])
    cluster.node.report(cluster.pods()[0])
    cluster.work()
    assert phase(cluster) is Phase.ACTIVE
    assert can_run(cluster.pods()[0])
    assert not is_terminating(cluster.pods()[0])
    cluster.settle()
    assert (phase(cluster), entry(cluster)["run"]) == (Phase.SUCCEEDED, 1)


def test_a_pod_is_made_for_a_job_that_is_gone_and_is_collected(cluster: Cluster) -> None:
    """Not promised: such a pod may run for a moment, until the garbage collector sees that it is nobody's."""
    cluster.work()
    cluster.pass_time(POD_PATIENCE.total_seconds())
    (name,) = cluster.jobs.names()
    cluster.jobs.step(name)
    cluster.ask(SUSPENDED)
    cluster.work()
    cluster.collector.collect()
    assert not cluster.server.list("jobs")
    cluster.jobs.sync(name)
    assert can_run(cluster.pods()[0])
    cluster.settle()
    assert (phase(cluster), cluster.pods()) == (Phase.SUSPENDED, [])
    cluster.ask(ACTIVE)
    cluster.settle()
    assert phase(cluster) is Phase.SUCCEEDED


# ── the operator ──


@each_story
def test_the_operator_is_killed_between_any_two_requests(story: Story) -> None:
    def strike(cluster: Cluster) -> None:
        cluster.kill_operator()
        cluster.start_operator()

    strike_at_each_point(story, strike)


@each_story
def test_the_operator_is_down_while_everything_else_goes_on(story: Story) -> None:
    def strike(cluster: Cluster) -> None:
        cluster.kill_operator()
        for _ in range(12):
            cluster.sync_jobs()
            cluster.collector.collect()
            cluster.move_pods(0)
            cluster.promises.check()

    strike_at_each_point(story, strike)


@each_story
@pytest.mark.parametrize("plural", WATCHED[-2:])
def test_a_watch_breaks_at_each_point(story: Story, plural: str) -> None:
    strike_at_each_point(story, lambda cluster: cluster.break_watch(plural))


@each_story
@pytest.mark.parametrize("wish", [None, *Lifecycle])
def test_a_frozen_leader_goes_on_after_another_took_over(story: Story, wish: Lifecycle | None) -> None:
    """It sends what it had decided long ago. The Lease is to keep it from that; if not, preconditions do most of it.

    What is not promised: a Job that it makes runs until the new leader has seen it; a stop that was wished for and
    taken back meanwhile stops. Started tasks aren't killed by its suspends, and nothing that succeeded runs again.
    """

    def strike(cluster: Cluster) -> None:
        cluster.take_over()
        known = cluster.resource
        if wish is not None:
            cluster.ask(wish)
        for _ in range(4):
            cluster.work()
            cluster.sync_jobs()
            cluster.move_pods(0)
        before = cluster.resource
        cluster.thaw()
        assert before is known or cluster.resource is before, "its status is refused once anything has changed"

    strike_at_each_point(story, strike)


# ── the user ──


@each_story
@pytest.mark.parametrize("wish", Lifecycle)
def test_the_user_patches_at_each_point(story: Story, wish: Lifecycle) -> None:
    strike_at_each_point(story, lambda cluster: cluster.ask(wish))


@each_story
@pytest.mark.parametrize("label", ["suspended", "interrupted"])
def test_the_namespace_is_labelled_at_each_point_and_released(story: Story, label: str) -> None:
    def strike(cluster: Cluster) -> None:
        cluster.label_namespace(label)
        cluster.settle()
        cluster.check_rest()
        cluster.label_namespace(None)

    strike_at_each_point(story, strike)


@each_story
def test_another_operator_takes_over_a_namespace_that_was_labelled_at_each_point(story: Story) -> None:
    def strike(cluster: Cluster) -> None:
        cluster.kill_operator()
        cluster.label_namespace("suspended")
        cluster.start_operator()

    strike_at_each_point(story, strike)


@each_story
def test_the_user_changes_his_mind_at_each_point(story: Story) -> None:
    def strike(cluster: Cluster) -> None:
        for wish in (SUSPENDED, ACTIVE, INTERRUPTED, SUSPENDED, CANCELED):
            cluster.ask(wish)
            cluster.deliver(0)
            cluster.promises.check()

    strike_at_each_point(story, strike)


@each_story
def test_the_user_edits_a_task_at_each_point(story: Story) -> None:
    strike_at_each_point(story, lambda cluster: cluster.edit_task(0, INTERRUPTED))


@each_story
@each_policy
def test_the_resource_is_deleted_at_each_point_and_created_again(story: Story, policy: str) -> None:
    """In the foreground it is there until all that belongs to it is gone; nothing new is made meanwhile."""

    def strike(cluster: Cluster) -> None:
        cluster.delete(policy)
        cluster.settle()
        cluster.check_rest()
        cluster.create()

    strike_at_each_point(story, strike)


@each_story
@each_policy
def test_a_job_is_deleted_by_hand_at_each_point(story: Story, policy: str) -> None:
    strike_at_each_point(story, lambda cluster: cluster.delete_job(0, policy))


@each_story
def test_a_pod_is_deleted_by_hand_at_each_point(story: Story) -> None:
    """A disruption, whatever it exits with; what had ended before counts."""
    strike_at_each_point(story, lambda cluster: cluster.delete_pod(0))


# ── a queueing system, a downscaler, somebody by hand ──


@each_story
def test_somebody_suspends_a_job_at_each_point_and_lets_it_go_in_the_end(story: Story) -> None:
    strike_at_each_point(story, lambda cluster: cluster.suspend_job(0))


@each_story
def test_somebody_suspends_a_job_at_each_point_and_lets_it_go_before_the_operator_looks(story: Story) -> None:
    def strike(cluster: Cluster) -> None:
        cluster.suspend_job(0)
        for _ in range(3):
            cluster.sync_jobs()
            cluster.move_pods(0)
        cluster.let_jobs_go()
        cluster.sync_jobs()

    strike_at_each_point(story, strike)


@each_story
def test_somebody_suspends_a_job_at_each_point_while_the_operator_is_down(story: Story) -> None:
    def strike(cluster: Cluster) -> None:
        cluster.kill_operator()
        cluster.suspend_job(0)
        for _ in range(3):
            cluster.sync_jobs()
            cluster.move_pods(0)

    strike_at_each_point(story, strike)


@each_story
@pytest.mark.parametrize("wish", [INTERRUPTED, CANCELED])
def test_a_queue_admits_whatever_is_suspended_and_a_stop_holds_all_the_same(story: Story, wish: Lifecycle) -> None:
    def strike(cluster: Cluster) -> None:
        cluster.is_queue_admitting = True
        cluster.ask(wish)

    strike_at_each_point(story, strike)


def test_run_is_a_disruption_when_somebody_suspends_its_job_and_it_exits_0(cluster: Cluster) -> None:
    make_pod(cluster)
    start(cluster)
    cluster.work()
    cluster.suspend_job(0)
    for _ in range(3):
        cluster.sync_jobs()
        cluster.move_pods(0)
        cluster.work()
    assert (phase(cluster), entry(cluster)["reason"]) == (Phase.ACTIVE, "JobSuspended")
    assert (entry(cluster)["disruptions"], entry(cluster).get("failures", 0)) == (1, 0)
    assert len(cluster.server.list("jobs")) == 1, "it stays as their gate"
    cluster.settle()
    assert (phase(cluster), entry(cluster)["run"]) == (Phase.SUCCEEDED, 2)
    assert cluster.resource is not None
    assert find_condition(cluster.resource, "Consistent") is None


# ── what is gone when the operator looks ──


def go_on_without(cluster: Cluster, exit_code: int = 0) -> None:
    """Let everyone but the operator do what there is to do."""
    for _ in range(8):
        cluster.sync_jobs()
        cluster.collector.collect()
        for pod in cluster.pods():
            present = cluster.server.find("pods", pod["metadata"]["name"])
            if present is not None:
                cluster.node.move(present, exit_code)
        cluster.promises.check()


@each_story
@pytest.mark.parametrize(("plural", "exit_code"), [("jobs", 0), ("jobs", 1), ("pods", 0)])
def test_a_cleanup_takes_what_has_ended_while_the_operator_is_down(story: Story, plural: str, exit_code: int) -> None:
    """A TTL, or a cleaner. Nothing that has succeeded runs again: events tell of it."""

    def strike(cluster: Cluster) -> None:
        cluster.kill_operator()
        go_on_without(cluster, exit_code)
        cluster.clean_up(plural)
        go_on_without(cluster, exit_code)

    strike_at_each_point(story, strike)


@each_story
@pytest.mark.parametrize("plural", [None, "jobs"])
def test_a_node_is_drained_while_the_operator_is_down(story: Story, plural: str | None) -> None:
    """What exits 0 on SIGTERM completes its Job, and has not succeeded."""

    def strike(cluster: Cluster) -> None:
        cluster.kill_operator()
        for pod in cluster.pods():
            cluster.node.drain(pod)
        go_on_without(cluster)
        if plural is not None:
            cluster.clean_up(plural)

    strike_at_each_point(story, strike)


@each_story
@pytest.mark.parametrize("is_drained", [False, True])
def test_the_operator_is_down_for_longer_than_events_are_kept(story: Story, *, is_drained: bool) -> None:
    """In doubt it runs again: at least once, never falsely done."""

    def strike(cluster: Cluster) -> None:
        cluster.kill_operator()
        for pod in cluster.pods() if is_drained else ():
            cluster.node.drain(pod)
        go_on_without(cluster)
        cluster.clean_up("pods")
        go_on_without(cluster)
        cluster.pass_time(2 * EVENT_TTL.total_seconds())

    strike_at_each_point(story, strike)


def finish_while_down(cluster: Cluster, *, is_drained: bool = False) -> None:
    make_pod(cluster)
    start(cluster)
    cluster.work()
    cluster.kill_operator()
    if is_drained:
        cluster.node.drain(cluster.pods()[0])
    go_on_without(cluster)
    (job,) = cluster.server.list("jobs")
    assert find_condition(job, "Complete")


def told_of(cluster: Cluster) -> list[str]:
    """The reasons of the operator's own Events."""
    assert cluster.resource is not None
    query = {"fieldSelector": f"involvedObject.uid={cluster.resource['metadata']['uid']}"}
    return [event["reason"] for event in cluster.server.list("events", query)]


@pytest.mark.parametrize("plural", ["jobs", "pods"])
def test_a_success_whose_pod_is_gone_is_one_and_its_output_is_told_as_lost(cluster: Cluster, plural: str) -> None:
    finish_while_down(cluster)
    cluster.clean_up(plural)
    go_on_without(cluster)
    assert not cluster.pods()
    cluster.settle()
    assert (phase(cluster), entry(cluster)["run"], entry(cluster)["reason"]) == (Phase.SUCCEEDED, 1, "OutputLost")
    assert told_of(cluster) == ["OutputLost"]


@pytest.mark.parametrize("plural", [None, "jobs"])
def test_a_pod_that_was_evicted_and_exited_0_has_not_succeeded(cluster: Cluster, plural: str | None) -> None:
    finish_while_down(cluster, is_drained=True)
    assert not cluster.pods()
    if plural is not None:
        cluster.clean_up(plural)
    cluster.settle()
    assert (phase(cluster), entry(cluster)["run"]) == (Phase.SUCCEEDED, 2)
    assert (entry(cluster).get("failures", 0), entry(cluster)["disruptions"]) == (0, 1)
    assert told_of(cluster) == ["Disrupted"]


@pytest.mark.parametrize("is_drained", [False, True])
def test_what_nothing_tells_of_runs_again_and_says_so(cluster: Cluster, *, is_drained: bool) -> None:
    """Not promised: a success that nobody saw, and of which nothing is left."""
    finish_while_down(cluster, is_drained=is_drained)
    cluster.clean_up("jobs")
    cluster.collector.collect()
    assert not cluster.pods()
    cluster.pass_time(2 * EVENT_TTL.total_seconds())
    cluster.settle()
    assert (phase(cluster), entry(cluster)["run"]) == (Phase.SUCCEEDED, 2)
    assert (entry(cluster).get("failures", 0), entry(cluster)["disruptions"]) == (0, 1)
    assert told_of(cluster) == ["OutcomeUnknown"]


def test_events_that_cannot_be_read_are_read_again(cluster: Cluster) -> None:
    """No answer is no evidence: it isn't taken for one that tells nothing."""
    finish_while_down(cluster)
    cluster.clean_up("jobs")
    go_on_without(cluster)
    cluster.start_operator()
    assert cluster.process is not None
    cluster.process.hear_all()
    for _ in range(20):
        while cluster.flights:
            cluster.drop(0, 500)
        cluster.pass_time(10)
    cluster.settle()
    assert (phase(cluster), entry(cluster)["run"], entry(cluster)["reason"]) == (Phase.SUCCEEDED, 1, "OutputLost")


def test_jobs_and_pods_are_collected_after_their_success_was_recorded() -> None:
    cluster = Cluster(Shape(SWARM, tasks=2, max_concurrency=1))
    try:
        make_pod(cluster)
        for _ in range(4):
            cluster.move_pods(0)
            cluster.sync_jobs()
        cluster.work()
        cluster.pass_time(1)
        cluster.work()
        assert cluster.resource is not None
        assert cluster.resource["status"]["done"] == 1
        cluster.kill_operator()
        cluster.delete_job(0, "Background")
        cluster.settle()
        cluster.check_rest()
        assert [each["run"] for each in cluster.resource["status"]["tasks"]] == [1, 1]
    finally:
        cluster.close()
