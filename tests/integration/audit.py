"""The API server's audit log: each request, who made it, and what came of it. A line is there before the answer is."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .control import Raw
from .process import NAME as OPERATOR

WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True)
class Request:
    """One request as the API server saw it."""

    user: str
    verb: str
    resource: str
    """With its subresource: `jobs`, `pods/eviction`, `workflows/status`."""
    namespace: str
    name: str
    code: int
    """HTTP status of the answer."""
    body: Raw
    answer: Raw

    @property
    def is_write(self) -> bool:
        return self.verb in WRITES and self.resource != "leases"

    @property
    def is_success(self) -> bool:
        return 200 <= self.code < 300

    def __str__(self) -> str:
        return f"{self.verb} {self.resource} {self.name} → {self.code}"


class AuditLog:
    """All requests since the API server's first start."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""
        self._requests: defaultdict[tuple[str, str], list[Request]] = defaultdict(list)
        """By namespace and user."""

    def requests(self, namespace: str, user: str = OPERATOR) -> list[Request]:
        """Return what a user asked for in a namespace, the oldest first."""
        self._read()
        return list(self._requests[namespace, user])

    def writes(self, namespace: str, user: str = OPERATOR) -> list[Request]:
        """Return what a user wrote, or tried to write, in a namespace; Lease renewals don't count."""
        return [request for request in self.requests(namespace, user) if request.is_write]

    def created_jobs(self, namespace: str) -> list[str]:
        """Return the names of the Jobs that the operator made, one for each that the API server took."""
        return [
            request.name
            for request in self.writes(namespace)
            if (request.verb, request.resource) == ("create", "jobs") and request.is_success
        ]

    def _read(self) -> None:
        with self._path.open("rb") as log:
            log.seek(self._offset)
            data = log.read()
        self._offset += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for request in _parse(lines):
            self._requests[request.namespace, request.user].append(request)


def _parse(lines: list[bytes]) -> Iterator[Request]:
    for line in lines:
        entry = json.loads(line)
        target = entry.get("objectRef")
        if target is None:
            continue
        answer = entry.get("responseObject") or {}
        resource = "/".join(filter(None, (target["resource"], target.get("subresource"))))
        (answer.get("metadata") or {}).pop("managedFields", None)  # as large as all the rest together
        yield Request(
            user=entry["user"]["username"],
            verb=entry["verb"],
            resource=resource,
            namespace=target.get("namespace", ""),
            name=target.get("name") or (answer.get("metadata") or {}).get("name", ""),
            code=(entry.get("responseStatus") or {}).get("code", 0),
            body=entry.get("requestObject") or {},
            answer=answer,
        )
