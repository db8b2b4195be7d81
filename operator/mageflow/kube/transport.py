"""What is asked of a connection to an API server; http.py leads to a real one, mageflow.testing to one in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, Protocol, TypeAlias

Raw: TypeAlias = dict[str, Any]
"""An object as the API server sends it."""

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"


class Requests(Protocol):
    """What makes single requests."""

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
    ) -> Raw:
        """Make one request and return the parsed answer. Raises ApiError if it isn't a success."""
        ...


class Transport(Requests, Protocol):
    """Requests to one API server, watches and logs among them."""

    def lines(self, path: str, query: Mapping[str, str]) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Ask for something that comes line by line, as a watch or a log does, each given without its line feed.

        The block is entered once the answer has begun, and closes the connection. Raises ApiError, also in the block.
        """
        ...

    async def close(self) -> None:
        """Close what is open."""
        ...
