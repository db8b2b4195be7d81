"""The fixture `mageflow_fake`, in every project that has mageflow installed. It imports nothing until it is used."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from mageflow.testing.cluster import FakeCluster


@pytest.fixture
def mageflow_fake() -> Iterator[FakeCluster]:
    """A cluster in memory, to which `mageflow` and `mageflow.sync` connect in this test: no real one is asked."""
    from mageflow.testing.cluster import FakeCluster

    with FakeCluster().installed() as cluster:
        yield cluster
