"""What each kind makes of its spec: its tasks, which of them may run now, and how it ends.

           tasks that may run                                       a failed task       what the ledger keeps
Workflow   its one task                                             ends it             a full entry
Chain      the first that has not ended                             ends it             full entries with outputs
Swarm      the first `maxConcurrency` that have not ended           the others run on   little: there may be 1,000

A plan is data, and so is all that is decided by it; only this file knows the kinds' specs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any, Final, assert_never

from mageflow.api import (
    ENDED_TASKS,
    MAIN_TASK,
    ChainSpec,
    Phase,
    SwarmSpec,
    TaskPhase,
    TaskStatus,
    WorkflowSpec,
    reasons,
)
from mageflow.core.observed import ObservedResource, Refusal, Spec

GRACE_SECONDS: Final = 30
"""What a pod is given to end when it doesn't say: the API server's default of terminationGracePeriodSeconds."""

MAX_PASSED_OVER: Final = 100
"""How many tasks that can't start are passed over: what is wrong with more is wrong with all, and told once."""


def digest(*parts: Any) -> str:
    """Return ten lower-case characters that identify any JSON values."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


@dataclass(frozen=True, slots=True)
class Owner:
    """The resource that a Job belongs to."""

    kind: str
    namespace: str
    name: str
    uid: str

    @classmethod
    def of(cls, observed: ObservedResource) -> Owner:
        """Return a resource as the owner of its Jobs."""
        return cls(observed.kind.name, observed.namespace, observed.name, observed.uid)


class StepRole(Enum):
    """What part a task has in its resource."""

    TASK = "task"
    """It is in the spec: it may run, and its end counts."""
    REMOVED = "removed"
    """It had a run, and the spec has it no more: it ends, and isn't forgotten."""


@dataclass(frozen=True, slots=True)
class Task:
    """What the spec asks of one task."""

    name: str
    template: Mapping[str, Any] | None
    """A PodTemplateSpec, as the user wrote it; None if there is none, which is a problem to report."""
    input: Any = None
    retries: int = 0
    timeout_seconds: int | None = None
    index: int = 0
    after: str | None = None
    """The task whose output it gets, in a Chain."""
    path: str = "spec"
    """Where it stands in the resource, for messages."""
    role: StepRole = StepRole.TASK

    @property
    def grace_period(self) -> timedelta:
        """What its pod is given to end when it is stopped."""
        spec = (self.template or {}).get("spec") or {}
        return timedelta(seconds=spec.get("terminationGracePeriodSeconds") or GRACE_SECONDS)

    @property
    def template_hash(self) -> str:
        """Ten characters that change with anything that a run is made from."""
        return digest(self.template, self.input, self.timeout_seconds)


class FailureMode(Enum):
    """What becomes of a resource of which a task has failed."""

    END_AT_FIRST = "end at first"
    """The first failed task ends it as Failed."""
    RUN_ALL = "run all"
    """The others run to their end; then it is Failed."""


class LedgerMode(Enum):
    """What the ledger, `status.tasks`, keeps of each task, and whether there is an output of the whole."""

    FULL = "full"
    """A full entry for each task. What the last one wrote is the resource's own output."""
    WITH_OUTPUTS = "with outputs"
    """The same, and in each entry what its task wrote, which the next one gets."""
    COMPACT = "compact"
    """No entry for a task without a run, and little of one that has ended. The resource has no output."""


class SuspendMode(Enum):
    """What a suspend is to a resource of which a task runs: that task finishes in any case."""

    DRAIN = "drain"
    """It is Suspending until what runs has ended."""
    RUN_ON = "run on"
    """The task that runs is all there is, so nothing is held: it stays Active."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a kind makes of a spec."""

    tasks: Sequence[Task]
    """In the order in which they start."""
    max_at_once: int = 1
    """How many may have a pod at once, counting one that may yet be made."""
    failure: FailureMode = FailureMode.END_AT_FIRST
    ledger: LedgerMode = LedgerMode.FULL
    suspend: SuspendMode = SuspendMode.DRAIN
    is_single: bool = False
    """It has one task, which messages needn't name."""

    @property
    def has_output(self) -> bool:
        """What its last task wrote is its own output."""
        return self.ledger is not LedgerMode.COMPACT

    @property
    def keeps_entries(self) -> bool:
        """The ledger has a full entry for each task."""
        return self.ledger is not LedgerMode.COMPACT


Ledger = Mapping[str, TaskStatus]
"""The entries of `status.tasks`, by task name."""

Window = Mapping[str, Refusal | None]
"""The names of the tasks that may run now, each with why its next run can't start, if it can't."""


def make_plan(spec: Spec) -> Plan:
    """Let the kind make its plan of the spec."""
    match spec:
        case WorkflowSpec():
            return _plan_workflow(spec)
        case ChainSpec():
            return _plan_chain(spec)
        case SwarmSpec():
            return _plan_swarm(spec)
        case _:
            assert_never(spec)


def _plan_workflow(spec: WorkflowSpec) -> Plan:
    task = Task(MAIN_TASK, spec.template, spec.input, spec.retries, spec.timeout_seconds, path="spec")
    return Plan((task,), suspend=SuspendMode.RUN_ON, is_single=True)


def _plan_chain(spec: ChainSpec) -> Plan:
    tasks = tuple(
        Task(
            task.name,
            task.template,
            task.input,
            task.retries,
            task.timeout_seconds,
            index=index,
            after=spec.tasks[index - 1].name if index else None,
            path=f"spec.tasks[{index}]",
        )
        for index, task in enumerate(spec.tasks)
    )
    return Plan(tasks, ledger=LedgerMode.WITH_OUTPUTS)


def _plan_swarm(spec: SwarmSpec) -> Plan:
    tasks = tuple(
        Task(
            task.name,
            spec.template if task.template is None else task.template,
            task.input,
            task.retries,
            task.timeout_seconds,
            index=index,
            path=f"spec.tasks[{index}]",
        )
        for index, task in enumerate(spec.tasks)
    )
    return Plan(tasks, max_at_once=spec.max_concurrency, failure=FailureMode.RUN_ALL, ledger=LedgerMode.COMPACT)


def compute_outcome(plan: Plan, ledger: Ledger) -> Phase | None:
    """Tell how a resource has ended, by its tasks: Succeeded, Failed, or None while it hasn't."""
    phases = [_phase_in(ledger, task.name) for task in plan.tasks]
    ends = plan.failure is FailureMode.END_AT_FIRST or ENDED_TASKS.issuperset(phases)
    if TaskPhase.FAILED in phases and ends:
        return Phase.FAILED
    return Phase.SUCCEEDED if all(phase is TaskPhase.SUCCEEDED for phase in phases) else None


def compute_window(
    plan: Plan, ledger: Ledger, find_refusal: Callable[[Task, TaskStatus | None], Refusal | None]
) -> Window:
    """Return the tasks that may run now: the first `max_at_once` that have not ended, and those that have begun to.

    `find_refusal` is asked for each of them, with its ledger entry, and for no other: it returns why the next run of
    that task can't start, or None. One that can't start without an edit takes no other's place, unless the tasks after
    it depend on it.
    """
    window: dict[str, Refusal | None] = {}
    places, passed_over = plan.max_at_once, 0
    for task in plan.tasks:
        entry = ledger.get(task.name)
        if entry is not None and entry.phase in ENDED_TASKS:
            continue
        if places <= 0 and not _has_begun(entry):
            continue
        refusal = window[task.name] = find_refusal(task, entry)
        can_start = refusal is None or not refusal.is_invalid
        if can_start or plan.failure is FailureMode.END_AT_FIRST or passed_over == MAX_PASSED_OVER:
            places -= 1
        else:
            passed_over += 1
    return window


def _has_begun(entry: TaskStatus | None) -> bool:
    """Tell whether a run is recorded, was refused for good, or can't be understood: that goes on being told."""
    return entry is not None and (
        entry.phase is TaskPhase.RECORDED or entry.reason == reasons.INVALID_TASK or not entry.is_understood
    )


def _phase_in(ledger: Ledger, name: str) -> TaskPhase | str:
    entry = ledger.get(name)
    return TaskPhase.UNSTARTED if entry is None else entry.phase
