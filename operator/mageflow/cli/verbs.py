"""The four operations: whether one applies to a resource, and the words for what came of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from mageflow.api import LABEL_LIFECYCLE, OCCUPIED_TASKS, WORKFLOW, Lifecycle, Phase, TaskPhase, reasons
from mageflow.cli.view import TaskView, View
from mageflow.client.lifecycle_errors import TaskAlreadyRunningError
from mageflow.client.lifecycle_requests import runs_on
from mageflow.core.sentences import list_names


@dataclass(frozen=True, slots=True)
class Operation:
    """`suspend`, `interrupt`, `resume` or `cancel`."""

    verb: str
    lifecycle: Lifecycle
    """What it sets."""
    done: str
    """What a resource is afterwards."""
    doing: str
    """What it is on the way."""
    asks: bool = False
    """Something may be lost by it."""


SUSPEND: Final = Operation("suspend", Lifecycle.SUSPENDED, "suspended", "suspending")
INTERRUPT: Final = Operation("interrupt", Lifecycle.INTERRUPTED, "interrupted", "interrupting", asks=True)
RESUME: Final = Operation("resume", Lifecycle.ACTIVE, "resumed", "resuming")
CANCEL: Final = Operation("cancel", Lifecycle.CANCELED, "canceled", "canceling", asks=True)

OPERATIONS: Final = (SUSPEND, INTERRUPT, RESUME, CANCEL)


class Applicability(Enum):
    """Whether an operation applies to a resource."""

    GO = "it can be done"
    ALREADY = "it is so already, or on its way"
    ENDED = "it has ended, and never changes again"
    RUNS = "its one task runs, which a suspend never stops"


def preflight(view: View, operation: Operation) -> Applicability:
    """Tell whether an operation applies to a resource as it was just read."""
    if view.status.has_ended:
        is_so = operation is CANCEL and view.status.phase is Phase.CANCELED
        return Applicability.ALREADY if is_so else Applicability.ENDED
    if view.lifecycle is Lifecycle.CANCELED and operation is not CANCEL:
        return Applicability.ENDED
    if operation is SUSPEND and view.kind is WORKFLOW and runs_on(view.status):
        return Applicability.RUNS
    is_refused = operation is SUSPEND and view.status.reason == reasons.TASK_ALREADY_RUNNING
    is_asked = view.lifecycle is operation.lifecycle and view.status.is_current
    if is_asked and not is_refused and view.deletion is None:
        return Applicability.ALREADY
    return Applicability.GO


def describe_already(view: View, operation: Operation) -> str:
    """Return that the resource is so already."""
    if operation is RESUME:
        return f"is active already ({view.phase}{_held(view)})"
    return f"is {operation.done} already" + ("" if view.status.is_in_force else f", and still {view.phase}")


def describe_ended(view: View) -> str:
    """Return that the resource has ended, or is being canceled."""
    if view.status.has_ended:
        return f"has ended as {view.phase}, and nothing changes that"
    return f"is being canceled ({view.phase}), which is final"


def describe_running(view: View, what: str) -> str:
    """Return what became of a suspend that found its task running (`what`), and what would stop the task."""
    hint = f"`kubectl mageflow interrupt {view.short}` stops it"
    return f"its task is running, and a suspend never stops a task: {what}; {hint}"


def refusal(view: View) -> TaskAlreadyRunningError:
    """Return the error of a suspend that was not sent, as the task runs."""
    was_suspended = view.lifecycle is Lifecycle.SUSPENDED
    what = "it was to be suspended before, and still is" if was_suspended else "nothing was changed"
    return TaskAlreadyRunningError(describe_running(view, what), is_taken_back=not was_suspended)


def describe_result(view: View, operation: Operation) -> str:
    """Return the result of an operation, by the status that answers it."""
    status = view.status
    if status.has_ended:
        return operation.done if status.phase is Phase.CANCELED and operation is CANCEL else f"has ended: {view.phase}"
    if operation is RESUME:
        return f"{operation.done} ({view.phase}{_held(view)})"
    if status.is_in_force:
        return operation.done
    return f"{operation.doing}: {describe_unfinished(view, operation)}"


def _held(view: View) -> str:
    """Return what holds a resource that is active."""
    if view.status.is_held_by_failure:
        return f": {view.status.message}"
    if not view.status.is_held_by_namespace:
        return ""
    return f": its namespace's label {LABEL_LIFECYCLE} is {view.status.observed_namespace_lifecycle}"


def describe_unfinished(view: View, operation: Operation) -> str:
    """Return what is still to happen until an operation is in force."""
    names = [task.name for task in unfinished_tasks(view)]
    if operation is RESUME or not names:
        return view.status.message or "waiting for the operator"
    count = f"{len(names)} task{'' if len(names) == 1 else 's'}"
    runs_on = operation is SUSPEND and TaskPhase.RUNNING in {task.phase for task in unfinished_tasks(view)}
    return f"{count} to {'finish' if runs_on else 'stop'} ({list_names(names)})"


def unfinished_tasks(view: View) -> list[TaskView]:
    """Return the tasks that have a pod: a resource is held once there are none."""
    return view.tasks_in(*OCCUPIED_TASKS)
