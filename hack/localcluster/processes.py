"""Processes that can be found again by another command, and never mistaken for others.

Each has a record file, written by the process itself before it becomes its program: its line of
/proc/PID/stat (process id and start time) and the boot's id. A process id alone may have been reused.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from localcluster.tools import wait_until

_RECORD_THEN_BECOME = 'cat /proc/$$/stat /proc/sys/kernel/random/boot_id > "$0" && exec "$@"'
_LEAVE_TO_INIT = ("/bin/sh", "-c", '"$@" &', "sh")
_DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--")


@dataclass(frozen=True)
class ProcessIdentity:
    """What tells a process from every other: its id, its start in clock ticks since boot, and the boot."""

    pid: int
    start_ticks: int
    boot: str


@dataclass(frozen=True)
class ProcessState:
    """A process as /proc/PID/stat shows it; `letter` is Z for one that has ended and was not reaped."""

    pid: int
    letter: str
    start_ticks: int


def parse_stat(line: str) -> ProcessState:
    """Read a line of /proc/PID/stat; the command in it, in brackets, may itself hold blanks and brackets."""
    head, _, tail = line.rpartition(")")
    fields = tail.split()
    return ProcessState(pid=int(head.split(" ", 1)[0]), letter=fields[0], start_ticks=int(fields[19]))


def parse_record(text: str) -> ProcessIdentity | None:
    """Read a record file; None if it was cut off in the middle."""
    stat, _, boot = text.rstrip("\n").rpartition("\n")
    if not stat or not boot:
        return None
    state = parse_stat(stat)
    return ProcessIdentity(state.pid, state.start_ticks, boot)


def is_alive(identity: ProcessIdentity, state: ProcessState | None, boot: str) -> bool:
    """Tell whether what /proc shows under this id (None: nothing) is the recorded process, and no zombie."""
    return (
        state is not None
        and state.letter not in "ZX"
        and (identity.pid, identity.start_ticks, identity.boot) == (state.pid, state.start_ticks, boot)
    )


def observe_process(pid: int) -> ProcessState | None:
    """Read /proc/PID/stat; None if there is no such process."""
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


def observe_commands() -> Iterable[tuple[int, list[str]]]:
    """List every process's id and arguments; the kernel's own threads and zombies have one empty argument."""
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            arguments = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            yield int(folder.name), arguments


def boot_id() -> str:
    """Return the kernel's id of the present boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Supervisor:
    """Starts, finds and ends the named processes whose records are in one folder.

    With `bound_to_parent` they die with the thread that starts them (so start them from the main thread);
    else they outlive it. Either way they are in a session of their own: Ctrl-C does not reach them.
    """

    def __init__(self, records: Path, logs: Path, *, bound_to_parent: bool) -> None:
        self._records = records
        self._logs = logs
        self._bound_to_parent = bound_to_parent
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def log(self, name: str) -> Path:
        """Where the process writes what it prints."""
        return self._logs / f"{name}.log"

    def start(self, name: str, command: Sequence[str | Path]) -> None:
        """Start the process, unless it runs already."""
        if self.is_running(name):
            return
        self._records.mkdir(parents=True, exist_ok=True)
        self._logs.mkdir(parents=True, exist_ok=True)
        self._reap(name)
        bond = _DIE_WITH_PARENT if self._bound_to_parent else _LEAVE_TO_INIT
        program = [*bond, "/bin/sh", "-c", _RECORD_THEN_BECOME, self._records / name, *command]
        with self.log(name).open("ab") as log:
            child = subprocess.Popen(program, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        if self._bound_to_parent:
            self._children[name] = child
        else:
            child.wait()
        wait_until(lambda: self._identity(name) is not None, 60, f"{name} to record itself", interval_s=0.002)

    def is_running(self, name: str) -> bool:
        """Tell whether the recorded process is there (a stopped one, too)."""
        return self.pid(name) is not None

    def names(self) -> list[str]:
        """Name every process that has a record, running or not."""
        return sorted(path.name for path in self._records.glob("*"))

    def pid(self, name: str) -> int | None:
        """Return the process id, if it runs."""
        if (child := self._children.get(name)) is not None:
            child.poll()
        identity = self._identity(name)
        if identity is not None and is_alive(identity, observe_process(identity.pid), boot_id()):
            return identity.pid
        return None

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal, if the process runs."""
        if (pid := self.pid(name)) is not None:
            os.kill(pid, number)

    def kill(self, name: str) -> None:
        """End the process at once, wait until it is gone, and forget it."""
        self.signal(name, signal.SIGKILL)
        wait_until(lambda: not self.is_running(name), 60, f"{name} to end", interval_s=0.01)
        self._reap(name)

    def _identity(self, name: str) -> ProcessIdentity | None:
        record = self._records / name
        return parse_record(record.read_text()) if record.exists() else None

    def _reap(self, name: str) -> None:
        """Forget the process, which has ended."""
        if (child := self._children.pop(name, None)) is not None:
            child.wait()
        (self._records / name).unlink(missing_ok=True)
