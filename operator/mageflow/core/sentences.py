"""Small parts of the sentences that people read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

MAX_NAMES: Final = 5
"""How many names a sentence lists."""


def list_names(names: Iterable[str]) -> str:
    """List names in their order, but not too many: `a, b, c, d, e and 7 more`."""
    parts = list(names)
    shown = ", ".join(parts[:MAX_NAMES])
    return f"{shown} and {len(parts) - MAX_NAMES} more" if len(parts) > MAX_NAMES else shown
