"""What goes wrong between us and the API server: refusals, no answer, no cluster; and what an answer's status means.

MageflowError is the root of all errors of the project that a user may see; mageflow.client.lifecycle_errors draws the
whole tree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from mageflow.api import GROUP
from mageflow.kube.encoding import decode

NO_ANSWER: Final = 0
"""`ApiError.status` of a request that got no answer."""


class MageflowError(Exception):
    """Anything that goes wrong."""


class ConfigError(MageflowError):
    """There is no cluster to talk to: neither a usable kubeconfig nor a service account."""


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong."""

    field: str
    """Where, as a path such as `spec.tasks[1].retries`; empty if that isn't known."""
    message: str
    """What, for people."""

    def __str__(self) -> str:
        return f"{self.field}: {self.message}" if self.field else self.message


class InvalidError(MageflowError):
    """What was asked for is wrong: told by the models before anything is sent, or by the API server (400, 422)."""

    def __init__(self, what: str, causes: Sequence[Cause]) -> None:
        MageflowError.__init__(self, "\n  ".join((f"{what} is invalid:", *map(str, causes))))
        self.causes = tuple(causes)
        """All that is wrong, each with its field."""


class ApiError(MageflowError):
    """The API server refused a request, or gave no answer to it.

    `metav1.Status` tells what a refusal means:
    https://kubernetes.io/docs/reference/using-api/api-concepts/#response-status
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        details: Mapping[str, Any] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{status} {reason}: {message}" if status else message)
        self.status = status
        """The HTTP status; 0 if there was no answer."""
        self.reason = reason
        """The API server's own word, such as `NotFound`."""
        self.message = message
        """The API server's sentence."""
        self.details = details or {}
        """What it tells besides: the object's kind and name, and the causes."""
        self.retry_after = retry_after
        """Seconds that it wants to be left alone (`Retry-After`); None if it said nothing of that."""

    @property
    def line(self) -> str:
        """Status, reason and message in one line, as a log has them."""
        return f"{self.status} {self.reason}: {self.message}" if self.status else self.message

    @property
    def may_pass(self) -> bool:
        """The same request may succeed a little later: nobody answered, or somebody is overloaded."""
        is_busy = self.status == HTTPStatus.TOO_MANY_REQUESTS or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return is_busy or self.status == NO_ANSWER

    @property
    def may_have_happened(self) -> bool:
        """What was asked for may have been done all the same: there was no answer, or one of a server in trouble.

        Not if a webhook said no or failed: that comes before anything is done.
        """
        is_in_doubt = self.status == NO_ANSWER or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        return is_in_doubt and not self.is_denied and not self.is_of_admission

    @property
    def is_refusal(self) -> bool:
        """The API server won't do it however often it is asked: not that it had no time, or the object has changed."""
        if "request is too large" in self.message:  # etcd's, which comes as 500
            return True
        is_for_now = self.status in (HTTPStatus.CONFLICT, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
        return HTTPStatus.BAD_REQUEST <= self.status < HTTPStatus.INTERNAL_SERVER_ERROR and not is_for_now

    @property
    def is_denied(self) -> bool:
        """A webhook said no: it may do so with any status."""
        return "denied the request" in self.message

    @property
    def is_of_admission(self) -> bool:
        """A webhook failed."""
        return "failed calling webhook" in self.message or "failed to call webhook" in self.message

    @property
    def names_fields(self) -> bool:
        """The object is invalid by fields of it; what a policy refuses has the same status, and names none."""
        return self.reason == "Invalid" and any(cause.get("field") for cause in self.details.get("causes") or ())

    @property
    def is_too_large(self) -> bool:
        """The object can't be stored, nor ever will be: etcd's and gRPC's own limits come as a server error."""
        return self.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE or (
            self.status == HTTPStatus.INTERNAL_SERVER_ERROR
            and ("request is too large" in self.message or "larger than max" in self.message)
        )

    @property
    def is_namespace_terminating(self) -> bool:
        """Nothing can be created any more: the namespace is being deleted."""
        return any(cause.get("reason") == "NamespaceTerminating" for cause in self.details.get("causes", ()))


class UnreachableError(ApiError):
    """The API server gave no answer. Whether a write was made is not known."""

    def __init__(self, message: str) -> None:
        super().__init__(NO_ANSWER, "NoAnswer", message)


class CredentialsError(ConfigError, UnreachableError):
    """No request could be made: the credentials couldn't be renewed. The next one tries to renew them again."""

    @property
    def may_pass(self) -> bool:
        """It is for a user to mend them."""
        return False


class RequestError(ApiError):
    """The API server refused a request."""


class InvalidRequestError(InvalidError, RequestError):
    """400, 422: the API server found wrong what was asked for."""

    def __init__(self, what: str, causes: Sequence[Cause], message: str, **answer: Any) -> None:
        RequestError.__init__(self, message=message, **answer)
        InvalidError.__init__(self, what, causes)


class UnauthorizedError(RequestError):
    """401: the API server doesn't know who asks; a token that has expired, most often."""


class ForbiddenError(RequestError):
    """403: the API server knows who asks, and the roles of that user or an admission policy don't allow it."""


class NotFoundError(RequestError):
    """404: it isn't there, or is not there any more."""


class ConflictError(RequestError):
    """409: it was changed, or deleted and made anew, since it was read."""


class AlreadyExistsError(ConflictError):
    """409: there is one with this name already."""


_CLASSES: Final[Mapping[int, type[RequestError]]] = {
    HTTPStatus.UNAUTHORIZED: UnauthorizedError,
    HTTPStatus.FORBIDDEN: ForbiddenError,
    HTTPStatus.NOT_FOUND: NotFoundError,
    HTTPStatus.CONFLICT: ConflictError,
}
_INVALID: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})
_FIELD: Final = re.compile(r'((?:unknown|duplicate) field) "([^"]+)"')
"""How strict decoding tells a field that isn't one."""

_NO_CRDS: Final = "it knows no such kind of object: are MageFlow's CRDs installed?"


def parse_answer(text: bytes) -> dict[str, Any]:
    """Parse what the API server answered; what isn't an object, as a proxy's page of HTML, is read as an empty one."""
    try:
        document = decode(text)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def error_of(status: int, text: bytes, path: str, retry_after: str | None = None) -> RequestError:
    """Return the error that an answer other than 2xx to a request for `path` means.

    `retry_after`: the answer's header `Retry-After`.
    """
    document = parse_answer(text)
    details = document.get("details") or {}
    message = document.get("message") or text.decode(errors="replace").strip() or f"no word about {path}"
    answer: dict[str, Any] = {
        "status": status,
        "reason": document.get("reason") or "Unknown",
        "details": details,
        "retry_after": _read_seconds(retry_after),
    }
    if status in _INVALID:
        what = " ".join(filter(None, (details.get("kind"), details.get("name")))) or path
        return InvalidRequestError(what, tuple(_causes(details, message)), message, **answer)
    if status == HTTPStatus.NOT_FOUND and not details.get("name") and path.startswith(f"/apis/{GROUP}/"):
        message = f"{message}: {_NO_CRDS}"
    kind = AlreadyExistsError if answer["reason"] == "AlreadyExists" else _CLASSES.get(status, RequestError)
    return kind(message=message, **answer)


def _read_seconds(retry_after: str | None) -> float | None:
    """Read the header; the API server sends seconds, never a date."""
    return float(retry_after) if retry_after is not None and retry_after.isdecimal() else None


def _causes(details: Mapping[str, Any], message: str) -> Iterator[Cause]:
    told = [Cause(cause.get("field") or "", cause.get("message") or "") for cause in details.get("causes") or ()]
    told += [Cause(field, what) for what, field in _FIELD.findall(message)] if not told else []
    yield from told or [Cause("", message)]
