"""The spec of a Workflow: one task."""

from __future__ import annotations

from mageflow.api.lifecycled import Lifecycled
from mageflow.api.tasks import TaskSpec


class WorkflowSpec(Lifecycled, TaskSpec):
    """What is wanted: one task, and whether it may run."""
