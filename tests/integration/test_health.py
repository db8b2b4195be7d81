"""/healthz: 200 while watches and queue move, and not merely while the process is there."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from localcluster.controlplane import ControlPlane

from .process import NAME, Operator
from .stage import wait_until

IMPATIENT: Final = """
from mageflow.controller import settings
settings.WATCH_SECONDS, settings.WATCH_SLACK_SECONDS, settings.READ_SECONDS = 1, 3.0, 2.0
from mageflow.controller.__main__ import main
main()
"""
"""The operator with a patience of seconds where it has minutes: constants, which no option sets."""


async def test_health_is_good_when_all_is_well(operator: Operator) -> None:
    assert await operator.health() == 200


async def test_health_fails_when_the_api_server_does_not_answer_and_is_good_again_when_it_does(
    control_plane: ControlPlane, shared_operator: Operator, tmp_path: Path
) -> None:
    """The API server is stopped in its tracks: connections stay open, and no watch can be made anew."""
    shared_operator.kill()  # there is only ever one
    operator = Operator(control_plane.kubeconfig_for(NAME), tmp_path, ("-c", IMPATIENT, "--all-namespaces"))
    try:
        await operator.start()
        control_plane.pause("kube-apiserver")
        await wait_until("/healthz fails", lambda: _has_health(operator, 500))
        assert operator.is_running
        control_plane.resume("kube-apiserver")
        await wait_until("/healthz is good again", lambda: _has_health(operator, 200))
    finally:
        control_plane.resume("kube-apiserver")
        operator.kill()
    assert "Traceback" not in operator.log, operator.log


async def _has_health(operator: Operator, code: int) -> bool:
    return await operator.health() == code
