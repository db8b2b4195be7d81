"""Preview: what each operation would do to a resource now, and to which of its tasks. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import assert_never

from mageflow.api import ENDED_TASKS, LABEL_LIFECYCLE, Lifecycle, TaskPhase
from mageflow.cli.impact import describe_run
from mageflow.cli.verbs import CANCEL, OPERATIONS, RESUME, SUSPEND, Applicability, Operation, preflight
from mageflow.cli.view import TaskView, View
from mageflow.core.sentences import list_names


def preview_operations(view: View, now: datetime) -> dict[str, str]:
    """Return what each operation would do: a sentence by the operation's verb."""
    return {operation.verb: _preview(view, operation, now) for operation in OPERATIONS}


def _preview(view: View, operation: Operation, now: datetime) -> str:
    applicability = preflight(view, operation)
    match applicability:
        case Applicability.ENDED:
            return f"nothing: it {'has ended' if view.status.has_ended else 'is being canceled'}, which is final"
        case Applicability.ALREADY if operation is RESUME and view.status.is_held_by_failure:
            return f"nothing: {view.status.message}"
        case Applicability.ALREADY if operation is RESUME and view.status.is_held_by_namespace:
            return f"nothing: its namespace holds it; {_release(view)}"
        case Applicability.ALREADY:
            return f"nothing: it is {'active' if operation is RESUME else operation.done} already"
        case Applicability.GO if operation is RESUME and view.status.is_held_by_namespace:
            return f"stays held, by its namespace; {_release(view)}"
        case Applicability.GO if operation is RESUME:
            return _preview_resume(view)
        case Applicability.GO if operation is SUSPEND:
            return _preview_suspend(view)
        case Applicability.RUNS:
            run = describe_run(view.tasks_in(TaskPhase.RUNNING)[0], now)
            return f"refused: its task runs ({run}), and a suspend never stops a task"
        case Applicability.GO:
            return _preview_stop(view, operation, now)
        case _:
            assert_never(applicability)


def _release(view: View) -> str:
    return f"kubectl label namespace {view.namespace} {LABEL_LIFECYCLE}-"


def _preview_suspend(view: View) -> str:
    running = view.tasks_in(TaskPhase.RUNNING)
    if view.lifecycle is Lifecycle.INTERRUPTED and not running:
        return "stays held, as suspended instead of interrupted"
    return _join(
        (
            _say(view, "{} {finishes}", running),
            _say(view, "{} {is} held back: {its} pod goes", view.tasks_in(TaskPhase.PENDING, TaskPhase.RECORDED)),
            _say(view, "the back-off of {} stands still", view.tasks_in(TaskPhase.BACKING_OFF)),
            _say(view, "{} {starts} only once resumed", view.tasks_in(TaskPhase.UNSTARTED)),
        ),
    )


def _preview_stop(view: View, operation: Operation, now: datetime) -> str:
    running = view.tasks_in(TaskPhase.RUNNING)
    others = [task for task in view.tasks if task.phase not in (*ENDED_TASKS, TaskPhase.RUNNING)]
    lost = f"stops {_with_runs(view, running, now)}: what {'it has' if len(running) == 1 else 'they have'} done is lost"
    if operation is CANCEL:
        return _join((lost if running else "", _say(view, "{} never {starts}", others), "final"))
    parts = (
        f"{lost}, and {'it runs' if len(running) == 1 else 'they run'} again from the start once resumed",
        _say(view, "{} {starts} only once resumed", others),
    )
    return _join(parts if running else parts[1:])


def _preview_resume(view: View) -> str:
    if view.is_refused_an_output:
        return f"stays held: {view.status.message}"
    unfinished = [task for task in view.tasks if task.phase not in ENDED_TASKS]
    turn, others = unfinished[: view.at_once], unfinished[view.at_once :]
    running = [task for task in turn if task.phase is TaskPhase.RUNNING]
    again = [task for task in turn if task.record.interruptions and task not in running]
    return _join(
        (
            _say(view, "{} {runs} on", running),
            _say(view, "{} {starts}", [task for task in turn if task not in (*running, *again)]),
            _say(view, "{} {runs} again from {its} start, having been interrupted", again),
            _say(view, "{} {follows}", others),
        ),
    )


def _say(view: View, sentence: str, tasks: list[TaskView]) -> str:
    """Return a sentence about tasks; empty if there are none."""
    if not tasks:
        return ""
    is_one = len(tasks) == 1
    words = {verb: verb if is_one else verb.removesuffix("s") for verb in ("starts", "runs", "follows")}
    words |= {"finishes": "finishes" if is_one else "finish", "is": "is" if is_one else "are"}
    return sentence.format(list_names(view.name_tasks(tasks)), **words, its="its" if is_one else "their")


def _with_runs(view: View, tasks: list[TaskView], now: datetime) -> str:
    runs = [describe_run(task, now) for task in tasks]
    return list_names(f"{name} ({run})" for name, run in zip(view.name_tasks(tasks), runs, strict=True))


def _join(parts: Iterable[str]) -> str:
    return "; ".join(filter(None, parts)) or "nothing starts or stops by it"
