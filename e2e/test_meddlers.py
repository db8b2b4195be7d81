"""Others than the operator stop what runs: whoever it is, that is no success, and no failure of the task."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from devkit.gate import GATE, open_gate, open_gates_until
from devkit.gitops.watched import WatchedKubectl
from devkit.kubectl import Kubectl, Raw, Unmet, condition
from devkit.patience import PATIENCE
from localcluster import commands
from localcluster.layout import of_this_clone
from localcluster.provider import Provider

from .resources import create, diary_in, run_mageflow, template, workflow
from .sidebyside import side_by_side

HEEDS: Final = "trap 'exit 0' TERM"
"""Stopped, it exits 0: as many programs do that save their work."""

TELLS: Final = 'echo "run=$MAGEFLOW_RUN resumed=$MAGEFLOW_RESUMED" > /dev/termination-log'

ENDED: Final = {"Succeeded", "Failed", "Canceled"}


def gated(trap: str = "true") -> Raw:
    """Return a template whose task runs until its gate is opened, and then tells which run it is."""
    return template(f"{trap}; {GATE}; {TELLS}")


def start(kubectl: Kubectl, name: str, pod: Raw, **more: Raw) -> str:
    """Create a Workflow and wait until its task runs; return its name."""
    name = create(kubectl, workflow(name, pod, **more))
    kubectl.wait_for_phase(name, "Active")
    return name


def wait_until(kubectl: Kubectl, what: str, name: str, is_met: Callable[[], object]) -> None:
    """Wait for something that the status need not tell."""
    deadline = time.monotonic() + PATIENCE
    while not is_met():
        if time.monotonic() > deadline:
            raise Unmet(f"it is still not so that {what}\n{kubectl.describe(name)}")
        time.sleep(0.1)


def suspend_job(kubectl: Kubectl, name: str, suspend: bool) -> None:
    """Do to the Job of a run what Kueue, a downscaler or an admin does."""
    (job,) = kubectl.jobs_of(name)
    patch = json.dumps({"spec": {"suspend": suspend}})
    kubectl.run("patch", "job", job["metadata"]["name"], "--type=merge", f"--patch={patch}")


def is_told_as_cut_short(status: Raw) -> bool:
    consistent = condition(status, "Consistent")
    return (consistent.get("status"), consistent.get("reason")) == ("False", "DisruptedWhileRunning")


# ── somebody suspends the Job of a run ──


def check_a_suspended_job_is_a_gate(kubectl: Kubectl, trap: str) -> None:
    name = start(kubectl, "x", gated(trap))

    suspend_job(kubectl, name, True)
    status = kubectl.wait(
        "it says that its Job is suspended, and that it was cut short",
        name,
        lambda status: (
            condition(status, "Ready").get("reason") == "JobSuspended"
            and is_told_as_cut_short(status)
            and not kubectl.live_pods_of(name)
        ),
    )

    assert status["phase"] not in ENDED
    assert (status["failed"], status["tasks"][0].get("failures", 0)) == (0, 0)
    (job,) = kubectl.jobs_of(name)
    assert job["spec"]["suspend"] is True, "their suspension stays"
    suspend_job(kubectl, name, False)
    status = open_gates_until(kubectl, name, "Succeeded")
    assert status["output"].startswith("run="), "it has run to its end"
    assert status["tasks"][0].get("failures", 0) == 0


@side_by_side
def test_it_waits_for_a_release_and_then_succeeds_when_somebody_suspends_the_job_of_a_task_that_exits_0(
    kubectl: WatchedKubectl,
) -> None:
    check_a_suspended_job_is_a_gate(kubectl, HEEDS)


@side_by_side
def test_it_waits_for_a_release_and_then_succeeds_when_somebody_suspends_the_job_of_a_task_that_is_killed(
    kubectl: WatchedKubectl,
) -> None:
    check_a_suspended_job_is_a_gate(kubectl, "true")


@side_by_side
def test_interrupt_is_in_force_when_somebody_unsuspends_the_job_that_it_stops(kubectl: WatchedKubectl) -> None:
    """Kueue does so with each Job in a namespace that has a queue named default."""
    name = start(kubectl, "x", template(f"trap '' TERM; {GATE}", grace=600))

    kubectl.set_lifecycle(name, "interrupted")
    kubectl.wait_for_phase(name, "Interrupting")
    suspend_job(kubectl, name, False)
    status = open_gates_until(kubectl, name, "Interrupted")

    assert kubectl.live_pods_of(name) == []
    assert (status["interruptions"], status["failed"]) == (1, 0)
    kubectl.set_lifecycle(name, "active")
    open_gate(kubectl, name)
    kubectl.wait_for_phase(name, "Succeeded")


# ── somebody takes its pod away ──


def check_the_next_run_knows(kubectl: Kubectl, name: str) -> None:
    """Check that a run that was cut short is followed by one that is told so."""
    kubectl.wait(f"{name} has a second run", name, lambda status: status["tasks"][0]["run"] == 2)
    open_gate(kubectl, name)
    status = kubectl.wait_for_phase(name, "Succeeded")

    assert status["output"] == "run=2 resumed=true"
    assert is_told_as_cut_short(status), status["conditions"]
    task = status["tasks"][0]
    assert (task.get("failures", 0), task["disruptions"]) == (0, 1)


def check_a_deleted_pod_is_a_disruption(kubectl: Kubectl, trap: str) -> None:
    name = start(kubectl, "x", gated(trap))
    (pod,) = kubectl.pods_of(name)
    kubectl.run("delete", "pod", pod["metadata"]["name"], "--wait=false")
    check_the_next_run_knows(kubectl, name)


@side_by_side
def test_next_run_knows_that_the_last_was_cut_short_when_its_pod_is_deleted_and_exits_0(
    kubectl: WatchedKubectl,
) -> None:
    check_a_deleted_pod_is_a_disruption(kubectl, HEEDS)


@side_by_side
def test_next_run_knows_that_the_last_was_cut_short_when_its_pod_is_deleted_and_is_killed(
    kubectl: WatchedKubectl,
) -> None:
    check_a_deleted_pod_is_a_disruption(kubectl, "true")


@side_by_side
def test_next_run_knows_that_the_last_was_cut_short_when_it_is_preempted(kubectl: WatchedKubectl) -> None:
    (node,) = kubectl.find_all("nodes")
    cpu = node["status"]["allocatable"]["cpu"]
    more_than_half = f"{int(cpu.removesuffix('m')) * (1 if cpu.endswith('m') else 1000) * 6 // 10}m"
    resources = {"requests": {"cpu": more_than_half}}
    name = start(kubectl, "x", template(f"{HEEDS}; {GATE}; {TELLS}", main={"resources": resources}))
    priority = f"{kubectl.namespace}-high"
    kubectl.run("create", "priorityclass", priority, "--value=1000")
    try:
        spec = template("sleep 600 & wait", main={"resources": resources})["spec"]
        important = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "important"}}
        manifest = important | {"spec": spec | {"restartPolicy": "Never", "priorityClassName": priority}}
        kubectl.run("create", "--filename=-", stdin=json.dumps(manifest))
        kubectl.run("wait", "pod/important", "--for=condition=Ready", f"--timeout={PATIENCE:.0f}s")
        kubectl.run("delete", "pod", "important", "--wait=false")
        check_the_next_run_knows(kubectl, name)
    finally:
        kubectl.run("delete", "priorityclass", priority)


# ── a start that is reported late ──


@contextmanager
def diary() -> Iterator[Path]:
    """Yield a folder of the node that pods write to: the node is this machine."""
    if commands.recorded_provider(of_this_clone()) is not Provider.LOCAL:
        pytest.skip("the node is another machine")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def lines_of(folder: Path) -> list[str]:
    path = folder / "lines"
    return path.read_text().splitlines() if path.exists() else []


@side_by_side
def test_late_start_is_told_as_an_interruption_when_a_suspend_has_evicted_its_pod(kubectl: WatchedKubectl) -> None:
    """A pod isn't said to run while a postStart hook does, and yet its process works."""
    with diary() as folder:
        hook = {"postStart": {"exec": {"command": ["sh", "-c", "until [ -e /diary/go ]; do sleep 0.1; done"]}}}
        pod = diary_in(folder)
        pod["main"]["lifecycle"] = hook
        script = f'echo "$MAGEFLOW_RUN $MAGEFLOW_RESUMED" >> /diary/lines; {GATE}; {TELLS}'
        name = create(
            kubectl, workflow("x", template(script, main=pod["main"] | {"lifecycle": hook}, volumes=pod["volumes"]))
        )
        wait_until(kubectl, "its process works", name, lambda: lines_of(folder))
        kubectl.set_lifecycle(name, "suspended")
        wait_until(kubectl, "its pod is going", name, lambda: _is_going(kubectl, name))
        (folder / "go").touch()
        status = kubectl.wait_for_phase(name, "Suspended")

        assert condition(status, "Consistent")["reason"] == "InterruptedWhileRunning"
        assert status["interruptions"] == 1
        kubectl.set_lifecycle(name, "active")
        open_gate(kubectl, name)
        assert kubectl.wait_for_phase(name, "Succeeded")["output"] == "run=2 resumed=true"


def _is_going(kubectl: Kubectl, name: str) -> bool:
    return any("deletionTimestamp" in pod["metadata"] for pod in kubectl.pods_of(name))


@side_by_side
def test_each_run_after_one_that_began_knows_it_when_suspended_at_its_start(kubectl: WatchedKubectl) -> None:
    """A kubelet tells of a start up to a second late, and a task of a second has ended by then."""
    with diary() as folder:
        script = 'echo "$MAGEFLOW_NAME $MAGEFLOW_RUN $MAGEFLOW_RESUMED" >> /diary/lines; sleep 1'
        names = [create(kubectl, workflow(f"x-{number}", template(script, **diary_in(folder)))) for number in range(4)]
        for name in names:
            wait_until(kubectl, "it has a Job", name, lambda name=name: kubectl.jobs_of(name))  # type: ignore[misc]
            kubectl.set_lifecycle(name, "suspended")
        for name in names:
            kubectl.wait("it is held, or has ended", name, lambda status: status["phase"] in {"Suspended", *ENDED})
            kubectl.set_lifecycle(name, "active")
        for name in names:
            kubectl.wait_for_phase(name, "Succeeded")

        begun = [line.split() for line in lines_of(folder)]
        for name in names:
            short = name.partition("/")[2]
            told = {int(run): resumed for owner, run, resumed in begun if owner == short}
            assert [resumed for run, resumed in sorted(told.items())][1:] == ["true"] * (len(told) - 1), begun


@side_by_side
def test_nothing_lives_on_when_interrupted_is_said_of_a_task_that_ignores_sigterm(kubectl: WatchedKubectl) -> None:
    with diary() as folder:
        script = "trap '' TERM; while :; do echo $MAGEFLOW_RUN >> /diary/lines; usleep 50000; done"
        name = start(kubectl, "x", template(script, grace=1, **diary_in(folder)))
        for _ in range(3):
            kubectl.wait_for_phase(name, "Active")
            wait_until(kubectl, "it lives", name, lambda: kubectl.live_pods_of(name) and lines_of(folder))
            kubectl.set_lifecycle(name, "interrupted")
            kubectl.wait_for_phase(name, "Interrupted")
            said = len(lines_of(folder))
            time.sleep(1.5)
            assert len(lines_of(folder)) == said
            kubectl.set_lifecycle(name, "active")
        kubectl.run("delete", name)
        wait_until(kubectl, "its pods are gone", name, lambda: not kubectl.pods_of(name))


# ── what hangs in deletion ──


@side_by_side
def test_pods_go_when_the_namespace_is_interrupted_and_somebodys_finalizer_keeps_their_resource(
    kubectl: WatchedKubectl,
) -> None:
    name = start(kubectl, "leaving", gated(HEEDS), metadata={"finalizers": ["example.com/backup"]})
    try:
        kubectl.run("delete", name, "--wait=false")
        told = run_mageflow(kubectl, "interrupt", "leaving", "--yes")
        assert "delet" in told.stdout + told.stderr, told
        assert "is one running?" not in told.stdout + told.stderr, told
        kubectl.run("label", "namespace", kubectl.namespace, "mageflow.io/lifecycle=interrupted")
        wait_until(kubectl, "its pods are gone", name, lambda: not kubectl.live_pods_of(name))
    finally:
        kubectl.run("patch", name, "--type=merge", '--patch={"metadata":{"finalizers":null}}')
    wait_until(kubectl, "it is gone", name, lambda: not kubectl.run("get", name, "--ignore-not-found"))
