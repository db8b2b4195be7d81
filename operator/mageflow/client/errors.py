"""Everything that can go wrong, as one tree, so that `except mageflow.MageflowError` catches all of it.

MageflowError
├── ConfigError                 no cluster to talk to: no usable kubeconfig, no service account
├── UnreachableError            the API server gave no answer: refused, no such host, TLS, too slow
├── InvalidError                what was asked for is wrong, and each cause names its field
├── RequestError                the API server refused, for another reason (`status`, `reason`)
│   ├── UnauthorizedError       401: it doesn't know who asks
│   ├── ForbiddenError          403: it knows, and says no
│   ├── NotFoundError           404, or deleted meanwhile
│   └── ConflictError           409: it was changed, or made anew, meanwhile
│       └── AlreadyExistsError  409: the name is taken
├── StateError                  the resource is in no state for it
│   ├── NotStartedError         `start()` comes first
│   ├── TaskAlreadyRunningError a single task runs, and a suspend never kills: `interrupt()` does
│   ├── OvertakenError          somebody else has set another lifecycle since
│   ├── BeingDeletedError       it is being deleted, so no status says any more what becomes of it
│   └── EndedError              it ended, and not as was waited for
└── DeadlineError               what was waited for didn't come in time; also a TimeoutError

UserWarning
└── InconsistentWarning         resumed, but a running task was interrupted: it runs again from its start
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mageflow.client.status import Status


class MageflowError(Exception):
    """Anything that goes wrong in the client."""


class ConfigError(MageflowError):
    """There is no cluster to talk to: neither a usable kubeconfig nor a service account."""


class UnreachableError(MageflowError):
    """The API server gave no answer. Whether a write was made is not known."""


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
        super().__init__("\n  ".join((f"{what} is invalid:", *map(str, causes))))
        self.causes = tuple(causes)
        """All that is wrong, each with its field."""


class RequestError(MageflowError):
    """The API server refused a request."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(f"{status} {reason}: {message}")
        self.status = status
        """The HTTP status."""
        self.reason = reason
        """The API server's own word, such as `NotFound`."""
        self.message = message
        """The API server's sentence."""


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


class StateError(MageflowError):
    """The resource is in no state for what was asked."""


class NotStartedError(StateError):
    """It isn't in the cluster yet: `start()` comes first."""


class TaskAlreadyRunningError(StateError):
    """A single task runs already, and a suspend never kills: the task runs on, to its end. `interrupt()` stops it."""

    def __init__(self, message: str, *, is_taken_back: bool) -> None:
        super().__init__(message)
        self.is_taken_back = is_taken_back
        """Whether `spec.lifecycle` is again what it was before the call. If not, the message says why."""


class OvertakenError(StateError):
    """Somebody else has set another lifecycle since: it is theirs that counts."""


class BeingDeletedError(StateError):
    """It is being deleted, which somebody's finalizer may draw out: no status says any more what becomes of it.

    What was asked for is asked for all the same. A stop still stops its pods.
    """


class EndedError(StateError):
    """It ended, and not as was waited for."""

    def __init__(self, message: str, status: Status) -> None:
        super().__init__(message)
        self.status = status
        """How it ended."""


class DeadlineError(MageflowError, TimeoutError):
    """What was waited for didn't come in time. Nothing is undone: what was asked for is asked for still."""


class InconsistentWarning(UserWarning):
    """It was resumed, but a running task had been interrupted: it runs again from its start."""
