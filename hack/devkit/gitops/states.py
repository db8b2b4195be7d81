"""What each state of a resource is to be for Argo CD, Flux and kstatus: the table that all of it is held to.

docs/gitops.md has the same table, and says why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from devkit.kubectl import Raw, condition
from mageflow.api import KINDS, WORKFLOW


@dataclass(frozen=True)
class Row:
    """One state, and what it is to each."""

    state: str
    argocd: str
    kstatus: str
    flux: str
    """With the expressions of integrations/flux."""


TABLE: Final = (
    Row("deleting", "Progressing", "Terminating", "InProgress"),
    Row("unseen", "Progressing", "InProgress", "InProgress"),
    Row("outdated", "Progressing", "InProgress", "InProgress"),
    Row("stalled", "Degraded", "Failed", "Failed"),
    Row("refused", "Degraded", "InProgress", "InProgress"),
    Row("pending", "Progressing", "InProgress", "InProgress"),
    Row("active", "Progressing", "Current", "InProgress"),
    Row("runs-on", "Progressing", "InProgress", "InProgress"),
    Row("waiting", "Progressing", "InProgress", "InProgress"),
    Row("suspending", "Progressing", "InProgress", "InProgress"),
    Row("suspended", "Suspended", "Current", "Current"),
    Row("interrupting", "Progressing", "InProgress", "InProgress"),
    Row("interrupted", "Suspended", "Current", "Current"),
    Row("succeeded", "Healthy", "Current", "Current"),
    Row("failed", "Degraded", "Failed", "Failed"),
    Row("canceled", "Degraded", "Current", "Failed"),
)

REFUSED: Final = frozenset(
    {"Forbidden", "NameConflict", "JobNotCreated", "EvictionRefused", "StopRefused", "EventsUnreadable"}
)
"""Reasons for which nothing goes on without help, though the operator tries again."""

ROWS: Final = {row.state: row for row in TABLE}

REACHED: Final = {
    (kind.name, row.state) for kind in KINDS for row in TABLE if row.state != "runs-on" or kind is WORKFLOW
}
"""Which kind can be in which state."""


def find_row(document: Raw) -> Row:
    """Return the row of a resource's state: its phase, unless something else says more."""
    return ROWS[_find_state(document)]


def _find_state(document: Raw) -> str:
    metadata, status = document["metadata"], document.get("status", {})
    ready = condition(status, "Ready")
    if "deletionTimestamp" in metadata:
        return "deleting"
    if "phase" not in status:
        return "unseen"
    if status["observedGeneration"] != metadata["generation"]:
        return "outdated"
    if condition(status, "Stalled") and status["phase"] != "Failed":
        return "stalled"
    if ready["reason"] in REFUSED:
        return "refused"
    if ready["reason"] == "TaskAlreadyRunning":
        return "runs-on"
    if status["phase"] == "Active" and ready["status"] == "False":
        return "waiting"
    phase: str = status["phase"].lower()
    return phase
