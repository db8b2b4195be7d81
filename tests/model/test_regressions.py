"""What the model has found: each failure, cut down to the steps that it takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mageflow.api import CHAIN, SWARM, WORKFLOW

from .cluster import Cluster, Shape
from .promises import ACTIVE, CANCELED, SUSPENDED


@contextmanager
def cluster_that_comes_to_rest(shape: Shape) -> Iterator[Cluster]:
    cluster = Cluster(shape)
    try:
        yield cluster
        cluster.promises.check()
        cluster.settle()
        cluster.check_rest()
    finally:
        cluster.close()


def test_no_second_run_begins_when_a_job_is_deleted_before_its_pod_was_seen() -> None:
    """The watch of Jobs was ahead of that of pods: the run was taken as lost, and the next began beside its pod."""
    with cluster_that_comes_to_rest(Shape(CHAIN)) as cluster:
        cluster.work()
        cluster.sync_jobs()
        cluster.delete_job(0, "Background")


def test_nothing_is_called_stopped_when_its_pod_was_never_seen() -> None:
    """The Job's suspension was told before its pod, which was still ending: Canceled was said while it ran."""
    with cluster_that_comes_to_rest(Shape(WORKFLOW)) as cluster:
        cluster.work()
        (name,) = cluster.jobs.names()
        cluster.jobs.step(name)
        cluster.ask(CANCELED)
        cluster.work()
        cluster.jobs.step(name)
        for _ in range(3):
            cluster.move_pods(0)
        cluster.sync_jobs()
        cluster.sync_jobs()


def test_success_is_kept_when_children_are_read_and_the_pod_is_gone() -> None:
    """A failed request made the operator read the pods; it forgot one that it had seen to have succeeded."""
    with cluster_that_comes_to_rest(Shape(WORKFLOW)) as cluster:
        cluster.work()
        cluster.sync_jobs()
        assert cluster.process is not None
        cluster.process.hear_all()
        cluster.move_pods(0)
        cluster.ask(SUSPENDED)
        cluster.move_pods(0)
        (pod,) = cluster.pods()
        cluster.node.end(pod, 0)
        cluster.node.report(pod)
        cluster.sync_jobs()
        cluster.delete_pod(0)


def test_nothing_is_tried_for_ever_on_a_job_that_is_gone() -> None:
    """A deletion that the watch missed: deleting the Job again and again brought 404 each time, and no other view."""
    with cluster_that_comes_to_rest(Shape(WORKFLOW)) as cluster:
        cluster.deliver(0)
        cluster.ask(SUSPENDED)
        cluster.sync_jobs()
        cluster.work()
        cluster.kill_operator()
        cluster.start_operator()
        assert cluster.process is not None
        cluster.process.hear_again("jobs", 2)


def test_resource_is_forgotten_when_the_watch_missed_its_deletion() -> None:
    """Its Jobs and pods were read every five minutes for ever, and the resource itself never."""
    with cluster_that_comes_to_rest(Shape(SWARM)) as cluster:
        cluster.work()
        cluster.delete("Orphan")
        assert cluster.process is not None
        cluster.process.hear_all()
        cluster.collector.collect()
        cluster.break_watch("swarms")


def test_nothing_spins_when_a_moment_to_look_again_is_within_a_second() -> None:
    """Decisions are made in whole seconds: one wanted again at 12:00:00.5 was made over and over until 12:00:01."""
    with cluster_that_comes_to_rest(Shape(SWARM, max_concurrency=1, lifecycle=SUSPENDED)) as cluster:
        cluster.ask(ACTIVE)
        cluster.work()
        cluster.sync_jobs()
        cluster.move_pods(0)
        cluster.work()
        cluster.pass_time(10)
        cluster.delete_job(0, "Background")
        cluster.break_watch("jobs")


def test_pod_whose_deletion_was_missed_is_not_waited_for_for_ever() -> None:
    """A pod that only the operator took to be there kept the next task from starting; nothing made it look again."""
    with cluster_that_comes_to_rest(Shape(CHAIN, retries=2)) as cluster:
        cluster.work()
        cluster.sync_jobs()
        cluster.move_pods(0)
        for pod in cluster.pods():
            cluster.node.drain(pod)
        cluster.reverse_tasks(SUSPENDED)
        cluster.move_pods(0)
        cluster.ask(ACTIVE)
        cluster.sync_jobs()
        cluster.work()
        cluster.move_pods(0)
        cluster.sync_jobs()
        cluster.kill_operator()
        cluster.start_operator()
        assert cluster.process is not None
        cluster.process.hear_again("pods", 5)
