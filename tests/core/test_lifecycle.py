"""Stronger beats weaker, and what a lifecycle asks of tasks."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import pytest

from mageflow.api import Lifecycle, LifecycleSource, Phase, Status
from mageflow.core.lifecycle import (
    Effective,
    Holder,
    Wanted,
    derive_phase,
    describe_release,
    find_label_problem,
    holders_of,
    is_stop_awaited,
    strongest,
    strongest_lifecycle,
    wanted_by,
)
from mageflow.core.run_state import OCCUPIED, RunState

from .builders import NOON, after, workflow

ACTIVE, SUSPENDED, INTERRUPTED, CANCELED = Lifecycle


@pytest.mark.parametrize("order", list(permutations(Lifecycle)))
def test_canceled_wins_when_all_apply(order: tuple[Lifecycle, ...]) -> None:
    assert strongest_lifecycle(*order) is CANCELED


@pytest.mark.parametrize(
    ("weaker", "stronger"), [(ACTIVE, SUSPENDED), (SUSPENDED, INTERRUPTED), (INTERRUPTED, CANCELED)]
)
def test_stronger_wins_when_two_apply(weaker: Lifecycle, stronger: Lifecycle) -> None:
    assert strongest_lifecycle(weaker, stronger) is strongest_lifecycle(stronger, weaker) is stronger


BY_SPEC, BY_NAMESPACE, BY_FAILURE = LifecycleSource
FAILURE = Holder(BY_FAILURE, SUSPENDED, reason="OutputLost", message="edit task b", release="task b is edited")
NO_HOLDS = (None, "", "active")
TYPOS = ("suspend", "Suspended", "paused", "canceled")


def held(own: Lifecycle, label: str | None, failure: Holder | None = None) -> Effective:
    return strongest(holders_of(replace(workflow(own), namespace_lifecycle=label), failure, NOON))


def in_force(own: Lifecycle, label: str | None) -> tuple[Lifecycle, LifecycleSource]:
    effective = held(own, label)
    return effective.lifecycle, effective.source


@pytest.mark.parametrize("own", Lifecycle)
@pytest.mark.parametrize("label", NO_HOLDS)
def test_its_own_lifecycle_is_in_force_when_the_namespace_holds_nothing(own: Lifecycle, label: str | None) -> None:
    assert in_force(own, label) == (own, BY_SPEC)
    assert find_label_problem(label) is None


@pytest.mark.parametrize(
    ("own", "label", "lifecycle", "source"),
    [
        (ACTIVE, "suspended", SUSPENDED, BY_NAMESPACE),
        (ACTIVE, "interrupted", INTERRUPTED, BY_NAMESPACE),
        (SUSPENDED, "suspended", SUSPENDED, BY_SPEC),
        (SUSPENDED, "interrupted", INTERRUPTED, BY_NAMESPACE),
        (INTERRUPTED, "suspended", INTERRUPTED, BY_SPEC),
        (INTERRUPTED, "interrupted", INTERRUPTED, BY_SPEC),
        (CANCELED, "suspended", CANCELED, BY_SPEC),
        (CANCELED, "interrupted", CANCELED, BY_SPEC),
    ],
)
def test_the_stronger_is_in_force_when_the_namespace_holds(
    own: Lifecycle, label: str, lifecycle: Lifecycle, source: LifecycleSource
) -> None:
    assert in_force(own, label) == (lifecycle, source)
    assert find_label_problem(label) is None


@pytest.mark.parametrize(
    ("own", "label", "lifecycle", "source"),
    [
        (ACTIVE, None, SUSPENDED, BY_FAILURE),
        (ACTIVE, "suspended", SUSPENDED, BY_NAMESPACE),
        (ACTIVE, "interrupted", INTERRUPTED, BY_NAMESPACE),
        (SUSPENDED, None, SUSPENDED, BY_SPEC),
        (INTERRUPTED, None, INTERRUPTED, BY_SPEC),
        (CANCELED, None, CANCELED, BY_SPEC),
    ],
)
def test_a_failure_holds_as_suspended_does_when_nothing_stronger_holds(
    own: Lifecycle, label: str | None, lifecycle: Lifecycle, source: LifecycleSource
) -> None:
    effective = held(own, label, FAILURE)
    assert (effective.lifecycle, effective.source) == (lifecycle, source)


def test_all_that_hold_are_told_the_strongest_first() -> None:
    holders = held(SUSPENDED, "interrupted", FAILURE).holders
    assert [(holder.source, holder.lifecycle) for holder in holders] == [
        (BY_NAMESPACE, INTERRUPTED),
        (BY_SPEC, SUSPENDED),
        (BY_FAILURE, SUSPENDED),
    ]
    assert describe_release(holders) == (
        "resumed and the namespace's label mageflow.io/lifecycle is taken off and task b is edited"
    )


def test_nothing_holds_when_all_ask_for_active() -> None:
    assert held(ACTIVE, None) == Effective(ACTIVE, BY_SPEC, (), None)


@pytest.mark.parametrize(("seconds", "lifecycle"), [(1, SUSPENDED), (0, ACTIVE)])
def test_a_holder_lets_go_by_itself_when_its_time_is_over(seconds: int, lifecycle: Lifecycle) -> None:
    effective = held(ACTIVE, None, replace(FAILURE, until=after(seconds)))
    assert (effective.lifecycle, effective.recheck_at) == (lifecycle, after(1) if seconds else None)


@pytest.mark.parametrize("label", TYPOS)
def test_a_label_holds_as_suspended_does_when_it_is_no_lifecycle(label: str) -> None:
    """Whoever sets one wants something stopped; an `interupted` set after `suspended` must not resume all."""
    assert in_force(ACTIVE, label) == (SUSPENDED, BY_NAMESPACE)
    assert in_force(INTERRUPTED, label) == (INTERRUPTED, BY_SPEC)
    assert label in (find_label_problem(label) or "")


def test_each_lifecycle_asks_something_of_the_tasks() -> None:
    assert {lifecycle: wanted_by(lifecycle) for lifecycle in Lifecycle} == {
        ACTIVE: Wanted.RUN,
        SUSPENDED: Wanted.HOLD,
        INTERRUPTED: Wanted.STOP,
        CANCELED: Wanted.STOP,
    }


@pytest.mark.parametrize("lifecycle", Lifecycle)
@pytest.mark.parametrize("outcome", [Phase.SUCCEEDED, Phase.FAILED])
def test_outcome_is_the_phase_when_it_is_decided(outcome: Phase, lifecycle: Lifecycle) -> None:
    phase = derive_phase(lifecycle, outcome, frozenset(), has_ever_started=True, runs_on_when_suspended=True)
    assert phase is outcome


@pytest.mark.parametrize(
    ("lifecycle", "quiet", "busy"),
    [
        (SUSPENDED, Phase.SUSPENDED, Phase.SUSPENDING),
        (INTERRUPTED, Phase.INTERRUPTED, Phase.INTERRUPTING),
        (CANCELED, Phase.CANCELED, Phase.INTERRUPTING),
    ],
)
@pytest.mark.parametrize("state", RunState)
def test_hold_is_in_force_when_no_pod_of_any_task_can_run(
    state: RunState, lifecycle: Lifecycle, quiet: Phase, busy: Phase
) -> None:
    for states in (frozenset({state}), frozenset({state, RunState.UNSTARTED})):
        phase = derive_phase(lifecycle, None, states, has_ever_started=True, runs_on_when_suspended=False)
        assert phase is (busy if state in OCCUPIED else quiet)


def test_single_task_runs_on_when_suspended() -> None:
    running = frozenset({RunState.RUNNING})
    assert derive_phase(SUSPENDED, None, running, has_ever_started=True, runs_on_when_suspended=True) is Phase.ACTIVE
    assert (
        derive_phase(SUSPENDED, None, running, has_ever_started=True, runs_on_when_suspended=False) is Phase.SUSPENDING
    )


@pytest.mark.parametrize(("has_ever_started", "phase"), [(False, Phase.PENDING), (True, Phase.ACTIVE)])
@pytest.mark.parametrize("state", RunState)
def test_phase_is_pending_until_a_container_has_started(state: RunState, has_ever_started: bool, phase: Phase) -> None:
    states = frozenset({state})
    found = derive_phase(ACTIVE, None, states, has_ever_started=has_ever_started, runs_on_when_suspended=True)
    assert found is phase


# ── what goes before others ──


@pytest.mark.parametrize(
    ("lifecycle", "label", "phase", "knows", "is_awaited"),
    [
        (ACTIVE, None, Phase.ACTIVE, 1, False),
        (SUSPENDED, None, Phase.ACTIVE, 1, True),
        (SUSPENDED, None, None, None, True),
        (SUSPENDED, None, Phase.SUSPENDED, 2, False),
        (SUSPENDED, None, Phase.SUSPENDING, 2, True),
        (INTERRUPTED, None, Phase.SUSPENDED, 1, True),
        (ACTIVE, "suspended", Phase.ACTIVE, 2, True),
        (ACTIVE, None, Phase.SUSPENDED, 1, False),
        (CANCELED, None, Phase.SUCCEEDED, 1, False),
    ],
    ids=[
        "it is active",
        "a suspend is news",
        "it is created suspended",
        "it is suspended",
        "its suspend is under way",
        "an interrupt is news",
        "its namespace's label is news",
        "a resume is news",
        "it has ended",
    ],
)
def test_stop_is_awaited_when(
    lifecycle: Lifecycle, label: str | None, phase: Phase | None, knows: int | None, is_awaited: bool
) -> None:
    observed = replace(
        workflow(lifecycle, Status(phase=phase, observed_generation=knows)),
        lifecycle_alone=lifecycle,
        namespace_lifecycle=label,
    )
    assert is_stop_awaited(observed) is is_awaited
