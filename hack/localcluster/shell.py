"""Running programs whose output is only wanted when they fail."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from localcluster.errors import ClusterError


def extend_path() -> None:
    """Find daemons and network tools, too: the PATH of a user who became root may lack their folders."""
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


def run(command: Sequence[str | Path], *, stdin: str | None = None, timeout_s: float | None = None) -> str:
    """Run a program and return its output; raise ClusterError with what it printed if it fails."""
    words = [str(word) for word in command]
    try:
        return subprocess.run(words, check=True, capture_output=True, text=True, input=stdin, timeout=timeout_s).stdout
    except FileNotFoundError as error:
        raise ClusterError(f"`{words[0]}` is not on the PATH.") from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(f"`{' '.join(words)}` did not end within {timeout_s:.0f} s.") from error
    except subprocess.CalledProcessError as error:
        printed = (error.stderr or error.stdout).strip()[-2000:]
        raise ClusterError(f"`{' '.join(words)}` failed:\n{printed}") from error


def succeeds(command: Sequence[str | Path], *, timeout_s: float | None = None) -> bool:
    """Tell whether a program is there and exits with 0 (in time)."""
    try:
        run(command, timeout_s=timeout_s)
    except ClusterError:
        return False
    return True
