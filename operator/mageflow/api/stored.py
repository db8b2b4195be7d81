"""Sizes of JSON as the API server stores it: how large an object may be, and text that is cut to fit."""

from __future__ import annotations

import json
from typing import Any, Final

from pydantic_core import to_json

MAX_OBJECT: Final = 1_400_000
"""Bytes of a resource with its status. A request to etcd has 1.5 MiB, and a little more in it than the object.

https://etcd.io/docs/v3.5/dev-guide/limit/
"""

ESCAPED: Final = 6
"""Bytes that a character of one byte can take as it is stored: a control character, and `<`, are `\\u003c` there."""

_WIDER: Final = {b"<": 5, b">": 5, b"&": 5, "\u2028".encode(): 3, "\u2029".encode(): 3}
"""Characters that Go writes as \\uXXXX and Python as they are, each with the bytes that are more."""


def size_of(document: Any) -> int:
    """Return how many bytes a JSON value takes; 0 if it is nested too deeply to tell."""
    try:
        text = to_json(document)
    except ValueError:  # half a surrogate pair in it, or nested too deeply for that serializer
        try:
            text = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")
        except RecursionError:
            return 0
    return len(text) + sum(text.count(character) * more for character, more in _WIDER.items())


def shorten(text: str, limit: int) -> str:
    """Cut text that takes more than `limit` bytes, quotes not counted; an `…` says so."""
    if len(text) * ESCAPED <= limit or size_of(text) - 2 <= limit:
        return text
    end = "…"
    kept = text[: limit - len(end.encode())]
    while size_of(kept + end) - 2 > limit:
        kept = kept[: min(len(kept) - 1, len(kept) * limit // (size_of(kept) - 2))]
    return kept + end
