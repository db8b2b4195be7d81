"""What is seen of a Chain or a Swarm: the facts of `builders.py`, for several tasks at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from mageflow.api import (
    CHAIN,
    LABEL_RUN,
    LABEL_TASK,
    SWARM,
    ChainSpec,
    Kind,
    Lifecycle,
    NamedTask,
    Phase,
    Status,
    SwarmSpec,
    SwarmTask,
    TaskPhase,
    TaskStatus,
)
from mageflow.core.decision import (
    Action,
    CreateJob,
    Decision,
    DeleteJob,
    DeletePod,
    EvictPod,
    HoldJob,
    ReadEvidence,
    StopJob,
)
from mageflow.core.job_manifest import job_name
from mageflow.core.observed import ObservedJob, ObservedPod, ObservedResource, Refusal, Run, Runs, Spec
from mageflow.core.plan import Owner, Task

from . import builders
from .builders import EARLIER, TEMPLATE

OTHER_TEMPLATE: Mapping[str, Any] = {"spec": {"containers": [{"name": "main", "image": "busybox:1.36"}]}}


def owner_of(kind: Kind) -> Owner:
    return Owner(kind.name, builders.OWNER.namespace, builders.OWNER.name, builders.OWNER.uid)


# ── Jobs and pods: those of `builders`, named after their task ──


def of(task: str, runs: Runs) -> Runs:
    """The runs as a task's own: uids are its name and the run, such as `a-1`."""
    return {number: _renamed(task, number, run) for number, run in runs.items()}


def _renamed(task: str, number: int, run: Run) -> Run:
    uid = f"{task}-{number}"
    pods = (
        replace(pod, name=f"pod-{uid}-{index}" if index else f"pod-{uid}", uid=f"{uid}-{index}" if index else uid)
        for index, pod in enumerate(run.pods)
    )
    return replace(run, job=None if run.job is None else replace(run.job, name=f"job-{uid}", uid=uid), pods=tuple(pods))


def one(pod: ObservedPod | None, job: ObservedJob | None = None, run: int = 1) -> Runs:
    """One run with a Job that runs, or `job`, and its pod."""
    return {run: Run(builders.job(run) if job is None else job, () if pod is None else (pod,))}


PENDING = one(builders.pending_pod())
RUNNING = one(builders.running_pod())
EVICTED = one(builders.evicted(builders.pending_pod()))
STOPPING = one(builders.terminating(builders.running_pod()), builders.job(is_suspended=True))
STOPPED = one(None, builders.suspended_job())
"""Stopped, and no pod of it can run: its Job is to go, as somebody could unsuspend it."""
GOING = one(None, builders.suspended_job(is_terminating=True))
"""Stopped, and its Job goes: it is over."""
FAILED = one(builders.failed_pod(), builders.failed_job())


def succeeded(output: str | None = None, run: int = 1) -> Runs:
    return one(builders.succeeded_pod(output=output), builders.complete_job(run), run)


# ── the ledger ──


def entry(task: str, phase: TaskPhase = TaskPhase.UNSTARTED, run: int = 1, **facts: Any) -> TaskStatus:
    """The ledger's entry of a task made from `TEMPLATE`, as `builders.entry` makes the one of a Workflow."""
    made_from = {"template_hash": Task(task, TEMPLATE).template_hash} if run else {}
    made = builders.entry(phase, run, **made_from | facts)
    return made.model_copy(update={"name": task})


def fresh(*tasks: str) -> tuple[TaskStatus, ...]:
    """The entries of tasks that have had no run."""
    return tuple(TaskStatus(name=task) for task in tasks)


def compact(task: str, run: int = 1) -> TaskStatus:
    """What a Swarm keeps of a task that has succeeded."""
    return TaskStatus(name=task, phase=TaskPhase.SUCCEEDED, run=run)


def status(
    phase: Phase | None, tasks: Iterable[TaskStatus] = (), lifecycle: Lifecycle = Lifecycle.ACTIVE, **facts: Any
) -> Status:
    """The status that the operator wrote last, at generation 1."""
    if phase is None:
        return Status()
    entries = tuple(tasks)
    started = [task.started_at for task in entries if task.started_at is not None]
    defaults: dict[str, Any] = {"started_at": min(started, default=None), "observed_generation": 1}
    if lifecycle is not Lifecycle.ACTIVE:
        defaults["suspended_at"] = EARLIER
    return Status(**{"phase": phase, "lifecycle": lifecycle, "tasks": entries, **defaults, **facts})


# ── the whole ──


def chain_task(name: str, **facts: Any) -> NamedTask:
    return NamedTask(**{"name": name, "template": dict(TEMPLATE), **facts})


def swarm_task(name: str, **facts: Any) -> SwarmTask:
    return SwarmTask(name=name, **facts)


ABC = tuple(chain_task(name) for name in "abc")


def chain(
    lifecycle: Lifecycle = Lifecycle.ACTIVE,
    old: Status | None = None,
    runs: Mapping[str, Runs] | None = None,
    *,
    tasks: Iterable[NamedTask] = ABC,
    generation: int = 2,
    refusals: Mapping[str, Refusal] | None = None,
) -> ObservedResource:
    """A Chain with what belongs to it: a, then b, then c, if nothing else is said."""
    spec = ChainSpec(lifecycle=lifecycle, tasks=tuple(tasks))
    return _observed(CHAIN, spec, old, runs, generation, refusals)


def swarm(
    lifecycle: Lifecycle = Lifecycle.ACTIVE,
    old: Status | None = None,
    runs: Mapping[str, Runs] | None = None,
    *,
    tasks: Iterable[SwarmTask] | str = "abcde",
    at_once: int = 2,
    template: Mapping[str, Any] | None = TEMPLATE,
    generation: int = 2,
    refusals: Mapping[str, Refusal] | None = None,
) -> ObservedResource:
    """A Swarm with what belongs to it: a to e, two at once, with one shared template, if nothing else is said."""
    spec = SwarmSpec(
        lifecycle=lifecycle,
        max_concurrency=at_once,
        template=None if template is None else dict(template),
        tasks=tuple(swarm_task(task) if isinstance(task, str) else task for task in tasks),
    )
    return _observed(SWARM, spec, old, runs, generation, refusals)


def _observed(
    kind: Kind,
    spec: Spec,
    old: Status | None,
    runs: Mapping[str, Runs] | None,
    generation: int,
    refusals: Mapping[str, Refusal] | None,
) -> ObservedResource:
    owner = owner_of(kind)
    return ObservedResource(
        kind=kind,
        namespace=owner.namespace,
        name=owner.name,
        uid=owner.uid,
        resource_version="100",
        generation=generation,
        is_terminating=False,
        spec=spec,
        status=old or Status(),
        runs={task: of(task, its_runs) for task, its_runs in (runs or {}).items() if its_runs},
        refusals=refusals or {},
    )


def seen_next(observed: ObservedResource, decision: Decision) -> ObservedResource:
    """What is seen next if nothing happens but our own write of the status, and the creation of first Jobs."""
    return builders.with_status(builders.with_first(observed, decision), decision.status)


# ── what was decided ──


def run_of(action: CreateJob) -> int:
    return int(action.manifest["metadata"]["labels"][LABEL_RUN])


def names_of(actions: Iterable[Action]) -> list[str]:
    """The actions in order, each with the task and run that it is about, such as `CreateJob a-1`."""
    return [f"{type(action).__name__} {_target_of(action)}" for action in actions]


def all_of(decision: Decision) -> list[str]:
    return names_of((*decision.before, *decision.after))


def _target_of(action: Action) -> str:
    match action:
        case CreateJob(task, manifest):
            labels = manifest["metadata"]["labels"]
            assert labels[LABEL_TASK] == task
            return f"{task}-{labels[LABEL_RUN]}"
        case EvictPod(pod) | DeletePod(pod):
            return pod.uid
        case StopJob(job) | HoldJob(job) | DeleteJob(job):
            return job.uid
        case ReadEvidence(task, run):
            return f"{task}-{run}"
        case _:
            return action.job.uid


def environment_of(action: Action) -> dict[str, str]:
    """What the task sees of itself."""
    assert isinstance(action, CreateJob)
    (container,) = action.manifest["spec"]["template"]["spec"]["containers"]
    return {variable["name"]: variable["value"] for variable in container["env"]}


def phases_of(new: Status) -> dict[str, str]:
    return {task.name: str(task.phase) for task in new.tasks}


def find_entry(new: Status, task: str) -> TaskStatus | None:
    return next((entry for entry in new.tasks if entry.name == task), None)


def entry_of(new: Status, task: str) -> TaskStatus:
    found = find_entry(new, task)
    assert found is not None, f"no entry for {task}"
    return found


def counts_of(new: Status) -> tuple[int, int, int, int, int]:
    """Done, failed, running, pending, total."""
    return new.done, new.failed, new.running, new.pending, new.total


def job_name_of(kind: Kind, task: str, run: int) -> str:
    return job_name(owner_of(kind), task, run)
