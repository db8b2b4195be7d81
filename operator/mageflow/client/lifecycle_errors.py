"""Everything that can go wrong, as one tree, so that `except mageflow.MageflowError` catches all of it.

MageflowError
├── ConfigError                   no cluster to talk to: no usable kubeconfig, no service account
│   └── CredentialsError          there is one, but the credentials can't be renewed; also an UnreachableError
├── InvalidError                  what was asked for is wrong, and each cause names its field
│   └── InvalidRequestError       400, 422: the API server says so; also a RequestError
├── ApiError                      the API server gave no answer, or a refusal (`status`, `reason`)
│   ├── UnreachableError          no answer: refused, no such host, TLS, too slow
│   └── RequestError              a refusal
│       ├── UnauthorizedError     401: it doesn't know who asks
│       ├── ForbiddenError        403: it knows, and says no
│       ├── NotFoundError         404, or deleted meanwhile
│       └── ConflictError         409: it was changed, or made anew, meanwhile
│           └── AlreadyExistsError  409: the name is taken
├── StateError                    the resource is in no state for it
│   ├── NotStartedError           `start()` comes first
│   ├── TaskAlreadyRunningError   a single task runs, and a suspend never kills: `interrupt()` does
│   ├── OvertakenError            somebody else has set another lifecycle since
│   ├── BeingDeletedError         it is being deleted, so no status says any more what becomes of it
│   └── EndedError                it ended, and not as was waited for
└── DeadlineError                 what was waited for didn't come in time; also a TimeoutError

UserWarning
└── InconsistentWarning           resumed, but a running task was interrupted: it runs again from its start

Errors of states and waits are defined here, those of requests in mageflow.kube.errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mageflow.kube.errors import MageflowError

if TYPE_CHECKING:
    from mageflow.client.resource_status import Status


class StateError(MageflowError):
    """The resource is in no state for what was asked."""


class NotStartedError(StateError):
    """It isn't in the cluster yet: `start()` comes first."""


class TaskAlreadyRunningError(StateError):
    """A single task runs already, and a suspend never kills: the task runs on, to its end. `interrupt()` stops it."""

    def __init__(self, message: str, *, is_taken_back: bool, consequence: str = "") -> None:
        super().__init__("; ".join(filter(None, (message, consequence))))
        self.is_taken_back = is_taken_back
        """Whether `spec.lifecycle` is again what it was before the call. If not, the message says why."""
        self.consequence = consequence
        """What became of the change, as the message says it."""


class OvertakenError(StateError):
    """Somebody else has set another lifecycle since, and theirs counts."""


class BeingDeletedError(StateError):
    """It is being deleted, and no status tells of it any more. Somebody's finalizer may keep it for long.

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
