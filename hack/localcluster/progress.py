"""Progress that reads well in a terminal and as plain lines in a log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

LOG_INTERVAL_S = 30.0
"""How often a step that is still running gets a line where there is no terminal."""


class Step:
    """A step that is under way; `detail` is shown beside it and may be set at any time."""

    def __init__(self, title: str, expect: str) -> None:
        self.title = title
        self.expect = expect
        self.detail = ""
        self.started = time.monotonic()

    def describe(self) -> str:
        """Say in one line what is going on and for how long."""
        seconds = time.monotonic() - self.started
        expectation = f", usually {self.expect}" if self.expect else ""
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.title}{detail} … {seconds:.0f} s so far{expectation}"


class Steps:
    """Counts the steps of a command and shows which one runs, for how long, and how long it usually takes."""

    def __init__(self, total: int, console: Console | None = None) -> None:
        self._total = total
        self._done = 0
        self._console = console or Console(highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Print a line as it is."""
        self._console.print(text, markup=False)

    @contextmanager
    def step(self, title: str, expect: str = "") -> Iterator[Step]:
        """Run a block as the next step; `expect` is a duration in words, as in "5 minutes"."""
        self._done += 1
        label = f"step {self._done} of {self._total}: "
        step = Step(title, expect)
        with self._ticking(label, step):
            yield step
        detail = f" ({step.detail})" if step.detail else ""
        self.say(f"{label}{title}{detail} … {time.monotonic() - step.started:.1f} s")

    @contextmanager
    def _ticking(self, label: str, step: Step) -> Iterator[None]:
        """Keep the step's line up to date from a thread of its own."""
        if self._console.is_terminal:
            with (
                self._console.status(label + step.describe()) as status,
                _every(0.5, lambda: status.update(label + step.describe())),
            ):
                yield
        else:
            if step.expect:
                self.say(f"{label}{step.title}, usually {step.expect}")
            with _every(LOG_INTERVAL_S, lambda: self.say(label + step.describe())):
                yield


@contextmanager
def _every(seconds: float, call: Callable[[], None]) -> Iterator[None]:
    ended = threading.Event()

    def loop() -> None:
        while not ended.wait(seconds):
            call()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
