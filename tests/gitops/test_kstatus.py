"""What kstatus makes of the conditions, on recorded resources; and that kstatus is what we take it for."""

from __future__ import annotations

import pytest

from devkit.gitops import kstatus
from devkit.gitops.states import find_row
from devkit.kubectl import Raw
from mageflow.api import ENDED_PHASES, Phase

from .documents import DOCUMENTS


@pytest.mark.parametrize("name", DOCUMENTS)
def test_status_is_that_of_the_table(name: str) -> None:
    assert kstatus.compute(DOCUMENTS[name]) == find_row(DOCUMENTS[name]).kstatus


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_end_and_no_hold_is_waited_for(name: str) -> None:
    """Nothing more comes of it: who waits for Current or Failed would wait for ever."""
    if find_row(DOCUMENTS[name]).state in {
        phase.lower() for phase in (*ENDED_PHASES, Phase.SUSPENDED, Phase.INTERRUPTED)
    }:
        assert kstatus.compute(DOCUMENTS[name]) in ("Current", "Failed")


def resource(*conditions: tuple[str, str], observed: int | None = 2, **metadata: object) -> Raw:
    status: Raw = {"conditions": [{"type": type_, "status": status} for type_, status in conditions]}
    if observed is not None:
        status["observedGeneration"] = observed
    return {"metadata": {"generation": 2, **metadata}, "status": status}


@pytest.mark.parametrize(
    ("document", "status"),
    [
        pytest.param(resource(), "Current", id="nothing is told"),
        pytest.param(resource(("Ready", "True")), "Current", id="ready"),
        pytest.param(resource(("Ready", "False")), "InProgress", id="not ready"),
        pytest.param(resource(("Ready", "Unknown")), "InProgress", id="not known whether ready"),
        pytest.param(resource(("Ready", "True"), ("Stalled", "True")), "Failed", id="stalled and yet ready"),
        pytest.param(resource(("Ready", "True"), ("Reconciling", "True")), "InProgress", id="reconciling"),
        pytest.param(
            resource(("Stalled", "True"), ("Reconciling", "True")), "Failed", id="the first of the two counts"
        ),
        pytest.param(resource(("Stalled", "False"), ("Ready", "True")), "Current", id="not stalled"),
        pytest.param(resource(("Stalled", "True"), observed=1), "InProgress", id="an old generation beats all of them"),
        pytest.param(resource(("Ready", "True"), observed=None), "Current", id="no generation"),
        pytest.param(resource(observed=1, deletionTimestamp="…"), "Terminating", id="deletion beats that"),
    ],
)
def test_kstatus_goes_by_these_rules(document: Raw, status: str) -> None:
    assert kstatus.compute(document) == status
