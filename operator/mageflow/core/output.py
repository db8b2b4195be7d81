"""What a task wrote to its termination message, as a status can hold it."""

from __future__ import annotations

import json
import math
from typing import Any, Final

OUTPUT_LIMIT: Final = 4096
"""Bytes that the kubelet keeps of a termination message.

https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
"""

MAX_OUTPUT_DEPTH: Final = 100
"""How deeply JSON may be nested; pydantic writes 255 levels, our own above it included."""


def parse_output(text: str | None) -> tuple[Any, bool]:
    """Return what a task wrote, and whether the kubelet cut it off.

    JSON stays JSON; else it is text, without the newlines at its end, as in a shell's `$(…)`. So is JSON that a status
    can't hold as it is.
    """
    if not text:
        return None, False
    if len(text.encode(errors="replace")) >= OUTPUT_LIMIT:
        return text, True
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text.rstrip("\n"), False
    return (value if _is_storable(value) else text.rstrip("\n")), False


def _is_storable(value: Any, depth: int = 0) -> bool:
    """Tell whether the API server keeps a value as it is.

    Numbers are int64 or float64 there, and NaN and Infinity are no JSON but Python's.
    """
    match value:
        case int():
            return -(2**63) <= value < 2**63
        case float():
            return math.isfinite(value)
        case list():
            return depth < MAX_OUTPUT_DEPTH and all(_is_storable(item, depth + 1) for item in value)
        case dict():
            return depth < MAX_OUTPUT_DEPTH and all(_is_storable(item, depth + 1) for item in value.values())
        case _:
            return True
