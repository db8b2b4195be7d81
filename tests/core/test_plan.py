"""What each kind makes of its spec, which tasks may run by it, and how it has ended."""

from __future__ import annotations

import pytest

from mageflow.api import ChainSpec, Phase, SwarmSpec, TaskPhase, TaskStatus, WorkflowSpec
from mageflow.core.observed import Refusal
from mageflow.core.plan import (
    MAX_PASSED_OVER,
    FailureMode,
    Ledger,
    LedgerMode,
    Plan,
    SuspendMode,
    Task,
    Window,
    compute_outcome,
    compute_window,
    make_plan,
)

from .builders import NOON, TEMPLATE
from .many_builders import OTHER_TEMPLATE, chain_task, swarm_task

U, RECORDED, BACKING_OFF, P, R, STOPPING, S, F = TaskPhase
"""Unstarted, …, Pending, Running, …, Succeeded, Failed."""

FOR_GOOD = Refusal("InvalidTask", "no image", True, NOON)
FOR_NOW = Refusal("Forbidden", "exceeded quota", False, NOON)


def swarm_of(*names: str, at_once: int = 2) -> Plan:
    return Plan([Task(name, TEMPLATE) for name in names], at_once, FailureMode.RUN_ALL, LedgerMode.COMPACT)


def chain_of(*names: str) -> Plan:
    return Plan([Task(name, TEMPLATE) for name in names])


def ledger(*phases: TaskPhase | None) -> Ledger:
    """The entries of a, b, c, …; None: it has none."""
    found = zip("abcdefgh", phases, strict=False)
    return {name: TaskStatus(name=name, phase=phase, run=1) for name, phase in found if phase is not None}


def window(plan: Plan, known: Ledger, **refusals: Refusal) -> Window:
    return compute_window(plan, known, lambda task, _: refusals.get(task.name))


# ── of a spec ──


def test_tasks_of_a_chain_follow_each_other() -> None:
    plan = make_plan(ChainSpec(tasks=(chain_task("a", retries=2), chain_task("b", input=1, timeout_seconds=60))))

    assert plan.tasks == (
        Task("a", TEMPLATE, retries=2, index=0, path="spec.tasks[0]"),
        Task("b", TEMPLATE, 1, timeout_seconds=60, index=1, after="a", path="spec.tasks[1]"),
    )
    assert (plan.max_at_once, plan.failure, plan.is_single) == (1, FailureMode.END_AT_FIRST, False)
    assert (plan.ledger, plan.has_output, plan.suspend) == (LedgerMode.WITH_OUTPUTS, True, SuspendMode.DRAIN)


def test_tasks_of_a_swarm_stand_side_by_side_and_share_a_template() -> None:
    tasks = (swarm_task("a"), swarm_task("b", template=dict(OTHER_TEMPLATE)))
    plan = make_plan(SwarmSpec(template=dict(TEMPLATE), tasks=tasks))

    assert [(task.template, task.after) for task in plan.tasks] == [(TEMPLATE, None), (OTHER_TEMPLATE, None)]
    assert (plan.max_at_once, plan.failure, plan.is_single) == (30, FailureMode.RUN_ALL, False)
    assert (plan.ledger, plan.has_output, plan.suspend) == (LedgerMode.COMPACT, False, SuspendMode.DRAIN)


def test_task_of_a_swarm_has_no_template_when_none_is_given() -> None:
    assert make_plan(SwarmSpec(tasks=(swarm_task("a"),))).tasks[0].template is None


def test_workflow_is_one_task_that_runs_on_when_suspended() -> None:
    plan = make_plan(WorkflowSpec(template=dict(TEMPLATE)))
    assert ([task.name for task in plan.tasks], plan.is_single, plan.suspend) == (["main"], True, SuspendMode.RUN_ON)


# ── which may run ──


@pytest.mark.parametrize(
    ("plan", "phases", "names"),
    [
        pytest.param(chain_of(*"abc"), [], "a", id="Chain: the first"),
        pytest.param(chain_of(*"abc"), [S], "b", id="Chain: the next once it has succeeded"),
        pytest.param(chain_of(*"abc"), [S, BACKING_OFF], "b", id="Chain: one that backs off keeps its turn"),
        pytest.param(chain_of(*"abc"), [U, R], "a", id="Chain: one put before another that runs"),
        pytest.param(chain_of(*"abc"), [S, S, S], "", id="Chain: none when all have ended"),
        pytest.param(swarm_of(*"abcd"), [], "ab", id="Swarm: the first two"),
        pytest.param(swarm_of(*"abcd"), [R, S], "ac", id="Swarm: the next when one has succeeded"),
        pytest.param(swarm_of(*"abcd"), [F, R], "bc", id="Swarm: the next when one has failed"),
        pytest.param(
            swarm_of(*"abcd"), [BACKING_OFF, STOPPING], "ab", id="Swarm: waiting and stopping keep their turn"
        ),
        pytest.param(swarm_of(*"abcd"), [R, P, RECORDED], "abc", id="Swarm: a recorded run is not forgotten"),
        pytest.param(swarm_of(*"abcd", at_once=9), [S], "bcd", id="Swarm: all when there is room"),
        pytest.param(swarm_of(), [], "", id="Swarm: none when there is none"),
    ],
)
def test_turn_is_the_first_that_have_not_ended(plan: Plan, phases: list[TaskPhase | None], names: str) -> None:
    assert "".join(window(plan, ledger(*phases))) == names


def test_task_that_can_not_start_takes_no_place_in_a_swarm() -> None:
    assert window(swarm_of(*"abcd"), {}, a=FOR_GOOD, c=FOR_GOOD) == {"a": FOR_GOOD, "b": None, "c": FOR_GOOD, "d": None}


def test_task_that_can_not_start_keeps_those_after_it_waiting_in_a_chain() -> None:
    assert window(chain_of(*"abc"), {}, a=FOR_GOOD) == {"a": FOR_GOOD}


def test_task_that_can_not_start_as_yet_keeps_its_place() -> None:
    assert window(swarm_of(*"abcd"), {}, a=FOR_NOW) == {"a": FOR_NOW, "b": None}


def test_refusal_goes_on_being_told_when_it_is_not_the_tasks_turn() -> None:
    refused = {"d": TaskStatus(name="d", reason="InvalidTask")}
    assert window(swarm_of(*"abcd"), refused, d=FOR_GOOD) == {"a": None, "b": None, "d": FOR_GOOD}


def test_no_more_are_passed_over_when_very_many_can_not_start() -> None:
    names = [f"t{number}" for number in range(MAX_PASSED_OVER + 9)]
    plan = swarm_of(*names, at_once=3)
    found = compute_window(plan, {}, lambda task, entry: FOR_GOOD)
    assert list(found) == names[: MAX_PASSED_OVER + 3]


# ── how it has ended ──


@pytest.mark.parametrize(
    ("plan", "phases", "outcome"),
    [
        pytest.param(chain_of(*"abc"), [S, S], None, id="Chain: one is left"),
        pytest.param(chain_of(*"abc"), [S, S, S], Phase.SUCCEEDED, id="Chain: all have succeeded"),
        pytest.param(chain_of(*"abc"), [S, F], Phase.FAILED, id="Chain: one has failed, one is left"),
        pytest.param(swarm_of(*"abc"), [F, S], None, id="Swarm: one has failed, one is left"),
        pytest.param(swarm_of(*"abc"), [F, S, BACKING_OFF], None, id="Swarm: one has failed, one will run again"),
        pytest.param(swarm_of(*"abc"), [F, S, S], Phase.FAILED, id="Swarm: one has failed, all have ended"),
        pytest.param(swarm_of(*"abc"), [S, S, S], Phase.SUCCEEDED, id="Swarm: all have succeeded"),
        pytest.param(swarm_of(), [], Phase.SUCCEEDED, id="Swarm: there is none"),
    ],
)
def test_outcome_is_that_of_the_tasks(plan: Plan, phases: list[TaskPhase | None], outcome: Phase | None) -> None:
    assert compute_outcome(plan, ledger(*phases)) is outcome


def test_tasks_that_the_spec_has_no_more_decide_nothing() -> None:
    assert compute_outcome(swarm_of("b"), ledger(F, S)) is Phase.SUCCEEDED
