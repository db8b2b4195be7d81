"""Stops that the API server refuses: told, and tried again until they pass. And Jobs whose names are needed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mageflow.api import ConditionType, Lifecycle, Phase, TaskPhase
from mageflow.core.observed import ObservedResource, Refusal, Run

from .builders import (
    ONE_PENDING,
    ONE_RUNNING,
    after,
    condition_in,
    decide,
    disrupted_job,
    entry,
    job,
    names_of,
    status,
    workflow,
)

SENTENCE = "ask the storage team before you evict"
PENDING, RUNNING = entry(TaskPhase.PENDING), entry(TaskPhase.RUNNING)
SUSPENDED, INTERRUPTED, ACTIVE = Lifecycle.SUSPENDED, Lifecycle.INTERRUPTED, Lifecycle.ACTIVE


def refused(reason: str = "StopRefused", retry: float = 30, *, is_passing: bool = False) -> Refusal:
    return Refusal(reason, SENTENCE, is_passing=is_passing, retry_at=after(retry))


SUSPENDING = workflow(SUSPENDED, status(Phase.PENDING, PENDING), ONE_PENDING)
HOLDING = workflow(SUSPENDED, status(Phase.PENDING, PENDING), {1: Run(job())})
INTERRUPTING = workflow(INTERRUPTED, status(Phase.ACTIVE, RUNNING), ONE_RUNNING)


@pytest.mark.parametrize(
    ("observed", "key", "action", "reason"),
    [
        pytest.param(SUSPENDING, "EvictPod pod-1", "EvictPod", "EvictionRefused", id="an eviction"),
        pytest.param(HOLDING, "HoldJob job-1", "HoldJob 1", "StopRefused", id="a Job without a pod"),
        pytest.param(INTERRUPTING, "StopJob job-1", "StopJob 1", "StopRefused", id="an interrupt"),
    ],
)
@pytest.mark.parametrize("retry", [30, 0], ids=["not due", "due"])
def test_stop_that_is_refused_is_told_and_tried_again_when_it_is_due(
    observed: ObservedResource, key: str, action: str, reason: str, retry: int
) -> None:
    decision, new = decide(replace(observed, blocked={key: refused(reason, retry)}))

    assert new.phase in (Phase.SUSPENDING, Phase.INTERRUPTING)
    ready = condition_in(new, ConditionType.READY)
    assert (ready.status, ready.reason, ready.message) == ("False", reason, SENTENCE)
    assert (names_of(decision.after), decision.recheck_at) == (([], after(30)) if retry else ([action], None))


def test_stop_that_may_pass_at_the_next_try_is_not_told_yet() -> None:
    blocked = {"EvictPod pod-1": refused("EvictionRefused", is_passing=True)}
    decision, new = decide(replace(SUSPENDING, blocked=blocked))
    assert condition_in(new, ConditionType.READY).reason == "Suspending"
    assert decision.after == ()


def test_interrupt_is_carried_out_though_an_eviction_is_refused() -> None:
    """A stop always beats a pause."""
    observed = workflow(INTERRUPTED, status(Phase.SUSPENDING, entry(TaskPhase.STOPPING, holding=1)), ONE_PENDING)
    decision, _ = decide(replace(observed, blocked={"EvictPod pod-1": refused("EvictionRefused")}))
    assert names_of(decision.after) == ["StopJob 1"]


def test_deletion_that_is_refused_is_told_beside_what_else_is() -> None:
    old = status(Phase.SUSPENDED, entry(), SUSPENDED)
    observed = workflow(SUSPENDED, old, {1: Run(disrupted_job())})
    decision, new = decide(replace(observed, blocked={"DeleteJob job-1": refused()}))
    ready = condition_in(new, ConditionType.READY)
    assert (decision.after, ready.status, ready.reason) == ((), "True", "Suspended")
    assert ready.message.endswith(f"; {SENTENCE}")


@pytest.mark.parametrize("seconds", [0, 35])
def test_job_is_not_deleted_while_its_name_is_needed(seconds: int) -> None:
    """A request of another operator that is late would create it anew: a run's number is used once."""
    observed = replace(HOLDING, late={("main", 1): after(35)})
    decision, new = decide(observed, after(seconds))
    assert new.phase is Phase.SUSPENDING
    assert names_of(decision.after) == ([] if seconds < 35 else ["HoldJob 1"])
    assert decision.recheck_at == (after(35) if seconds < 35 else None)
