"""Rounds of random wishes on a Chain of 3 and a Swarm of 8, their pods played at random moments.

By hand: `MAGEFLOW_ROUNDS=100 pytest -s` this file. The seed is printed. What is checked is the pods' own histories and
the audit log, not the operator's word: here, and after each test in promises.py.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from .control import Raw, condition
from .history import PodHistory, count_live_at_once, has_started, is_terminating, success_of
from .many import NAMES, Many, create_many
from .player import Player, Tempo
from .promises import caught_by_a_stop, pods_by
from .stage import Namespace

ROUNDS: Final = int(os.environ.get("MAGEFLOW_ROUNDS", "6"))

AT_ONCE: Final = 6
"""How many rounds are played at once, each with resources of its own."""

EIGHT: Final = tuple(f"t{number}" for number in range(8))
MAX_CONCURRENCY: Final = 3

TEMPO: Final = Tempo(start=0.6, report=0.2, run=0.6, stop=0.3)
"""Slow enough that wishes come at every moment of a pod's life."""

WISHES: Final = ("suspended", "interrupted", "active")
MOST_WISHES: Final = 7
LONGEST_PAUSE: Final = 0.7
"""Seconds between two wishes."""

REACHED: Final = {"suspended": "Suspended", "interrupted": "Interrupted"}

LATEST_KILL: Final = 2.0
"""Seconds after its first write since it was started."""
LONGEST_DOWN: Final = 0.5
MOST_KILLS: Final = 8
"""It is left alone then: each may wait ten seconds for events of runs that it finds recorded, and begins anew."""


async def test_every_task_succeeds_exactly_once_when_lifecycles_change_at_random(namespace: Namespace) -> None:
    """No started container is killed by a suspend, none that succeeded runs again, never more than 3 are there."""
    seed = random.randrange(10**6)
    async with Player(namespace, seed, TEMPO) as player:
        await play_rounds(namespace, seed)
    await namespace.wait_until_quiet()
    check_all(namespace)
    print(f"\nseed {seed}: {ROUNDS} rounds: {_tell(namespace, player)}")  # noqa: T201


async def test_every_task_succeeds_exactly_once_when_the_operator_is_killed_at_random(namespace: Namespace) -> None:
    """Killed (SIGKILL) again and again during the same; in the end it writes no more."""
    seed = random.randrange(10**6)
    kills = 0
    async with Player(namespace, seed, TEMPO) as player:
        playing = asyncio.create_task(play_rounds(namespace, seed))
        chance = random.Random(seed + 1)
        while not playing.done() and kills < MOST_KILLS:
            await namespace.operator.start()
            writing = asyncio.create_task(_wait_for_write(namespace))
            await asyncio.wait((playing, writing), return_when=asyncio.FIRST_COMPLETED)
            writing.cancel()
            await asyncio.wait((playing,), timeout=chance.uniform(0, LATEST_KILL))
            namespace.operator.kill()
            kills += 1
            await asyncio.sleep(chance.uniform(0, LONGEST_DOWN))
        await namespace.operator.start()
        await playing
    await namespace.wait_until_quiet(2.0)
    check_all(namespace)
    print(f"\nseed {seed}: {ROUNDS} rounds, {kills} kills: {_tell(namespace, player)}")  # noqa: T201


async def _wait_for_write(namespace: Namespace) -> None:
    """Wait until the operator writes something."""
    seen = len(namespace.writes())
    while len(namespace.writes()) == seen:  # noqa: ASYNC110 - another process tells
        await asyncio.sleep(0.05)


# ── a round ──


@dataclass(frozen=True)
class _Resources:
    """What one round plays with."""

    chain: Many
    swarm: Many


async def play_rounds(namespace: Namespace, seed: int) -> None:
    turns = asyncio.Semaphore(AT_ONCE)

    async def play(number: int) -> None:
        async with turns:
            chance = random.Random(seed * 1000 + number)
            chain = await create_many(namespace, "Chain", f"chain-{number}")
            swarm = await create_many(
                namespace, "Swarm", f"swarm-{number}", tasks=EIGHT, maxConcurrency=MAX_CONCURRENCY
            )
            await asyncio.gather(*(_wish_at_random(many, random.Random(chance.random())) for many in (chain, swarm)))
            await asyncio.gather(chain.wait_for("Succeeded", done=3), swarm.wait_for("Succeeded", done=8))

    await asyncio.gather(*(play(number) for number in range(ROUNDS)))


async def _wish_at_random(many: Many, chance: random.Random) -> None:
    """Make wishes; sometimes wait until one is in force. The last one is that it runs."""
    for _ in range(chance.randint(2, MOST_WISHES)):
        await asyncio.sleep(chance.uniform(0, LONGEST_PAUSE))
        wish = chance.choice(WISHES)
        await many.set_lifecycle(wish)
        if wish in REACHED and chance.random() < 0.4:
            await many.wait_until(f"{many.name} is {wish}, or has ended", lambda wish=wish: _is_reached(many, wish))  # type: ignore[misc]
    await asyncio.sleep(chance.uniform(0, LONGEST_PAUSE))
    await many.set_lifecycle("active")


async def _is_reached(many: Many, wish: str) -> bool:
    resource = await many.read()
    status: Raw = resource.get("status") or {}
    is_news = status.get("observedGeneration") == resource["metadata"]["generation"]
    return is_news and status.get("phase") in (REACHED[wish], "Succeeded")


# ── what must have come of it ──


def check_all(namespace: Namespace) -> None:
    tasks = pods_by(namespace, "mageflow.io/kind", "mageflow.io/uid", "mageflow.io/task")
    caught = caught_by_a_stop(namespace)
    wrong = {task: len(_successes(pods)) for task, pods in tasks.items() if not _is_exactly_one(pods, caught)}
    assert not wrong, f"successes by task: {wrong}\n{_tell_pods([pod for task in wrong for pod in tasks[task]])}"
    assert len(tasks) == ROUNDS * (len(NAMES) + len(EIGHT))
    for (kind, uid), pods in pods_by(namespace, "mageflow.io/kind", "mageflow.io/uid").items():
        most = 1 if kind == "Chain" else MAX_CONCURRENCY
        assert count_live_at_once(pods) <= most, f"{kind} {uid}"


def _is_exactly_one(pods: list[PodHistory], caught: set[str]) -> bool:
    """Exactly one success, not counting those that may count or not; or, if there is none, one of these."""
    certain = [pod for pod in _successes(pods) if pod.name not in caught]
    return len(certain) == 1 or (not certain and pods[-1].name in caught)


def _successes(pods: list[PodHistory]) -> list[PodHistory]:
    return [pod for pod in pods if success_of(pod) is not None]


def _tell_pods(pods: Iterable[PodHistory]) -> str:
    """Tell the versions of pods, one a line."""
    lines = []
    for pod in pods:
        lines.append(f"{pod.name} of {pod.labels['mageflow.io/task']}, run {pod.labels['mageflow.io/run']}")
        for version in pod.versions:
            metadata, status = version["metadata"], version.get("status") or {}
            marks = [
                "started" * has_started(version),
                "terminating" * is_terminating(version),
                "disrupted" * (condition(version, "DisruptionTarget").get("status") == "True"),
                "finalizer" * bool(metadata.get("finalizers")),
            ]
            lines.append(f"  {metadata['resourceVersion']} {status.get('phase')} {' '.join(filter(None, marks))}")
        lines.append("  gone" if pod.is_gone else "  there")
    return "\n".join(lines)


def _tell(namespace: Namespace, player: Player) -> str:
    wishes = Counter(
        request.body["spec"]["lifecycle"]
        for request in namespace.audit.writes(namespace.name, "admin")
        if request.verb == "patch" and request.is_success and "lifecycle" in request.body.get("spec", {})
    )
    evictions = Counter(write.code for write in namespace.writes() if write.resource == "pods/eviction")
    phases = Counter(
        write.answer["status"]["phase"]
        for write in namespace.writes()
        if write.resource.endswith("/status") and write.is_success
    )
    pods = namespace.pods
    by_owner = pods_by(namespace, "mageflow.io/kind", "mageflow.io/uid")
    most = {kind: max(count_live_at_once(of) for (k, _), of in by_owner.items() if k == kind) for kind, _ in by_owner}
    return (
        f"wishes {dict(wishes)}; pods {len(pods)}, succeeded {len(_successes(pods))} "
        f"(of these while being stopped: {len(caught_by_a_stop(namespace))}), "
        f"stopped while running {len(player.stopped_exits)} (exit 0: {player.stopped_exits.count(0)}); "
        f"evictions {dict(evictions)}; most at once {most}; statuses {dict(phases)}"
    )
