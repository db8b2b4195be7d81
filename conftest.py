"""Which tests `make test` plays in the same one of its three processes, by the cluster they share; Ctrl-C for all."""

from __future__ import annotations

import signal

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

GROUPS = {
    "tests/integration/test_cli.py": "clients",
    "tests/integration/test_client.py": "clients",
    "tests/integration/test_crashes.py": "clients",
    "tests/integration/test_crds.py": "clients",
    "tests/integration/test_leader.py": "clients",
    "tests/integration/test_metrics.py": "clients",
    "tests/integration/test_model_is_true.py": "clients",
    "tests/integration/test_namespaces.py": "clients",
    "tests/integration/": "integration",
    "e2e/": "e2e",
}
"""By the beginning of a test's name, the first that fits. Others, which need no cluster, go where there is room.

Each group of `tests/integration` has a control plane of its own; two take about as long as the e2e tests.
"""


class BySharedCluster(LoadScopeScheduling):  # type: ignore[misc]
    """Gives each process whole groups, and single tests that are in none."""

    def _split_scope(self, nodeid: str) -> str:
        return next((group for beginning, group in GROUPS.items() if nodeid.startswith(beginning)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> BySharedCluster:
    """Have pytest-xdist use it."""
    return BySharedCluster(config, log)


def pytest_configure() -> None:
    """Heed Ctrl-C, and have what tests start heed it: a shell that starts a command with `&` has it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
