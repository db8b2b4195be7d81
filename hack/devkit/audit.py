"""The API server's audit log: what was asked of it, by whom, and what it answered. The checkers' own witness."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

OPERATOR_AGENT: Final = "mageflow-operator"
WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Request:
    """One answered request."""

    user: str
    verb: str
    group: str
    resource: str
    subresource: str
    namespace: str
    name: str
    agent: str
    code: int
    message: str
    """What the API server said when it refused it."""
    body: Any
    answer: Any
    """The object as it was after the request; empty if the API server answered with a mere Status."""

    @property
    def is_write(self) -> bool:
        """It was meant to change something."""
        return self.verb in WRITES

    @property
    def is_operators(self) -> bool:
        """It came from the operator itself, not from its framework's watches."""
        return self.agent.startswith(OPERATOR_AGENT)


class AuditLog:
    """Reads the log, from a byte of it on; it grows while it is read."""

    def __init__(self, path: Path, *, start: int = 0) -> None:
        self._path = path
        self._start = start

    def requests(self, namespace: str) -> Iterator[Request]:
        """Yield every answered request in a namespace so far, oldest first."""
        return (request for request in self._requests_with(namespace) if request.namespace == namespace)

    def requests_by(self, user: str) -> Iterator[Request]:
        """Yield every answered request of a user so far, oldest first."""
        return (request for request in self._requests_with(user) if request.user == user)

    def _requests_with(self, text: str) -> Iterator[Request]:
        with self._path.open() as lines:
            lines.seek(self._start)
            for line in lines:
                if not line.endswith("\n"):
                    return
                if text not in line:
                    continue  # most lines are of other tests, and parsing takes long
                entry = json.loads(line)
                if entry["stage"] == "ResponseComplete":
                    yield _read(entry, entry.get("objectRef") or {})

    def operators_writes(self, namespace: str) -> list[Request]:
        """Return what the operator wrote in a namespace, refused writes included."""
        return [request for request in self.requests(namespace) if request.is_operators and request.is_write]


def _read(entry: dict[str, Any], target: dict[str, Any]) -> Request:
    status = entry.get("responseStatus") or {}
    answer = entry.get("responseObject") or {}
    answer = {} if answer.get("kind") == "Status" else answer
    return Request(
        user=entry["user"]["username"],
        verb=entry["verb"],
        group=target.get("apiGroup", ""),
        resource=target.get("resource", ""),
        subresource=target.get("subresource", ""),
        namespace=target.get("namespace", ""),
        name=target.get("name") or (answer.get("metadata") or {}).get("name") or "",
        agent=entry.get("userAgent") or "",
        code=status.get("code", 0),
        message=status.get("message", ""),
        body=entry.get("requestObject") or {},
        answer=answer,
    )
