"""Connections: the cluster that a call goes to.

That of its `client=`; else of the `Client` in whose block the call is made; else the default, as kubectl finds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias
from weakref import WeakKeyDictionary

from mageflow.kube.transport import Transport

MANAGER: Final = "mageflow-client"
"""The field manager: who the client is in `managedFields` and in the audit log."""

PATIENCE: Final = 60.0
"""Seconds without an answer after which nobody is said to be there, unless a Client is told otherwise."""

Opener: TypeAlias = Callable[[str | Path | None, str | None], Awaitable[tuple[Transport, str]]]
"""Takes a kubeconfig and a context, each or None; returns the way to the cluster, and its default namespace."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A cluster, as the resources use it."""

    transport: Transport
    namespace: str
    """The one that is meant where none is named."""
    patience: float
    """Seconds without an answer, of the operator or of an API server that broke off, after which an error says so."""


class Client:
    """A connection to a cluster: `async with mageflow.Client(context="staging"):`.

    In its block, and in the asyncio tasks that are made there, all functions of `mageflow` use it. Where a block won't
    do, it is given to them as `client=`, and closed by `close()`. It connects when it is first used, and belongs to
    the event loop in which that was.

    Without arguments it finds the cluster as kubectl does: `$KUBECONFIG`, `~/.kube/config`, else the pod's service
    account.

    `namespace`: the one that is meant where none is named; by default the context's.
    `patience`: seconds without an answer after which nobody is said to be there: no operator, by a DeadlineError, or no
    API server for a watch that broke off, by the last error. It limits no wait that was answered; `seconds` does.
    """

    def __init__(
        self,
        *,
        kubeconfig: str | Path | None = None,
        context: str | None = None,
        namespace: str | None = None,
        patience: float = PATIENCE,
    ) -> None:
        self._kubeconfig = kubeconfig
        self._context = context
        self._namespace = namespace
        self._patience = patience
        self._opening = asyncio.Lock()
        self._connection: Connection | None = None
        self._blocks = 0

    async def __aenter__(self) -> Client:
        await self.open()
        self.enter()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.leave():
            await self.close()

    async def open(self) -> Connection:
        """Connect, unless it has. No request is made yet. Raises ConfigError if no cluster is found."""
        async with self._opening:
            if self._connection is None:
                transport, namespace = await _opener(self._kubeconfig, self._context)
                self._connection = Connection(transport, self._namespace or namespace, self._patience)
            return self._connection

    async def close(self) -> None:
        """Close its connections. It connects anew if it is used again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.transport.close()

    def enter(self) -> None:
        """Have calls in this thread or asyncio task use it until `leave`. It may be entered several times."""
        self._blocks += 1
        _entered.set((*_entered.get(), self))

    def leave(self) -> bool:
        """Undo one `enter`; return whether that was the last.

        No token of the ContextVar is kept: it would be refused where a block ends in another context than it began in,
        as that of a fixture may.
        """
        self._blocks -= 1
        others = list(_entered.get())
        if self in others:
            del others[len(others) - 1 - others[::-1].index(self)]
            _entered.set(tuple(others))
        return self._blocks == 0


async def open_connection(client: Client | None) -> Connection:
    """Return the connection that a call with `client=client` uses, opened. Raises ConfigError."""
    entered = _entered.get()
    return await (client or (entered[-1] if entered else await _default_client())).open()


@contextmanager
def connect_using(opener: Opener) -> Iterator[None]:
    """Context manager: every client that connects within, in any thread, does so by this opener, as to a fake."""
    global _opener, _defaults
    before = _opener, _defaults
    _opener, _defaults = opener, WeakKeyDictionary()
    try:
        yield
    finally:
        _opener, _defaults = before


async def _default_client() -> Client:
    """Return the default client of this event loop.

    Nobody closes it, but the loop itself: what `asyncio.run` does at its end, besides, is to close async generators.
    """
    loop = asyncio.get_running_loop()
    if loop not in _defaults:
        client = Client()
        keeper = _keep(client)
        _defaults[loop] = client, keeper
        await anext(keeper)
    return _defaults[loop][0]


async def _keep(client: Client) -> AsyncGenerator[None]:
    try:
        yield
    finally:
        await client.close()


async def _open_http(kubeconfig: str | Path | None, context: str | None) -> tuple[Transport, str]:
    from mageflow.kube.config import load_config
    from mageflow.kube.http import REQUEST_SECONDS, HttpTransport

    config = await load_config(kubeconfig, context)
    return HttpTransport(config.configuration, MANAGER, patience=REQUEST_SECONDS), config.namespace


_opener: Opener = _open_http
_entered: ContextVar[tuple[Client, ...]] = ContextVar("mageflow_client", default=())
"""The clients whose blocks these are, the outermost first."""
_defaults: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Client, AsyncGenerator[None]]] = WeakKeyDictionary()
