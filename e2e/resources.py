"""Resources of one busybox container for tests on real pods, and where to look when they are held."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from devkit.kubectl import Kubectl, Raw, condition
from devkit.patience import PATIENCE

IMAGE = "busybox:1.36"


def container(script: str, name: str = "main", **fields: Any) -> Raw:
    """Return a container that runs a script; `fields` adds to it."""
    return {"name": name, "image": IMAGE, "command": ["sh", "-c", script], **fields}


def template(script: str, *, grace: int = 2, **pod: Any) -> Raw:
    """Return a pod template whose main container runs a script; `pod` adds to its spec, `main` to the container."""
    main = container(script, **pod.pop("main", {}))
    return {"spec": {"terminationGracePeriodSeconds": grace, "containers": [main, *pod.pop("others", ())], **pod}}


def diary_in(folder: Path) -> Raw:
    """Return what a template takes so that its script may write to /diary: `folder`, on the node."""
    mount = {"name": "diary", "mountPath": "/diary"}
    volume = {"name": "diary", "hostPath": {"path": str(folder), "type": "Directory"}}
    return {"main": {"volumeMounts": [mount]}, "volumes": [volume]}


def workflow(name: str, pod: Raw, *, metadata: Raw | None = None, **spec: Any) -> Raw:
    """Return a Workflow."""
    return _build("Workflow", name, {"template": pod, **spec}, metadata)


def chain(name: str, pods: dict[str, Raw], **spec: Any) -> Raw:
    """Return a Chain of tasks, by name, in order."""
    return _build("Chain", name, {"tasks": [{"name": task, "template": pod} for task, pod in pods.items()], **spec})


def create(kubectl: Kubectl, manifest: Raw) -> str:
    """Create a resource; return its name as kubectl takes it."""
    kubectl.run("create", "--filename=-", stdin=json.dumps(manifest))
    return f"{manifest['kind'].lower()}/{manifest['metadata']['name']}"


def apply(kubectl: Kubectl, *manifests: Raw) -> None:
    """Apply manifests of any kind, those of the cluster too."""
    kubectl.run("apply", "--filename=-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}))


def ready_of(status: Raw) -> tuple[str, str]:
    """Return reason and message of the condition Ready."""
    ready = condition(status, "Ready")
    return ready.get("reason", ""), ready.get("message", "")


def wait_for_reason(kubectl: Kubectl, name: str, reason: str) -> Raw:
    """Wait until Ready has a reason; return the status."""
    return kubectl.wait(f"{name} is {reason}", name, lambda status: ready_of(status)[0] == reason)


def wait_for_message(kubectl: Kubectl, name: str, text: str) -> Raw:
    """Wait until Ready is False with a text in its message; return the status."""

    def is_met(status: Raw) -> bool:
        return condition(status, "Ready").get("status") == "False" and text in ready_of(status)[1]

    return kubectl.wait(f"{name} says {text!r}", name, is_met)


def _build(kind: str, name: str, spec: Raw, metadata: Raw | None = None) -> Raw:
    return {
        "apiVersion": "mageflow.io/v1",
        "kind": kind,
        "metadata": {"name": name, **(metadata or {})},
        "spec": spec,
    }


def run_mageflow(kubectl: Kubectl, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `kubectl mageflow` in a namespace; whatever its exit code is."""
    program = Path(sys.executable).parent / "kubectl-mageflow"
    command = [str(program), *arguments, f"--namespace={kubectl.namespace}"]
    environment = {**os.environ, "KUBECONFIG": str(kubectl.kubeconfig)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=PATIENCE)
