"""docs/runbooks.md: what is to be typed at three in the morning is right."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from kubernetes.aio.client import Configuration
from typer.main import get_command

from devkit.helm import CHART
from mageflow.api import KINDS, Phase, reasons
from mageflow.cli.app import app
from mageflow.controller.api_server import ApiServer
from mageflow.kube.errors import UnreachableError

from .conftest import NAMESPACE, Renderer
from .promql import SERIES, find_unknown
from .test_values import SCHEMA, leaves

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
NOTES = (CHART / "templates" / "NOTES.txt").read_text()
TEXT = (DOCS / "runbooks.md").read_text()
SHELL = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
QUERIES = re.findall(r"^```promql\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
COMMANDS = [line for block in SHELL for line in block.replace("\\\n", "").splitlines()]
COMMANDS += re.findall(r"`((?:kubectl|helm) [^`]+)`", TEXT)


AMBIGUOUS = re.compile(
    r"kubectl (?:-n \S+ )?(?:get|describe|patch|wait|delete|edit|label|annotate) "
    r"(?:[\w.,]+,)?(?:workflow|chain|swarm)s?[ ,/]"
)
"""A kind by a name that others have, too: Argo Workflows has a Workflow."""


def anchors(page: str) -> set[str]:
    """Return what the headings of a page can be linked to by."""
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("block", SHELL)
def test_a_shell_can_read_it(block: str) -> None:
    subprocess.run(["bash", "-n", "-c", block], check=True)


@pytest.mark.parametrize("line", [*COMMANDS, *NOTES.splitlines()])
def test_no_command_could_be_about_somebody_elses_kind(line: str) -> None:
    assert AMBIGUOUS.search(f"{line} ") is None


def test_nothing_is_selected_by_a_name_that_a_label_may_not_hold() -> None:
    """The label's value is cut and hashed over 63 characters; a name may have 253."""
    assert not [line for line in COMMANDS if "mageflow.io/name=" in line]
    assert [line for line in COMMANDS if "mageflow.io/uid=" in line]


def test_short_names_are_ours() -> None:
    names = {kind.short_name for kind in KINDS}
    assert set(re.findall(r"kubectl (?:-n \S+ )?(?:patch|get|wait) (m\w\w) ", f"{TEXT}\n{NOTES}")) <= names
    for page in ("docs/runbooks.md", "docs/install.md", "README.md"):
        assert all(f"`{name}`" in (ROOT / page).read_text() for name in names), page


@pytest.mark.parametrize("line", [line for line in COMMANDS if " logs " in line and " -l " in line])
def test_one_pod_without_a_log_does_not_hide_those_of_the_others(line: str) -> None:
    assert line.startswith("kubectl mageflow ") or " --ignore-errors " in line


@pytest.mark.parametrize("query", [line for block in QUERIES for line in block.splitlines()])
def test_a_query_asks_only_for_what_is_measured(query: str) -> None:
    assert find_unknown(query.replace("$job", "x")) == []


def test_every_metric_that_is_named_is_measured() -> None:
    named = set(re.findall(r"`(mageflow_\w+)", TEXT))
    assert named
    assert named <= set(SERIES)


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("kubectl mageflow ")])
def test_kubectl_mageflow_takes_it(line: str) -> None:
    _, _, verb, *arguments = shlex.split(line)
    if arguments:  # else it is only spoken of
        command = get_command(app).commands[verb]  # type: ignore[attr-defined]
        command.make_context(verb, arguments)


def test_what_it_looks_at_is_what_the_chart_makes(helm: Renderer) -> None:
    rendered = helm.template({"crds.install": False})
    named = set(
        re.findall(
            r"(?:deployment/|deployment |lease/|lease |Role `|upgrade |rollback |status )(mageflow\S*?)[\s`]", TEXT
        )
    )
    assert named == {"mageflow", "mageflow-lease"}
    assert rendered.find("Deployment", "mageflow")
    assert rendered.find("Role", "mageflow-lease")
    assert "--lease-name=mageflow" in rendered.container["args"]
    assert "--leader-elect" in rendered.container["args"]
    for key, value in {tuple(pair.split("=")) for pair in re.findall(r"-l (app[^\s,`]+)", TEXT)}:
        assert rendered.pod["metadata"]["labels"][key] == value
    assert set(re.findall(r"system:serviceaccount:(\S+?):(\S+?)[\s`]", TEXT)) == {(NAMESPACE, "mageflow")}
    assert rendered.find("ServiceAccount", "mageflow")["metadata"]["namespace"] == NAMESPACE


def test_every_value_that_is_named_is_one() -> None:
    values = set(leaves(SCHEMA))
    named = set(re.findall(r"--set (\S+?)=", TEXT))
    named |= {
        name for name in re.findall(r"`([A-Za-z]+\.[A-Za-z.]+)`", TEXT) if name.split(".")[0] in SCHEMA["properties"]
    }
    assert len(named) > 5
    for name in named:
        assert any(name == value or name.startswith(f"{value}.") for value in values), name


async def test_the_end_of_the_log_is_what_the_operator_says() -> None:
    async with ApiServer(Configuration(host="http://127.0.0.1:1")) as nobody:
        with pytest.raises(UnreachableError, match="no answer from the API server at"):
            await nobody.request("GET", "/version")
    assert "the log ends with `no answer from the API server`" in TEXT


def test_phases_and_reasons_are_those_of_the_operator() -> None:
    phases = set(re.findall(r"status\.phase=(\w+)", TEXT))
    assert phases <= set(Phase)
    for reason in ("NodeUnreachable", "Forbidden"):
        assert f"`{reason}`" in TEXT
        assert reason in vars(reasons).values()
    assert {kind for kind in re.findall(r"mageflow\.io/kind=(\w+)", TEXT) if kind != "KIND"} <= {k.name for k in KINDS}


def test_links_lead_somewhere() -> None:
    for page, anchor in re.findall(r"\]\(([\w.]*)(?:#([\w-]+))?\)", TEXT):
        target = (DOCS / page).read_text() if page else TEXT
        assert not anchor or anchor in anchors(target)
