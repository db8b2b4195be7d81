"""Pauses between the attempts of something that is to be asked until it answers."""

from __future__ import annotations

import asyncio
from typing import Final

from mageflow.kube.errors import ApiError, MageflowError

FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
"""Seconds between attempts: doubling from the first to the longest, if nothing else is said."""


class Backoff:
    """Pauses, each longer than the one before, until patience with errors ends; none shorter than `Retry-After` asks.

    `patience`: seconds for which errors that may pass are borne. `longest`: seconds of the longest pause.
    """

    def __init__(self, patience: float, longest: float = LONGEST_PAUSE) -> None:
        self._patience = patience
        self._longest = longest
        self._pause = FIRST_PAUSE
        self._ends_at: float | None = None

    def note_answer(self) -> None:
        """Note that there is somebody who answers: patience begins anew with the next error."""
        self._ends_at = None

    def note_progress(self) -> None:
        """Note that it was worth while to ask: the next pause is short again."""
        self._pause = FIRST_PAUSE

    async def pause(self, error: MageflowError | None = None, *, is_passing: bool = False) -> None:
        """Pause after an attempt; raise its `error` if it won't pass, or patience has ended.

        With `is_passing` it may pass, though it may not be one of those that do wherever they come from.
        """
        now = asyncio.get_running_loop().time()
        asked_for = 0.0
        if error is not None:
            self._ends_at = self._ends_at or now + self._patience
            may_pass = is_passing or (isinstance(error, ApiError) and error.may_pass)
            asked_for = (isinstance(error, ApiError) and error.retry_after) or 0.0
            if not may_pass or now + asked_for >= self._ends_at:
                raise error
        await asyncio.sleep(max(self._pause, asked_for))
        self._pause = min(2 * self._pause, self._longest)
