"""Workflows and plain Jobs on a real node, ten at a time: `devkit` starts the node, which takes root."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from bench import objects
from bench.api import Api, Raw, connect
from bench.figures import Figure
from bench.goals import Measured
from bench.sightings import Sightings, in_phase, watching
from bench.stage import OURS
from devkit.cluster import ROOT, running_cluster
from devkit.kubectl import Kubectl
from devkit.operator import OperatorProcess

POD = {
    "spec": {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "main", "image": "busybox:1.36", "command": ["true"]}],
    }
}


async def measure_real_pods(count: int) -> dict[str, Measured]:
    """Measure how long so many take to end, in turn: half of the Workflows, half of the Jobs, and again."""
    with ExitStack() as stack:
        cluster = stack.enter_context(running_cluster())
        Kubectl(cluster.kubectl, cluster.kubeconfig, "default").install(ROOT / "crds")
        stack.enter_context(OperatorProcess(cluster.kubeconfig, cluster.logs / "bench-operator.log"))
        async with connect(cluster.kubeconfig) as api:
            await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": OURS}})
            try:
                times = await _play(api, count)
            finally:
                await api.request("DELETE", f"/api/v1/namespaces/{OURS}")
    return {"real_pods": Measured(Figure.of([sum(times[0])], "s"), Figure.of([sum(times[1])], "s"))}


async def _play(api: Api, count: int) -> tuple[list[float], list[float]]:
    times: tuple[list[float], list[float]] = ([], [])
    workflows, jobs = objects.path_of(OURS, "workflows"), objects.jobs(OURS)
    async with watching(api, workflows) as ours, watching(api, jobs) as plain:
        for half in range(2):
            names = [f"work-{half}-{number}" for number in range(count // 2)]
            times[0].append(await _run(api, workflows, ours, names, _workflow, in_phase("Succeeded")))
            times[1].append(await _run(api, jobs, plain, [f"job-{name}" for name in names], _job, _is_complete))
    return times


async def _run(
    api: Api,
    path: str,
    seen: Sightings,
    names: list[str],
    make: Callable[[str], Raw],
    has_ended: Callable[[Raw], bool],
) -> float:
    places = asyncio.Semaphore(10)

    async def run(name: str) -> None:
        async with places:
            ended = seen.expect(lambda raw: raw["metadata"]["name"] == name and has_ended(raw))
            await api.request("POST", path, make(name))
            await ended

    began = time.perf_counter()
    await asyncio.gather(*map(run, names))
    return time.perf_counter() - began


def _workflow(name: str) -> Raw:
    return objects.workflow(name, {"spec": _without_policy(POD["spec"])})


def _without_policy(spec: Any) -> Raw:
    return {key: value for key, value in spec.items() if key != "restartPolicy"}


def _job(name: str) -> Raw:
    spec = {"backoffLimit": 0, "template": POD}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec}


def _is_complete(raw: Raw) -> bool:
    conditions = (raw.get("status") or {}).get("conditions") or ()
    return any(one["type"] == "Complete" and one["status"] == "True" for one in conditions)
