"""Until what was asked for is in force."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import TypeAlias

from mageflow.cli.operations import RESUME, Operation, describe_unfinished
from mageflow.cli.progress import Progress
from mageflow.cli.view import View, read_view
from mageflow.cli.watching import watch
from mageflow.client.connection import Connection
from mageflow.client.errors import DeadlineError, MageflowError, NotFoundError, OvertakenError
from mageflow.client.transport import Raw
from mageflow.client.wishes import TASK_ALREADY_RUNNING

Ending: TypeAlias = View | MageflowError

Settled: TypeAlias = Callable[[str, Ending], None]
"""Told the uid of each resource for which the waiting is over, and how it ended."""


async def wait_until_in_force(
    connection: Connection,
    waiting: Mapping[str, View],
    operation: Operation,
    limit: float | None,
    deadline: float | None,
    progress: Progress,
    settled: Settled,
) -> None:
    """Wait for all resources, given by uid, each until what it was asked for is in force; one watch for each kind.

    `deadline` is when `limit`, the seconds that were asked for, has passed, by the clock of the event loop.
    """
    left = dict(waiting)
    places = {(view.kind, view.namespace) for view in left.values()}
    try:
        async with asyncio.timeout_at(deadline), aclosing(watch(connection, places, None)) as snapshots:
            async for snapshot in snapshots:
                for uid in list(left):
                    end = _look(left, snapshot, uid, operation)
                    if end is None:
                        progress.show(uid, left[uid])
                    else:
                        del left[uid]
                        progress.remove(uid)
                        settled(uid, end)
                if not left:
                    return
    except TimeoutError:
        for uid, view in left.items():
            what = describe_unfinished(view, operation)
            settled(uid, DeadlineError(f"after {limit:g} s it is still {operation.doing}: {what}"))


def _look(left: dict[str, View], snapshot: Mapping[str, Raw], uid: str, operation: Operation) -> Ending | None:
    """Look at a resource anew; tell whether the waiting for it is over."""
    if uid not in snapshot:
        return NotFoundError(404, "NotFound", "it was deleted")
    left[uid] = read_view(snapshot[uid])
    return find_end(left[uid], operation)


def find_end(view: View, operation: Operation) -> Ending | None:
    """Tell whether the waiting for a resource is over: what it was asked for is in force, or never will be."""
    if view.status.is_in_force or (operation is RESUME and view.status.is_current and view.is_held_by_namespace):
        return view
    if view.lifecycle is not operation.lifecycle:
        return OvertakenError(f"somebody else has set its lifecycle to {view.lifecycle} since")
    if view.status.reason == TASK_ALREADY_RUNNING and view.status.is_current:
        return OvertakenError("its task has started: a suspend never stops it")
    return None
