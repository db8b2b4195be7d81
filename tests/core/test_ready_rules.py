"""What the condition Ready says: one table, each case a sentence, with the rule that speaks and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from mageflow.api import Condition, ConditionType, Lifecycle, LifecycleSource, Phase, Status, TaskPhase
from mageflow.core.blocked import Blocked
from mageflow.core.conditions import Readiness
from mageflow.core.lifecycle import Effective, Holder
from mageflow.core.observed import ObservedPod, ReasonMessage, Refusal, Run
from mageflow.core.plan import FailureMode, LedgerMode, Plan, StepRole, Task
from mageflow.core.readiness import READY_RULES, Obstacle, Rule, View, derive_readiness
from mageflow.core.run_state import RunState
from mageflow.core.steps import Step
from mageflow.core.trouble import NODE_PATIENCE

from .builders import (
    EARLIER,
    NOON,
    TEMPLATE,
    after,
    entry,
    job,
    pending_pod,
    running_pod,
    terminating,
    workflow,
)

READY, NOT_READY, STALLED = "Ready", "not ready", "stalled"

SINGLE = Plan((Task("main", TEMPLATE),), is_single=True)
CHAIN = Plan((Task("a", TEMPLATE), Task("b", TEMPLATE)), ledger=LedgerMode.WITH_OUTPUTS)
SWARM = Plan((Task("a", TEMPLATE), Task("b", TEMPLATE)), 2, FailureMode.RUN_ALL, LedgerMode.COMPACT)

FREE = Effective(Lifecycle.ACTIVE, LifecycleSource.SPEC)
BY_SPEC = Holder(LifecycleSource.SPEC, Lifecycle.SUSPENDED, release="resumed")
BY_LABEL = Holder(LifecycleSource.NAMESPACE, Lifecycle.SUSPENDED, release="the label is taken off")
BY_FAILURE = Holder(
    LifecycleSource.FAILURE, Lifecycle.SUSPENDED, reason="OutputLost", message="edit b", release="b is edited"
)
HELD = Effective(Lifecycle.SUSPENDED, LifecycleSource.SPEC, (BY_SPEC,))
HELD_BY_LABEL = Effective(Lifecycle.SUSPENDED, LifecycleSource.NAMESPACE, (BY_LABEL,))
HELD_BY_FAILURE = Effective(Lifecycle.SUSPENDED, LifecycleSource.FAILURE, (BY_FAILURE,))

NO_STATUS = Obstacle("InvalidStatus", "status.tasks: not a list", hides_phase=True)
NO_SPEC = Obstacle("InvalidTask", "spec.tasks: not a list", hides_phase=False)
EVICTION_REFUSED = Refusal("EvictionRefused", "pod report-pod can't be evicted: forbidden")
DELETION_REFUSED = Refusal("StopRefused", "Job report-1 can't be deleted: forbidden")
FORBIDDEN = Refusal("Forbidden", "exceeded quota", retry_at=NOON)
INVALID = Refusal("InvalidTask", "no image", is_invalid=True, retry_at=NOON)


def step(state: RunState, *pods: ObservedPod, name: str = "main", refusal: Refusal | None = None, **facts: Any) -> Step:
    """A task in a state; its pods are put into what is observed by `view`."""
    phase = TaskPhase(facts.pop("phase", state))
    return PodStep(entry(phase, **{"name": name, **facts}), state, refusal=refusal, pods=pods)


@dataclass(frozen=True, slots=True)
class PodStep(Step):
    """A step with the pods of its task's latest run."""

    pods: tuple[ObservedPod, ...] = ()


@dataclass(frozen=True)
class Case:
    """A resource, and what is said of it."""

    sentence: str
    rule: str
    phase: Phase
    steps: Sequence[Step]
    verdict: str
    reason: str
    message: str
    effective: Effective = FREE
    plan: Plan | None = SINGLE
    told: Readiness | None = None
    """What Ready said before."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Of what is observed."""
    more: dict[str, Any] = field(default_factory=dict)
    """Of the view."""


def view_of(case: Case) -> View:
    runs = {}
    for each in case.steps:
        pods = each.pods if isinstance(each, PodStep) else ()
        runs[each.entry.name] = {each.entry.run: Run(job(), pods)}
    is_single = case.plan is None or case.plan.is_single
    observed = replace(workflow(old=status_with(case.told)), **{"runs": runs, "generation": 1, **case.facts})
    return View(observed, case.phase, case.effective, case.steps, NOON, is_single, case.plan, **case.more)


def status_with(told: Readiness | None) -> Status:
    """The last status, of the present generation, with what Ready said."""
    if told is None:
        return Status(observed_generation=1)
    ready = Condition(
        type=ConditionType.READY,
        status="True" if told.is_ready else "False",
        observed_generation=1,
        last_transition_time=EARLIER,
        reason=told.reason,
        message=told.message,
    )
    return Status(observed_generation=1, conditions=(ready,))


RUNS = step(RunState.RUNNING, running_pod())
WAITS = step(RunState.PENDING, pending_pod())
DONE = step(RunState.SUCCEEDED)
IDLE = step(RunState.UNSTARTED)
GOING = step(RunState.STOPPING, terminating(running_pod()))
STUCK = step(RunState.STOPPING, replace(terminating(running_pod(node="node-1")), deletion_due=NOON - NODE_PATIENCE))
UNSCHEDULABLE = pending_pod(waiting=ReasonMessage("Unschedulable", "0/3 nodes are available"))
TOLD_OF_NODE = Readiness(False, "NodeUnreachable", "pod report-pod was deleted, but node node-1 doesn't confirm it")
NODE_MESSAGE = "pod report-pod was deleted, but node node-1 doesn't confirm it: it may run on"
EDITED = step(RunState.RUNNING, running_pod(), template_hash="another")
LABEL_PROBLEM = (
    "the namespace's label mageflow.io/lifecycle is 'paused', which is taken for suspended: "
    "it may be suspended or interrupted, or left out"
)
PAUSED = {"namespace_lifecycle": "paused"}

CASES = [
    # ── something is wrong, whatever is asked ──
    Case("a task was edited while it runs", "task_changed", Phase.ACTIVE, [EDITED],
         NOT_READY, "TaskChanged", "the task is in run 1: editing it has no effect on that; take it back",
         facts={"generation": 2}),
    Case("a task of several was edited though it has succeeded", "task_changed", Phase.SUSPENDED,
         [step(RunState.SUCCEEDED, name="a", template_hash="another")],
         NOT_READY, "TaskChanged", "task a has succeeded: editing it has no effect on that; take it back",
         effective=HELD, plan=CHAIN, facts={"generation": 2}),
    Case("an edit is told for as long as it isn't taken back", "task_changed", Phase.ACTIVE, [EDITED],
         NOT_READY, "TaskChanged", "the task is in run 1: editing it has no effect on that; take it back",
         told=Readiness(False, "TaskChanged", "")),
    Case("there is no room for the ledger, and a task is left", "no_room_for_the_ledger", Phase.PENDING, [IDLE],
         STALLED, "InvalidTask", "spec: too large", more={"size_problem": "spec: too large"}),
    Case("the eviction that a suspend waits for is refused", "stop_refused", Phase.SUSPENDING, [WAITS],
         NOT_READY, "EvictionRefused", "pod report-pod can't be evicted: forbidden",
         effective=HELD, more={"blocked": Blocked(stop=EVICTION_REFUSED)}),
    Case("its spec can't be read, and it may run", "unreadable", Phase.PENDING, [],
         STALLED, "InvalidTask", "spec.tasks: not a list", plan=None, more={"obstacle": NO_SPEC}),
    Case("its status can't be read, whatever holds it", "unreadable", Phase.SUSPENDED, [],
         STALLED, "InvalidStatus", "status.tasks: not a list",
         effective=HELD, plan=None, more={"obstacle": NO_STATUS}),
    Case("its spec can't be read, and a deletion is refused", "unreadable", Phase.ACTIVE, [],
         STALLED, "InvalidTask", "spec.tasks: not a list; Job report-1 can't be deleted: forbidden",
         plan=None, more={"obstacle": NO_SPEC, "blocked": Blocked(deletion=DELETION_REFUSED)}),
    # ── it has ended ──
    Case("its one task succeeded", "succeeded", Phase.SUCCEEDED, [DONE], READY, "Succeeded", "run 1 succeeded"),
    Case("its task succeeded and its output was cut", "succeeded", Phase.SUCCEEDED,
         [step(RunState.SUCCEEDED, message="the output was cut")],
         READY, "Succeeded", "run 1 succeeded; the output was cut"),
    Case("all of several succeeded", "succeeded", Phase.SUCCEEDED, [step(RunState.SUCCEEDED, name="a")],
         READY, "Succeeded", "every task succeeded", plan=SWARM),
    Case("its task failed", "failed", Phase.FAILED,
         [step(RunState.FAILED, reason="NonZeroExitCode", message="exit code 1")],
         "failed", "Failed", "run 1 failed and no retries are left: NonZeroExitCode: exit code 1"),
    Case("two of several failed", "failed", Phase.FAILED,
         [step(RunState.FAILED, name=name, reason="PodFailed") for name in "ab"],
         "failed", "Failed", "task a: run 1 failed and no retries are left: PodFailed (and 1 more)", plan=SWARM),
    Case("it was disrupted too often", "failed", Phase.FAILED,
         [step(RunState.FAILED, reason="TooManyDisruptions", message="drained", disruptions_in_row=10)],
         "failed", "Failed", "10 runs in a row were disrupted; the last one, 1: drained"),
    Case("it was canceled", "canceled", Phase.CANCELED, [IDLE], READY, "Canceled", "canceled; nothing runs"),
    Case("it was canceled though its spec can't be read", "canceled", Phase.CANCELED, [IDLE],
         READY, "Canceled", "canceled; nothing runs; spec.tasks: not a list",
         effective=HELD, plan=None, more={"obstacle": NO_SPEC}),
    # ── it is held ──
    Case("a failure alone holds it", "held_by_a_failure", Phase.SUSPENDED, [IDLE],
         STALLED, "OutputLost", "edit b", effective=HELD_BY_FAILURE, plan=CHAIN),
    Case("its namespace's label has a typo", "held_by_a_label_that_is_no_lifecycle", Phase.SUSPENDED, [IDLE],
         STALLED, "InvalidNamespaceLifecycle", LABEL_PROBLEM, effective=HELD_BY_LABEL, facts=PAUSED),
    Case("it is suspended", "held", Phase.SUSPENDED, [IDLE],
         READY, "Suspended", "nothing runs, and nothing starts until resumed", effective=HELD),
    Case("it is held by two", "held", Phase.SUSPENDED, [IDLE],
         READY, "Suspended", "nothing runs, and nothing starts until resumed and b is edited",
         effective=replace(HELD, holders=(BY_SPEC, BY_FAILURE)), plan=CHAIN),
    Case("it is held by its spec, and its namespace's label has a typo", "held", Phase.SUSPENDED, [IDLE],
         READY, "Suspended", f"nothing runs, and nothing starts until resumed; {LABEL_PROBLEM}",
         effective=HELD, facts=PAUSED),
    Case("it is held, and the Job that nobody needs can't be deleted", "held", Phase.SUSPENDED, [IDLE],
         READY, "Suspended",
         "nothing runs, and nothing starts until resumed; Job report-1 can't be deleted: forbidden",
         effective=HELD, more={"blocked": Blocked(deletion=DELETION_REFUSED)}),
    # ── it is to be held or stopped ──
    Case("a node doesn't say that a deleted pod is gone", "node_unreachable", Phase.INTERRUPTING, [STUCK],
         NOT_READY, "NodeUnreachable", NODE_MESSAGE, effective=HELD),
    Case("a node was told not to answer before the operator started anew", "node_still_unreachable",
         Phase.SUSPENDING, [GOING], NOT_READY, "NodeUnreachable", NODE_MESSAGE, effective=HELD, told=TOLD_OF_NODE),
    Case("it was resumed while a node doesn't answer", "node_still_unreachable", Phase.PENDING, [GOING],
         NOT_READY, "NodeUnreachable", NODE_MESSAGE, told=TOLD_OF_NODE),
    Case("a pod is going", "stopping", Phase.SUSPENDING, [GOING],
         NOT_READY, "Suspending", "waiting for pods to end: report-pod", effective=HELD),
    Case("another pod than the one that was told of is going", "stopping", Phase.INTERRUPTING, [GOING],
         NOT_READY, "Interrupting", "waiting for pods to end: report-pod",
         effective=HELD, told=replace(TOLD_OF_NODE, message="pod x-1 was deleted")),
    Case("a Job may yet come", "stopping", Phase.SUSPENDING,
         [step(RunState.STOPPING, phase="Recorded", job="report-1")],
         NOT_READY, "Suspending", "waiting for what comes of the creation of Jobs that was asked for: report-1",
         effective=HELD),
    Case("the Job controller is to act", "stopping", Phase.SUSPENDING, [step(RunState.STOPPING)],
         NOT_READY, "Suspending", "waiting for the Job controller", effective=HELD),
    Case("its one task had started when it was suspended", "already_running", Phase.ACTIVE, [RUNS],
         NOT_READY, "TaskAlreadyRunning", "run 1 had started: it finishes, and nothing starts after it",
         effective=HELD),
    # ── it may run ──
    Case("a task can't start without an edit, though another runs", "needs_help", Phase.ACTIVE,
         [step(RunState.RUNNING, name="a"), step(RunState.UNSTARTED, name="b", refusal=INVALID)],
         STALLED, "InvalidTask", "task b: no image", plan=SWARM),
    Case("its one task runs", "running", Phase.ACTIVE, [RUNS], READY, "Running", "run 1 is running"),
    Case("a task runs, another can't start", "running", Phase.ACTIVE,
         [step(RunState.RUNNING, name="a"), step(RunState.PENDING, UNSCHEDULABLE, name="b")],
         READY, "Running", "running: a; task b: 0/3 nodes are available", plan=SWARM),
    Case("its main container has ended, and its pod hasn't", "running", Phase.ACTIVE,
         [step(RunState.RUNNING, running_pod(lingering=("proxy",)))],
         READY, "Running",
         "run 1 is running; the main container has ended, still running: proxy; only a native sidecar is stopped then"),
    Case("a task runs, and its namespace's label has a typo that holds no more", "running", Phase.ACTIVE, [RUNS],
         READY, "Running", f"run 1 is running; {LABEL_PROBLEM}", facts=PAUSED),
    Case("no node takes its pod", "unusual_wait", Phase.PENDING, [step(RunState.PENDING, UNSCHEDULABLE)],
         NOT_READY, "Unschedulable", "0/3 nodes are available"),
    Case("a quota refuses a Job, and another task backs off", "unusual_wait", Phase.ACTIVE,
         [step(RunState.BACKING_OFF, name="a", retry_at=after(10)),
          step(RunState.RECORDED, name="b", refusal=FORBIDDEN)],
         NOT_READY, "Forbidden", "task b: exceeded quota", plan=SWARM),
    Case("it backs off, and another pod is on its way", "backing_off", Phase.ACTIVE,
         [step(RunState.PENDING, pending_pod(), name="a"), step(RunState.BACKING_OFF, name="b", retry_at=after(10))],
         NOT_READY, "BackingOff",
         "task b: run 1 ended (NonZeroExitCode: exit code 1); the next starts at 12:00:10 UTC", plan=SWARM),
    Case("its pod is on its way", "waiting", Phase.PENDING, [WAITS],
         NOT_READY, "Pending", "waiting for the pod of run 1 to start"),
    Case("an earlier run is still stopping", "waiting", Phase.ACTIVE, [GOING],
         NOT_READY, "Pending", "an earlier run is still stopping"),
    Case("no task has its turn", "waiting", Phase.ACTIVE, [],
         NOT_READY, "Pending", "waiting for its tasks", plan=SWARM),
]  # fmt: skip


def find_speaker(view: View) -> Rule:
    return next(rule for rule in READY_RULES if rule(view) is not None)


def name_of(rule: Rule) -> str:
    return rule.__name__


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.sentence)
def test_first_rule_that_speaks_is_told_when(case: Case) -> None:
    view = view_of(case)
    readiness = derive_readiness(view)

    assert name_of(find_speaker(view)) == case.rule
    assert (readiness.reason, readiness.message) == (case.reason, case.message)
    assert (readiness.is_ready, readiness.is_stalled) == {
        READY: (True, False),
        NOT_READY: (False, False),
        STALLED: (False, True),
        "failed": (True, True),
    }[case.verdict]


def test_table_has_a_case_for_each_rule() -> None:
    assert {case.rule for case in CASES} == {name_of(rule) for rule in READY_RULES}


def test_each_rule_says_when_it_speaks() -> None:
    assert [name_of(rule) for rule in READY_RULES if not rule.__doc__] == []


def test_a_removed_task_is_told_of_only_while_it_runs() -> None:
    gone = replace(DONE, role=StepRole.REMOVED)
    going = replace(GOING, role=StepRole.REMOVED)
    view = View(workflow(), Phase.SUSPENDING, HELD, (gone, going), NOON, plan=SWARM)
    assert [task.state for task in view.tasks] == [RunState.STOPPING]
