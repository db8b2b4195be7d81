"""Which tasks may run, for a Chain: the first that has not ended. Each gets the output of the one before."""

from __future__ import annotations

from mageflow.api import ChainSpec
from mageflow.core.jobs import Task
from mageflow.core.plan import Plan


def plan_chain(spec: ChainSpec) -> Plan:
    """Make the plan of a Chain."""
    tasks = tuple(
        Task(
            task.name,
            task.template,
            task.input,
            task.retries,
            task.timeout_seconds,
            index=index,
            after=spec.tasks[index - 1].name if index else None,
            path=f"spec.tasks[{index}]",
        )
        for index, task in enumerate(spec.tasks)
    )
    return Plan(tasks, keeps_outputs=True)
