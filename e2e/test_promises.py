"""The promises of the design on real pods; the checkers read the audit log and what the tasks wrote."""

from __future__ import annotations

import json
import random
import time
from typing import Any

import pytest

from devkit.audit import AuditLog
from devkit.gate import GATE, open_gate
from devkit.kubectl import Kubectl, Raw, condition
from devkit.operator import OperatorProcess
from devkit.patience import PATIENCE

from .pods import evicted_after_start

ENDED_OR_HELD = {"Suspended", "Interrupted", "Succeeded", "Failed", "Canceled"}

EXITS_0_ON_SIGTERM = """
trap 'echo stopped > /dev/termination-log; exit 0' TERM
for i in $(seq 40); do sleep 0.1 & wait $!; done
echo finished > /dev/termination-log
"""
RUNS_ON_AND_EXITS_0_ON_SIGTERM = f"""
trap 'echo stopped > /dev/termination-log; exit 0' TERM
{GATE}
echo finished > /dev/termination-log
"""
IGNORES_SIGTERM = f"trap '' TERM; {GATE}"


def build_workflow(name: str, script: str, **spec: Any) -> str:
    container = {"name": "main", "image": "busybox:1.36", "command": ["sh", "-c", script]}
    grace = spec.pop("grace", 30)
    return json.dumps(
        {
            "apiVersion": "mageflow.io/v1",
            "kind": "Workflow",
            "metadata": {"name": name},
            "spec": {
                "template": {"spec": {"terminationGracePeriodSeconds": grace, "containers": [container]}},
                **spec,
            },
        }
    )


def create(kubectl: Kubectl, name: str, script: str, **spec: Any) -> None:
    kubectl.run("apply", "--filename=-", stdin=build_workflow(name, script, **spec))


def wait_until_settled(kubectl: Kubectl, name: str) -> Raw:
    return kubectl.wait(f"{name} has settled", name, lambda status: status.get("phase") in ENDED_OR_HELD)


def test_no_started_container_is_killed_when_suspended_at_a_random_moment(
    kubectl: Kubectl, audit_log: AuditLog
) -> None:
    """Rounds around the start of a pod. A container that is stopped says so, and one that ends says so too."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    for number in range(8):
        name = f"round-{number}"
        create(kubectl, name, EXITS_0_ON_SIGTERM)
        time.sleep(chance.uniform(0, 1.8))
        kubectl.set_lifecycle(name, "suspended")
    for number in range(8):
        name = f"round-{number}"
        status = wait_until_settled(kubectl, name)
        if status["phase"] == "Succeeded":
            assert status["output"] == "finished", kubectl.describe(name)
        else:
            assert status["phase"] == "Suspended", kubectl.describe(name)
            assert kubectl.live_pods_of(name) == [], kubectl.describe(name)
            assert status["tasks"][0].get("failures", 0) == 0

    assert evicted_after_start(audit_log.requests(kubectl.namespace)) == []


def test_suspended_tasks_run_again_when_resumed_and_each_succeeds_once(kubectl: Kubectl) -> None:
    for number in range(4):
        create(kubectl, f"task-{number}", "echo $MAGEFLOW_RUN > /dev/termination-log")
        kubectl.set_lifecycle(f"task-{number}", "suspended")
    for number in range(4):
        wait_until_settled(kubectl, f"task-{number}")
        kubectl.set_lifecycle(f"task-{number}", "active")
    for number in range(4):
        status = kubectl.wait_for_phase(f"task-{number}", "Succeeded")

        assert status["output"] == status["tasks"][0]["run"]
        pods = [pod for pod in kubectl.pods_of(f"task-{number}") if "deletionTimestamp" not in pod["metadata"]]
        assert [pod["status"]["phase"] for pod in pods] == ["Succeeded"]


def test_it_is_interrupted_and_not_succeeded_when_a_task_exits_0_on_sigterm(kubectl: Kubectl) -> None:
    create(kubectl, "x", RUNS_ON_AND_EXITS_0_ON_SIGTERM)
    kubectl.wait_for_phase("x", "Active")

    kubectl.set_lifecycle("x", "interrupted")
    status = kubectl.wait_for_phase("x", "Interrupted")

    assert status["interruptions"] == 1
    assert condition(status, "Consistent")["reason"] == "InterruptedWhileRunning"
    kubectl.set_lifecycle("x", "active")
    open_gate(kubectl, "x")
    assert kubectl.wait_for_phase("x", "Succeeded")["output"] == "finished"


def test_it_says_interrupting_while_a_task_ignores_sigterm(kubectl: Kubectl) -> None:
    create(kubectl, "x", IGNORES_SIGTERM, grace=600)
    kubectl.wait_for_phase("x", "Active")

    kubectl.set_lifecycle("x", "interrupted")
    kubectl.wait_for_phase("x", "Interrupting")
    assert [pod["status"]["phase"] for pod in kubectl.pods_of("x")] == ["Running"]
    open_gate(kubectl, "x")
    status = kubectl.wait_for_phase("x", "Interrupted")

    assert condition(status, "Suspended")["status"] == "True"
    assert kubectl.live_pods_of("x") == []


@pytest.mark.parametrize("lifecycle", ["suspended", "interrupted", "active", "canceled"])
def test_it_converges_and_then_writes_nothing_when_the_operator_is_killed(
    kubectl: Kubectl, operator: OperatorProcess, audit_log: AuditLog, lifecycle: str
) -> None:
    """Killed at a random instant of a transition, and started again."""
    phases = {
        "suspended": {"Suspended", "Succeeded"},
        "interrupted": {"Interrupted", "Succeeded"},
        "active": {"Succeeded"},
        "canceled": {"Canceled", "Succeeded"},
    }[lifecycle]
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    before = "suspended" if lifecycle == "active" else "active"
    names = [f"x-{number}" for number in range(5)]
    for name in names:
        create(kubectl, name, EXITS_0_ON_SIGTERM, lifecycle=before)
    time.sleep(chance.uniform(0, 1.5))
    for name in names:
        kubectl.set_lifecycle(name, lifecycle)
    time.sleep(chance.uniform(0, 0.5))
    operator.kill()
    operator.start()
    for name in names:
        kubectl.wait(f"{name} has settled", name, lambda status: status.get("phase") in phases)

    assert wait_for_quiet(audit_log, kubectl.namespace)
    made = [
        request.name
        for request in audit_log.requests(kubectl.namespace)
        if request.resource == "jobs" and request.verb == "create" and request.code < 300
    ]
    assert len(made) == len(set(made))


def wait_for_quiet(audit_log: AuditLog, namespace: str) -> bool:
    """Tell whether the operator stops writing: three seconds in a row without a write, within a generous time."""
    writes, quiet_since = len(audit_log.operators_writes(namespace)), time.monotonic()
    deadline = quiet_since + PATIENCE
    while time.monotonic() < deadline:
        time.sleep(0.5)
        seen = len(audit_log.operators_writes(namespace))
        if seen != writes:
            writes, quiet_since = seen, time.monotonic()
        elif time.monotonic() - quiet_since >= 3:
            return True
    return False


def test_the_spec_stays_the_users_and_deletion_needs_no_operator(kubectl: Kubectl, operator: OperatorProcess) -> None:
    create(kubectl, "x", IGNORES_SIGTERM, grace=1)
    kubectl.wait_for_phase("x", "Active")
    workflow = json.loads(kubectl.run("get", "workflow", "x", "--output=json", "--show-managed-fields"))

    managed = [
        entry for entry in workflow["metadata"]["managedFields"] if entry["manager"].startswith("mageflow-operator")
    ]
    assert {entry.get("subresource") for entry in managed} == {"status"}
    assert "finalizers" not in workflow["metadata"]
    assert set(workflow["metadata"]["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}
    operator.kill()
    try:
        kubectl.run("delete", "workflow", "x", f"--timeout={PATIENCE:.0f}s")
        deadline = time.monotonic() + PATIENCE
        while kubectl.jobs_of("x") or kubectl.pods_of("x"):
            assert time.monotonic() < deadline, kubectl.describe("x")
            time.sleep(0.2)
    finally:
        operator.start()
