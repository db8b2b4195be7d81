"""What one sighting of a resource says of a lifecycle that was asked for."""

from __future__ import annotations

from typing import Any, Final

import pytest

from mageflow.api import Lifecycle
from mageflow.client.lifecycle_requests import (
    Assessment,
    BeingDeleted,
    Deleted,
    Ended,
    InForce,
    LifecycleRequest,
    Observed,
    Overtaken,
    Pending,
    Refused,
    assess,
)

ACTIVE, SUSPENDED, INTERRUPTED, CANCELED = Lifecycle
UNREADY: Final = ("Pending", "Suspending", "Interrupting", "TaskAlreadyRunning", "OutputTruncated")
KINDS: Final = (Pending, Observed, InForce, Ended, Refused, Overtaken, BeingDeleted, Deleted)


def asked(lifecycle: Lifecycle, generation: int = 2) -> LifecycleRequest:
    return LifecycleRequest("u-nightly", lifecycle, generation)


def seen(
    kind: str = "Chain",
    phase: str | None = "Active",
    *,
    lifecycle: str = "active",
    reason: str | None = None,
    generation: int = 2,
    observed: int = 2,
    by_namespace: str | None = None,
    source: str = "spec",
) -> dict[str, Any]:
    """Return a resource; generation 2 is the write's. Ready is True unless its `reason` says that something is left."""
    ready: dict[str, Any] = {
        "type": "Ready",
        "status": "False" if reason in UNREADY else "True",
        "reason": reason,
        "message": "x",
    }
    ready |= {"observedGeneration": observed, "lastTransitionTime": "2026-11-24T11:59:00Z"}
    status = {
        "phase": phase, "observedGeneration": observed, "conditions": [] if reason is None else [ready],
        "lifecycleSource": source if by_namespace is None else "namespace", "observedNamespaceLifecycle": by_namespace,
    }  # fmt: skip
    return {
        "kind": kind,
        "metadata": {"name": "nightly", "namespace": "team-a", "uid": "u-nightly", "generation": generation},
        "spec": {"lifecycle": lifecycle},
        "status": {} if phase is None else status,
    }


def other(manifest: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {**manifest, "metadata": {**manifest["metadata"], **metadata}}


SUSPENDING: Final = seen("Chain", "Suspending", lifecycle="suspended", reason="Suspending")
HELD: Final = seen("Chain", "Suspended", lifecycle="suspended", reason="Suspended")
RUNS: Final = seen("Chain", "Active", reason="Running")
RUNS_ON: Final = seen("Workflow", "Active", lifecycle="suspended", reason="TaskAlreadyRunning")
LEAVING: Final = other(
    seen("Chain", "Active", lifecycle="interrupted"),
    deletionTimestamp="2026-11-24T11:59:00Z",
    finalizers=["example.com/backup"],
)

TABLE: Final[dict[str, tuple[LifecycleRequest, dict[str, Any] | None, type[Assessment]]]] = {
    # nothing is said of it yet
    "the operator has said nothing": (asked(SUSPENDED), seen(phase=None, lifecycle="suspended"), Pending),
    "the status is older than the request": (
        asked(SUSPENDED), seen("Chain", "Active", lifecycle="suspended", observed=1, reason="Running"),
        Pending,
    ),
    "the status is older, and says what is asked for": (
        asked(SUSPENDED), seen("Chain", "Suspended", lifecycle="suspended", observed=1, reason="Suspended"), Pending,
    ),
    "the status is older, and says that the task runs": (
        asked(SUSPENDED),
        seen("Workflow", "Active", lifecycle="suspended", observed=1, reason="TaskAlreadyRunning"),
        Pending,
    ),
    "the resource is seen as it was before the write": (
        asked(SUSPENDED), seen("Chain", "Active", generation=1, observed=1, reason="Running"), Pending,
    ),
    "as it was before the write it was asked for already": (
        asked(SUSPENDED), seen("Chain", "Suspended", lifecycle="suspended", generation=1, observed=1), Pending,
    ),
    # it is at work
    "a Chain suspends, and a task has to finish": (asked(SUSPENDED), SUSPENDING, Observed),
    "a Workflow is being interrupted": (
        asked(INTERRUPTED), seen("Workflow", "Interrupting", lifecycle="interrupted", reason="Interrupting"), Observed,
    ),
    "it is resumed, and its pod is pending": (asked(ACTIVE), seen("Chain", "Pending", reason="Pending"), Observed),
    "somebody has edited something else since, and the operator hasn't answered that": (
        asked(SUSPENDED), seen("Chain", "Suspended", lifecycle="suspended", generation=3, reason="Suspended"), Observed,
    ),
    # it is so
    "a Chain is suspended": (asked(SUSPENDED), HELD, InForce),
    "a Chain is interrupted": (
        asked(INTERRUPTED), seen("Chain", "Interrupted", lifecycle="interrupted", reason="Interrupted"),
        InForce,
    ),
    "it is resumed, and runs": (asked(ACTIVE), RUNS, InForce),
    "it was asked for by an earlier write": (asked(SUSPENDED, generation=1), HELD, InForce),
    "somebody has edited something else since, and that is in force, too": (
        asked(SUSPENDED),
        seen("Chain", "Suspended", lifecycle="suspended", generation=3, observed=3, reason="Suspended"), InForce,
    ),
    "it is resumed, and the namespace's label holds it": (
        asked(ACTIVE), seen("Chain", "Suspended", reason="Suspended", by_namespace="suspended"), InForce,
    ),
    "it is resumed, and what runs on has still to finish for the namespace's label": (
        asked(ACTIVE), seen("Chain", "Suspending", reason="Suspending", by_namespace="suspended"), InForce,
    ),
    "it is resumed, and the namespace's label came too late to hold its task": (
        asked(ACTIVE),
        seen("Workflow", "Active", reason="TaskAlreadyRunning", by_namespace="suspended"), InForce,
    ),
    "it is resumed, and its next task has to be edited first": (
        asked(ACTIVE), seen("Chain", "Suspended", reason="OutputTruncated", source="failure"), InForce,
    ),
    # it is not so, and won't be
    "a suspend finds the task of a Workflow running": (asked(SUSPENDED), RUNS_ON, Refused),
    "a suspend finds the task running, and somebody has edited something else since": (
        asked(SUSPENDED), seen(
            "Workflow", "Active", lifecycle="suspended", generation=3, reason="TaskAlreadyRunning"
        ), Refused,
    ),
    "somebody resumed while `suspend --wait` waited": (
        asked(SUSPENDED), seen("Chain", "Active", generation=3, observed=3, reason="Running"), Overtaken,
    ),
    "somebody resumed, and the operator hasn't answered them": (
        asked(SUSPENDED), seen("Chain", "Suspending", generation=3, reason="Suspending"), Overtaken,
    ),
    "somebody resumed before the operator answered anybody": (
        asked(SUSPENDED), seen("Chain", "Active", generation=3, observed=1, reason="Running"), Overtaken,
    ),
    "somebody resumed what was interrupted": (
        asked(INTERRUPTED), seen("Chain", "Active", generation=3, observed=3, reason="Running"), Overtaken,
    ),
    "somebody suspended what was resumed": (
        asked(ACTIVE),
        seen("Chain", "Suspended", lifecycle="suspended", generation=3, observed=3, reason="Suspended"), Overtaken,
    ),
    "somebody suspended what was resumed, and the namespace's label holds it, too": (
        asked(ACTIVE), seen(
            "Chain", "Suspended", lifecycle="suspended", generation=3, observed=3, reason="Suspended",
            by_namespace="suspended",
        ), Overtaken,
    ),
    "somebody set a word that nobody knows, which holds as suspended does": (
        asked(ACTIVE), seen("Chain", "Suspended", lifecycle="paused", generation=3, observed=3), Overtaken,
    ),
    # it has ended
    "it ended while it was suspended": (asked(SUSPENDED), seen(phase="Succeeded", lifecycle="suspended"), Ended),
    "it failed before the operator saw the request": (
        asked(SUSPENDED), seen(phase="Failed", lifecycle="suspended", observed=1, reason="Failed"), Ended,
    ),
    "it has ended as it is seen of before the write": (
        asked(SUSPENDED), seen(phase="Failed", generation=1, observed=1, reason="Failed"), Ended,
    ),
    "somebody canceled it while `suspend --wait` waited": (
        asked(SUSPENDED), seen(phase="Canceled", lifecycle="canceled", generation=3, observed=3, reason="Canceled"),
        Ended,
    ),
    "it has ended, and is being deleted": (
        asked(SUSPENDED), other(seen(phase="Succeeded"), deletionTimestamp="2026-11-24T11:59:00Z"), Ended,
    ),
    # it goes, or is gone
    "it is being deleted, and somebody's finalizer keeps it": (asked(INTERRUPTED), LEAVING, BeingDeleted),
    "it is being deleted, and seen as it was before the write": (
        asked(INTERRUPTED), other(LEAVING, generation=1), BeingDeleted,
    ),
    "somebody resumed it, and it is being deleted": (
        asked(SUSPENDED), other(RUNS, generation=3, deletionTimestamp="2026-11-24T11:59:00Z"), BeingDeleted,
    ),
    "it was deleted": (asked(SUSPENDED), None, Deleted),
    "it was deleted, and made anew": (asked(SUSPENDED), other(HELD, uid="u-new", generation=1), Deleted),
}  # fmt: skip


@pytest.mark.parametrize("sentence", TABLE)
def test_a_sighting_is_assessed(sentence: str) -> None:
    request, resource, kind = TABLE[sentence]
    assert type(assess(request, resource)) is kind


def test_table_has_a_row_for_each_answer() -> None:
    assert {kind for _, _, kind in TABLE.values()} == set(KINDS)


def test_words_for_why_it_never_will_be() -> None:
    overtaken = assess(asked(SUSPENDED), TABLE["somebody resumed while `suspend --wait` waited"][1])
    assert isinstance(overtaken, Overtaken)
    assert overtaken.message == "somebody else has set its lifecycle to active since"
    leaving = assess(asked(INTERRUPTED), LEAVING)
    assert isinstance(leaving, BeingDeleted)
    assert "kept by the finalizers example.com/backup" in leaving.message
    assert "still stops its pods, now that spec.lifecycle is interrupted" in leaving.message
    deleted = assess(asked(SUSPENDED), None)
    assert isinstance(deleted, Deleted)
    assert "deleted" in deleted.message


@pytest.mark.parametrize(
    ("kind", "phase", "may_be"), [("Workflow", "Suspending", True), ("Chain", "Suspending", False)]
)
def test_only_a_workflow_whose_pod_is_being_evicted_may_be_refused_yet(kind: str, phase: str, may_be: bool) -> None:
    found = assess(asked(SUSPENDED), seen(kind, phase, lifecycle="suspended", reason="Suspending"))
    assert isinstance(found, Observed)
    assert found.may_be_refused is may_be
