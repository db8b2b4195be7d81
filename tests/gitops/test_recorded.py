"""The recorded resources are whole, and are what the operator of today writes.

If not: `MAGEFLOW_RECORD=1 .venv/bin/pytest e2e/test_gitops.py` records them anew.
"""

from __future__ import annotations

import pytest

from devkit.gitops import recorded
from devkit.gitops.states import find_row
from mageflow.api import KINDS, Phase, Status

from .documents import DOCUMENTS, EXPECTED

SPECS = {kind.name: kind.spec for kind in KINDS}


def test_each_kind_is_there_in_each_state_and_each_phase() -> None:
    assert set(DOCUMENTS) == EXPECTED
    for kind in KINDS:
        documents = [document for document in DOCUMENTS.values() if document["kind"] == kind.name]
        assert {document.get("status", {}).get("phase") for document in documents} == {None, *Phase}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_recorded_resource_is_one_of_today(name: str) -> None:
    document = DOCUMENTS[name]
    kind, _, state = name.partition("-")
    assert (document["kind"].lower(), find_row(document).state) == (kind, state)
    SPECS[document["kind"]].model_validate(document["spec"])
    if state != "unseen":  # its status is the API server's
        status = Status.model_validate(document["status"])
        assert _without_times(status.to_json()) == _without_times(document["status"])
    assert recorded.normalize(document) == document


def _without_times(status: object) -> object:
    """The API server and pydantic write the same time differently."""
    return recorded.normalize({"metadata": {}, "status": status})["status"]
