"""docs/cli.md tells what there is: every command, every exit code. That its commands run: tests/integration, e2e."""

from __future__ import annotations

import json
import re
from pathlib import Path

from typer.main import get_command

from mageflow.cli.app import app
from mageflow.cli.exit_codes import Exit
from mageflow.cli.verbs import OPERATIONS

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "cli.md").read_text()


def test_table_of_exit_codes_is_that_of_the_code() -> None:
    assert [int(code) for code in re.findall(r"^\| (\d+) \|", DOCS, re.MULTILINE)] == list(Exit)
    meanings = re.findall(r"^\| \d+ \| (.*) \|$", DOCS, re.MULTILINE)
    source = (ROOT / "operator" / "mageflow" / "cli" / "exit_codes.py").read_text()
    written = re.findall(r'= \d+\n    """(.*)"""', source)
    assert [meaning.replace("`", "").lower() for meaning in meanings] == [
        text.replace("`", "").lower() for text in written
    ]


def test_every_command_is_in_the_docs() -> None:
    names = set(get_command(app).commands)  # type: ignore[attr-defined]
    assert {operation.verb for operation in OPERATIONS} < names
    assert names == set(re.findall(r"^kubectl mageflow ([a-z]+)", DOCS, re.MULTILINE))


def test_all_that_is_to_be_typed_is_run_by_a_test() -> None:
    """tests/integration/test_cli.py and e2e/test_cli.py run what begins so."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", DOCS, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) > 20
    assert all(line.startswith(("kubectl mageflow ", "kubectl-mageflow ")) for line in lines)


def test_recording_shows_what_the_docs_say_that_it_does() -> None:
    """Made by e2e/test_cli.py: see there."""
    header, *events = map(json.loads, (ROOT / "docs" / "cli.cast").read_text().splitlines())
    assert header["version"] == 2
    assert [at for at, _, _ in events] == sorted(at for at, _, _ in events)
    shown = "".join(text for _, kind, text in events if kind == "o")
    for text in ("kubectl mageflow tree -w", "kubectl mageflow suspend nightly --wait", "Suspending", "━", "Succeeded"):
        assert text in shown
