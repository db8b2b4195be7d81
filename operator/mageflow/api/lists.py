"""Lists whose items have a key, by which the API server merges them and refuses one that comes twice."""

from __future__ import annotations

from typing import Any


def list_map(key: str) -> dict[str, Any]:
    """Return the part of a schema that names the key of a list's items."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
