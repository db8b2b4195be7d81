"""JSON to and from the API server: all that it takes is read and written, by the slower parser if need be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mageflow.kube.encoding import decode, encode

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=())),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_is_read_as_it_was_and_as_python_reads_it(value: Any) -> None:
    """Half surrogate pairs are among the text: a user's annotation may have one."""
    assert json.loads(encode(value)) == value
    assert decode(encode(value)) == value
    assert decode(json.dumps(value).encode()) == value


@pytest.mark.parametrize("depth", [100, 300, 700])
def test_what_is_nested_deeply_is_read_and_written(depth: int) -> None:
    """pydantic's parser gives up at 200, its serializer at 255."""
    text = b"[" * depth + b"]" * depth
    assert encode(decode(text)) == text


@pytest.mark.parametrize("text", [b"", b"<html>", b'{"type": "ADDED", "obj', b'{"a": 1} x', b"\xff"])
def test_what_is_no_json_is_a_value_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        decode(text)


def test_what_json_has_not_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        encode({"a": object()})
