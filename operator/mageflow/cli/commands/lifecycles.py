"""`suspend`, `interrupt`, `resume`, `cancel`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Final, TypeAlias

from mageflow.cli import options
from mageflow.cli.operate import Request, operate
from mageflow.cli.operations import CANCEL, INTERRUPT, RESUME, SUSPEND, Operation

Command: TypeAlias = Callable[..., None]

HELP: Final = {
    SUSPEND: """Suspend resources: nothing new starts; what runs finishes. With --wait, return once it is safe to drain.

    A single Workflow that runs can't be suspended, as that would kill its task: it is left as it was, with exit code 4.
    """,
    INTERRUPT: """Interrupt resources: what runs is stopped, too, and runs again from its start once resumed.

    Says first what would be lost, and asks, unless nothing runs.
    """,
    RESUME: """Resume resources that were suspended or interrupted. With --wait, return once they run.""",
    CANCEL: """Cancel resources for good: what runs is stopped, and nothing starts again.

    Says first what would be lost, and asks.
    """,
}


def make_command(operation: Operation) -> Command:
    """Make the command of an operation; only one that may lose something has `--yes`."""

    def command(
        words: options.Words = None,
        namespace: options.Namespace = None,
        all_namespaces: options.AllNamespaces = False,
        selector: options.Selector = None,
        everything: options.Everything = False,
        waits: options.Wait = False,
        timeout: options.Timeout = None,
        dry_run: options.DryRunOption = options.DryRun.NONE,
        yes: options.Yes = False,
        output: options.OutputOption = None,
        context: options.Context = None,
        kubeconfig: options.Kubeconfig = None,
    ) -> None:
        target = options.Target(namespace, context, kubeconfig)
        chosen = (tuple(words or ()), selector, all_namespaces, everything)
        request = Request(*chosen, waits, timeout, dry_run, output)
        operate(operation, target, request, is_agreed=yes or not operation.asks)

    command.__name__ = operation.verb
    command.__doc__ = HELP[operation]
    if not operation.asks:
        signature = inspect.signature(command, eval_str=True)
        kept = [parameter for name, parameter in signature.parameters.items() if name != "yes"]
        command.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
    return command
