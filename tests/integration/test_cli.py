"""`kubectl mageflow` as a user calls it: by its real process, on a real API server, with the operator beside it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio
import yaml

from devkit.cluster import ROOT
from devkit.patience import PATIENCE
from devkit.terminal import Terminal
from localcluster.controlplane import ControlPlane

from .control import Raw
from .many import Many, create_many
from .stage import Namespace, Workflow, wait_until

PROGRAMS: Final = Path(sys.executable).parent
"""Where `kubectl-mageflow` is installed."""

DOCS: Final = (ROOT / "docs" / "cli.md").read_text() + (ROOT / "README.md").read_text()
BLOCKS: Final = re.findall(r"^```sh\n(.*?)^```$", DOCS, re.DOTALL | re.MULTILINE)
CHANGES: Final = re.compile(r" (suspend|interrupt|resume|cancel) ")
LINES: Final = [line for block in BLOCKS for line in block.splitlines() if re.match(r"kubectl[- ]mageflow ", line)]
COMMANDS: Final = list(dict.fromkeys(re.sub(r" +# [^e].*", "", line) for line in LINES))
"""Each once, though the README has some of them, too."""


@dataclass(frozen=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str


@dataclass
class Command:
    """A command that runs, and writes to files."""

    process: asyncio.subprocess.Process
    out_file: Path
    err_file: Path

    @property
    def out(self) -> str:
        return self.out_file.read_text()

    @property
    def err(self) -> str:
        return self.err_file.read_text()

    async def wait_for(self, text: str) -> None:
        """Wait until it has written something."""

        async def is_met() -> bool:
            return text in self.out + self.err

        async def describe() -> str:
            return self.out + self.err

        await wait_until(f"{text!r} is written", is_met, describe)

    async def end(self, *, code: int = 0) -> Ended:
        """Wait for its end; check its exit code, and that nobody sees a traceback."""
        ended = Ended(await asyncio.wait_for(self.process.wait(), PATIENCE), self.out, self.err)
        assert "Traceback" not in ended.out + ended.err, ended
        assert ended.code == code, ended
        return ended


@dataclass
class Shell:
    """Runs commands in a folder of their own, where the kubeconfig's namespace is that of the test."""

    folder: Path
    environment: dict[str, str]
    count: int = 0
    terminals: list[Terminal] = field(default_factory=list)

    async def start(self, line: str) -> Command:
        self.count += 1
        out, err = (self.folder / f"{self.count}.{end}" for end in ("out", "err"))
        with out.open("wb") as out_file, err.open("wb") as err_file:
            process = await asyncio.create_subprocess_exec(
                "/bin/bash", "-c", line, env=self.environment, cwd=self.folder, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=out_file, stderr=err_file,
            )  # fmt: skip
        return Command(process, out, err)

    async def run(self, line: str, *, code: int = 0) -> Ended:
        return await (await self.start(line)).end(code=code)

    def open_terminal(self, line: str, **environment: str) -> Terminal:
        terminal = Terminal(["/bin/bash", "-c", line], {**self.environment, **environment}, self.folder)
        self.terminals.append(terminal)
        return terminal


@pytest.fixture
def shell(namespace: Namespace, tmp_path: Path) -> Iterator[Shell]:
    shell = make_shell(namespace, tmp_path, namespace.control_plane.kubeconfig)
    yield shell
    for terminal in shell.terminals:
        terminal.kill()


def make_shell(namespace: Namespace, folder: Path, kubeconfig: Path) -> Shell:
    config = yaml.safe_load(kubeconfig.read_text())
    for context in config["contexts"]:
        context["context"]["namespace"] = namespace.name
    (folder / "kubeconfig").write_text(yaml.safe_dump(config))
    (folder / "work").mkdir(exist_ok=True)
    path = f"{namespace.control_plane.kubectl.parent}:{PROGRAMS}:/usr/bin:/bin"
    environment = {"PATH": path, "KUBECONFIG": str(folder / "kubeconfig"), "HOME": str(folder), "LANG": "C.UTF-8"}
    return Shell(folder / "work", environment)


async def create_running(namespace: Namespace, kind: str = "Chain", name: str = "nightly") -> Many:
    many = await create_many(namespace, kind, name, ("extract", "load", "report"))
    await many.start("extract")
    await many.wait_for("Active", ready="Running")
    return many


async def lifecycle_of(many: Workflow) -> str:
    lifecycle: str = (await many.read())["spec"]["lifecycle"]
    return lifecycle


# ── the docs ──


@pytest_asyncio.fixture
async def played(namespace: Namespace) -> AsyncIterator[None]:
    """Chain nightly, Swarm render and Workflow train, whose pods start, and end when they are awaited by a suspend."""
    chain = await create_running(namespace)
    await namespace.create_running("train")
    swarm = await create_many(
        namespace, "Swarm", "render", [f"frame-{number}" for number in range(9)], maxConcurrency=2
    )
    for many in (chain, swarm):
        await namespace.api.patch(many.path, {"metadata": {"labels": {"team": "a"}}})

    async def play() -> None:
        while True:
            for many in (chain, swarm, Workflow(namespace, "train")):
                phase = (await many.status()).get("phase")
                for pod in await many.live_pods():
                    if phase == "Suspending":
                        await namespace.kubelet.attempt(pod, namespace.kubelet.succeed)
                    elif pod["status"].get("phase") == "Pending" and pod["spec"].get("nodeName"):
                        await namespace.kubelet.attempt(pod, namespace.kubelet.start)
            await asyncio.sleep(0.1)

    playing = asyncio.create_task(play())
    yield
    playing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await playing


@pytest.mark.usefixtures("played")
async def test_every_command_of_the_docs_runs(shell: Shell) -> None:
    """As it is written there. Those that read logs are run by e2e/test_cli.py: they need a kubelet."""
    assert len(COMMANDS) > 20
    looks = [line for line in COMMANDS if not CHANGES.search(line) and " logs " not in line]
    changes = [line for line in COMMANDS if CHANGES.search(line)]
    await asyncio.gather(
        run_from_docs(shell, *looks[::2]),
        run_from_docs(shell, *looks[1::2]),
        run_from_docs(shell, *(line for line in changes if " train" in line)),
        run_from_docs(shell, *(line for line in changes if " train" not in line)),
    )
    assert "</svg>" in (shell.folder / "render.svg").read_text()


async def run_from_docs(shell: Shell, *lines: str) -> None:
    """Run commands that end with the exit code that the docs say, 0 if they say nothing; end those that watch."""
    for line in lines:
        expected = re.search(r"# exit code (\d+)", line)
        if not re.search(r" -w\b", line):
            stays = (
                f"{line}\nexit $?"  # bash is there while it runs, as a person's is: completion asks which shell it is
            )
            await shell.run(stays, code=int(expected[1]) if expected else 0)
            continue
        watching = await shell.start(f"exec {line}")
        await watching.wait_for("nightly")
        os.killpg(watching.process.pid, signal.SIGINT)
        assert (await watching.end(code=130)).err == ""


# ── get, in the same words as kubectl ──


async def test_objects_are_printed_as_kubectl_prints_them(namespace: Namespace, shell: Shell) -> None:
    await create_running(namespace)
    await create_many(namespace, "Swarm", "render", lifecycle="suspended")
    await Many(namespace, "render", "Swarm").wait_for("Suspended")
    for what in ("chain/nightly", "chain,swarm"):
        ours, theirs = await asyncio.gather(
            shell.run(f"kubectl mageflow get {what} -o json"), shell.run(f"kubectl get {what} -o json")
        )
        assert json.loads(ours.out) == json.loads(theirs.out), what
    ours, theirs = await asyncio.gather(
        shell.run("kubectl mageflow get chain nightly -o yaml"), shell.run("kubectl get chain nightly -o yaml")
    )
    assert yaml.safe_load(ours.out) == yaml.safe_load(theirs.out)
    names, theirs = await asyncio.gather(
        shell.run("kubectl mageflow get -o name"), shell.run("kubectl get chains,swarms -o name")
    )
    assert names.out == theirs.out == "chain.mageflow.io/nightly\nswarm.mageflow.io/render\n"
    table = await shell.run("kubectl mageflow get -o wide")
    assert [line.split()[:4] for line in table.out.splitlines()] == [
        ["NAME", "PHASE", "DONE", "RUNNING"],
        ["chain/nightly", "Active", "0/3", "1"],
        ["swarm/render", "Suspended", "0/3", "0"],
    ]
    assert "\x1b" not in table.out


async def complete(shell: Shell, line: str, wanted: str) -> None:
    """Press the tab key until the name is there: an API server that is busy for two seconds is not waited for."""
    deadline = asyncio.get_running_loop().time() + PATIENCE
    while (shown := (await shell.run(line)).out.splitlines())[0] != wanted:
        assert asyncio.get_running_loop().time() < deadline, f"{line} shows {shown}"


async def test_names_are_completed_by_kubectl(namespace: Namespace, shell: Shell) -> None:
    await create_many(namespace, "Chain", "nightly", lifecycle="suspended")
    await complete(shell, "kubectl __complete mageflow suspend ni", "nightly")
    await complete(shell, "kubectl __complete mageflow tree chain/", "chain/nightly")
    silent = await shell.run("kubectl_complete-mageflow --kubeconfig=/nowhere suspend x")
    assert (silent.out, silent.err) == (":4\n", "")


async def test_a_watch_prints_its_head_before_the_first_line_also_when_nothing_was_there(
    namespace: Namespace, shell: Shell
) -> None:
    watching = await shell.start("exec kubectl mageflow get -w")
    await watching.wait_for("No resources found")
    await create_many(namespace, "Chain", "nightly", lifecycle="suspended")
    await watching.wait_for("chain/nightly   Suspended")
    os.killpg(watching.process.pid, signal.SIGINT)
    head, *lines = (await watching.end(code=130)).out.splitlines()
    assert head.split() == ["NAME", "PHASE", "DONE", "RUNNING", "AGE"]
    assert {line.split()[0] for line in lines} == {"chain/nightly"}


async def test_who_may_see_one_resource_only_may_wait_for_it_and_watch_it(
    namespace: Namespace, shell: Shell, tmp_path: Path, control_plane: ControlPlane
) -> None:
    """RBAC lets a list or watch pass by a Role's `resourceNames` only if it selects the name."""
    await create_running(namespace)
    await create_many(namespace, "Chain", "other", lifecycle="active")
    verbs = "--verb=get,list,watch,patch"
    await namespace.kubectl("create", "role", "one", verbs, "--resource=chains", "--resource-name=nightly")
    await namespace.kubectl("create", "rolebinding", "one", "--role=one", "--user=narrow")
    (tmp_path / "narrow").mkdir()
    narrow = make_shell(namespace, tmp_path / "narrow", control_plane.kubeconfig_for("narrow", groups=()))
    watching = await narrow.start("exec kubectl mageflow get chain nightly -w")
    await watching.wait_for("Active")
    waiting = await narrow.start("exec kubectl mageflow suspend chain/nightly --wait")
    await waiting.wait_for("1 task to finish")
    await watching.wait_for("Suspending")
    await Many(namespace, "nightly", "Chain").finish("extract")
    assert (await waiting.end()).out == "chain.mageflow.io/nightly suspended\n"
    os.killpg(watching.process.pid, signal.SIGINT)
    assert "other" not in (await watching.end(code=130)).out
    assert "forbidden" in (await narrow.run("kubectl mageflow suspend chain/other", code=7)).err


# ── what goes wrong ──


async def test_others_are_suspended_when_one_is_missing_and_one_runs(namespace: Namespace, shell: Shell) -> None:
    await namespace.create_running("train")
    chain = await create_many(namespace, "Chain", "nightly", lifecycle="active")
    ended = await shell.run("kubectl mageflow suspend nothing train chain/nightly", code=1)
    assert re.fullmatch(r"chain.mageflow.io/nightly (suspended|suspending: .*)\n", ended.out)
    missing, running = ended.err.splitlines()
    assert "'nothing'" in missing
    assert "interrupt workflow/train" in running
    assert await lifecycle_of(Workflow(namespace, "train")) == "active"
    assert await lifecycle_of(chain) == "suspended"
    again, alone = await asyncio.gather(
        shell.run("kubectl mageflow suspend nightly"), shell.run("kubectl mageflow suspend mwf train", code=4)
    )
    assert again.out.startswith("chain.mageflow.io/nightly is suspended already")
    assert "nothing was changed" in alone.err
    events = await namespace.api.list(f"/api/v1/namespaces/{namespace.name}/events")
    assert [event for event in events if event["involvedObject"]["name"] == "train"] == []


async def test_exit_codes_tell_what_was_wrong(
    namespace: Namespace, shell: Shell, tmp_path: Path, control_plane: ControlPlane
) -> None:
    await create_many(namespace, "Chain", "both", lifecycle="suspended")
    await create_many(namespace, "Swarm", "both", lifecycle="suspended")
    (tmp_path / "stranger").mkdir()
    stranger = make_shell(namespace, tmp_path / "stranger", control_plane.kubeconfig_for("stranger", groups=()))
    unclear, denied, unknown = await asyncio.gather(
        shell.run("kubectl mageflow resume both", code=2),
        stranger.run("kubectl mageflow get", code=7),
        shell.run("kubectl mageflow --context=none get", code=2),
    )
    assert "write chain/both or swarm/both" in unclear.err
    assert "forbidden" in denied.err
    assert "--context" in unknown.err
    nowhere, unread = await asyncio.gather(
        shell.run("kubectl mageflow get --context=none", code=6),
        shell.run("kubectl mageflow get chains,swarms -o yaml | true; exit ${PIPESTATUS[0]}", code=141),
    )
    assert nowhere.err.count("\n") == 1
    assert unread.err == ""
    full, absent, wrong = await asyncio.gather(
        shell.run("kubectl mageflow get chains,swarms -o yaml > /dev/full", code=1),
        shell.run("kubectl mageflow suspend --all -n tema-a", code=3),
        shell.run("kubectl mageflow suspend -l 'team in (a'", code=2),
    )
    assert full.err == "error: No space left on device\n"
    assert absent.err == "error: there is no namespace 'tema-a'\n"
    assert wrong.err.startswith("error: -l 'team in (a' selects nothing: ")
    dry, told = await asyncio.gather(
        shell.run("kubectl mageflow suspend --all -n default"), stranger.run("kubectl mageflow suspend --all", code=7)
    )
    assert dry.err == "No resources found.\n"
    assert "forbidden" in told.err


async def test_it_says_so_when_no_operator_answers(namespace: Namespace, shell: Shell) -> None:
    await create_many(namespace, "Chain", "nightly", lifecycle="suspended")
    await Many(namespace, "nightly", "Chain").wait_for("Suspended")
    namespace.operator.pause()
    try:
        ended = await shell.run("kubectl mageflow resume nightly --timeout 1s", code=5)
        explained = await shell.run("kubectl mageflow explain nightly")
    finally:
        namespace.operator.resume()
    assert "is one running?" in ended.err
    assert "the operator hasn't answered yet" in explained.out


async def test_a_task_whose_job_is_refused_is_not_said_to_be_about_to_start(namespace: Namespace, shell: Shell) -> None:
    quota = f"/api/v1/namespaces/{namespace.name}/resourcequotas"
    await namespace.api.create(quota, {"metadata": {"name": "none"}, "spec": {"hard": {"count/jobs.batch": "0"}}})

    async def is_counted() -> bool:
        return bool((await namespace.api.get(f"{quota}/none")).get("status", {}).get("used"))

    await wait_until("the quota is counted", is_counted)
    await namespace.create("train")
    for kind, name in (("Chain", "nightly"), ("Swarm", "render")):
        await create_many(namespace, kind, name, ("extract", "load"))
    for kind, name in (("Workflow", "train"), ("Chain", "nightly"), ("Swarm", "render")):
        await Many(namespace, name, kind).wait_for("Pending", ready="Forbidden")
        explained = await shell.run(f"kubectl mageflow explain {name}")
        assert re.search(r"can't start (run 1 )?\(Forbidden: .*exceeded quota", " ".join(explained.out.split())), (
            explained
        )
        assert "about to start" not in explained.out
    tree = (await shell.run("kubectl mageflow tree nightly")).out.splitlines()
    assert ["Forbidden" in line for line in tree] == [False, True, True, False]


# ── waiting ──


async def test_each_change_is_a_line_when_there_is_no_terminal(namespace: Namespace, shell: Shell) -> None:
    chain = await create_running(namespace)
    await shell.run("kubectl mageflow suspend nightly")
    await chain.wait_for("Suspending")
    late = await shell.run("kubectl mageflow suspend nightly --wait --timeout 0.5s", code=5)
    assert "after 0.5 s it is still suspending: 1 task to finish (extract)" in late.err
    waiting = await shell.start("exec kubectl mageflow suspend nightly --wait -o json")
    await waiting.wait_for("chain.mageflow.io/nightly Suspending: 1 task to finish (extract); 0/3 done")
    impatient = await shell.start("exec kubectl mageflow suspend nightly --wait")
    await impatient.wait_for("1 task to finish")
    os.killpg(impatient.process.pid, signal.SIGINT)
    assert (await impatient.end(code=130)).err.endswith("what was asked for is asked for still\n")
    await chain.finish("extract")
    ended = await waiting.end()
    assert json.loads(ended.out)["status"]["phase"] == "Suspended"


async def test_it_tells_when_somebody_else_resumes_what_is_waited_for(namespace: Namespace, shell: Shell) -> None:
    chain = await create_running(namespace)
    watching = await shell.start("exec kubectl mageflow get -w")
    await watching.wait_for("Active")
    waiting = await shell.start("exec kubectl mageflow suspend nightly --wait")
    await waiting.wait_for("1 task to finish")
    await watching.wait_for("Suspending")
    await chain.set_lifecycle("active")
    assert "somebody else has set its lifecycle to active" in (await waiting.end(code=4)).err

    async def is_told() -> bool:
        return watching.out.endswith("\n") and watching.out.splitlines()[-1].split()[1] == "Active"

    await wait_until("get -w tells that it is active again", is_told)
    os.killpg(watching.process.pid, signal.SIGINT)
    phases = [line.split()[1] for line in (await watching.end(code=130)).out.splitlines()]
    assert [phase for phase, _ in groupby(phases)] == ["PHASE", "Active", "Suspending", "Active"]


async def test_a_terminal_shows_the_tree_live_and_a_bar_while_it_is_suspended(
    namespace: Namespace, shell: Shell
) -> None:
    chain = await create_running(namespace)
    tree = shell.open_terminal("exec kubectl mageflow tree -w nightly")
    await asyncio.to_thread(tree.wait_for, "Running")
    suspending = shell.open_terminal("exec kubectl mageflow suspend nightly --wait")
    await asyncio.to_thread(suspending.wait_for, "1 task to finish (extract)")
    assert "━" in suspending.text
    await asyncio.to_thread(tree.wait_for, "Suspending")
    await chain.finish("extract")
    assert await asyncio.to_thread(suspending.finish) == 0
    assert re.search(r"\x1b\[2K.{,20}chain.mageflow.io/nightly suspended", suspending.text)  # on a line of its own
    await asyncio.to_thread(tree.wait_for, "Suspended")
    await chain.set_lifecycle("canceled")
    assert await asyncio.to_thread(tree.finish) == 0
    assert "\x1b[" in tree.text
    assert "Canceled" in tree.text


async def test_interrupt_says_what_is_lost_and_asks(namespace: Namespace, shell: Shell) -> None:
    chain = await create_running(namespace)
    refused = await shell.run("kubectl mageflow interrupt nightly", code=2)
    assert "say --yes" in refused.err
    for typed, code in (("n\n", 1), ("\x03", 130)):
        asking = shell.open_terminal("exec kubectl mageflow interrupt nightly", NO_COLOR="1")
        await asyncio.to_thread(asking.wait_for, "Interrupt 1 resource? [y/N]")
        assert re.search(r"extract is running \(run 1, for \d+s\): its work is lost", asking.text)
        assert "\x1b[3" not in asking.text
        asking.type(typed)
        assert await asyncio.to_thread(asking.finish) == code
        assert await lifecycle_of(chain) == "active"
    asking = shell.open_terminal("exec kubectl mageflow interrupt nightly --wait")
    await asyncio.to_thread(asking.wait_for, "[y/N]")
    asking.type("y\n")
    assert await asyncio.to_thread(asking.finish) == 0
    assert (await chain.status())["phase"] == "Interrupted"
    resumed = await shell.run("kubectl mageflow resume nightly")
    assert "runs again from its start" in resumed.err


async def test_nothing_is_written_by_a_dry_run(namespace: Namespace, shell: Shell) -> None:
    chain = await create_running(namespace)
    before: Raw = (await chain.read())["metadata"]
    shown, checked = await asyncio.gather(
        shell.run("kubectl mageflow cancel --all --dry-run=client"),
        shell.run("kubectl mageflow cancel nightly --dry-run=server -o json"),
    )
    assert '{"spec":{"lifecycle":"canceled"}}' in shown.out
    assert json.loads(checked.out)["spec"]["lifecycle"] == "canceled"
    after = (await chain.read())["metadata"]
    assert (after["generation"], after["resourceVersion"]) == (before["generation"], before["resourceVersion"])


async def test_deletion_is_told_at_once_when_it_hangs_in_it(namespace: Namespace, shell: Shell) -> None:
    """Nobody will answer: no status of it is written any more. It was asked after a minute whether an operator runs."""
    workflow, _ = await namespace.create_running("leaving")
    await workflow.hang()
    ended = await shell.run("kubectl-mageflow interrupt leaving --yes", code=4)
    assert "is being deleted since" in ended.err
    assert "example.com/backup" in ended.err
    await workflow.wait_until_none_of("pods")
    explained = await shell.run("kubectl-mageflow explain leaving")
    assert "It is being deleted since" in explained.out
    await namespace.api.patch(workflow.path, {"metadata": {"finalizers": None}})
