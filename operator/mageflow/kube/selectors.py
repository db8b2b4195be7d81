"""Label selectors of requests and watches: which Jobs and pods are MageFlow's, and which belong to one resource.

https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
"""

from __future__ import annotations

from typing import Final

from mageflow.api import LABEL_TASK, LABEL_UID

MANAGED: Final = LABEL_UID
"""All Jobs and pods of all resources: they carry the label, whatever its value."""


def uid_selector(uid: str, task: str | None = None) -> str:
    """Return the selector of the Jobs and pods of one resource, by its uid; with `task` only those of that task."""
    selector = f"{LABEL_UID}={uid}"
    return selector if task is None else f"{selector},{LABEL_TASK}={task}"


def job_selector(name: str) -> str:
    """Return the selector of the pods of a Job, by its name; the Job controller sets the label."""
    return f"job-name={name}"
