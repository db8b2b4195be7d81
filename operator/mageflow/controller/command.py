"""The command `mageflow-operator`."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from enum import StrEnum
from typing import Annotated, Final
from uuid import uuid4

import kopf
import typer
import uvloop

from mageflow import __version__
from mageflow.controller.instrumentation import PortError
from mageflow.controller.operator import MissingResourceError, NamespaceError, run_operator
from mageflow.controller.settings import LeaseName, Settings
from mageflow.kube.config import read_own_namespace
from mageflow.kube.errors import ApiError, ConfigError

RECURSION_LIMIT: Final = 40_000
"""Enough for any object that the API server takes, whose JSON may be nested 10,000 levels deep. A single object that
Python can't read would end the watch, for all others as well."""


class LogFormat(StrEnum):
    """How log lines look."""

    TEXT = "text"
    JSON = "json"


class LogLevel(StrEnum):
    """The least important lines that are shown."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"


def start(
    namespace: Annotated[
        list[str] | None, typer.Option("--namespace", "-n", help="Watch this namespace; may be given several times.")
    ] = None,
    all_namespaces: Annotated[bool, typer.Option("--all-namespaces", "-A", help="Watch every namespace.")] = False,
    log_format: Annotated[LogFormat, typer.Option(help="How log lines look.")] = LogFormat.TEXT,
    log_level: Annotated[LogLevel, typer.Option(help="The least important lines to show.")] = LogLevel.INFO,
    health_port: Annotated[int, typer.Option(min=1, max=65535, help="TCP port of /healthz.")] = 8080,
    metrics_port: Annotated[int, typer.Option(min=0, max=65535, help="TCP port of /metrics; 0 for none.")] = 0,
    leader_elect: Annotated[
        bool, typer.Option("--leader-elect", help="Act only while holding a Lease: for several replicas.")
    ] = False,
    lease_namespace: Annotated[
        str | None, typer.Option(help="The namespace of the Lease. Default: the pod's own.", show_default=False)
    ] = None,
    lease_name: Annotated[str, typer.Option(help="The name of the Lease.")] = "mageflow-operator",
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
) -> None:
    """Reconcile Workflows into Job pods: suspend, interrupt and resume them by spec.lifecycle.

    The cluster is found the usual way: $KUBECONFIG or ~/.kube/config if there, else the pod's service account.
    """
    if version:
        typer.echo(f"mageflow-operator {__version__}")
        return
    if bool(namespace) == all_namespaces:
        raise typer.BadParameter("give either --all-namespaces or --namespace NAME, one or several")
    _configure_logs(log_format, log_level)
    sys.setrecursionlimit(RECURSION_LIMIT)
    settings = Settings(
        namespaces=tuple(dict.fromkeys(namespace or ())),
        health_port=health_port,
        metrics_port=metrics_port,
        lease=_find_lease(lease_namespace, lease_name) if leader_elect else None,
        identity=f"{socket.gethostname()}_{uuid4()}",
    )
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run_operator(settings))
    except (ConfigError, MissingResourceError, ApiError, PortError, NamespaceError) as error:
        typer.echo(f"mageflow-operator: {error}", err=True)
        raise typer.Exit(1) from error


def _find_lease(namespace: str | None, name: str) -> LeaseName:
    """Return where the Lease is; in a pod `namespace` defaults to the pod's own."""
    if namespace is None:
        namespace = read_own_namespace()
    if not namespace:
        raise typer.BadParameter("outside of a cluster --leader-elect takes --lease-namespace NAME")
    return LeaseName(namespace, name)


def _configure_logs(log_format: LogFormat, log_level: LogLevel) -> None:
    kopf.configure(
        debug=log_level is LogLevel.DEBUG,
        quiet=log_level is LogLevel.WARNING,
        log_format=kopf.LogFormat.JSON if log_format is LogFormat.JSON else kopf.LogFormat.FULL,
    )
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # two tracebacks for each probe that fails
    if log_level is not LogLevel.DEBUG:
        for chatty in ("kopf", "aiohttp.access"):
            logging.getLogger(chatty).setLevel(logging.WARNING)


def run() -> None:
    """Run the command."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(start)
    app()
