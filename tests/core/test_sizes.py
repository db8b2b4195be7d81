"""How large a status becomes, and what leaves no room for it: etcd takes 1.5 MiB, spec and status together."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mageflow.api import ConditionType, Lifecycle, Phase, TaskPhase, TaskStatus
from mageflow.api.stored import MAX_OBJECT, shorten, size_of
from mageflow.core.observed import NO_RUNS, ObservedResource, ReasonMessage, Refusal
from mageflow.core.plan import make_plan
from mageflow.core.sizes import MAX_STATUS, largest_ledger

from . import builders
from .builders import NOON, condition_in, decide, failed_pod, names_of
from .many_builders import (
    RUNNING,
    chain,
    chain_task,
    compact,
    entry,
    one,
    status,
    succeeded,
    swarm,
    swarm_task,
)
from .many_builders import names_of as names_of_many

LIMIT = 300_000
TASKS = [f"{number:04}-{'x' * 58}" for number in range(1000)]
WIDE = "<" * 4000
"""Each of its characters takes six bytes as the API server stores it."""

COUNTS = dict.fromkeys(("run", "failures", "interruptions", "disruptions", "disruptions_in_row"), 2**31 - 1)
ALWAYS: dict[str, Any] = {**COUNTS, "job": "j" * 63, "template_hash": "0123456789", "started_at": NOON}
UNDER_WAY = {"holding": 2**31 - 1, "job_uid": builders.OWNER.uid, "pod": "p" * 63, "reason": "r" * 38, "message": WIDE}
OVER = {"finished_at": NOON, "retry_at": NOON, "reason": "r" * 38, "message": WIDE}


def largest_entry(name: str, phase: TaskPhase, **facts: Any) -> TaskStatus:
    """The largest entry that a task in a phase has."""
    fields = UNDER_WAY if phase is TaskPhase.PENDING else OVER
    return TaskStatus(name=name, phase=phase, **ALWAYS | fields | facts)


def ledger_limit(observed: ObservedResource) -> int:
    assert observed.spec is not None
    return largest_ledger(make_plan(observed.spec))


def with_size(observed: ObservedResource, beyond: int) -> ObservedResource:
    """The resource, so large that it takes so many bytes more than there is room for."""
    return replace(observed, size_of_spec=MAX_OBJECT - ledger_limit(observed) - 1000 + beyond, size_of_annotations=1000)


# ── what a status takes ──


def test_status_stays_small_when_a_thousand_tasks_fail_with_a_long_output() -> None:
    observed = swarm(
        tasks=[swarm_task(name) for name in TASKS],
        old=status(Phase.ACTIVE, [entry(name, TaskPhase.RUNNING) for name in TASKS]),
        runs={name: one(failed_pod(output="y" * 4000)) for name in TASKS},
    )

    _, new = decide(observed)

    assert new.failed == len(TASKS)
    assert len(json.dumps(new.to_json(), separators=(",", ":"))) < LIMIT


@pytest.mark.parametrize("at_once", [30, 1000])
@pytest.mark.parametrize("phase", [TaskPhase.BACKING_OFF, TaskPhase.PENDING, TaskPhase.FAILED])
def test_status_of_a_swarm_is_no_larger_than_was_reckoned_with(phase: TaskPhase, at_once: int) -> None:
    phases = [phase if number < at_once else TaskPhase.FAILED for number in range(1000)]
    entries = [largest_entry(name, its_phase) for name, its_phase in zip(TASKS, phases, strict=True)]
    observed = swarm(tasks=[swarm_task(name) for name in TASKS], old=status(Phase.ACTIVE, entries), at_once=at_once)
    _, new = decide(observed)
    assert size_of(new.to_json()) <= ledger_limit(observed) < MAX_STATUS


def test_status_of_a_swarm_is_no_larger_than_was_reckoned_with_when_nothing_can_start() -> None:
    waiting = one(builders.pending_pod(waiting=ReasonMessage("CreateContainerConfigError", "y" * 4000)))
    facts = ALWAYS | {"run": 1, "pod": "p" * 63, "job_uid": None, "started_at": None}
    entries = [TaskStatus(name=name, phase=TaskPhase.PENDING, **facts) for name in TASKS]
    observed = swarm(
        tasks=[swarm_task(name) for name in TASKS],
        old=status(Phase.ACTIVE, entries),
        runs=dict.fromkeys(TASKS, waiting),
        at_once=len(TASKS),
    )
    _, new = decide(observed)
    assert new.tasks[0].reason == "CreateContainerConfigError"
    assert size_of(new.to_json()) <= ledger_limit(observed) < MAX_STATUS


@pytest.mark.parametrize("phase", [TaskPhase.BACKING_OFF, TaskPhase.SUCCEEDED])
def test_status_of_a_chain_is_no_larger_than_was_reckoned_with(phase: TaskPhase) -> None:
    names = TASKS[:100]
    entries = [largest_entry(name, phase, message="m" * 1024, output=WIDE) for name in names]
    observed = chain(tasks=[chain_task(name) for name in names], old=status(Phase.ACTIVE, entries))
    _, new = decide(observed)
    assert size_of(new.to_json()) <= ledger_limit(observed) < MAX_STATUS


def test_status_of_a_workflow_is_no_larger_than_was_reckoned_with() -> None:
    old = builders.status(Phase.ACTIVE, builders.entry(TaskPhase.RUNNING))
    observed = builders.workflow(old=old, runs={1: succeeded(WIDE)[1]})
    _, new = decide(observed)
    assert new.output == WIDE
    assert size_of(new.to_json()) <= ledger_limit(observed)


def test_oldest_outputs_are_dropped_and_marked_when_all_are_wide() -> None:
    names = [f"t{number}" for number in range(50)]
    entries = [entry(name, TaskPhase.SUCCEEDED, output=WIDE) for name in names]
    observed = chain(tasks=[chain_task(name) for name in (*names, "last")], old=status(Phase.ACTIVE, entries))
    decision, new = decide(observed)
    kept = [task.output is not None for task in new.tasks[:50]]
    assert kept == sorted(kept)
    assert 0 < sum(kept) < 50
    dropped = new.tasks[: kept.index(True)]
    assert {task.reason for task in dropped} == {"OutputTruncated"}
    assert names_of_many(decision.after) == ["CreateJob last-1"]
    assert new.tasks[49].output == WIDE


def test_no_output_is_dropped_when_the_kubelet_could_keep_each() -> None:
    names = [f"t{number}" for number in range(99)]
    entries = [entry(name, TaskPhase.SUCCEEDED, output="x" * 4095) for name in names]
    old = status(Phase.ACTIVE, entries)
    _, new = decide(chain(tasks=[chain_task(name) for name in (*names, "last")], old=old))
    assert new.tasks[:99] == old.tasks


def test_message_of_a_condition_is_cut_when_a_webhook_says_much() -> None:
    refusal = Refusal("InvalidTask", "no " * 30_000, True, NOON)
    _, new = decide(builders.with_creations(builders.workflow(refusal=refusal)))
    assert size_of(new.to_json()) < 20_000
    assert condition_in(new, ConditionType.READY).message.endswith("…")


@given(st.text(alphabet=st.sampled_from("ab<é€😀\n\x00\u2028")), st.integers(10, 60))
def test_text_takes_no_more_than_its_limit_when_it_is_cut(text: str, limit: int) -> None:
    short = shorten(text, limit)
    assert size_of(short) - 2 <= limit
    if short != text:
        assert short.endswith("…")
        assert text.startswith(short[:-1])
        assert size_of(text) - 2 > limit


@pytest.mark.parametrize(
    ("document", "size"),
    [
        ({"a": [1, None]}, 14),
        ("é€", 2 + 5),
        ("<>&", 2 + 18),
        ("\u2028", 2 + 6),
        ("\x01\n", 2 + 6 + 2),
        ("\ud800", 2 + 3),  # half a surrogate pair
        (json.loads("[" * 300 + "]" * 300), 600),
    ],
)
def test_size_is_that_of_go(document: object, size: int) -> None:
    assert size_of(document) == size


def test_size_is_told_as_nothing_when_json_is_nested_too_deeply() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert size_of(deep) == 0


# ── what leaves no room for its status ──

EACH_KIND = pytest.mark.parametrize(
    "make", [builders.workflow, chain, swarm], ids=["Workflow", "Chain", "Swarm"]
)  # fmt: skip


@EACH_KIND
def test_nothing_starts_when_there_is_no_room_for_the_ledger(make: Any) -> None:
    """It started, and then its status couldn't be written: no interrupt, cancel or label stopped its pods."""
    observed = with_size(make(), 1)
    decision, new = decide(observed)
    assert (decision.before, decision.after) == ((), ())
    stalled = condition_in(new, ConditionType.STALLED)
    assert stalled.reason == "InvalidTask"
    for size in (observed.size, ledger_limit(observed), MAX_OBJECT):
        assert f"{size:,}" in stalled.message
    assert [event.reason for event in decision.events] == ["InvalidTask"]
    assert not any(task.reason for task in new.tasks)


@EACH_KIND
def test_tasks_start_when_there_is_just_room_for_the_ledger(make: Any) -> None:
    decision, new = decide(with_size(make(), 0))
    assert decision.before
    assert condition_in(new, ConditionType.READY).reason == "Pending"


def test_what_runs_goes_on_and_nothing_new_starts_when_a_task_is_added_beyond() -> None:
    entries = [compact("a"), entry("b", TaskPhase.RUNNING), entry("c", TaskPhase.RECORDED)]
    old = status(Phase.ACTIVE, entries)
    observed = with_size(swarm(old=old, runs={"b": RUNNING}, tasks="abcdef", at_once=4), 1)
    decision, new = decide(observed)
    assert names_of_many(decision.after) == ["CreateJob c-1"]  # it is recorded: it counts as started
    assert (new.running, condition_in(new, ConditionType.STALLED).reason) == (1, "InvalidTask")
    smaller = replace(builders.with_status(observed, new), size_of_spec=1000)
    assert "CreateJob d-1" in names_of_many(decide(smaller)[0].after)


def test_size_is_nothing_to_tell_when_all_that_is_left_runs() -> None:
    old = status(Phase.ACTIVE, [compact("a"), entry("b", TaskPhase.RUNNING)])
    _, new = decide(with_size(swarm(old=old, runs={"b": RUNNING}, tasks="ab"), 1))
    assert condition_in(new, ConditionType.READY).reason == "Running"


@pytest.mark.parametrize("lifecycle", [Lifecycle.SUSPENDED, Lifecycle.INTERRUPTED])
def test_it_is_held_and_stopped_when_there_is_no_room(lifecycle: Lifecycle) -> None:
    observed = with_size(builders.workflow(lifecycle, builders.status(Phase.PENDING, builders.FRESH)), 1)
    _, new = decide(observed)
    assert condition_in(new, ConditionType.SUSPENDED).status == "True"


def test_retry_waits_when_there_is_no_room() -> None:
    old = builders.status(Phase.ACTIVE, builders.entry(TaskPhase.BACKING_OFF, retry_at=builders.after(-1)))
    decision, new = decide(with_size(builders.workflow(old=old, runs=NO_RUNS, retries=3), 1))
    assert (names_of(decision.after), condition_in(new, ConditionType.READY).reason) == ([], "InvalidTask")


def test_removed_tasks_count_when_the_ledger_still_has_them() -> None:
    entries = [entry(f"gone-{number}") for number in range(500)]
    observed = swarm(old=status(Phase.ACTIVE, entries), tasks="a")
    observed = replace(observed, size_of_spec=MAX_OBJECT - ledger_limit(observed))
    assert condition_in(decide(observed)[1], ConditionType.STALLED).reason == "InvalidTask"
