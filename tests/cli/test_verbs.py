"""Whether there is anything to do, what came of it, and what would be lost."""

from __future__ import annotations

from typing import Any

import pytest

from mageflow.cli.explain_state import explain_state
from mageflow.cli.graph import draw_mermaid, draw_svg
from mageflow.cli.impact import assess_impact, describe_impact
from mageflow.cli.verbs import (
    CANCEL,
    INTERRUPT,
    RESUME,
    SUSPEND,
    Applicability,
    Operation,
    describe_already,
    describe_result,
    preflight,
)
from mageflow.cli.view import View, read_view

from .builders import NOW, done, resource, running, task, view

RUNS = view("Chain", "Active", (done(), running(), task("report")), reason="Running")
SUSPENDING = view("Chain", "Suspending", (running(),), lifecycle="suspended", reason="Suspending")
SUSPENDED = view("Chain", "Suspended", (task("load"),), lifecycle="suspended", reason="Suspended")
RUNS_ON = view("Workflow", "Active", (running("main"),), lifecycle="suspended", reason="TaskAlreadyRunning")
TRAINS = view("Workflow", "Active", (running("main"),), reason="Running")
CANCELING = view("Chain", "Interrupting", (task("load", "Stopping"),), lifecycle="canceled", reason="Interrupting")
CANCELED = view("Chain", "Canceled", lifecycle="canceled", reason="Canceled")
FAILED = view("Chain", "Failed", reason="Failed")
HELD = view("Chain", "Suspended", (task("load"),), reason="Suspended", by_namespace="suspended")
UNANSWERED = view("Chain", "Active", (running(),), lifecycle="suspended", generation=2, reason="Running")


@pytest.mark.parametrize(
    ("seen", "operation", "expected"),
    [
        (RUNS, SUSPEND, Applicability.GO),
        (RUNS, RESUME, Applicability.ALREADY),
        (SUSPENDING, SUSPEND, Applicability.ALREADY),
        (SUSPENDED, SUSPEND, Applicability.ALREADY),
        (SUSPENDED, INTERRUPT, Applicability.GO),
        (SUSPENDED, RESUME, Applicability.GO),
        (RUNS_ON, SUSPEND, Applicability.RUNS),
        (TRAINS, SUSPEND, Applicability.RUNS),
        (TRAINS, INTERRUPT, Applicability.GO),
        (UNANSWERED, SUSPEND, Applicability.GO),
        (CANCELING, RESUME, Applicability.ENDED),
        (CANCELING, CANCEL, Applicability.ALREADY),
        (CANCELED, CANCEL, Applicability.ALREADY),
        (CANCELED, SUSPEND, Applicability.ENDED),
        (FAILED, CANCEL, Applicability.ENDED),
        (FAILED, RESUME, Applicability.ENDED),
    ],
)
def test_it_is_told_whether_there_is_anything_to_do(seen: View, operation: Operation, expected: Applicability) -> None:
    assert preflight(seen, operation) is expected


def test_words_for_what_came_of_it() -> None:
    assert describe_result(SUSPENDED, SUSPEND) == "suspended"
    assert describe_result(SUSPENDING, SUSPEND) == "suspending: 1 task to finish (load)"
    assert describe_result(CANCELING, CANCEL) == "canceling: 1 task to stop (load)"
    assert describe_result(CANCELED, CANCEL) == "canceled"
    assert describe_result(FAILED, SUSPEND) == "has ended: Failed"
    assert describe_result(RUNS, RESUME) == "resumed (Active)"
    assert describe_already(SUSPENDING, SUSPEND) == "is suspended already, and still Suspending"
    assert describe_already(SUSPENDED, SUSPEND) == "is suspended already"
    assert describe_already(RUNS, RESUME) == "is active already (Active)"


def test_it_is_told_that_a_namespace_holds_what_is_resumed() -> None:
    why = "its namespace's label mageflow.io/lifecycle is suspended"
    assert preflight(HELD, RESUME) is Applicability.ALREADY
    assert describe_already(HELD, RESUME) == f"is active already (Suspended: {why})"
    assert describe_result(HELD, RESUME) == f"resumed (Suspended: {why})"


def test_it_is_told_that_something_must_be_mended_before_it_goes_on_when_it_is_resumed() -> None:
    why = "the output of task extract was cut: edit load"
    held = view(
        "Chain", "Suspended", (task("load"),), reason="OutputTruncated", message=why,
        lifecycleSource="failure", generation=2, observed=2,
    )  # fmt: skip
    assert describe_already(held, RESUME) == f"is active already (Suspended: {why})"
    assert describe_result(held, RESUME) == f"resumed (Suspended: {why})"


def test_a_pod_that_has_not_started_stops_rather_than_finishes() -> None:
    held = view("Chain", "Suspending", (task("load", "Stopping", run=1),), lifecycle="suspended", reason="Suspending")
    assert describe_result(held, SUSPEND) == "suspending: 1 task to stop (load)"


def test_losses_are_told_by_resource_and_task() -> None:
    workflow = view("Workflow", "Active", (running("main", 10_800, run=2),), name="train", reason="Running")
    losses = assess_impact([RUNS, SUSPENDED, workflow], INTERRUPT)
    assert list(describe_impact(losses, INTERRUPT, NOW)) == [
        "chain/nightly in namespace team-a",
        "  load is running (run 1, for 12s): its work is lost, it runs again from its start once resumed",
        "workflow/train in namespace team-a",
        "  its task is running (run 2, for 3h): its work is lost, it runs again from its start once resumed",
    ]
    assert list(describe_impact(assess_impact([RUNS], CANCEL), CANCEL, NOW)) == [
        "chain/nightly in namespace team-a",
        "  load is running (run 1, for 12s): its work is lost, for good",
        "  1 task would never run",
    ]
    assert assess_impact([SUSPENDED], INTERRUPT) == []


def test_long_lists_of_losses_are_cut() -> None:
    just = view("Swarm", "Active", tuple(running(f"t{number}") for number in range(10)), reason="Running")
    assert len(list(describe_impact(assess_impact([just], INTERRUPT), INTERRUPT, NOW))) == 11
    many = view("Swarm", "Active", tuple(running(f"t{number}") for number in range(14)), reason="Running")
    lines = list(describe_impact(assess_impact([many], INTERRUPT), INTERRUPT, NOW))
    assert len(lines) == 12
    assert lines[-1] == "  … and 4 more that run"


# ── being deleted ──


def leaving(**fields: Any) -> View:
    manifest = resource(tasks=(running(),), **fields)
    manifest["metadata"] |= {"deletionTimestamp": "2026-11-24T11:59:00Z", "finalizers": ["example.com/backup"]}
    return read_view(manifest)


@pytest.mark.parametrize("lifecycle", ["active", "interrupted"])
def test_a_stop_is_asked_for_and_not_said_to_be_so_when_it_is_being_deleted(lifecycle: str) -> None:
    """No status says any more what is so: the pods may still run."""
    assert preflight(leaving(lifecycle=lifecycle), INTERRUPT) is Applicability.GO


def test_explanation_is_that_it_is_being_deleted() -> None:
    told = explain_state(leaving(), NOW)
    assert told[0].startswith("It is being deleted since 2026-11-24T11:59:00Z, and kept by the finalizers example.com")
    assert "interrupt or cancel stops its pods" in told[0]
    assert any("is running" in sentence for sentence in told[1:])


# ── of a newer version, or edited ──


def test_one_odd_status_is_shown_and_fails_nothing() -> None:
    """It failed the whole `get`, of all resources."""
    odd = view(tasks=({"name": "load", "phase": "Sleeping", "run": 2},), phase="Waiting", lifecycle="paused")
    assert (odd.phase, odd.lifecycle, odd.tasks[0].phase) == ("Waiting", "suspended", "Sleeping")
    assert explain_state(odd, NOW)[0].startswith("Waiting: a word of a newer version of the operator")
    assert "Task load is Sleeping, a word of a newer version of the operator." in explain_state(odd, NOW)
    assert "Sleeping" in draw_mermaid(odd)
    assert "Sleeping" in draw_svg(odd)
    broken = view(tasks=(task("load", "Running", run="x"),))
    assert broken.status.problem is not None
    assert "status.tasks.0.run" in explain_state(broken, NOW)[0]
