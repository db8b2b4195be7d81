"""What the audit log says of pods, for the checkers."""

from __future__ import annotations

from collections.abc import Iterable

from devkit.audit import Request
from devkit.kubectl import Raw


def evicted_after_start(requests: Iterable[Request]) -> list[str]:
    """Return the pods that were evicted although the API server knew that a container of theirs had started."""
    started, evicted = set(), []
    for request in requests:
        if request.resource != "pods" or request.code >= 300:
            continue
        is_going = "deletionTimestamp" in request.answer.get("metadata", {})
        if request.subresource == "status" and has_started(request.answer) and not is_going:
            started.add(request.name)
        if request.subresource == "eviction" and request.name in started:
            evicted.append(request.name)
    return evicted


def has_started(pod: Raw) -> bool:
    """Tell whether a container of a pod has started, init containers included."""
    status = pod.get("status") or {}
    states = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    return any({"running", "terminated"} & set(container.get("state") or {}) for container in states)


def has_ended(pod: Raw) -> bool:
    """Tell whether a pod has ended by itself or was ended."""
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")
