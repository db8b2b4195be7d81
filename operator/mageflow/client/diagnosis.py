"""Diagnosis of a resource that nobody answers for: what it shows itself, before anybody is asked for an operator.

it is being deleted                         said at once: no status is written of it any more
its status is refused, as an Event says     said when the operator should have answered
it is so large that a status has no room    likewise
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from mageflow.api import Lifecycle
from mageflow.api.stored import MAX_OBJECT, size_of
from mageflow.client.handle import ObjectHandle
from mageflow.client.lifecycle_errors import BeingDeletedError
from mageflow.kube.errors import MageflowError
from mageflow.kube.paths import EVENTS
from mageflow.kube.selectors import uid_selector
from mageflow.kube.transport import Raw

STATUS_NOT_WRITTEN: Final = "StatusNotWritten"
"""The reason of the operator's Event on a resource whose status the API server refuses."""


def is_being_deleted(resource: Mapping[str, Any]) -> bool:
    """Tell whether a resource is being deleted; somebody's finalizer may keep it for long."""
    return "deletionTimestamp" in resource["metadata"]


def describe_deletion(resource: Mapping[str, Any], lifecycle: Lifecycle) -> str:
    """Return that a resource is being deleted, what keeps it, and what `lifecycle` does to its pods."""
    metadata = resource["metadata"]
    finalizers = ", ".join(metadata.get("finalizers") or ())
    kept = f", and kept by the finalizers {finalizers}" if finalizers else ""
    if lifecycle in (Lifecycle.INTERRUPTED, Lifecycle.CANCELED):
        what = f"an operator still stops its pods, now that spec.lifecycle is {lifecycle}"
    else:
        what = "what runs goes on until it is gone; interrupt or cancel stops its pods"
    pods = f"kubectl -n {metadata['namespace']} get pods -l {uid_selector(metadata['uid'])}"
    since = metadata["deletionTimestamp"]
    return f"is being deleted since {since}{kept}: nothing starts, and no status tells of it; {what}. See `{pods}`"


def check_deletion(handle: ObjectHandle, resource: Raw, lifecycle: Lifecycle) -> None:
    """Raise BeingDeletedError if a resource is being deleted: no status will say that a lifecycle is in force."""
    if is_being_deleted(resource):
        raise BeingDeletedError(f"{handle.ref} {describe_deletion(resource, lifecycle)}")


async def diagnose_silence(handle: ObjectHandle) -> str:
    """Return why no operator has answered, as far as the cluster shows it; else the question whether one runs.

    Reads Events and the resource; raises nothing that a request may.
    """
    try:
        refusal = await _read_refusal(handle)
        size = size_of(await handle.read())
    except MageflowError:
        refusal, size = None, 0  # who may not read Events, or can't now, is told what everybody is
    if refusal is not None:
        return refusal
    if size > MAX_OBJECT:
        return f"it takes {size:,} bytes, which leaves no room for its status (they may take {MAX_OBJECT:,} together)"
    return "is one running?"


async def _read_refusal(handle: ObjectHandle) -> str | None:
    """Return the operator's latest Event about a status that can't be written; None if there is none."""
    ref = handle.ref
    selector = f"involvedObject.uid={handle.uid},reason={STATUS_NOT_WRITTEN}"
    path = EVENTS.path(ref.namespace)
    answer = await ref.connection.transport.request("GET", path, query={"fieldSelector": selector})
    events = sorted(answer.get("items") or (), key=lambda event: event.get("lastTimestamp") or "")
    message: str | None = events[-1].get("message") if events else None
    return message
