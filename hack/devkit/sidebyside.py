"""A pytest plugin: a second process plays the tests that mostly wait, while this one plays the others.

    pytest -p devkit.sidebyside tests e2e

Its reports are shown and counted at the end, as if its tests had been played here.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Generator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import pytest

ASIDE: Final = ("tests/integration/test_crds.py", "e2e/")
"""How the names of the tests begin that the second process plays: together they take about as long as the others."""

Report = dict[str, Any]


class Recorder:
    """Keeps the reports of the tests that are played, in a form that another process can read."""

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def pytest_configure(self, config: pytest.Config) -> None:
        """Learn of the configuration, which knows how to write reports."""
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the report of a part of a test: of its setup, its call or its teardown."""
        hook = self._config.hook
        self.reports.append(hook.pytest_report_to_serializable(config=self._config, report=report))


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Play the tests here while those aside are played; then tell how these went."""
    aside = [item.nodeid for item in session.items if item.nodeid.startswith(ASIDE)]
    if not aside:
        return (yield)
    session.items = [item for item in session.items if not item.nodeid.startswith(ASIDE)]
    log = session.config.rootpath / ".pytest_cache" / "aside.log"
    context = multiprocessing.get_context("spawn")
    reader, writer = context.Pipe(duplex=False)
    with reader:  # once it is closed, a process that still plays ends by itself after its last test
        context.Process(target=play, args=(aside, log, writer)).start()
        writer.close()
        result = yield
        code, reports = reader.recv()
    for report in reports:
        tell(session.config, report)
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise session.Interrupted(f"the second process ended with code {code}; see {log}")
    return result


def play(tests: Sequence[str], log: Path, writer: Connection) -> None:
    """Play tests in this process, which from now on writes to a log; send pytest's exit code and the reports."""
    log.parent.mkdir(exist_ok=True)
    with log.open("wb") as output:
        os.dup2(output.fileno(), sys.stdout.fileno())
        os.dup2(output.fileno(), sys.stderr.fileno())
    recorder = Recorder()
    code = pytest.main(["-p", "no:cacheprovider", *tests], [recorder])
    writer.send((int(code), recorder.reports))


def tell(config: pytest.Config, serialized: Report) -> None:
    """Report a part of a test, as pytest does after it has played one."""
    report: pytest.TestReport = config.hook.pytest_report_from_serializable(config=config, data=serialized)
    if report.when == "setup":
        config.hook.pytest_runtest_logstart(nodeid=report.nodeid, location=report.location)
    config.hook.pytest_runtest_logreport(report=report)
    if report.when == "teardown":
        config.hook.pytest_runtest_logfinish(nodeid=report.nodeid, location=report.location)
