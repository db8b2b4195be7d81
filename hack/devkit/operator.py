"""The operator as a process of its own, as a user runs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from devkit.patience import PATIENCE


def cpu_seconds(pid: int) -> float:
    """Return what a process has used of the processors since it was started."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class OperatorError(Exception):
    """The operator didn't come up, or ended by itself; the message has the end of its log."""


class OperatorProcess:
    """`mageflow-operator` with arguments, with its log in a file; a context manager."""

    def __init__(self, kubeconfig: Path, log: Path, *arguments: str) -> None:
        """Without `arguments` it watches all namespaces."""
        self._kubeconfig = kubeconfig
        self._arguments = arguments or ("--all-namespaces",)
        self._process: subprocess.Popen[bytes] | None = None
        self.log = log
        self.health_port = _free_port()

    def __enter__(self) -> OperatorProcess:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, *, seconds: float = PATIENCE) -> None:
        """Start it and wait until /healthz answers; raise OperatorError if it doesn't."""
        process = self.launch()
        deadline = time.monotonic() + seconds
        while not self.is_healthy():
            if process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise OperatorError(f"the operator didn't come up; its log ends with\n{self.log_tail()}")
            time.sleep(0.1)

    def launch(self) -> subprocess.Popen[bytes]:
        """Start it, and wait for nothing; return the process."""
        command = [sys.executable, "-m", "mageflow.controller", *self._arguments, f"--health-port={self.health_port}"]
        environment = {**os.environ, "KUBECONFIG": str(self._kubeconfig)}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        return self._process

    def is_healthy(self) -> bool:
        """Tell whether /healthz answers with 200."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.health_port}/healthz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            return False

    def stop(self) -> None:
        """End it by SIGTERM."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it by SIGKILL: it gets no chance to finish anything."""
        self._end(signal.SIGKILL)

    def log_tail(self, lines: int = 40) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text().splitlines()[-lines:]) if self.log.exists() else ""

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
