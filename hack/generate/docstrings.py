"""The docstrings of attributes: the strings that follow them in a class body, which Python itself doesn't keep."""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache

_OTHERS = frozenset({"builtins", "enum", "pydantic"})


def attribute_docstrings(owner: type) -> dict[str, str]:
    """Map the attributes of a class, those of its bases of ours included, to their docstrings, a paragraph a line."""
    found: dict[str, str] = {}
    for ancestor in reversed(owner.__mro__):
        if ancestor.__module__.partition(".")[0] not in _OTHERS:
            found |= _own_docstrings(ancestor)
    return found


@cache
def _own_docstrings(owner: type) -> dict[str, str]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(owner))).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for statement, following in zip(definition.body, definition.body[1:], strict=False):
        name = _assigned_name(statement)
        if name is not None and isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            found[name] = unwrap(inspect.cleandoc(str(following.value.value)))
    return found


def unwrap(text: str) -> str:
    """Join the lines of each paragraph."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _assigned_name(statement: ast.stmt) -> str | None:
    match statement:
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return name
        case _:
            return None
