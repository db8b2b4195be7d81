"""A cluster in miniature: API server, Job controller and kubelet as far as a run's Job and pod go, step by step.

Each step is one that happens on a real cluster between two instants, so that any order of them can be tried. What
the real ones do was seen on a real API server (DESIGN section 3); `tests/integration` and `e2e` hold them to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count

from mageflow.api import LABEL_RUN, MAIN_TASK, Lifecycle, Status
from mageflow.core.decision import (
    Action,
    CreateJob,
    DeleteJob,
    DeletePod,
    EvictPod,
    ExplainMissingPod,
    HoldJob,
    StopJob,
)
from mageflow.core.observed import NO_RUN, ObservedJob, ObservedPod, ObservedResource, Run, Waiting
from mageflow.core.resource import decide as decide_resource

from .builders import NOON, job, unscheduled_pod, with_runs, workflow


class ConflictError(Exception):
    """A precondition doesn't hold, or the object is gone: observe again."""


@dataclass
class Pod:
    """A pod: what the API server knows (`seen`), and what is so on its node."""

    run: int
    owner: str | None
    """Uid of its Job; None: an orphan."""
    seen: ObservedPod
    is_tracked: bool = True
    """It bears the Job controller's finalizer: its end is not counted yet."""
    runs: bool = False
    exit_code: int | None = None
    was_told_to_stop: bool = False

    def change(self, **facts: object) -> None:
        version = str(int(self.seen.resource_version) + 1)
        self.seen = replace(self.seen, resource_version=version, **facts)  # type: ignore[arg-type]


@dataclass
class View:
    """What the operator knows: at least as new as its own last write, if not the newest."""

    observed: ObservedResource
    version: int


@dataclass
class World:
    """All that there is, and the steps that it can take."""

    retries: int = 2
    lifecycle: Lifecycle = Lifecycle.ACTIVE
    generation: int = 1
    version: int = 1
    status: Status = field(default_factory=Status)
    jobs: dict[int, ObservedJob] = field(default_factory=dict)
    pods: dict[str, Pod] = field(default_factory=dict)
    orphaning: set[int] = field(default_factory=set)
    now: datetime = NOON
    own_failures: int = 0
    """How often a container failed that nobody had told to stop."""
    has_succeeded: bool = False
    """A pod that nobody had deleted was reported to have succeeded."""
    created: list[int] = field(default_factory=list)
    uids: count[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self.view = self.look()

    # ── the operator ──

    def look(self) -> View:
        """See everything as it is now."""
        spec = workflow(self.lifecycle, self.status, generation=self.generation, retries=self.retries)
        runs = {
            run: Run(self.jobs.get(run), tuple(pod.seen for pod in self.pods.values() if pod.run == run))
            for run in {*self.jobs, *(pod.run for pod in self.pods.values())}
        }
        return View(with_runs(spec, runs), self.version)

    def look_at_jobs(self) -> View:
        """See Jobs as they are now, pods as they were: one watch is ahead of the other."""
        return self._mix(self.look(), self.view)

    def look_at_pods(self) -> View:
        return self._mix(self.view, self.look())

    def _mix(self, jobs: View, pods: View) -> View:
        its_jobs, its_pods = (view.observed.runs_of(MAIN_TASK) for view in (jobs, pods))
        runs = {
            run: Run(its_jobs.get(run, NO_RUN).job, its_pods.get(run, NO_RUN).pods) for run in {*its_jobs, *its_pods}
        }
        seen = {run: both for run, both in runs.items() if both != NO_RUN}
        return View(with_runs(self.look().observed, seen), self.version)

    def reconcile(self, dies_after: int | None = None) -> None:
        """Decide and act; `dies_after` so many requests the operator is killed, and starts anew."""
        observed = self.view.observed
        decision = decide_resource(observed, self.now)
        requests: list[Action | Status] = [*decision.first]
        if decision.status is not None and decision.status != observed.status:
            requests.append(decision.status)
        requests += decision.actions
        try:
            for request in requests[:dies_after]:
                if isinstance(request, Status):
                    self._write(request)
                else:
                    self._carry_out(request)
        except ConflictError:
            pass
        if requests or dies_after is not None:
            self.view = self.look()

    def _write(self, status: Status) -> None:
        if self.view.version != self.version:
            raise ConflictError
        self.status = Status.model_validate(status.to_json())
        self.version += 1

    def _carry_out(self, action: Action) -> None:
        match action:
            case CreateJob():
                self._create(int(action.manifest["metadata"]["labels"][LABEL_RUN]))
            case EvictPod(seen):
                pod = self._find(seen)
                assert not pod.seen.has_started, "promise 1"
                self._delete(pod, is_disrupted=True)
            case DeletePod(seen):
                self._delete(self._find(seen))
            case StopJob(target):
                self._change_job(target, is_suspended=True)
            case HoldJob(target):
                self.orphaning.add(self._change_job(target, is_terminating=True))
            case DeleteJob(target):
                run = self._change_job(target)
                if self.view.observed.spec is not None and self.view.observed.spec.lifecycle is Lifecycle.SUSPENDED:
                    assert not any(pod.seen.has_started for pod in self._live(run)), "promise 1"
                self._remove_job(run)
            case ExplainMissingPod():
                pass

    def _create(self, run: int) -> None:
        assert not self.has_succeeded, "promise 3: a task that succeeded is never run again"
        assert not self.live_pods, "promise 3: nothing runs twice"
        if run not in self.jobs:
            assert run not in self.created, "a run number is used once"
            self.created.append(run)
            self.jobs[run] = job(run, uid=f"job-{run}-{next(self.uids)}", created_at=self.now)

    def _find(self, seen: ObservedPod) -> Pod:
        pod = self.pods.get(seen.uid)
        if pod is None or pod.seen.resource_version != seen.resource_version:
            raise ConflictError
        return pod

    def _change_job(self, seen: ObservedJob, **facts: object) -> int:
        for run, present in self.jobs.items():
            if present.uid == seen.uid:
                self.jobs[run] = replace(present, **facts)  # type: ignore[arg-type]
                return run
        raise ConflictError

    def _remove_job(self, run: int) -> None:
        del self.jobs[run]
        self.orphaning.discard(run)

    def _delete(self, pod: Pod, *, is_disrupted: bool = False) -> None:
        pod.was_told_to_stop = True
        pod.change(
            is_terminating=True,
            is_disrupted=is_disrupted or pod.seen.is_disrupted,
            deletion_due=self.now + timedelta(seconds=30),
        )

    # ── the user ──

    def patch(self, lifecycle: Lifecycle) -> None:
        if lifecycle is not self.lifecycle and self.lifecycle is not Lifecycle.CANCELED:
            self.lifecycle = lifecycle
            self.generation += 1
            self.version += 1

    def pass_time(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    def delete_job_by_hand(self, run: int) -> None:
        """Delete a Job with all that belongs to it, and with what its pod may have achieved unseen."""
        self._remove_job(run)
        self.collect_garbage()
        self.created.remove(run)  # if it was never seen, it never was
        self.view = self.look()

    def drain(self, pod: Pod) -> None:
        if pod.seen.can_run and not pod.seen.is_terminating:
            self._delete(pod, is_disrupted=True)

    # ── the Job controller, and the garbage collectors ──

    def sync_jobs(self) -> None:
        for run in list(self.jobs):
            self._sync(run)

    def _sync(self, run: int) -> None:
        present, pods = self.jobs[run], [pod for pod in self.pods.values() if pod.run == run]
        if run in self.orphaning:
            for pod in pods:
                pod.owner, pod.is_tracked = None, False
            self._remove_job(run)
            return
        if present.has_ended:
            return
        finished = next((pod for pod in pods if pod.seen.has_ended and pod.is_tracked), None)
        if finished is not None:
            finished.is_tracked = False
            reason = "PodFailurePolicy" if finished.seen.is_disrupted else "BackoffLimitExceeded"
            is_complete = finished.seen.phase == "Succeeded"
            end = {"is_complete": True} if is_complete else {"failure": Waiting(reason, "a message")}
            self.jobs[run] = replace(present, **end)
        elif present.is_suspended:
            for pod in pods:
                pod.is_tracked = False
                if not pod.seen.is_terminating:
                    self._delete(pod)
            self.jobs[run] = replace(present, is_suspension_in_force=True)
        elif not pods:
            uid = f"pod-{next(self.uids)}"
            self.pods[uid] = Pod(run, present.uid, unscheduled_pod(uid=uid, name=uid))

    def collect_garbage(self) -> None:
        owners = {present.uid for present in self.jobs.values()}
        for uid, pod in list(self.pods.items()):
            if pod.owner is not None and pod.owner not in owners:
                pod.is_tracked = False
                if not pod.seen.is_terminating:
                    self._delete(pod)
            if pod.seen.is_terminating and pod.seen.node is None and not pod.seen.has_ended:
                pod.change(phase="Failed")
            if pod.seen.is_terminating and pod.seen.has_ended and not pod.is_tracked:
                del self.pods[uid]

    # ── the scheduler and the kubelet ──

    def schedule(self, pod: Pod) -> None:
        if pod.seen.node is None and not pod.seen.is_terminating:
            pod.change(node="node-1")

    def start(self, pod: Pod) -> None:
        is_fresh = pod.seen.phase == "Pending" and pod.exit_code is None
        if pod.seen.node is not None and is_fresh and not pod.seen.is_terminating:
            pod.runs = True

    def finish(self, pod: Pod, exit_code: int) -> None:
        """End by itself; a deleted pod is told to, and may exit 0 too."""
        if pod.runs:
            pod.runs, pod.exit_code = False, exit_code
            self.own_failures += exit_code != 0 and not pod.was_told_to_stop
        elif pod.seen.is_terminating and pod.seen.node is not None and not pod.seen.has_ended:
            pod.change(phase="Failed") if pod.exit_code is None else None

    def report(self, pod: Pod) -> None:
        """The kubelet tells the API server how the pod is: up to a second late."""
        if pod.seen.has_ended:
            return
        if pod.exit_code is not None:
            phase = "Failed" if pod.exit_code else "Succeeded"
            pod.change(phase=phase, has_started=True, started_at=self.now, exit_code=pod.exit_code)
            self.has_succeeded |= phase == "Succeeded" and not pod.seen.is_terminating
        elif pod.runs and not pod.seen.has_started:
            pod.change(phase="Running", has_started=True, started_at=self.now)

    def move(self, pod: Pod, exit_code: int) -> None:
        """Take the next step in the life of a pod."""
        if pod.seen.node is None:
            self.schedule(pod)
        elif pod.exit_code is not None or (pod.runs and not pod.seen.has_started):
            self.report(pod)
        elif pod.runs or pod.seen.is_terminating:
            self.finish(pod, exit_code)
        else:
            self.start(pod)

    # ── what is so ──

    def _live(self, run: int) -> list[Pod]:
        return [pod for pod in self.pods.values() if pod.run == run and pod.seen.can_run]

    @property
    def live_pods(self) -> list[Pod]:
        return [pod for pod in self.pods.values() if pod.seen.can_run]

    def settle(self) -> None:
        """Let everything happen that can, fairly, until nothing is left to happen."""
        for _ in range(60):
            self.now += timedelta(minutes=1)
            for pod in list(self.pods.values()):
                self.move(pod, 143 if pod.was_told_to_stop else 0)
            self.sync_jobs()
            self.collect_garbage()
            self.view = self.look()
            self.reconcile()
