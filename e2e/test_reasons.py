"""What the resource says of why it doesn't run, or has failed, is the cause."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable

import pytest

from devkit.gate import GATE
from devkit.gitops.watched import WatchedKubectl
from devkit.kubectl import Kubectl, KubectlError, Raw, condition
from devkit.patience import PATIENCE

from .resources import (
    chain,
    container,
    create,
    ready_of,
    run_mageflow,
    template,
    wait_for_reason,
    workflow,
)
from .sidebyside import side_by_side

# ── what has no room ──


@side_by_side
def test_sizes_are_told_and_nothing_starts_when_a_swarm_leaves_no_room_for_its_ledger(kubectl: WatchedKubectl) -> None:
    assert _try_to_create(kubectl, _large_swarm(14_500, "active"))

    _wait_quietly(lambda: ready_of(kubectl.status_of("swarm/huge"))[0] == "InvalidTask")

    status = kubectl.status_of("swarm/huge")
    assert re.search(r"\d+.*bytes", ready_of(status)[1])
    assert condition(status, "Stalled")["status"] == "True"
    assert kubectl.jobs_of("swarm/huge") == []


@side_by_side
def test_an_event_tells_and_nothing_starts_when_not_even_the_status_of_a_swarm_can_be_written(
    kubectl: WatchedKubectl,
) -> None:
    """The largest that the API server takes: what had started could neither be recorded nor be stopped."""
    low, high = 15_600, 15_750
    while high - low > 1:
        middle = (low + high) // 2
        if _try_to_create(kubectl, _large_swarm(middle, "suspended")):
            low = middle
            kubectl.run("delete", "swarm", "huge")
        else:
            high = middle
    assert _try_to_create(kubectl, _large_swarm(low, "active"))

    _wait_quietly(lambda: "request is too large" in kubectl.run("get", "events", "--output=yaml"))

    assert kubectl.jobs_of("swarm/huge") == []
    told = run_mageflow(kubectl, "interrupt", "huge", "--yes", "--timeout=20s").stderr
    assert re.search("too large|bytes|room", told), told
    assert "is one running?" not in told


def _wait_quietly(is_met: Callable[[], bool]) -> None:
    """Wait, and don't show the whole Swarm if it is in vain."""
    deadline = time.monotonic() + PATIENCE
    while not is_met():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _large_swarm(size: int, lifecycle: str) -> Raw:
    tasks = [{"name": f"t-{number:03}", "input": "x" * size} for number in range(100)]
    spec = {"lifecycle": lifecycle, "maxConcurrency": 2, "template": template(GATE), "tasks": tasks}
    return {"apiVersion": "mageflow.io/v1", "kind": "Swarm", "metadata": {"name": "huge"}, "spec": spec}


def _try_to_create(kubectl: Kubectl, manifest: Raw) -> bool:
    """Create it, or tell that it is too large; a busy API server may not answer in time."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            create(kubectl, manifest)
        except KubectlError as error:
            if "too large" in str(error):
                return False
            if "AlreadyExists" in str(error):
                return True
            if "imeout" not in str(error) or time.monotonic() > deadline:
                raise
        else:
            return True


# ── outputs ──


@side_by_side
def test_chain_stops_when_the_next_task_would_get_an_output_that_was_cut(kubectl: WatchedKubectl) -> None:
    """The kubelet keeps 12 KiB of all containers of a pod together: of each of four, 3,072 bytes."""
    json_of_3_5_kb = """{ printf '{"files":["'; head -c 3500 /dev/zero | tr '\\0' x; printf '"]}'; }"""
    inits = [container("true", f"init-{number}") for number in range(3)]
    produce = template(
        f'[ "$MAGEFLOW_OUTPUT_LIMIT" = 3072 ] && {json_of_3_5_kb} > /dev/termination-log', initContainers=inits
    )
    sees = template('printf "%.10s" "$MAGEFLOW_PREVIOUS" > /dev/termination-log')
    name = create(kubectl, chain("results", {"produce": produce, "consume": sees}))

    status = wait_for_reason(kubectl, name, "OutputTruncated")

    assert (status["phase"], status["lifecycleSource"], status["done"]) == ("Suspended", "failure", 1)
    assert status["tasks"][0]["reason"] == "OutputTruncated"
    assert len(kubectl.jobs_of(name)) == 1, "it wasn't handed on"
    edited = {"spec": {"tasks": chain("results", {"produce": produce, "consume": sees})["spec"]["tasks"]}}
    edited["spec"]["tasks"][1]["input"] = "goes on without"
    kubectl.run("patch", name, "--type=merge", f"--patch={json.dumps(edited)}")
    status = kubectl.wait_for_phase(name, "Succeeded")
    assert status.get("output") is None, "it was given null"


# ── failures ──


@side_by_side
def test_cause_is_that_of_the_main_container_when_a_sidecar_is_stopped_after_it(kubectl: WatchedKubectl) -> None:
    proxy = container("trap 'exit 143' TERM; while :; do sleep 1 & wait $!; done", "proxy", restartPolicy="Always")
    main = "echo disk full > /dev/termination-log; exit 3"

    message = message_of_failure(kubectl, template(main, initContainers=[proxy]))

    assert "exit code 3" in message
    assert "disk full" in message
    assert "143" not in message


@side_by_side
def test_cause_is_that_of_the_container_that_failed_when_another_ended_well(kubectl: WatchedKubectl) -> None:
    other = container("echo out of memory; exit 9", "other")

    message = message_of_failure(kubectl, template("echo all well > /dev/termination-log", others=[other]))

    assert "exit code 9" in message
    assert "other" in message
    assert "all well" not in message


@side_by_side
def test_it_is_said_that_a_container_was_out_of_memory_when_it_was(kubectl: WatchedKubectl) -> None:
    main = {"resources": {"limits": {"memory": "16Mi"}}}

    message = message_of_failure(kubectl, template("a=xxxxxxxx; while :; do a=$a$a; done", main=main))

    assert message.startswith("OOMKilled: container main")


@side_by_side
def test_init_container_is_named_when_it_is_the_one_that_failed(kubectl: WatchedKubectl) -> None:
    fetch = container("echo no route to host > /dev/termination-log; exit 7", "fetch")

    message = message_of_failure(kubectl, template("true", initContainers=[fetch]))

    assert "fetch" in message
    assert "exit code 7" in message
    assert "no route to host" in message


@pytest.mark.nightly
@side_by_side
def test_it_has_failed_when_it_is_evicted_for_exceeding_its_own_limit(kubectl: WatchedKubectl) -> None:
    """The kubelet gives that no DisruptionTarget, since it would happen again."""
    scratch = {"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}
    mount = {"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]}
    script = "dd if=/dev/zero of=/scratch/x bs=1M count=20; sleep 3600 & wait"

    message = message_of_failure(kubectl, template(script, volumes=[scratch], main=mount))

    assert "exceeds the limit" in message


def message_of_failure(kubectl: Kubectl, pod: Raw) -> str:
    """Have a Workflow without retries run to its failure, by one run; return reason and message of its ledger."""
    name = create(kubectl, workflow("x", pod))
    status = kubectl.wait_for_phase(name, "Failed")
    task = status["tasks"][0]
    assert (task["run"], task["failures"], task.get("disruptions", 0)) == (1, 1, 0)
    message: str = task["message"]
    assert message == message.strip()
    return f"{task['reason']}: {message}"


# ── what is refused at once, and what is printed ──


@side_by_side
def test_it_is_refused_when_its_pods_have_no_grace(kubectl: WatchedKubectl) -> None:
    with pytest.raises(KubectlError, match="terminationGracePeriodSeconds"):
        create(kubectl, workflow("zero", template("true", grace=0)))


@side_by_side
def test_what_get_prints_is_taken_unchanged_when_it_is_applied(kubectl: WatchedKubectl) -> None:
    texts = ("25921e05", "1.5e3", "n", "y", "0o17", "1_000", "0x1F", "12:30", ".5", "~", "1e3", "+1", "yes")
    env = [{"name": f"TEXT_{number}", "value": text} for number, text in enumerate(texts)]
    manifest = workflow(
        "texts",
        template("true", main={"env": env}),
        metadata={"labels": {"build": "1e3"}},
        lifecycle="suspended",
        input=dict(enumerate(texts)),
    )
    name = create(kubectl, json.loads(json.dumps(manifest)))
    kubectl.wait_for_phase(name, "Suspended")

    printed = run_mageflow(kubectl, "get", "workflow/texts", "--output=yaml").stdout

    kubectl.run("replace", "--dry-run=server", "--filename=-", stdin=printed)
    kubectl.run("diff", "--filename=-", stdin=printed)  # fails if there is any
