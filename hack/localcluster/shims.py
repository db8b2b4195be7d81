"""containerd's shims: a process per pod, which outlives containerd and listens on a socket of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from localcluster.layout import Layout
from localcluster.processes import observe_commands

SOCKETS = Path("/run/containerd/s")
"""Where shims listen, whatever containerd's configuration says."""


def observe_shims(layout: Layout) -> set[int]:
    """Find the processes that containerd left: shims that serve our socket, and runc at work on our state."""
    marks = {str(layout.runtime_socket), str(layout.run / "runc" / "k8s.io")}
    return {
        pid
        for pid, arguments in observe_commands()
        if Path(arguments[0]).name in ("containerd-shim-runc-v2", "runc") and marks.intersection(arguments)
    }


def remove_dead_sockets(layout: Layout) -> None:
    """Remove the sockets of shims that are gone without having done so; after a crash containerd would not."""
    listening = Path("/proc/net/unix").read_text()
    for socket in _sockets(layout):
        if str(socket) not in listening:
            socket.unlink(missing_ok=True)


def _sockets(layout: Layout) -> Iterator[Path]:
    for address in (layout.run / "containerd" / "io.containerd.runtime.v2.task" / "k8s.io").glob("*/address"):
        yield Path(address.read_text().strip().removeprefix("unix://"))
