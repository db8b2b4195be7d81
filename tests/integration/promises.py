"""What holds after every test, whatever it did: checked from the audit log and from the pods' own histories.

The operator's word counts for nothing here.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from mageflow.api import KINDS

from .audit import Request
from .history import PodHistory, count_live_at_once, count_running_at_once, success_of
from .stage import Namespace

STOPPING = frozenset({"interrupted", "canceled"})
HELD = frozenset({"Suspended", "Interrupted", "Canceled"})
OURS = frozenset(kind.plural for kind in KINDS)
STATUSES = frozenset(f"{plural}/status" for plural in OURS)


def check_promises(namespace: Namespace) -> None:
    """Check every promise of DESIGN section 1 that can be broken by any test."""
    check_no_job_was_made_twice(namespace)
    check_no_two_runs_at_once(namespace)
    check_tasks_of_a_chain_ran_one_at_a_time(namespace)
    check_nothing_ran_again_after_it_succeeded(namespace)
    check_no_started_pod_was_evicted(namespace)
    check_pods_were_stopped_only_when_asked(namespace)
    check_held_means_quiet(namespace)
    check_only_status_was_written(namespace)


def check_no_job_was_made_twice(namespace: Namespace) -> None:
    """Promise 3: nothing runs twice. A run's Job has a name of its own, so the same name is the same run."""
    names = namespace.audit.created_jobs(namespace.name)
    assert len(names) == len(set(names)), f"made twice: {sorted(names)}"


def check_no_two_runs_at_once(namespace: Namespace) -> None:
    """Promise 3: a run starts only when no pod of an older run can still run."""
    for pods in pods_by(namespace, "mageflow.io/uid", "mageflow.io/task").values():
        assert count_running_at_once(pods) <= 1, f"ran at once: {[pod.name for pod in pods]}"


def check_tasks_of_a_chain_ran_one_at_a_time(namespace: Namespace) -> None:
    """Promise 3, and what a Chain is: a task starts only when no pod of the one before can run."""
    for (kind, _), pods in pods_by(namespace, "mageflow.io/kind", "mageflow.io/uid").items():
        if kind == "Chain":
            assert count_live_at_once(pods) <= 1, f"there at once: {[pod.name for pod in pods]}"


def check_nothing_ran_again_after_it_succeeded(namespace: Namespace) -> None:
    """Promise 3: a task that succeeded is never run again. What exits 0 because it was stopped has not succeeded."""
    caught = caught_by_a_stop(namespace)
    for task, pods in pods_by(namespace, "mageflow.io/uid", "mageflow.io/task").items():
        successes = [success_of(pod) for pod in pods if pod.name not in caught]
        versions = [version for version in successes if version is not None]
        later = [pod.name for pod in pods if versions and pod.created_at > min(versions)]
        assert not later, f"{task} had succeeded, and ran again: {later}"


def caught_by_a_stop(namespace: Namespace) -> set[str]:
    """Name the pods that ended well by themselves while they were being stopped: whether they count is open.

    A Job that is suspended deletes its pod as the Job controller sees it, which may be some ten ms old; so it deletes
    one that has just succeeded, and doesn't count it. The operator counts it only if it sees it in between.
    """
    stopped = {write.name for write in namespace.writes() if write.is_success and _kills(write)}
    return {
        pod.name
        for pod in namespace.pods
        if pod.was_deleted and success_of(pod) is not None and pod.labels.get("job-name") in stopped
    }


def check_no_started_pod_was_evicted(namespace: Namespace) -> None:
    """Promise 1: suspend, whose means is eviction, never kills a task that the API server knows to have started."""
    evicted = {
        request.name
        for request in namespace.writes()
        if (request.verb, request.resource) == ("create", "pods/eviction") and request.is_success
    }
    for pod in namespace.pods:
        if pod.name in evicted:
            assert not pod.had_started_when_deleted, f"{pod.name} had started, and was evicted"


def check_pods_were_stopped_only_when_asked(namespace: Namespace) -> None:
    """Promise 1: what deletes running pods is used only on a resource whose last status says interrupted or canceled.

    That status was written with the resourceVersion as its precondition: so the spec said so, too. Where no pod
    runs, it may be used at any time: to see to it that none comes. Where no status can be written, as of a resource
    that hangs in deletion, a stop is carried out without.
    """
    lifecycles: dict[str, str] = {}
    unwritable = _unwritable(namespace)
    owners = {job.name: _uid_of(job.body) for job in _creations(namespace)}
    owners |= {pod.name: pod.labels.get("mageflow.io/uid", "") for pod in namespace.pods}
    for write in namespace.writes():
        if write.resource in STATUSES and write.is_success:
            lifecycles[write.answer["metadata"]["uid"]] = write.answer["status"].get("lifecycle", "")
        elif write.is_success and _kills(write):
            if owners[write.name] in unwritable:
                continue
            wanted = lifecycles.get(owners[write.name], "")
            killed = [pod.name for pod in namespace.pods if _is_killed_by(pod, write)]
            assert wanted in STOPPING or not killed, f"lifecycle is {wanted!r}, and {write} killed {killed}"


def _unwritable(namespace: Namespace) -> set[str]:
    """Return the uids of resources that hung in deletion, or of which a status was refused."""
    uids = {
        write.answer["metadata"]["uid"]: (write.resource.removesuffix("/status"), write.name)
        for write in namespace.writes()
        if write.resource in STATUSES and write.is_success
    }
    refused = {
        (write.resource.removesuffix("/status"), write.name)
        for write in namespace.writes()
        if write.resource in STATUSES and not write.is_success and write.code not in (404, 409)
    }
    return {uid for uid, name in uids.items() if name in refused or uid in namespace.hanging}


def check_held_means_quiet(namespace: Namespace) -> None:
    """Promise 2: while a resource says that it is held, no pod of it runs, and none starts.

    Resource versions are one count for all kinds, etcd's: so they tell what was so at the same time.
    """
    for owner, since, until in _held_times(namespace):
        for pod in namespace.pods:
            if pod.labels.get("mageflow.io/uid") == owner:
                assert not pod.ran_between(since, until), f"{pod.name} ran while held, versions {since} to {until}"


def check_only_status_was_written(namespace: Namespace) -> None:
    """Promise 4: the spec is the user's; no annotation, no finalizer, no write to the resource but to its status."""
    writes = [write for write in namespace.writes() if write.resource.partition("/")[0] in OURS]
    others = [str(write) for write in writes if write.resource not in STATUSES]
    assert not others
    for write in writes:
        if write.is_success:
            metadata = write.answer.get("metadata", {})
            assert "finalizers" not in metadata, f"{write}: {metadata}"


def pods_by(namespace: Namespace, *labels: str) -> Mapping[tuple[str, ...], list[PodHistory]]:
    """Return the pods of our own that a namespace has had, by the values of labels."""
    groups: defaultdict[tuple[str, ...], list[PodHistory]] = defaultdict(list)
    for pod in namespace.pods:
        if "mageflow.io/uid" in pod.labels:
            groups[tuple(pod.labels[label] for label in labels)].append(pod)
    return groups


def _held_times(namespace: Namespace) -> Iterator[tuple[str, int, float]]:
    """Yield each time for which a resource said that it is held: its uid, the first version and the one after."""
    since: dict[str, int] = {}
    for write in namespace.writes():
        if write.resource in STATUSES and write.is_success:
            metadata = write.answer["metadata"]
            uid, version = metadata["uid"], int(metadata["resourceVersion"])
            if write.answer["status"].get("phase") in HELD:
                since.setdefault(uid, version)
            elif uid in since:
                yield uid, since.pop(uid), version
    for uid, version in since.items():
        yield uid, version, math.inf


def _is_killed_by(pod: PodHistory, write: Request) -> bool:
    """Tell whether a container of the pod ran when this write deleted it, or suspended its Job."""
    if write.resource == "pods":
        return pod.name == write.name and pod.had_started_when_deleted
    version = int(write.answer["metadata"]["resourceVersion"])
    return pod.labels.get("job-name") == write.name and pod.ran_between(version, version + 1)


def _creations(namespace: Namespace) -> Iterable[Request]:
    return (write for write in namespace.writes() if (write.verb, write.resource) == ("create", "jobs"))


def _uid_of(job: Mapping[str, Any]) -> str:
    uid: str = job["metadata"]["labels"]["mageflow.io/uid"]
    return uid


def _kills(write: Request) -> bool:
    """Tell whether a write deletes pods that run: a Job is suspended, or a pod deleted."""
    if (write.verb, write.resource) == ("patch", "jobs"):
        return bool(write.body.get("spec", {}).get("suspend"))
    return (write.verb, write.resource) == ("delete", "pods")
