"""The Job of one run: its name, its labels and its manifest.

A run is one Job with one pod that nobody but us replaces: `backoffLimit: 0`, `restartPolicy: Never` and FailJob on
the pod condition DisruptionTarget (DESIGN section 3). A retry, or a run after a hold, is another Job.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any, Final

from mageflow.api import (
    API_VERSION,
    CHAIN,
    LABEL_KIND,
    LABEL_NAME,
    LABEL_RUN,
    LABEL_TASK,
    LABEL_UID,
    LEAST_GRACE_SECONDS,
)
from mageflow.api.stored import MAX_OBJECT, size_of
from mageflow.core.output import output_limit_of
from mageflow.core.plan import Owner, Task, digest
from mageflow.core.pods import list_containers

ANNOTATION_STOPPED: Final = "mageflow.io/stopped"
"""On a Job: the interrupt or cancel that suspended it was ours."""

STOPPED: Final = "true"
STOPPED_WHILE_RUNNING: Final = "while-running"
"""Its values."""

ANNOTATION_NAME: Final = LABEL_NAME
"""Carries the full name where the label has a hashed one."""

DISRUPTION_CONDITIONS: Final = ("DisruptionTarget", "TerminationTarget")
"""Conditions of a pod that somebody is about to stop: Kubernetes' own, and that of Kueue for pods that it preempts.

https://kubernetes.io/docs/concepts/workloads/pods/disruptions/#pod-disruption-conditions
"""

MAX_LABEL: Final = 63
"""Characters in a label value, and in a Job's name, which becomes one.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set
"""

MAX_INPUT: Final = 128 * 1024 - len("MAGEFLOW_INPUT=") - 1
"""Bytes of `input` as JSON: Linux refuses to start a program with a longer environment variable (MAX_ARG_STRLEN)."""


ENVIRONMENT: Final = 16 * 1024
"""Bytes that are reckoned for what a container is given besides the input: most of it, the output before it."""


def shorten(name: str, limit: int = MAX_LABEL) -> str:
    """Return `name` as a label value: as it is if it fits, else cut, with a hash of the whole."""
    if len(name) <= limit:
        return name
    return f"{name[: limit - 11].rstrip('-._')}-{digest(name)}"


def job_name(owner: Owner, task: str, run: int) -> str:
    """Return the name of a run's Job: the same on every try, and no other run's, not even of a namesake."""
    prefix = owner.name.replace(".", "-")[: MAX_LABEL - 11].rstrip("-")
    return f"{prefix}-{digest(owner.uid, task, run)}"


def labels_of(owner: Owner, task: str, run: int) -> dict[str, str]:
    """Return the labels that the Job of a run and its pod carry."""
    return {
        LABEL_KIND: owner.kind,
        LABEL_NAME: shorten(owner.name),
        LABEL_UID: owner.uid,
        LABEL_TASK: task,
        LABEL_RUN: str(run),
    }


def find_problem(task: Task) -> str | None:
    """Return why no Job can be made of a task, naming the field at fault; None if one can."""
    if task.template is None:
        return f"{task.path}.template: is missing, and there is no spec.template to stand in for it"
    try:
        size = len(_as_json(task.input).encode())
    except RecursionError:
        return f"{task.path}.input: it is nested too deeply"
    if size > MAX_INPUT:
        return (
            f"{task.path}.input: {size} bytes as JSON, at most {MAX_INPUT} fit in an environment variable; "
            "keep large inputs elsewhere"
        )
    return _find_excess(task)


def _find_excess(task: Task) -> str | None:
    """Tell that a task's Job is larger than can be stored, as each of its containers is given the input."""
    spec = (task.template or {}).get("spec") or {}
    count = len(list_containers(spec))
    given = count * (size_of(_escape(_as_json(task.input))) + ENVIRONMENT)
    if given <= MAX_OBJECT // 2:
        return None  # the template alone has passed the API server, in a resource
    size = given + size_of(spec)
    if size <= MAX_OBJECT:
        return None
    return (
        f"{task.path}.input: the Job takes {size:,} bytes, as each of its {count} containers is given the input, and "
        f"at most {MAX_OBJECT:,} can be stored; keep large inputs elsewhere"
    )


def build_job(owner: Owner, task: Task, run: int, *, was_cut_short: bool, previous: Any = None) -> dict[str, Any]:
    """Build the manifest of a run's Job.

    `previous` is the output of the task before it, in a Chain. `was_cut_short` tells the task that an earlier run of
    it was cut short while it ran (MAGEFLOW_RESUMED): interrupted, drained, preempted; so it can pick up a checkpoint.
    """
    labels = labels_of(owner, task.name, run)
    annotations = {} if labels[LABEL_NAME] == owner.name else {ANNOTATION_NAME: owner.name}
    environment = _environment(owner, task, run, was_cut_short=was_cut_short, previous=previous)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(owner, task.name, run),
            "namespace": owner.namespace,
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": owner.kind,
                    "name": owner.name,
                    "uid": owner.uid,
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": 0,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailJob",
                        "onPodConditions": [{"type": type_, "status": "True"} for type_ in DISRUPTION_CONDITIONS],
                    }
                ]
            },
            "template": _build_template(task, labels, annotations, environment),
        },
    }


def _build_template(
    task: Task,
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    environment: Mapping[str, str],
) -> dict[str, Any]:
    template = copy.deepcopy(dict(task.template or {}))
    metadata = template.setdefault("metadata", {})
    metadata["labels"] = {**(metadata.get("labels") or {}), **labels}
    if annotations:
        metadata["annotations"] = {**(metadata.get("annotations") or {}), **annotations}
    spec = template.setdefault("spec", {})
    spec["restartPolicy"] = "Never"
    grace = spec.get("terminationGracePeriodSeconds")
    if grace is not None:  # less may have been stored under an older CRD
        spec["terminationGracePeriodSeconds"] = max(LEAST_GRACE_SECONDS, grace)
    deadlines = [
        seconds for seconds in (spec.get("activeDeadlineSeconds"), task.timeout_seconds) if seconds is not None
    ]
    if deadlines:
        spec["activeDeadlineSeconds"] = min(deadlines)
    for container in list_containers(spec):
        own = container.get("env") or []
        taken = {variable["name"] for variable in own}
        ours = [{"name": name, "value": _escape(value)} for name, value in environment.items() if name not in taken]
        container["env"] = [*ours, *own]
    return template


def _environment(owner: Owner, task: Task, run: int, *, was_cut_short: bool, previous: Any) -> dict[str, str]:
    """Return what a task sees of itself: DESIGN section 2, "What a task sees"."""
    chained = {"MAGEFLOW_PREVIOUS": _as_json(previous)} if owner.kind == CHAIN.name else {}
    return {
        "MAGEFLOW_KIND": owner.kind,
        "MAGEFLOW_NAME": owner.name,
        "MAGEFLOW_NAMESPACE": owner.namespace,
        "MAGEFLOW_UID": owner.uid,
        "MAGEFLOW_TASK": task.name,
        "MAGEFLOW_INDEX": str(task.index),
        "MAGEFLOW_RUN": str(run),
        "MAGEFLOW_INPUT": _as_json(task.input),
        **chained,
        "MAGEFLOW_RESUMED": "true" if was_cut_short else "false",
        "MAGEFLOW_OUTPUT_LIMIT": str(output_limit_of((task.template or {}).get("spec") or {})),
    }


def _escape(value: str) -> str:
    """Return a variable's value so that the container sees it as it is: the kubelet expands `$(NAME)` and `$$`.

    https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
    """
    return value.replace("$", "$$")


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
