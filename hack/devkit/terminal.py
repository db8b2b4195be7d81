"""A program under a pseudo-terminal, as a person has it before them; what it shows may be kept as a recording."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import termios
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from devkit.kubectl import Unmet
from devkit.patience import PATIENCE

Shown = tuple[float, str]
"""Something that was shown, and how many seconds after the start."""


class Terminal:
    """A terminal in which one program runs; Ctrl-C reaches it as it would a person's. A context manager."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        folder: Path,
        *,
        columns: int = 100,
        rows: int = 24,
    ) -> None:
        self.shown: list[Shown] = []
        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (rows, columns))
        self._master = master
        self._started_at = time.monotonic()
        program = ["setsid", "--ctty", "--wait", *command]
        environment = {"TERM": "xterm-256color", **environment}
        self._process = subprocess.Popen(program, env=environment, cwd=folder, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def text(self) -> str:
        """All that was shown so far, with the codes that move the cursor and set colours."""
        return "".join(text for _, text in self.shown)

    def type(self, text: str) -> None:
        """Type something; `\\x03` is Ctrl-C."""
        os.write(self._master, text.encode())

    def wait_for(self, text: str, *, seconds: float = PATIENCE) -> None:
        """Wait until something is shown."""
        deadline = time.monotonic() + seconds
        while text not in self.text:
            if time.monotonic() > deadline or (self._process.poll() is not None and not self._reader.is_alive()):
                raise Unmet(f"{text!r} isn't shown, but\n{self.text}")
            time.sleep(0.02)

    def finish(self, *, seconds: float = PATIENCE) -> int:
        """Wait until the program has ended; return its exit code."""
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Unmet(f"it doesn't end, but shows\n{self.text}") from None
        self._reader.join(seconds)
        return code

    def kill(self) -> None:
        """End the program, if it hasn't ended, and close the terminal."""
        self._process.kill()
        self._process.wait()
        self._reader.join(5)
        if self._master >= 0:
            os.close(self._master)
            self._master = -1

    def _read(self) -> None:
        rest = b""
        while True:
            try:
                read = os.read(self._master, 65536)
            except OSError:  # the program has ended
                return
            if not read:
                return
            text = (rest + read).decode(errors="ignore")
            rest = (rest + read)[len(text.encode()) :]
            self.shown.append((time.monotonic() - self._started_at, text))


def write_cast(path: Path, shown: Sequence[Shown], *, title: str, columns: int = 100, rows: int = 24) -> None:
    """Write a recording: asciicast v2, https://docs.asciinema.org/manual/asciicast/v2/."""
    header = {"version": 2, "width": columns, "height": rows, "title": title, "env": {"TERM": "xterm-256color"}}
    lines = [json.dumps(header), *(json.dumps([round(at, 2), "o", text], ensure_ascii=False) for at, text in shown)]
    path.write_text("\n".join(lines) + "\n")
