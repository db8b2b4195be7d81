"""The Job of a run: its name, its labels, its manifest, and what a task sees of itself."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from mageflow.api.variables import Variable
from mageflow.core.job_manifest import build_job, job_name, labels_of, shorten
from mageflow.core.plan import Owner, Task
from mageflow.core.pods import main_container

from .builders import OWNER, TASK

LABEL_VALUE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
"""https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set"""
DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")

NAMES = [
    pytest.param("report", id="short"),
    pytest.param("a", id="one character"),
    pytest.param("a" * 63, id="63 characters"),
    pytest.param("a" * 64, id="64 characters"),
    pytest.param("a" * 253, id="253 characters"),
    pytest.param("reports.daily.v1", id="dots"),
    pytest.param("a" * 51 + "." + "b" * 60, id="a dot where a Job's name is cut"),
    pytest.param("a" * 51 + "-" + "b" * 60, id="a dash where a Job's name is cut"),
    pytest.param("a" * 51 + "--.-" + "b" * 60, id="dashes and a dot where a label is cut"),
]


def built(task: Task = TASK, owner: Owner = OWNER, run: int = 1, *, was_cut_short: bool = False) -> dict[str, Any]:
    return build_job(owner, task, run, was_cut_short=was_cut_short)


def pod_of(manifest: dict[str, Any]) -> dict[str, Any]:
    pod: dict[str, Any] = manifest["spec"]["template"]
    return pod


def task_with(**pod_spec: Any) -> Task:
    containers = [{"name": "main", "image": "busybox:1.37"}]
    return Task("main", {"spec": {"containers": containers, **pod_spec}})


def environment(container: dict[str, Any]) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container["env"]}


# ── names and labels ──


@pytest.mark.parametrize("name", NAMES)
def test_job_name_is_a_dns_label_when_the_owner_is_called(name: str) -> None:
    assert DNS_LABEL.fullmatch(job_name(replace(OWNER, name=name), "main", 2**31 - 1))


@pytest.mark.parametrize("name", NAMES)
def test_labels_are_valid_when_the_owner_is_called(name: str) -> None:
    labels = labels_of(replace(OWNER, name=name), "main", 1)
    assert all(LABEL_VALUE.fullmatch(value) for value in labels.values())


@pytest.mark.parametrize("name", NAMES)
def test_full_name_is_annotated_when_the_label_is_hashed(name: str) -> None:
    manifest = built(owner=replace(OWNER, name=name))
    for metadata in (manifest["metadata"], pod_of(manifest)["metadata"]):
        told = metadata.get("annotations", {}).get("mageflow.io/name", metadata["labels"]["mageflow.io/name"])
        assert told == name


def test_label_is_the_name_when_it_fits() -> None:
    assert shorten("a" * 63) == "a" * 63


def test_labels_differ_when_long_names_begin_alike() -> None:
    assert shorten("a" * 64) != shorten("a" * 65)


def test_job_names_never_meet() -> None:
    """Not even those of a recreated resource and its predecessor, nor of `a-b` and task `b` of `a`."""
    owners = [
        replace(OWNER, name=name, uid=f"uid of {name}, {birth}") for name, birth in product(("a", "a-b", "a.b"), (1, 2))
    ]
    names = [job_name(owner, task, run) for owner in owners for task in ("main", "b", "main1") for run in range(1, 25)]
    assert len(set(names)) == len(names)


def test_job_name_is_the_same_when_tried_again() -> None:
    assert job_name(OWNER, "main", 3) == job_name(OWNER, "main", 3) == built(run=3)["metadata"]["name"]


def test_labels_tell_the_run_on_job_and_pod() -> None:
    labels = {
        "mageflow.io/kind": "Workflow",
        "mageflow.io/name": "report",
        "mageflow.io/uid": OWNER.uid,
        "mageflow.io/task": "main",
        "mageflow.io/run": "3",
    }
    manifest = built(run=3)
    assert manifest["metadata"]["labels"] == pod_of(manifest)["metadata"]["labels"] == labels


def test_job_belongs_to_the_workflow() -> None:
    manifest = built()
    assert manifest["metadata"]["namespace"] == "team"
    assert manifest["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "mageflow.io/v1",
            "kind": "Workflow",
            "name": "report",
            "uid": OWNER.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]


# ── a run is one pod that nobody replaces ──


def test_nothing_replaces_the_pod() -> None:
    spec = built()["spec"]

    assert (spec["completions"], spec["parallelism"], spec["backoffLimit"]) == (1, 1, 0)
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["podFailurePolicy"] == {
        "rules": [
            {
                "action": "FailJob",
                "onPodConditions": [
                    {"type": "DisruptionTarget", "status": "True"},
                    {"type": "TerminationTarget", "status": "True"},
                ],
            }
        ]
    }
    assert spec["template"]["spec"]["restartPolicy"] == "Never"
    assert "suspend" not in spec
    assert "activeDeadlineSeconds" not in spec, "it would count the wait for a node"
    assert "ttlSecondsAfterFinished" not in spec, "finished Jobs stay for their logs"


# ── the template is the user's ──


def test_template_is_kept_when_the_job_is_built() -> None:
    spec = {
        "serviceAccountName": "reporter",
        "volumes": [{"name": "data", "emptyDir": {}}],
        "containers": [{"name": "main", "image": "x", "resources": {"requests": {"cpu": "1"}}}],
    }
    metadata = {"labels": {"team": "data"}, "annotations": {"note": "x"}}
    pod = pod_of(built(Task("main", {"metadata": metadata, "spec": spec})))

    assert pod["metadata"]["labels"]["team"] == "data"
    assert pod["metadata"]["annotations"] == {"note": "x"}
    (container,) = pod["spec"]["containers"]
    del container["env"], pod["spec"]["restartPolicy"]
    assert pod["spec"] == spec


def test_template_is_not_changed_when_the_job_is_built() -> None:
    template = {"spec": {"containers": [{"name": "main", "image": "x", "env": [{"name": "A", "value": "1"}]}]}}
    before = copy.deepcopy(template)
    built(Task("main", template, timeout_seconds=5))
    assert template == before


def test_our_labels_win_when_the_template_has_them_too() -> None:
    template = {"metadata": {"labels": {"mageflow.io/run": "99"}}, **(TASK.template or {})}
    assert pod_of(built(Task("main", template)))["metadata"]["labels"]["mageflow.io/run"] == "1"


@pytest.mark.parametrize(
    ("own", "timeout", "deadline"),
    [(None, None, None), (60, None, 60), (None, 30, 30), (60, 30, 30), (30, 60, 30)],
)
def test_smaller_time_limit_counts_when_there_are_two(
    own: int | None, timeout: int | None, deadline: int | None
) -> None:
    limits = {} if own is None else {"activeDeadlineSeconds": own}
    pod = pod_of(built(replace(task_with(**limits), timeout_seconds=timeout)))
    assert pod["spec"].get("activeDeadlineSeconds") == deadline


@pytest.mark.parametrize(
    ("stored", "grace"),
    [
        pytest.param({}, None, id="left out"),
        pytest.param({"terminationGracePeriodSeconds": None}, None, id="null"),
        pytest.param({"terminationGracePeriodSeconds": 0}, 1, id="stored before the CRD refused it"),
        pytest.param({"terminationGracePeriodSeconds": -1}, 1, id="negative"),
        pytest.param({"terminationGracePeriodSeconds": 30}, 30, id="usual"),
    ],
)
def test_pod_can_be_seen_to_end_when_the_template_gives_it_no_grace(stored: dict[str, Any], grace: int | None) -> None:
    """Without grace the API server drops it at once, while its processes run on beside those of the next run."""
    pod = pod_of(built(task_with(**stored)))
    assert pod["spec"].get("terminationGracePeriodSeconds") == grace


@pytest.mark.parametrize("template", [{}, {"spec": {}}, {"spec": {"containers": None}}, {"metadata": {}, "spec": {}}])
def test_job_is_built_when_the_template_lacks_what_the_api_server_will_ask_for(template: dict[str, Any]) -> None:
    assert pod_of(built(Task("main", template)))["spec"]["restartPolicy"] == "Never"


# ── what a task sees of itself ──


def test_task_sees_where_it_belongs() -> None:
    (container,) = pod_of(built(Task("main", TASK.template, {"day": 3}, index=2), run=4))["spec"]["containers"]
    assert environment(container) == {
        "MAGEFLOW_KIND": "Workflow",
        "MAGEFLOW_NAME": "report",
        "MAGEFLOW_NAMESPACE": "team",
        "MAGEFLOW_UID": OWNER.uid,
        "MAGEFLOW_TASK": "main",
        "MAGEFLOW_INDEX": "2",
        "MAGEFLOW_RUN": "4",
        "MAGEFLOW_INPUT": '{"day":3}',
        "MAGEFLOW_RESUMED": "false",
        "MAGEFLOW_OUTPUT_LIMIT": "4096",
    }


def test_task_sees_what_the_reference_lists() -> None:
    owner = replace(OWNER, kind="Chain")
    job = build_job(owner, Task("a", TASK.template), 1, was_cut_short=False, previous=None)
    (container,) = pod_of(job)["spec"]["containers"]
    assert set(environment(container)) == set(Variable)


@pytest.mark.parametrize(
    ("inits", "others", "limit"), [(0, 0, "4096"), (2, 0, "4096"), (3, 0, "3072"), (1, 2, "3072"), (4, 3, "1536")]
)
def test_task_sees_how_much_it_may_write_when_its_pod_has_several_containers(
    inits: int, others: int, limit: str
) -> None:
    spec = {
        "initContainers": [{"name": f"init-{number}", "image": "busybox:1.37"} for number in range(inits)],
        "containers": [{"name": name, "image": "busybox:1.37"} for name in ("main", *map(str, range(others)))],
    }
    main = pod_of(built(Task("main", {"spec": spec})))["spec"]["containers"][0]
    assert environment(main)["MAGEFLOW_OUTPUT_LIMIT"] == limit


def test_task_sees_that_it_was_cut_short() -> None:
    (container,) = pod_of(built(was_cut_short=True))["spec"]["containers"]
    assert environment(container)["MAGEFLOW_RESUMED"] == "true"


def test_each_container_sees_it_when_there_are_several() -> None:
    containers = [{"name": "main", "image": "x"}, {"name": "sidecar", "image": "x"}]
    spec = pod_of(built(task_with(containers=containers, initContainers=[{"name": "init", "image": "x"}])))["spec"]
    for container in (*spec["initContainers"], *spec["containers"]):
        assert environment(container)["MAGEFLOW_RUN"] == "1"


def test_users_variable_wins_when_it_has_a_name_of_ours() -> None:
    own = {"name": "MAGEFLOW_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}
    containers = [{"name": "main", "image": "x", "env": [own]}]
    (container,) = pod_of(built(task_with(containers=containers)))["spec"]["containers"]
    assert [variable for variable in container["env"] if variable["name"] == "MAGEFLOW_NAME"] == [own]


def test_users_variables_may_refer_to_ours_as_they_come_after() -> None:
    own = {"name": "OUTPUT", "value": "/data/$(MAGEFLOW_RUN)"}
    containers = [{"name": "main", "image": "x", "env": [own]}]
    (container,) = pod_of(built(task_with(containers=containers)))["spec"]["containers"]
    assert container["env"][-1] == own


def expanded(value: str) -> str:
    """What the kubelet makes of a value when none of the variables is defined: `$$` is one, the rest stays."""
    return value.replace("$$", "$")


@pytest.mark.parametrize(
    "value", ["$(MAGEFLOW_UID)", "$$", "$", "a$$(b)", {"cost": "$$5"}, "é\n\t", None, [], {"a": None}, 1.5, True]
)
def test_input_reaches_the_container_as_it_is(value: Any) -> None:
    (container,) = pod_of(built(Task("main", TASK.template, value)))["spec"]["containers"]
    text = environment(container)["MAGEFLOW_INPUT"]

    assert json.loads(expanded(text)) == value
    assert "$" not in text.replace("$$", ""), "a single $ may begin a reference"


# ── which container's output counts ──


@pytest.mark.parametrize(
    ("annotations", "names", "main"),
    [
        (None, ["a", "b"], "a"),
        ({}, ["a", "b"], "a"),
        ({"kubectl.kubernetes.io/default-container": "b"}, ["a", "b"], "b"),
        (None, [], None),
    ],
)
def test_main_container_is_the_annotated_else_the_first(
    annotations: dict[str, str] | None, names: list[str], main: str | None
) -> None:
    pod = {"metadata": {"annotations": annotations}, "spec": {"containers": [{"name": name} for name in names]}}
    assert main_container(pod) == main


# ── the template's hash ──


def test_hash_is_the_same_when_only_the_order_of_fields_differs() -> None:
    one, other = {"a": 1, "spec": {"x": 1, "y": 2}}, {"spec": {"y": 2, "x": 1}, "a": 1}
    assert Task("main", one).template_hash == Task("main", other).template_hash


@pytest.mark.parametrize(
    "edited",
    [
        replace(TASK, template={"spec": {}}),
        replace(TASK, input=0),
        replace(TASK, timeout_seconds=1),
    ],
)
def test_hash_changes_when_what_a_run_is_made_from_does(edited: Task) -> None:
    assert edited.template_hash != TASK.template_hash


def test_hash_stays_when_only_the_retries_change() -> None:
    assert replace(TASK, retries=3).template_hash == TASK.template_hash
