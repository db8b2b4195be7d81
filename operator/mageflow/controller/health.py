"""Health check behind /healthz: the watches are made anew in time, and nothing is stuck in the queue."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import kopf

from mageflow.controller.api_server import ApiServer
from mageflow.controller.queue import WorkQueue
from mageflow.controller.settings import WATCH_SECONDS, WATCH_SLACK_SECONDS


class Health:
    """Answers /healthz. `watches` returns the paths of all watches that are to be there now.

    `stuck_after`: seconds in which something must come of the queue.
    """

    def __init__(
        self, client: ApiServer, queue: WorkQueue, watches: Callable[[], Iterable[str]], stuck_after: float
    ) -> None:
        self._client = client
        self._queue = queue
        self._watches = watches
        self._stuck_after = stuck_after
        self._started_at = time.monotonic()

    def check(self) -> str:
        """Return "ok", or raise kopf.PermanentError, which /healthz answers with status 500."""
        problem = self.find_problem(time.monotonic())
        if problem is not None:
            raise kopf.PermanentError(problem)
        return "ok"

    def find_problem(self, now: float) -> str | None:
        """Return what is stuck, None if nothing is. `now` is on the monotonic clock."""
        age = self._queue.stuck_seconds()
        if age > self._stuck_after:
            return f"nothing has come of the work queue for {age:.0f} s"
        for path in self._watches():
            made_at = self._client.watched_at.get(path)
            if made_at is None and now - self._started_at > WATCH_SLACK_SECONDS:
                return f"nothing was told of {path} yet, {now - self._started_at:.0f} s after the start"
            if made_at is not None and now - made_at > WATCH_SECONDS + WATCH_SLACK_SECONDS:
                return f"nothing was told of {path} for {now - made_at:.0f} s"
        return None
