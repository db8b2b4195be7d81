"""Flux's health checks, in CEL, on recorded resources."""

from __future__ import annotations

import pytest
import yaml
from celpy.evaluation import CELEvalError

from devkit.cluster import ROOT
from devkit.gitops.flux import ORDER, WAITS
from devkit.gitops.states import find_row
from devkit.gitops.watched import FLUX
from mageflow.api import API_VERSION, KINDS

from .documents import DOCUMENTS

CHECKS = yaml.safe_load((ROOT / "integrations" / "flux" / "tasks.yaml").read_text())["spec"]["healthCheckExprs"]
SEEN = [name for name in DOCUMENTS if find_row(DOCUMENTS[name]).state != "unseen"]


def test_every_kind_has_the_same_checks() -> None:
    assert [(check.pop("apiVersion"), check.pop("kind")) for check in map(dict, CHECKS)] == [
        (API_VERSION, kind.name) for kind in KINDS
    ]
    assert len({tuple(check[name] for name, _ in ORDER) for check in CHECKS}) == 1


@pytest.mark.parametrize("name", DOCUMENTS)
def test_status_is_that_of_the_table(name: str) -> None:
    assert FLUX.assess(DOCUMENTS[name]) == find_row(DOCUMENTS[name]).flux


@pytest.mark.parametrize("name", SEEN)
def test_exactly_one_expression_is_true(name: str) -> None:
    """So the order in which Flux takes them doesn't matter."""
    assert sum(FLUX.holds(expression, DOCUMENTS[name]) for expression, _ in ORDER) == 1


def test_flux_waits_while_there_is_no_status() -> None:
    """With our CRDs none is without: the API server gives it one."""
    document = {key: value for key, value in DOCUMENTS["workflow-unseen"].items() if key != "status"}

    assert FLUX.assess(document) == WAITS
    with pytest.raises(CELEvalError):
        FLUX.holds("current", document)
    assert FLUX.assess(document | {"status": {}}) == "InProgress"
