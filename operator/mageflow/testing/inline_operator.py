"""The operator without an event loop: its own caches and decisions, and each action carried out as it is decided."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, assert_never

from mageflow.api import API_VERSION, KINDS, Kind, TaskPhase
from mageflow.controller.caches import Caches
from mageflow.controller.clock import Clock
from mageflow.core.decide import decide
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
from mageflow.core.job_manifest import ANNOTATION_STOPPED, STOPPED, STOPPED_WHILE_RUNNING
from mageflow.core.observed import ObservedResource
from mageflow.kube.paths import JOBS, collection_of
from mageflow.testing.server import OPERATOR, Change, Server

RESOURCES: Final[dict[str, Kind]] = {kind.plural: kind for kind in KINDS}


class VirtualClock(Clock):
    """A clock that stands still until it is told."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._passed = timedelta()

    def now(self) -> datetime:
        """Return the time."""
        return self._start + self._passed

    def monotonic(self) -> float:
        """Return the seconds since the start."""
        return self._passed.total_seconds()

    def pass_until(self, time: datetime) -> None:
        """Let time pass, if it hasn't yet."""
        self._passed = max(self._passed, time - self._start)


class InlineOperator:
    """Sees what is written to the servers of all namespaces, and brings each resource to what its spec says."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._caches = Caches(clock)
        self._news: dict[str, Server] = {}

    def hear(self, server: Server, change: Change) -> None:
        """Take in a change, as a watch would tell it."""
        is_gone, raw = change.type == "DELETED", change.object
        match change.plural:
            case "jobs":
                uid = self._caches.delete_job(raw) if is_gone else self._caches.upsert_job(raw)
            case "pods":
                uid = self._caches.delete_pod(raw) if is_gone else self._caches.upsert_pod(raw)
            case "namespaces":
                self._caches.namespaces.upsert(raw)
                self._news |= dict.fromkeys(self._caches.namespaces.take_changed(server.namespace), server)
                return
            case plural if plural in RESOURCES:
                kind = RESOURCES[plural]
                uid = self._caches.delete_resource(raw) if is_gone else self._caches.upsert_resource(kind, raw)
            case _:
                return
        if uid is not None:
            self._news[uid] = server

    def look_again(self, server: Server, uid: str) -> None:
        """Have a resource decided upon again, as its time has come."""
        self._news[uid] = server

    def work(self) -> bool:
        """Decide on each resource that there is news of; return whether there was any."""
        news, self._news = self._news, {}
        for uid, server in news.items():
            observed = self._caches.observe(uid)
            if observed is not None:
                self._carry_out(server, observed, decide(observed, self._clock.now()))
        return bool(news)

    def _carry_out(self, server: Server, observed: ObservedResource, decision: Decision) -> None:
        for creation in decision.before:
            self._act(server, creation)
        if decision.status is not None and decision.status != observed.status:
            body = {
                "apiVersion": API_VERSION,
                "metadata": {"resourceVersion": observed.resource_version},
                "status": decision.status.to_json(),
            }
            path = f"{collection_of(observed.kind).path(server.namespace, observed.name)}/status"
            recorded = {(entry.name, entry.run) for entry in decision.status.tasks if entry.phase is TaskPhase.RECORDED}
            self._caches.attempts_of(observed.uid).record(recorded)
            server.handle(OPERATOR, "PUT", path, body)
        for action in decision.after:
            self._act(server, action)

    def _act(self, server: Server, action: Action) -> None:
        match action:
            case CreateJob(manifest=manifest):
                server.create(OPERATOR, "jobs", {**manifest})
            case EvictPod(pod):
                server.evict(OPERATOR, pod.name, {"preconditions": {"uid": pod.uid}})
            case HoldJob(job):
                server.delete(OPERATOR, "jobs", job.name, {"propagationPolicy": "Orphan"})
            case StopJob(job, was_running):
                mark = {ANNOTATION_STOPPED: STOPPED_WHILE_RUNNING if was_running else STOPPED}
                path = JOBS.path(server.namespace, job.name)
                body = {"metadata": {"annotations": mark}, "spec": {"suspend": True}}
                server.handle(OPERATOR, "PATCH", path, body)
            case DeletePod(pod):
                server.delete(OPERATOR, "pods", pod.name, {})
            case DeleteJob(job, in_foreground):
                policy = "Foreground" if in_foreground else "Background"
                server.delete(OPERATOR, "jobs", job.name, {"propagationPolicy": policy})
            case MakeRoom(job):
                server.delete(OPERATOR, "jobs", job.name, {"propagationPolicy": "Background"})
            case ExplainMissingPod() | ReadEvidence():
                pass  # here nothing refuses a pod, and nobody looks away
            case _:
                assert_never(action)
