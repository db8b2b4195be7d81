"""The operator killed at any instant: it converges to what the spec says, makes nothing twice, then writes no more.

Many transitions are played at once, each by a Workflow of its own, so that one kill hits them all.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import pytest

from mageflow.controller.settings import Settings

from .control import Raw
from .kubelet import is_accepted
from .process import COMMAND, Operator
from .stage import NOWHERE, Namespace, Workflow
from .wire import When, Wire, Write

RANDOM_KILLS: Final = int(os.environ.get("MAGEFLOW_KILLS", "2"))
"""How often the operator is killed at a random instant."""

LATEST_KILL: Final = 0.4
"""Seconds after the first transition has begun; the operator has carried all out by then, or nearly so."""

MOST_AT_ONCE: Final = Settings().workers
"""So many resources the operator works on at once: no more can be held at a write of theirs."""

QUIET_AFTER_CRASH: Final = 2.0


@dataclass(frozen=True)
class Transition:
    """Something that a user or the kubelet does to a Workflow in some state, and what is to come of it."""

    prepare: Callable[[Namespace, str], Awaitable[tuple[Workflow, Raw]]]
    begin: Callable[[Namespace, Workflow, Raw], Awaitable[object]]
    phase: str
    ready: str
    run: int
    writes: frozenset[Write]
    """The kinds of writes that the operator makes for it; WRITE_STATUS twice, if there are others."""
    interruptions: int = 0
    failures: int = 0

    @property
    def jobs(self) -> int:
        """How many Jobs are made for it in all: one for each run."""
        return self.run


async def _nothing(namespace: Namespace, name: str) -> tuple[Workflow, Raw]:
    return Workflow(namespace, name), {}


async def _pending(namespace: Namespace, name: str) -> tuple[Workflow, Raw]:
    workflow = await namespace.create(name)
    pod = await workflow.wait_for_pod()
    await workflow.wait_for("Pending")
    return workflow, pod


async def _unschedulable(namespace: Namespace, name: str) -> tuple[Workflow, Raw]:
    workflow = await namespace.create(name, template=NOWHERE)
    await workflow.wait_for("Pending", ready="Unschedulable")
    return workflow, {}


async def _running(namespace: Namespace, name: str) -> tuple[Workflow, Raw]:
    return await namespace.create_running(name)


async def _running_on(namespace: Namespace, name: str) -> tuple[Workflow, Raw]:
    """Running, with a retry left, though suspended."""
    workflow, pod = await namespace.create_running(name, retries=1)
    await workflow.set_lifecycle("suspended")
    await workflow.wait_for("Active", ready="TaskAlreadyRunning")
    return workflow, pod


def _held(lifecycle: str) -> Callable[[Namespace, str], Awaitable[tuple[Workflow, Raw]]]:
    async def prepare(namespace: Namespace, name: str) -> tuple[Workflow, Raw]:
        workflow, pod = await (_pending if lifecycle == "suspended" else _running)(namespace, name)
        await workflow.set_lifecycle(lifecycle)
        await workflow.wait_for(lifecycle.capitalize())
        await workflow.wait_until_none_of("jobs")
        return workflow, pod

    return prepare


def _set(lifecycle: str) -> Callable[[Namespace, Workflow, Raw], Awaitable[object]]:
    return lambda _, workflow, __: workflow.set_lifecycle(lifecycle)


async def _fail(namespace: Namespace, _: Workflow, pod: Raw) -> None:
    await namespace.kubelet.fail(pod)


STATUS = frozenset({Write.WRITE_STATUS})
REPORTS = frozenset({Write.WRITE_STATUS, Write.MAKE_EVENT})
CREATES = frozenset({Write.CREATE_JOB, Write.WRITE_STATUS})
RESUMES = frozenset({Write.CREATE_JOB, Write.WRITE_STATUS, Write.MAKE_EVENT})
EVICTS = frozenset({Write.EVICT_POD, Write.WRITE_STATUS, Write.DELETE_JOB, Write.MAKE_EVENT})
STOPS = frozenset({Write.STOP_JOB, Write.WRITE_STATUS, Write.DELETE_JOB, Write.MAKE_EVENT})

TRANSITIONS: Mapping[str, Transition] = {
    "create": Transition(_nothing, lambda ns, wf, _: ns.create(wf.name), "Pending", "Pending", 1, CREATES),
    "start": Transition(_pending, lambda ns, _, pod: ns.kubelet.start(pod), "Active", "Running", 1, STATUS),
    "succeed": Transition(_running, lambda ns, _, pod: ns.kubelet.succeed(pod), "Succeeded", "Succeeded", 1, STATUS),
    "fail-finally": Transition(_running, _fail, "Failed", "Failed", 1, REPORTS, failures=1),
    "fail-suspended": Transition(_running_on, _fail, "Suspended", "Suspended", 1, REPORTS, failures=1),
    "suspend-pending": Transition(_pending, _set("suspended"), "Suspended", "Suspended", 1, EVICTS),
    "suspend-unscheduled": Transition(_unschedulable, _set("suspended"), "Suspended", "Suspended", 1, EVICTS),
    "suspend-running": Transition(_running, _set("suspended"), "Active", "TaskAlreadyRunning", 1, REPORTS),
    "interrupt-pending": Transition(_pending, _set("interrupted"), "Interrupted", "Interrupted", 1, STOPS),
    "interrupt-running": Transition(
        _running, _set("interrupted"), "Interrupted", "Interrupted", 1, STOPS, interruptions=1
    ),
    "cancel-running": Transition(_running, _set("canceled"), "Canceled", "Canceled", 1, STOPS, interruptions=1),
    "resume-suspended": Transition(_held("suspended"), _set("active"), "Pending", "Pending", 2, RESUMES),
    "resume-interrupted": Transition(
        _held("interrupted"), _set("active"), "Active", "Pending", 2, RESUMES, interruptions=1
    ),
}


@dataclass(frozen=True)
class Instant:
    """An instant at which the operator is killed: at a write of a kind, the first one or a later one."""

    write: Write
    when: When
    skip: int = 0

    def __str__(self) -> str:
        return f"{self.when.name}-{self.write.name}-{self.skip}".lower().replace("_", "-")

    def hits(self, transition: Transition) -> bool:
        """Tell whether the operator makes such a write for a transition."""
        has_second_status = len(transition.writes - {Write.MAKE_EVENT}) > 1 and transition.writes != CREATES
        return self.write in transition.writes and (self.skip == 0 or has_second_status)


def _instants(*writes: Write, skip: int = 0) -> list[Instant]:
    return [Instant(write, when, skip) for write in writes for when in When]


@pytest.mark.parametrize(
    "instants",
    [
        pytest.param(_instants(Write.CREATE_JOB, Write.EVICT_POD, Write.STOP_JOB), id="deed"),
        pytest.param(_instants(Write.DELETE_JOB), id="clearing-up"),
        pytest.param(_instants(Write.WRITE_STATUS)[:1], id="status-on-its-way"),
        pytest.param(_instants(Write.WRITE_STATUS)[1:], id="status-written"),
        pytest.param(_instants(Write.WRITE_STATUS, skip=1), id="second-status"),
        pytest.param(_instants(Write.MAKE_EVENT)[:1], id="event"),
    ],
)
async def test_everything_converges_when_the_operator_is_killed_at_a(
    namespace: Namespace, instants: Sequence[Instant]
) -> None:
    """Killed just before a write arrives; or just after it was made, before the operator learns of it.

    The first status is written ahead of the deed; the second tells what has come of it.
    """
    wanted = [
        (f"{instant}-{name}", name, instant)
        for instant in instants
        for name, transition in TRANSITIONS.items()
        if instant.hits(transition)
    ]
    assert len(wanted) <= MOST_AT_ONCE
    prepared = await _prepare(namespace, {name: TRANSITIONS[transition] for name, transition, _ in wanted})
    with ExitStack() as stack:
        holds = [
            stack.enter_context(namespace.hold(instant.write, instant.when, name=name, skip=instant.skip))
            for name, _, instant in wanted
        ]
        await asyncio.gather(*(_begin_after(0, *play) for play in prepared))
        await asyncio.gather(*(hold.wait() for hold in holds))
        namespace.operator.kill()
        for hold in holds:
            hold.drop()
    await namespace.operator.start()
    await _check_all_converge(prepared)


@pytest.mark.parametrize("number", range(RANDOM_KILLS))
async def test_everything_converges_when_the_operator_is_killed_at_a_random_instant(
    namespace: Namespace, number: int
) -> None:
    """Each transition begins at a random moment around the kill; the seed is printed."""
    seed = random.randrange(10**6)
    print(f"\nseed {seed}")  # noqa: T201
    chance = random.Random(seed)
    prepared = await _prepare(namespace, TRANSITIONS)
    beginning = asyncio.gather(*(_begin_after(chance.uniform(0, LATEST_KILL), *play) for play in prepared))
    await asyncio.sleep(chance.uniform(0, LATEST_KILL))
    namespace.operator.kill()
    await beginning
    await namespace.operator.start()
    await _check_all_converge(prepared)


async def test_everything_converges_when_it_happens_while_the_operator_is_down(namespace: Namespace) -> None:
    prepared = await _prepare(namespace, TRANSITIONS)
    namespace.operator.kill()
    await asyncio.gather(*(_begin_after(0, *play) for play in prepared))
    await namespace.operator.start()
    await _check_all_converge(prepared)


async def test_everything_converges_when_the_operator_is_asked_to_end_in_the_middle(namespace: Namespace) -> None:
    prepared = await _prepare(namespace, TRANSITIONS)
    await asyncio.gather(*(_begin_after(0, *play) for play in prepared))
    await namespace.operator.stop()
    await namespace.operator.start()
    await _check_all_converge(prepared)


async def _has_accepted_pod(workflow: Workflow) -> bool:
    return all(is_accepted(pod) for pod in await workflow.live_pods())


async def test_work_in_hand_is_finished_when_the_operator_is_asked_to_end(namespace: Namespace) -> None:
    workflow, _ = await _pending(namespace, "work")
    await workflow.wait_until("the kubelet has its pod", lambda: _has_accepted_pod(workflow))
    await namespace.wait_until_quiet()  # and the operator has seen it so
    with namespace.hold(Write.WRITE_STATUS) as status:
        await workflow.set_lifecycle("suspended")
        await status.wait()
        ending = asyncio.create_task(namespace.operator.stop())
        await workflow.wait_until("the operator has heard", lambda: _is_ending(namespace.operator))
    await ending
    evictions = [write.code for write in namespace.writes() if write.resource == "pods/eviction"]
    assert evictions == [201], "what was written ahead is done"
    await namespace.operator.start()
    await workflow.wait_for("Suspended")


async def test_nothing_is_waited_for_when_the_operator_is_asked_to_end_and_has_nothing_in_hand(
    namespace: Namespace, wired: tuple[Wire, Path], tmp_path: Path
) -> None:
    """It took 5.7 s: kopf waits 5 s for tasks that are left, and left one itself when it was ended by a signal."""
    namespace.operator.kill()
    operator = Operator(wired[1], tmp_path, (*COMMAND, "--log-level=debug"))
    try:
        await operator.start()
        workflow, _ = await _pending(namespace, "work")
        await namespace.wait_until_quiet()
        await operator.stop()
    finally:
        operator.kill()
    assert "Hung tasks stopping is skipped: no tasks given" in operator.log, operator.log[-6000:]
    assert (await workflow.status())["phase"] == "Pending"


# ── how it is done ──

Play = tuple[Transition, Workflow, Raw]


async def _prepare(namespace: Namespace, transitions: Mapping[str, Transition]) -> list[Play]:
    async def prepare(name: str, transition: Transition) -> Play:
        return (transition, *await transition.prepare(namespace, name))

    prepared = await asyncio.gather(*(prepare(name, transition) for name, transition in transitions.items()))
    await namespace.wait_until_quiet()
    return prepared


async def _begin_after(seconds: float, transition: Transition, workflow: Workflow, pod: Raw) -> None:
    await asyncio.sleep(seconds)
    await transition.begin(workflow.namespace, workflow, pod)


async def _check_all_converge(prepared: Iterable[Play]) -> None:
    plays = list(prepared)
    await asyncio.gather(*(_check_converges(*play) for play in plays))
    namespace = plays[0][1].namespace
    for transition, workflow, _ in plays:
        await workflow.wait_until(f"{transition.jobs} Jobs were made", partial(_has_made, workflow, transition.jobs))
    await namespace.wait_until_quiet(QUIET_AFTER_CRASH)
    await asyncio.gather(*(_check_converges(*play) for play in plays))
    for transition, workflow, _ in plays:
        jobs = _made_by(workflow)
        assert len(jobs) == transition.jobs, f"{workflow.name}: {jobs}"


async def _has_made(workflow: Workflow, jobs: int) -> bool:
    """A run that another operator had recorded gets its Job only once it is clear that none was made (ADR 14)."""
    return len(_made_by(workflow)) >= jobs


def _made_by(workflow: Workflow) -> list[str]:
    namespace = workflow.namespace
    return [name for name in namespace.audit.created_jobs(namespace.name) if name.startswith(f"{workflow.name}-")]


async def _check_converges(transition: Transition, workflow: Workflow, _: Raw) -> None:
    status = await workflow.wait_for(transition.phase, ready=transition.ready, run=transition.run)
    task = status["tasks"][0]
    counts = (status["interruptions"], task.get("failures", 0), task.get("disruptions", 0))
    assert counts == (transition.interruptions, transition.failures, 0), f"{workflow.name}: {task}"


async def _is_ending(operator: Operator) -> bool:
    return operator.is_ending
