"""`explain`: why a resource is in its state, and what each operation would do: a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from mageflow.api import Phase
from mageflow.cli.explain_state import explain_state
from mageflow.cli.preview import preview_operations
from mageflow.cli.view import read_view

from .builders import NOW, ago, condition, done, resource, running, task, view

ENDED = "nothing: it has ended, which is final"
CANCELING = "nothing: it is being canceled, which is final"


@dataclass
class Case:
    """A resource, sentences about why it is so, and what the four operations would do."""

    resource: dict[str, Any]
    why: list[str]
    suspend: str
    interrupt: str
    resume: str
    cancel: str


RUNNING_ON = "run 1 had started: it finishes, and nothing starts after it"

CASES = {
    "a Workflow that runs can't be suspended": Case(
        resource("Workflow", "Active", (running("main"),), reason="Running", message="run 1 is running"),
        ["Active: 0 of 1 task is done; run 1 is running (Running).", "Its task is running: run 1, for 12s."],
        "refused: its task runs (run 1, for 12s), and a suspend never stops a task",
        "stops its task (run 1, for 12s): what it has done is lost, and it runs again from the start once resumed",
        "nothing: it is active already",
        "stops its task (run 1, for 12s): what it has done is lost; final",
    ),
    "a Workflow whose task runs on although it is to be suspended": Case(
        resource(
            "Workflow",
            "Active",
            (running("main"),),
            lifecycle="suspended",
            reason="TaskAlreadyRunning",
            message=RUNNING_ON,
        ),
        [f"Active although spec.lifecycle is suspended: {RUNNING_ON}.", "Its task is running: run 1, for 12s."],
        "refused: its task runs (run 1, for 12s), and a suspend never stops a task",
        "stops its task (run 1, for 12s): what it has done is lost, and it runs again from the start once resumed",
        "its task runs on",
        "stops its task (run 1, for 12s): what it has done is lost; final",
    ),
    "a Workflow that no node takes": Case(
        resource("Workflow", "Pending", (task("main", "Pending", run=1),), reason="Unschedulable", message="0/1 nodes"),
        [
            "Pending: no container of any task has started yet; 0/1 nodes (Unschedulable).",
            "Its task can't start run 1 (Unschedulable: 0/1 nodes).",
        ],
        "its task is held back: its pod goes",
        "its task starts only once resumed",
        "nothing: it is active already",
        "its task never starts; final",
    ),
    "a Workflow whose pod is awaited": Case(
        resource("Workflow", "Pending", (task("main", "Pending", run=1),), reason="Pending", message="it is awaited"),
        [
            "Pending: no container of any task has started yet; it is awaited (Pending).",
            "Its task is about to start run 1.",
        ],
        "its task is held back: its pod goes",
        "its task starts only once resumed",
        "nothing: it is active already",
        "its task never starts; final",
    ),
    "a Chain whose next Job is refused": Case(
        resource(
            "Chain",
            "Active",
            (done(), task("load", "Recorded", run=1), task("report")),
            reason="Forbidden",
            message="task load: exceeded quota",
        ),
        [
            "Active: 1 of 3 tasks are done; task load: exceeded quota (Forbidden).",
            "Task load can't start run 1 (Forbidden: exceeded quota).",
            "report waits for its turn.",
        ],
        "load is held back: its pod goes; report starts only once resumed",
        "load, report start only once resumed",
        "nothing: it is active already",
        "load, report never start; final",
    ),
    "a Swarm of which one Job is refused before any starts": Case(
        resource(
            "Swarm",
            "Pending",
            (
                task("a", "Recorded", run=1, reason="InvalidTask"),
                task("b"),
                task("c", "Recorded", run=1),
                task("d", "Pending", run=1),
            ),
            reason="InvalidTask",
            message="task a: spec.template: no such field",
        ),
        [
            "Pending: no container of any task has started yet; task a: spec.template: no such field (InvalidTask).",
            "Task a can't start run 1 (InvalidTask: spec.template: no such field).",
            "Task c waits for the Job of run 1.",
            "Task d waits for the pod of run 1.",
            "b waits for its turn.",
        ],
        "a, c, d are held back: their pod goes; b starts only once resumed",
        "a, b, c, d start only once resumed",
        "nothing: it is active already",
        "a, b, c, d never start; final",
    ),
    "a Chain whose next task would get an output that was cut": Case(
        resource(
            "Chain",
            "Suspended",
            (done(), task("load", reason="OutputTruncated", message="the output of task extract was cut")),
            reason="OutputTruncated",
            message="the output of task extract was cut: edit load",
            lifecycleSource="failure",
            suspendedAt=ago(60),
        ),
        [
            "Suspended for 60s: it can't go on without help; the output of task extract was cut: edit load. "
            "1 of 2 tasks are done.",
            "Task load can't start (OutputTruncated: the output of task extract was cut).",
        ],
        "load starts only once resumed",
        "load starts only once resumed",
        "nothing: the output of task extract was cut: edit load",
        "load never starts; final",
    ),
    "such a Chain that is suspended as well": Case(
        resource(
            "Chain",
            "Suspended",
            (done(), task("load", reason="OutputTruncated", message="the output of task extract was cut")),
            lifecycle="suspended",
            reason="Suspended",
            message="nothing runs, and nothing starts until resumed and task load is edited",
            suspendedAt=ago(60),
        ),
        [
            "Suspended for 60s: spec.lifecycle is suspended; nothing runs, and nothing starts until resumed and task "
            "load is edited. 1 of 2 tasks are done.",
            "Task load can't start (OutputTruncated: the output of task extract was cut).",
        ],
        "nothing: it is suspended already",
        "load starts only once resumed",
        "stays held: nothing runs, and nothing starts until resumed and task load is edited",
        "load never starts; final",
    ),
    "a Chain in the middle": Case(
        resource(
            "Chain", "Active", (done(), running(), task("report"), task("mail")), reason="Running", message="load"
        ),
        [
            "Active: 1 of 4 tasks are done; load (Running).",
            "Task load is running: run 1, for 12s.",
            "report, mail wait for their turn.",
        ],
        "load finishes; report, mail start only once resumed",
        "stops load (run 1, for 12s): what it has done is lost, and it runs again from the start once resumed; "
        "report, mail start only once resumed",
        "nothing: it is active already",
        "stops load (run 1, for 12s): what it has done is lost; report, mail never start; final",
    ),
    "a Chain that is on its way to be suspended": Case(
        resource(
            "Chain",
            "Suspending",
            (done(), running(), task("report")),
            lifecycle="suspended",
            suspendedAt=ago(4),
            reason="Suspending",
            message="waiting for pods to end: x",
        ),
        [
            "Suspending: spec.lifecycle is suspended for 4s; nothing new starts, waiting for pods to end: x.",
            "Task load is running: run 1, for 12s.",
            "report waits for its turn.",
        ],
        "nothing: it is suspended already",
        "stops load (run 1, for 12s): what it has done is lost, and it runs again from the start once resumed; "
        "report starts only once resumed",
        "load runs on; report follows",
        "stops load (run 1, for 12s): what it has done is lost; report never starts; final",
    ),
    "a Chain that is suspended": Case(
        resource(
            "Chain",
            "Suspended",
            (done(), task("load"), task("report")),
            lifecycle="suspended",
            suspendedAt=ago(240),
            reason="Suspended",
            message="nothing runs, and nothing starts until resumed",
        ),
        [
            "Suspended for 4m: spec.lifecycle is suspended; nothing runs, and nothing starts until resumed. "
            "1 of 3 tasks are done.",
            "load, report wait for their turn.",
        ],
        "nothing: it is suspended already",
        "load, report start only once resumed",
        "load starts; report follows",
        "load, report never start; final",
    ),
    "a Chain whose namespace is suspended": Case(
        resource(
            "Chain",
            "Suspended",
            (done(), task("load")),
            suspendedAt=ago(240),
            reason="Suspended",
            message="nothing runs",
            by_namespace="suspended",
        ),
        [
            "Suspended for 4m: its namespace's label mageflow.io/lifecycle is suspended; nothing runs. "
            "1 of 2 tasks are done.",
            "load waits for its turn.",
        ],
        "load starts only once resumed",
        "load starts only once resumed",
        "nothing: its namespace holds it; kubectl label namespace team-a mageflow.io/lifecycle-",
        "load never starts; final",
    ),
    "a Chain that is interrupted, in a namespace that is suspended": Case(
        resource(
            "Chain",
            "Interrupted",
            (task("load"),),
            lifecycle="interrupted",
            reason="Interrupted",
            message="nothing runs",
            observedNamespaceLifecycle="suspended",
        ),
        [
            "Interrupted: spec.lifecycle is interrupted and its namespace's label mageflow.io/lifecycle is suspended; "
            "nothing runs. 0 of 1 task is done.",
            "load waits for its turn.",
        ],
        "stays held, as suspended instead of interrupted",
        "nothing: it is interrupted already",
        "stays held, by its namespace; kubectl label namespace team-a mageflow.io/lifecycle-",
        "load never starts; final",
    ),
    "a Chain that was interrupted while it ran": Case(
        resource(
            "Chain",
            "Interrupted",
            (done(), task("load", run=1, interruptions=1), task("report")),
            lifecycle="interrupted",
            reason="Interrupted",
            message="nothing runs",
            more=[condition("Consistent", "False", "InterruptedWhileRunning", "a task was interrupted, 1 in all")],
        ),
        [
            "Interrupted: spec.lifecycle is interrupted; nothing runs. 1 of 3 tasks are done.",
            "Task load was interrupted: it runs again from its start.",
            "report waits for its turn.",
            "It may be inconsistent: a task was interrupted, 1 in all.",
        ],
        "stays held, as suspended instead of interrupted",
        "nothing: it is interrupted already",
        "load runs again from its start, having been interrupted; report follows",
        "load, report never start; final",
    ),
    "a task that was held before it started": Case(
        resource("Chain", "Suspended", (task("load", run=1, job="x"),), lifecycle="suspended", reason="Suspended"),
        [
            "Suspended: spec.lifecycle is suspended; Suspended. 0 of 1 task is done.",
            "Task load was held: it runs again from its start.",
        ],
        "nothing: it is suspended already",
        "load starts only once resumed",
        "load starts",
        "load never starts; final",
    ),
    "a task that backs off": Case(
        resource(
            "Chain",
            "Active",
            (
                task(
                    "load",
                    "BackingOff",
                    run=1,
                    failures=1,
                    retryAt=ago(-10),
                    reason="NonZeroExitCode",
                    message="exit code 3",
                ),
            ),
            reason="BackingOff",
            message="load: run 1 ended",
        ),
        [
            "Active: 0 of 1 task is done; load: run 1 ended (BackingOff).",
            "Task load ended its run 1 (NonZeroExitCode: exit code 3), and tries again at 12:00:10 UTC, "
            "1 of 2 retries used.",
        ],
        "the back-off of load stands still",
        "load starts only once resumed",
        "nothing: it is active already",
        "load never starts; final",
    ),
    "a back-off that stands still": Case(
        resource(
            "Chain",
            "Suspended",
            (task("load", "BackingOff", run=1, failures=1, backoffSeconds=7),),
            lifecycle="suspended",
            reason="Suspended",
            message="nothing runs",
        ),
        [
            "Suspended: spec.lifecycle is suspended; nothing runs. 0 of 1 task is done.",
            "Task load ended its run 1, and tries again once it is resumed, 1 of 2 retries used.",
        ],
        "nothing: it is suspended already",
        "load starts only once resumed",
        "load starts",
        "load never starts; final",
    ),
    "a task that can't start": Case(
        resource(
            "Chain",
            "Pending",
            (task("load", reason="InvalidTask", message="no such field"),),
            reason="InvalidTask",
            message="load: no such field",
        ),
        [
            "Pending: no container of any task has started yet; load: no such field (InvalidTask).",
            "Task load can't start (InvalidTask: no such field).",
        ],
        "load starts only once resumed",
        "load starts only once resumed",
        "nothing: it is active already",
        "load never starts; final",
    ),
    "a task that a suspend evicted, and that turned out to have started": Case(
        resource(
            "Chain",
            "Suspended",
            (task("load", run=1, reason="InterruptedWhileRunning", message="pod x had started"),),
            reason="Suspended",
            message="nothing runs",
            lifecycle="suspended",
        ),
        [
            "Suspended: spec.lifecycle is suspended; nothing runs. 0 of 1 task is done.",
            "Task load was interrupted (InterruptedWhileRunning: pod x had started): it runs again from its start.",
        ],
        "nothing: it is suspended already",
        "load starts only once resumed",
        "load starts",
        "load never starts; final",
    ),
    "a Swarm starts as many as may run at once": Case(
        resource(
            "Swarm",
            "Suspended",
            (task("a"), task("b"), task("c")),
            lifecycle="suspended",
            reason="Suspended",
            message="nothing runs",
            spec={"maxConcurrency": 2},
        ),
        [
            "Suspended: spec.lifecycle is suspended; nothing runs. 0 of 3 tasks are done.",
            "a, b, c wait for their turn.",
        ],
        "nothing: it is suspended already",
        "a, b, c start only once resumed",
        "a, b start; c follows",
        "a, b, c never start; final",
    ),
    "a Swarm of which several tasks run": Case(
        resource("Swarm", "Active", (running("a", 5), running("b", 200)), reason="Running", message="running: a, b"),
        [
            "Active: 0 of 2 tasks are done; running: a, b (Running).",
            "Task a is running: run 1, for 5s.",
            "Task b is running: run 1, for 3m20s.",
        ],
        "a, b finish",
        "stops a (run 1, for 5s), b (run 1, for 3m20s): what they have done is lost, and they run again from the start "
        "once resumed",
        "nothing: it is active already",
        "stops a (run 1, for 5s), b (run 1, for 3m20s): what they have done is lost; final",
    ),
    "it is being interrupted": Case(
        resource(
            "Chain",
            "Interrupting",
            (task("load", "Stopping", run=2),),
            lifecycle="interrupted",
            suspendedAt=ago(3),
            reason="Interrupting",
            message="waiting for pods to end: x",
        ),
        [
            "Interrupting: spec.lifecycle is interrupted for 3s; waiting for pods to end: x.",
            "Task load is being stopped: the pod of run 2 may still run.",
        ],
        "stays held, as suspended instead of interrupted",
        "nothing: it is interrupted already",
        "load starts",
        "load never starts; final",
    ),
    "it is being canceled": Case(
        resource(
            "Chain",
            "Interrupting",
            (task("load", "Stopping", run=1),),
            lifecycle="canceled",
            reason="Interrupting",
            message="waiting",
        ),
        [
            "Interrupting: spec.lifecycle is canceled; waiting.",
            "Task load is being stopped: the pod of run 1 may still run.",
        ],
        CANCELING,
        CANCELING,
        CANCELING,
        "nothing: it is canceled already",
    ),
    "it has succeeded": Case(
        resource(
            "Chain", "Succeeded", (done(),), reason="Succeeded", message="every task succeeded", finishedAt=ago(60)
        ),
        ["Succeeded 60s ago: every task succeeded."],
        ENDED,
        ENDED,
        ENDED,
        ENDED,
    ),
    "it has failed": Case(
        resource(
            "Chain",
            "Failed",
            (
                task("load", "Failed", run=3, failures=3, reason="NonZeroExitCode", message="exit code 1"),
                task("report"),
            ),
            reason="Failed",
            message="no retries are left",
        ),
        [
            "Failed: no retries are left.",
            "Task load has failed in run 3 (NonZeroExitCode: exit code 1), with no retries left of 2.",
        ],
        ENDED,
        ENDED,
        ENDED,
        ENDED,
    ),
    "it was canceled": Case(
        resource("Chain", "Canceled", (done(), task("load", run=1)), lifecycle="canceled", reason="Canceled"),
        ["Canceled: 1 of 2 tasks are done, the others never run."],
        ENDED,
        ENDED,
        ENDED,
        "nothing: it is canceled already",
    ),
    "the operator has said nothing": Case(
        resource("Chain", None, (task("load"),)),
        ["The operator has said nothing of it yet: is one running, and does it watch this namespace?"],
        "load starts only once resumed",
        "load starts only once resumed",
        "load starts",
        "load never starts; final",
    ),
    "the operator has not answered yet": Case(
        resource(
            "Chain", "Active", (running(),), lifecycle="suspended", generation=2, reason="Running", message="load"
        ),
        [
            "Its spec was changed, and the operator hasn't answered yet: what follows is of before.",
            "Active: 0 of 1 task is done; load (Running).",
            "Task load is running: run 1, for 12s.",
        ],
        "load finishes",
        "stops load (run 1, for 12s): what it has done is lost, and it runs again from the start once resumed",
        "load runs on",
        "stops load (run 1, for 12s): what it has done is lost; final",
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_state_is_explained(case: Case) -> None:
    assert explain_state(read_view(case.resource), NOW) == case.why


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_operations_are_foreseen(case: Case) -> None:
    told = preview_operations(read_view(case.resource), NOW)
    expected = {"suspend": case.suspend, "interrupt": case.interrupt, "resume": case.resume, "cancel": case.cancel}
    assert told == expected


def test_every_phase_is_explained() -> None:
    assert {case.resource["status"].get("phase") for case in CASES.values()} == {None, *map(str, Phase)}


def test_long_lists_are_cut() -> None:
    many = view("Swarm", "Active", tuple(running(f"t{number}") for number in range(30)), reason="Running")
    assert any(sentence.endswith("and 15 more.") for sentence in explain_state(many, NOW))
    assert "t4 and 25 more finish" in preview_operations(many, NOW)["suspend"]
