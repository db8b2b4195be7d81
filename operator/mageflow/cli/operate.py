"""`suspend`, `interrupt`, `resume`, `cancel`: look up, preflight, say what would be lost, ask, write, wait, report.

Each resource goes its own way: that one can't be found, or refuses, keeps no other from what was asked.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

import typer
from rich.text import Text

from mageflow.cli import options
from mageflow.cli.args import UnclearError, parse_selection
from mageflow.cli.exit_codes import Exit, describe, exit_for_all
from mageflow.cli.impact import assess_impact, describe_impact
from mageflow.cli.lookup import check_namespace, select
from mageflow.cli.objects import Output, format_objects
from mageflow.cli.options import DryRun, Target
from mageflow.cli.progress import Lines, choose_progress
from mageflow.cli.session import Session, open_session
from mageflow.cli.terminal import clean
from mageflow.cli.verbs import (
    CANCEL,
    INTERRUPT,
    RESUME,
    SUSPEND,
    Applicability,
    Operation,
    describe_already,
    describe_ended,
    describe_result,
    describe_running,
    describe_unfinished,
    preflight,
    refusal,
)
from mageflow.cli.view import View, read_view
from mageflow.client.factory import get
from mageflow.client.handle import ObjectHandle, ObjectRef
from mageflow.client.lifecycle_errors import DeadlineError, StateError, TaskAlreadyRunningError
from mageflow.client.lifecycle_requests import LifecycleRequest, send_request
from mageflow.client.resource import Resource
from mageflow.client.waiter import Answer, Outcome, Waiter
from mageflow.kube.errors import MageflowError
from mageflow.kube.transport import Raw

AT_ONCE: Final = 50
"""Resources that are written to at the same time."""

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
    """Return the command of an operation. Only an operation that may lose something has `--yes`."""

    def command(
        words: options.NamesArg = None,
        namespace: options.Namespace = None,
        all_namespaces: options.AllNamespaces = False,
        selector: options.Selector = None,
        everything: options.AllFlag = False,
        waits: options.Wait = False,
        timeout: options.Timeout = None,
        dry_run: options.DryRunOption = options.DryRun.NONE,
        yes: options.YesFlag = False,
        output: options.OutputOption = None,
        context: options.Context = None,
        kubeconfig: options.Kubeconfig = None,
    ) -> None:
        target = options.Target(namespace, context, kubeconfig)
        chosen = (tuple(words or ()), selector, all_namespaces, everything)
        request = Request(*chosen, waits, timeout, dry_run, output)
        run_operation(operation, target, request, is_agreed=yes or not operation.asks)

    command.__name__ = operation.verb
    command.__doc__ = HELP[operation]
    if not operation.asks:
        signature = inspect.signature(command, eval_str=True)
        kept = [parameter for name, parameter in signature.parameters.items() if name != "yes"]
        command.__signature__ = signature.replace(parameters=kept)  # type: ignore[attr-defined]
    return command


@dataclass(frozen=True, slots=True)
class Request:
    """The options of the four commands."""

    words: tuple[str, ...]
    selector: str | None
    all_namespaces: bool
    everything: bool
    waits: bool
    timeout: float | None
    dry_run: DryRun
    output: Output | None


@dataclass(slots=True, eq=False)
class Item:
    """One resource that was selected."""

    resource: Resource
    manifest: Raw
    """As it was read; after a dry run, as it would be."""
    view: View
    """As it was seen last."""

    @property
    def uid(self) -> str:
        """The uid of the resource."""
        uid: str = self.manifest["metadata"]["uid"]
        return uid


@dataclass(frozen=True, slots=True)
class Waited:
    """A request that is waited for."""

    item: Item
    handle: ObjectHandle
    request: LifecycleRequest


def run_operation(operation: Operation, target: Target, request: Request, *, is_agreed: bool) -> None:
    """Do an operation to all that is selected, and end the program with the exit code that tells how it went.

    `is_agreed`: nobody is asked.
    """
    with open_session(target, request.timeout) as session:
        _Operating(session, operation, request).run(is_agreed=is_agreed)


class _Operating:
    """One run of an operation on all that is selected."""

    def __init__(self, session: Session, operation: Operation, request: Request) -> None:
        self._session = session
        self._terminal = session.terminal
        self._operation = operation
        self._request = request
        self._errors: list[Exception] = []
        self._done: dict[str, Item] = {}
        """All for which it is, or already was, as asked, by uid: for `-o`."""

    def run(self, *, is_agreed: bool) -> None:
        request = self._request
        selection = parse_selection(
            request.words,
            request.selector,
            all_namespaces=request.all_namespaces,
            everything=request.everything,
            needs_choice=True,
        )
        found = self._session.run(select(self._session.client, selection))
        for error in found.errors:
            self._fail(error)
        if not found.resources and not found.errors:
            if not selection.all_namespaces:
                self._session.run(check_namespace(self._session.connection))
            self._terminal.info("No resources found.")
        items = [Item(it, manifest := it.manifest, read_view(manifest)) for it in found.resources]
        started_at = time.monotonic()
        left = self._sort_out(items, is_named=bool(selection.names))
        if request.dry_run is not DryRun.NONE:
            self._session.run(self._try(left))
        elif left:
            undone = [item for item in left if item.uid not in self._done]
            if undone and self._operation.asks and not is_agreed:
                self._ask([item.view for item in undone])
            sent = self._session.run(self._send(undone))
            asked = [self._as_requested(item) for item in left if item.uid in self._done]
            self._wait(sent + asked, started_at)
        self._end(is_one=len(selection.names) == 1)

    def _sort_out(self, items: Iterable[Item], *, is_named: bool) -> list[Item]:
        """Return the resources to write to or, with `--wait`, to wait for; tell of the others.

        That one has ended is an error where it was named; where it was selected among others, it is left alone.
        """
        left, ended = [], 0
        for item in items:
            match preflight(item.view, self._operation):
                case Applicability.GO:
                    left.append(item)
                case Applicability.ALREADY:
                    self._done[item.uid] = item
                    self._tell(item, describe_already(item.view, self._operation))
                    if not item.view.status.is_in_force and self._request.dry_run is DryRun.NONE:
                        left += [item] * self._request.waits
                case Applicability.RUNS if self._request.dry_run is not DryRun.NONE:
                    would = describe_running(item.view, "nothing would be changed")
                    self._tell(item, f"stays as it is: {would} ({self._request.dry_run.value} dry run)")
                case Applicability.RUNS:
                    self._fail(refusal(item.view), item)
                case Applicability.ENDED if is_named:
                    self._fail(StateError(describe_ended(item.view)), item)
                case Applicability.ENDED:
                    ended += 1
        if ended:
            self._terminal.info(
                f"{ended} {'has' if ended == 1 else 'have'} ended, and {'is' if ended == 1 else 'are'} left alone"
            )
        return left

    def _ask(self, views: list[View]) -> None:
        """Say what would be lost, and ask once for all.

        Raises typer.Exit if the answer is no, UnclearError if there is no terminal to ask on.
        """
        impacts = assess_impact(views, self._operation)
        if not impacts and self._operation is not CANCEL:
            return
        for line in describe_impact(impacts, self._operation, datetime.now(UTC)):
            self._terminal.info(clean(line))
        count = f"{len(views)} resource{'' if len(views) == 1 else 's'}"
        if not sys.stdin.isatty():
            raise UnclearError(
                f"this would {self._operation.verb} {count}, and there is no terminal to ask on: say --yes"
            )
        self._terminal.err.print(f"{self._operation.verb.capitalize()} {count}? [y/N] ", end="")
        try:
            answer = input()
        except EOFError:
            answer = ""
        if answer.strip().lower() not in ("y", "yes"):
            self._terminal.info("nothing was changed")
            raise typer.Exit(Exit.FAILED)

    async def _try(self, items: Iterable[Item]) -> None:
        """Dry run: tell what would be sent, or have the API server check it."""
        by = self._request.dry_run
        patch = json.dumps({"spec": {"lifecycle": self._operation.lifecycle.value}}, separators=(",", ":"))
        for item in items:
            try:
                if by is DryRun.SERVER:
                    item.manifest = await item.resource.check(self._operation.lifecycle)
                else:
                    item.manifest["spec"]["lifecycle"] = self._operation.lifecycle.value
            except MageflowError as error:
                self._fail(error, item)
                continue
            self._done[item.uid] = item
            self._tell(item, f"would be patched with {patch} ({by.value} dry run)")

    async def _send(self, items: Iterable[Item]) -> list[Waited]:
        """Write to each; return the requests that were accepted. Of those that weren't it is told why."""
        turns = asyncio.Semaphore(AT_ONCE)
        sent: list[Waited] = []

        async def send(item: Item) -> None:
            handle = self._handle_of(item)
            try:
                async with turns:
                    sent.append(Waited(item, handle, await send_request(handle, self._operation.lifecycle)))
            except MageflowError as error:
                self._fail(error, item, _describe_failure(item, error, None))

        async with asyncio.TaskGroup() as group:
            for item in items:
                group.create_task(send(item))
        return sent

    def _as_requested(self, item: Item) -> Waited:
        """Return the request that somebody made before: the lifecycle is set already."""
        request = LifecycleRequest(item.uid, self._operation.lifecycle, item.view.status.generation)
        return Waited(item, self._handle_of(item), request)

    def _handle_of(self, item: Item) -> ObjectHandle:
        view = item.view
        return ObjectHandle(ObjectRef(self._session.connection, view.kind, view.namespace, view.name), item.uid)

    def _report(self, item: Item) -> None:
        """Tell the result of an operation, and whether the resource may be inconsistent."""
        self._tell(item, describe_result(item.view, self._operation))
        if self._operation is RESUME and not item.view.status.is_consistent and not item.view.status.has_ended:
            what = "was interrupted while it ran: what ran then runs again from its start"
            self._terminal.warning(f"{item.view.address} {what}")

    def _wait(self, waited: list[Waited], started_at: float) -> None:
        """Wait until all requests are answered or, with `--wait`, in force; tell of each as soon as it is."""
        items = {it.request.uid: it.item for it in waited}
        waits, terminal = self._request.waits, self._terminal
        progress = choose_progress(terminal.err, self._operation) if waits else Lines(terminal.err, self._operation)

        def show(uid: str, answer: Answer) -> None:
            if waits:
                progress.show(uid, read_view(answer.resource))

        def settle(uid: str, outcome: Outcome) -> None:
            progress.remove(uid)
            with progress.hidden():
                self._settle(items[uid], outcome)

        waiter = Waiter(
            self._session.connection,
            until_in_force=waits,
            seconds=self._request.timeout,
            started_at=started_at,
            on_change=show,
            on_end=settle,
        )
        try:
            with progress.shown():
                self._session.run(waiter.run((it.handle, it.request) for it in waited))
        except KeyboardInterrupt:
            if waits:
                terminal.info("no longer waiting; what was asked for is asked for still")
            raise

    def _settle(self, item: Item, outcome: Outcome) -> None:
        """Tell the outcome of one request."""
        if isinstance(outcome, Answer):
            item.view = read_view(outcome.resource)
            self._done[item.uid] = item
            self._report(item)
            return
        self._done.pop(item.uid, None)
        what = outcome.message
        if isinstance(outcome.error, DeadlineError) and outcome.answer is not None:
            still = describe_unfinished(read_view(outcome.answer.resource), self._operation)
            what = f"after {self._request.timeout:g} s it is still {self._operation.doing}: {still}"
        self._fail(outcome.error, item, _describe_failure(item, outcome.error, what))

    def _tell(self, item: Item, what: str) -> None:
        if self._request.output is None:
            where = f" in namespace {item.view.namespace}" if self._request.all_namespaces else ""
            self._terminal.print(Text(clean(f"{item.view.address}{where} {what}")))

    def _fail(self, error: Exception, item: Item | None = None, what: str | None = None) -> None:
        self._errors.append(error)
        where = "" if item is None else f"{item.view.address} in namespace {item.view.namespace}: "
        self._terminal.error(f"{where}{what or describe(error)}")

    def _end(self, *, is_one: bool) -> None:
        """Print the objects if `-o` asks for them. Raises typer.Exit if anything has failed."""
        if self._request.output is not None:
            objects = self._session.run(self._read_all())
            text = format_objects(objects, self._request.output, is_one=is_one)
            if objects:
                self._terminal.write(text)
        if self._errors:
            raise typer.Exit(exit_for_all(self._errors))

    async def _read_all(self) -> list[Raw]:
        """Return the resources that are as asked, read anew; after a dry run, as they would be."""
        if self._request.dry_run is not DryRun.NONE or self._request.output is Output.NAME:
            return [item.manifest for item in self._done.values()]
        found = [
            await get(
                item.view.kind.singular, item.view.name, namespace=item.view.namespace, client=self._session.client
            )
            for item in self._done.values()
        ]
        return [resource.manifest for resource in found]


def _describe_failure(item: Item, error: MageflowError, what: str | None) -> str | None:
    """Return an error as a line that begins with the resource's name goes on; None: as the error says."""
    if isinstance(error, TaskAlreadyRunningError):
        return describe_running(item.view, error.consequence)
    return what
