"""Stronger beats weaker, and what a lifecycle asks of tasks."""

from __future__ import annotations

from itertools import permutations

import pytest

from mageflow.api import Lifecycle, Phase, TaskPhase
from mageflow.core.lifecycle import OCCUPIED, Wanted, find_phase, strongest, wanted_by

ACTIVE, SUSPENDED, INTERRUPTED, CANCELED = Lifecycle


@pytest.mark.parametrize("order", list(permutations(Lifecycle)))
def test_canceled_wins_when_all_apply(order: tuple[Lifecycle, ...]) -> None:
    assert strongest(*order) is CANCELED


@pytest.mark.parametrize(
    ("weaker", "stronger"), [(ACTIVE, SUSPENDED), (SUSPENDED, INTERRUPTED), (INTERRUPTED, CANCELED)]
)
def test_stronger_wins_when_two_apply(weaker: Lifecycle, stronger: Lifecycle) -> None:
    assert strongest(weaker, stronger) is strongest(stronger, weaker) is stronger


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
    phase = find_phase(lifecycle, outcome, frozenset(), has_ever_started=True, runs_on_when_suspended=True)
    assert phase is outcome


@pytest.mark.parametrize(
    ("lifecycle", "quiet", "busy"),
    [
        (SUSPENDED, Phase.SUSPENDED, Phase.SUSPENDING),
        (INTERRUPTED, Phase.INTERRUPTED, Phase.INTERRUPTING),
        (CANCELED, Phase.CANCELED, Phase.INTERRUPTING),
    ],
)
@pytest.mark.parametrize("state", TaskPhase)
def test_hold_is_in_force_when_no_pod_of_any_task_can_run(
    state: TaskPhase, lifecycle: Lifecycle, quiet: Phase, busy: Phase
) -> None:
    for states in (frozenset({state}), frozenset({state, TaskPhase.UNSTARTED})):
        phase = find_phase(lifecycle, None, states, has_ever_started=True, runs_on_when_suspended=False)
        assert phase is (busy if state in OCCUPIED else quiet)


def test_single_task_runs_on_when_suspended() -> None:
    running = frozenset({TaskPhase.RUNNING})
    assert find_phase(SUSPENDED, None, running, has_ever_started=True, runs_on_when_suspended=True) is Phase.ACTIVE
    assert find_phase(SUSPENDED, None, running, has_ever_started=True, runs_on_when_suspended=False) is Phase.SUSPENDING


@pytest.mark.parametrize(("has_ever_started", "phase"), [(False, Phase.PENDING), (True, Phase.ACTIVE)])
@pytest.mark.parametrize("state", TaskPhase)
def test_phase_is_pending_until_a_container_has_started(state: TaskPhase, has_ever_started: bool, phase: Phase) -> None:
    states = frozenset({state})
    found = find_phase(ACTIVE, None, states, has_ever_started=has_ever_started, runs_on_when_suspended=True)
    assert found is phase
