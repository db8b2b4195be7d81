"""Parser of Kubernetes Events: what those of a run's Job and pod tell of its end, when both are gone (ADR 14). Pure.

What follows from that is decided by `mageflow.core.evidence`. The texts are those of the kubelet, the scheduler and the
controllers of Kubernetes 1.34, and no API:

pkg/kubelet: kuberuntime, prober, eviction, preemption, active_deadline.go
pkg/controller: job, tainteviction, controller_utils.go
pkg/scheduler/framework/preemption
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Final

from mageflow.api import reasons
from mageflow.controller.observe import read_time
from mageflow.core.observed import Evidence, ReasonMessage
from mageflow.kube.transport import Raw

CREATED: Final = "SuccessfulCreate"
CREATED_POD: Final = "Created pod: "
"""Reason, and how the message begins, of the Job controller's event when it has made a pod."""

SCHEDULED, STARTED = "Scheduled", "Started"

STOPPED_BY_OTHERS: Final = frozenset({"Preempted", "Preempting"})
"""Reasons of the scheduler and the kubelet when a pod makes room for another."""

TAINTED: Final = "TaintManagerEviction"
NOT_AFTER_ALL: Final = "Cancelling deletion"
"""How the message of a TaintManagerEviction begins if the pod is to stay after all."""

OF_THE_NODE: Final = ("The node was low on resource", "The node had condition")
"""How the message of an eviction begins if it was no fault of the pod."""

OWN_FAULTS: Final = ("failed liveness probe", "failed startup probe", "FailedPostStartHook")
"""Parts of the kubelet's message when it kills a container for a fault of that container."""

DEADLY_PROBES: Final = ("Liveness probe ", "Startup probe ")
"""How the message of Unhealthy begins if the kubelet kills for that probe."""

PROBE_WINDOW: Final = timedelta(seconds=10)
"""A kill that soon after a failed probe, by the kubelet's own clock, was for the probe. With `restartPolicy: Never` the
kubelet kills the whole pod, and its event doesn't say why."""


def find_pods(job_events: Iterable[Raw]) -> list[str]:
    """Return the names of the pods that a Job's events tell of."""
    messages = (_message(event) for event in job_events if event.get("reason") == CREATED)
    return [text.removeprefix(CREATED_POD).strip() for text in messages if text.startswith(CREATED_POD)]


def observe_events(job_events: Iterable[Raw], pod_events: Iterable[Raw], main: str | None) -> Evidence:
    """Return what the Events of a run's Job and pod tell.

    `main` is the name of the container whose end counts. If it isn't known (None), the end of any container counts, but
    for init containers.
    """
    of_job, of_pod = list(job_events), list(pod_events)
    is_main = _is_of(main)
    kills = [event for event in of_pod if event.get("reason") == "Killing" and is_main(event)]
    starts = [event for event in of_pod if event.get("reason") == STARTED]
    has_main_started = any(map(is_main, starts))
    is_from_the_start = (
        has_main_started
        or any(event.get("reason") == SCHEDULED for event in of_pod)
        or any(event.get("reason") == CREATED for event in of_job)
    )
    fault, stop = _find_fault(of_pod), _find_stop(of_pod)
    if fault is None and stop is None:
        fault = _find_fault_of_main(kills, [event for event in of_pod if is_main(event)])
        if fault is None:
            # Without an init container that is under way, a kill of one is that of a native sidecar: one comes with
            # each end of a pod.
            is_in_init = is_from_the_start and not has_main_started
            stop = _find_kill([event for event in of_pod if event.get("reason") == "Killing"] if is_in_init else kills)
    return Evidence(
        has_started=bool(starts or kills),
        is_from_the_start=is_from_the_start,
        stop=stop,
        fault=fault,
        has_job=bool(of_job),
        job_end=_find_end(of_job),
    )


def _find_fault(events: Iterable[Raw]) -> ReasonMessage | None:
    """Find what the kubelet stopped a whole pod for: its deadline, or its own excess."""
    for event in events:
        if event.get("reason") == reasons.DEADLINE_EXCEEDED:
            return ReasonMessage(reasons.DEADLINE_EXCEEDED, _message(event))
        if event.get("reason") == reasons.EVICTED and not _message(event).startswith(OF_THE_NODE):
            return ReasonMessage(reasons.EVICTED, _message(event))
    return None


def _find_stop(events: Iterable[Raw]) -> str | None:
    """Find what others stopped a whole pod for."""
    for event in events:
        reason, message = event.get("reason"), _message(event)
        is_tainted = reason == TAINTED and not message.startswith(NOT_AFTER_ALL)
        if reason in STOPPED_BY_OTHERS or is_tainted or (reason == reasons.EVICTED and message.startswith(OF_THE_NODE)):
            return f"{reason}: {message}"
    return None


def _find_fault_of_main(kills: list[Raw], events: list[Raw]) -> ReasonMessage | None:
    """Find out whether the main container was killed for a fault of its own, which its probes tell of."""
    for kill in kills:
        if any(fault in _message(kill) for fault in OWN_FAULTS):
            return ReasonMessage(reasons.PROBE_FAILED, _message(kill))
        for event in events:
            if event.get("reason") != "Unhealthy" or not _message(event).startswith(DEADLY_PROBES):
                continue
            killed_at, failed_at = _first_time(kill), _last_time(event)
            if killed_at is None or failed_at is None or killed_at - failed_at <= PROBE_WINDOW:
                return ReasonMessage(reasons.PROBE_FAILED, _message(event))
    return None


def _find_kill(kills: list[Raw]) -> str | None:
    return f"it was killed: {_message(kills[0])}" if kills else None


def _find_end(job_events: Iterable[Raw]) -> ReasonMessage | None:
    """Find the Job controller's event of the Job's end; a failure is a Warning whose reason is the condition's."""
    for event in job_events:
        if event.get("reason") in JOB_ENDS:
            return ReasonMessage(event["reason"], _message(event))
    return None


JOB_ENDS: Final = frozenset({"Completed", "BackoffLimitExceeded", "PodFailurePolicy", "DeadlineExceeded"})
"""Reasons of the Job controller's events when a Job ends."""


def _is_of(main: str | None) -> Callable[[Raw], bool]:
    """Return a predicate: is an Event that of the main container? (Native sidecars are `spec.initContainers{…}`.)"""
    path = "spec.containers{" if main is None else f"spec.containers{{{main}}}"
    return lambda event: str((event.get("involvedObject") or {}).get("fieldPath") or "").startswith(path)


def _message(event: Raw) -> str:
    return str(event.get("message") or "")


def _first_time(event: Raw) -> datetime | None:
    return read_time(event.get("firstTimestamp") or event.get("eventTime") or event.get("lastTimestamp"))


def _last_time(event: Raw) -> datetime | None:
    series = event.get("series") or {}
    return read_time(series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime"))
