"""Workflows and plain Jobs on a real node, ten at a time: `devkit` starts the node, which takes root."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Final

from bench import objects
from bench.api import Api, connect
from bench.batches import run_to_end
from bench.goals import Measured
from bench.sightings import in_phase, is_complete, watching
from bench.stage import OURS, made_namespaces
from devkit.cluster import ROOT, running_cluster
from devkit.kubectl import Kubectl
from devkit.operator import OperatorProcess

POD: Final = {"terminationGracePeriodSeconds": 1, "containers": [objects.CONTAINER]}
AT_ONCE: Final = 10


async def measure_real_pods(count: int) -> dict[str, Measured]:
    """Measure how long so many take to end, in turn: half of the Workflows, half of the Jobs, and again."""
    with ExitStack() as stack:
        cluster = stack.enter_context(running_cluster())
        Kubectl(cluster.kubectl, cluster.kubeconfig, "default").install(ROOT / "crds")
        stack.enter_context(OperatorProcess(cluster.kubeconfig, cluster.logs / "bench-operator.log"))
        async with connect(cluster.kubeconfig) as api, made_namespaces(api, OURS):
            ours, plain = await _play(api, count)
    return {"real_pods": Measured.once(ours, "s", plain)}


async def _play(api: Api, count: int) -> tuple[float, float]:
    seconds = [0.0, 0.0]
    workflows, jobs = objects.path_of(OURS, "workflows"), objects.jobs(OURS)
    async with watching(api, workflows) as ours, watching(api, jobs) as plain:
        for half in range(2):
            names = [f"work-{half}-{number}" for number in range(count // 2)]
            made = [objects.workflow(name, {"spec": POD}) for name in names]
            seconds[0] += await run_to_end(api, workflows, made, ours, in_phase("Succeeded"), AT_ONCE)
            made = [objects.plain_job(f"job-{name}", POD) for name in names]
            seconds[1] += await run_to_end(api, jobs, made, plain, is_complete, AT_ONCE)
    return seconds[0], seconds[1]
