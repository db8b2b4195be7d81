"""How large a status becomes: etcd takes objects of 1.5 MB, spec and status together."""

from __future__ import annotations

import json

from mageflow.api import Phase, TaskPhase

from .builders import decide, failed_pod
from .many_builders import entry, one, status, swarm, swarm_task

LIMIT = 300_000
TASKS = [f"{number:04}-{'x' * 58}" for number in range(1000)]


def test_status_stays_small_when_a_thousand_tasks_fail_with_a_long_output() -> None:
    observed = swarm(
        tasks=[swarm_task(name) for name in TASKS],
        old=status(Phase.ACTIVE, [entry(name, TaskPhase.RUNNING) for name in TASKS]),
        runs={name: one(failed_pod(output="y" * 4000)) for name in TASKS},
    )

    _, new = decide(observed)

    assert new.failed == len(TASKS)
    assert len(json.dumps(new.to_json(), separators=(",", ":"))) < LIMIT
