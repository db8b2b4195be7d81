"""Resources as the API server sends them, for the pure parts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from mageflow.cli.view import View, read_view

NOW: Final = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


UNREADY: Final = (
    *("Pending", "Suspending", "Interrupting", "TaskAlreadyRunning", "BackingOff"),
    *("Unschedulable", "Forbidden", "PodNotCreated", "InvalidTask"),
)
"""Reasons of Ready when it is False."""


def ago(seconds: float) -> str:
    return (NOW - timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def resource(
    kind: str = "Chain",
    phase: str | None = "Active",
    tasks: tuple[dict[str, Any], ...] = (),
    *,
    name: str = "nightly",
    lifecycle: str = "active",
    reason: str | None = None,
    message: str = "",
    retries: int = 2,
    generation: int = 1,
    observed: int = 1,
    spec: dict[str, Any] | None = None,
    by_namespace: str | None = None,
    **status: Any,
) -> dict[str, Any]:
    """Return a resource whose tasks are entries of its status; its spec lists them all."""
    listed = {"retries": retries} if kind == "Workflow" else {
        "tasks": [{"name": task["name"], "retries": retries} for task in tasks]
    }  # fmt: skip
    ready = "False" if reason in UNREADY else "True"
    conditions = [] if reason is None else [condition("Ready", ready, reason, message, observed)]
    done = sum(task.get("phase") == "Succeeded" for task in tasks)
    counts = {
        "done": done,
        "total": len(tasks),
        "running": sum(task.get("phase") == "Running" for task in tasks),
        "progress": f"{done}/{len(tasks)}",
    }
    if by_namespace is not None:
        status |= {
            "lifecycle": by_namespace,
            "lifecycleSource": "namespace",
            "observedNamespaceLifecycle": by_namespace,
        }
    kept = [task for task in tasks if task.get("phase", "Unstarted") != "Unstarted" or len(task) > 2]
    return {
        "apiVersion": "mageflow.io/v1",
        "kind": kind,
        "metadata": {
            "name": name, "namespace": "team-a", "uid": f"u-{name}", "generation": generation,
            "creationTimestamp": ago(180), "managedFields": [{"manager": "x"}],
        },
        "spec": {"lifecycle": lifecycle, **listed, **(spec or {})},
        "status": {} if phase is None else {
            "phase": phase, "lifecycle": lifecycle, "observedGeneration": observed,
            "tasks": kept, "conditions": [*conditions, *status.pop("more", ())], **counts, **status,
        },
    }  # fmt: skip


def view(*arguments: Any, **fields: Any) -> View:
    return read_view(resource(*arguments, **fields))


def task(name: str, phase: str = "Unstarted", **fields: Any) -> dict[str, Any]:
    return {"name": name, "phase": phase, **fields}


def running(name: str = "load", seconds: float = 12, **fields: Any) -> dict[str, Any]:
    return task(name, "Running", **{"run": 1, "startedAt": ago(seconds), **fields})


def done(name: str = "extract") -> dict[str, Any]:
    return task(name, "Succeeded", run=1, startedAt=ago(100), finishedAt=ago(60))


def condition(type_: str, status: str, reason: str, message: str = "", generation: int = 1) -> dict[str, Any]:
    return {
        "type": type_, "status": status, "reason": reason, "message": message,
        "observedGeneration": generation, "lastTransitionTime": ago(4),
    }  # fmt: skip
