"""What the operator makes of credentials that the API server refuses for a while."""

from __future__ import annotations

from pathlib import Path

from .process import Operator
from .stage import Namespace, wait_until
from .test_health import IMPATIENT
from .wire import Wire

REFUSALS = 12
"""Of the watches of six kinds of resources, and of the logins in between."""


async def test_it_goes_on_when_its_credentials_are_refused_for_a_while(
    namespace: Namespace, wired: tuple[Wire, Path], tmp_path: Path
) -> None:
    """It went on with a session that was closed after the first 401, and heard no news any more."""
    namespace.operator.kill()
    wire, kubeconfig = wired
    operator = Operator(kubeconfig, tmp_path, ("-c", IMPATIENT, "--all-namespaces"))
    try:
        await operator.start()
        with wire.refuse():
            workflow = await namespace.create()
            await wait_until("requests were refused", lambda: _have_been_refused(wire))
        await workflow.wait_for_pod()
        await workflow.set_lifecycle("suspended")
        await workflow.wait_for("Suspended")
        await wait_until("/healthz is good", lambda: _is_healthy(operator))
    finally:
        operator.kill()
    assert "Traceback" not in operator.log, operator.log[-6000:]


async def _is_healthy(operator: Operator) -> bool:
    return await operator.health() == 200


async def _have_been_refused(wire: Wire) -> bool:
    return len(wire.refused) >= REFUSALS
