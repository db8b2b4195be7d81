"""Every transition of DESIGN section 1, and what a user sees of each."""

from __future__ import annotations

from .stage import Namespace


async def test_phase_goes_to_succeeded_when_nothing_is_held(namespace: Namespace) -> None:
    workflow, pod = await namespace.create_running()
    await namespace.kubelet.succeed(pod, output='{"rows": 3}')
    status = await workflow.wait_for("Succeeded")
    assert status["output"] == {"rows": 3}
