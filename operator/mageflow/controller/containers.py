"""Parser of container states: why a pod failed, the state of its main container, what keeps it running. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from mageflow.core.observed import Cause
from mageflow.core.pods import main_container

USUAL_ENDS: Final = frozenset({"Completed", "Error"})
"""The kubelet's reasons that say no more than the exit code does."""

SIGNALS: Final = frozenset({137, 143})
"""Exit codes of a container that was killed, as a rule from outside; for its own memory the reason is OOMKilled."""


def find_main_state(raw: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the state of the main container, whose output counts; empty as long as the kubelet tells nothing of it."""
    name = main_container(raw)
    return next((_state(status) for status in _statuses(raw, "containerStatuses") if status.get("name") == name), {})


def has_deadly_probe(raw: Mapping[str, Any]) -> bool:
    """Tell whether the kubelet may kill the main container for a probe or a hook. Its exit code tells nothing then.

    https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes/
    """
    name = main_container(raw)
    main: Mapping[str, Any] = next(
        (each for each in raw["spec"].get("containers") or () if each.get("name") == name), {}
    )
    return bool(main.get("livenessProbe") or main.get("startupProbe") or (main.get("lifecycle") or {}).get("postStart"))


def find_cause(raw: Mapping[str, Any]) -> Cause | None:
    """Find the container by which a pod failed; None if none did.

    It is the first of these that there is: an init container, after which no other began; the main container; of the
    others the one that failed first, by itself if one did. It is never a native sidecar: what one exits with after the
    end of the main container says nothing.
    https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
    """
    main, sidecars = main_container(raw), _sidecars(raw)
    inits = (each for each in _statuses(raw, "initContainerStatuses") if each.get("name") not in sidecars)
    for status in inits:
        if _has_failed(status):
            return _read_cause(status, f"init container {status['name']}")
    failed = [each for each in _statuses(raw, "containerStatuses") if _has_failed(each)]
    if not failed:
        return None
    first = next((each for each in failed if each.get("name") == main), None) or min(failed, key=_order)
    return _read_cause(first, f"container {first['name']}", is_main=first.get("name") == main)


def find_lingering(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the containers that keep a pod running though its main one has ended.

    No native sidecar does: the kubelet stops those by itself.
    """
    if "terminated" not in find_main_state(raw):
        return ()
    return tuple(each["name"] for each in _statuses(raw, "containerStatuses") if "running" in _state(each))


def _statuses(raw: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    yield from (raw.get("status") or {}).get(kind) or ()


def _state(status: Mapping[str, Any]) -> Mapping[str, Any]:
    state: Mapping[str, Any] = status.get("state") or {}
    return state


def _sidecars(raw: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the native sidecars: init containers that the kubelet starts again."""
    inits = raw["spec"].get("initContainers") or ()
    return frozenset(container["name"] for container in inits if container.get("restartPolicy") == "Always")


def _has_failed(status: Mapping[str, Any]) -> bool:
    return bool((_state(status).get("terminated") or {}).get("exitCode"))


def _order(status: Mapping[str, Any]) -> tuple[bool, str]:
    """Sort key of containers that failed: what ended by itself comes before what was killed, then by time."""
    ended = _state(status)["terminated"]
    was_killed = ended["exitCode"] in SIGNALS and ended.get("reason") in USUAL_ENDS
    return was_killed, ended.get("finishedAt") or ""


def _read_cause(status: Mapping[str, Any], container: str, *, is_main: bool = False) -> Cause:
    ended = _state(status)["terminated"]
    reason = ended.get("reason")
    return Cause(
        container=container,
        exit_code=ended["exitCode"],
        reason=None if reason in USUAL_ENDS else reason,
        message=(ended.get("message") or "").rstrip() or None,
        is_main=is_main,
    )
