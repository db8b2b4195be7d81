"""Which tasks may run, for a Workflow: its one task. And the status that follows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from mageflow.api import (
    ConditionType,
    Lifecycle,
    Phase,
    TaskPhase,
    TaskStatus,
    WorkflowSpec,
    WorkflowStatus,
)
from mageflow.core import reasons
from mageflow.core.conditions import Readiness, build_conditions, find_condition
from mageflow.core.decision import NOTHING, CreateJob, Decision, Event
from mageflow.core.jobs import MAIN_TASK, Owner, Task, input_problem
from mageflow.core.lifecycle import ENDED_PHASES, HELD_PHASES, find_phase, strongest, wanted_by
from mageflow.core.observed import ObservedWorkflow, Refusal, Run, Waiting
from mageflow.core.task import Step, advance, clear_up, parse_output

NODE_PATIENCE: Final = timedelta(seconds=60)
"""How long after its grace period a deleted pod may still be there before its node is said not to answer."""


def decide_workflow(observed: ObservedWorkflow, now: datetime) -> Decision:
    """Decide what is to be done about a Workflow: DESIGN sections 2 and 3."""
    if observed.is_terminating:
        return NOTHING
    old, spec = observed.status, observed.spec
    record = next((record for record in old.tasks if record.name == MAIN_TASK), TaskStatus(name=MAIN_TASK))
    if old.phase in ENDED_PHASES:
        return Decision(status=_acknowledge(observed), actions=clear_up(record, observed.runs_of(MAIN_TASK)))
    if spec is None:
        return Decision(status=_report_problem(observed, now))
    task = task_of(spec)
    owner = Owner("Workflow", observed.namespace, observed.name, observed.uid)
    lifecycle = strongest(spec.lifecycle)
    refusal = _find_refusal(observed, task, now)
    step = advance(owner, task, record, observed.runs_of(task.name), wanted_by(lifecycle), now, refusal)
    if old.phase is None:
        step, first = _create_first(step)
    else:
        first = ()
    status = _build_status(observed, lifecycle, step, refusal, now)
    return Decision(
        status=status,
        first=first,
        actions=step.actions,
        events=tuple(_find_events(old, status, step)),
        recheck_at=_earliest(step.recheck_at, _node_deadline(_run_of(observed, step), now)),
    )


def task_of(spec: WorkflowSpec) -> Task:
    """Return a Workflow's one task."""
    return Task(MAIN_TASK, spec.template, spec.input, spec.retries, spec.timeout_seconds)


def _create_first(step: Step) -> tuple[Step, tuple[CreateJob, ...]]:
    """Create the first run before it is recorded: nothing was recorded before, and its name guards it."""
    first = tuple(action for action in step.actions if isinstance(action, CreateJob))
    if not first:
        return step, ()
    return (
        Step(
            record=step.record.model_copy(update={"phase": TaskPhase.PENDING}),
            state=TaskPhase.PENDING,
            actions=tuple(action for action in step.actions if action not in first),
            recheck_at=step.recheck_at,
        ),
        first,
    )


def _acknowledge(observed: ObservedWorkflow) -> WorkflowStatus:
    """Say that an ended resource's new spec was seen; nothing else of it changes."""
    old, generation = observed.status, observed.generation
    if old.observed_generation == generation:
        return old
    conditions = [condition.model_copy(update={"observed_generation": generation}) for condition in old.conditions]
    return old.model_copy(update={"observed_generation": generation, "conditions": tuple(conditions)})


def _report_problem(observed: ObservedWorkflow, now: datetime) -> WorkflowStatus:
    """Say that the spec can't be read, which the CRD's schema should have refused; leave the rest as it is."""
    old, generation = observed.status, observed.generation
    readiness = Readiness(False, reasons.INVALID_TASK, observed.problem or "", is_stalled=True)
    phase = old.phase or Phase.PENDING
    conditions = build_conditions(phase, readiness, old.interruptions, old.conditions, generation, now)
    return old.model_copy(update={"phase": phase, "observed_generation": generation, "conditions": conditions})


def _find_refusal(observed: ObservedWorkflow, task: Task, now: datetime) -> Refusal | None:
    """Return why the task's Job can't be created, if its input, a refusal seen or the status tells."""
    problem = input_problem(task)
    if problem is not None:
        return Refusal(reasons.INVALID_TASK, f"spec.{problem}", is_final=True, retry_at=now)
    seen = observed.refusals.get(task.name)
    if seen is not None:
        return seen
    ready = find_condition(observed.status.conditions, ConditionType.READY)
    if ready is not None and ready.reason == reasons.INVALID_TASK and ready.observed_generation == observed.generation:
        return Refusal(ready.reason, ready.message, is_final=True, retry_at=now)
    return None


# ── the status ──


def _build_status(
    observed: ObservedWorkflow,
    lifecycle: Lifecycle,
    step: Step,
    refusal: Refusal | None,
    now: datetime,
) -> WorkflowStatus:
    old, record = observed.status, step.record
    outcome = {TaskPhase.SUCCEEDED: Phase.SUCCEEDED, TaskPhase.FAILED: Phase.FAILED}.get(record.phase)
    started_at = old.started_at or record.started_at
    phase = find_phase(
        lifecycle,
        outcome,
        frozenset({step.state}),
        has_ever_started=started_at is not None,
        runs_on_when_suspended=True,
    )
    readiness = _find_readiness(phase, lifecycle, step, _run_of(observed, step), refusal, now)
    readiness = _keep_message(readiness, old)
    is_running = step.state is TaskPhase.RUNNING
    done, failed = int(outcome is Phase.SUCCEEDED), int(outcome is Phase.FAILED)
    output = old.output
    if step.outcome is not None and outcome is Phase.SUCCEEDED:
        output, _ = parse_output(step.outcome.output)
    return WorkflowStatus(
        phase=phase,
        lifecycle=lifecycle,
        observed_generation=observed.generation,
        started_at=started_at,
        finished_at=now if phase in ENDED_PHASES else None,
        suspended_at=None if lifecycle is Lifecycle.ACTIVE else old.suspended_at or now,
        done=done,
        total=1,
        running=int(is_running),
        failed=failed,
        pending=1 - done - failed - is_running,
        progress=f"{done}/1",
        interruptions=record.interruptions,
        output=output,
        tasks=(record,),
        conditions=build_conditions(phase, readiness, record.interruptions, old.conditions, observed.generation, now),
    )


def _find_readiness(
    phase: Phase,
    lifecycle: Lifecycle,
    step: Step,
    run: Run,
    refusal: Refusal | None,
    now: datetime,
) -> Readiness:
    record = step.record
    match phase:
        case Phase.SUCCEEDED:
            return Readiness(True, reasons.SUCCEEDED, f"run {record.run} succeeded")
        case Phase.FAILED:
            return Readiness(True, reasons.FAILED, _describe_failure(record), is_stalled=True)
        case Phase.CANCELED:
            return Readiness(True, reasons.CANCELED, "canceled; nothing runs")
        case Phase.SUSPENDED:
            return Readiness(True, reasons.SUSPENDED, "nothing runs, and nothing starts until resumed")
        case Phase.INTERRUPTED:
            return Readiness(True, reasons.INTERRUPTED, "nothing runs, and nothing starts until resumed")
        case Phase.SUSPENDING | Phase.INTERRUPTING:
            stuck = _find_stuck(run, now)
            if stuck is not None:
                return Readiness(False, stuck.reason, stuck.message)
            return Readiness(False, phase.value, _describe_stopping(run))
        case Phase.ACTIVE | Phase.PENDING:
            if lifecycle is Lifecycle.SUSPENDED:
                what = f"run {record.run} had started: it finishes, and nothing starts after it"
                return Readiness(False, reasons.TASK_ALREADY_RUNNING, what)
            return _find_progress(step, run, refusal)


def _find_progress(step: Step, run: Run, refusal: Refusal | None) -> Readiness:
    """Tell how far a task that may run has got."""
    record, state = step.record, step.state
    if state is TaskPhase.RUNNING:
        return Readiness(True, reasons.RUNNING, f"run {record.run} is running")
    if state is TaskPhase.STOPPING:
        return Readiness(False, reasons.PENDING, "an earlier run is still stopping")
    is_refused = state in (TaskPhase.UNSTARTED, TaskPhase.RECORDED)
    if refusal is not None and (is_refused or (refusal.is_final and state is TaskPhase.BACKING_OFF)):
        return Readiness(False, refusal.reason, refusal.message, is_stalled=refusal.is_final)
    if state is TaskPhase.BACKING_OFF:
        when = f" at {record.retry_at:%H:%M:%S} UTC" if record.retry_at is not None else ""
        what = f"run {record.run} ended ({_why(record)}); the next starts{when}"
        return Readiness(False, reasons.BACKING_OFF, what)
    waiting = _find_waiting(run)
    if waiting is not None:
        return Readiness(False, waiting.reason, waiting.message)
    return Readiness(False, reasons.PENDING, f"waiting for the pod of run {record.run} to start")


def _find_waiting(run: Run) -> Waiting | None:
    for pod in run.live_pods:
        if pod.waiting is not None:
            return pod.waiting
    if run.job is not None and run.job.is_suspended:
        what = f"Job {run.job.name} was suspended by somebody else: it goes on once its spec.suspend is false"
        return Waiting(reasons.JOB_SUSPENDED, what)
    if run.job is not None and not run.pods and run.job.missing_pod:
        return Waiting(reasons.POD_NOT_CREATED, run.job.missing_pod)
    return None


def _find_stuck(run: Run, now: datetime) -> Waiting | None:
    for pod in run.live_pods:
        if pod.deletion_due is not None and now >= pod.deletion_due + NODE_PATIENCE:
            what = f"pod {pod.name} was deleted, but node {pod.node} doesn't confirm it: it may run on"
            return Waiting(reasons.NODE_UNREACHABLE, what)
    return None


def _node_deadline(run: Run, now: datetime) -> datetime | None:
    deadlines = [pod.deletion_due + NODE_PATIENCE for pod in run.live_pods if pod.deletion_due is not None]
    return _earliest(*(deadline for deadline in deadlines if deadline > now))


def _describe_stopping(run: Run) -> str:
    names = ", ".join(sorted(pod.name for pod in run.live_pods))
    return f"waiting for pods to end: {names}" if names else "waiting for the Job controller"


def _describe_failure(record: TaskStatus) -> str:
    if record.reason == reasons.TOO_MANY_DISRUPTIONS:
        return f"{record.disruptions} runs in a row were disrupted; the last one, {record.run}: {record.message}"
    return f"run {record.run} failed and no retries are left: {_why(record)}"


def _why(record: TaskStatus) -> str:
    return f"{record.reason}: {record.message}" if record.message else f"{record.reason}"


def _keep_message(readiness: Readiness, old: WorkflowStatus) -> Readiness:
    """Keep the first message of a wait whose wording changes all the time, such as the scheduler's."""
    ready = find_condition(old.conditions, ConditionType.READY)
    if readiness.reason == reasons.UNSCHEDULABLE and ready is not None and ready.reason == readiness.reason:
        return Readiness(readiness.is_ready, readiness.reason, ready.message, readiness.is_stalled)
    return readiness


def _run_of(observed: ObservedWorkflow, step: Step) -> Run:
    return observed.runs_of(step.record.name).get(step.record.run, Run())


def _earliest(*times: datetime | None) -> datetime | None:
    return min((time for time in times if time is not None), default=None)


# ── events ──

QUIET_REASONS: Final = frozenset({reasons.PENDING, reasons.SUSPENDING, reasons.INTERRUPTING, reasons.BACKING_OFF})
"""Reasons for not being ready that belong to normal progress, or have an event of their own."""


def _find_events(old: WorkflowStatus, new: WorkflowStatus, step: Step) -> list[Event]:
    """Find what is worth an Event: transitions of the lifecycle, and failures."""
    events = []
    ready = find_condition(new.conditions, ConditionType.READY)
    was_ready = find_condition(old.conditions, ConditionType.READY)
    message = ready.message if ready is not None else ""
    is_news = ready is not None and (was_ready is None or was_ready.reason != ready.reason)
    if step.outcome is not None and step.record.phase is TaskPhase.BACKING_OFF:
        what = f"run {step.record.run}: {step.outcome.message}"
        events.append(Event("Warning", step.outcome.reason or reasons.FAILED, what))
    if new.lifecycle is Lifecycle.ACTIVE and old.lifecycle not in (None, Lifecycle.ACTIVE):
        events.append(Event("Normal", reasons.RESUMED, f"active again after {old.lifecycle}"))
    if new.phase is not old.phase and new.phase in (HELD_PHASES | {Phase.CANCELED}):
        events.append(Event("Normal", new.phase.value, message))
    elif new.phase is not old.phase and new.phase is Phase.FAILED:
        events.append(Event("Warning", reasons.FAILED, message))
    elif ready is not None and is_news and ready.status == "False" and ready.reason not in QUIET_REASONS:
        events.append(Event("Warning", ready.reason, message))
    return events
