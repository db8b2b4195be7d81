"""The objects that are made: resources of ours, and the Jobs that the floor makes beside them."""

from __future__ import annotations

import copy
from typing import Any, Final

from bench.api import Raw

GROUP: Final = "/apis/mageflow.io/v1"
CONTAINER: Final[Raw] = {"name": "main", "image": "busybox:1.36", "command": ["true"]}
TEMPLATE: Final[Raw] = {"spec": {"containers": [CONTAINER]}}
NOWHERE: Final[Raw] = {"spec": {"containers": [CONTAINER], "nodeSelector": {"disk": "none-such"}}}
"""A pod that no node takes, and that stays pending."""


def path_of(namespace: str, plural: str, name: str = "") -> str:
    """Return the path of a resource of ours, or of their collection."""
    return f"{GROUP}/namespaces/{namespace}/{plural}" + (f"/{name}" if name else "")


def jobs(namespace: str, name: str = "") -> str:
    """Return the path of a Job, or of all of a namespace."""
    return f"/apis/batch/v1/namespaces/{namespace}/jobs" + (f"/{name}" if name else "")


def pods(namespace: str, name: str = "") -> str:
    """Return the path of a pod, or of all of a namespace."""
    return f"/api/v1/namespaces/{namespace}/pods" + (f"/{name}" if name else "")


def workflow(name: str, template: Raw = TEMPLATE, **spec: Any) -> Raw:
    """Return a one-step Workflow."""
    return {**_head("Workflow", name), "spec": {"template": template, **spec}}


def many(kind: str, name: str, count: int, template: Raw = TEMPLATE, **spec: Any) -> Raw:
    """Return a Chain or Swarm of so many tasks."""
    tasks = [{"name": f"task-{number}", "template": template} for number in range(count)]
    return {**_head(kind, name), "spec": {"tasks": tasks, **spec}}


def job_like(pattern: Raw, name: str) -> Raw:
    """Return a Job just as the operator makes it, but nobody's: `pattern` is one of its own, as it was read."""
    spec = copy.deepcopy(pattern["spec"])
    spec.pop("selector", None)
    labels = spec["template"]["metadata"]["labels"]
    for label in [label for label in labels if "controller-uid" in label or "job-name" in label]:
        del labels[label]
    metadata = {"name": name, "labels": pattern["metadata"]["labels"]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}


def plain_job(name: str, pod: Raw, **spec: Any) -> Raw:
    """Return a Job as a user writes it, whose pod is tried once."""
    body = {"backoffLimit": 0, "template": {"spec": {**pod, "restartPolicy": "Never"}}, **spec}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": body}


def eviction(pod: Raw) -> tuple[str, Raw]:
    """Return the path and body of the request that evicts a pod."""
    metadata = {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]}
    options = {"preconditions": {"uid": pod["metadata"]["uid"]}}
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": metadata, "deleteOptions": options}
    return f"{pods(metadata['namespace'], metadata['name'])}/eviction", body


def _head(kind: str, name: str) -> Raw:
    return {"apiVersion": "mageflow.io/v1", "kind": kind, "metadata": {"name": name}}
