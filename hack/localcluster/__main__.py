"""The command line: `python -m localcluster COMMAND`."""

from __future__ import annotations

import sys

import typer

from localcluster.binaries import ensure
from localcluster.errors import ClusterError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A real Kubernetes cluster, for development.")


@app.callback()
def _callback() -> None:
    """Keep a command's name on the command line even while there is one command only."""


@app.command()
def build() -> None:
    """Build the cluster's programs, unless they are in the cache."""
    ensure()


def main() -> None:
    """Run a command; what goes wrong as foreseen is told without a traceback."""
    try:
        app()
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
