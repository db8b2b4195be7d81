"""What events tell of a run that is gone; the texts are those of Kubernetes 1.34."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from mageflow.controller.run_evidence import find_pods, observe_events
from mageflow.core.observed import ReasonMessage

Raw = dict[str, Any]


def of_pod(reason: str, message: str = "", container: str | None = None, *, at: int = 0, init: bool = False) -> Raw:
    """An event of the pod, or of a container of it, made at so many seconds past noon."""
    where = "spec.initContainers" if init else "spec.containers"
    path = {} if container is None else {"fieldPath": f"{where}{{{container}}}"}
    time = f"2026-11-24T12:00:{at:02}Z"
    involved = {"kind": "Pod", "name": "report-x"} | path
    return {
        "reason": reason, "message": message, "involvedObject": involved, "firstTimestamp": time, "lastTimestamp": time
    }  # fmt: skip


def of_job(reason: str, message: str = "") -> Raw:
    return {"reason": reason, "message": message, "involvedObject": {"kind": "Job", "name": "report"}}


STARTED = of_pod("Started", "Started container main", "main")
KILLED = of_pod("Killing", "Stopping container main", "main", at=30)
SIDECAR = of_pod("Started", "Started container proxy", "proxy", init=True)
SIDECAR_KILLED = of_pod("Killing", "Stopping container proxy", "proxy", init=True)
STOPPED = "it was killed: Stopping container main"
OWN_LIMIT = 'Usage of EmptyDir volume "cache" exceeds the limit "1Mi". '


@dataclass(frozen=True)
class Case:
    """What a pod's events tell, besides that they are there from its start."""

    situation: str
    events: list[Raw]
    stop: str | None = None
    fault: ReasonMessage | None = None
    main: str | None = "main"
    has_started: bool = field(default=True)


CASES = [
    Case("it never started", [of_pod("Scheduled")], has_started=False),
    Case("it ran", [STARTED]),
    Case("it ran, and its native sidecar was stopped at its end", [SIDECAR, STARTED, SIDECAR_KILLED]),
    Case("it ran, and a plain sidecar was stopped after it", [STARTED, of_pod("Killing", "Stopping container w", "w")]),
    Case("it was stopped", [STARTED, KILLED], STOPPED),
    Case("it was stopped, and nobody knows which container counts", [STARTED, KILLED], STOPPED, main=None),
    Case("its init container was stopped",
         [of_pod("Scheduled"), of_pod("Killing", "Stopping container init", "init", init=True)],
         "it was killed: Stopping container init", has_started=False),
    Case("the scheduler preempted it", [STARTED, of_pod("Preempted", "Preempted by pod 1 on node n")],
         "Preempted: Preempted by pod 1 on node n"),
    Case("the kubelet preempted it", [STARTED, of_pod("Preempting", "Preempted in order to admit critical pod")],
         "Preempting: Preempted in order to admit critical pod"),
    Case("its node was tainted", [STARTED, of_pod("TaintManagerEviction", "Marking for deletion Pod a/b")],
         "TaintManagerEviction: Marking for deletion Pod a/b"),
    Case("its node was tainted, and not for long",
         [STARTED, of_pod("TaintManagerEviction", "Cancelling deletion of Pod a/b")]),
    Case("its node was short of memory",
         [STARTED, of_pod("Evicted", "The node was low on resource: memory. Threshold quantity: 1"), KILLED],
         "Evicted: The node was low on resource: memory. Threshold quantity: 1"),
    Case("it exceeded its own limit", [STARTED, of_pod("Evicted", OWN_LIMIT), KILLED],
         fault=ReasonMessage("Evicted", OWN_LIMIT)),
    Case("it took longer than allowed",
         [STARTED, of_pod("DeadlineExceeded", "Pod was active on the node longer than the specified deadline"), KILLED],
         fault=ReasonMessage("DeadlineExceeded", "Pod was active on the node longer than the specified deadline")),
    Case("its liveness probe failed, and all of it was stopped",
         [STARTED, of_pod("Unhealthy", "Liveness probe failed: HTTP 500", "main", at=29), KILLED],
         fault=ReasonMessage("ProbeFailed", "Liveness probe failed: HTTP 500")),
    Case("its liveness probe failed, and its sidecar goes on",
         [STARTED, of_pod("Killing", "Container main failed liveness probe", "main", at=30)],
         fault=ReasonMessage("ProbeFailed", "Container main failed liveness probe")),
    Case("its startup probe failed",
         [STARTED, of_pod("Unhealthy", "Startup probe errored: x", "main", at=28), KILLED],
         fault=ReasonMessage("ProbeFailed", "Startup probe errored: x")),
    Case("its liveness probe had failed once, long before it was stopped",
         [STARTED, of_pod("Unhealthy", "Liveness probe failed: HTTP 500", "main", at=5), KILLED], STOPPED),
    Case("its readiness probe failed, which kills nothing",
         [STARTED, of_pod("Unhealthy", "Readiness probe failed: HTTP 500", "main", at=29), KILLED], STOPPED),
    Case("the probe of another container failed",
         [STARTED, of_pod("Unhealthy", "Liveness probe failed: HTTP 500", "w", at=29), KILLED], STOPPED),
    Case("its postStart hook failed", [STARTED, of_pod("Killing", "FailedPostStartHook", "main", at=1)],
         fault=ReasonMessage("ProbeFailed", "FailedPostStartHook")),
]  # fmt: skip


@pytest.mark.parametrize("case", [pytest.param(case, id=case.situation) for case in CASES])
def test_events_of_a_pod_tell_when(case: Case) -> None:
    seen = observe_events([], case.events, case.main)
    assert (seen.stop, seen.fault, seen.has_started) == (case.stop, case.fault, case.has_started)
    assert seen.is_from_the_start


@pytest.mark.parametrize(
    ("reason", "is_end"),
    [
        ("Completed", True),
        ("BackoffLimitExceeded", True),
        ("PodFailurePolicy", True),
        ("SuccessfulCreate", False),
        ("FailedCreate", False),
        ("Suspended", False),
    ],
)
def test_events_of_a_job_tell_its_end_when(reason: str, *, is_end: bool) -> None:
    seen = observe_events([of_job(reason, "why")], [], "main")
    assert seen.job_end == (ReasonMessage(reason, "why") if is_end else None)


@pytest.mark.parametrize(
    ("job_events", "pod_events", "is_from_the_start"),
    [
        ([], [], False),
        ([of_job("Completed")], [KILLED], False),
        ([of_job("Completed")], [SIDECAR, SIDECAR_KILLED], False),
        ([of_job("SuccessfulCreate", "Created pod: report-x")], [], True),
        ([], [of_pod("Scheduled")], True),
        ([], [STARTED], True),
    ],
)
def test_older_events_remain_when(job_events: list[Raw], pod_events: list[Raw], *, is_from_the_start: bool) -> None:
    """A sidecar may be started again, and its event is then kept for longer."""
    assert observe_events(job_events, pod_events, "main").is_from_the_start is is_from_the_start


def test_end_of_a_sidecar_tells_nothing_when_the_start_of_the_main_container_may_have_been_dropped() -> None:
    assert observe_events([of_job("Completed")], [SIDECAR_KILLED], "main").stop is None


def test_name_of_a_pod_is_found_in_the_events_of_its_job() -> None:
    events = [of_job("SuccessfulCreate", "Created pod: report-x"), of_job("Completed", "Job completed")]
    assert find_pods(events) == ["report-x"]
