"""kubectl, as a user calls it."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devkit.patience import PATIENCE
from devkit.reader import PATHS, Reader

Raw = dict[str, Any]


SCHEMAS_LATE = "error validating data: unexpected error when reading response body"
"""What kubectl says when the API server is too busy to send it the schemas."""


class KubectlError(Exception):
    """kubectl exited with an error; the message is what it wrote."""


class Unmet(Exception):  # noqa: N818 - a wait that ended without what it waited for
    """What was waited for didn't come; the message has the resource, its Jobs, pods and events."""


class Kubectl:
    """One kubectl, one cluster, one namespace.

    Resources are named as kubectl names them, `chain/x`; `x` alone is a Workflow.
    """

    def __init__(self, program: Path | str, kubeconfig: Path, namespace: str) -> None:
        self._command = [str(program), f"--kubeconfig={kubeconfig}"]
        self._reader = Reader(kubeconfig, namespace)
        self.kubeconfig = kubeconfig
        self.namespace = namespace

    def run(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl with these arguments and return what it writes; raise KubectlError if it fails.

        It reads the schemas first, which a busy API server doesn't send in time: then nothing was asked for yet.
        """
        command = [*self._command, f"--namespace={self.namespace}", *arguments]
        deadline = time.monotonic() + PATIENCE
        while True:
            done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False, timeout=600)
            if not done.returncode:
                return done.stdout
            if SCHEMAS_LATE not in done.stderr or time.monotonic() > deadline:
                raise KubectlError(done.stderr.strip() or done.stdout.strip())

    def apply(self, *paths: Path) -> str:
        """Apply manifests."""
        return self.run("apply", *(f"--filename={path}" for path in paths))

    def install(self, crds: Path, *, seconds: float = PATIENCE) -> str:
        """Apply the CRDs of a folder and wait until the API server serves them."""
        deadline = time.monotonic() + seconds
        written = self._apply_large(crds, deadline)
        while not all(_is_established(crd) for crd in self.find_all("crds") if crd["spec"]["group"] == "mageflow.io"):
            if time.monotonic() > deadline:
                raise Unmet(f"after {seconds:.0f} s the CRDs are not established")
            time.sleep(0.1)
        return written

    def _apply_large(self, path: Path, deadline: float) -> str:
        """Apply what a busy API server may not take in the minute that a request has."""
        while True:
            try:
                return self.apply(path)
            except KubectlError as error:
                if "(Timeout)" not in str(error) or time.monotonic() > deadline:
                    raise

    def set_lifecycle(self, name: str, lifecycle: str) -> str:
        """Patch a resource as the README does."""
        kind, name = parse(name)
        return self.run("patch", kind, name, "--type=merge", f"--patch={lifecycle_patch(lifecycle)}")

    def find(self, kind: str, name: str) -> Raw | None:
        """Return one object, None if there is no such object."""
        if kind in PATHS:
            return self._reader.find(kind, name)
        text = self.run("get", kind, name, "--output=json", "--ignore-not-found")
        document: Raw | None = json.loads(text) if text else None
        return document

    def find_all(self, kind: str, selector: str = "") -> list[Raw]:
        """Return all objects of a kind that carry the labels of `selector`."""
        if kind in PATHS:
            return self._reader.find_all(kind, selector)
        items: list[Raw] = json.loads(self.run("get", kind, f"--selector={selector}", "--output=json"))["items"]
        return items

    def pods_of(self, name: str) -> list[Raw]:
        """Return the pods of a resource."""
        return self.find_all("pods", _selector(name))

    def live_pods_of(self, name: str) -> list[Raw]:
        """Return the pods of a resource that run or may yet start: not ended, nor deleted before a node had them."""
        return [pod for pod in self.pods_of(name) if _can_run(pod)]

    def jobs_of(self, name: str) -> list[Raw]:
        """Return the Jobs of a resource."""
        return self.find_all("jobs", _selector(name))

    def status_of(self, name: str) -> Raw:
        """Return the status of a resource; empty if it has none yet or isn't there."""
        status: Raw = (self.find(*parse(name)) or {}).get("status") or {}
        return status

    def wait_for_phase(self, name: str, phase: str, *, seconds: float = PATIENCE) -> Raw:
        """Wait until a resource is in a phase *for its present spec*; return its status."""
        return self.wait(f"{name} is {phase}", name, lambda status: status.get("phase") == phase, seconds=seconds)

    def wait(self, what: str, name: str, is_met: Callable[[Raw], bool], *, seconds: float = PATIENCE) -> Raw:
        """Wait until the status of a resource, once it speaks of its present spec, is as wanted; return it."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.find(*parse(name)) or {}
            status: Raw = found.get("status") or {}
            is_seen = status.get("observedGeneration") == found.get("metadata", {}).get("generation")
            if is_seen and is_met(status):
                return status
            if time.monotonic() > deadline:
                raise Unmet(f"after {seconds:.0f} s it is still not so that {what}\n{self.describe(name)}")
            time.sleep(0.1)

    def describe(self, name: str) -> str:
        """Return what there is to know of a resource when something went wrong."""
        parts = [
            self.run("get", *parse(name), "--output=yaml", "--ignore-not-found"),
            self.run("get", "jobs,pods", f"--selector={_selector(name)}", "--output=wide"),
            self.run("get", "events", "--sort-by=.lastTimestamp"),
        ]
        return "\n".join(parts)


def parse(name: str) -> tuple[str, str]:
    """Split a name such as `chain/x` into kind and name; the kind is workflow where there is none."""
    kind, _, rest = name.rpartition("/")
    return kind or "workflow", rest


def _selector(name: str) -> str:
    kind, name = parse(name)
    return f"mageflow.io/kind={kind.capitalize()},mageflow.io/name={name}"


def lifecycle_patch(lifecycle: str) -> str:
    """Return the merge patch that sets the lifecycle."""
    return json.dumps({"spec": {"lifecycle": lifecycle}}, separators=(",", ":"))


def condition(status: Raw, type_: str) -> Raw:
    """Return a condition of a status; empty if it isn't there."""
    return next((condition for condition in status.get("conditions") or () if condition["type"] == type_), {})


def _can_run(pod: Raw) -> bool:
    has_ended = pod["status"].get("phase") in ("Succeeded", "Failed")
    was_never_bound = "nodeName" not in pod["spec"] and "deletionTimestamp" in pod["metadata"]
    return not (has_ended or was_never_bound)


def _is_established(crd: Raw) -> bool:
    return condition(crd.get("status") or {}, "Established").get("status") == "True"
