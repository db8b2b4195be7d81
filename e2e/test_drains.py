"""`kubectl drain`, by whatever means: the task has not failed, and its next run knows that the last was cut short."""

from __future__ import annotations

import pytest

from devkit.gate import GATE, open_gate
from devkit.gitops.watched import WatchedKubectl
from devkit.kubectl import condition
from devkit.patience import PATIENCE

from .resources import create, template, workflow


@pytest.mark.parametrize("option", ["--disable-eviction=true", "--disable-eviction=false"])
def test_next_run_knows_that_the_last_was_cut_short_when_the_node_is_drained(
    kubectl: WatchedKubectl, option: str
) -> None:
    """One exits 0 when it is stopped, the other is killed."""
    tells = 'echo "run=$MAGEFLOW_RUN resumed=$MAGEFLOW_RESUMED" > /dev/termination-log'
    traps = {"heeds": "trap 'exit 0' TERM", "is-killed": "true"}
    names = [create(kubectl, workflow(name, template(f"{trap}; {GATE}; {tells}"))) for name, trap in traps.items()]
    for name in names:
        kubectl.wait_for_phase(name, "Active")
    (node,) = (node["metadata"]["name"] for node in kubectl.find_all("nodes"))
    ours = f"--pod-selector=mageflow.io/name in ({', '.join(traps)})"
    try:
        kubectl.run("drain", node, option, "--force", ours, f"--timeout={PATIENCE:.0f}s")
    finally:
        kubectl.run("uncordon", node)

    for name in names:
        kubectl.wait(f"{name} has a second run", name, lambda status: status["tasks"][0]["run"] == 2)
        open_gate(kubectl, name)
    for name in names:
        status = kubectl.wait_for_phase(name, "Succeeded")
        task = status["tasks"][0]
        assert (status["output"], task.get("failures", 0), task["disruptions"]) == ("run=2 resumed=true", 0, 1)
        assert condition(status, "Consistent")["reason"] == "DisruptedWhileRunning"
