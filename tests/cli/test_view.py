"""Resources that are watched: read once for each version, and forgotten once they are gone."""

from __future__ import annotations

from typing import Any

from mageflow.cli.view import Views

from .builders import resource


def version(name: str, number: int) -> dict[str, Any]:
    manifest = resource(name=name)
    manifest["metadata"]["resourceVersion"] = str(number)
    return manifest


def test_only_what_has_changed_is_read_anew() -> None:
    views = Views()
    before = views.read([version("a", 1), version("b", 2)])
    after = views.read([version("a", 1), version("b", 3)])
    assert list(after) == ["u-a", "u-b"]
    assert after["u-a"] is before["u-a"]
    assert after["u-b"] is not before["u-b"]


def test_what_is_gone_is_forgotten() -> None:
    """A watch may last for weeks."""
    views = Views()
    views.read([version("a", 1), version("b", 2)])
    assert list(views.read([version("b", 2)])) == ["u-b"]
    assert list(views._read) == ["u-b"]
