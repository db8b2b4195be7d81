"""Session: the client, event loop and terminal of one run of a command, and the exit code of what it raises."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import warnings
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import typer

from mageflow.cli.args import UnclearError
from mageflow.cli.exit_codes import Exit, describe, exit_for
from mageflow.cli.options import Target
from mageflow.cli.terminal import Terminal
from mageflow.client.connection import PATIENCE, Client, Connection
from mageflow.client.lifecycle_errors import InconsistentWarning
from mageflow.kube.errors import MageflowError

T = TypeVar("T")

LEAST_PATIENCE: Final = 1.0
"""Seconds that an answer is given at least, however short the time limit: it comes within some milliseconds."""


class Session:
    """The client, event loop and terminal of one run."""

    def __init__(self, runner: asyncio.Runner, client: Client, connection: Connection) -> None:
        self._runner = runner
        self.client = client
        self.connection = connection
        self.terminal = Terminal()

    @property
    def namespace(self) -> str:
        """The default namespace."""
        return self.connection.namespace

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end. Ctrl-C cancels it, and is raised as KeyboardInterrupt."""
        return self._runner.run(coroutine)


@contextmanager
def open_session(target: Target, timeout: float | None = None) -> Iterator[Session]:
    """Context manager: connect; an error raised within ends the program, with a line on stderr and an exit code.

    `timeout`: the seconds of `--timeout`; they also limit the client's patience.
    """
    with exit_on_error(), warnings.catch_warnings(), asyncio.Runner() as runner:
        warnings.simplefilter("ignore", InconsistentWarning)  # what it says is printed
        patience = PATIENCE if timeout is None else max(timeout, LEAST_PATIENCE)
        client = Client(
            kubeconfig=target.kubeconfig,
            context=target.context,
            namespace=target.namespace,
            patience=min(patience, PATIENCE),
        )
        session = Session(runner, client, runner.run(client.open()))
        try:
            yield session
        finally:
            runner.run(client.close())


@contextmanager
def exit_on_error() -> Iterator[None]:
    """Context manager: turn an error that is raised within, or by the last flush of stdout, into an exit code."""
    try:
        yield
        sys.stdout.flush()
    except (MageflowError, UnclearError) as error:
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()
        Terminal().error(describe(error))
        raise typer.Exit(exit_for(error)) from error
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None
    except BrokenPipeError:
        _forget_output()
        raise typer.Exit(Exit.PIPE_CLOSED) from None
    except OSError as error:  # a disk that is full, most often: those of the network are told as what they mean
        _forget_output()
        Terminal().error(error.strerror or str(error))
        raise typer.Exit(Exit.FAILED) from error


def _forget_output() -> None:
    """Send what is still to be flushed to /dev/null."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
