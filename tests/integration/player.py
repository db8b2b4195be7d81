"""A player for many pods: it does the kubelet's part by itself, at random moments.

accepted → … → runs (nobody knows yet) → … → reported as running → … → ended with exit code 0
                            │                        │
                 deleted: it gets SIGTERM, and ends some time later, with exit code 0 or 143
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final

from .control import Raw
from .history import has_ended, is_terminating
from .kubelet import Kubelet, OnSigterm, is_accepted
from .stage import Namespace


@dataclass(frozen=True)
class Tempo:
    """How long each thing takes at most, in seconds; 0: it is done at once."""

    start: float = 0.3
    """From when the kubelet has accepted a pod until its container runs."""
    report: float = 0.2
    """From then until the kubelet reports it: up to a second in the real one."""
    run: float = 0.4
    """From then until it ends by itself."""
    stop: float = 0.3
    """From SIGTERM until it ends."""


AT_ONCE: Final = Tempo(0, 0, 0, 0)


class Player:
    """Plays all pods of a namespace from now on. Use it as an async context manager: in the end it waits for itself."""

    def __init__(self, namespace: Namespace, seed: int, tempo: Tempo = Tempo()) -> None:
        self._namespace = namespace.name
        self._kubelet: Kubelet = namespace.kubelet
        self._chance = random.Random(seed)
        self._tempo = tempo
        self._known: set[str] = set()
        self._running: set[str] = set()
        self._going: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.stopped_exits: list[int] = []
        """The exit codes of containers that were running when their pod was deleted."""
        self._kubelet.on_sigterm(self._namespace, OnSigterm.IGNORE)  # until we say that it ends
        namespace.histories.listen(self._on_pod)

    async def __aenter__(self) -> Player:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*self._tasks)

    def _on_pod(self, pod: Raw) -> None:
        uid = pod["metadata"]["uid"]
        if pod["metadata"]["namespace"] != self._namespace or has_ended(pod):
            return
        if is_terminating(pod):
            if uid in self._running and uid not in self._going:
                self._spawn(self._stop(pod))
            self._going.add(uid)
        elif uid not in self._known and is_accepted(pod):
            self._known.add(uid)
            self._spawn(self._run(pod))

    async def _run(self, pod: Raw) -> None:
        uid = pod["metadata"]["uid"]
        await self._wait(self._tempo.start)
        if uid in self._going:
            return
        self._kubelet.start_unreported(pod)
        self._running.add(uid)
        await self._wait(self._tempo.report)
        if await self._kubelet.attempt(pod, self._kubelet.start):
            await self._wait(self._tempo.run)
            await self._kubelet.attempt(pod, self._kubelet.succeed)

    async def _stop(self, pod: Raw) -> None:
        await self._wait(self._tempo.stop)
        exit_code = self._chance.choice((0, 143))
        self.stopped_exits.append(exit_code)
        await self._kubelet.give_up(pod, exit_code)

    async def _wait(self, most: float) -> None:
        if most:
            await asyncio.sleep(self._chance.uniform(0, most))

    def _spawn(self, deed: Awaitable[None]) -> None:
        task = asyncio.ensure_future(deed)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
