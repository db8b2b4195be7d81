"""What ended while the operator was down, and is gone when it looks: a real kubelet's events tell how (ADR 14)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from devkit.kubectl import Kubectl, Raw, condition
from devkit.operator import OperatorProcess

SLEEPS = 'echo "run $MAGEFLOW_RUN" > /dev/termination-log; sleep 5'
EXITS_0_ON_SIGTERM = """
trap 'exit 0' TERM
for i in $(seq 8); do sleep 1 & wait $!; done
echo finished > /dev/termination-log
"""
ALWAYS_FAILS = {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 2}


def build_pod(script: str, **container: Any) -> Raw:
    main = {"name": "main", "image": "busybox:1.36", "command": ["sh", "-c", script], **container}
    return {"spec": {"terminationGracePeriodSeconds": 2, "containers": [main]}}


def create(kubectl: Kubectl, kind: str, name: str, **spec: Any) -> None:
    manifest = {"apiVersion": "mageflow.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    kubectl.run("apply", "--filename=-", stdin=json.dumps(manifest))


def wait_until_active(kubectl: Kubectl, *names: str) -> None:
    for name in names:
        kubectl.wait_for_phase(name, "Active")


@contextmanager
def down(operator: OperatorProcess) -> Iterator[None]:
    """Be without the operator."""
    operator.stop()
    try:
        yield
    finally:
        operator.start()


def wait_for_jobs(kubectl: Kubectl, count: int, *, seconds: float = 300) -> None:
    """Wait until there are so many Jobs, and all are Complete."""
    deadline = time.monotonic() + seconds
    while True:
        complete = [condition(job.get("status", {}), "Complete").get("status") for job in kubectl.find_all("jobs")]
        if complete == ["True"] * count:
            return
        assert time.monotonic() < deadline, kubectl.find_all("jobs")
        time.sleep(0.2)


def wait_for_no_pods(kubectl: Kubectl, *, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while kubectl.find_all("pods"):
        assert time.monotonic() < deadline, kubectl.find_all("pods")
        time.sleep(0.2)


def evict(kubectl: Kubectl, pod: str) -> None:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": kubectl.namespace}}
    path = f"/api/v1/namespaces/{kubectl.namespace}/pods/{pod}/eviction"
    kubectl.run("create", "--raw", path, "--filename=-", stdin=json.dumps(body))


def test_what_was_stopped_has_not_succeeded_though_it_exited_0(kubectl: Kubectl, operator: OperatorProcess) -> None:
    """kubernetes/kubernetes#90636. The Jobs are Complete and the pods gone: the same sight as of a success."""
    create(kubectl, "Workflow", "drained", template=build_pod(EXITS_0_ON_SIGTERM))
    create(kubectl, "Workflow", "probed", template=build_pod(EXITS_0_ON_SIGTERM, livenessProbe=ALWAYS_FAILS))
    wait_until_active(kubectl, "drained", "probed")
    with down(operator):
        (pod,) = kubectl.pods_of("drained")
        evict(kubectl, pod["metadata"]["name"])
        wait_for_jobs(kubectl, 2)
        kubectl.run("delete", "pods", "--all")
        wait_for_no_pods(kubectl)
    drained = kubectl.wait_for_phase("drained", "Succeeded")
    assert drained["output"] == "finished", kubectl.describe("drained")
    (task,) = drained["tasks"]
    assert (task["run"], task["disruptions"], task.get("failures", 0)) == (2, 1, 0), kubectl.describe("drained")
    probed = kubectl.wait_for_phase("probed", "Failed")
    (task,) = probed["tasks"]
    assert (task["run"], task["reason"]) == (1, "ProbeFailed"), kubectl.describe("probed")


def test_what_ended_by_itself_is_done_and_its_output_told_as_lost(kubectl: Kubectl, operator: OperatorProcess) -> None:
    """A cluster's TTL takes Jobs, a nightly cleaner takes pods: what has succeeded doesn't run again."""
    with_sidecar = build_pod(SLEEPS)
    sidecar = {"name": "proxy", "image": "busybox:1.36", "command": ["sleep", "600"], "restartPolicy": "Always"}
    with_sidecar["spec"]["initContainers"] = [sidecar]
    create(kubectl, "Workflow", "ttl", template=build_pod(SLEEPS))
    create(kubectl, "Workflow", "sidecar", template=with_sidecar)
    tasks = [{"name": name, "template": build_pod(SLEEPS)} for name in ("produce", "consume")]
    create(kubectl, "Chain", "swept", tasks=tasks)
    wait_until_active(kubectl, "ttl", "sidecar", "chain/swept")
    with down(operator):
        (job,) = kubectl.jobs_of("ttl")
        patch = json.dumps({"spec": {"ttlSecondsAfterFinished": 1}})
        kubectl.run("patch", "job", job["metadata"]["name"], "--type=merge", f"--patch={patch}")
        kubectl.run("wait", "--for=delete", f"job/{job['metadata']['name']}", "--timeout=300s")
        wait_for_jobs(kubectl, 2)
        kubectl.run("delete", "pods", "--all")
        wait_for_no_pods(kubectl)
    for name in ("ttl", "sidecar"):
        status = kubectl.wait_for_phase(name, "Succeeded")
        (task,) = status["tasks"]
        assert (task["run"], task["reason"], status.get("output")) == (1, "OutputLost", None), kubectl.describe(name)
        assert "the output is lost" in condition(status, "Ready")["message"]
    status = kubectl.wait("a success without its output", "chain/swept", lambda status: _has_ended(status["tasks"][0]))
    produce = status["tasks"][0]
    assert (produce["phase"], produce["run"], produce["reason"]) == ("Succeeded", 1, "OutputLost")
    deadline = time.monotonic() + 300
    while find_told(kubectl) != {"ttl", "sidecar", "swept"}:  # events are made after the status is written
        assert time.monotonic() < deadline, kubectl.describe("chain/swept")
        time.sleep(0.2)


def find_told(kubectl: Kubectl) -> set[str]:
    """Return the names of what an Event says has lost an output."""
    events = [event for event in kubectl.find_all("events") if event["reason"] == "OutputLost"]
    return {event["involvedObject"]["name"] for event in events}


def _has_ended(task: Raw) -> bool:
    return task["phase"] in ("Succeeded", "Failed")
