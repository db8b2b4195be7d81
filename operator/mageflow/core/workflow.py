"""Which tasks may run, for a Workflow: its one task."""

from __future__ import annotations

from mageflow.api import MAIN_TASK, WorkflowSpec
from mageflow.core.jobs import Task
from mageflow.core.plan import Plan


def plan_workflow(spec: WorkflowSpec) -> Plan:
    """Make the plan of a Workflow."""
    task = Task(MAIN_TASK, spec.template, spec.input, spec.retries, spec.timeout_seconds, path="spec")
    return Plan(tasks=(task,), runs_on_when_suspended=True)
