"""Tools of all the other modules: the error that a user reads, programs that are run, locks, files, waiting."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from typing import Any


class ClusterError(Exception):
    """Something is missing or failed; the message says what, and the remedy what to do about it."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}\n{remedy}" if remedy else message)


def extend_path() -> None:
    """Add the folders of daemons and network tools to the PATH, which a user who became root may lack."""
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def run(command: Sequence[str | Path], *, remedy: str = "", **options: Any) -> str:
    """Run a program and return its output; raise ClusterError with what it printed if it fails.

    The options are those of `subprocess.run`.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(words, check=True, capture_output=True, text=True, **options)
    except FileNotFoundError as error:
        raise ClusterError(f"`{words[0]}` is not on the PATH.") from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"`{' '.join(words)}` did not end within {error.timeout:.0f} s.") from error
    except subprocess.CalledProcessError as error:
        printed = (error.stderr or error.stdout).strip()[-2000:]
        raise ClusterError(f"`{' '.join(words)}` failed:\n{printed}", remedy) from error
    return str(done.stdout)


def succeeds(command: Sequence[str | Path], **options: Any) -> bool:
    """Tell whether a program is there and exits with 0 (in time)."""
    try:
        run(command, **options)
    except ClusterError:
        return False
    return True


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str, *, interval_s: float = 0.1) -> None:
    """Wait for a condition; raise ClusterError, naming what was waited for, when the time is up."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise ClusterError(f"Waited {timeout_s:.0f} s in vain for {what}.")
        time.sleep(interval_s)


@contextmanager
def alone(lock: Path, work: str) -> Iterator[None]:
    """Hold a lock during the block, so that a work is done by one command at a time; the kernel frees it if we die."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            flock(file, LOCK_EX | LOCK_NB)
        except BlockingIOError:
            print(f"Another command is {work}; waiting for it.", flush=True)
            flock(file, LOCK_EX)
        yield


def write_whole(path: Path, text: str) -> None:
    """Write a file that only its owner can read; whenever we are killed, it is there whole, or as it was before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    draft.touch(mode=0o600)
    draft.write_text(text)
    draft.replace(path)


def free_ports(*listeners: tuple[str, int]) -> list[int]:
    """Return a free port for each address: the one that is asked for, or for 0 any; OSError if one is busy.

    All are held until the last is chosen, so that they differ.
    """
    with ExitStack() as held:
        return [held.enter_context(socket.create_server(listener)).getsockname()[1] for listener in listeners]
