"""Which tests `make test` plays in the same one of its two processes: those that share a cluster."""

from __future__ import annotations

import pytest

GROUPS = {
    "tests/integration/test_crds.py": "crds",
    "tests/integration/": "integration",
    "e2e/": "e2e",
}
"""By the beginning of a test's name, the first that fits. Others go where there is room.

The tests of the CRDs need an API server and nothing else, so theirs may be another than that of `tests/integration`.
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put each test into its group."""
    for item in items:
        group = next((group for beginning, group in GROUPS.items() if item.nodeid.startswith(beginning)), None)
        if group is not None:
            item.add_marker(pytest.mark.xdist_group(group))
