"""Every code block of docs/client.md is run: on the fake, or, if it has tests, by pytest."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mageflow.client.lifecycle_errors
from mageflow.testing import FakeCluster

DOCS = Path(__file__).parents[2] / "docs" / "client.md"
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", DOCS.read_text(), re.DOTALL | re.MULTILINE)
PROGRAMS = [code for language, code in BLOCKS if language == "python" and "def test_" not in code]
TESTS = [code for language, code in BLOCKS if language == "python" and "def test_" in code]


def test_no_block_is_left_out() -> None:
    assert len(PROGRAMS) + len(TESTS) + 1 == len(BLOCKS)


def test_errors_are_drawn_as_in_the_code() -> None:
    _, tree = inspect.cleandoc(mageflow.client.lifecycle_errors.__doc__ or "").split("\n\n", 1)
    tree = tree.rpartition("\n\n")[0]
    assert [code for language, code in BLOCKS if language == "text"] == [f"{tree}\n"]


@pytest.mark.parametrize("code", PROGRAMS, ids=range(len(PROGRAMS)))
def test_program_runs(code: str, mageflow_fake: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    sleep = asyncio.sleep
    monkeypatch.setattr(asyncio, "sleep", lambda _: sleep(0))
    if '"train"' in code:
        mageflow_fake.task("train").keeps_running()
    exec(compile(code, str(DOCS), "exec"), {"__name__": "__main__"})  # noqa: S102 - our own documentation


@pytest.mark.parametrize("code", TESTS)
def test_tests_pass(code: str, tmp_path: Path) -> None:
    (tmp_path / "test_nightly.py").write_text(code)
    with (tmp_path / "output").open("w") as output:
        options = ("-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function", "-W", "error")
        command = [sys.executable, "-m", "pytest", "-q", *options, str(tmp_path)]
        done = subprocess.run(command, cwd=tmp_path, stdout=output, stderr=output, check=False, timeout=300)
    assert done.returncode == 0, (tmp_path / "output").read_text()
