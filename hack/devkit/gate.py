"""A task in a real pod that goes on when the test says so: what is expected of it is true at any speed."""

from __future__ import annotations

import time
from typing import Final

from devkit.kubectl import Kubectl, KubectlError, Raw, Unmet
from devkit.patience import PATIENCE

GATE: Final = "until [ -e /tmp/go ]; do sleep 0.1 & wait $!; done"
"""Shell: wait here until the gate is opened. A trap that was set before is heeded at once."""


def open_gate(kubectl: Kubectl, name: str, task: str = "") -> None:
    """Open the gate of a task of a resource such as `chain/x`, any if none is named, as soon as it runs."""
    deadline = time.monotonic() + PATIENCE
    while not any(_open(kubectl, pod["metadata"]["name"]) for pod in running_pods(kubectl, name, task)):
        if time.monotonic() > deadline:
            raise Unmet(f"no gate of {name} could be opened\n{kubectl.describe(name)}")
        time.sleep(0.1)


def running_pods(kubectl: Kubectl, name: str, task: str = "") -> list[Raw]:
    """Return the pods of a resource, or of one task of it, that run."""
    return [
        pod
        for pod in kubectl.pods_of(name)
        if pod["status"].get("phase") == "Running" and task in ("", pod["metadata"]["labels"]["mageflow.io/task"])
    ]


def _open(kubectl: Kubectl, pod: str) -> bool:
    try:
        kubectl.run("exec", pod, "--", "touch", "/tmp/go")  # noqa: S108 - the pod's own
    except KubectlError:  # its container doesn't run yet, or no more
        return False
    return True
