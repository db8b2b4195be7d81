"""`python -m bench`: run the cases, print the table, and without `--quick` write the results and the docs."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.goals import Measured
from bench.latency import measure as measure_latency
from bench.peers import measure_argo, measure_kueue
from bench.processes import measure_failover, measure_plugin
from bench.realpods import measure_real_pods
from bench.report import print_table, write_report
from bench.scale import measure_events, measure_held
from bench.throughput import measure_label, measure_many, measure_workflows
from devkit.kubectl import KubectlError
from devkit.operator import OperatorError
from localcluster.tools import ClusterError

Case = Callable[[bool], Coroutine[Any, Any, dict[str, Measured]]]


async def _latency(quick: bool) -> dict[str, Measured]:
    return await measure_latency(10 if quick else 60)


async def _workflows(quick: bool) -> dict[str, Measured]:
    return await measure_workflows(100 if quick else 500)


async def _swarm(quick: bool) -> dict[str, Measured]:
    return await measure_many("Swarm", 200 if quick else 1000, 100)


async def _chain(quick: bool) -> dict[str, Measured]:
    return await measure_many("Chain", 20 if quick else 100, 1)


async def _label(quick: bool) -> dict[str, Measured]:
    return await measure_label(200 if quick else 1000)


async def _held(quick: bool) -> dict[str, Measured]:
    return await measure_held([300, 1000] if quick else [1000, 10000, 30000])


async def _events(quick: bool) -> dict[str, Measured]:
    return measure_events(500 if quick else 5000)


async def _plugin(quick: bool) -> dict[str, Measured]:
    return await measure_plugin(3 if quick else 15)


async def _failover(quick: bool) -> dict[str, Measured]:
    return await measure_failover(1 if quick else 5)


async def _real_pods(quick: bool) -> dict[str, Measured]:
    return await measure_real_pods(20 if quick else 100)


async def _kueue(quick: bool) -> dict[str, Measured]:
    return await measure_kueue(5 if quick else 30)


async def _argo(quick: bool) -> dict[str, Measured]:
    given = os.environ.get("MAGEFLOW_ARGO_KUBECONFIG")
    return await measure_argo(2 if quick else 8, Path(given) if given else None)


CASES: dict[str, Case] = {
    "latency": _latency,
    "workflows": _workflows,
    "swarm": _swarm,
    "chain": _chain,
    "label": _label,
    "held": _held,
    "events": _events,
    "plugin": _plugin,
    "failover": _failover,
    "kueue": _kueue,
    "argo": _argo,
    "realpods": _real_pods,
}


def run(
    only: Annotated[list[str] | None, typer.Option(help=f"A case: {', '.join(CASES)}. May be given again.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rounds; nothing is written.")] = False,
) -> None:
    """Measure the operator beside the same API calls made by a bare script."""
    unknown = [name for name in only or () if name not in CASES]
    if unknown:
        raise typer.BadParameter(f"no case {unknown[0]}; there are {', '.join(CASES)}", param_hint="--only")
    found: dict[str, Measured] = {}
    failed = []
    for name in only or CASES:
        print(f"bench: {name} …", file=sys.stderr, flush=True)
        try:
            measured = asyncio.run(CASES[name](quick))
        except (ClusterError, KubectlError, OperatorError) as error:
            print(f"bench: {name} NOT MEASURED: {error}", file=sys.stderr)
            failed.append(name)
            continue
        found |= measured
        if not quick:
            write_report(measured)  # at once: a later case may fail
    print_table(found)
    raise typer.Exit(1 if failed else 0)


if __name__ == "__main__":
    typer.run(run)
