"""Parsers of API objects: what is returned has the few facts that the core reads, and is what the caches keep. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from pydantic import ValidationError

from mageflow.api import LABEL_RUN, LABEL_TASK, LABEL_UID, Kind, Lifecycle, Status, read_lifecycle, reasons
from mageflow.api.stored import size_of
from mageflow.controller.containers import find_cause, find_lingering, find_main_state, has_deadly_probe
from mageflow.controller.settings import FIELD_MANAGER
from mageflow.core.job_manifest import ANNOTATION_STOPPED, DISRUPTION_CONDITIONS, STOPPED_WHILE_RUNNING
from mageflow.core.observed import ObservedJob, ObservedPod, ObservedResource, ReasonMessage, Spec
from mageflow.core.output import output_limit_of

IMAGE_PROBLEMS = frozenset({"ErrImagePull", "ImagePullBackOff"})
"""The kubelet alternates between these two reasons, which are one fact."""

MAX_PROBLEMS = 5
"""How many mistakes in a spec are told at once."""

USUAL_WAITS = frozenset({"ContainerCreating", "PodInitializing"})
"""The reasons for which a container waits when all is well."""

FIT_ERROR: Final = re.compile(r"\d+/\d+ nodes are available: (?P<causes>.+?)\.?(?:$|\. )")
CAUSES: Final = re.compile(r", (?=\d+ )")
COUNT: Final = re.compile(r"^\d+ ")
FIGURES: Final = re.compile(r"(?<![\w.-])\d+(?![\w.-])")
"""Numbers that stand by themselves."""


@dataclass(frozen=True, slots=True)
class RunKey:
    """Which run a Job or pod belongs to, by its namespace and labels."""

    namespace: str
    owner_uid: str
    task: str
    run: int


JobOfRun: TypeAlias = tuple[RunKey, ObservedJob]
PodOfRun: TypeAlias = tuple[RunKey, ObservedPod]


def run_key(raw: Mapping[str, Any]) -> RunKey | None:
    """Return which run a Job or pod belongs to; None if its labels aren't ours."""
    metadata = raw["metadata"]
    labels = metadata.get("labels") or {}
    try:
        return RunKey(metadata["namespace"], labels[LABEL_UID], labels[LABEL_TASK], int(labels[LABEL_RUN]))
    except (KeyError, ValueError):
        return None


def is_controlled_by(raw: Mapping[str, Any], uid: str) -> bool:
    """Tell whether the object's controller, by its owner references, has this uid."""
    references = raw["metadata"].get("ownerReferences") or ()
    return any(reference.get("controller") and reference["uid"] == uid for reference in references)


def observe_resource(kind: Kind, raw: Mapping[str, Any], known: ObservedResource | None = None) -> ObservedResource:
    """Read a Workflow, Chain or Swarm, without its Jobs and pods.

    `known` is what was read of it before; if the generation is the same, so is the spec, which isn't parsed again. A
    spec that can't be read is no exception: `spec` is None then, and `problem` says why.
    """
    metadata = raw["metadata"]
    generation = metadata.get("generation", 1)
    if known is not None and known.generation == generation:
        spec, problem, size = known.spec, known.problem, known.size_of_spec
    else:
        spec, problem = _read_spec(kind, raw.get("spec") or {})
        size = _size_without_status(raw)
    return ObservedResource(
        kind=kind,
        namespace=metadata["namespace"],
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        generation=generation,
        is_terminating="deletionTimestamp" in metadata,
        spec=spec,
        problem=problem,
        status=Status.read(raw.get("status") or {}),
        size_of_spec=size,
        size_of_annotations=_size_of_annotations(metadata),
        lifecycle_alone=read_lifecycle((raw.get("spec") or {}).get("lifecycle")),
    )


def _size_without_status(raw: Mapping[str, Any]) -> int:
    """Return how many bytes are stored of a resource, but for its status and its annotations."""
    metadata = {name: value for name, value in raw["metadata"].items() if name != "annotations"}
    return size_of({"metadata": metadata, "spec": raw.get("spec")})


def _size_of_annotations(metadata: Mapping[str, Any]) -> int:
    """Return how many bytes the annotations take: they grow without the generation, and with each `kubectl apply`."""
    annotations = metadata.get("annotations")
    return size_of(annotations) if annotations else 0


def _read_spec(kind: Kind, raw: Mapping[str, Any]) -> tuple[Spec | None, str | None]:
    try:
        spec: Any = kind.spec.model_validate(raw)
    except ValidationError as error:
        lines = [f"spec.{'.'.join(str(part) for part in line['loc'])}: {line['msg']}" for line in error.errors()]
        if raw.get("lifecycle") is not None and raw["lifecycle"] not in list(Lifecycle):
            lines.insert(0, f"spec.lifecycle: {raw['lifecycle']!r} is taken for suspended")
        more = f"; and {len(lines) - MAX_PROBLEMS} more" if len(lines) > MAX_PROBLEMS else ""
        return None, "; ".join(lines[:MAX_PROBLEMS]) + more
    return spec, None


def observe_job(raw: Mapping[str, Any]) -> ObservedJob:
    """Read a Job; raises nothing for what is missing in its status."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    conditions = _true_conditions(status)
    failed = conditions.get("Failed")
    is_suspended = bool(raw["spec"].get("suspend"))
    is_stopped = ANNOTATION_STOPPED in (metadata.get("annotations") or {})
    return ObservedJob(
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        is_suspended=is_suspended,
        is_stopped=is_stopped,
        was_running=(metadata.get("annotations") or {}).get(ANNOTATION_STOPPED) == STOPPED_WHILE_RUNNING,
        suspended_by=_find_suspender(metadata) if is_suspended and not is_stopped else None,
        is_suspension_in_force="Suspended" in conditions and not status.get("active"),
        is_terminating="deletionTimestamp" in metadata,
        is_complete="Complete" in conditions,
        failure=None if failed is None else ReasonMessage(failed.get("reason") or "", failed.get("message") or ""),
        created_at=read_time(metadata.get("creationTimestamp")),
    )


def _find_suspender(metadata: Mapping[str, Any]) -> str | None:
    """Return the field manager of a Job's `spec.suspend`; None if none is named, or it is us.

    It is us also where an admission webhook has set it, in our own creation of the Job.
    https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
    """
    for entry in metadata.get("managedFields") or ():
        if "f:suspend" in ((entry.get("fieldsV1") or {}).get("f:spec") or {}) and entry["manager"] != FIELD_MANAGER:
            manager: str = entry["manager"]
            return manager
    return None


def observe_pod(raw: Mapping[str, Any]) -> ObservedPod:
    """Read a pod, with what its containers tell."""
    metadata, spec, status = raw["metadata"], raw["spec"], raw.get("status") or {}
    phase = status.get("phase") or "Pending"
    states = [container.get("state") or {} for container in _containers(status)]
    earlier = [container.get("lastState") or {} for container in _containers(status)]
    has_begun = any(_has_begun(state) for state in (*states, *earlier))
    return ObservedPod(
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        phase=phase,
        has_started=has_begun or phase == "Running",
        is_terminating="deletionTimestamp" in metadata,
        grace_seconds=metadata.get("deletionGracePeriodSeconds") or 0,
        is_disrupted=not _true_conditions(status).keys().isdisjoint(DISRUPTION_CONDITIONS),
        node=spec.get("nodeName"),
        reason=status.get("reason"),
        message=(status.get("message") or "").rstrip() or None,
        cause=find_cause(raw),
        output=(find_main_state(raw).get("terminated") or {}).get("message"),
        output_limit=output_limit_of(spec),
        lingering=find_lingering(raw) if phase == "Running" else (),
        has_deadly_probe=has_deadly_probe(raw),
        waiting=_find_waiting(spec, status),
    )


def _has_begun(state: Mapping[str, Any]) -> bool:
    """Tell whether a container runs or has run. The kubelet reports some as terminated that never ran."""
    if "running" in state:
        return True
    return "terminated" in state and state["terminated"].get("startedAt") is not None


def _containers(status: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from status.get("initContainerStatuses") or ()
    yield from status.get("containerStatuses") or ()


def _find_waiting(spec: Mapping[str, Any], status: Mapping[str, Any]) -> ReasonMessage | None:
    """Return why a pod doesn't start; None if it has started, or all is well so far."""
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False" and "nodeName" not in spec:
            reason = condition.get("reason") or reasons.UNSCHEDULABLE
            return ReasonMessage(reason, _read_scheduler(condition.get("message") or ""))
    for container in _containers(status):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason")
        if reason in IMAGE_PROBLEMS:
            what = f"container {container['name']}: image {container.get('image')} can't be pulled"
            return ReasonMessage("ImagePullBackOff", what)
        if reason is not None and reason not in USUAL_WAITS:
            return ReasonMessage(reason, f"container {container['name']}: {waiting.get('message') or reason}")
    return None


def _read_scheduler(message: str) -> str:
    """Return why no node takes a pod, from the scheduler's message, without its figures and what it says of preemption.

    The figures, and with them the order of the causes, change with each attempt of the scheduler, and each change would
    be a write of the status. https://github.com/kubernetes/kubernetes/blob/v1.34.4/pkg/scheduler/framework/types.go#L787
    """
    found = FIT_ERROR.match(message)
    if found is None:
        return FIGURES.sub("…", message) or "no node takes the pod"
    causes = {COUNT.sub("", cause) for cause in CAUSES.split(found["causes"])}
    return f"no node takes the pod: {', '.join(sorted(causes))}"


def _true_conditions(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {
        condition["type"]: condition for condition in status.get("conditions") or () if condition["status"] == "True"
    }


def read_time(text: str | None) -> datetime | None:
    """Read a time as Kubernetes writes it, in RFC 3339; None if there is none."""
    return None if not text else datetime.fromisoformat(text)
