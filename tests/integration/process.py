"""The operator as a process: `mageflow-operator --all-namespaces`, as a user runs it."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import aiohttp

from devkit.operator import cpu_seconds
from devkit.patience import PATIENCE
from localcluster.processes import Supervisor

NAME: Final = "mageflow-operator"
"""Of the process, and of its user: by it the audit log tells the operator's requests from others'."""

ENDING: Final = "ending: "
"""How the line begins that it writes when it has heard of SIGTERM."""

COMMAND: Final = ("-m", "mageflow.controller", "--all-namespaces")


class Operator:
    """One operator, which can be started again after it was stopped or killed. It dies with the test process."""

    def __init__(self, kubeconfig: Path, folder: Path, command: Sequence[str] = COMMAND) -> None:
        self._supervisor = Supervisor(folder / "records", folder, bound_to_parent=True)
        self._kubeconfig = kubeconfig
        self._command = command
        self._health_port = free_port()
        self._log_start = 0

    @property
    def log(self) -> str:
        """All that it has written, over all its starts."""
        path = self._supervisor.log(NAME)
        return path.read_text() if path.exists() else ""

    @property
    def is_running(self) -> bool:
        return self._supervisor.is_running(NAME)

    def cpu_seconds(self) -> float:
        """Return what it has used of the processors since it was started."""
        pid = self._supervisor.pid(NAME)
        assert pid is not None
        return cpu_seconds(pid)

    async def start(self, *, seconds: float = PATIENCE) -> None:
        """Start it, unless it runs, and wait until /healthz answers with 200."""
        if not self.is_running:
            self._log_start = len(self.log)
        program = [sys.executable, *self._command, f"--health-port={self._health_port}"]
        self._supervisor.start(NAME, ["/usr/bin/env", f"KUBECONFIG={self._kubeconfig}", *program])
        deadline = asyncio.get_running_loop().time() + seconds
        while await self.health() != 200:
            assert self.is_running, f"the operator ended while starting; its log ends with\n{self.log[-3000:]}"
            assert asyncio.get_running_loop().time() < deadline, f"no health in {seconds} s; {self.log[-3000:]}"
            await asyncio.sleep(0.05)

    async def health(self) -> int | None:
        """Return the HTTP status of /healthz; None if nothing answers."""
        url = f"http://127.0.0.1:{self._health_port}/healthz"
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
                session.get(url) as answer,
            ):
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return None

    def pause(self) -> None:
        """Stop it in its tracks (SIGSTOP): what it knows of the world grows old."""
        self._supervisor.signal(NAME, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on (SIGCONT), with what it knew."""
        self._supervisor.signal(NAME, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once (SIGKILL): it finishes nothing."""
        self._supervisor.kill(NAME)

    @property
    def is_ending(self) -> bool:
        """It has heard, since it was started, that it is to end."""
        return ENDING in self.log[self._log_start :]

    async def stop(self, *, seconds: float = PATIENCE) -> None:
        """Ask it to end (SIGTERM), and wait until it has."""
        self._supervisor.signal(NAME, signal.SIGTERM)
        deadline = asyncio.get_running_loop().time() + seconds
        while self.is_running:
            assert asyncio.get_running_loop().time() < deadline, f"still there {seconds} s after SIGTERM"
            await asyncio.sleep(0.05)
        self.kill()  # only to forget it: it has ended

    async def restart(self) -> None:
        """Kill it, if it runs, and start it again."""
        self.kill()
        await self.start()


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
