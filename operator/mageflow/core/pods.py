"""What a pod's manifest, or a template of one, tells of its containers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mageflow.api import DEFAULT_CONTAINER_ANNOTATION


def main_container(pod: Mapping[str, Any]) -> str | None:
    """Return the name of the container whose output counts: the annotated default, else the first (DESIGN section 2).

    `pod` is a pod or a template of one.
    """
    containers = pod.get("spec", {}).get("containers") or [{}]
    annotated = (pod.get("metadata", {}).get("annotations") or {}).get(DEFAULT_CONTAINER_ANNOTATION)
    name: str | None = annotated if annotated is not None else containers[0].get("name")
    return name


def list_containers(spec: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the containers of a pod's spec, its init containers first."""
    return (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))
