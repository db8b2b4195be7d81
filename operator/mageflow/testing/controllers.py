"""The Job controller and the garbage collectors in miniature, write by write.

Each sync reads once and then writes several times; between two of its writes anything may happen, as when the real
one's caches lag. What they do was read in pkg/controller/{job,garbagecollector,podgc} of Kubernetes 1.34 and is
compared with the real ones by `tests/integration/test_model_is_true.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from mageflow.kube.errors import ApiError
from mageflow.kube.transport import Raw
from mageflow.testing.server import (
    FOREGROUND,
    ORPHAN,
    TRACKING,
    Server,
    drop_finalizer,
    find_condition,
    has_ended,
    is_terminating,
    is_tracked,
    name_of,
    owner_of,
    set_condition,
    uid_of,
)

JOB_CONTROLLER: Final = "job-controller"
COLLECTOR: Final = "garbage-collector"
KINDS: Final = ("workflows", "chains", "swarms", "jobs", "pods")
"""What is collected."""

MATCHED: Final = "Pod {namespace}/{name} has condition DisruptionTarget matching FailJob rule at index 0"


class JobController:
    """Makes the pods of Jobs, counts their ends, and suspends."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._syncs: dict[str, Iterator[None]] = {}

    def step(self, name: str) -> None:
        """Begin a sync of a Job, or go on with it to the next write. A conflict ends it; it begins anew next time."""
        sync = self._syncs.pop(name, None)
        if sync is None:
            sync = self._sync(name)
        try:
            next(sync)
        except (StopIteration, ApiError):
            return
        self._syncs[name] = sync

    def sync(self, name: str) -> None:
        """Begin a sync, or go on with it, and end it."""
        self.step(name)
        while name in self._syncs:
            self.step(name)

    def names(self) -> list[str]:
        """Return the names of all Jobs that there is something to do about."""
        return sorted({*self._server.objects["jobs"], *self._syncs})

    def release_orphans(self) -> None:
        """Take the finalizer from pods whose Job is no more."""
        jobs = {uid_of(job) for job in self._server.list("jobs")}
        for pod in self._server.list("pods"):
            if is_tracked(pod) and owner_of(pod) not in jobs:
                self._release(pod)

    def _sync(self, name: str) -> Iterator[None]:
        """Sync one Job; each `yield` is a moment before a write."""
        job = self._server.find("jobs", name)
        if job is None:
            return
        pods = [pod for pod in self._server.list("pods") if owner_of(pod) == uid_of(job)]
        if find_condition(job, "Complete") or find_condition(job, "Failed"):
            yield from self._release_all(pods)
            return
        ended = [pod for pod in pods if has_ended(pod) and is_tracked(pod)]
        uncounted = job.get("status", {}).get("uncountedTerminatedPods") or {}
        end = self._judge(job, pods, ended, uncounted)
        status: Raw = {"active": 0, "conditions": []}
        if end is None and not is_terminating(job):
            yield from self._manage(job, pods, status)
        else:
            status["active"] = sum(not has_ended(pod) and not is_terminating(pod) for pod in pods)
        if end is None:
            yield
            self._write(job, **status)
            yield from self._release_all(pods if is_terminating(job) else [])
            return
        status["conditions"].append({"type": TARGETS[end["type"]], **end["why"]})
        yield
        newly = {
            name: [uid_of(pod) for pod in ended if pod["status"]["phase"] == phase] for phase, name in ENDS.items()
        }
        job = self._write(job, uncountedTerminatedPods=newly if ended else uncounted, **status)
        yield from self._release_all(ended)
        if any(not has_ended(pod) for pod in pods):
            return  # it ends when these have
        yield
        status["conditions"].append({"type": end["type"], **end["why"]})
        job = self._write(job, uncountedTerminatedPods={}, **status)
        yield
        reason, message = end["why"]["reason"], end["why"]["message"]
        told = ("Completed", "Job completed") if end["type"] == "Complete" else (reason, message)
        self._server.tell(JOB_CONTROLLER, job, *told)

    def _manage(self, job: Raw, pods: list[Raw], status: Raw) -> Iterator[None]:
        """Make the pod of a Job that has none, or delete it if the Job is suspended; `status` gets what is so then."""
        active = [pod for pod in pods if not has_ended(pod) and not is_terminating(pod)]
        if job["spec"].get("suspend"):
            for pod in active:
                yield
                self._release(pod)
                yield
                self._server.delete(JOB_CONTROLLER, "pods", name_of(pod), {})
            status["conditions"].append({"type": "Suspended", "reason": "JobSuspended"})
            return
        if find_condition(job, "Suspended"):
            status["conditions"].append({"type": "Suspended", "status": "False", "reason": "JobResumed"})
        if not pods:
            yield
            active = [self._create_pod(job)]
        status["active"] = len(active)

    def _release_all(self, pods: list[Raw]) -> Iterator[None]:
        for pod in filter(is_tracked, pods):
            yield
            self._release(pod)

    def _judge(self, job: Raw, pods: list[Raw], ended: list[Raw], uncounted: Raw) -> Raw | None:
        """Tell how a Job ends: a condition's type, and its reason and message; None if it doesn't end yet."""
        for type_, target in TARGETS.items():
            condition = find_condition(job, target)
            if condition is not None:
                return {"type": type_, "why": {key: condition[key] for key in ("reason", "message")}}
        failed = [pod for pod in pods if pod.get("status", {}).get("phase") == "Failed"]
        for pod in failed:
            if find_condition(pod, "DisruptionTarget"):
                message = MATCHED.format(namespace=self._server.namespace, name=name_of(pod))
                return {"type": "Failed", "why": {"reason": "PodFailurePolicy", "message": message}}
        if any(pod in ended for pod in failed) or uncounted.get("failed"):
            why = {"reason": "BackoffLimitExceeded", "message": "Job has reached the specified backoff limit"}
            return {"type": "Failed", "why": why}
        if any(pod["status"]["phase"] == "Succeeded" for pod in ended) or uncounted.get("succeeded"):
            why = {"reason": "CompletionsReached", "message": "Reached expected number of succeeded pods"}
            return {"type": "Complete", "why": why}
        return None

    def _create_pod(self, job: Raw) -> Raw:
        template = job["spec"]["template"]
        body = {
            "metadata": {
                "generateName": f"{name_of(job)}-",
                "labels": dict(template["metadata"]["labels"]) | {"job-name": name_of(job)},
                "finalizers": [TRACKING],
                "ownerReferences": [
                    {
                        "kind": "Job",
                        "name": name_of(job),
                        "uid": uid_of(job),
                        "controller": True,
                        "blockOwnerDeletion": True,
                    }
                ],
            },
            "spec": dict(template["spec"]),
            "status": {"phase": "Pending"},
        }
        pod = self._server.create(JOB_CONTROLLER, "pods", body)
        self._server.tell(JOB_CONTROLLER, job, "SuccessfulCreate", f"Created pod: {name_of(pod)}")
        return pod

    def _write(self, job: Raw, *, conditions: Sequence[Raw], **facts: Any) -> Raw:
        def mutate(raw: Raw) -> None:
            raw.setdefault("status", {}).update(facts)
            for condition in conditions:
                set_condition(raw, {"status": "True", **condition})

        return self._server.change(
            JOB_CONTROLLER, "jobs", name_of(job), mutate, version=job["metadata"]["resourceVersion"]
        )

    def _release(self, pod: Raw) -> None:
        """Take the finalizer from a pod, if it is still there."""
        present = self._server.find("pods", name_of(pod))
        if present is not None:
            self._server.change(JOB_CONTROLLER, "pods", name_of(pod), lambda raw: drop_finalizer(raw, TRACKING))


ENDS: Final = {"Succeeded": "succeeded", "Failed": "failed"}
"""A pod's last phases, and the lists in which a Job's status has them."""

TARGETS: Final = {"Failed": "FailureTarget", "Complete": "SuccessCriteriaMet"}
"""A Job's last conditions, and those that go before them."""


class Collector:
    """Collects what has no owner any more, and pods that no kubelet will ever end."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def collect(self) -> None:
        """Take one step for each object."""
        self.collect_garbage()
        self.end_unscheduled()

    def collect_garbage(self) -> None:
        """Take one step for each object, as all were at first: a deletion is heard of before what it leaves goes."""
        known = {plural: self._server.list(plural) for plural in KINDS}
        uids = {uid_of(raw) for raws in known.values() for raw in raws}
        for plural, raws in known.items():
            for raw in raws:
                self._attempt(self._collect, plural, raw, uids)

    def end_unscheduled(self) -> None:
        """End the terminating pods that no node has: pkg/controller/podgc, which comes every 20 seconds."""
        for pod in self._server.list("pods"):
            if is_terminating(pod) and "nodeName" not in pod["spec"] and not has_ended(pod):
                self._attempt(self._fail, pod)

    def _collect(self, plural: str, raw: Raw, uids: set[str]) -> None:
        finalizers = raw["metadata"].get("finalizers", ())
        dependents = self._find_dependents(raw)
        if ORPHAN in finalizers:
            for each, child in dependents:
                self._server.change(COLLECTOR, each, name_of(child), lambda child: _disown(raw, child))
            if not dependents:
                self._server.change(COLLECTOR, plural, name_of(raw), lambda raw: drop_finalizer(raw, ORPHAN))
        elif FOREGROUND in finalizers:
            for each, child in dependents:
                if not is_terminating(child):
                    self._delete(each, child, "Foreground" if self._find_dependents(child) else "Background")
            if not dependents:
                self._server.change(COLLECTOR, plural, name_of(raw), lambda raw: drop_finalizer(raw, FOREGROUND))
        elif raw["metadata"].get("ownerReferences") and not is_terminating(raw) and not _has_owner(raw, uids):
            self._delete(plural, raw, "Background")

    def _find_dependents(self, owner: Raw) -> list[tuple[str, Raw]]:
        return [(plural, raw) for plural in KINDS for raw in self._server.list(plural) if _owns(owner, raw)]

    def _delete(self, plural: str, raw: Raw, policy: str) -> None:
        preconditions = {"uid": uid_of(raw), "resourceVersion": raw["metadata"]["resourceVersion"]}
        options = {"propagationPolicy": policy, "preconditions": preconditions}
        self._server.delete(COLLECTOR, plural, name_of(raw), options)

    def _fail(self, pod: Raw) -> None:
        self._server.change(COLLECTOR, "pods", name_of(pod), lambda raw: raw["status"].update(phase="Failed"))

    def _attempt(self, act: Callable[..., None], *arguments: Any) -> None:
        try:
            act(*arguments)
        except ApiError as error:
            if error.status not in (404, 409):
                raise


def _owns(owner: Raw, child: Raw) -> bool:
    references = child["metadata"].get("ownerReferences", ())
    return any(reference["uid"] == uid_of(owner) for reference in references)


def _has_owner(raw: Raw, uids: set[str]) -> bool:
    return any(reference["uid"] in uids for reference in raw["metadata"]["ownerReferences"])


def _disown(owner: Raw, child: Raw) -> None:
    kept = [each for each in child["metadata"]["ownerReferences"] if each["uid"] != uid_of(owner)]
    child["metadata"]["ownerReferences"] = kept
