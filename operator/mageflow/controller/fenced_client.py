"""The leader's requests: none is begun without the Lease (docs/adr/0010)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mageflow.controller.api_server import ApiServer
from mageflow.controller.lease import Election
from mageflow.kube.errors import NO_ANSWER, ApiError
from mageflow.kube.transport import JSON, Raw


class NotLeadingError(ApiError):
    """A request wasn't made, as another operator may act."""

    def __init__(self) -> None:
        super().__init__(NO_ANSWER, "NotLeading", "the Lease is not held: another operator may act")


class FencedClient:
    """The leader's requests to the API server: none is begun without the Lease."""

    def __init__(self, client: ApiServer, election: Election) -> None:
        self._client = client
        self._election = election

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Raw:
        """Make one request as `ApiServer.request` does; raise NotLeadingError without the Lease."""
        if not self._election.seconds_left:
            raise NotLeadingError
        return await self._client.request(method, path, body, query=query, content_type=content_type)
