"""Shell completion of names from the cluster: within two seconds, and silent whatever goes wrong.

Typer asks for them for `--install-completion`; kubectl asks the program `kubectl_complete-mageflow`, which speaks the
protocol of kubectl's own completion: a candidate a line, then `:4`, which says that files are none.
https://kubernetes.io/docs/tasks/extend-kubectl/kubectl-plugins/
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

import typer

from mageflow.api import KINDS
from mageflow.cli.args import find_kinds
from mageflow.client.connection import Client
from mageflow.client.factory import find
from mageflow.client.resource import Resource

SECONDS: Final = 2.0
"""How long somebody waits for a completion."""

NO_FILES: Final = ":4"


def complete_names(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return what a word may be completed to: a name; kind/name once a kind is begun; a kind as the first word."""
    words: list[str] = [*(ctx.params.get("words") or ()), *ctx.args]
    with contextlib.suppress(Exception):
        options = {name: ctx.params.get(name) for name in ("kubeconfig", "context", "namespace")}
        resources = asyncio.run(_list_in_time(options))
        return sorted({word for word in candidates(resources, words, incomplete) if word.startswith(incomplete)})
    return []


def candidates(resources: Iterable[Resource], words: list[str], incomplete: str) -> Iterator[str]:
    """Yield the candidates for the word after `words`."""
    kinds = find_kinds(words[0]) if words and "/" not in words[0] else None
    if kinds is None and "/" in incomplete:
        yield from (_with_kind(resource) for resource in resources)
        return
    taken = Counter(resource.name for resource in resources)
    for resource in resources:
        if kinds is not None:
            if resource.kind in {kind.name for kind in kinds} and resource.name not in words:
                yield resource.name
        elif taken[resource.name] > 1 or find_kinds(resource.name):
            yield _with_kind(resource)
        elif resource.name not in words:
            yield resource.name
    if not words:
        yield from (kind.singular for kind in KINDS)


async def _list_in_time(options: dict[str, Any]) -> list[Resource]:
    client = Client(**options, patience=SECONDS)
    try:
        async with asyncio.timeout(SECONDS):
            return await find(client=client)
    finally:
        await client.close()


def _with_kind(resource: Resource) -> str:
    return f"{resource.kind.lower()}/{resource.name}"


def answer_kubectl(program: typer.Typer, words: list[str]) -> str:
    """Return the answer to kubectl: the candidates for the last word, the one being typed, then `:4`."""
    answer = ""
    with contextlib.suppress(Exception):
        answer = _ask_typer(program, words or [""])
    return f"{answer}{NO_FILES}\n"


def _ask_typer(program: typer.Typer, words: list[str]) -> str:
    """Return the candidates of the program's own completion, asked by these variables as bash asks it."""
    os.environ |= {
        "_KUBECTL_MAGEFLOW_COMPLETE": "complete_bash",
        "COMP_WORDS": shlex.join(["kubectl-mageflow", *words]),
        "COMP_CWORD": str(len(words)),
    }
    answer = io.StringIO()
    with contextlib.redirect_stdout(answer), contextlib.suppress(SystemExit):
        program(prog_name="kubectl-mageflow")
    return answer.getvalue().lstrip("\n")
