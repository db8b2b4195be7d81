"""What a refusal of the API server means: the class of error, in its own words, with the fields at fault."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from mageflow.client.errors import (
    AlreadyExistsError,
    Cause,
    ConflictError,
    ForbiddenError,
    InvalidError,
    MageflowError,
    NotFoundError,
    RequestError,
    UnauthorizedError,
)

GONE: Final = 410
"""HTTP status: what a watch was to go on from is forgotten; it lists anew."""

_CLASSES: Final[Mapping[int, type[RequestError]]] = {
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
}
_INVALID: Final = frozenset({400, 422})
_FIELD: Final = re.compile(r'((?:unknown|duplicate) field) "([^"]+)"')
"""How strict decoding tells a field that isn't one."""

_NO_CRDS: Final = "it knows no such kind of object: are MageFlow's CRDs installed?"


def parse_answer(text: bytes) -> dict[str, Any]:
    """Parse what the API server answered; what isn't an object, as a proxy's page of HTML, is read as an empty one."""
    try:
        document = json.loads(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def error_of(status: int, text: bytes, path: str) -> MageflowError:
    """Return the error that an answer other than 2xx to a request for `path` means."""
    document = parse_answer(text)
    details = document.get("details") or {}
    message = document.get("message") or text.decode(errors="replace").strip() or f"no word about {path}"
    if status in _INVALID:
        what = " ".join(filter(None, (details.get("kind"), details.get("name")))) or path
        return InvalidError(what, tuple(_causes(details, message)))
    if status == 404 and not details.get("name") and path.startswith("/apis/"):
        message = f"{message}: {_NO_CRDS}"
    reason = document.get("reason") or "Unknown"
    kind = AlreadyExistsError if reason == "AlreadyExists" else _CLASSES.get(status, RequestError)
    return kind(status, reason, message)


def _causes(details: Mapping[str, Any], message: str) -> Iterator[Cause]:
    told = [Cause(cause.get("field") or "", cause.get("message") or "") for cause in details.get("causes") or ()]
    told += [Cause(field, what) for what, field in _FIELD.findall(message)] if not told else []
    yield from told or [Cause("", message)]
