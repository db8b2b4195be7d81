"""The demo's screen: each step and check as a person sees it, and how many failed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TextIO

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from devkit.cluster import ROOT
from devkit.gate import put_gates, try_to_open
from devkit.kubectl import Kubectl, KubectlError, Raw, Unmet, condition, parse
from devkit.patience import PATIENCE
from mageflow.api import LABEL_LIFECYCLE


@dataclass(frozen=True)
class Scene:
    """One story: what a person reads above it, and how it is played."""

    title: str
    play: Callable[[Play], None]
    uses_pool: bool = False
    """It labels the node, or needs that it isn't labelled: it can't be played beside another that does."""


class Stage:
    """Prints what happens, to standard output if not told otherwise, and keeps count of what was checked.

    The tasks of the examples take some seconds. With gates they take as long as the scene wants them to, so that it
    goes the same way at any speed.
    """

    def __init__(self, out: TextIO | None = None, *, has_gates: bool = False) -> None:
        self.has_gates = has_gates
        self._console = Console(file=out, highlight=False, soft_wrap=True)
        self.passed = 0
        self.failed = 0

    def title(self, text: str) -> None:
        """Begin a part."""
        self._console.print(f"\n[bold]── {escape(text)} ──[/bold]")

    def show(self, text: str) -> None:
        """Show a command and what it wrote."""
        for line in text.strip().splitlines():
            self._console.print(f"   {escape(line)}")

    def command(self, text: str) -> None:
        """Show a command that is run now."""
        self._console.print(f"\n [cyan]$ {escape(text)}[/cyan]")

    def check(self, what: str, is_met: bool, seen: str) -> None:
        """Count one check and show it."""
        if is_met:
            self.passed += 1
            self._console.print(f"   [green]✓[/green] {escape(what)}")
        else:
            self.fail(f"{what}; seen: {seen}")

    def fail(self, what: str) -> None:
        """Count a failure and show it."""
        self.failed += 1
        self._console.print(f"   [red]✗ {escape(what)}[/red]")

    def table(self, rows: list[list[str]]) -> None:
        """Show the pods of this moment; none is shown as such."""
        if not rows:
            self._console.print("     [dim]pods: none[/dim]")
            return
        table = Table("pod", "status", "started", box=None, padding=(0, 2), pad_edge=True, header_style="dim")
        for row in rows:
            table.add_row(*row)
        self._console.print(table)

    def scene(self, number: str, scene: Scene, kubectl: Kubectl) -> None:
        """Play a scene; one that breaks off counts as a failure, and the next goes on."""
        self.title(f"{number}. {scene.title}")
        try:
            scene.play(Play(self, kubectl))
        except (Unmet, KubectlError) as error:
            self.fail(str(error))

    def close(self, seconds: float) -> int:
        """Show the sum; return the exit code."""
        self._console.print(f"\n{self.passed} passed, {self.failed} failed, in {seconds:.0f} s")
        return 1 if self.failed or not self.passed else 0


class Play:
    """What a scene may do: run the README's commands, and check what the cluster says."""

    def __init__(self, stage: Stage, kubectl: Kubectl) -> None:
        self._stage = stage
        self.kubectl = kubectl

    def apply(self, example: str) -> None:
        """Apply a file of examples/."""
        self._stage.command(f"kubectl apply -f examples/{example}")
        manifest = (ROOT / "examples" / example).read_text()
        manifest = put_gates(manifest) if self._stage.has_gates else manifest
        self._stage.show(self.kubectl.run("apply", "--filename=-", stdin=manifest))

    def patch(self, name: str, lifecycle: str) -> None:
        """Set the lifecycle as the README does."""
        self._stage.command(
            f"""kubectl patch {" ".join(parse(name))} --type merge -p '{{"spec":{{"lifecycle":"{lifecycle}"}}}}'"""
        )
        self._stage.show(self.kubectl.set_lifecycle(name, lifecycle))

    def label_namespace(self, lifecycle: str | None) -> None:
        """Set the namespace's label as the README does, or take it off."""
        label = f"{LABEL_LIFECYCLE}-" if lifecycle is None else f"{LABEL_LIFECYCLE}={lifecycle}"
        self.run("label", "namespace", self.kubectl.namespace, label, "--overwrite")

    def refused_patch(self, name: str, lifecycle: str) -> str:
        """Set the lifecycle where that is refused; return what kubectl says, "" if it was taken after all."""
        try:
            self.patch(name, lifecycle)
        except KubectlError as error:
            self._stage.show(str(error))
            return str(error)
        return ""

    def run(self, *arguments: str) -> None:
        """Run another kubectl command."""
        self._stage.command(f"kubectl {' '.join(arguments)}")
        self._stage.show(self.kubectl.run(*arguments))

    def expect(self, name: str, phase: str, *, pods: str, reason: str | None = None, tasks_end: bool = False) -> Raw:
        """Wait for a phase, show the pods, and check them. `pods` is none, pending, running or ended.

        `tasks_end`: the phase comes when what runs has run to its end.
        """

        def is_met(status: Raw) -> bool:
            if tasks_end and self._stage.has_gates:
                try_to_open(self.kubectl, name)
            return bool(status.get("phase") == phase)

        self.kubectl.wait(f"{name} is {phase}", name, is_met)
        return self._check(name, f"phase {phase}", pods, reason)

    def expect_reason(self, name: str, reason: str, *, pods: str) -> Raw:
        """Wait until the Ready condition has a reason, show the pods, and check them."""
        self.kubectl.wait(
            f"{name} has Ready reason {reason}",
            name,
            lambda status: condition(status, "Ready").get("reason") == reason,
        )
        return self._check(name, f"reason {reason}", pods, reason)

    def wait_for_pod(self, name: str, state: str) -> None:
        """Wait until the Workflow has a pod that is pending or running."""
        self.kubectl.wait(f"{name} has a {state} pod", name, lambda _: state in _states(self.kubectl.pods_of(name)))

    def check(self, what: str, is_met: bool, seen: object) -> None:
        """Check anything else."""
        self._stage.check(what, is_met, str(seen))

    def _check(self, name: str, what: str, pods: str, reason: str | None) -> Raw:
        status = self.kubectl.status_of(name)
        seen = self._await_pods(name, pods)
        self._stage.table([_row(pod) for pod in seen])
        ready = condition(status, "Ready")
        self._stage.check(f"{what}: {ready.get('reason')}: {ready.get('message')}", True, "")
        if reason is not None:
            self._stage.check(f"its reason is {reason}", ready.get("reason") == reason, str(ready))
        is_met = _are_as_wanted(seen, pods)
        self._stage.check("its pods have ended" if pods == "ended" else f"pods that can run: {pods}", is_met, str(seen))
        return status

    def _await_pods(self, name: str, wanted: str) -> list[Raw]:
        """Return the pods; wait for those that are wanted, which may take a moment. None at all is never waited for."""
        deadline = time.monotonic() + PATIENCE
        seen = self.kubectl.pods_of(name)
        while wanted != "none" and not _are_as_wanted(seen, wanted) and time.monotonic() < deadline:
            time.sleep(0.1)
            seen = self.kubectl.pods_of(name)
        return seen


def _are_as_wanted(pods: list[Raw], wanted: str) -> bool:
    states = _states(pods)
    if wanted == "ended":
        return states == {"ended"}
    return states - {"ended"} == (set() if wanted == "none" else {wanted})


def _states(pods: list[Raw]) -> set[str]:
    return {_state(pod) for pod in pods}


def _state(pod: Raw) -> str:
    if pod["status"].get("phase") in ("Succeeded", "Failed"):
        return "ended"
    if "deletionTimestamp" in pod["metadata"]:
        return "stopping" if pod["spec"].get("nodeName") else "ended"
    return "running" if _has_started(pod) else "pending"


def _has_started(pod: Raw) -> bool:
    statuses = [*pod["status"].get("initContainerStatuses", ()), *pod["status"].get("containerStatuses", ())]
    return any({"running", "terminated"} & set(container["state"]) for container in statuses)


def _row(pod: Raw) -> list[str]:
    return [
        pod["metadata"]["name"],
        f"{pod['status'].get('phase')}, {_state(pod)}",
        "yes" if _has_started(pod) else "no",
    ]
