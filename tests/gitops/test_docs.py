"""docs/gitops.md has the table, and YAML that is right. What it says of field managers: e2e/test_gitops.py."""

from __future__ import annotations

import re

import yaml

from devkit.cluster import ROOT
from devkit.gitops.states import TABLE, Row
from mageflow.api import Phase, WorkflowSpec
from mageflow.client.connection import MANAGER

DOCS = (ROOT / "docs" / "gitops.md").read_text()
COLUMNS = 4


def test_table_is_that_of_the_code() -> None:
    rows = [line.strip("|").split("|") for line in DOCS.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in row] for row in rows if len(row) == COLUMNS][2:]
    assert tuple(Row(row.state, *seen) for row, (_, *seen) in zip(TABLE, cells, strict=True)) == TABLE
    states = [state for state, *_ in cells]
    assert {phase for phase in Phase if any(state.startswith(phase) for state in states)} == set(Phase)


def test_manifests_are_right() -> None:
    blocks = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", DOCS, re.DOTALL | re.MULTILINE)]
    hook, argocd, flux = blocks
    assert hook["metadata"]["annotations"]["argocd.argoproj.io/hook"] == "PreSync"
    WorkflowSpec.model_validate(hook["spec"])
    (ignored,) = argocd["spec"]["ignoreDifferences"]
    assert ignored["jsonPointers"] == flux["spec"]["ignore"][0]["paths"] == ["/spec/lifecycle"]


def test_files_that_it_names_are_there() -> None:
    named = set(re.findall(r"\]\(([^)#:]+)", DOCS))
    assert {f"../integrations/{tool}/operator.yaml" for tool in ("argocd", "flux")} <= named
    for path in named | {f"../{path}" for path in re.findall(r"-f (\S+\.yaml)", DOCS)}:
        assert (ROOT / "docs" / path).exists(), path


def test_the_operator_is_stopped_being_reconciled_under_the_names_of_the_examples() -> None:
    application = yaml.safe_load((ROOT / "integrations" / "argocd" / "operator.yaml").read_text())
    *_, release = yaml.safe_load_all((ROOT / "integrations" / "flux" / "operator.yaml").read_text())
    name, namespace = release["metadata"]["name"], release["metadata"]["namespace"]
    for verb in ("suspend", "resume"):
        assert f"\nflux {verb} helmrelease {name} -n {namespace}\n" in DOCS
    for policy in ("none", "automated --self-heal"):
        assert f"\nargocd app set {application['metadata']['name']} --sync-policy {policy}\n" in DOCS


def test_field_manager_is_that_of_the_client() -> None:
    assert f"`kubectl mageflow` is\n`{MANAGER}`" in DOCS or f"`kubectl mageflow` is `{MANAGER}`" in DOCS
