"""What a task of a Chain gets from the one before it: never a cut or lost output as if it were whole.

The Chain stops before such a task (DESIGN section 2, "What a task sees"). An edit of the task lets it go on, with null
in the output's place: `refusedHash` in its ledger entry tells what it was when it was refused the output.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from mageflow.api import ENDED_TASKS, WAITING_TASKS, Lifecycle, LifecycleSource, Phase, TaskPhase, TaskStatus, reasons
from mageflow.core.lifecycle import Holder
from mageflow.core.plan import Ledger, LedgerMode, Plan, Task

UNUSABLE: Final = {reasons.OUTPUT_TRUNCATED: "cut", reasons.OUTPUT_LOST: "lost"}
"""The reasons of a task that succeeded and whose output is not handed on, with what became of it."""


def previous_output(task: Task, ledger: Ledger) -> Any:
    """Return the output of the task before, which a task is given; None if there is none, or it can't be used."""
    before = _before(task, ledger)
    return None if before is None or _is_unusable(before) else before.output


def hold_for_output(plan: Plan, ledger: Ledger, outcome: Phase | None) -> tuple[Ledger, Holder | None]:
    """Hold a Chain whose next task would get a cut or lost output; return the ledger, which notes it, and the hold.

    `outcome` is how the Chain has ended, None while it hasn't. A task that has a pod is left alone. One that was edited
    since it was refused the output may start, until the edit is taken back.
    """
    if plan.ledger is not LedgerMode.WITH_OUTPUTS:
        return ledger, None
    ledger = {**ledger, **dict(_list_forgotten(plan, ledger))}
    task = None if outcome is not None else _find_next(plan, ledger)
    before = None if task is None else _before(task, ledger)
    if task is None or before is None or not _is_unusable(before):
        return ledger, None
    entry = ledger.get(task.name) or TaskStatus(name=task.name)
    if entry.refused_hash not in (None, task.template_hash):
        return {**ledger, task.name: _admit(entry)}, None
    what = f"the output of task {before.name} was {UNUSABLE[before.reason or '']}, so task {task.name} doesn't get it"
    update = {"refused_hash": task.template_hash}
    if entry.phase is TaskPhase.UNSTARTED:
        update |= {"reason": before.reason or "", "message": what}
    hold = Holder(
        LifecycleSource.FAILURE,
        Lifecycle.SUSPENDED,
        reason=before.reason or "",
        message=f"{what}: edit the template or the input of {task.name}, and it starts with null in its place",
        release=f"task {task.name} is edited: {what}",
    )
    return {**ledger, task.name: entry.model_copy(update=update)}, hold


def _list_forgotten(plan: Plan, ledger: Ledger) -> Iterator[tuple[str, TaskStatus]]:
    """Yield the entries of tasks that now follow another task than the one whose output they were refused."""
    for task in plan.tasks:
        entry, before = ledger.get(task.name), _before(task, ledger)
        if entry is not None and entry.refused_hash is not None and (before is None or not _is_unusable(before)):
            yield task.name, _admit(entry).model_copy(update={"refused_hash": None})


def _find_next(plan: Plan, ledger: Ledger) -> Task | None:
    """Return the task whose turn it is, if it gets the output of another and no run of it is under way."""
    phases = {name: entry.phase for name, entry in ledger.items()}
    task = next(task for task in plan.tasks if phases.get(task.name) not in ENDED_TASKS)
    return task if task.after is not None and phases.get(task.name, TaskPhase.UNSTARTED) in WAITING_TASKS else None


def _is_unusable(before: TaskStatus) -> bool:
    return before.phase is TaskPhase.SUCCEEDED and before.reason in UNUSABLE


def _before(task: Task, ledger: Ledger) -> TaskStatus | None:
    return None if task.after is None else ledger.get(task.after)


def _admit(entry: TaskStatus) -> TaskStatus:
    """Take back what was said of a task while it was refused the output."""
    is_told = entry.phase is TaskPhase.UNSTARTED and entry.reason in UNUSABLE
    return entry.model_copy(update={"reason": None, "message": None}) if is_told else entry
