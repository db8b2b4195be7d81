"""What the client asks of a connection.

httptransport.py leads to a cluster, the fake of the pytest plugin to none; all else is the same for both.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol, TypeAlias

Raw: TypeAlias = dict[str, Any]
"""An object as the API server sends it."""

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"


class Transport(Protocol):
    """Requests to one API server. Every failure is a MageflowError."""

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Raw:
        """Make one request and return the parsed answer."""
        ...

    def lines(self, path: str, query: Mapping[str, str]) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Ask for something that comes line by line, as a watch or a log does, each given without its line feed.

        The block is entered once the answer has begun, and closes the connection.
        """
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...
