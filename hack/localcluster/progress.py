"""Progress that reads well in a terminal and as plain lines in a log."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console

TERMINAL_INTERVAL_S, LOG_INTERVAL_S = 0.5, 30.0
"""How often it is told of a step that it still runs."""


class Step:
    """A step that is under way; `detail` is shown beside its title and may be set at any time."""

    def __init__(self, title: str, expect: str) -> None:
        self.detail = ""
        self._title = title
        self._expect = f", usually {expect}" if expect else ""
        self._started = time.monotonic()

    def describe(self, *, ended: bool = False) -> str:
        """Say in one line what goes on, or has ended, and how long that takes."""
        seconds = time.monotonic() - self._started
        detail = f" ({self.detail})" if self.detail else ""
        duration = f"{seconds:.1f} s" if ended else f"{seconds:.0f} s so far{self._expect}"
        return f"{self._title}{detail} … {duration}"


class Steps:
    """The steps of a command, counted; which one runs is shown, for how long, and how long it usually takes."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._console = Console(highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a line as it is."""
        self._console.print(text, markup=False)

    @contextmanager
    def step(self, title: str, expect: str = "") -> Iterator[Step]:
        """Run a block as the next step; `expect` is a duration in words, as in "5 minutes"."""
        self._done += 1
        step = Step(f"step {self._done} of {self._total}: {title}", expect)
        ended = threading.Event()
        with self._console.status(step.describe()) as status:  # shows nothing where there is no terminal

            def tell() -> None:
                while not ended.wait(TERMINAL_INTERVAL_S if self._console.is_terminal else LOG_INTERVAL_S):
                    (status.update if self._console.is_terminal else self.say)(step.describe())

            if expect and not self._console.is_terminal:
                self.say(step.describe())
            thread = threading.Thread(target=tell, daemon=True)
            thread.start()
            try:
                yield step
            finally:
                ended.set()
                thread.join()
        self.say(step.describe(ended=True))
