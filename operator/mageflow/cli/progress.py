"""Progress display of a wait: bars on a terminal, else a line for each change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, Protocol

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from mageflow.cli.terminal import clean
from mageflow.cli.verbs import Operation, describe_unfinished, unfinished_tasks
from mageflow.cli.view import View

BAR_WIDTH: Final = 24

REFRESHES: Final = 4
"""A second."""


class Progress(Protocol):
    """A display of how far each of several resources has got."""

    def shown(self) -> AbstractContextManager[object]:
        """Context manager: the display may be seen within."""
        ...

    def hidden(self) -> AbstractContextManager[object]:
        """Context manager, within `shown`: pause the display while other output is written."""
        ...

    def show(self, uid: str, view: View) -> None:
        """Show how far one has got."""
        ...

    def remove(self, uid: str) -> None:
        """Take one out of the display."""
        ...


class Lines:
    """A line on stderr for each change."""

    def __init__(self, console: Console, operation: Operation) -> None:
        self._console = console
        self._operation = operation
        self._told: dict[str, str] = {}

    def shown(self) -> AbstractContextManager[object]:
        """Context manager: the display may be seen within."""
        return nullcontext()

    def hidden(self) -> AbstractContextManager[object]:
        """Context manager: nothing is to be paused."""
        return nullcontext()

    def show(self, uid: str, view: View) -> None:
        """Show how far one has got, unless that was the last thing said of it."""
        line = f"{view.address} {view.phase}: {describe_unfinished(view, self._operation)}"
        if view.status.progress:
            line += f"; {view.status.progress} done"
        if self._told.get(uid) != line:
            self._told[uid] = line
            self._console.print(Text(clean(line)))

    def remove(self, uid: str) -> None:
        """Take one out of the display."""
        self._told.pop(uid, None)


class Bars:
    """A bar for each resource that is waited for: how many of the tasks that had to end have ended."""

    def __init__(self, console: Console, operation: Operation) -> None:
        self._operation = operation
        self._bars: dict[str, TaskID] = {}
        self._most: dict[str, int] = {}
        self.rich = RichProgress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=BAR_WIDTH),
            TextColumn("{task.fields[left]}", markup=False),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            refresh_per_second=REFRESHES,
        )

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Context manager: the bars may be seen within, from the first on."""
        try:
            yield
        finally:
            if self.rich.live.is_started:
                self.rich.stop()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Context manager: take the bars away while other output is written, be it to stdout on the same terminal."""
        self.rich.stop()
        yield
        if self._bars:
            self.rich.start()

    def show(self, uid: str, view: View) -> None:
        """Show how far one has got."""
        count = len(unfinished_tasks(view))
        most = self._most[uid] = max(count, self._most.get(uid, 0))
        what, left = f"{view.short} {view.phase}", clean(describe_left(view, self._operation))
        if uid not in self._bars:
            self.rich.start()
            self._bars[uid] = self.rich.add_task(what, total=most or None, left=left)
        self.rich.update(self._bars[uid], description=what, total=most or None, completed=most - count, left=left)

    def remove(self, uid: str) -> None:
        """Take one out of the display."""
        bar = self._bars.pop(uid, None)
        if bar is not None:
            self.rich.remove_task(bar)


def describe_left(view: View, operation: Operation) -> str:
    """Return the text beside a bar: what is waited for."""
    done = f" · {view.status.progress} done" if view.status.progress else ""
    return f"{describe_unfinished(view, operation)}{done}"


def choose_progress(console: Console, operation: Operation) -> Progress:
    """Return bars on a terminal, else lines."""
    return Bars(console, operation) if console.is_terminal else Lines(console, operation)
