"""The Job of one run: its name, its labels and its manifest.

A run is one Job with one pod that nobody but us replaces: `backoffLimit: 0`, `restartPolicy: Never` and FailJob on
the pod condition DisruptionTarget (DESIGN section 3). A retry, or a run after a hold, is another Job.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from mageflow.api import (
    API_VERSION,
    CHAIN,
    DEFAULT_CONTAINER_ANNOTATION,
    LABEL_KIND,
    LABEL_NAME,
    LABEL_RUN,
    LABEL_TASK,
    LABEL_UID,
    LEAST_GRACE_SECONDS,
)
from mageflow.api.stored import MAX_OBJECT, size_of
from mageflow.core.output import find_limit

ANNOTATION_STOPPED: Final = "mageflow.io/stopped"
"""On a Job: the interrupt or cancel that suspended it was ours."""

STOPPED: Final = "true"
STOPPED_WHILE_RUNNING: Final = "while-running"
"""Its values."""

GRACE_SECONDS: Final = 30
"""What a pod is given to end when it doesn't say: the API server's default of terminationGracePeriodSeconds."""

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


@dataclass(frozen=True, slots=True)
class Owner:
    """The resource that a Job belongs to."""

    kind: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True, slots=True)
class Task:
    """What the spec asks of one task."""

    name: str
    template: Mapping[str, Any] | None
    """A PodTemplateSpec, as the user wrote it; None if there is none, which is a problem to report."""
    input: Any = None
    retries: int = 0
    timeout_seconds: int | None = None
    index: int = 0
    after: str | None = None
    """The task whose output it gets, in a Chain."""
    path: str = "spec"
    """Where it stands in the resource, for messages."""

    @property
    def grace_period(self) -> timedelta:
        """What its pod is given to end when it is stopped."""
        spec = (self.template or {}).get("spec") or {}
        return timedelta(seconds=spec.get("terminationGracePeriodSeconds") or GRACE_SECONDS)

    @property
    def template_hash(self) -> str:
        """Ten characters that change with anything that a run is made from."""
        return digest(self.template, self.input, self.timeout_seconds)


def digest(*parts: Any) -> str:
    """Return ten lower-case characters that identify any JSON values."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:10]


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
    count = len(_containers_of(spec))
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


def _containers_of(spec: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the containers of a pod, its init containers first."""
    return (*(spec.get("initContainers") or ()), *(spec.get("containers") or ()))


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


def main_container(pod: Mapping[str, Any]) -> str | None:
    """Return the name of the container whose output counts: the annotated default, else the first (DESIGN 2).

    `pod` is a pod or a template of one.
    """
    containers = pod.get("spec", {}).get("containers") or [{}]
    annotated = (pod.get("metadata", {}).get("annotations") or {}).get(DEFAULT_CONTAINER_ANNOTATION)
    name: str | None = annotated if annotated is not None else containers[0].get("name")
    return name


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
    for container in _containers_of(spec):
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
        "MAGEFLOW_OUTPUT_LIMIT": str(find_limit((task.template or {}).get("spec") or {})),
    }


def _escape(value: str) -> str:
    """Return a variable's value so that the container sees it as it is: the kubelet expands `$(NAME)` and `$$`.

    https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
    """
    return value.replace("$", "$$")


def _as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
