"""What is measured of transitions: from when something was asked until it was in force, by whoever saw to it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mageflow.api import WORKFLOW, Condition, ConditionType, Lifecycle, Status
from mageflow.controller.clock import Clock
from mageflow.controller.metrics import REGISTRY
from mageflow.controller.observe import observe_resource
from mageflow.controller.transition_latency import TransitionLatency
from mageflow.core.observed import ObservedResource

from .documents import resource

NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
SEEN = observe_resource(WORKFLOW, resource(generation=2))


class Watch(Clock):
    """A clock that is set by hand."""

    time = 100.0

    def monotonic(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Watch:
    return Watch()


@pytest.fixture
def transitions(clock: Watch) -> TransitionLatency:
    return TransitionLatency(clock)


def status(*, is_ready: bool, label: str | None = None) -> Status:
    ready = Condition(
        type=ConditionType.READY,
        status="True" if is_ready else "False",
        observed_generation=2,
        last_transition_time=NOON,
        reason="Suspended",
    )
    return Status(
        lifecycle=Lifecycle.SUSPENDED,
        observed_generation=2,
        observed_namespace_lifecycle=label,
        conditions=(ready,),
    )


def measured() -> tuple[float, float]:
    """How many transitions there were to Suspended, and how long they took in all."""
    labels = {"kind": "Workflow", "lifecycle": "suspended"}
    values = (REGISTRY.get_sample_value(f"mageflow_transition_seconds_{what}", labels) for what in ("count", "sum"))
    count, seconds = (value or 0.0 for value in values)
    return count, seconds


def write(transitions: TransitionLatency, resource: ObservedResource, status: Status) -> None:
    with transitions.writing(resource, status):
        pass


def test_transition_lasts_until_it_is_in_force(transitions: TransitionLatency, clock: Watch) -> None:
    count, seconds = measured()
    transitions.note_spec(SEEN)
    clock.time += 1
    write(transitions, SEEN, status(is_ready=False))
    clock.time += 2
    write(transitions, SEEN, status(is_ready=True))
    write(transitions, SEEN, status(is_ready=True))
    assert measured() == (count + 1, seconds + 3)


def test_a_label_of_the_namespace_is_a_transition_of_its_own(transitions: TransitionLatency, clock: Watch) -> None:
    count, seconds = measured()
    held: ObservedResource = replace(SEEN, status=status(is_ready=True), namespace_lifecycle="suspended")
    transitions.note_spec(held)
    clock.time += 4
    write(transitions, held, status(is_ready=True, label="suspended"))
    assert measured() == (count + 1, seconds + 4)


def test_what_another_operator_has_seen_to_is_not_measured(transitions: TransitionLatency, clock: Watch) -> None:
    """A follower that took over measured hours: since it had first seen the spec."""
    before = measured()
    transitions.note_spec(SEEN)
    transitions.note_spec(replace(SEEN, status=status(is_ready=True)))
    clock.time += 3600
    write(transitions, SEEN, status(is_ready=False))
    write(transitions, SEEN, status(is_ready=True))
    assert measured() == before


def test_a_write_is_ours_though_the_watch_tells_of_it_before_its_answer_comes(
    transitions: TransitionLatency, clock: Watch
) -> None:
    count, seconds = measured()
    transitions.note_spec(SEEN)
    clock.time += 1
    with transitions.writing(SEEN, status(is_ready=True)):
        transitions.note_spec(replace(SEEN, status=status(is_ready=True)))
    assert measured() == (count + 1, seconds + 1)


def test_nothing_is_measured_when_a_write_fails(transitions: TransitionLatency, clock: Watch) -> None:
    count, seconds = measured()
    transitions.note_spec(SEEN)
    with pytest.raises(TimeoutError), transitions.writing(SEEN, status(is_ready=True)):
        raise TimeoutError
    clock.time += 2
    write(transitions, SEEN, status(is_ready=True))
    assert measured() == (count + 1, seconds + 2)
