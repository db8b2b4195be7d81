"""Until what was asked for is in force."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import aclosing
from typing import TypeAlias

from mageflow.api import reasons
from mageflow.cli.operations import RESUME, Operation, describe_unfinished
from mageflow.cli.progress import Progress
from mageflow.cli.view import View, Views
from mageflow.cli.watching import Place, places_by_name, watch
from mageflow.client.connection import Connection
from mageflow.client.errors import BeingDeletedError, DeadlineError, OvertakenError
from mageflow.kube.errors import MageflowError, NotFoundError

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
    """Wait for all resources, given by uid, each until what it was asked for is in force; a watch for each, or for all.

    Each is given as it was when it was known to be asked for what the operation asks. `deadline` is when `limit`, the
    seconds that were asked for, has passed, by the clock of the event loop.
    """
    left, views = dict(waiting), Views()
    try:
        async with asyncio.timeout_at(deadline), aclosing(watch(connection, _places(left.values()), None)) as snapshots:
            async for snapshot in snapshots:
                for uid, before in list(left.items()):
                    now = views.read(snapshot[uid]) if uid in snapshot else None
                    if now is before:
                        continue
                    end = find_end(now, operation, waiting[uid].status.generation)
                    if now is not None and end is None:
                        left[uid] = now
                        progress.show(uid, now)
                    elif end is not None:
                        del left[uid]
                        progress.remove(uid)
                        settled(uid, end)
                if not left:
                    return
    except TimeoutError:
        for uid, view in left.items():
            what = describe_unfinished(view, operation)
            settled(uid, DeadlineError(f"after {limit:g} s it is still {operation.doing}: {what}"))


def find_end(now: View | None, operation: Operation, generation: int) -> Ending | None:
    """Tell whether the waiting for a resource is over: what it was asked for is in force, or never will be.

    `now` is None once it was deleted; `generation` is that of a spec in which it was asked for what the operation asks.
    Whether that is asked for still comes first: what is in force may be what somebody else has asked for since.
    """
    if now is None:
        return NotFoundError(404, "NotFound", "it was deleted")
    if now.status.has_ended:
        return now
    if now.deletion is not None:
        return BeingDeletedError(now.deletion)
    if now.status.generation < generation:
        return None
    if now.lifecycle is not operation.lifecycle:
        return OvertakenError(f"somebody else has set its lifecycle to {now.lifecycle} since")
    is_held = now.is_held_by_namespace or now.is_held_by_failure
    if now.status.is_in_force or (operation is RESUME and now.status.is_current and is_held):
        return now
    if now.status.reason == reasons.TASK_ALREADY_RUNNING and now.status.is_current:
        return OvertakenError("its task has started: a suspend never stops it")
    return None


def _places(views: Iterable[View]) -> list[Place]:
    names = defaultdict(list)
    for view in views:
        names[view.kind, view.namespace].append(view.name)
    return [place for (kind, namespace), found in names.items() for place in places_by_name(kind, namespace, found)]
