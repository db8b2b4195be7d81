"""What holds after every test, whatever it did: checked from the audit log and from the pods' own histories.

The operator's word counts for nothing here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from .audit import Request
from .history import PodHistory, count_running_at_once
from .stage import Namespace

STOPPING = frozenset({"interrupted", "canceled"})


def check_promises(namespace: Namespace) -> None:
    """Check every promise of DESIGN section 1 that can be broken by any test."""
    check_no_job_was_made_twice(namespace)
    check_no_two_runs_at_once(namespace)
    check_no_started_pod_was_evicted(namespace)
    check_pods_were_stopped_only_when_asked(namespace)
    check_only_status_was_written(namespace)


def check_no_job_was_made_twice(namespace: Namespace) -> None:
    """Promise 3: nothing runs twice. A run's Job has a name of its own, so the same name is the same run."""
    names = namespace.audit.created_jobs(namespace.name)
    assert len(names) == len(set(names)), f"made twice: {sorted(names)}"


def check_no_two_runs_at_once(namespace: Namespace) -> None:
    """Promise 3: a run starts only when no pod of an older run can still run."""
    by_owner: defaultdict[str, list[PodHistory]] = defaultdict(list)
    for pod in namespace.pods:
        if "mageflow.io/uid" in pod.labels:
            by_owner[pod.labels["mageflow.io/uid"]].append(pod)
    for pods in by_owner.values():
        assert count_running_at_once(pods) <= 1, f"ran at once: {[pod.name for pod in pods]}"


def check_no_started_pod_was_evicted(namespace: Namespace) -> None:
    """Promise 1: suspend, whose means is eviction, never kills a task that the API server knows to have started."""
    evicted = {
        request.name
        for request in namespace.writes()
        if (request.verb, request.resource) == ("create", "pods/eviction") and request.is_success
    }
    for pod in namespace.pods:
        if pod.name in evicted:
            assert not pod.had_started_when_deleted, f"{pod.name} had started, and was evicted"


def check_pods_were_stopped_only_when_asked(namespace: Namespace) -> None:
    """Promise 1: what deletes running pods is used only on a resource that was interrupted or canceled at some time."""
    writes = namespace.writes()
    was_stopped = any(lifecycle in STOPPING for lifecycle in _lifecycles_asked_for(namespace))
    killing = [
        request
        for request in writes
        if request.is_success
        and (
            (request.resource == "jobs" and request.verb == "patch" and request.body.get("spec", {}).get("suspend"))
            or (request.resource == "pods" and request.verb == "delete")
        )
    ]
    assert was_stopped or not killing, f"nobody asked for a stop: {[str(request) for request in killing]}"


def check_only_status_was_written(namespace: Namespace) -> None:
    """Promise 4: the spec is the user's; no annotation, no finalizer, no write to the resource but to its status."""
    others = [
        str(request)
        for request in namespace.writes()
        if request.resource.startswith("workflows") and request.resource != "workflows/status"
    ]
    assert not others
    for request in namespace.writes():
        if request.resource == "workflows/status" and request.is_success:
            metadata = request.answer.get("metadata", {})
            assert "finalizers" not in metadata, f"{request}: {metadata}"


def _lifecycles_asked_for(namespace: Namespace) -> Sequence[Any]:
    return [_lifecycle_of(request.body) for request in _of_users(namespace)]


def _of_users(namespace: Namespace) -> list[Request]:
    return [
        request
        for request in namespace.audit.writes(namespace.name, "admin")
        if request.resource == "workflows" and request.is_success
    ]


def _lifecycle_of(body: Mapping[str, Any]) -> Any:
    return (body.get("spec") or {}).get("lifecycle")
