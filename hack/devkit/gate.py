"""A task in a real pod that goes on when the test says so: what is expected of it is true at any speed."""

from __future__ import annotations

import re
import time
from typing import Final

from devkit.kubectl import Kubectl, KubectlError, Raw, Unmet
from devkit.patience import PATIENCE

GATE: Final = "until [ -e /tmp/go ]; do sleep 0.1 & wait $!; done"
"""Shell: wait here until the gate is opened. A trap that was set before is heeded at once."""


def put_gates(manifest: str) -> str:
    """Return a manifest, as text, with a gate in place of each time of two seconds or more that its scripts wait."""
    return re.sub(r"for second in \$\(seq \d+\); do .*? done|\bsleep ([2-9]|\d{2,})\b", lambda _: GATE, manifest)


def open_gate(kubectl: Kubectl, name: str, task: str = "") -> None:
    """Open the gate of a task of a resource such as `chain/x`, any if none is named, as soon as it runs."""
    deadline = time.monotonic() + PATIENCE
    while not try_to_open(kubectl, name, task):
        if time.monotonic() > deadline:
            raise Unmet(f"no gate of {name} could be opened\n{kubectl.describe(name)}")
        time.sleep(0.1)


def open_gates_until(kubectl: Kubectl, name: str, phase: str) -> Raw:
    """Open the gate of each pod that comes to run until a resource is in a phase; return its status.

    For a task whose pod may be replaced by another after its gate was opened.
    """

    def is_met(status: Raw) -> bool:
        try_to_open(kubectl, name)
        return status.get("phase") == phase

    return kubectl.wait(f"{name} is {phase}, with each gate open", name, is_met)


def try_to_open(kubectl: Kubectl, name: str, task: str = "") -> bool:
    """Open the gates of what runs of a resource, or of one of its tasks; tell whether there was any."""
    opened = [_open(kubectl, *running) for running in running_containers(kubectl, name, task)]
    return any(opened)


def running_containers(kubectl: Kubectl, name: str, task: str = "") -> list[tuple[str, str]]:
    """Return pod and name of each container of a resource, or of one task of it, that runs."""
    return [
        (pod["metadata"]["name"], container["name"])
        for pod in kubectl.pods_of(name)
        if task in ("", pod["metadata"]["labels"]["mageflow.io/task"])
        for which in ("initContainerStatuses", "containerStatuses")
        for container in pod["status"].get(which, ())
        if "running" in container["state"]
    ]


def _open(kubectl: Kubectl, pod: str, container: str) -> bool:
    try:
        kubectl.run("exec", pod, f"--container={container}", "--", "touch", "/tmp/go")  # noqa: S108 - the pod's own
    except KubectlError:  # it has ended meanwhile
        return False
    return True
