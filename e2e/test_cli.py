"""`kubectl mageflow` on real pods: logs, and the walk that docs/cli.cast shows.

With MAGEFLOW_RECORD=1 the walk is recorded anew.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from devkit.cluster import ROOT, Cluster
from devkit.gate import GATE, open_gate, running_containers
from devkit.kubectl import Kubectl
from devkit.patience import PATIENCE
from devkit.terminal import Terminal, write_cast

PROGRAMS: Final = Path(sys.executable).parent
"""Where `kubectl-mageflow` is installed."""

LOGS: Final = re.findall(r"^kubectl mageflow logs .*$", (ROOT / "docs" / "cli.md").read_text(), re.MULTILINE)

INTERLEAVED: Final = "kubectl mageflow logs render --timestamps"

IS_RECORDED: Final = bool(os.environ.get("MAGEFLOW_RECORD"))

WALK: Final = f"""
walk() {{ printf '\\033[1m$ %s\\033[0m\\n' "$*"; "$@" || exit; sleep {1 if IS_RECORDED else 0}; }}
walk kubectl mageflow tree nightly
walk kubectl mageflow suspend nightly --wait
walk kubectl mageflow tree nightly
walk kubectl mageflow resume nightly
walk kubectl mageflow tree -w nightly
"""


@pytest.fixture
def environment(cluster: Cluster, kubectl: Kubectl, tmp_path: Path) -> dict[str, str]:
    """What a shell has in which `kubectl mageflow` is used, in the test's namespace."""
    config = yaml.safe_load(cluster.kubeconfig.read_text())
    for context in config["contexts"]:
        context["context"]["namespace"] = kubectl.namespace
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))
    path = f"{cluster.kubectl.parent}:{PROGRAMS}:/usr/bin:/bin"
    return {"PATH": path, "KUBECONFIG": str(tmp_path / "kubeconfig"), "HOME": str(tmp_path), "LANG": "C.UTF-8"}


def task(name: str, script: str) -> dict[str, Any]:
    command = ["sh", "-c", f"trap 'exit 143' TERM; {script}"]
    return {
        "name": name,
        "template": {"spec": {"containers": [{"name": "main", "image": "busybox:1.36", "command": command}]}},
    }


def create(kubectl: Kubectl, kind: str, name: str, *tasks: dict[str, Any]) -> None:
    resource = {"apiVersion": "mageflow.io/v1", "kind": kind, "metadata": {"name": name}, "spec": {"tasks": tasks}}
    kubectl.run("create", "--filename=-", stdin=json.dumps(resource))


def run(line: str, environment: dict[str, str], folder: Path) -> str:
    """Run a command to its end, and return what it wrote to stdout."""
    output = folder / f"output of {zlib.crc32(line.encode())}"
    with output.open("wb") as out:
        command = ["/bin/bash", "-c", line]
        subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=out, check=True, timeout=PATIENCE)
    return output.read_text()


def wait_for_line(kubectl: Kubectl, name: str, task: str) -> None:
    """Wait until a task of a resource runs and has written something."""
    deadline = time.monotonic() + PATIENCE
    while not any(kubectl.run("logs", pod) for pod, _ in running_containers(kubectl, name, task)):
        assert time.monotonic() < deadline, kubectl.describe(name)
        time.sleep(0.1)


@contextmanager
def following(output: Path, environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Have `logs -f` write to a file."""
    with output.open("wb") as out:
        process = subprocess.Popen(
            ["/bin/bash", "-c", "exec kubectl mageflow logs -f nightly"], env=environment, stdout=out
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_walk_through_tree_suspend_and_logs_as_a_person_sees_it(
    kubectl: Kubectl, environment: dict[str, str], tmp_path: Path
) -> None:
    counts = "for i in $(seq {}); do echo $MAGEFLOW_TASK $i; sleep 1; done"
    lengths = {"extract": 7, "load": 2, "report": 2}
    tasks = {name: task(name, counts.format(length)) for name, length in lengths.items()}
    tasks["extract"] = task("extract", f"{counts.format(lengths['extract'])}; {GATE}")
    create(kubectl, "Chain", "nightly", *tasks.values())
    create(kubectl, "Swarm", "render", *(task(name, f"echo 1; {GATE}; echo 2") for name in ("a", "b")))
    kubectl.wait_for_phase("chain/nightly", "Active")
    followed = tmp_path / "followed"
    with (
        following(followed, environment) as follower,
        Terminal(["/bin/bash", "-c", WALK], environment, tmp_path) as walk,
    ):
        walk.wait_for("1 task to finish (extract)")
        while not (early := followed.read_text()):
            assert follower.poll() is None, "it has ended without a line"
            time.sleep(0.1)
        open_gate(kubectl, "chain/nightly", "extract")
        assert walk.finish() == 0
        assert follower.wait(PATIENCE) == 0
    for name in ("a", "b"):
        wait_for_line(kubectl, "swarm/render", name)
    for name in ("a", "b"):
        open_gate(kubectl, "swarm/render", name)
    kubectl.wait_for_phase("swarm/render", "Succeeded")

    shown = walk.text
    assert "━" in shown
    assert re.search(r"chain\.mageflow\.io/nightly suspended.*nightly resumed.*Succeeded", shown, re.DOTALL)
    lines = [f"{name}: {name} {number + 1}" for name, length in lengths.items() for number in range(length)]
    assert early.splitlines()[0] == lines[0]  # as they come, not at the end
    assert followed.read_text().splitlines() == lines
    assert len(LOGS) == 5
    with ThreadPoolExecutor() as pool:
        outputs = pool.map(lambda line: run(line, environment, tmp_path), (*LOGS, INTERLEAVED))
    written = dict(zip((*LOGS, INTERLEAVED), (output.splitlines() for output in outputs), strict=True))
    assert written["kubectl mageflow logs nightly"] == written["kubectl mageflow logs nightly -f"] == lines
    in_containers = [line.replace(":", "/main:", 1) for line in lines]
    assert written["kubectl mageflow logs nightly --all-containers"] == in_containers
    stamped = written["kubectl mageflow logs chain nightly --task load --timestamps"]
    assert [re.sub(r" \d{4}-\S+Z", "", line) for line in stamped] == lines[7:9]
    objects = [json.loads(line) for line in written["kubectl mageflow logs nightly -o json"]]
    assert [f"{line['task']}: {line['text']}" for line in objects] == lines
    times = [line.split()[1] for line in written[INTERLEAVED]]
    assert times == sorted(times)
    interleaved = [line.split()[0] for line in written[INTERLEAVED]]
    assert [sorted(interleaved[:2]), sorted(interleaved[2:])] == [["a:", "b:"]] * 2
    if IS_RECORDED:
        write_cast(ROOT / "docs" / "cli.cast", walk.shown, title="kubectl mageflow: tree -w and suspend --wait")


def test_what_an_init_container_wrote_is_shown_when_the_main_one_never_started(
    kubectl: Kubectl, environment: dict[str, str], tmp_path: Path
) -> None:
    broken = task("load", "echo never")
    fetch = {"name": "fetch", "image": "busybox:1.36", "command": ["sh", "-c", "echo no such host; exit 3"]}
    broken["template"]["spec"]["initContainers"] = [fetch]
    create(kubectl, "Chain", "nightly", broken)
    kubectl.wait_for_phase("chain/nightly", "Failed")
    for options in ("", " -f", " --all-containers"):
        assert run(f"kubectl mageflow logs nightly{options}", environment, tmp_path) == "load/fetch: no such host\n"
    assert run("kubectl mageflow logs nightly -c fetch", environment, tmp_path) == "load: no such host\n"
    assert run("kubectl mageflow logs nightly -c main", environment, tmp_path) == ""
