"""The scenes of the demo: together, every transition of a Workflow."""

from __future__ import annotations

from typing import Final

from demo.stage import Play, Scene
from devkit.kubectl import condition

POOL: Final = "example.mageflow.io/pool"


def run_to_success(play: Play) -> None:
    """Pending → Active → Succeeded"""
    play.apply("hello.yaml")
    status = play.expect("hello", "Succeeded", pods="ended")
    play.check("its output is the task's", status.get("output") == {"greeting": "hello"}, status.get("output"))


def suspend_while_pending(play: Play) -> None:
    """Pending → suspended → Suspended → active → Pending"""
    play.apply("waits-for-node.yaml")
    play.wait_for_pod("waits-for-node", "pending")
    play.patch("waits-for-node", "suspended")
    play.expect("waits-for-node", "Suspended", pods="none", reason="Suspended")
    play.patch("waits-for-node", "active")
    play.expect_reason("waits-for-node", "Unschedulable", pods="pending")
    status = play.expect("waits-for-node", "Pending", pods="pending")
    play.check("nothing was ever interrupted", condition(status, "Consistent").get("status") == "True", status)


def interrupt_while_pending(play: Play) -> None:
    """Pending → interrupted → Interrupted → active → Pending, and on to Succeeded"""
    play.apply("waits-for-node.yaml")
    play.wait_for_pod("waits-for-node", "pending")
    play.patch("waits-for-node", "interrupted")
    play.expect("waits-for-node", "Interrupted", pods="none", reason="Interrupted")
    play.patch("waits-for-node", "active")
    play.wait_for_pod("waits-for-node", "pending")
    play.expect("waits-for-node", "Pending", pods="pending")
    play.run("label", "nodes", "--all", "--overwrite", f"{POOL}=batch")
    try:
        status = play.expect("waits-for-node", "Succeeded", pods="ended")
    finally:
        play.run("label", "nodes", "--all", f"{POOL}-")
    play.check("no retry was used up", status["tasks"][0].get("failures", 0) == 0, status["tasks"])


def suspend_while_running(play: Play) -> None:
    """Active → suspended: a task that runs is not stopped, and the resource says so"""
    play.apply("init-container.yaml")
    play.expect("init-container", "Active", pods="running")
    play.patch("init-container", "suspended")
    play.expect_reason("init-container", "TaskAlreadyRunning", pods="running")
    status = play.expect("init-container", "Succeeded", pods="ended")
    play.check("it ran once", status["tasks"][0]["run"] == 1, status["tasks"])


def interrupt_while_running(play: Play) -> None:
    """Active → interrupted → Interrupted → active → Active"""
    play.apply("long-running.yaml")
    play.expect("long-running", "Active", pods="running")
    play.patch("long-running", "interrupted")
    status = play.expect("long-running", "Interrupted", pods="none", reason="Interrupted")
    play.check("one interruption, no failure", status["interruptions"] == 1 and status["failed"] == 0, status)
    play.patch("long-running", "active")
    play.wait_for_pod("long-running", "running")
    status = play.expect("long-running", "Active", pods="running")
    play.check(
        "it says that it may be inconsistent",
        condition(status, "Consistent").get("reason") == "InterruptedWhileRunning",
        condition(status, "Consistent"),
    )


def cancel_while_running(play: Play) -> None:
    """Active → canceled → Canceled, which is final"""
    play.apply("long-running.yaml")
    play.patch("long-running", "active")
    play.expect("long-running", "Active", pods="running")
    play.patch("long-running", "canceled")
    play.expect("long-running", "Canceled", pods="none", reason="Canceled")
    refusal = play.refused_patch("long-running", "active")
    play.check("it can't be set back", "canceled" in refusal, refusal)


def suspend_before_a_retry(play: Play) -> None:
    """Active → suspended → Suspended → active → Active: a retry is held"""
    play.apply("retries.yaml")
    play.expect("retries", "Active", pods="running")
    play.patch("retries", "suspended")
    play.expect_reason("retries", "TaskAlreadyRunning", pods="running")
    status = play.expect("retries", "Suspended", pods="none", reason="Suspended")
    play.check("the failure counts, the back-off stands still", "backoffSeconds" in status["tasks"][0], status["tasks"])
    play.patch("retries", "active")
    play.expect("retries", "Active", pods="none", reason="BackingOff")
    status = play.expect("retries", "Succeeded", pods="ended")
    play.check("the second run succeeded", status["tasks"][0]["run"] == 2, status["tasks"])


def create_suspended(play: Play) -> None:
    """Created suspended: no Job is made until it is resumed"""
    play.apply("created-suspended.yaml")
    play.expect("created-suspended", "Suspended", pods="none", reason="Suspended")
    jobs = play.kubectl.jobs_of("created-suspended")
    play.check("it has no Job", not jobs, jobs)
    play.patch("created-suspended", "active")
    play.expect("created-suspended", "Succeeded", pods="ended")


SCENES: Final[tuple[Scene, ...]] = (
    run_to_success,
    suspend_while_pending,
    interrupt_while_pending,
    suspend_while_running,
    interrupt_while_running,
    cancel_while_running,
    suspend_before_a_retry,
    create_suspended,
)
