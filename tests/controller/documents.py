"""Objects as the API server sends them."""

from __future__ import annotations

from typing import Any

Raw = dict[str, Any]

UID = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
STARTED = "2026-11-24T12:00:00Z"
STARTED_LATER = "2026-11-24T12:00:05Z"
DELETED = "2026-11-24T12:00:30Z"


def resource(version: int = 100, uid: str = UID, generation: int = 1, **document: Any) -> Raw:
    metadata = {
        "name": "report",
        "namespace": "team",
        "uid": uid,
        "resourceVersion": str(version),
        "generation": generation,
    }
    return {"metadata": metadata, "spec": {"template": {"spec": {"containers": []}}}, **document}


def namespace(version: int = 1, lifecycle: str | None = None, uid: str = "ns-1") -> Raw:
    labels = {} if lifecycle is None else {"mageflow.io/lifecycle": lifecycle}
    return {"metadata": {"name": "team", "uid": uid, "resourceVersion": str(version), "labels": labels}}


def labels(uid: str = UID, task: str = "main", run: object = 1) -> dict[str, str]:
    return {"mageflow.io/uid": uid, "mageflow.io/task": task, "mageflow.io/run": str(run)}


def job(version: int = 10, run: int = 1, uid: str = "", owner: str = UID, **document: Any) -> Raw:
    metadata = {
        "name": f"report-{run}",
        "namespace": "team",
        "uid": uid or f"job-{run}",
        "resourceVersion": str(version),
        "creationTimestamp": STARTED,
        "labels": labels(run=run),
        "ownerReferences": [{"kind": "Workflow", "name": "report", "uid": owner, "controller": True}],
    }
    return {"metadata": metadata, "spec": {}, "status": {}, **document}


def pod(version: int = 20, run: int = 1, uid: str = "", spec: Raw | None = None, **status: Any) -> Raw:
    """A pod with one container, `main`, on a node."""
    metadata = {
        "name": f"report-{run}-x",
        "namespace": "team",
        "uid": uid or f"pod-{run}",
        "resourceVersion": str(version),
        "labels": labels(run=run),
    }
    spec = {"nodeName": "node-1", "containers": [{"name": "main"}]} if spec is None else spec
    return {"metadata": metadata, "spec": spec, "status": {"phase": "Pending", **status}}


def deleted(raw: Raw, version: int | None = None) -> Raw:
    """The object, deleted and still there."""
    changed = {"deletionTimestamp": DELETED} | ({} if version is None else {"resourceVersion": str(version)})
    return raw | {"metadata": raw["metadata"] | changed}


# ── what a kubelet says of a container ──


def container(name: str = "main", **state: Any) -> Raw:
    return {"name": name, "image": "busybox:1.37", "state": state}


def running(name: str = "main", at: str | None = STARTED) -> Raw:
    return container(name, running={} if at is None else {"startedAt": at})


def waiting(reason: str, message: str | None = None, name: str = "main") -> Raw:
    return container(name, waiting={"reason": reason} | ({} if message is None else {"message": message}))


def ended(exit_code: int = 0, name: str = "main", at: str | None = STARTED, **facts: Any) -> Raw:
    return container(name, terminated={"exitCode": exit_code, "startedAt": at, **facts})


def condition(type_: str, status: str = "True", **facts: str) -> Raw:
    return {"type": type_, "status": status, **facts}
