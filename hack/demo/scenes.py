"""The scenes of the demo: together, every transition of a Workflow, a Chain and a Swarm."""

from __future__ import annotations

from typing import Final

from demo.stage import Play, Scene
from devkit.kubectl import Raw, condition

POOL: Final = "example.mageflow.io/pool"


def run_to_success(play: Play) -> None:
    """Apply one and see its output."""
    play.apply("hello.yaml")
    status = play.expect("workflow/hello", "Succeeded", pods="ended")
    play.check("its output is the task's", status.get("output") == {"greeting": "hello"}, status.get("output"))


def hold_while_pending(play: Play, example: str, name: str) -> None:
    """Suspend and interrupt a resource whose pods wait for a node, resume it each time, and let it run."""
    play.apply(example)
    play.wait_for_pod(name, "pending")
    for lifecycle, phase in (("suspended", "Suspended"), ("interrupted", "Interrupted")):
        play.patch(name, lifecycle)
        play.expect(name, phase, pods="none", reason=phase)
        play.patch(name, "active")
        play.expect_reason(name, "Unschedulable", pods="pending")
        play.expect(name, "Pending", pods="pending")
    play.run("label", "nodes", "--all", "--overwrite", f"{POOL}=batch")
    try:
        status = play.expect(name, "Succeeded", pods="ended", tasks_end=True)
    finally:
        play.run("label", "nodes", "--all", f"{POOL}-")
    play.check("nothing that ran was interrupted", condition(status, "Consistent").get("status") == "True", status)
    play.check("no retry was used up", not any("failures" in task for task in status["tasks"]), status["tasks"])


def suspend_a_running_task(play: Play) -> None:
    """Suspend a Workflow that runs."""
    play.apply("init-container.yaml")
    play.expect("workflow/init-container", "Active", pods="running")
    play.patch("workflow/init-container", "suspended")
    play.expect_reason("workflow/init-container", "TaskAlreadyRunning", pods="running")
    status = play.expect("workflow/init-container", "Succeeded", pods="ended", tasks_end=True)
    play.check("it ran once", status["tasks"][0]["run"] == 1, status["tasks"])


def suspend_while_active(play: Play, example: str, name: str) -> None:
    """Suspend a resource with several tasks while one runs, and resume it."""
    play.apply(example)
    play.expect(name, "Active", pods="running")
    play.patch(name, "suspended")
    play.expect(name, "Suspending", pods="running")
    status = play.expect(name, "Suspended", pods="none", reason="Suspended", tasks_end=True)
    done = status["done"]
    play.check("what ran has finished, and more is to come", 0 < done < status["total"], status["progress"])
    play.patch(name, "active")
    play.wait_for_pod(name, "running")
    status = play.expect(name, "Active", pods="running")
    play.check("nothing was interrupted", condition(status, "Consistent").get("status") == "True", status)


def interrupt_while_active(play: Play, example: str, name: str) -> None:
    """Interrupt a resource while a task runs, resume it, and see it through."""
    play.apply(example)
    play.expect(name, "Active", pods="running")
    play.patch(name, "interrupted")
    status = play.expect(name, "Interrupted", pods="none", reason="Interrupted")
    play.check("an interruption, and no failure", status["interruptions"] > 0 and status["failed"] == 0, status)
    play.patch(name, "active")
    play.wait_for_pod(name, "running")
    status = play.expect(name, "Active", pods="running")
    reason = condition(status, "Consistent").get("reason")
    play.check("it says that it may be inconsistent", reason == "InterruptedWhileRunning", reason)


def cancel_while_active(play: Play, example: str, name: str) -> None:
    """Make a resource anew, cancel it while a task runs, and try to take it back."""
    play.run("delete", name, "--ignore-not-found")
    play.apply(example)
    play.wait_for_pod(name, "running")
    play.expect(name, "Active", pods="running")
    play.patch(name, "canceled")
    play.expect(name, "Canceled", pods="none", reason="Canceled")
    refusal = play.refused_patch(name, "active")
    play.check("it can't be set back", "canceled" in refusal, refusal)


def suspend_before_a_retry(play: Play) -> None:
    """Suspend a Workflow whose run is going to fail."""
    name = "workflow/retries"
    play.apply("retries.yaml")
    play.expect(name, "Active", pods="running")
    play.patch(name, "suspended")
    play.expect_reason(name, "TaskAlreadyRunning", pods="running")
    status = play.expect(name, "Suspended", pods="none", reason="Suspended", tasks_end=True)
    play.check("the failure counts, the back-off stands still", "backoffSeconds" in _task(status), _task(status))
    play.patch(name, "active")
    what = "the rest of the back-off is waited for, or is over already"
    status = play.kubectl.wait(what, name, lambda status: "retryAt" in _task(status) or _task(status)["run"] == 2)
    play.check(what, condition(status, "Ready").get("reason") == "BackingOff" or _task(status)["run"] == 2, status)
    status = play.expect(name, "Succeeded", pods="ended", tasks_end=True)
    play.check("the second run succeeded", _task(status)["run"] == 2, _task(status))


def create_suspended(play: Play) -> None:
    """Create a Workflow suspended, and resume it."""
    name = "workflow/created-suspended"
    play.apply("created-suspended.yaml")
    play.expect(name, "Suspended", pods="none", reason="Suspended")
    jobs = play.kubectl.jobs_of(name)
    play.check("it has no Job", not jobs, jobs)
    play.patch(name, "active")
    play.expect(name, "Succeeded", pods="ended")


def hold_the_namespace(play: Play) -> None:
    """Suspend and interrupt all that is in a namespace, and let it go on."""
    chain, workflow = "chain/pipeline", "workflow/waits-for-node"
    for name in (chain, workflow):
        play.run("delete", name, "--ignore-not-found")
    play.apply("chain.yaml")
    play.expect(chain, "Active", pods="running")
    play.label_namespace("suspended")
    play.apply("waits-for-node.yaml")
    play.expect(workflow, "Suspended", pods="none", reason="Suspended")
    play.expect(chain, "Suspended", pods="none", reason="Suspended", tasks_end=True)
    play.label_namespace("interrupted")
    for name in (chain, workflow):
        status = play.expect(name, "Interrupted", pods="none", reason="Interrupted")
        play.check("it is the namespace that holds it", status["lifecycleSource"] == "namespace", status)
    play.label_namespace(None)
    play.expect(workflow, "Pending", pods="pending")
    play.wait_for_pod(chain, "running")
    status = play.expect(chain, "Active", pods="running")
    play.check("what ran had finished, nothing was interrupted", status["done"] == 1, status["progress"])
    play.check("it is consistent", condition(status, "Consistent").get("status") == "True", status)


def _task(status: Raw) -> Raw:
    task: Raw = status["tasks"][0]
    return task


PENDING_TRANSITIONS: Final = (
    "Pending → suspended → Suspended → active → Pending → interrupted → Interrupted → active → Pending"
)

SCENES: Final = (
    Scene("Workflow: Pending → Active → Succeeded", run_to_success),
    Scene(
        f"Workflow: {PENDING_TRANSITIONS}",
        lambda play: hold_while_pending(play, "waits-for-node.yaml", "workflow/waits-for-node"),
        uses_pool=True,
    ),
    Scene(
        f"Chain: {PENDING_TRANSITIONS}",
        lambda play: hold_while_pending(play, "chain-waits-for-node.yaml", "chain/chain-waits-for-node"),
        uses_pool=True,
    ),
    Scene(
        f"Swarm: {PENDING_TRANSITIONS}",
        lambda play: hold_while_pending(play, "swarm-waits-for-node.yaml", "swarm/swarm-waits-for-node"),
        uses_pool=True,
    ),
    Scene("Workflow: Active → suspended: a task that runs is not stopped", suspend_a_running_task),
    Scene("Workflow: Active → suspended → Suspended → active → Active: a retry is held", suspend_before_a_retry),
    Scene(
        "Workflow: Active → interrupted → Interrupted → active → Active",
        lambda play: interrupt_while_active(play, "long-running.yaml", "workflow/long-running"),
    ),
    Scene(
        "Chain: Active → suspended → Suspended → active → Active",
        lambda play: suspend_while_active(play, "chain.yaml", "chain/pipeline"),
    ),
    Scene(
        "Chain: Active → interrupted → Interrupted → active → Active",
        lambda play: interrupt_while_active(play, "chain.yaml", "chain/pipeline"),
    ),
    Scene(
        "Swarm: Active → suspended → Suspended → active → Active",
        lambda play: suspend_while_active(play, "swarm.yaml", "swarm/render"),
    ),
    Scene(
        "Swarm: Active → interrupted → Interrupted → active → Active",
        lambda play: interrupt_while_active(play, "swarm.yaml", "swarm/render"),
    ),
    Scene(
        "Workflow: Active → canceled → Canceled, which is final",
        lambda play: cancel_while_active(play, "long-running.yaml", "workflow/long-running"),
    ),
    Scene(
        "Chain: Active → canceled → Canceled, which is final",
        lambda play: cancel_while_active(play, "chain.yaml", "chain/pipeline"),
    ),
    Scene(
        "Swarm: Active → canceled → Canceled, which is final",
        lambda play: cancel_while_active(play, "swarm.yaml", "swarm/render"),
    ),
    Scene("Workflow: created suspended, then resumed", create_suspended),
    Scene("A whole namespace, by its label: suspended, interrupted, released", hold_the_namespace, uses_pool=True),
)
