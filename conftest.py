"""Which tests `make test` plays in the same one of its three processes: those that share a cluster."""

from __future__ import annotations

import pytest

GROUPS = {
    "tests/integration/test_cli.py": "clients",
    "tests/integration/test_client.py": "clients",
    "tests/integration/test_crds.py": "clients",
    "tests/integration/test_leader.py": "clients",
    "tests/integration/test_metrics.py": "clients",
    "tests/integration/test_model_is_true.py": "clients",
    "tests/integration/": "integration",
    "e2e/": "e2e",
}
"""By the beginning of a test's name, the first that fits. Others, which need no cluster, go where there is room.

Each group of `tests/integration` has a control plane of its own; two take about as long as the e2e tests.
"""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put each test into its group, before pytest-xdist looks for it."""
    for item in items:
        group = next((group for beginning, group in GROUPS.items() if item.nodeid.startswith(beginning)), None)
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))
