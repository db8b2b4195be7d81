"""Argo CD's health checks and actions, in its Lua, on recorded resources."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from devkit.cluster import ROOT
from devkit.gitops import kstatus
from devkit.gitops.argocd import ArgoCD, Health
from devkit.gitops.states import REFUSED, find_row
from devkit.gitops.watched import ARGOCD
from devkit.kubectl import condition
from mageflow.api import ENDED_PHASES, KINDS

from .documents import DOCUMENTS

FOLDER = ROOT / "integrations" / "argocd"
SETS = {"suspend": "suspended", "interrupt": "interrupted", "resume": "active"}
ENDED = {phase.value.lower() for phase in ENDED_PHASES}


def test_each_kind_has_health_and_actions() -> None:
    data = yaml.safe_load((FOLDER / "argocd-cm.yaml").read_text())["data"]

    assert set(data) == {
        f"resource.customizations.{what}.mageflow.io_{kind.name}" for what in ("health", "actions") for kind in KINDS
    }


@pytest.mark.parametrize("name", DOCUMENTS)
def test_health_is_that_of_the_table(name: str) -> None:
    document = DOCUMENTS[name]

    health = ARGOCD.assess(document)

    assert health.status == find_row(document).argocd
    own = {"unseen": "the operator has not seen it yet", "outdated": "the operator has not seen its present spec yet"}
    told = own.get(find_row(document).state) or condition(document["status"], "Ready")["message"]
    assert health.message == ("Pending deletion" if "deletionTimestamp" in document["metadata"] else told)


@pytest.mark.parametrize(
    ("status", "health"),
    [
        pytest.param({}, "Progressing", id="nothing"),
        pytest.param({"observedGeneration": 1}, "Progressing", id="no phase"),
        pytest.param({"phase": "Succeeded"}, "Progressing", id="no generation"),
        pytest.param({"phase": "Succeeded", "observedGeneration": 1}, "Healthy", id="no conditions"),
        pytest.param({"phase": "Dreaming", "observedGeneration": 1}, "Progressing", id="a phase of a newer operator"),
        pytest.param(
            {
                "phase": "Dreaming",
                "observedGeneration": 1,
                "conditions": [{"type": "Stalled", "status": "True", "reason": "UnknownPhase"}],
            },
            "Degraded",
            id="and an older one that doesn't know it",
        ),
    ],
)
def test_health_is_told_when_a_status_is_not_whole(status: dict[str, object], health: str) -> None:
    document = DOCUMENTS["workflow-unseen"] | {"status": status}
    assert document["metadata"]["generation"] == 1

    assert ARGOCD.assess(document).status == health


@pytest.mark.parametrize("phase", ["Pending", "Active", "Suspending", "Interrupting"])
@pytest.mark.parametrize("reason", sorted(REFUSED))
def test_what_the_api_server_refuses_is_degraded(reason: str, phase: str) -> None:
    ready = {"type": "Ready", "status": "False", "reason": reason, "message": "team rule 7"}
    status = {"phase": phase, "observedGeneration": 1, "conditions": [ready]}
    document = DOCUMENTS["workflow-unseen"] | {"status": status}

    health = ARGOCD.assess(document)

    assert (health.status, health.message) == ("Degraded", "team rule 7")
    assert find_row(document).state == "refused"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_actions_are_offered_where_they_do_something(name: str) -> None:
    document = DOCUMENTS[name]
    lifecycle, state = document["spec"]["lifecycle"], find_row(document).state

    offered = {action for action, is_enabled in ARGOCD.discover(document).items() if is_enabled}

    expected = set(SETS) if state not in ENDED and lifecycle != "canceled" else set()
    runs = document["kind"] == "Workflow" and document.get("status", {}).get("running")
    already = {action for action, value in SETS.items() if value == lifecycle}
    weaker = {"suspend"} if lifecycle == "interrupted" or runs else set()
    assert offered == expected - already - weaker
    assert set(ARGOCD.discover(document)) == expected  # those that can't be chosen are shown all the same


@pytest.mark.parametrize("action", SETS)
@pytest.mark.parametrize("name", DOCUMENTS)
def test_action_changes_the_lifecycle_and_nothing_else(name: str, action: str) -> None:
    document = DOCUMENTS[name]

    patch = ARGOCD.act(document, action)

    is_so = document["spec"]["lifecycle"] == SETS[action]
    assert patch == ({} if is_so else {"spec": {"lifecycle": SETS[action]}})


@pytest.mark.parametrize(
    ("input_", "sent"),
    [
        pytest.param({"empty": {}, "list": [], "deep": [{"x": {}}]}, {}, id="empty ones are kept"),
        pytest.param({"x": None, "y": 1}, {"input": {"x": None}}, id="a null is lost: docs/gitops.md warns of it"),
    ],
)
def test_action_sends_what_lua_has_made_of_input(input_: object, sent: dict[str, object]) -> None:
    document = DOCUMENTS["workflow-pending"]
    document = document | {"spec": document["spec"] | {"input": input_}}

    assert ARGOCD.act(document, "suspend") == {"spec": {"lifecycle": "suspended", **sent}}


@pytest.mark.parametrize(
    "script", ["string.upper('x')", "('x'):upper()", "math.floor(1)", "io.write('x')", "os.exit()", "python.eval('1')"]
)
def test_scripts_have_no_more_than_in_argo_cd(script: str, tmp_path: Path) -> None:
    """A script that passes here must not fail there."""
    key = "resource.customizations.health.mageflow.io_Workflow"
    text = f"local answer = {script}\nreturn {{status = 'Healthy'}}"
    (tmp_path / "argocd-cm.yaml").write_text(yaml.safe_dump({"data": {key: text}}))

    with pytest.raises(Exception, match=r"attempt to (index|call)"):
        ArgoCD(tmp_path / "argocd-cm.yaml").assess(DOCUMENTS["workflow-active"])


@pytest.mark.parametrize(
    ("reason", "health"),
    [
        ("Forbidden", "Degraded"),
        ("NameConflict", "Degraded"),
        ("PodNotCreated", "Progressing"),
        ("Unschedulable", "Progressing"),
    ],
)
def test_health_tells_what_needs_help_from_what_may_pass(reason: str, health: str) -> None:
    document = DOCUMENTS["workflow-unseen"]
    ready = {"type": "Ready", "status": "False", "reason": reason, "message": "why"}
    status = {"phase": "Pending", "observedGeneration": 1, "conditions": [ready]}

    assert ARGOCD.assess(document | {"status": status}) == Health(health, "why")


def test_health_is_degraded_when_it_is_held_by_a_label_that_cannot_be_understood() -> None:
    document = DOCUMENTS["workflow-suspended"]
    stalled = {"type": "Stalled", "status": "True"}
    document = document | {"status": document["status"] | {"conditions": [*document["status"]["conditions"], stalled]}}

    assert ARGOCD.assess(document).status == "Degraded"


def test_health_is_degraded_when_a_chain_is_held_by_a_failure() -> None:
    document = DOCUMENTS["chain-suspended"]
    why = {"status": "False", "reason": "OutputTruncated", "message": "edit load"}
    conditions = [each | why if each["type"] == "Ready" else each for each in document["status"]["conditions"]]
    stalled = {"type": "Stalled", **why, "status": "True"}
    status = document["status"] | {"lifecycleSource": "failure", "conditions": [*conditions, stalled]}
    document = document | {"status": status}

    assert find_row(document).state == "stalled"
    assert ARGOCD.assess(document) == Health("Degraded", "edit load")
    assert kstatus.compute(document) == "Failed"


def test_message_of_a_workflow_that_runs_on_says_so() -> None:
    document = DOCUMENTS["workflow-runs-on"]
    assert document["spec"]["lifecycle"] == "suspended"

    assert ARGOCD.assess(document) == Health(
        "Progressing", "run 1 had started: it finishes, and nothing starts after it"
    )
