"""What is seen of a Workflow, its Jobs and their pods, in the words that the tests use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mageflow.api import (
    LABEL_RUN,
    MAIN_TASK,
    WORKFLOW,
    Condition,
    ConditionType,
    Lifecycle,
    Phase,
    Status,
    TaskPhase,
    TaskStatus,
    WorkflowSpec,
    find_condition,
)
from mageflow.core.decide import decide as decide_resource
from mageflow.core.decision import Action, CreateJob, Decision, DeleteJob, HoldJob, StopJob
from mageflow.core.job_manifest import job_name
from mageflow.core.ledger import settle as settle_entry
from mageflow.core.lifecycle import Wanted
from mageflow.core.observed import (
    Cause,
    Creation,
    ObservedJob,
    ObservedPod,
    ObservedResource,
    ReasonMessage,
    Refusal,
    Run,
    Runs,
)
from mageflow.core.plan import Owner, Task
from mageflow.core.run_result import RunResult
from mageflow.core.steps import Step
from mageflow.core.task import StartPermit
from mageflow.core.task import take_step as step_of

NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
EARLIER = NOON - timedelta(minutes=5)
OWNER = Owner("Workflow", "team", "report", "1b4e28ba-2fa1-11d2-883f-0016d3cca427")
TEMPLATE: Mapping[str, Any] = {"spec": {"containers": [{"name": "main", "image": "busybox:1.37"}]}}
TASK = Task(MAIN_TASK, TEMPLATE)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


# ── pods ──


def unscheduled_pod(**facts: Any) -> ObservedPod:
    """A pod that no node has taken."""
    return ObservedPod(**{"name": "report-pod", "uid": "pod-1", "resource_version": "20", "phase": "Pending", **facts})


def pending_pod(**facts: Any) -> ObservedPod:
    """A pod on a node, its image being pulled."""
    return unscheduled_pod(**{"node": "node-1", **facts})


def init_pod(**facts: Any) -> ObservedPod:
    """A pod whose init container runs: its phase is still Pending."""
    return pending_pod(**{"has_started": True, **facts})


def running_pod(**facts: Any) -> ObservedPod:
    return init_pod(**{"phase": "Running", **facts})


def succeeded_pod(**facts: Any) -> ObservedPod:
    return running_pod(**{"phase": "Succeeded", **facts})


def failed_pod(**facts: Any) -> ObservedPod:
    """A pod whose main container has failed; with `exit_code` None, it isn't told which container has."""
    exit_code, output = facts.pop("exit_code", 1), facts.get("output")
    cause = None if exit_code is None else Cause("container main", exit_code, message=output, is_main=True)
    return running_pod(**{"phase": "Failed", "cause": cause, **facts})


def refused_pod(**facts: Any) -> ObservedPod:
    """A pod that the kubelet refused: it has failed, and no container of it ever started."""
    return pending_pod(**{"phase": "Failed", "reason": "OutOfcpu", "message": "Node didn't have enough cpu", **facts})


def terminating(pod: ObservedPod) -> ObservedPod:
    """The pod, deleted, and still there."""
    return replace(pod, is_terminating=True, deletion_due=after(30))


def evicted(pod: ObservedPod) -> ObservedPod:
    """The pod, evicted (by us, a drain or a preemption), and still there."""
    return replace(terminating(pod), is_disrupted=True)


# ── Jobs ──


def job(run: int = 1, **facts: Any) -> ObservedJob:
    """A Job that runs."""
    name = job_name(OWNER, MAIN_TASK, run)
    return ObservedJob(
        **{
            "name": name,
            "uid": f"job-{run}",
            "resource_version": "10",
            "created_at": EARLIER,
            "seen_at": EARLIER,
            **facts,
        },
    )


def complete_job(run: int = 1, **facts: Any) -> ObservedJob:
    return job(run, **{"is_complete": True, **facts})


def failed_job(run: int = 1, **facts: Any) -> ObservedJob:
    why = ReasonMessage("BackoffLimitExceeded", "Job has reached the specified backoff limit")
    return job(run, **{"failure": why, **facts})


def disrupted_job(run: int = 1, **facts: Any) -> ObservedJob:
    """A Job that ended by the rule on the pod condition DisruptionTarget."""
    why = ReasonMessage("PodFailurePolicy", "Pod has condition DisruptionTarget matching FailJob rule at index 0")
    return job(run, **{"failure": why, **facts})


def suspended_job(run: int = 1, **facts: Any) -> ObservedJob:
    """A Job with `suspend: true`, acted upon by the Job controller."""
    return job(run, **{"is_suspended": True, "is_suspension_in_force": True, **facts})


# ── the ledger ──


def entry(phase: TaskPhase = TaskPhase.UNSTARTED, run: int = 1, **facts: Any) -> TaskStatus:
    """The ledger's entry of the task, whose latest run is `run`."""
    defaults: dict[str, Any] = {"job": job_name(OWNER, MAIN_TASK, run) if run else None}
    if run and phase is not TaskPhase.UNSTARTED:
        defaults["template_hash"] = TASK.template_hash
    if phase in (TaskPhase.RUNNING, TaskPhase.SUCCEEDED, TaskPhase.FAILED, TaskPhase.BACKING_OFF):
        defaults["started_at"] = EARLIER
    if phase is TaskPhase.BACKING_OFF:
        defaults |= {"failures": 1, "finished_at": NOON, "reason": "NonZeroExitCode", "message": "exit code 1"}
    if phase in (TaskPhase.SUCCEEDED, TaskPhase.FAILED):
        defaults["finished_at"] = NOON
    return TaskStatus(**{"name": MAIN_TASK, "phase": phase, "run": run, **defaults, **facts})


FRESH = TaskStatus(name=MAIN_TASK)
"""The entry of a task that has had no run."""


# ── the whole ──


def status(
    phase: Phase | None,
    task: TaskStatus = FRESH,
    lifecycle: Lifecycle = Lifecycle.ACTIVE,
    **facts: Any,
) -> Status:
    """The status that the operator wrote last, at generation 1."""
    if phase is None:
        return Status(**facts)
    held = {} if lifecycle is Lifecycle.ACTIVE else {"suspended_at": EARLIER}
    defaults = {"started_at": task.started_at, "total": 1, "observed_generation": 1, **held}
    return Status(**{"phase": phase, "lifecycle": lifecycle, "tasks": (task,), **defaults, **facts})


def workflow(
    lifecycle: Lifecycle = Lifecycle.ACTIVE,
    old: Status | None = None,
    runs: Runs | None = None,
    *,
    generation: int = 2,
    refusal: Refusal | None = None,
    is_terminating: bool = False,
    template: Mapping[str, Any] = TEMPLATE,
    **spec: Any,
) -> ObservedResource:
    """A Workflow with what belongs to it; `spec` is what its spec says besides template and lifecycle."""
    return ObservedResource(
        kind=WORKFLOW,
        namespace=OWNER.namespace,
        name=OWNER.name,
        uid=OWNER.uid,
        resource_version="100",
        generation=generation,
        is_terminating=is_terminating,
        spec=WorkflowSpec(template=dict(template), lifecycle=lifecycle, **spec),
        status=old or Status(),
        runs={MAIN_TASK: runs} if runs else {},
        refusals={MAIN_TASK: refusal} if refusal is not None else {},
    )


def with_status(observed: ObservedResource, new: Status | None) -> ObservedResource:
    """The Workflow as it is read once `new` has been written, as JSON."""
    if new is None:
        return observed
    return replace(observed, status=Status.model_validate(new.to_json()))


def with_runs(observed: ObservedResource, runs: Runs) -> ObservedResource:
    return replace(observed, runs={MAIN_TASK: runs})


# ── what was decided ──


def take_step(
    owner: Owner,
    task: Task,
    old: TaskStatus,
    runs: Runs,
    wanted: Wanted,
    now: datetime,
    refusal: Refusal | None = None,
) -> Step:
    """Settle the ledger, and let the task take its step."""
    settled = settle_entry(task, old, runs, now)
    return step_of(owner, task, settled, runs, wanted, now, StartPermit(refusal=refusal))


def settle(task: Task, old: TaskStatus, runs: Runs, now: datetime) -> tuple[TaskStatus, RunResult | None]:
    """Settle the ledger; return the entry, and how its latest run ended if that is news."""
    settled = settle_entry(task, old, runs, now)
    return settled.entry, settled.result


def decide(observed: ObservedResource, now: datetime = NOON) -> tuple[Decision, Status]:
    """Decide, and expect a status."""
    decision = decide_and_record(observed, now)
    assert decision.status is not None
    return decision, decision.status


def decide_and_record(observed: ObservedResource, now: datetime = NOON) -> Decision:
    """Decide; if first runs are created, with the status that is written when they are."""
    decision = decide_resource(observed, now)
    if not decision.before:
        return decision
    assert decision.status is None
    return replace(decision, status=decide_resource(with_first(observed, decision, now), now).status)


def first_runs(decision: Decision) -> list[CreateJob]:
    """What is created before it is recorded: nothing else is done before the status is written."""
    assert all(isinstance(action, CreateJob) for action in decision.before)
    return [action for action in decision.before if isinstance(action, CreateJob)]


def with_first(observed: ObservedResource, decision: Decision, now: datetime = NOON) -> ObservedResource:
    """The resource as it is seen when its first runs are created."""
    runs = {task: dict(its_runs) for task, its_runs in observed.runs.items()}
    for action in first_runs(decision):
        uid = f"{'job' if action.task == MAIN_TASK else action.task}-{action.run}"
        made = ObservedJob(action.manifest["metadata"]["name"], uid, "10", created_at=now, seen_at=now)
        runs.setdefault(action.task, {})[action.run] = Run(made)
    creations = {action.task: Creation(action.run, action.template_hash) for action in first_runs(decision)}
    return replace(observed, runs=runs, creations=creations)


def with_creations(observed: ObservedResource) -> ObservedResource:
    """The resource with the creations that its refusals are of; without those that no creation can have brought."""
    ledger = {entry.name: entry for entry in observed.status.tasks}
    creations = {
        task: Creation(ledger[task].run if task in ledger else 1)
        for task in observed.refusals
        if (ledger[task].phase is TaskPhase.RECORDED if task in ledger else not observed.runs_of(task))
    }
    refusals = {task: refusal for task, refusal in observed.refusals.items() if task in creations}
    return replace(observed, creations=creations, refusals=refusals)


def under_way(action: CreateJob, now: datetime = NOON) -> Creation:
    """The creation of a Job as it is known when it was begun."""
    return Creation(action.run, action.template_hash, now, now + timedelta(seconds=35))


def task_in(new: Status) -> TaskStatus:
    (task,) = new.tasks
    return task


def condition_in(new: Status, type_: ConditionType) -> Condition:
    condition = find_condition(new.conditions, type_)
    assert condition is not None, f"no condition {type_}"
    return condition


def names_of(actions: tuple[Action, ...]) -> list[str]:
    """The actions' names in order, with the run of those on a Job: such as `CreateJob 2`."""
    return [_name_of(action) for action in actions]


def _name_of(action: Action) -> str:
    name = type(action).__name__
    match action:
        case CreateJob():
            return f"{name} {action.manifest['metadata']['labels'][LABEL_RUN]}"
        case StopJob(target) | HoldJob(target) | DeleteJob(target):
            return f"{name} {target.uid.removeprefix('job-')}"
        case _:
            return name


ONE_PENDING: Runs = {1: Run(job(), (pending_pod(),))}
ONE_RUNNING: Runs = {1: Run(job(), (running_pod(),))}
