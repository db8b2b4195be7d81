"""The pod template of a task: the API server's PodTemplateSpec, and what a task can't have."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from generate.podtemplate import PATH
from generate.yamltext import Compact
from mageflow.api import LEAST_GRACE_SECONDS
from mageflow.api.base import INT32_MAX
from mageflow.api.rules import Rule, validations

Schema = dict[str, Any]

MAX_KEYS = 256
"""Labels, and annotations: bounds the cost of the rules on them."""

MAX_ITEMS: Mapping[str, int] = {"containers": 256, "initContainers": 256, "volumes": 1024}
"""Far more than a pod can have: comparing 50,000 containers took the API server ten seconds (docs/adr)."""

MAX_FINALIZERS = 64
"""The API server compares the items of a set pair by pair: 160,000 took longer than it gives a request."""

ONLY_NEVER = Rule(
    rule="self == 'Never'",
    message="must be Never or left out, since containers that the kubelet restarts in place can't be held;"
    " use retries instead",
)

RESERVED_LABELS = Rule(
    rule="self.all(key, !(key.startsWith('mageflow.io/') || key.startsWith('batch.kubernetes.io/')"
    " || key in ['job-name', 'controller-uid']))",
    message="labels that start with mageflow.io/ or batch.kubernetes.io/, job-name and controller-uid are set by"
    " MageFlow and the Job controller: leave them out",
)

RESERVED_ANNOTATIONS = Rule(
    rule="self.all(key, !key.startsWith('mageflow.io/'))",
    message="annotations that start with mageflow.io/ are set by MageFlow: leave them out",
)

CONTAINER_NAME: Schema = {"pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", "maxLength": 63}
"""A DNS label: https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-label-names"""


def build_task_template() -> Schema:
    """Return the structural schema of `template`."""
    template: Schema = json.loads(PATH.read_text())["schema"]
    template["required"] = ["spec"]
    _restrict_metadata(template["properties"]["metadata"]["properties"])
    _restrict_pod(template["properties"]["spec"])
    template["properties"] = Compact(template["properties"])
    return template


def _restrict_metadata(fields: Schema) -> None:
    for name, rule in (("labels", RESERVED_LABELS), ("annotations", RESERVED_ANNOTATIONS)):
        fields[name] = {**fields[name], "maxProperties": MAX_KEYS, **validations(rule)}
    fields["finalizers"]["maxItems"] = MAX_FINALIZERS


def _restrict_pod(pod: Schema) -> None:
    fields = pod["properties"]
    fields["restartPolicy"] = {"type": "string", **validations(ONLY_NEVER)}
    fields["activeDeadlineSeconds"].update(minimum=1, maximum=INT32_MAX)
    fields["terminationGracePeriodSeconds"].update(minimum=LEAST_GRACE_SECONDS, nullable=True)
    for name, limit in MAX_ITEMS.items():
        fields[name]["maxItems"] = limit
    fields["containers"]["minItems"] = 1
    for name in ("containers", "initContainers"):
        _restrict_container(fields[name]["items"])
    del fields["containers"]["items"]["properties"]["restartPolicy"]
    fields["initContainers"]["items"]["properties"]["restartPolicy"]["enum"] = ["Always"]


def _restrict_container(container: Schema) -> None:
    fields = container["properties"]
    fields["name"].update(copy.deepcopy(CONTAINER_NAME))
    fields["image"]["minLength"] = 1
    container["required"] = sorted({*container["required"], "image"})
    del fields["restartPolicyRules"]
