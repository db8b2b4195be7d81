"""The command line: `python -m localcluster COMMAND`."""

from __future__ import annotations

import shutil
import sys
from typing import Annotated

import typer

from localcluster import commands
from localcluster.binaries import cache_folder, ensure
from localcluster.components import CHART_TOOLS, COMPONENTS
from localcluster.layout import of_this_clone
from localcluster.operatorimage import load_operator_image
from localcluster.tools import ClusterError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A real Kubernetes cluster, for development.")


@app.command()
def build() -> None:
    """Build what isn't cached of the local cluster's programs, Helm, promtool and the base of the operator's image."""
    ensure((*COMPONENTS, *CHART_TOOLS))
    commands.prepare_image()


@app.command()
def image() -> None:
    """Build the operator's image, give it to the local cluster, and print its name."""
    print(load_operator_image(of_this_clone()))


@app.command()
def up() -> None:
    """Start a cluster, or mend the one that is there.

    CLUSTER=current uses your kubeconfig as it is; else kind, if Docker runs; else a local one with real pods.
    """
    kubeconfig = commands.up()
    path = "" if shutil.which("kubectl") else f" PATH=$PATH:{cache_folder()}"
    print(f"The cluster is ready.\n  use it:   export KUBECONFIG={kubeconfig}{path}")
    if kubeconfig == of_this_clone().kubeconfig:
        print("  stop it:  make cluster-down")


@app.command()
def down(
    check: Annotated[bool, typer.Option(help="Fail if anything of a local cluster is left.")] = False,
) -> None:
    """Stop the cluster, and leave nothing behind."""
    commands.down(check=check)


if __name__ == "__main__":
    try:
        app()
    except ClusterError as error:
        sys.exit(f"error: {error}")
