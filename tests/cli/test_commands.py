"""The commands in this process, on the client's fake: what they print, and how they end."""

from __future__ import annotations

import asyncio
import json
import re
import threading
import time
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console
from typer.testing import CliRunner, Result

import mageflow
from mageflow.api import WORKFLOW
from mageflow.cli.app import app
from mageflow.cli.args import UnclearError
from mageflow.cli.completion import candidates, complete_names
from mageflow.cli.exit_codes import Exit, describe, exit_for_all
from mageflow.cli.progress import Bars, Lines, choose_progress
from mageflow.cli.verbs import SUSPEND
from mageflow.client.connection import open_connection
from mageflow.client.handle import ObjectHandle, ObjectRef
from mageflow.client.lifecycle_requests import request_lifecycle
from mageflow.client.resource import Resource
from mageflow.testing import FakeCluster

from .builders import done, running, view


def run(*words: str, code: int = 0, **options: Any) -> Result:
    result = CliRunner().invoke(app, list(words), **options)
    assert result.exit_code == code, (result.output, result.exception)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def tasks(*names: str, **options: Any) -> list[mageflow.Task]:
    return [mageflow.task(name, image="x", **options) for name in names]


@pytest.fixture
def cluster(mageflow_fake: FakeCluster) -> FakeCluster:
    """Chain nightly: extract is done, load runs; Workflow train, which runs; Swarm done, which has ended."""
    for name in ("load", "train"):
        mageflow_fake.task(name).keeps_running(logs=[f"{name} begins"])
    mageflow_fake.task("extract").succeeds(logs=["3 rows, …"])

    async def start() -> None:
        for resource in (
            await mageflow.chain(tasks("extract", "load", "report"), name="nightly", labels={"team": "a"}),
            await mageflow.workflow(tasks("train")[0]),
            await mageflow.swarm(tasks("a"), name="done", labels={"team": "a"}),
        ):
            await resource.start()

    asyncio.run(start())
    return mageflow_fake


def lifecycle_of(kind: str, name: str) -> str:
    lifecycle: str = asyncio.run(mageflow.get(kind, name)).manifest["spec"]["lifecycle"]
    return lifecycle


@pytest.mark.usefixtures("cluster")
def test_get_shows_all_three_kinds_in_one_table() -> None:
    lines = run("get").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["NAME", "workflow/train", "chain/nightly", "swarm/done"]
    assert run("get", "-l", "team=a", "-o", "name").stdout.split() == [
        "chain.mageflow.io/nightly", "swarm.mageflow.io/done"
    ]  # fmt: skip
    assert json.loads(run("get", "nightly", "-o", "json").stdout)["kind"] == "Chain"
    assert json.loads(run("get", "chains", "-o", "json").stdout)["kind"] == "List"
    assert run("get", "-n", "other").stderr == "No resources found in other namespace.\n"
    assert run("get", "-A", "-l", "a=b").stderr == "No resources found.\n"
    assert run("get", "-w", "-o", "json", code=2).stderr.startswith("error: -w prints a table")


@pytest.mark.usefixtures("cluster")
def test_what_is_found_is_shown_when_something_else_is_not() -> None:
    result = run("get", "nightly", "nothing", "chain/other", "-o", "name", code=3)
    assert result.stdout == "chain.mageflow.io/nightly\n"
    assert result.stderr.splitlines() == [
        "error: there is no workflow, chain or swarm 'nothing' in namespace default", 'error: chains "other" not found'
    ]  # fmt: skip


@pytest.mark.usefixtures("cluster")
def test_name_of_several_is_refused_until_its_kind_is_said() -> None:
    asyncio.run(start_swarm("nightly"))
    assert "write chain/nightly or swarm/nightly" in run("explain", "nightly", code=2).stderr
    assert run("explain", "chain", "nightly", "-o", "name").stdout == "chain.mageflow.io/nightly\n"
    mixed = run("suspend", "nightly", "nothing", code=1)
    assert len(mixed.stderr.splitlines()) == 2


async def start_swarm(name: str) -> None:
    await (await mageflow.swarm(tasks("b"), name=name)).start()


def without_ages(text: str) -> str:
    """Return a text in one line, without the ages in it: it may be a second older when it is asked for again."""
    return re.sub(r"\b\d+s\b", "", " ".join(text.split()))


@pytest.mark.usefixtures("cluster")
def test_explain_is_an_object_when_it_is_asked_for() -> None:
    document = yaml.safe_load(run("explain", "nightly", "-o", "yaml").stdout)
    assert document["phase"] == "Active"
    assert set(document["operations"]) == {"suspend", "interrupt", "resume", "cancel"}
    text = without_ages(run("explain", "nightly").stdout)
    assert all(without_ages(sentence) in text for sentence in document["why"])


@pytest.mark.usefixtures("cluster")
def test_tree_and_graph_are_drawn() -> None:
    assert "└── report" in run("tree", "nightly").stdout
    assert json.loads(run("tree", "-o", "json").stdout)["kind"] == "List"
    assert json.loads(run("tree", "nightly", "-o", "json").stdout)["kind"] == "Chain"
    assert run("graph", "nightly").stdout.startswith("flowchart LR")
    assert run("graph", "nightly", "-o", "svg").stdout.startswith("<svg")
    assert run("tree", "-n", "other").stderr == "No resources found.\n"
    assert "name one resource" in run("graph", "chain", code=2).stderr


def test_tasks_of_a_large_swarm_are_counted_unless_all_are_asked_for(mageflow_fake: FakeCluster) -> None:
    async def start() -> None:
        await (await mageflow.swarm(tasks(*(f"t{number}" for number in range(21))), name="large")).start()

    asyncio.run(start())
    assert "… 21 more" in run("tree").stdout
    assert len(run("tree", "--full").stdout.splitlines()) == 2 + 21


def test_tree_is_drawn_anew_until_all_has_ended(mageflow_fake: FakeCluster) -> None:
    async def start() -> None:
        await start_swarm("quick")
        await start_swarm("also")
        await (await mageflow.workflow(tasks("one")[0])).start()
        await (await mageflow.chain(tasks("b"), name="two")).start()

    asyncio.run(start())
    lines = run("tree", "-w").stdout.splitlines()
    heads = [line.split()[:2] for line in lines if "/" in line.split()[0]]
    names = ["workflow/one", "chain/two", "swarm/also", "swarm/quick"]
    assert heads == [[name, "Succeeded"] for name in names]
    once = run("tree").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [line.split()[:2] for line in once]  # ages may differ
    assert "'nothing'" in run("tree", "two", "nothing", code=3).stderr
    assert run("tree", "-w", "two", "nothing", code=3).stdout.count("chain/two") == 1


@pytest.mark.usefixtures("cluster")
def test_logs_are_printed_with_their_tasks() -> None:
    assert run("logs", "nightly").stdout.splitlines() == ["extract: 3 rows, …", "load: load begins"]
    assert run("logs", "nightly", "-t", "load").stdout == "load: load begins\n"
    assert run("logs", "train").stdout == "train begins\n"
    stamped = run("logs", "nightly", "--timestamps").stdout.splitlines()
    assert stamped[0].startswith("extract: 2000-01-01T")
    line = json.loads(written := run("logs", "nightly", "-o", "json").stdout.splitlines()[0])
    assert "…" in written
    assert (line["task"], line["run"], line["text"]) == ("extract", 1, "3 rows, …")
    assert run("logs", "nightly", "-c", "main", "-t", "load").stdout == "load: load begins\n"
    assert run("logs", "nightly", "--all-containers", "-t", "load").stdout == "load/main: load begins\n"
    assert run("logs", "train", "--all-containers").stdout == "main: train begins\n"


@pytest.mark.usefixtures("cluster")
def test_logs_of_a_name_that_nothing_has_are_an_error() -> None:
    for follow in ((), ("-f",)):
        unknown = run("logs", "nightly", "--task", "laod", *follow, code=3)
        assert unknown.stderr == "error: Chain default/nightly has no task 'laod': there is load and 2 more\n"
        assert "no container 'x': there is main" in run("logs", "train", "-c", "x", *follow, code=3).stderr
    assert "not both" in run("logs", "train", "-c", "main", "--all-containers", code=2).stderr
    silent = run("logs", "nightly", "--task", "report")
    assert (silent.stdout, silent.stderr) == ("", "There are no lines: nothing was written, or the pods are gone.\n")


def test_suspend_says_what_still_finishes_and_waits_for_it(cluster: FakeCluster) -> None:
    assert run("suspend", "nightly").stdout == "chain.mageflow.io/nightly suspending: 1 task to finish (load)\n"
    late = run("suspend", "nightly", "--wait", "--timeout", "50ms", code=5)
    assert "after 0.05 s it is still suspending" in late.stderr
    cluster.task("load").succeeds()
    assert run("suspend", "nightly", "--wait").stdout == "chain.mageflow.io/nightly is suspended already\n"
    resumed = run("resume", "chain/nightly", "-o", "name")
    assert (resumed.stdout, resumed.stderr) == ("chain.mageflow.io/nightly\n", "")


@pytest.mark.usefixtures("cluster")
def test_it_is_told_that_somebody_else_resumed_what_is_waited_for() -> None:
    """It said "suspended", with exit code 0, of what ran on, if the operator had answered them by then."""

    def resume() -> None:
        while lifecycle_of("chain", "nightly") != "suspended":
            time.sleep(0.01)
        asyncio.run(resume_chain("nightly"))

    somebody = threading.Thread(target=resume)
    somebody.start()
    result = run("suspend", "nightly", "--wait", code=4)
    somebody.join()
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1] == (
        "error: chain.mageflow.io/nightly in namespace default: somebody else has set its lifecycle to active since"
    )


async def resume_chain(name: str) -> None:
    await (await mageflow.get("chain", name)).resume()


def test_it_is_told_that_the_task_has_started_after_all_when_its_suspend_is_waited_for(cluster: FakeCluster) -> None:
    """It was suspended by somebody else, and its pod is being evicted: that comes too late."""
    cluster.stop_operator()

    async def show(phase: str, reason: str) -> None:
        manifest = (await mageflow.get("workflow", "train")).manifest
        generation = manifest["metadata"]["generation"]
        ready = {"type": "Ready", "status": "False", "reason": reason, "message": "run 1 runs"}
        ready |= {"observedGeneration": generation, "lastTransitionTime": "2026-11-24T12:00:00Z"}
        status = {"phase": phase, "observedGeneration": generation, "conditions": [ready]}
        cluster.transport.write_status(manifest, status)

    async def suspend() -> None:
        connection = await open_connection(None)
        uid = (await mageflow.get("workflow", "train")).manifest["metadata"]["uid"]
        await request_lifecycle(
            ObjectHandle(ObjectRef(connection, WORKFLOW, "default", "train"), uid), SUSPEND.lifecycle
        )
        await show("Suspending", "Suspending")

    asyncio.run(suspend())
    started = threading.Timer(0.3, lambda: asyncio.run(show("Active", "TaskAlreadyRunning")))
    started.start()
    result = run("suspend", "train", "--wait", code=4)
    started.join()
    assert result.stderr.splitlines()[-1].removeprefix("error: workflow.mageflow.io/train in namespace default: ") == (
        "its task is running, and a suspend never stops a task: it was to be suspended before this call, and still is; "
        "`kubectl mageflow interrupt workflow/train` stops it"
    )


@pytest.mark.usefixtures("cluster")
def test_suspend_of_a_running_workflow_changes_nothing_and_names_what_does() -> None:
    result = run("suspend", "train", code=4)
    assert "nothing was changed; `kubectl mageflow interrupt workflow/train` stops it" in result.stderr
    for by in ("client", "server"):
        assert f"nothing would be changed; `kubectl mageflow interrupt workflow/train` stops it ({by} dry run)" in (
            run("suspend", "train", f"--dry-run={by}").stdout
        )
    assert lifecycle_of("workflow", "train") == "active"
    assert asyncio.run(mageflow.get("workflow", "train")).manifest["metadata"]["generation"] == 1


@pytest.mark.usefixtures("cluster")
def test_what_has_ended_is_an_error_by_name_and_passed_over_by_selector() -> None:
    assert "has ended as Succeeded, and nothing changes that" in run("suspend", "swarm/done", code=4).stderr
    result = run("suspend", "-l", "team=a")
    assert result.stderr == "1 has ended, and is left alone\n"
    assert result.stdout == "chain.mageflow.io/nightly suspending: 1 task to finish (load)\n"
    assert run("cancel", "nightly", "--yes").stdout == "chain.mageflow.io/nightly canceled\n"
    assert run("cancel", "nightly", "--yes").stdout == "chain.mageflow.io/nightly is canceled already\n"
    assert "has ended as Canceled" in run("resume", "nightly", code=4).stderr


@pytest.mark.usefixtures("cluster")
def test_nothing_is_done_when_nothing_is_selected() -> None:
    for words in ([], ["chains"], ["-A"]):
        assert "nothing is selected" in run("cancel", "--yes", *words, code=2).stderr
    assert run("suspend", "--all", "-n", "other").stderr == "No resources found.\n"
    assert lifecycle_of("chain", "nightly") == "active"


@pytest.mark.usefixtures("cluster")
def test_interrupt_says_what_is_lost_and_refuses_to_guess_the_answer() -> None:
    result = run("interrupt", "--all", code=2)
    assert re.search(r"load is running \(run 1, for \d+s\): its work is lost", result.stderr)
    assert "this would interrupt 2 resources, and there is no terminal to ask on: say --yes" in result.stderr
    assert lifecycle_of("chain", "nightly") == "active"
    done = run("interrupt", "--all", "-y", "--wait")
    assert sorted(done.stdout.splitlines()) == [
        "chain.mageflow.io/nightly interrupted", "workflow.mageflow.io/train interrupted"
    ]  # fmt: skip
    assert "runs again from its start" in run("resume", "nightly").stderr


def test_interrupt_asks_nothing_when_nothing_would_be_lost(mageflow_fake: FakeCluster) -> None:
    mageflow_fake.task("b").stays_pending()
    asyncio.run(start_swarm("waiting"))
    assert run("interrupt", "waiting").stdout == "swarm.mageflow.io/waiting interrupted\n"
    assert "1 task would never run" in run("cancel", "waiting", code=2).stderr


@pytest.mark.usefixtures("cluster")
def test_dry_runs_change_nothing() -> None:
    shown = run("interrupt", "nightly", "--dry-run=client").stdout
    assert shown == (
        'chain.mageflow.io/nightly would be patched with {"spec":{"lifecycle":"interrupted"}} (client dry run)\n'
    )
    for by, generation in (("client", 1), ("server", 2)):  # the server tells what it would be
        document = json.loads(run("cancel", "nightly", f"--dry-run={by}", "-o", "json").stdout)
        assert (document["spec"]["lifecycle"], document["metadata"]["generation"]) == ("canceled", generation)
    assert lifecycle_of("chain", "nightly") == "active"


def test_it_says_so_when_no_operator_answers(cluster: FakeCluster) -> None:
    cluster.stop_operator()
    assert "is one running?" in run("suspend", "nightly", "--timeout", "1", code=5).stderr
    assert "hasn't answered yet" in run("explain", "nightly").stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["suspend", "--timeout", "soon", "x"], "'soon' is no duration"),
        (["suspend", "--dry-run=maybe", "x"], "maybe"),
        (["get", "-o", "xml"], "xml"),
        (["explain"], "Missing argument"),
        (["graph", "pod/x"], "no kind"),
        (["sing"], "No such command"),
        (["suspend", "x", "--yes"], "No such option"),
    ],
)
def test_wrong_words_are_told_with_exit_code_2(mageflow_fake: FakeCluster, words: list[str], complaint: str) -> None:
    assert complaint in run(*words, code=2).stderr


@pytest.mark.usefixtures("cluster")
def test_what_is_named_twice_is_meant_once() -> None:
    assert run("get", "nightly", "chain/nightly", "-o", "name").stdout == "chain.mageflow.io/nightly\n"
    assert len(run("suspend", "nightly", "chain/nightly").stdout.splitlines()) == 1
    assert len(run("suspend", "train", "mwf/train", code=4).stderr.splitlines()) == 1


@pytest.mark.usefixtures("cluster")
@pytest.mark.parametrize("name", ["..", ".", "a%2fb"])
def test_a_name_that_no_path_can_hold_is_not_found(name: str) -> None:
    assert "nothing can have the name" in run("get", "workflow", name, code=3).stderr
    assert "nothing can have the name" in run("suspend", "--all", "-n", name, code=3).stderr


@pytest.mark.parametrize("command", ["get", "tree", "explain", "graph", "logs", "suspend", "cancel"])
def test_it_is_one_line_when_there_is_no_cluster(command: str, tmp_path: Path) -> None:
    result = run(command, "x", "--kubeconfig", str(tmp_path / "none"), code=6)
    assert result.stderr.startswith("error: no cluster")
    assert result.stderr.count("\n") == 1
    broken = tmp_path / "broken"
    broken.write_text("{]")
    assert "can't be used" in run(command, "x", "--kubeconfig", str(broken), code=6).stderr


def test_exit_code_of_several_failures_is_theirs_if_it_is_the_same() -> None:
    missing = mageflow.NotFoundError(404, "NotFound", "x")
    assert exit_for_all([missing, missing]) is Exit.NOT_FOUND
    assert exit_for_all([missing, UnclearError("x")]) is Exit.FAILED
    assert exit_for_all([]) is Exit.DONE
    assert exit_for_all([mageflow.ForbiddenError(403, "Forbidden", "x")]) is Exit.DENIED
    assert exit_for_all([mageflow.OvertakenError("x")]) is Exit.STATE
    assert exit_for_all([mageflow.BeingDeletedError("x")]) is Exit.STATE
    assert exit_for_all([mageflow.UnreachableError("x")]) is Exit.NO_CLUSTER
    assert exit_for_all([mageflow.ConflictError(409, "Conflict", "x")]) is Exit.FAILED
    assert describe(mageflow.InvalidError("x", [mageflow.Cause("a", "b"), mageflow.Cause("c", "d")])) == (
        "x is invalid: a: b c: d"
    )


@pytest.mark.usefixtures("cluster")
def test_names_are_completed() -> None:
    found = asyncio.run(mageflow.find())
    assert sorted(candidates(found, [], "")) == ["chain", "done", "nightly", "swarm", "train", "workflow"]
    assert list(candidates(found, ["chain"], "")) == ["nightly"]
    assert list(candidates(found, ["train"], "")) == ["nightly", "done"]
    assert list(candidates(found, [], "chain/")) == ["workflow/train", "chain/nightly", "swarm/done"]


def test_names_that_alone_would_be_unclear_are_completed_with_their_kind(mageflow_fake: FakeCluster) -> None:
    async def start() -> list[Resource]:
        await start_swarm("x")
        await start_swarm("chain")
        await (await mageflow.chain(tasks("a"), name="x")).start()
        return await mageflow.find()

    found = asyncio.run(start())
    assert sorted(candidates(found, ["y"], "")) == ["chain/x", "swarm/chain", "swarm/x"]


def test_completion_is_silent_when_there_is_no_cluster(tmp_path: Path) -> None:
    class Context:
        params = {"kubeconfig": tmp_path / "none"}  # noqa: RUF012
        args: list[str] = []  # noqa: RUF012

    assert complete_names(Context(), "x") == []  # type: ignore[arg-type]


def test_progress_is_told_once_for_each_change() -> None:
    lines = Console(file=StringIO(), width=200)
    progress = Lines(lines, SUSPEND)
    seen = view("Chain", "Suspending", (running(),), lifecycle="suspended", reason="Suspending")
    later = view("Chain", "Suspending", (done(), running("report")), lifecycle="suspended", reason="Suspending")
    for it in (seen, seen, later):
        progress.show("u", it)
    assert lines.file.getvalue().splitlines() == [  # type: ignore[attr-defined]
        "chain.mageflow.io/nightly Suspending: 1 task to finish (load); 0/1 done",
        "chain.mageflow.io/nightly Suspending: 1 task to finish (report); 1/2 done",
    ]


def test_bars_are_of_the_tasks_that_had_to_finish_and_give_way_to_what_is_printed() -> None:
    console = Console(file=StringIO(), width=200, force_terminal=True, color_system=None)
    assert isinstance(choose_progress(console, SUSPEND), Bars)
    assert isinstance(choose_progress(Console(file=StringIO()), SUSPEND), Lines)
    bars = Bars(console, SUSPEND)
    both = view("Swarm", "Suspending", (running("a"), running("b")), lifecycle="suspended", reason="Suspending")
    one = view("Swarm", "Suspending", (done("a"), running("b")), lifecycle="suspended", reason="Suspending")
    with bars.shown():
        bars.show("u", both)
        bars.show("v", both)
        bars.show("u", one)
        ((first, second),) = [bars.rich.tasks]
        assert (first.completed, first.total, first.description) == (1, 2, "swarm/nightly Suspending")
        assert first.fields["left"] == "1 task to finish (b) · 1/2 done"
        assert (second.completed, second.total) == (0, 2)
        bars.remove("u")
        with bars.hidden():
            assert not bars.rich.live.is_started
        assert bars.rich.live.is_started
        bars.remove("v")
        bars.remove("never shown")
        with bars.hidden():
            pass
        assert not bars.rich.live.is_started
