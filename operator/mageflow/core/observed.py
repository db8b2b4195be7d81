"""A frozen snapshot of a resource, its Jobs and their pods: the one input of a decision besides the time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final

from mageflow.api import ChainSpec, Kind, Lifecycle, Status, SwarmSpec, WorkflowSpec
from mageflow.core.output import OUTPUT_LIMIT

DISRUPTION_RULE: Final = "PodFailurePolicy"
"""Reason of a Job's failure by its rule on DisruptionTarget."""


@dataclass(frozen=True, slots=True)
class ObservedPod:
    """The few facts about a pod that decisions are made from."""

    name: str
    uid: str
    resource_version: str
    phase: str
    """`status.phase`: Pending, Running, Succeeded, Failed or Unknown."""
    has_started: bool = False
    """A container, init containers included, is running or has ended (DESIGN section 3, "Started")."""
    is_terminating: bool = False
    """It has a deletionTimestamp."""
    grace_seconds: int = 0
    """While it is terminating: how long its containers are given."""
    deletion_due: datetime | None = None
    """When its grace period is over, counted from when it was first seen terminating: by our own clock."""
    is_disrupted: bool = False
    """Its condition DisruptionTarget, or Kueue's TerminationTarget, is True. Set *before* a delete, which may fail."""
    is_gone: bool = False
    """It was deleted; this is what was seen of it last, kept until the ledger has the end of its run."""
    had_failed: bool = False
    """A container of it had failed before it was deleted: a version without deletionTimestamp showed it."""
    node: str | None = None
    reason: str | None = None
    """`status.reason`, such as DeadlineExceeded or Evicted."""
    message: str | None = None
    cause: Cause | None = None
    """The container by which it failed, if it was one."""
    output: str | None = None
    """The main container's termination message, as the kubelet recorded it."""
    output_limit: int = OUTPUT_LIMIT
    """Bytes that the kubelet keeps of that."""
    lingering: tuple[str, ...] = ()
    """The containers that keep it running though its main one has ended."""
    has_deadly_probe: bool = False
    """The kubelet may have killed its main container for a probe, and it may exit 0 then: events tell."""
    waiting: ReasonMessage | None = None
    """Why it doesn't start, if that is more than the usual start of a pod."""

    @property
    def has_ended(self) -> bool:
        """No container of it runs, and none will."""
        return self.is_gone or self.phase in ("Succeeded", "Failed")

    @property
    def has_ended_by_itself(self) -> bool:
        """It ran to its end before anybody stopped it: its exit codes count.

        A pod that succeeded has, whatever marks it; one that failed hasn't if what marks it made it fail.
        """
        if self.is_terminating:
            return False
        return self.phase == "Succeeded" or (self.phase == "Failed" and not self.is_disrupted)

    @property
    def can_run(self) -> bool:
        """A container of it runs or may yet start.

        A terminating pod that was never bound to a node can't start: no kubelet knows it (DESIGN section 3).
        """
        return not self.has_ended and not (self.is_terminating and self.node is None)


@dataclass(frozen=True, slots=True)
class ReasonMessage:
    """Why something is as it is: a PascalCase reason and a sentence. Of a waiting pod, a failed Job, an event."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Cause:
    """The container by which a pod failed, and how it ended."""

    container: str
    """Which one, in words: `init container fetch`."""
    exit_code: int
    reason: str | None = None
    """The kubelet's word for it, such as OOMKilled or StartError; None if it says no more than the exit code."""
    message: str | None = None
    """What it left in its termination message, or its log if its policy says so; or why it could not be started."""
    is_main: bool = False
    """It is the container whose output counts."""


@dataclass(frozen=True, slots=True)
class ObservedJob:
    """The few facts about a Job that decisions are made from."""

    name: str
    uid: str
    resource_version: str
    is_suspended: bool = False
    """`spec.suspend`."""
    is_stopped: bool = False
    """It carries our mark of a stop, whether or not somebody has unsuspended it since."""
    was_running: bool = False
    """A container of the run had started when we suspended it."""
    suspended_by: str | None = None
    """The field manager of `spec.suspend`, if it is suspended and isn't stopped by us: a queueing system, a person."""
    is_suspension_in_force: bool = False
    """The Job controller has acted on `spec.suspend`: condition Suspended, no active pod. It starts none."""
    is_terminating: bool = False
    is_complete: bool = False
    failure: ReasonMessage | None = None
    """Reason and message of its condition Failed, if it has failed."""
    created_at: datetime | None = None
    """By the API server's clock: to be compared with another Job's only."""
    seen_at: datetime | None = None
    """Since when it is known, or known not to be suspended any more, by our own clock; given of a Job without a pod."""
    missing_pod: str | None = None
    """What the API server said when it refused the Job's pod; None if nothing was said."""
    explained_at: datetime | None = None
    """When that was last asked."""

    @property
    def has_ended(self) -> bool:
        """It is Complete or Failed: it makes no more pods."""
        return self.is_complete or self.failure is not None

    @property
    def is_gated(self) -> bool:
        """Somebody else has suspended it, and may let it go on at any time."""
        return self.is_suspended and not (self.is_stopped or self.has_ended or self.is_terminating)

    @property
    def is_stop_undone(self) -> bool:
        """We have stopped it, and somebody has unsuspended it: it makes pods again."""
        return self.is_stopped and not (self.is_suspended or self.has_ended or self.is_terminating)

    @property
    def is_disrupted(self) -> bool:
        """It failed by the rule on DisruptionTarget: a durable mark that the task did not fail.

        https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-failure-policy
        """
        return self.failure is not None and self.failure.reason == DISRUPTION_RULE


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a run that is gone: what the watches saw last, and what its events say (ADR 14)."""

    lost_its_job: bool = False
    """Its Job was seen to go before it had ended."""
    is_found: bool = False
    """It was recorded by another operator, or one before this: its Job may have been made, and be gone."""
    read_at: datetime | None = None
    """When its events were last read; None: not yet, and what follows isn't known."""
    looked_for: timedelta = timedelta(0)
    """How long after the first reading the last one was."""
    has_started: bool = False
    """A container of it has started."""
    is_from_the_start: bool = False
    """Events remain that are older than any end of it: none that came later has been dropped for its age."""
    has_job: bool = False
    """Its Job was made, as events tell."""
    stop: str | None = None
    """What says that it was cut short through no fault of its own."""
    fault: ReasonMessage | None = None
    """What says that it was stopped for a fault of its own: reason and message."""
    job_end: ReasonMessage | None = None
    """How its Job ended, by the Job controller's event: reason and message."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a task as the cluster has it: a Job and its pod (more only if someone meddled)."""

    job: ObservedJob | None = None
    pods: tuple[ObservedPod, ...] = ()
    evidence: Evidence | None = None
    """What else tells of it; None unless it is gone."""

    @property
    def live_pods(self) -> tuple[ObservedPod, ...]:
        """The pods that run or may yet start."""
        return tuple([pod for pod in self.pods if pod.can_run])  # a list is faster, and there are many of them

    @property
    def has_started(self) -> bool:
        """A container of one of its pods has started."""
        return any(pod.has_started for pod in self.pods) or (self.evidence is not None and self.evidence.has_started)

    @property
    def is_at_rest(self) -> bool:
        """It has ended by itself, and no pod of it can run: nothing is left to do about it."""
        job = self.job
        has_job_ended = job is None or (job.has_ended and not job.is_disrupted)
        return has_job_ended and not self.live_pods

    @property
    def may_get_a_pod(self) -> bool:
        """It has no pod, and the Job controller may yet make one."""
        job = self.job
        if job is None or job.has_ended or job.is_terminating:
            return False
        if any(not pod.is_gone or pod.has_ended_by_itself for pod in self.pods):
            return False
        return not (job.is_suspended and job.is_suspension_in_force)


Spec = WorkflowSpec | ChainSpec | SwarmSpec

NO_RUN = Run()

Runs = Mapping[int, Run]
"""The runs of one task that the cluster still has, by number."""

NO_RUNS: Runs = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the Job of a run can't be created, or a stop not be carried out."""

    reason: str
    message: str
    is_invalid: bool = False
    """The task itself is at fault, as far as can be told: the resource is Stalled, and the task takes no other's place.

    It is tried again all the same: a mutating webhook may be what made it invalid.
    """
    retry_at: datetime | None = None
    """When it is tried again; None: once the task is edited."""
    is_passing: bool = False
    """It may well be over at the next try: it isn't told yet."""
    is_of_quota: bool = False
    """A quota lets no more Jobs be there: one that has ended may make room."""

    def is_due(self, now: datetime) -> bool:
        """Tell whether it is to be tried again."""
        return self.retry_at is not None and now >= self.retry_at


@dataclass(frozen=True, slots=True)
class Creation:
    """The requests to create the Job of a run that may still create it: under way, or without an answer that tells."""

    run: int
    template_hash: str | None = None
    """What the Job is made from; None if another process made the request."""
    began_at: datetime | None = None
    """When the request was begun that isn't answered yet; None: none is under way."""
    ends_at: datetime | None = None
    """Until when a Job may come of a request that got no answer that tells; None: none was made."""

    def may_come(self, now: datetime) -> bool:
        """Tell whether a Job may yet come of it."""
        return self.began_at is not None or (self.ends_at is not None and now < self.ends_at)


@dataclass(frozen=True, slots=True)
class ObservedResource:
    """A Workflow, Chain or Swarm, its Jobs and their pods, all at least as new as our own last write to any of them."""

    kind: Kind
    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    is_terminating: bool
    spec: Spec | None
    """None if it can't be read; `problem` tells why."""
    status: Status
    problem: str | None = None
    lifecycle_alone: Lifecycle = Lifecycle.ACTIVE
    """Its `spec.lifecycle`, read by itself: what counts where the rest of the spec can't be read."""
    size_of_spec: int = 0
    """Bytes that are stored of it at this generation, without its status and annotations."""
    size_of_annotations: int = 0
    namespace_lifecycle: str | None = None
    """The namespace's label `mageflow.io/lifecycle`; None if it has none."""
    runs: Mapping[str, Runs] = field(default_factory=dict)
    """By task name."""
    refusals: Mapping[str, Refusal] = field(default_factory=dict)
    """By task name: the last refusal of the Job of its latest run since the spec was edited."""
    creations: Mapping[str, Creation] = field(default_factory=dict)
    """By task name: what may come of its latest run, as long as no Job of it is recorded."""
    late: Mapping[tuple[str, int], datetime] = field(default_factory=dict)
    """By task and run: until when a request to create its Job may come true; none does while the Job is there."""
    blocked: Mapping[str, Refusal] = field(default_factory=dict)
    """By `key_of` an action: why it can't be carried out now."""
    is_making_room: bool = False
    """A Job was deleted for a quota, and the quota may not know it yet."""

    @property
    def title(self) -> str:
        """Kind, namespace and name, for logs."""
        return f"{self.kind.name} {self.namespace}/{self.name}"

    @property
    def lifecycle(self) -> Lifecycle:
        """Its own `spec.lifecycle`."""
        return self.lifecycle_alone if self.spec is None else self.spec.lifecycle

    @property
    def size(self) -> int:
        """Bytes that are stored of it, without its status."""
        return self.size_of_spec + self.size_of_annotations

    def runs_of(self, task: str) -> Runs:
        """Return the runs of one task, by number; empty if it has none."""
        return self.runs.get(task, NO_RUNS)
