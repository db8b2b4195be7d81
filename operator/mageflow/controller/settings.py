"""Settings of the operator: what can be set when it starts, and the time limits that nobody can set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from mageflow.kube.paths import LEASES

FIELD_MANAGER: Final = "mageflow-operator"
"""The field manager of every write.

https://kubernetes.io/docs/reference/using-api/server-side-apply/#managers
"""

WATCH_SECONDS: Final = 240
"""How long one watch request lasts before it is made anew: a watch that can't be made anew is noticed by that."""

WATCH_SLACK_SECONDS: Final = 120.0
"""How much later than that a watch may be made anew before it counts as stuck: the API server may be busy."""

NAMESPACE_SECONDS: Final = 2.0
"""How long after it was read last a Namespace that can't be watched is read again."""

READ_SECONDS: Final = 10.0
"""How long one read other than a watch may take."""

LIST_SECONDS: Final = 60.0
"""How long a page of a list may take: its objects may be large."""

WRITE_SECONDS: Final = 30
"""How long the API server may take for a write: admission takes its time. It is told so, and ends the write then.

https://kubernetes.io/docs/reference/using-api/api-concepts/#timeouts
"""

ANSWER_SECONDS: Final = 2.0
"""How much longer the answer to a write may be on its way."""


@dataclass(frozen=True, slots=True)
class LeaseName:
    """Namespace and name of a Lease."""

    namespace: str
    name: str

    @property
    def collection(self) -> str:
        """The path of the namespace's Leases."""
        return LEASES.path(self.namespace)

    @property
    def path(self) -> str:
        """The path of this one."""
        return LEASES.path(self.namespace, self.name)

    def __str__(self) -> str:
        return f"Lease {self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What `mageflow-operator` is started with."""

    namespaces: tuple[str, ...] = ()
    """The namespaces to watch; empty: all."""
    health_port: int = 8080
    """TCP port of /healthz, on all addresses."""
    metrics_port: int = 0
    """TCP port of /metrics, on all addresses; 0: none."""
    workers: int = 16
    """How many resources are reconciled at once."""
    stuck_after: float = 120.0
    """Seconds that a reconcile may take, or in which none is finished while some wait, before /healthz fails."""
    lease: LeaseName | None = None
    """The Lease that lets one of several operators act; None: there is only this one."""
    identity: str = ""
    """Its name in the Lease, which no other process ever has."""
    verify_after: float = 300.0
    """Seconds without news of a running task after which its Job and pods are read again: a watch that had to
    list anew doesn't tell what was deleted meanwhile."""
    verify_transition_after: float = 30.0
    """The same while somebody waits for a hold to be in force, or for an own write to be seen."""
