"""Progress that reads well in a terminal and as plain lines in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

LOG_INTERVAL_S = 30.0
"""How often a step that tells how far it is gets a line where there is no terminal."""


class Steps:
    """The steps of a command, counted; it is shown which one runs, for how long, and how long it usually takes."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._console = Console(highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a line as it is."""
        self._console.print(text, markup=False)

    @contextmanager
    def step(self, title: str, expect: str = "") -> Iterator[Callable[[str], None]]:
        """Run a block as the next step; `expect` is a duration in words, as in "5 minutes".

        Yields a function that tells a detail, shown beside the title until another is told.
        """
        self._done += 1
        label, usually = f"step {self._done} of {self._total}: {title}", f", usually {expect}" if expect else ""
        is_log = not self._console.is_terminal
        started = logged = time.monotonic()
        columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
        with Progress(*columns, console=self._console, transient=True, disable=is_log) as progress:
            task = progress.add_task(label + usually, total=None)

            def tell(detail: str) -> None:
                nonlocal label, logged
                label = f"step {self._done} of {self._total}: {title}{f' ({detail})' if detail else ''}"
                progress.update(task, description=label + usually)
                if is_log and time.monotonic() - logged > LOG_INTERVAL_S:
                    logged = time.monotonic()
                    self.say(label + usually)

            if is_log and expect:
                self.say(label + usually)
            yield tell
        self.say(f"{label} … {time.monotonic() - started:.1f} s")
