"""How long until the cluster has what was asked: each round once by the operator, and once by a script beside it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from bench import objects
from bench.api import MERGE, Api, Raw
from bench.figures import Figure
from bench.goals import Measured
from bench.kubelet import NODE, Kubelet
from bench.sightings import Sightings, in_phase, is_going, named, watching
from bench.stage import BY_HAND, OURS, open_stage

WARM_UP = 5
"""Rounds that don't count."""


@dataclass(frozen=True)
class Side:
    """One of the two namespaces, watched."""

    name: str
    api: Api
    resources: Sightings
    jobs: Sightings
    pods: Sightings
    kubelet: Kubelet


@dataclass(frozen=True)
class Sides:
    """Both."""

    ours: Side
    by_hand: Side
    pattern: Raw
    """A Job as the operator makes it."""


Round = Callable[[Sides, str], Awaitable[float]]


async def measure(rounds: int) -> dict[str, Measured]:
    """Measure all four, interleaved: A B A B."""
    cases: dict[str, tuple[Round, Round]] = {
        "create": (_create, _create_by_hand),
        "suspend": (_suspend, _suspend_by_hand),
        "interrupt": (_interrupt, _interrupt_by_hand),
        "resume": (_resume, _create_by_hand),
    }
    found: dict[str, Measured] = {}
    for name, (ours, by_hand) in cases.items():
        async with _sides() as sides:
            times: tuple[list[float], list[float]] = ([], [])
            for number in range(rounds + WARM_UP):
                for side, play in enumerate((ours, by_hand)):
                    seconds = await play(sides, f"{name}-{number}")
                    if number >= WARM_UP:
                        times[side].append(1000 * seconds)
        found[name] = Measured(Figure.of(times[0], "ms"), Figure.of(times[1], "ms"))
        found[f"{name}_spread"] = Measured.once(found[name].ours.p95 / found[name].ours.median, "")
    return found


@asynccontextmanager
async def _sides() -> AsyncIterator[Sides]:
    async with open_stage() as stage, AsyncExitStack() as stack:
        stack.enter_context(stage.operator())
        sides = []
        for name in (OURS, BY_HAND):
            paths = (objects.path_of(name, "workflows"), objects.jobs(name), objects.pods(name))
            resources, jobs, pods = [await stack.enter_async_context(watching(stage.api, path)) for path in paths]
            kubelet = Kubelet(stage.api, ends_pods=False)
            kubelet.play(pods)
            sides.append(Side(name, stage.api, resources, jobs, pods, kubelet))
        ours, by_hand = sides
        path = objects.path_of(OURS, "workflows")
        await stage.api.request("POST", path, objects.workflow("pattern", objects.NOWHERE))
        await ours.pods.see(named("pattern"), known=True)
        (pattern,) = (raw for raw in ours.jobs.objects.values() if named("pattern")(raw))
        yield Sides(ours, by_hand, pattern)


# ── creation: from the start of the POST to the pod ──


async def _create(sides: Sides, name: str) -> float:
    return await _make(sides.ours, objects.path_of(OURS, "workflows"), objects.workflow(name, objects.NOWHERE), name)


async def _create_by_hand(sides: Sides, name: str) -> float:
    job = objects.job_like(sides.pattern, name)
    return await _make(sides.by_hand, objects.jobs(BY_HAND), job, name)


async def _make(side: Side, path: str, body: Raw, name: str) -> float:
    pod = side.pods.expect(named(name))
    began = time.perf_counter()
    await side.api.request("POST", path, body)
    return await pod - began


# ── suspend, from the patch until the pending pod is deleted and Suspended is told ──


async def _suspend(sides: Sides, name: str) -> float:
    await _create(sides, name)
    await sides.ours.resources.see(_is_unschedulable(name), known=True)  # the last that is written before the patch
    return await _stop(sides.ours, name, "suspended", suspended_is_told=True)


async def _suspend_by_hand(sides: Sides, name: str) -> float:
    side = sides.by_hand
    await _make_both(sides, name)
    pod = _pod_of(side, name)
    began, gone = await _ask_by_hand(sides, name, "suspended", "Suspending")
    await side.api.request("POST", *objects.eviction(pod))
    await gone
    told = side.resources.expect(_told(name, "Suspended"))
    await _write_status(sides, name, "Suspended")
    return max(await told, await gone) - began


# ── interrupt, from the patch until the running pod is being killed ──


async def _interrupt(sides: Sides, name: str) -> float:
    await _create(sides, name)
    await _run(sides.ours, name)
    await sides.ours.resources.see(_told(name, "Active"), known=True)
    return await _stop(sides.ours, name, "interrupted", suspended_is_told=False)


async def _interrupt_by_hand(sides: Sides, name: str) -> float:
    side = sides.by_hand
    await _make_both(sides, name)
    await _run(side, name)
    began, gone = await _ask_by_hand(sides, name, "interrupted", "Interrupting")
    await side.api.request("PATCH", objects.jobs(BY_HAND, name), {"spec": {"suspend": True}}, MERGE)
    return await gone - began


# ── resume, from the patch to the next pod ──


async def _resume(sides: Sides, name: str) -> float:
    await _suspend(sides, name)
    side = sides.ours
    before = {uid for uid, raw in side.pods.objects.items() if named(name)(raw)}
    pod = side.pods.expect(lambda raw: named(name)(raw) and raw["metadata"]["uid"] not in before and not is_going(raw))
    began = time.perf_counter()
    await _patch(side, name, "active")
    return await pod - began


# ── what these are made of ──


async def _stop(side: Side, name: str, lifecycle: str, *, suspended_is_told: bool) -> float:
    gone = side.pods.expect(lambda raw: named(name)(raw) and is_going(raw))
    told = side.resources.expect(_told(name, "Suspended", "Interrupted"))
    began = time.perf_counter()
    await _patch(side, name, lifecycle)
    ended = await gone
    told_at = await told
    return (max(ended, told_at) if suspended_is_told else ended) - began


async def _ask_by_hand(sides: Sides, name: str, lifecycle: str, phase: str) -> tuple[float, asyncio.Task[float]]:
    """Patch the spec, and mark the status as soon as a watch tells of that; return when it began, and the pod's end."""
    side = sides.by_hand
    asked = side.resources.expect(_asked(name, lifecycle))
    gone = side.pods.expect(lambda raw: named(name)(raw) and is_going(raw))
    began = time.perf_counter()
    await _patch(side, name, lifecycle)
    await asked
    await _write_status(sides, name, phase)
    return began, gone


async def _make_both(sides: Sides, name: str) -> None:
    """Make a Workflow that no operator sees, with a status as the operator writes it, and a Job beside it."""
    side = sides.by_hand
    await side.api.request("POST", objects.path_of(BY_HAND, "workflows"), objects.workflow(name, objects.NOWHERE))
    await side.resources.see(named(name), known=True)
    await _create_by_hand(sides, name)
    await _write_status(sides, name, "Pending")


async def _write_status(sides: Sides, name: str, phase: str) -> None:
    """Write a status as large as the operator's, with its precondition; the answer is what is known from then on."""
    side = sides.by_hand
    uid, known = next((uid, raw) for uid, raw in side.resources.objects.items() if raw["metadata"]["name"] == name)
    like = next(raw for raw in sides.ours.resources.objects.values() if raw["metadata"]["name"] == "pattern")
    status = {**like["status"], "phase": phase, "observedGeneration": known["metadata"]["generation"]}
    path = f"{objects.path_of(BY_HAND, 'workflows', name)}/status"
    side.resources.objects[uid] = await side.api.request("PUT", path, {**known, "status": status})


async def _patch(side: Side, name: str, lifecycle: str) -> None:
    body = {"spec": {"lifecycle": lifecycle}}
    await side.api.request("PATCH", objects.path_of(side.name, "workflows", name), body, MERGE)


async def _run(side: Side, name: str) -> None:
    """Have a pod bound to the node, and running."""
    pod = _pod_of(side, name)
    await side.kubelet.bind(pod, NODE)
    await side.kubelet.start(pod)


def _pod_of(side: Side, name: str) -> Raw:
    return next(raw for raw in side.pods.objects.values() if named(name)(raw) and not is_going(raw))


def _told(name: str, *phases: str) -> Callable[[Raw], bool]:
    is_told = in_phase(*phases)
    return lambda raw: raw["metadata"]["name"] == name and is_told(raw)


def _is_unschedulable(name: str) -> Callable[[Raw], bool]:
    def is_met(raw: Raw) -> bool:
        conditions = (raw.get("status") or {}).get("conditions") or ()
        return raw["metadata"]["name"] == name and any(one["reason"] == "Unschedulable" for one in conditions)

    return is_met


def _asked(name: str, lifecycle: str) -> Callable[[Raw], bool]:
    return lambda raw: raw["metadata"]["name"] == name and raw["spec"].get("lifecycle") == lifecycle
