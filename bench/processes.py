"""Whole processes: what a command of the plugin costs, and how soon another operator acts when the leader is killed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench import objects
from bench.api import Raw
from bench.figures import Figure
from bench.goals import Measured
from bench.sightings import Sightings, in_phase, watching
from bench.stage import OURS, Stage, open_stage


async def measure_plugin(rounds: int) -> dict[str, Measured]:
    """Measure the CPU of `get workflows`, by the plugin and by kubectl, in turn."""
    async with open_stage() as stage:
        bodies = [objects.workflow(f"work-{number}", lifecycle="suspended") for number in range(20)]
        await stage.make(objects.path_of(OURS, "workflows"), bodies)
        kubeconfig = stage.control_plane.kubeconfig
        plugin = [str(Path(sys.executable).with_name("kubectl-mageflow")), "get", "workflows", "-n", OURS]
        kubectl = [str(stage.control_plane.kubectl), "get", "workflows", "-n", OURS]
        times: tuple[list[float], list[float]] = ([], [])
        for number in range(rounds + 1):
            for side, command in enumerate((plugin, kubectl)):
                cpu = await asyncio.to_thread(_cpu_of, command, kubeconfig)
                if number:
                    times[side].append(1000 * cpu)
    return {
        "plugin": Measured(Figure.of(times[0], "ms")),
        "kubectl": Measured(Figure.of(times[1], "ms")),
    }


def _cpu_of(command: list[str], kubeconfig: Path) -> float:
    """Run a command; return the seconds of CPU that it has used. Raises CalledProcessError if it fails."""
    process = subprocess.Popen(command, env={**os.environ, "KUBECONFIG": str(kubeconfig)}, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return used.ru_utime + used.ru_stime


async def measure_failover(rounds: int) -> dict[str, Measured]:
    """Measure how long it takes from the kill of the leader until a Workflow that is created then has a phase."""
    times = []
    path = objects.path_of(OURS, "workflows")
    async with open_stage() as stage, watching(stage.api, path) as seen:
        for number in range(rounds):
            times.append(await _kill_leader(stage, path, seen, number))
    return {"failover": Measured(Figure.of(times, "s"))}


async def _kill_leader(stage: Stage, path: str, seen: Sightings, number: int) -> float:
    before, after = f"before-{number}", f"after-{number}"
    elect = (f"--namespace={OURS}", "--leader-elect", f"--lease-namespace={OURS}")
    with stage.operator(*elect) as leader:
        await stage.api.request("POST", path, objects.workflow(before, lifecycle="suspended"))
        await seen.see(_is_held(before), known=True)
        with stage.operator(*elect):
            await asyncio.sleep(4.0)  # it is started, watches, and waits for the Lease
            told = seen.expect(_is_held(after))
            began = time.perf_counter()
            leader.kill()
            await stage.api.request("POST", path, objects.workflow(after, lifecycle="suspended"))
            return await told - began


def _is_held(name: str) -> Callable[[Raw], bool]:
    is_told = in_phase("Suspended")
    return lambda raw: raw["metadata"]["name"] == name and is_told(raw)
