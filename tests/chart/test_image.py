"""What the operator's image is made of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from localcluster.operatorimage import base_name

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)", (ROOT / "requirements" / name).read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", ["operator.txt", "build.txt", "dev.txt"])
def test_each_locked_dependency_has_hashes_and_no_address(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    entries = re.split(r"^(?=[\w.-]+==)", text, flags=re.MULTILINE)[1:]
    assert entries
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text
    assert "--index" not in text


def test_the_image_has_what_is_tested() -> None:
    tested = pins("dev.txt")
    assert pins("operator.txt").items() <= tested.items()
    assert pins("build.txt").items() <= tested.items()


def test_nothing_needs_a_shell_and_nobody_is_root() -> None:
    instructions = [line.split(maxsplit=1) for line in DOCKERFILE.splitlines() if re.match("[A-Z]+ ", line)]
    assert all(rest.startswith("[") for name, rest in instructions if name in ("RUN", "ENTRYPOINT", "CMD"))
    assert [rest for name, rest in instructions if name == "USER"] == ["65532:65532"]
    assert not [name for name, _ in instructions if name == "HEALTHCHECK"]


def test_the_base_may_be_another() -> None:
    assert "\nARG BASE_IMAGE=python:3.13-slim\n" in DOCKERFILE
    assert DOCKERFILE.count("\nFROM ${BASE_IMAGE}") == DOCKERFILE.count("\nFROM ") == 2


def test_every_dependency_is_checked_by_its_hash() -> None:
    locked = re.findall(r'"--requirement", "requirements/(\w+)\.txt"', DOCKERFILE)
    assert sorted(locked) == ["build", "operator"]
    assert DOCKERFILE.count('"--require-hashes"') == len(locked)


def test_the_local_base_is_made_anew_when_what_it_is_made_of_changes() -> None:
    name = base_name("bookworm", "x86_64", b"certificates")
    assert name.startswith("localhost/mageflow-base:bookworm-")
    assert name == base_name("bookworm", "x86_64", b"certificates")
    others = [
        ("trixie", "x86_64", b"certificates"),
        ("bookworm", "arm64", b"certificates"),
        ("bookworm", "x86_64", b""),
    ]
    assert len({name, *(base_name(*other) for other in others)}) == 4
