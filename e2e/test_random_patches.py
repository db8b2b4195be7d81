"""Rounds of random patches on a Chain of 3 and a Swarm of 8, on real pods.

The checker reads the API server's audit log and what the tasks themselves wrote on the node, never the operator's word.
MAGEFLOW_ROUNDS sets the number of rounds of each kind; MAGEFLOW_SEED repeats one.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from devkit.audit import AuditLog, Request
from devkit.kubectl import Kubectl, KubectlError, Raw
from devkit.patience import PATIENCE

from .pods import evicted_after_start, has_ended

ROUNDS = int(os.environ.get("MAGEFLOW_ROUNDS", "2"))
SEED = int(os.environ.get("MAGEFLOW_SEED", str(random.randrange(2**32))))
LIFECYCLES = ("suspended", "interrupted", "active")
PATCHES = 4
AT_ONCE = 6
"""How many rounds are played at once."""
MAX_CONCURRENCY = 3

SCRIPT = """
say() { echo "$1 $MAGEFLOW_TASK $MAGEFLOW_RUN" >> "/diary/$MAGEFLOW_NAME"; }
trap 'say stopped; exit 0' TERM
say begun
for tick in 1 2 3 4 5 6 7 8; do sleep 0.1 & wait $!; done
say done
"""


@dataclass(frozen=True)
class Line:
    """What a task wrote in its diary: begun, done or stopped."""

    word: str
    task: str
    run: int


def build_template(diary: Path) -> Raw:
    container = {
        "name": "main",
        "image": "busybox:1.36",
        "command": ["sh", "-c", SCRIPT],
        "volumeMounts": [{"name": "diary", "mountPath": "/diary"}],
    }
    volume = {"name": "diary", "hostPath": {"path": str(diary), "type": "Directory"}}
    return {"spec": {"containers": [container], "volumes": [volume]}}


def build_chain(name: str, template: Raw) -> Raw:
    tasks = [{"name": f"step-{number}", "template": template} for number in range(3)]
    return build("Chain", name, {"tasks": tasks})


def build_swarm(name: str, template: Raw) -> Raw:
    tasks = [{"name": f"bee-{number}"} for number in range(8)]
    return build("Swarm", name, {"maxConcurrency": MAX_CONCURRENCY, "template": template, "tasks": tasks})


def build(kind: str, name: str, spec: Raw) -> Raw:
    return {"apiVersion": "mageflow.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


@pytest.mark.parametrize("kind", ["chain", "swarm"])
def test_every_task_succeeds_exactly_once_when_patched_at_random(
    kind: str, kubectl: Kubectl, audit_log: AuditLog, tmp_path: Path
) -> None:
    print(f"MAGEFLOW_SEED={SEED}")
    diary = tmp_path / "diary"
    diary.mkdir()
    tmp_path.chmod(0o755)
    template = build_template(diary)
    builder = {"chain": build_chain, "swarm": build_swarm}[kind]
    names = [f"{kind}/round-{number}" for number in range(ROUNDS)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(lambda name: play_round(kubectl, name, builder(name.partition("/")[2], template)), names))

    requests = list(audit_log.requests(kubectl.namespace))
    for name in names:
        short = name.partition("/")[2]
        lines = list(read_diary(diary / short))
        assert_each_done_once(lines, kubectl.status_of(name)["total"], find_late_reports(requests, short))
    assert_nothing_starts_after_success(requests)
    assert evicted_after_start(requests) == []
    limit = 1 if kind == "chain" else MAX_CONCURRENCY
    assert {name: most for name, most in most_at_once(requests).items() if most > limit} == {}
    assert_no_job_was_made_twice(requests)


def play_round(kubectl: Kubectl, name: str, manifest: Raw) -> None:
    """Create one, patch it a few times at random moments, and let it end."""
    chance = random.Random(f"{SEED} {name}")
    kubectl.run("create", "--filename=-", stdin=json.dumps(manifest))
    for _ in range(PATCHES):
        time.sleep(chance.uniform(0, 1.6))
        kubectl.set_lifecycle(name, chance.choice(LIFECYCLES))
    kubectl.set_lifecycle(name, "active")
    try:
        kubectl.run("wait", name, "--for=jsonpath={.status.phase}=Succeeded", f"--timeout={2 * PATIENCE:.0f}s")
    except KubectlError as error:
        raise AssertionError(f"{error}\n{kubectl.describe(name)}") from error


def read_diary(path: Path) -> Iterator[Line]:
    for line in path.read_text().splitlines():
        word, task, run = line.split()
        yield Line(word, task, int(run))


def assert_each_done_once(lines: list[Line], total: int, late: set[tuple[str, int]]) -> None:
    """Check the diary: each task is done in its last run, and in an earlier one only if that was reported too late."""
    last = {line.task: line.run for line in lines if line.word == "begun"}
    done = [(line.task, line.run) for line in lines if line.word == "done"]
    assert len(last) == total, lines
    assert set(last.items()) <= set(done), lines
    assert set(done) - set(last.items()) <= late, lines
    begun = [(line.task, line.run) for line in lines if line.word == "begun"]
    assert len(begun) == len(set(begun)), "a run has begun twice"


def find_late_reports(requests: list[Request], owner: str) -> set[tuple[str, int]]:
    """Return the runs, by task and number, that ended well before their kubelet heard of it that they were deleted.

    What a kubelet reports up to a second late, nobody else can know: such a run was stopped, as far as can be told.
    """
    return {
        (labels["mageflow.io/task"], int(labels["mageflow.io/run"]))
        for request in requests
        if request.resource == "pods" and request.subresource == "status" and request.code < 300
        for labels in [request.answer["metadata"].get("labels") or {}]
        if labels.get("mageflow.io/name") == owner
        and request.answer["status"].get("phase") == "Succeeded"
        and "deletionTimestamp" in request.answer["metadata"]
    }


def assert_nothing_starts_after_success(requests: list[Request]) -> None:
    """Check the audit log: once the API server knows that a task has succeeded, no pod is made for it."""
    succeeded: set[tuple[str, str]] = set()
    for request in requests:
        if request.resource != "pods" or request.code >= 300:
            continue
        labels = request.answer.get("metadata", {}).get("labels") or {}
        task = (labels.get("mageflow.io/name", ""), labels.get("mageflow.io/task", ""))
        is_going = "deletionTimestamp" in request.answer.get("metadata", {})
        if request.subresource == "status" and request.answer["status"].get("phase") == "Succeeded" and not is_going:
            succeeded.add(task)
        if request.verb == "create" and not request.subresource:
            assert task not in succeeded, request.name


def most_at_once(requests: list[Request]) -> dict[str, int]:
    """Return how many pods of each resource there were at once at most, pods that may yet start included."""
    owners: dict[str, str] = {}
    live: defaultdict[str, set[str]] = defaultdict(set)
    most: defaultdict[str, int] = defaultdict(int)
    for request in requests:
        if request.resource != "pods" or request.code >= 300:
            continue
        if request.verb == "create" and not request.subresource:
            owner = request.answer["metadata"]["labels"]["mageflow.io/name"]
            owners[request.name] = owner
            live[owner].add(request.name)
            most[owner] = max(most[owner], len(live[owner]))
        elif request.name in owners and (is_gone(request) or has_ended(request.answer)):
            live[owners[request.name]].discard(request.name)
    return most


def is_gone(request: Request) -> bool:
    """Tell whether a request ended a pod for good: the kubelet's last word, or the end of one that had no node."""
    if request.verb == "delete":
        return True
    return request.subresource == "eviction"


def assert_no_job_was_made_twice(requests: list[Request]) -> None:
    made = [
        request.name
        for request in requests
        if request.resource == "jobs" and request.verb == "create" and request.code < 300
    ]
    assert len(made) == len(set(made))
