"""Many at once: one-step Workflows, a large Swarm, a Chain, and a namespace held and released by its label."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bench import objects
from bench.api import MERGE, Raw
from bench.batches import do_all, run_to_end
from bench.goals import Measured
from bench.kubelet import Kubelet
from bench.sightings import Sightings, in_phase, is_complete, is_going, named, watching
from bench.stage import BY_HAND, OURS, MeasuredOperator, Stage, open_stage
from mageflow.api import LABEL_LIFECYCLE

AT_ONCE = 20
"""How many requests the script makes at once."""
WARM_UP = 20


@dataclass(frozen=True)
class Played:
    """A stage with an operator and a kubelet that ends each pod at once."""

    stage: Stage
    operator: MeasuredOperator
    resources: Sightings
    ours: Sightings
    """The pods of the operator's namespace."""
    by_hand: Sightings
    """The Jobs of the script's."""


@asynccontextmanager
async def _play(plural: str, *, ends_pods: bool = True) -> AsyncIterator[Played]:
    async with open_stage() as stage:
        paths = (objects.path_of(OURS, plural), objects.pods(OURS), objects.pods(BY_HAND), objects.jobs(BY_HAND))
        async with (
            watching(stage.api, paths[0]) as resources,
            watching(stage.api, paths[1]) as ours,
            watching(stage.api, paths[2]) as pods_by_hand,
            watching(stage.api, paths[3]) as by_hand,
        ):
            for seen in (ours, pods_by_hand):
                Kubelet(stage.api, ends_pods=ends_pods).play(seen)
            with stage.operator() as operator:
                await _warm_up(stage, operator, resources, objects.path_of(OURS, "workflows"))
                yield Played(stage, operator, resources, ours, by_hand)


async def _warm_up(stage: Stage, operator: MeasuredOperator, resources: Sightings, path: str) -> None:
    async with watching(stage.api, path) as workflows:
        await stage.make(path, [objects.workflow(f"warm-{number}") for number in range(WARM_UP)], 5)
        await workflows.all_meet(lambda raw: "status" in raw, WARM_UP)
    await operator.rest()


# ── one-step Workflows, 10 at a time ──


async def measure_workflows(count: int) -> dict[str, Measured]:
    """Measure what each costs the operator, how many requests it makes, and how many end in a second."""
    async with _play("workflows") as played:
        cpu, lines = played.operator.cpu(), _count_lines(played.stage)
        path = objects.path_of(OURS, "workflows")
        names = [f"work-{number}" for number in range(count)]
        ours = await run_to_end(
            played.stage.api, path, map(objects.workflow, names), played.resources, in_phase("Succeeded"), 10
        )
        cpu = await played.operator.rest() - cpu
        requests = _requests(played.stage, lines)
        pattern = await _read_pattern(played)
        by_hand = await _run_jobs(played, pattern, names, 10)
    return {
        "workflow_cpu": Measured.once(1000 * cpu / count, "ms"),
        **_figures_of("workflow", requests, count),
        "workflow_rate": Measured.once(ours, "s", by_hand),
    }


async def _run_jobs(played: Played, pattern: Raw, names: list[str], at_once: int) -> float:
    """Make Jobs by hand, so many of which are there at a time; return how many seconds it took until all had ended."""
    bodies = (objects.job_like(pattern, name) for name in names)
    return await run_to_end(played.stage.api, objects.jobs(BY_HAND), bodies, played.by_hand, is_complete, at_once)


async def _read_pattern(played: Played) -> Raw:
    """Return a Job as the operator makes it."""
    path = objects.path_of(OURS, "workflows")
    async with watching(played.stage.api, objects.jobs(OURS)) as jobs:
        known = set(jobs.objects)
        await played.stage.api.request("POST", path, objects.workflow("pattern"))
        await jobs.see(named("pattern"), known=True)
        return next(raw for uid, raw in jobs.objects.items() if uid not in known)


def _count_lines(stage: Stage) -> int:
    return len(stage.control_plane.audit_log.read_bytes().splitlines())


def _requests(stage: Stage, lines: int) -> tuple[int, int]:
    """Return how many writes and reads the operator has made since the audit log had so many lines, Leases apart."""
    writes = reads = 0
    for line in stage.control_plane.audit_log.read_bytes().splitlines()[lines:]:
        entry = json.loads(line)
        if entry["user"]["username"] != "mageflow-operator" or "objectRef" not in entry:
            continue
        if entry["verb"] in ("create", "update", "patch", "delete"):
            writes += 1
        elif entry["verb"] in ("get", "list") and entry["objectRef"]["resource"] != "namespaces":
            reads += 1
    return writes, reads


def _figures_of(case: str, requests: tuple[int, int], count: int) -> dict[str, Measured]:
    """Return how many writes and reads a case has cost for each resource or task."""
    writes, reads = (Measured.once(number / count, "") for number in requests)
    return {f"{case}_writes": writes, f"{case}_reads": reads}


# ── a Swarm, a Chain ──


async def measure_many(kind: str, count: int, at_once: int) -> dict[str, Measured]:
    """Measure how long a Swarm or Chain takes, and a script that makes the same Jobs, so many at once."""
    plural = f"{kind.lower()}s"
    async with _play(plural) as played:
        pattern = await _read_pattern(played)
        limits: Raw = {"maxConcurrency": at_once} if kind == "Swarm" else {}
        await played.operator.rest()
        ended, lines = played.resources.expect(in_phase("Succeeded")), _count_lines(played.stage)
        began = time.perf_counter()
        await played.stage.api.request(
            "POST", objects.path_of(OURS, plural), objects.many(kind, "many", count, **limits)
        )
        ours = await ended - began
        await played.operator.rest()
        requests = _figures_of(f"{kind.lower()}", _requests(played.stage, lines), count)
        by_hand = await _run_jobs(played, pattern, [f"job-{number}" for number in range(count)], at_once)
    return {kind.lower(): Measured.once(ours, "s", by_hand), **requests}


# ── a namespace's label ──


async def measure_label(count: int) -> dict[str, Measured]:
    """Measure how long it takes to hold and release all pending Workflows of a namespace by its label."""
    async with _play("workflows", ends_pods=False) as played:
        names = [f"work-{number}" for number in range(count - WARM_UP)]  # those that have warmed it up are held as well
        bodies = [objects.workflow(name, objects.NOWHERE) for name in names]
        await played.stage.make(objects.path_of(OURS, "workflows"), bodies)
        await played.resources.all_meet(in_phase("Pending"), count)
        await played.operator.rest()
        by_hand = await _hold_by_hand(played, [*names, *(f"more-{number}" for number in range(WARM_UP))])
        cpu, lines = played.operator.cpu(), _count_lines(played.stage)
        held = await _set_label(played, "suspended", played.resources, in_phase("Suspended"), count)
        hold_cpu = await played.operator.rest() - cpu
        requests = _figures_of("hold", _requests(played.stage, lines), count)
        cpu, lines = played.operator.cpu(), _count_lines(played.stage)
        released = await _set_label(played, None, played.ours, lambda raw: not is_going(raw), count)
        release_cpu = await played.operator.rest() - cpu
        requests |= _figures_of("release", _requests(played.stage, lines), count)
    return {
        **requests,
        "hold": Measured.once(held, "s", by_hand[0]),
        "hold_cpu": Measured.once(1000 * hold_cpu / count, "ms"),
        "release": Measured.once(released, "s", by_hand[1]),
        "release_cpu": Measured.once(1000 * release_cpu / count, "ms"),
    }


async def _set_label(
    played: Played, value: str | None, seen: Sightings, is_met: Callable[[Raw], bool], count: int
) -> float:
    """Label the namespace, None: take the label away; return the seconds until so many objects meet a condition."""
    began = time.perf_counter()
    body = {"metadata": {"labels": {LABEL_LIFECYCLE: value}}}
    await played.stage.api.request("PATCH", f"/api/v1/namespaces/{OURS}", body, MERGE)
    return await seen.all_meet(is_met, count) - began


async def _hold_by_hand(played: Played, names: list[str]) -> tuple[float, float]:
    """Make the calls of a hold, and of a release, for so many Workflows that no operator sees."""
    api, path = played.stage.api, objects.path_of(BY_HAND, "workflows")
    like = next(raw for raw in played.resources.objects.values() if raw["metadata"]["name"] == names[0])
    async with watching(api, objects.jobs(OURS)) as jobs:
        pattern = next(raw for raw in jobs.objects.values() if named(names[0])(raw))
    await played.stage.make(path, [objects.workflow(name, objects.NOWHERE) for name in names])
    await played.stage.make(objects.jobs(BY_HAND), [objects.job_like(pattern, name) for name in names])
    async with watching(api, objects.pods(BY_HAND)) as pods, watching(api, path) as workflows:
        await pods.all_meet(lambda raw: not is_going(raw), len(names))
        of_job = {raw["metadata"]["labels"]["job-name"]: raw for raw in pods.objects.values()}
        known = {raw["metadata"]["name"]: raw for raw in workflows.objects.values()}

        async def write(name: str, phase: str) -> None:
            status = {**like["status"], "phase": phase, "observedGeneration": known[name]["metadata"]["generation"]}
            known[name] = await api.request("PUT", f"{path}/{name}/status", {**known[name], "status": status})

        async def hold(name: str) -> None:
            await write(name, "Suspending")
            pod = of_job[name]
            gone = pods.see(lambda raw: raw["metadata"]["uid"] == pod["metadata"]["uid"] and is_going(raw), known=True)
            await api.request("POST", *objects.eviction(pod))
            await gone
            await write(name, "Suspended")
            await api.request("DELETE", objects.jobs(BY_HAND, name), {"propagationPolicy": "Background"})
            await api.request("POST", f"/api/v1/namespaces/{BY_HAND}/events", _event(known[name]))

        async def release(name: str) -> None:
            await write(name, "Pending")
            again = objects.job_like(pattern, f"{name}-2")
            made = pods.see(lambda raw: raw["metadata"]["labels"]["job-name"] == f"{name}-2", known=True)
            await api.request("POST", objects.jobs(BY_HAND), again)
            await api.request("POST", f"/api/v1/namespaces/{BY_HAND}/events", _event(known[name]))
            await made
            await write(name, "Pending")

        held = await do_all(names, AT_ONCE, hold)
        released = await do_all(names, AT_ONCE, release)
    return held, released


def _event(raw: Raw) -> Raw:
    metadata = raw["metadata"]
    reference = {"kind": "Workflow", "namespace": metadata["namespace"], "name": metadata["name"]}
    return {
        "metadata": {"generateName": f"{metadata['name']}."},
        "involvedObject": reference,
        "reason": "Suspended",
        "type": "Normal",
        "message": "by hand",
    }
