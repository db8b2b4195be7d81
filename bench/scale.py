"""Many resources held: start, memory, rest. And what one watch event and the decision on it cost, by kind and size."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

from bench import objects
from bench.api import Raw
from bench.figures import Figure, growth
from bench.goals import Measured
from bench.sightings import watching
from bench.stage import OURS, open_stage
from devkit.statuses import decide_now, settle
from mageflow.api import SWARM, WORKFLOW, Kind
from mageflow.controller.caches import Caches
from mageflow.controller.clock import Clock
from mageflow.kube.encoding import decode


async def measure_held(counts: list[int]) -> dict[str, Measured]:
    """Measure the start, the memory and the rest of an operator of so many held resources, from few to many."""
    found: dict[str, Measured] = {}
    starts: list[tuple[float, float]] = []
    path = objects.path_of(OURS, "workflows")
    async with open_stage() as stage, watching(stage.api, path) as seen:
        for count in counts:
            first = not seen.objects
            missing = range(len(seen.objects), count)
            bodies = [objects.workflow(f"held-{number}", lifecycle="suspended") for number in missing]
            with stage.operator() as operator:
                await asyncio.sleep(2.0)
                began = time.perf_counter()
                created = await stage.make(path, bodies, at_once=1 if first else 20)
                all_told = await seen.all_meet(lambda raw: "phase" in (raw.get("status") or {}), count) - began
                await operator.rest()
            if first:
                found["created_held"] = Measured.once(all_told, "s", created)
            with stage.operator() as operator:
                await asyncio.sleep(1.0)
                used = await operator.rest()
                starts.append((count, used))
                found[f"restart_{count}"] = Measured.once(used, "s")
                found[f"memory_{count}"] = Measured.once(operator.memory(), "MiB")
                if count == counts[-1]:
                    before = operator.cpu()
                    await asyncio.sleep(20.0)
                    found[f"rest_{count}"] = Measured.once(1000 * (operator.cpu() - before) / 20, "ms")
    if len(starts) > 1:
        found["restart_growth"] = Measured.once(growth(starts[-2:]), "")
    return found


def measure_events(rounds: int) -> dict[str, Measured]:
    """Measure, in this process, what a watch event costs from its bytes to the decision, but for kopf and writes."""
    found = {
        "event_workflow": Measured(Figure.of(_time_resource(WORKFLOW, 1, rounds), "ms")),
        "event_pod": Measured(Figure.of(_time_children(rounds, _pod), "ms")),
        "event_job": Measured(Figure.of(_time_children(rounds, _job), "ms")),
    }
    points = []
    for count in (10, 100, 1000):
        figure = Figure.of(_time_resource(SWARM, count, max(20, rounds // count)), "ms")
        found[f"event_swarm_{count}"] = Measured(figure)
        points.append((float(count), figure.median))
    found["event_growth"] = Measured.once(growth(points), "")
    return found


def _time_resource(kind: Kind, count: int, rounds: int) -> list[float]:
    """Return the milliseconds of each of many events of one resource, whose status has all that a run brings."""
    caches = _caches()
    raw = _resource(kind, count)
    caches.upsert_resource(kind, raw)
    raw["status"] = settle(caches, UID)
    versions = range(2, rounds + 2)
    lines = [_line({**raw, "metadata": {**raw["metadata"], "resourceVersion": str(each)}}) for each in versions]
    return _time(caches, lines, lambda item: caches.upsert_resource(kind, item))


def _time_children(rounds: int, make: Callable[[int], Raw]) -> list[float]:
    """Return the milliseconds of each of many events of a Workflow's Job or pod, each of which is news."""
    caches = _caches()
    raw = _resource(WORKFLOW, 1)
    caches.upsert_resource(WORKFLOW, raw)
    raw["status"] = settle(caches, UID)
    caches.upsert_resource(WORKFLOW, {**raw, "metadata": {**raw["metadata"], "resourceVersion": "2"}})
    upsert = caches.upsert_pod if make is _pod else caches.upsert_job
    return _time(caches, [_line(make(number)) for number in range(3, rounds + 3)], upsert)


def _time(caches: Caches, lines: list[bytes], upsert: Callable[[Any], object]) -> list[float]:
    times = []
    for line in lines:
        began = time.perf_counter()
        upsert(decode(line)["object"])
        decide_now(caches, UID)
        times.append(1000 * (time.perf_counter() - began))
    return times[len(times) // 10 :]


UID = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"


def _caches() -> Caches:
    caches = Caches(Clock())
    caches.namespaces.upsert({"metadata": {"name": OURS, "uid": "ns", "resourceVersion": "1"}})
    return caches


def _resource(kind: Kind, count: int) -> Raw:
    body = (
        objects.workflow("many") if kind is WORKFLOW else objects.many(kind.name, "many", count, maxConcurrency=count)
    )
    metadata = {"namespace": OURS, "uid": UID, "resourceVersion": "1", "generation": 1}
    return {**body, "metadata": {**body["metadata"], **metadata}}


def _pod(version: int) -> Raw:
    """Return a pod whose phase changes with each version."""
    spec = {"containers": [objects.CONTAINER], "nodeName": "n"}
    status = {"phase": "Running" if version % 2 else "Pending"}
    return {"metadata": _metadata("pod-1", version), "spec": spec, "status": status}


def _job(version: int) -> Raw:
    """Return a Job that is suspended and let go in turn."""
    owner = {"kind": "Workflow", "name": "many", "uid": UID, "controller": True}
    metadata = {**_metadata("job-0", version), "ownerReferences": [owner]}
    return {"metadata": metadata, "spec": {"suspend": bool(version % 2)}, "status": {}}


def _metadata(uid: str, version: int) -> Raw:
    labels = {"mageflow.io/uid": UID, "mageflow.io/task": "main", "mageflow.io/run": "1"}
    return {"name": "many-1", "namespace": OURS, "uid": uid, "resourceVersion": str(version), "labels": labels}


def _line(raw: Raw) -> bytes:
    return json.dumps({"type": "MODIFIED", "object": raw}).encode()
