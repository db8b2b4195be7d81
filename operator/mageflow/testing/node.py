"""The scheduler and the kubelet in miniature: what is so on the node, and what of it has been reported.

Held to the real ones by the same scripts as the server.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from mageflow.api import LABEL_TASK, LABEL_UID
from mageflow.kube.errors import ApiError
from mageflow.kube.transport import Raw
from mageflow.testing.server import Server, has_ended, is_terminating, label_of, mark_disrupted, name_of, uid_of

SCHEDULER: Final = "scheduler"
KUBELET: Final = "kubelet"
DRAIN: Final = "kubectl drain"
NODE: Final = "node-1"
SIGTERM_EXIT_CODE: Final = 143
WHY: Final = {
    "DeadlineExceeded": "Pod was active on the node longer than the specified deadline",
    "Evicted": "The node was low on resource: memory.",
}
"""What the kubelet says when it ends a pod."""


@dataclass
class Container:
    """What is so on the node, whatever the API server has been told."""

    task: tuple[str, str]
    """The uid of the resource and the name of the task that it belongs to."""
    has_init: bool = False
    runs: bool = False
    """It, or the init container before it, runs."""
    is_in_init: bool = False
    exit_code: int | None = None
    message: str = ""
    """What it has written to its termination message."""
    was_told_to_stop: bool = False
    """Its pod was deleted before it ended."""
    has_failed_by_itself: bool = False
    told: Any = None
    """What the API server has been told last."""

    @property
    def is_fresh(self) -> bool:
        """It has never run."""
        return not self.runs and self.exit_code is None


class Node:
    """The only node: binds and runs pods, and reports of them, a little late."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.containers: dict[str, Container] = {}

    def of(self, pod: Raw) -> Container:
        """Return what is so of a pod."""
        if uid_of(pod) not in self.containers:
            task = label_of(pod, LABEL_UID), label_of(pod, LABEL_TASK)
            self.containers[uid_of(pod)] = Container(task, has_init=bool(pod["spec"].get("initContainers")))
        return self.containers[uid_of(pod)]

    @property
    def running(self) -> list[str]:
        """Return the uids of the pods whose containers run."""
        return [uid for uid, container in self.containers.items() if container.runs]

    def move(self, pod: Raw, exit_code: int) -> None:
        """Take the next step in the life of a pod; a container that ends does so with `exit_code`."""
        container = self.of(pod)
        if "nodeName" not in pod["spec"]:
            self.bind(pod)
        elif self.is_unreported(pod):
            self.report(pod)
        elif has_ended(pod):
            self.let_go(pod)
        elif container.runs:
            self.end(pod, exit_code)
        else:
            self.start(pod)

    def bind(self, pod: Raw) -> None:
        """Give a pod to the node."""
        if "nodeName" not in pod["spec"] and not is_terminating(pod):
            self._server.change(SCHEDULER, "pods", name_of(pod), lambda raw: raw["spec"].update(nodeName=NODE))

    def start(self, pod: Raw) -> None:
        """Start a pod's first container; one that is deleted before ends without."""
        container = self.of(pod)
        if "nodeName" not in pod["spec"] or not container.is_fresh or has_ended(pod):
            return
        if is_terminating(pod):
            self._change(pod, phase="Failed")
        else:
            container.runs = True
            container.is_in_init = container.has_init
            self._tell(pod, "Started", "Started container {}")

    def end(self, pod: Raw, exit_code: int) -> None:
        """End what runs. An init container that does well is followed by the main one, unless the pod is deleted."""
        container = self.of(pod)
        if not container.runs:
            return
        if is_terminating(pod):
            self._tell(pod, "Killing", "Stopping container {}")
        elif container.is_in_init and exit_code == 0:
            container.is_in_init = False
            self._tell(pod, "Started", "Started container {}")
            return
        container.runs, container.exit_code = False, exit_code
        if container.is_in_init and exit_code == 0:
            container.exit_code = SIGTERM_EXIT_CODE  # the main container never ran, so the pod has failed
        container.was_told_to_stop = is_terminating(pod)
        container.has_failed_by_itself = exit_code != 0 and not is_terminating(pod)

    def is_unreported(self, pod: Raw) -> bool:
        """Tell whether something has happened that the API server doesn't know."""
        return not has_ended(pod) and not self.of(pod).is_fresh and self.of(pod).told != self._facts(pod)

    def report(self, pod: Raw) -> None:
        """Tell the API server how a pod is."""
        if self.is_unreported(pod):
            self.of(pod).told = self._facts(pod)
            self._change(pod, **self._status(self.of(pod)))

    def let_go(self, pod: Raw) -> None:
        """Delete a terminating pod that has ended."""
        if is_terminating(pod) and has_ended(pod) and "nodeName" in pod["spec"]:
            options = {"gracePeriodSeconds": 0, "preconditions": {"uid": uid_of(pod)}}
            self._server.delete(KUBELET, "pods", name_of(pod), options)

    def kill(self, pod: Raw, reason: str) -> None:
        """End a pod by the kubelet's own decision: DeadlineExceeded, Evicted."""
        if "nodeName" not in pod["spec"] or has_ended(pod) or is_terminating(pod):
            return
        container = self.of(pod)
        self._server.tell(KUBELET, pod, reason, WHY[reason])
        if container.runs:
            self._tell(pod, "Killing", "Stopping container {}")
        container.has_failed_by_itself = reason == "DeadlineExceeded"
        container.runs, container.exit_code = False, 137
        container.told = self._facts(pod)

        def mutate(raw: Raw) -> None:
            raw["status"].update(self._status(container), reason=reason)
            if reason == "Evicted":
                mark_disrupted(raw, "TerminationByKubelet")

        self._server.change(KUBELET, "pods", name_of(pod), mutate)

    def drain(self, pod: Raw) -> None:
        """Evict a pod, as `kubectl drain` does."""
        if not has_ended(pod) and not is_terminating(pod):
            with suppress(ApiError):
                self._server.evict(DRAIN, name_of(pod), {})

    def _tell(self, pod: Raw, reason: str, message: str) -> None:
        """Make an Event about the container of a pod that runs."""
        name = "init" if self.of(pod).is_in_init else "main"
        self._server.tell(KUBELET, pod, reason, message.format(name), name)

    def _facts(self, pod: Raw) -> Any:
        container = self.of(pod)
        return container.runs, container.is_in_init, container.exit_code

    def _status(self, container: Container) -> Raw:
        now = self._server.timestamp()
        if container.exit_code is not None:
            written = {"message": container.message} if container.message else {}
            ended = {"terminated": {"exitCode": container.exit_code, "startedAt": now, "finishedAt": now, **written}}
            phase = "Failed" if container.exit_code else "Succeeded"
            return {"phase": phase, "containerStatuses": [{"name": "main", "state": ended}]}
        running: Raw = {"state": {"running": {"startedAt": now}}}
        if container.is_in_init:
            return {"phase": "Pending", "initContainerStatuses": [{"name": "init", **running}]}
        return {"phase": "Running", "containerStatuses": [{"name": "main", **running}]}

    def _change(self, pod: Raw, **status: Any) -> None:
        self._server.change(KUBELET, "pods", name_of(pod), lambda raw: raw["status"].update(status))
