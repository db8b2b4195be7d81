"""Which tasks may run, for a Swarm: the first `maxConcurrency` that have not ended."""

from __future__ import annotations

from mageflow.api import SwarmSpec
from mageflow.core.jobs import Task
from mageflow.core.plan import Plan


def plan_swarm(spec: SwarmSpec) -> Plan:
    """Make the plan of a Swarm."""
    tasks = tuple(
        Task(
            task.name,
            spec.template if task.template is None else task.template,
            task.input,
            task.retries,
            task.timeout_seconds,
            index=index,
            path=f"spec.tasks[{index}]",
        )
        for index, task in enumerate(spec.tasks)
    )
    return Plan(
        tasks,
        max_at_once=spec.max_concurrency,
        ends_at_first_failure=False,
        has_output=False,
        keeps_entries=False,
    )
