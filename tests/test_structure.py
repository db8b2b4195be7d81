"""The structure that CONTRIBUTING and docs/design.md tell of, where import-linter has no contract for it."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "operator" / "mageflow"
MODULES = sorted(PACKAGE.rglob("*.py"))
DESIGN = (ROOT / "docs" / "design.md").read_text()

LONGEST_FUNCTION = 50
LONGEST_FILE = 450


def functions() -> Iterator[tuple[str, int]]:
    """Yield the name of each function, with its file, and how many lines it has."""
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{path.relative_to(PACKAGE)}:{node.name}", (node.end_lineno or 0) - node.lineno + 1


def test_no_file_name_stands_for_two_rooms() -> None:
    names = Counter(path.name for path in MODULES if not path.name.startswith("__"))
    assert [name for name, count in names.items() if count > 1] == []


def test_each_function_fits_a_screen_and_each_file_has_one_subject() -> None:
    assert {name: lines for name, lines in functions() if lines > LONGEST_FUNCTION} == {}
    lengths = {str(path.relative_to(PACKAGE)): len(path.read_text().splitlines()) for path in MODULES}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FILE} == {}


@pytest.mark.parametrize("package", sorted(path.parent for path in PACKAGE.glob("*/__init__.py")), ids=lambda p: p.name)
def test_map_of_a_package_names_each_of_its_files(package: Path) -> None:
    """`__init__.py` says what each file is for, and names none that isn't there."""
    text = (package / "__init__.py").read_text()
    named = set(re.findall(r"\b(\w+\.py)\b", text))
    there = {path.name for path in package.glob("*.py") if not path.name.startswith("__")}
    assert named - {"__main__.py"} == there


def test_each_section_that_is_cited_is_there() -> None:
    """Comments cite docs/design.md as DESIGN: its sections by number, parts of those by the words that are bold."""
    code = "\n".join(
        path.read_text() for folder in ("operator", "tests", "hack") for path in (ROOT / folder).rglob("*.py")
    )
    code = re.sub(r"\s+(?:#: )?", " ", code)
    numbers = re.findall(r"DESIGN sections? (\d)(?: and (\d))?", code)
    cited = {number for pair in numbers for number in pair if number}
    assert len(numbers) > 20
    assert cited <= set(re.findall(r"^## (\d)\.", DESIGN, re.MULTILINE))
    parts = set(re.findall(r'DESIGN section \d, "([^"]+)"', code))
    assert len(parts) > 3
    assert {part for part in parts if f"**{part}" not in DESIGN} == set()
    assert not re.search(r"DESIGN \d", code), "a section is cited as such"


def test_each_file_that_the_docs_of_the_code_name_is_there() -> None:
    text = DESIGN + (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"`((?:api|core|kube|controller|client|cli|testing)/\w+\.py)`", text))
    tests = set(re.findall(r"`(tests/[\w/]+\.py)`", text))
    assert len(named) > 20
    assert len(tests) > 5
    missing = {name for name in named if not (PACKAGE / name).exists()}
    assert missing | {name for name in tests if not (ROOT / name).exists()} == set()
