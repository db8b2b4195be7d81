"""What holds of a Chain and of a Swarm whatever is seen: any ledger, any Jobs and pods of any task, any edit.

The tasks of a resource are drawn from four; its ledger and the cluster may know others than its spec. What one task can
be like is drawn from situations made beforehand, so that there is time to try many together.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from mageflow.api import (
    CHAIN,
    ENDED_PHASES,
    ENDED_TASKS,
    HELD_PHASES,
    SWARM,
    Kind,
    Lifecycle,
    Phase,
    Status,
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
    ExplainMissingPod,
    HoldJob,
    MakeRoom,
    ReadEvidence,
    StopJob,
)
from mageflow.core.observed import ObservedPod, ObservedResource, Refusal, Run, Runs
from mageflow.core.plan import Plan, make_plan
from mageflow.core.run_state import is_cut_short_by_suspension

from .builders import (
    EARLIER,
    NOON,
    TEMPLATE,
    after,
    decide_and_record,
    disrupted_job,
    pending_pod,
    running_pod,
    with_creations,
)
from .many_builders import (
    EVICTED,
    FAILED,
    OTHER_TEMPLATE,
    PENDING,
    RUNNING,
    STOPPED,
    STOPPING,
    chain,
    chain_task,
    compact,
    entry,
    find_entry,
    of,
    one,
    run_of,
    seen_next,
    status,
    succeeded,
    swarm,
    swarm_task,
)
from .test_properties import _any_job, _any_pod, has_succeeded, may_make_a_pod

NAMES = "abcd"
ACTIVE, SUSPENDED, INTERRUPTED, CANCELED = Lifecycle
OPEN = frozenset({TaskPhase.RECORDED, TaskPhase.PENDING, TaskPhase.RUNNING, TaskPhase.STOPPING})
"""Phases of the ledger in which a task has a run that is not over."""

# ── anything that one task may be like ──


def _entries() -> Iterator[TaskStatus | None]:
    yield None
    yield entry("x", run=0, reason="InvalidTask", message="no image")
    for run in (1, 2):
        yield compact("x", run)
        yield entry("x", TaskPhase.SUCCEEDED, run, output={"rows": None}, interruptions=1)
        yield entry("x", TaskPhase.FAILED, run, failures=1)
        for phase in sorted(set(TaskPhase) - ENDED_TASKS):
            for started_at in (None, EARLIER):
                yield entry("x", phase, run, started_at=started_at, interruptions=run - 1)
        yield entry("x", job=None)
        yield entry("x", reason="InvalidTask", message="no image")
        yield entry("x", TaskPhase.STOPPING, run, holding=run)
        yield entry("x", TaskPhase.BACKING_OFF, run, retry_at=after(-10))
        yield entry("x", TaskPhase.BACKING_OFF, run, retry_at=after(10), disruptions=2)
        yield entry("x", TaskPhase.BACKING_OFF, run, backoff_seconds=7)


def _some_runs(dice: random.Random, jobs: list[Any], pods: list[ObservedPod]) -> Runs:
    runs = {}
    for number in dice.choice(((), (), (1,), (1,), (2,), (1, 2), (3,), (2, 3))):
        job = dice.choice((None, *jobs))
        its_pods = tuple(dice.choice(pods) for _ in range(dice.choice((0, 1, 1, 1, 2)) or job is None))
        runs[number] = Run(job, its_pods)
    return runs


Situation = tuple[TaskStatus | None, Runs, Refusal | None]
"""The entry of a task, its runs, and why its Job was refused."""

INVALID = Refusal("InvalidTask", "no image", True, NOON)
FORBIDDEN = Refusal("Forbidden", "exceeded quota", False, NOON)
FORBIDDEN_AS_YET = Refusal("Forbidden", "exceeded quota", False, after(30))

QUIET: list[Situation] = [
    (None, {}, None),
    (None, {}, None),
    (None, {}, INVALID),
    (entry("x", run=0, reason="InvalidTask", message="no image"), {}, None),
    (entry("x"), {}, None),
    (entry("x", TaskPhase.RECORDED), {}, None),
    (entry("x", TaskPhase.RECORDED), {}, INVALID),
    (entry("x", TaskPhase.RECORDED), {}, FORBIDDEN_AS_YET),
    (entry("x", TaskPhase.BACKING_OFF, retry_at=after(10)), FAILED, None),
    (entry("x", TaskPhase.BACKING_OFF, retry_at=after(-10)), FAILED, None),
    (entry("x", TaskPhase.STOPPING, holding=1), one(None, disrupted_job()), None),
    (entry("x", TaskPhase.STOPPING, started_at=EARLIER), STOPPED, None),
    (entry("x", TaskPhase.RUNNING), succeeded("1"), None),
    (compact("x"), succeeded(), None),
    (compact("x"), {}, None),
    (entry("x", TaskPhase.RUNNING), FAILED, None),
    (entry("x", TaskPhase.FAILED), FAILED, None),
]
"""Situations as they come about when nobody meddles, in which no pod can run."""

BUSY: list[Situation] = [
    (None, one(None), None),
    (entry("x", TaskPhase.RECORDED), one(None), None),
    (entry("x", TaskPhase.PENDING), one(None), None),
    (entry("x", TaskPhase.PENDING), PENDING, None),
    (entry("x", TaskPhase.PENDING), RUNNING, None),
    (entry("x", TaskPhase.RUNNING), RUNNING, None),
    (entry("x", TaskPhase.STOPPING, holding=1), EVICTED, None),
    (entry("x", TaskPhase.STOPPING, started_at=EARLIER), STOPPING, None),
    (entry("x", run=2), one(pending_pod()), None),
    (entry("x", TaskPhase.RECORDED, run=2), one(running_pod()), None),
]
"""The same, in which a pod runs or may start."""


def _any_situations(count: int) -> list[Situation]:
    dice, entries, jobs, pods = random.Random(4), list(_entries()), list(_any_job()), list(_any_pod())
    refusals = (*[None] * 5, INVALID, FORBIDDEN, FORBIDDEN_AS_YET)
    return [(dice.choice(entries), _some_runs(dice, jobs, pods), dice.choice(refusals)) for _ in range(count)]


situations = [st.sampled_from(QUIET), st.sampled_from(QUIET + BUSY), st.sampled_from(_any_situations(2000))]
any_lifecycle = st.sampled_from(Lifecycle)
kinds_of_situations = st.sampled_from(situations)
a_few_at_once = st.integers(1, 3)
some_tasks = st.lists(st.sampled_from(NAMES), unique=True, max_size=4)
any_phase = st.sampled_from((None, *Phase, *(set(Phase) - ENDED_PHASES)))
yes_or_no = st.booleans()
task_facts = st.sampled_from(({}, {"retries": 2}, {"input": 7}, {"template": dict(OTHER_TEMPLATE)}))


@st.composite
def resources(draw: st.DrawFn, *kinds: Kind, lifecycle: Lifecycle | None = None) -> ObservedResource:
    """A Chain or a Swarm of up to four tasks; what is known of tasks that it hasn't is of removed ones."""
    kind = draw(st.sampled_from(kinds or (CHAIN, SWARM)))
    phase, names = draw(any_phase), draw(some_tasks)
    a_task = draw(kinds_of_situations)
    known = {name: draw(a_task) for name in NAMES}
    entries = [found.model_copy(update={"name": name}) for name, (found, _, _) in known.items() if found is not None]
    facts: dict[str, Any] = {
        "lifecycle": draw(any_lifecycle) if lifecycle is None else lifecycle,
        "old": status(phase, entries, draw(any_lifecycle), interruptions=3),
        "runs": {name: of(name, runs) for name, (_, runs, _) in known.items()},
        "refusals": {name: refusal for name, (_, _, refusal) in known.items() if refusal is not None},
        "generation": draw(st.integers(1, 2)),
    }
    if kind is CHAIN:
        return with_creations(chain(tasks=[chain_task(name, **draw(task_facts)) for name in names or "a"], **facts))
    template = TEMPLATE if draw(yes_or_no) else None
    tasks = [swarm_task(name, **draw(task_facts)) for name in names]
    return with_creations(swarm(tasks=tasks, at_once=draw(a_few_at_once), template=template, **facts))


# ── in the words of the promises ──


@dataclass(frozen=True)
class Case:
    """What was seen, and what was decided on it."""

    observed: ObservedResource
    plan: Plan
    decision: Decision

    @property
    def status(self) -> Status:
        assert self.decision.status is not None
        return self.decision.status

    @property
    def actions(self) -> tuple[Action, ...]:
        return (*self.decision.before, *self.decision.after)

    @property
    def creations(self) -> list[CreateJob]:
        return [action for action in self.actions if isinstance(action, CreateJob)]

    @property
    def starts(self) -> list[str]:
        """The tasks that get a run that was neither recorded nor asked for before."""
        recorded = {task for task in NAMES if self.phase_before(task) is TaskPhase.RECORDED}
        known = recorded | self.observed.creations.keys()
        return [action.task for action in self.creations if action.task not in known]

    @property
    def planned(self) -> list[str]:
        return [task.name for task in self.plan.tasks]

    @property
    def has_ended_before(self) -> bool:
        return self.observed.status.phase in ENDED_PHASES

    def before(self, task: str) -> TaskStatus:
        return find_entry(self.observed.status, task) or TaskStatus(name=task)

    def phase_before(self, task: str) -> TaskPhase | str:
        return self.before(task).phase

    def now(self, task: str) -> TaskStatus:
        return find_entry(self.status, task) or TaskStatus(name=task)

    def live_pods(self, task: str) -> list[ObservedPod]:
        return [pod for run in self.observed.runs_of(task).values() for pod in run.live_pods]


def consider(observed: ObservedResource) -> Case:
    assert observed.spec is not None
    case = Case(observed, make_plan(observed.spec), decide_and_record(observed, NOON))
    event(f"{observed.kind.name}: {observed.status.phase} → {case.status.phase}")
    return case


def task_of(action: Action) -> str:
    match action:
        case CreateJob(task):
            return task
        case EvictPod(pod) | DeletePod(pod):
            return pod.uid[0]
        case ReadEvidence(task):
            return task
        case StopJob(job) | HoldJob(job) | DeleteJob(job) | MakeRoom(job) | ExplainMissingPod(job):
            return job.uid[0]


# ── promise 1 ──


@given(resources(lifecycle=SUSPENDED))
def test_suspend_touches_nothing_that_has_started(observed: ObservedResource) -> None:
    case = consider(observed)
    for action in case.actions:
        task = task_of(action)
        if case.has_ended_before or case.now(task).phase in ENDED_TASKS:
            continue  # what is left of a task that has ended is cleared away in any lifecycle
        assert not isinstance(action, StopJob | DeletePod | CreateJob)
        if isinstance(action, EvictPod):
            assert not action.pod.has_started
        if isinstance(action, HoldJob | DeleteJob):
            (run,) = [run for run in observed.runs_of(task).values() if run.job == action.job]
            assert not run.live_pods


@given(resources(lifecycle=ACTIVE))
def test_active_stops_no_task_of_the_spec_that_has_not_ended(observed: ObservedResource) -> None:
    case = consider(observed)
    for action in case.actions:
        if task_of(action) in case.planned and case.now(task_of(action)).phase not in ENDED_TASKS:
            assert case.has_ended_before or not isinstance(action, StopJob | DeletePod)


@given(resources())
def test_mark_is_written_before_a_job_is_held(observed: ObservedResource) -> None:
    case = consider(observed)
    for action in case.actions:
        if isinstance(action, HoldJob):
            now = case.now(task_of(action))
            is_over = is_cut_short_by_suspension(now)  # and so nothing that becomes of its Job changes how it ended
            assert is_over or (now.phase, now.holding) == (TaskPhase.STOPPING, now.run)


# ── promise 2 ──


@given(resources())
def test_held_is_said_only_when_nothing_runs_or_may_start(observed: ObservedResource) -> None:
    case = consider(observed)
    if case.has_ended_before or case.status.phase not in HELD_PHASES | {Phase.CANCELED}:
        return
    assert case.creations == []
    for task, runs in observed.runs.items():
        assert case.live_pods(task) == []
        for run in runs.values():
            if may_make_a_pod(run):
                assert DeleteJob(run.job) in case.actions  # type: ignore[arg-type]


@given(resources())
def test_nothing_starts_when_held_or_ended(observed: ObservedResource) -> None:
    case = consider(observed)
    if case.status.lifecycle is not ACTIVE or case.status.phase in ENDED_PHASES:
        assert case.creations == []


@given(resources())
def test_interrupt_leaves_no_pod_alone(observed: ObservedResource) -> None:
    case = consider(observed)
    if case.has_ended_before or case.status.lifecycle not in (INTERRUPTED, CANCELED):
        return
    for task, runs in observed.runs.items():
        for number, run in runs.items():
            if number == case.now(task).run and any(pod.is_terminating for pod in run.live_pods):
                continue  # one at a time: two pods of a run are nothing that we make
            for pod in run.live_pods:
                is_going = pod.is_terminating or (run.job is not None and run.job.is_suspended)
                stops = () if run.job is None else (StopJob(run.job), DeleteJob(run.job, in_foreground=True))
                is_stopped = any(stop in case.actions for stop in stops)
                assert is_going or is_stopped or DeletePod(pod) in case.actions, pod.uid


# ── promise 3 ──


@given(resources())
def test_no_run_starts_once_a_task_has_succeeded(observed: ObservedResource) -> None:
    case = consider(observed)
    for task in {action.task for action in case.creations}:
        assert case.phase_before(task) not in ENDED_TASKS
        assert not any(has_succeeded(pod) for run in observed.runs_of(task).values() for pod in run.pods)
        assert case.live_pods(task) == []


@given(resources())
def test_run_numbers_go_up_and_none_is_used_again(observed: ObservedResource) -> None:
    case = consider(observed)
    assert len({action.task for action in case.creations}) == len(case.creations)
    for action in case.creations:
        number = run_of(action)
        assert number == case.now(action.task).run
        assert all(number > other for other in observed.runs_of(action.task))
        assert number > case.before(action.task).run or case.phase_before(action.task) is TaskPhase.RECORDED


@given(resources())
def test_nothing_of_a_run_is_forgotten(observed: ObservedResource) -> None:
    """Not even when its task is removed from the spec: it may come back."""
    case = consider(observed)
    for old in observed.status.tasks:
        now = case.now(old.name)
        assert now.run >= old.run
        assert old.phase not in ENDED_TASKS or now.phase is old.phase
        if now.phase is not TaskPhase.SUCCEEDED:
            assert now.failures >= old.failures
            assert now.interruptions >= old.interruptions
    assert observed.status.interruptions <= case.status.interruptions <= observed.status.interruptions + len(NAMES)


# ── how many at once, and in which order ──


@given(resources(lifecycle=ACTIVE))
def test_nothing_starts_beyond_the_limit(observed: ObservedResource) -> None:
    """Removed tasks, and pods that slipped through a hold, count too."""
    case = consider(observed)
    if not case.starts:
        return
    taken = {task for task in NAMES if case.now(task).phase in OPEN or case.live_pods(task)}
    assert len(taken) <= case.plan.max_at_once, taken


@given(resources(CHAIN, lifecycle=ACTIVE))
def test_task_of_a_chain_starts_only_when_those_before_it_have_succeeded(observed: ObservedResource) -> None:
    case = consider(observed)
    assert len(case.starts) <= 1
    for task in case.starts:
        before = case.planned[: case.planned.index(task)]
        assert all(case.now(name).phase is TaskPhase.SUCCEEDED for name in before)


@given(resources(SWARM, lifecycle=ACTIVE))
def test_tasks_of_a_swarm_start_in_order(observed: ObservedResource) -> None:
    """None that might start is left behind by one further back."""
    case = consider(observed)
    first_waiting = next(
        (
            index
            for index, name in enumerate(case.planned)
            if case.now(name).phase is TaskPhase.UNSTARTED
            and case.now(name).reason is None
            and name not in observed.refusals
        ),
        len(NAMES),
    )
    orphans = [name for name in NAMES if case.live_pods(name)]
    for task in case.starts:
        assert case.planned.index(task) < first_waiting or orphans


@given(resources(SWARM, lifecycle=ACTIVE))
def test_places_are_not_left_free_when_tasks_could_start(observed: ObservedResource) -> None:
    case = consider(observed)
    if case.status.phase in ENDED_PHASES:
        return
    can_start = [
        name for name in case.planned
        if case.now(name).phase is TaskPhase.UNSTARTED
        and case.now(name).reason is None
        and name not in observed.refusals
        and not case.live_pods(name)
    ]  # fmt: skip
    waiting = [
        name for name in case.planned if case.now(name).phase is TaskPhase.BACKING_OFF or name in observed.refusals
    ]
    taken = [name for name in NAMES if case.now(name).phase in OPEN or case.live_pods(name)]
    if can_start:
        assert len({*taken, *waiting}) >= case.plan.max_at_once


# ── how it ends, and what is told ──


@given(resources())
def test_end_is_that_of_its_tasks(observed: ObservedResource) -> None:
    case = consider(observed)
    if case.has_ended_before:
        return
    phases = [case.now(name).phase for name in case.planned]
    if case.status.phase is Phase.SUCCEEDED:
        assert set(phases) <= {TaskPhase.SUCCEEDED}
    if case.status.phase is Phase.FAILED:
        assert TaskPhase.FAILED in phases
        assert observed.kind is CHAIN or ENDED_TASKS.issuperset(phases)
    if case.status.phase in ENDED_PHASES:
        assert not any(case.now(task).phase in OPEN for task in NAMES)


@given(resources())
def test_ended_phase_never_changes(observed: ObservedResource) -> None:
    case = consider(observed)
    if case.has_ended_before:
        assert (case.status.phase, case.status.tasks) == (observed.status.phase, observed.status.tasks)
        assert (case.creations, case.decision.events) == ([], ())


@given(resources())
def test_each_task_is_counted_once(observed: ObservedResource) -> None:
    case = consider(observed)
    if case.has_ended_before:
        return
    new = case.status
    assert new.done + new.failed + new.running + new.pending == new.total == len(case.planned)
    assert new.done == sum(case.now(name).phase is TaskPhase.SUCCEEDED for name in case.planned)
    names = [task.name for task in new.tasks]
    assert len(set(names)) == len(names)
    if observed.kind is CHAIN:
        assert names[: len(case.planned)] == case.planned


@given(resources(SWARM))
def test_ledger_of_a_swarm_is_small(observed: ObservedResource) -> None:
    case = consider(observed)
    if case.has_ended_before:
        return
    for task in case.status.tasks:
        assert task != TaskStatus(name=task.name)
        assert task.phase is not TaskPhase.SUCCEEDED or task == compact(task.name, task.run)


# ── promise 5 ──


def are_jobs_suspended_by_somebody_else(observed: ObservedResource) -> bool:
    return any(run.job is not None and run.job.is_suspended for runs in observed.runs.values() for run in runs.values())


@given(resources())
def test_second_decision_changes_nothing_when_nothing_else_does(observed: ObservedResource) -> None:
    first = consider(observed)
    if are_jobs_suspended_by_somebody_else(observed):
        first = consider(seen_next(observed, first.decision))  # our mark comes first, the end of the run after
    second = consider(seen_next(first.observed, first.decision))

    assert second.status == first.status
    assert second.decision.events == ()
    assert second.decision.before == ()
    assert second.creations == [action for action in first.creations if action not in first.decision.before]


@given(resources())
def test_status_survives_when_written_and_read_back(observed: ObservedResource) -> None:
    new = consider(observed).status
    assert Status.model_validate(json.loads(json.dumps(new.to_json(), allow_nan=False))) == new


@given(resources())
def test_look_again_is_asked_for_only_in_the_future(observed: ObservedResource) -> None:
    decision = consider(observed).decision
    assert decision.recheck_at is None or decision.recheck_at > NOON
