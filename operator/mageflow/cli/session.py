"""One run of a command: the client and its event loop, and what becomes of errors."""

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
    """What a command works with."""

    def __init__(self, runner: asyncio.Runner, client: Client, connection: Connection) -> None:
        self._runner = runner
        self.client = client
        self.connection = connection
        self.terminal = Terminal()

    @property
    def namespace(self) -> str:
        """The namespace that is meant where none is named."""
        return self.connection.namespace

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end. Ctrl-C cancels it, and is raised as KeyboardInterrupt."""
        return self._runner.run(coroutine)


@contextmanager
def open_session(target: Target, timeout: float | None = None) -> Iterator[Session]:
    """Connect. What is raised in the block ends the program: with one line on stderr, and its exit code."""
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
    """Turn what is raised in the block into an exit code, and flush what was written while errors can be told."""
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
    """Let what is left to be flushed go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
