"""Exit codes: docs/cli.md has them as a table, and tests/cli/test_docs.py sees to it that it is this one."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Final

from mageflow.cli.args import UnclearError
from mageflow.client.lifecycle_errors import DeadlineError, StateError
from mageflow.kube.errors import (
    ConfigError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    RequestError,
    UnauthorizedError,
    UnreachableError,
)


class Exit(IntEnum):
    """Exit code of the program."""

    DONE = 0
    """What was asked is done, or was so already"""
    FAILED = 1
    """The API server refused it for another reason; you said no; or several resources failed in several ways"""
    UNCLEAR = 2
    """The command line is wrong, a name is ambiguous, nothing is selected, or there is no terminal to ask on"""
    NOT_FOUND = 3
    """What was named isn't there"""
    STATE = 4
    """The resource is in no state for it: its task runs (suspend), it has ended, or somebody else overtook you"""
    LATE = 5
    """It didn't come in time: `--timeout` has passed, or no operator answers"""
    NO_CLUSTER = 6
    """No cluster: no usable kubeconfig, or the API server doesn't answer"""
    DENIED = 7
    """The API server doesn't know you, or you aren't allowed to"""
    INTERRUPTED = 130
    """Ctrl-C"""
    PIPE_CLOSED = 141
    """Whoever read the output has gone, as `head` does"""


_EXITS: Final = (
    (UnclearError, Exit.UNCLEAR),
    (NotFoundError, Exit.NOT_FOUND),
    ((UnauthorizedError, ForbiddenError), Exit.DENIED),
    ((RequestError, InvalidError), Exit.FAILED),
    (StateError, Exit.STATE),
    (DeadlineError, Exit.LATE),
    ((ConfigError, UnreachableError), Exit.NO_CLUSTER),
)


def exit_for(error: BaseException) -> Exit:
    """Return the exit code that an error means."""
    return next((exit_ for kinds, exit_ in _EXITS if isinstance(error, kinds)), Exit.FAILED)


def exit_for_all(errors: Iterable[BaseException]) -> Exit:
    """Return the exit code of several failures: theirs if all have the same, else FAILED."""
    codes = {exit_for(error) for error in errors}
    return codes.pop() if len(codes) == 1 else Exit.FAILED if codes else Exit.DONE


def describe(error: BaseException) -> str:
    """Return an error as one line."""
    text = error.message if isinstance(error, RequestError) and not isinstance(error, InvalidError) else str(error)
    return " ".join(line.strip() for line in text.splitlines()) or type(error).__name__
