"""Hypothesis drives the model: some thousand steps in `make test`, at least 50,000 in `make nightly`."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from .machine import ClusterMachine

STEPS = int(os.environ.get("MAGEFLOW_STEPS", "4000"))
STEPS_EACH = 50
"""Of one play: long enough for several runs of several tasks."""


def test_promises_hold_whatever_happens() -> None:
    is_short = "MAGEFLOW_STEPS" not in os.environ
    run_state_machine_as_test(
        ClusterMachine,
        settings=settings(
            max_examples=STEPS // (STEPS_EACH - 10) + 1,  # some plays end a little earlier
            stateful_step_count=STEPS_EACH,
            deadline=None,
            derandomize=is_short,
            database=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert ClusterMachine.steps >= STEPS
