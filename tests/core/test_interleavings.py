"""The promises in any order of events: the operator killed between any two requests, the kubelet late, users hasty."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import event, given
from hypothesis import strategies as st

from mageflow.api import ENDED_PHASES, HELD_PHASES, Lifecycle, Phase
from mageflow.core.resource import decide as decide_resource

from .world import Pod, View, World

ACTIVE, SUSPENDED, INTERRUPTED, CANCELED = Lifecycle

RESTING_PHASES = {
    ACTIVE: {Phase.SUCCEEDED, Phase.FAILED},
    SUSPENDED: {Phase.SUSPENDED, Phase.SUCCEEDED, Phase.FAILED},
    INTERRUPTED: {Phase.INTERRUPTED, Phase.SUCCEEDED, Phase.FAILED},
    CANCELED: {Phase.CANCELED, Phase.SUCCEEDED, Phase.FAILED},
}


Take = Callable[[World], None]


def each_pod(act: Callable[[World, Pod], None]) -> Take:
    def take(world: World) -> None:
        for pod in list(world.pods.values()):
            act(world, pod)

    return take


def newest_pod(act: Callable[[World, Pod], None]) -> Take:
    def take(world: World) -> None:
        for pod in list(world.pods.values())[-1:]:
            act(world, pod)

    return take


def reconcile(look: Callable[[World], View]) -> Take:
    def take(world: World) -> None:
        world.view = look(world)
        world.reconcile()

    return take


def delete_newest_job(world: World) -> None:
    if world.jobs and not world.has_succeeded:
        world.delete_job_by_hand(max(world.jobs))


STEPS: dict[str, tuple[int, Take]] = {
    "nothing happens": (1, lambda world: None),
    "the user asks for active": (3, lambda world: world.patch(ACTIVE)),
    "the user asks for suspended": (2, lambda world: world.patch(SUSPENDED)),
    "the user asks for interrupted": (2, lambda world: world.patch(INTERRUPTED)),
    "the operator reconciles what it sees now": (8, reconcile(World.look)),
    "the operator reconciles, and pods are seen late": (2, reconcile(World.look_at_jobs)),
    "the operator reconciles, and Jobs are seen late": (2, reconcile(World.look_at_pods)),
    "the operator reconciles what it saw before": (2, lambda world: world.reconcile()),
    "the operator is killed before its first request": (1, lambda world: world.reconcile(dies_after=0)),
    "the operator is killed after one request": (2, lambda world: world.reconcile(dies_after=1)),
    "the operator is killed after two requests": (1, lambda world: world.reconcile(dies_after=2)),
    "the Job controller syncs": (6, lambda world: world.sync_jobs()),
    "garbage is collected": (3, lambda world: world.collect_garbage()),
    "each pod moves on, and does well": (4, each_pod(lambda world, pod: world.move(pod, 0))),
    "each pod moves on, or fails": (4, each_pod(lambda world, pod: world.move(pod, 1))),
    "the newest pod moves on": (2, newest_pod(lambda world, pod: world.move(pod, 0))),
    "a container ends well, unreported as yet": (1, each_pod(lambda world, pod: world.finish(pod, 0))),
    "a container fails, unreported as yet": (1, each_pod(lambda world, pod: world.finish(pod, 1))),
    "a node is drained": (1, newest_pod(lambda world, pod: world.drain(pod))),
    "the user deletes a Job": (1, delete_newest_job),
    "ten seconds pass": (2, lambda world: world.pass_time(10)),
    "a minute passes": (1, lambda world: world.pass_time(60)),
}
"""What happens between two instants; the number tells how often, the rarest once."""

orders = st.lists(
    st.sampled_from([name for name, (often, _) in STEPS.items() for _ in range(often)]), min_size=20, max_size=60
)


def check(world: World) -> None:
    """What holds at each instant, besides what `World` itself checks of each request."""
    if world.status.phase in HELD_PHASES | ENDED_PHASES:
        assert world.live_pods == [], f"{world.status.phase} means quiet"
        assert not any(pod.runs for pod in world.pods.values())
    assert sum(pod.runs for pod in world.pods.values()) <= 1, "nothing runs twice at once"
    assert sum(task.failures for task in world.status.tasks) <= world.own_failures, "others' stops are no failures"


@given(orders, st.booleans())
def test_promises_hold_in_any_order_of_events(order: list[str], is_canceled: bool) -> None:
    world = World()
    for name in order:
        _, take = STEPS[name]
        take(world)
        check(world)
    if is_canceled:
        world.patch(CANCELED)
    event(f"{world.status.phase} after {len(world.created)} runs")

    world.settle()

    check(world)
    assert world.status.phase in RESTING_PHASES[world.lifecycle]
    if world.has_succeeded:
        assert world.status.phase is Phase.SUCCEEDED, "nothing is lost"
    decision = decide_resource(world.look().observed, world.now)
    assert (decision.status, decision.actions, decision.events) == (world.status, (), ())
