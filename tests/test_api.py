from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from mageflow.api import (
    ChainSpec,
    Condition,
    ConditionType,
    Lifecycle,
    Phase,
    Status,
    SwarmSpec,
    TaskPhase,
    TaskStatus,
    WorkflowSpec,
)

NOON = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def test_spec_defaults_when_only_a_template_is_given() -> None:
    spec = WorkflowSpec.model_validate({"template": {"spec": {"containers": []}}})
    assert (spec.lifecycle, spec.retries, spec.timeout_seconds, spec.input) == (
        Lifecycle.ACTIVE,
        0,
        None,
        None,
    )
    assert not spec.has_input


def test_spec_tells_null_from_absent_when_input_is_null() -> None:
    assert WorkflowSpec.model_validate({"template": {}, "input": None}).has_input


@pytest.mark.parametrize(
    "wrong",
    [
        {"templte": {}},
        {"lifecycle": "paused"},
        {"retries": -1},
        {"retries": 2**31},
        {"timeoutSeconds": 0},
        {"timeoutSeconds": 2**31},
    ],
)
def test_spec_is_refused_when_a_field_is_wrong(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        WorkflowSpec.model_validate({"template": {}} | wrong)


def test_swarm_defaults_when_only_tasks_are_given() -> None:
    spec = SwarmSpec.model_validate({"tasks": [{"name": "a"}]})
    assert (spec.lifecycle, spec.max_concurrency, spec.template) == (Lifecycle.ACTIVE, 30, None)
    (task,) = spec.tasks
    assert (task.template, task.retries, task.timeout_seconds, task.has_input) == (None, 0, None, False)


def test_tasks_keep_their_order_when_read() -> None:
    for model in (ChainSpec, SwarmSpec):
        spec = model.model_validate({"tasks": [{"name": name, "template": {}} for name in ("c", "a", "b")]})
        assert [task.name for task in spec.tasks] == ["c", "a", "b"]


def test_swarm_is_read_when_it_has_no_task() -> None:
    assert SwarmSpec.model_validate({"tasks": []}).tasks == ()


TASK = {"name": "a", "template": {}}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"tasks": []},
        {"tasks": [{"name": "a"}]},
        {"tasks": [{"template": {}}]},
        {"tasks": [TASK], "maxConcurrency": 2},
        {"tasks": [TASK], "template": {}},
        {"tasks": [{**TASK, "name": f"n{number}"} for number in range(101)]},
        {"tasks": [{**TASK, "name": "A"}]},
        {"tasks": [{**TASK, "name": "a" * 64}]},
        {"tasks": [{**TASK, "retry": 1}]},
    ],
    ids=lambda wrong: repr(wrong)[:60],
)
def test_chain_is_refused_when_a_field_is_wrong(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ChainSpec.model_validate(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"tasks": [], "maxConcurrency": 0},
        {"tasks": [], "maxConcurrency": -1},
        {"tasks": [], "maxConcurrency": 2**31},
        {"tasks": [{"name": f"n{number}"} for number in range(1001)]},
        {"tasks": [{"name": "-a"}]},
        {"tasks": [{"name": "a", "resource": {}}]},
    ],
    ids=lambda wrong: repr(wrong)[:60],
)
def test_swarm_is_refused_when_a_field_is_wrong(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SwarmSpec.model_validate(wrong)


def test_models_are_frozen_when_assigned_to() -> None:
    with pytest.raises(ValidationError):
        Status().done = 1  # type: ignore[misc]


def test_status_shows_counts_when_empty() -> None:
    assert Status().to_json() == {
        "done": 0,
        "total": 0,
        "running": 0,
        "failed": 0,
        "pending": 0,
        "interruptions": 0,
        "tasks": [],
        "conditions": [],
    }


def test_status_survives_when_written_and_read_back() -> None:
    status = Status(
        phase=Phase.ACTIVE,
        lifecycle=Lifecycle.ACTIVE,
        observed_generation=3,
        started_at=NOON,
        total=1,
        running=1,
        progress="0/1",
        output={"rows": None, "files": [None]},
        tasks=(TaskStatus(name="main", phase=TaskPhase.RUNNING, run=2, job="x-1", started_at=NOON),),
        conditions=(
            Condition(
                type=ConditionType.READY,
                status="True",
                observed_generation=3,
                last_transition_time=NOON,
                reason="Running",
            ),
        ),
    )
    document = status.to_json()
    assert document["startedAt"] == "2026-11-24T12:00:00Z"
    assert document["output"] == {"rows": None, "files": [None]}
    assert document["tasks"] == [
        {"name": "main", "phase": "Running", "run": 2, "job": "x-1", "startedAt": "2026-11-24T12:00:00Z"}
    ]
    assert Status.model_validate(document) == status


def test_task_shows_its_phase_when_it_is_the_default() -> None:
    assert TaskStatus(name="main").to_json() == {"name": "main", "phase": "Unstarted"}


def test_status_is_read_when_a_newer_operator_wrote_it() -> None:
    status = Status.model_validate(
        {
            "phase": "Active",
            "lifecycleSource": "namespace",
            "tasks": [{"name": "main", "phase": "Running", "shard": 7}],
            "conditions": [
                {
                    "type": "Quarantined",
                    "status": "True",
                    "observedGeneration": 1,
                    "lastTransitionTime": "2026-11-24T12:00:00Z",
                    "reason": "Newer",
                    "severity": "Info",
                }
            ],
        }
    )
    assert status.conditions[0].type == "Quarantined"


def test_known_condition_types_are_members_when_read() -> None:
    condition = Condition.model_validate(
        {
            "type": "Ready",
            "status": "True",
            "observedGeneration": 1,
            "lastTransitionTime": "2026-11-24T13:00:00.123+01:00",
            "reason": "Running",
        }
    )
    assert condition.type is ConditionType.READY
    assert condition.last_transition_time == NOON
