"""The cases, and what each is to be: the ratio to the floor, or the figure itself. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bench.figures import Figure


@dataclass(frozen=True, slots=True)
class Measured:
    """What a case has shown: the operator's figure, and that of the script beside it, if there is one."""

    ours: Figure
    floor: Figure | None = None

    @classmethod
    def once(cls, ours: float, unit: str, floor: float | None = None) -> Measured:
        """Return what a single measurement has shown, of either side."""
        return cls(Figure.of([ours], unit), None if floor is None else Figure.of([floor], unit))

    @property
    def ratio(self) -> float | None:
        """The operator's median over the floor's."""
        return None if self.floor is None else self.ours.median / self.floor.median


@dataclass(frozen=True, slots=True)
class Goal:
    """What a case is called, and the largest value that is wanted: of the ratio, or the median if there is no floor."""

    what: str
    at_most: float | None

    def is_met(self, measured: Measured) -> bool | None:
        """Tell whether it is met; None if there is none."""
        if self.at_most is None:
            return None
        value = measured.ratio if measured.ratio is not None else measured.ours.median
        return value <= self.at_most


GOALS: Final[Mapping[str, Goal]] = {
    "create": Goal("A one-step Workflow, from its POST to its pod; floor: the same Job alone", 1.5),
    "create_spread": Goal("The 95th percentile of these, over their median", 2.0),
    "suspend": Goal("Suspend, from the patch until the pending pod is deleted and Suspended is told", 1.4),
    "interrupt": Goal("Interrupt, from the patch until the running pod is being killed", 1.3),
    "resume": Goal("Resume, from the patch to the next pod; floor: the same Job alone", 2.2),
    "workflow_cpu": Goal("CPU of the operator for a one-step Workflow, from creation to Succeeded", 10.0),
    "workflow_writes": Goal("API writes for the same", 4.0),
    "workflow_reads": Goal("API reads for the same", 0.0),
    "workflow_rate": Goal("One-step Workflows that end, 10 at a time, simulated kubelet; floor: the same Jobs", None),
    "swarm": Goal("A Swarm of 1,000 tasks, 100 at once, simulated kubelet; floor: a script that makes the Jobs", 1.11),
    "swarm_writes": Goal("API writes for each of its tasks", 4.0),
    "swarm_reads": Goal("API reads for each of its tasks", 0.0),
    "chain": Goal("A Chain of 100 tasks, simulated kubelet; floor: a script that makes the Jobs", None),
    "chain_writes": Goal("API writes for each of its tasks", 4.0),
    "hold": Goal("1,000 pending Workflows held by one namespace label; floor: the same calls, 20 at once", 1.3),
    "hold_cpu": Goal("CPU of the operator for each of these", None),
    "hold_writes": Goal("API writes for each: two statuses, an eviction, a deletion, an Event", 5.1),
    "release": Goal("The same released, until each has a pod", 1.3),
    "release_cpu": Goal("CPU of the operator for each of these", None),
    "release_writes": Goal("API writes for each: three statuses, a Job, two Events", 6.1),
    "created_held": Goal(
        "1,000 created suspended, one after the other, until all have a phase; floor: to create them", 1.2
    ),
    "restart_1000": Goal("1,000 held resources: start until at rest, CPU", 1.0),
    "restart_10000": Goal("10,000 held resources: start until at rest, CPU", 8.3),
    "restart_30000": Goal("30,000 held resources: start until at rest, CPU", 25.0),
    "memory_1000": Goal("1,000 held resources: memory at rest", None),
    "memory_10000": Goal("10,000 held resources: memory at rest", 300.0),
    "memory_30000": Goal("30,000 held resources: memory at rest", None),
    "rest_30000": Goal("30,000 held resources: CPU at rest, for each second", None),
    "restart_growth": Goal("Exponent by which the CPU of a start grows with the resources (1: a line)", 1.1),
    "event_workflow": Goal("A watch event of a Workflow, with the decision on it", 0.5),
    "event_pod": Goal("A watch event of a pod that is news, with the decision on it", 0.5),
    "event_job": Goal("A watch event of a Job that is news, with the decision on it", 0.5),
    "event_swarm_10": Goal("A watch event of a Swarm of 10 tasks that run, with the decision on it", None),
    "event_swarm_100": Goal("The same of 100", None),
    "event_swarm_1000": Goal("The same of 1,000", None),
    "event_growth": Goal("Exponent by which an event's cost grows with a Swarm's tasks, 10 to 1,000", 1.1),
    "plugin": Goal("`kubectl mageflow get workflows`, CPU", 350.0),
    "kubectl": Goal("`kubectl get workflows`, CPU, for comparison", None),
    "failover": Goal("A leader is killed until the next one acts", 5.0),
    "kueue_create": Goal("Kueue: a Job of a queue, from its POST to its pod; floor: a plain Job", None),
    "kueue_stop": Goal("Kueue: from `active: false` until the running pod is being killed", None),
    "kueue_resume": Goal("Kueue: from the label of its queue to the pod", None),
    "argo_create": Goal("Argo Workflows: one step, from its POST to its pod; floor: a plain Job", None),
    "argo_stop": Goal("Argo Workflows: from `shutdown: Terminate` (final) until a pending pod is deleted", None),
    "argo_resume": Goal("Argo Workflows: from `suspend` taken back, before its start, to the pod", None),
    "real_pods": Goal("100 one-step Workflows, 10 at a time, on real pods; floor: plain Jobs", 1.1),
}
