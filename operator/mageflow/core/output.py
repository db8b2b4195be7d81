"""What a task wrote to its termination message, as a status can hold it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

POD_LIMIT: Final = 12 * 1024
"""Bytes that the kubelet keeps of the termination messages of all containers of a pod, in equal shares.

https://github.com/kubernetes/kubernetes/blob/v1.34.4/pkg/kubelet/status/status_manager.go#L1160
"""

OUTPUT_LIMIT: Final = 4096
"""Bytes that the kubelet keeps of one container's termination message, whatever its share: the last of the file.

https://kubernetes.io/docs/tasks/debug/debug-application/determine-reason-pod-failure/
"""

MAX_OUTPUT_DEPTH: Final = 100
"""How deeply JSON may be nested; pydantic writes 255 levels, our own above it included."""


def output_limit_of(pod_spec: Mapping[str, Any]) -> int:
    """Return how many bytes the kubelet keeps of each termination message of a pod.

    Every container takes a share, also one that writes nothing: init containers, sidecars, ephemeral containers.
    """
    kinds = ("initContainers", "containers", "ephemeralContainers")
    containers = sum(len(pod_spec.get(kind) or ()) for kind in kinds)
    return min(OUTPUT_LIMIT, POD_LIMIT // max(containers, 1))


def parse_output(text: str | None, limit: int = OUTPUT_LIMIT) -> tuple[Any, bool]:
    """Return what a task wrote, and whether it counts as cut off: the kubelet doesn't tell.

    JSON stays JSON; else it is text, without the newlines at its end, as in a shell's `$(…)`. So is JSON that a status
    can't hold as it is. What fills `limit` was cut, unless it is a whole object or array, as no part of one is.
    """
    if not text:
        return None, False
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
        is_json = False
    else:
        is_json = _is_storable(value)
    # A character that was cut in two comes as replacement characters, which are longer than what they stand for.
    is_cut = len(text.encode(errors="replace")) >= limit and not isinstance(value, dict | list)
    if is_cut:
        return text, True
    return (value if is_json else text.rstrip("\n")), False


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
