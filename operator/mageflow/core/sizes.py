"""How large a resource may be: etcd takes 1.5 MiB for spec and status together, which no CRD rule can check.

    metadata and spec as they are stored  +  the ledger at its largest  ≤  1.4 MB       else nothing new starts

A ledger is at its largest when each task that may be under way has an entry with every field, and each other one has
failed. The text in it is cut to the length that is reckoned with here, so that it gets no larger than that.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, get_args

from mageflow.api import TaskStatus, reasons
from mageflow.api.stored import ESCAPED, MAX_OBJECT, size_of
from mageflow.core.ledger import MAX_MESSAGE
from mageflow.core.observed import ObservedResource
from mageflow.core.output import OUTPUT_LIMIT
from mageflow.core.plan import MAX_PASSED_OVER, LedgerMode, Plan, Task

MAX_STATUS: Final = 900_000
"""Bytes that no status takes."""

FRAME: Final = 20_000
"""Bytes of a status without entries and outputs: conditions, counts, and its lines in `metadata.managedFields`."""

SWARM_MESSAGE: Final = 120
"""Bytes of the message of a task in a Swarm that has not ended."""

FAILED_MESSAGE: Final = 80
"""Bytes of the message of a task in a Swarm that has failed: 1,000 of them stay under 300 KB."""

_VALUES: Final = {
    "name": 2,
    "phase": 16,
    "templateHash": 12,
    "refusedHash": 12,
    "jobUid": 38,
    "cutShort": 5,
    "reason": 40,
    "message": 2,
    "output": 0,
}
"""Bytes of values, quotes included, where they aren't those of any of their type; without the text of three of them."""

_SMALL: Final = (
    "name",
    "phase",
    "run",
    "failures",
    "interruptions",
    "disruptions",
    "disruptionsInRow",
    "reason",
    "message",
)
"""The fields that a Swarm keeps of a task that has failed."""


def find_size_problem(observed: ObservedResource, plan: Plan, removed: Sequence[Task]) -> str | None:
    """Say that a resource leaves no room for its ledger, naming the sizes; None if it does.

    `removed` are tasks that the spec has no more, and the ledger has.
    """
    ledger = largest_ledger(plan, removed)
    if observed.size + ledger <= MAX_OBJECT:
        return None
    return (
        f"spec: the resource takes {observed.size:,} bytes as it is stored, and its status up to {ledger:,} more; "
        f"together they may take {MAX_OBJECT:,}: nothing new starts. Keep large inputs elsewhere, have tasks share a "
        "template, or make several resources of it"
    )


def largest_ledger(plan: Plan, removed: Sequence[Task] = ()) -> int:
    """Return how many bytes the status of a plan takes at most."""
    count, names = len(plan.tasks) + len(removed), sum(len(task.name) for task in (*plan.tasks, *removed))
    own = OUTPUT_LIMIT * ESCAPED if plan.has_output else 0
    if plan.keeps_entries:
        outputs = outputs_limit(plan) if plan.ledger is LedgerMode.WITH_OUTPUTS else 0
        return FRAME + names + count * (_FULL_ENTRY + MAX_MESSAGE) + outputs + own
    full = min(count, plan.max_at_once + MAX_PASSED_OVER)
    entries = full * (_SWARM_ENTRY + SWARM_MESSAGE) + (count - full) * (_SMALL_ENTRY + FAILED_MESSAGE)
    return FRAME + names + entries + own


def outputs_limit(plan: Plan) -> int:
    """Return how many bytes the outputs of a Chain's tasks take at most: all that is kept of each."""
    return OUTPUT_LIMIT * (len(plan.tasks) + ESCAPED)


def cut_outputs(entries: Sequence[TaskStatus], limit: int) -> Iterator[TaskStatus]:
    """Drop the oldest outputs, and mark their entries, while all outputs together exceed the limit.

    The tasks that were given them have run.

    Few do: as long as none has to be escaped, there is room for what the kubelet keeps of each.
    """
    if sum(entry.output is not None for entry in entries) * OUTPUT_LIMIT * ESCAPED <= limit:
        yield from entries
        return
    sizes = [0 if entry.output is None else size_of(entry.output) for entry in entries]
    excess = sum(sizes) - limit
    for entry, size in zip(entries, sizes, strict=True):
        yield (
            entry
            if excess <= 0 or not size
            else entry.model_copy(update={"output": None, "reason": reasons.OUTPUT_TRUNCATED})
        )
        excess -= size


def _bytes_of(annotation: Any) -> int:
    """Return how many bytes a value of a type takes, quotes included."""
    if annotation is int:
        return 10
    if annotation is datetime:
        return 22
    if annotation is type(None):
        return 0
    return max(map(_bytes_of, get_args(annotation)), default=65)  # a name in Kubernetes, most often of 63 characters


_OPEN: Final = {"holding", "jobUid", "pod"}
"""Fields that an entry has only while a run is under way."""

_OVER: Final = {"retryAt", "backoffSeconds", "finishedAt"}
"""Fields that it has only once that is over; of the first two, one."""

_CHAIN_ONLY: Final = {"output", "refusedHash"}
"""Fields that only a Chain's entries have."""


def _entry_bytes(fields: Collection[str]) -> int:
    """Return how many bytes an entry of the ledger with some fields takes, without name and texts."""
    return 3 + sum(
        len(f'"{field}":,') + _VALUES.get(field, _bytes_of(_FIELDS[field])) for field in _FIELDS.keys() & {*fields}
    )


_FIELDS: Final = {field.alias or name: field.annotation for name, field in TaskStatus.model_fields.items()}


def _full_entry_bytes(fields: Collection[str]) -> int:
    """Return how many bytes an entry takes at most: with a run under way, or with one that is over."""
    return max(_entry_bytes({*fields} - _OVER), _entry_bytes({*fields} - _OPEN - {"backoffSeconds"}))


_FULL_ENTRY: Final = _full_entry_bytes(_FIELDS)
_SWARM_ENTRY: Final = _full_entry_bytes(_FIELDS.keys() - _CHAIN_ONLY)
_SMALL_ENTRY: Final = _entry_bytes(_SMALL)
