"""What a task sees of itself: its environment variables. One of the template's own with such a name stays as it is."""

from __future__ import annotations

from enum import StrEnum


class Variable(StrEnum):
    """An environment variable of each container of a task."""

    KIND = "MAGEFLOW_KIND"
    """`Workflow`, `Chain` or `Swarm`."""
    NAME = "MAGEFLOW_NAME"
    """Name of the resource."""
    NAMESPACE = "MAGEFLOW_NAMESPACE"
    """Its namespace."""
    UID = "MAGEFLOW_UID"
    """Its `metadata.uid`."""
    TASK = "MAGEFLOW_TASK"
    """Name of the task; `main` in a Workflow."""
    INDEX = "MAGEFLOW_INDEX"
    """Place of the task among the others, from 0."""
    RUN = "MAGEFLOW_RUN"
    """Number of the run, from 1."""
    INPUT = "MAGEFLOW_INPUT"
    """The task's `input`, as JSON."""
    PREVIOUS = "MAGEFLOW_PREVIOUS"
    """Output of the task before it, as JSON. Only in a Chain; `null` for the first task, and for one that was edited
    because that output was cut or lost."""
    RESUMED = "MAGEFLOW_RESUMED"
    """`true` if an earlier run of the task was cut short while it ran, else `false`."""
    OUTPUT_LIMIT = "MAGEFLOW_OUTPUT_LIMIT"
    """How many bytes of its termination message the kubelet keeps: its container's share of 12 KiB for the pod, at most
    4,096. Containers that are added to the pod later, as by a webhook, make it less."""
