"""How many steps the model took is told; what the operator logs isn't: some thousand lines a second."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from .machine import ClusterMachine


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if ClusterMachine.steps:
        terminalreporter.write_line(f"the model took {ClusterMachine.steps:,} steps in {ClusterMachine.plays:,} plays")


@pytest.fixture(autouse=True)
def _silence() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
