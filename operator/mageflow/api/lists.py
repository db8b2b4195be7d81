"""Lists in the eyes of the API server.

With a key it merges them by that and refuses an item that comes twice; an atomic one is replaced as a whole, and
doesn't fill `metadata.managedFields` with a line for each field of each item.
"""

from __future__ import annotations

from typing import Any, Final

ATOMIC_LIST: Final[dict[str, Any]] = {"x-kubernetes-list-type": "atomic"}


def list_map(key: str) -> dict[str, Any]:
    """Return the part of a schema that names the key of a list's items."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
