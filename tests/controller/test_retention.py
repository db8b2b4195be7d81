"""For how long the last state of a pod, and what tells of its run besides, outlives it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mageflow.api import WORKFLOW
from mageflow.controller.observe import RunKey, observe_job, observe_pod, observe_resource
from mageflow.controller.retention import is_last_state_needed, is_settled
from mageflow.core.observed import ObservedPod, ObservedResource

from .documents import UID, Raw, condition, deleted, ended, job, pod, resource, running

KEY = RunKey("team", UID, "main", 2)

SUCCEEDED = observe_pod(pod(phase="Succeeded", containerStatuses=[ended(0)]))
FAILED = observe_pod(pod(phase="Failed", containerStatuses=[ended(1)]))
STOPPED = observe_pod(deleted(pod(phase="Running", containerStatuses=[running()])))
RAN = observe_pod(pod(phase="Running", containerStatuses=[running()]))

GOING, COMPLETE = job(run=2), job(run=2, status={"conditions": [condition("Complete")]})


def ledger(*entries: Raw, phase: str | None = "Active") -> ObservedResource:
    return observe_resource(WORKFLOW, resource(status={"phase": phase, "tasks": list(entries)}))


def entry(run: int, phase: str) -> Raw:
    return {"name": "main", "run": run, "phase": phase}


OPEN, CLOSED, RETRIED = entry(2, "Running"), entry(2, "BackingOff"), entry(3, "Running")
DONE, BEFORE = entry(2, "Succeeded"), entry(1, "BackingOff")


@pytest.mark.parametrize(
    ("situation", "last", "entries", "jobs", "is_needed"),
    [
        ("its run is open", FAILED, (OPEN,), (), True),
        ("its run is open, and it was stopped", STOPPED, (OPEN,), (), True),
        ("its run is open, and it was seen running: that says nothing of its end", RAN, (OPEN,), (), False),
        ("its run isn't in the ledger yet", FAILED, (BEFORE,), (), True),
        ("its task isn't in the ledger yet", FAILED, (), (), True),
        ("its run has ended", FAILED, (CLOSED,), (), False),
        ("its task has ended", FAILED, (DONE,), (), False),
        ("a later run is recorded", FAILED, (RETRIED,), (), False),
        ("it succeeded, and its task has ended", SUCCEEDED, (DONE,), (), False),
        ("it succeeded, and the ledger has another end", SUCCEEDED, (CLOSED,), (), True),
        ("it succeeded, and its Job looks as if it might make another", SUCCEEDED, (DONE,), (GOING,), True),
        ("it succeeded, and its Job has ended", SUCCEEDED, (DONE,), (COMPLETE,), False),
        ("it failed, and its Job is there", FAILED, (DONE,), (GOING,), False),
        ("it succeeded, and the Job of another run is there", SUCCEEDED, (DONE,), (job(run=1),), False),
    ],
)
def test_last_state_of_a_pod_is_needed_while(
    situation: str, last: ObservedPod, entries: tuple[Raw, ...], jobs: tuple[Raw, ...], is_needed: bool
) -> None:
    known = [(replace(KEY, run=int(raw["metadata"]["labels"]["mageflow.io/run"])), observe_job(raw)) for raw in jobs]
    assert is_last_state_needed(KEY, last, ledger(*entries), known) is is_needed, situation


def test_nothing_is_needed_when_the_resource_is_gone() -> None:
    assert not is_last_state_needed(KEY, SUCCEEDED, None, [(KEY, observe_job(GOING))])
    assert is_settled(KEY, None)


@pytest.mark.parametrize(
    ("situation", "seen", "is_over"),
    [
        ("the run is open", ledger(OPEN), False),
        ("the run has ended", ledger(CLOSED), True),
        ("a later run is recorded", ledger(RETRIED), True),
        ("an earlier run is recorded", ledger(BEFORE), False),
        ("the task was removed", ledger(), True),
        ("nothing was decided yet", ledger(phase=None), False),
    ],
)
def test_run_is_settled_when(situation: str, seen: ObservedResource, is_over: bool) -> None:
    assert is_settled(KEY, seen) is is_over, situation
