"""Caches of every resource, its Jobs, their pods and its namespace, filled by the watches and our writes' answers.

    watch event ──┐    object_store.py    the newest of each object      ┐
                  ├─→  expectations.py    what our writes must yet show  ├─→  snapshot.py  →  ObservedResource
    own write ────┘    findings.py        what stands in no object       ┘

A watch can lag behind our own last write. So an object older than the known one is ignored, and after a write whose
answer doesn't bring the new state (an eviction, a deletion) nothing is decided until a watch shows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from mageflow.api import Kind
from mageflow.controller.attempts import Attempts
from mageflow.controller.cache_entry import CacheEntry
from mageflow.controller.clock import Clock
from mageflow.controller.findings import Findings
from mageflow.controller.namespace_cache import NamespaceCache
from mageflow.controller.object_store import ObjectStore, Tombstones
from mageflow.controller.observe import JobOfRun, PodOfRun, RunKey, is_controlled_by, observe_resource, run_key
from mageflow.controller.snapshot import build_snapshot
from mageflow.core.observed import Evidence, ObservedResource
from mageflow.kube.transport import Raw


class Caches:
    """The newest known state of everything, by the uid of the resource that it belongs to.

    `upsert_…` and `delete_…` take the object of a watch event, or of an answer to a request, and return the uid of the
    resource that is to be decided upon again: None if it is none of ours, or tells nothing that a decision reads.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self._clock = Clock() if clock is None else clock
        self._tombstones = Tombstones()
        self._resources: ObjectStore[ObservedResource] = ObjectStore(self._tombstones)
        self._entries: dict[str, CacheEntry] = {}
        self.namespaces = NamespaceCache()

    # ── from the watches, and from the answers to our own writes ──

    def upsert_resource(self, kind: Kind, raw: Raw) -> str | None:
        """Take in a Workflow, Chain or Swarm: each version that is newer is news."""
        uid: str = raw["metadata"]["uid"]
        resource = self._resources.upsert(raw, lambda known: observe_resource(kind, raw, known))
        if resource is None:
            return None
        self._entry(uid).release(resource)
        self.namespaces.add_resource(resource.namespace, uid)
        return uid

    def upsert_job(self, raw: Raw) -> str | None:
        """Take in a Job. It is ours if its labels and its controller say so."""
        key = run_key(raw)
        if key is None or not is_controlled_by(raw, key.owner_uid):
            return None
        entry = self._entry(key.owner_uid)
        is_news = entry.upsert_job(key, raw)
        if is_news:
            entry.release(self._resources.get(key.owner_uid))
        self._drop_if_empty(key.owner_uid)
        return key.owner_uid if is_news else None

    def upsert_pod(self, raw: Raw) -> str | None:
        """Take in a pod. It is ours if its labels say so: one whose Job was deleted has no owner, and can still run."""
        key = run_key(raw)
        if key is None:
            return None
        is_news = self._entry(key.owner_uid).upsert_pod(key, raw)
        self._drop_if_empty(key.owner_uid)
        return key.owner_uid if is_news else None

    def delete_resource(self, raw: Raw) -> str:
        """Take in that a resource is gone. Its Jobs and pods follow, each with its own event."""
        uid: str = raw["metadata"]["uid"]
        resource = self._resources.delete(uid)
        if resource is not None:
            self.namespaces.remove_resource(resource.namespace, uid)
        if uid in self._entries:
            self._entries[uid].release(None)
        self._drop_if_empty(uid)
        return uid

    def delete_job(self, raw: Raw) -> str | None:
        """Take in that a Job is gone."""
        return self._delete(raw, CacheEntry.delete_job)

    def delete_pod(self, raw: Raw) -> str | None:
        """Take in that a pod is gone. Its last state may be retained: retention.py."""
        return self._delete(raw, CacheEntry.delete_pod)

    def find_missing_jobs(self, namespace: str | None, present: frozenset[str], version: int) -> list[str]:
        """Take in that these were all Jobs in a namespace (None: in all), by uid, as of a resource version.

        A Job that is known and isn't among them is gone, and nobody tells how it ended: its resource is stale, so that
        its Jobs and pods are read before it is decided upon. Returns the uids of the resources that are stale.
        """
        return self._find_missing(namespace, lambda entry: entry.jobs.list_missing(present, version))

    def find_missing_pods(self, namespace: str | None, present: frozenset[str], version: int) -> list[str]:
        """Take in that these were all pods in a namespace, as `find_missing_jobs`."""
        return self._find_missing(namespace, lambda entry: entry.pods.list_missing(present, version))

    def replace_children(self, owner_uid: str, known: Iterable[str], jobs: list[Raw], pods: list[Raw]) -> None:
        """Take in all Jobs and pods of a resource as just read.

        `known` is what `children_of` returned before the request: what was known then, and isn't there, is gone. What
        became known during the request stays, as it may be newer than the answer.
        """
        if not jobs and not pods and owner_uid not in self._entries:
            return
        entry, resource = self._entry(owner_uid), self._resources.get(owner_uid)
        present = {raw["metadata"]["uid"] for raw in (*jobs, *pods)}
        entry.delete_missing(set(known) - present, resource)
        entry.release(resource)
        for raw in jobs:
            self.upsert_job(raw)
        for raw in pods:
            self.upsert_pod(raw)
        self._drop_if_empty(owner_uid)

    # ── from what we do ourselves ──

    def expect_deletion(self, owner_uid: str, uid: str) -> None:
        """Note that a write has deleted a Job or pod: decide nothing until a watch shows it, if none has already."""
        entry = self._entries.get(owner_uid)
        if entry is None or uid in self._tombstones:
            return
        _, known = entry.jobs.get(uid) or entry.pods.get(uid) or (None, None)
        if known is not None and not known.is_terminating:
            entry.expectations.expect_deletion(uid)

    def findings_of(self, owner_uid: str) -> Findings:
        """Return what was learned about a resource, to be added to; of one that is gone nothing is kept."""
        entry = self._entries.get(owner_uid)
        return Findings(self._clock) if entry is None else entry.findings

    def attempts_of(self, owner_uid: str) -> Attempts:
        """Return what is known of requests for a resource, to be added to; of one that is gone nothing is kept."""
        return self.findings_of(owner_uid).attempts

    def take_stale(self, owner_uid: str) -> bool:
        """Tell whether the Jobs and pods of a resource are to be read before a decision, as Findings.take_stale."""
        return self.findings_of(owner_uid).take_stale(self._resources.get(owner_uid))

    def note_evidence(self, owner_uid: str, task: str, run: int, seen: Evidence) -> None:
        """Note what the events of a run that is gone tell, as read just now."""
        resource = self._resources.get(owner_uid)
        if resource is not None:
            key = RunKey(resource.namespace, owner_uid, task, run)
            self.findings_of(owner_uid).note_events(key, resource, seen)

    def begin_term(self) -> None:
        """Note that another operator may have acted until now."""
        for entry in self._entries.values():
            entry.findings.forget_own()

    # ── what is known ──

    def resources(self) -> list[ObservedResource]:
        """Return all resources, without their Jobs and pods. Safe to call from another thread."""
        return self._resources.values()

    def uids(self) -> list[str]:
        """Return the uids of all resources that anything is known of."""
        return list(self._entries)

    def children_of(self, owner_uid: str) -> frozenset[str]:
        """Return the uids of all Jobs and pods that are known of a resource, or expected to be gone."""
        entry = self._entries.get(owner_uid)
        if entry is None:
            return frozenset()
        return frozenset((*entry.jobs.uids(), *entry.pods.uids(), *entry.expectations.uids()))

    def are_expectations_fulfilled(self, uid: str) -> bool:
        """Tell whether a resource may be decided upon: our own writes to it are seen, and its namespace is known."""
        entry, resource = self._entries.get(uid), self._resources.get(uid)
        has_namespace = resource is None or resource.namespace in self.namespaces
        return has_namespace and (entry is None or entry.expectations.are_fulfilled)

    def has_live_pods(self, uid: str) -> bool:
        """Tell whether a pod of a resource runs or may yet start, as far as is known."""
        entry = self._entries.get(uid)
        return entry is not None and any(pod.can_run for _, pod in entry.pods.values())

    def find(self, uid: str) -> ObservedResource | None:
        """Return a resource with its namespace's label, without its Jobs and pods; None if it is gone."""
        resource = self._resources.get(uid)
        label = None if resource is None else self.namespaces.lifecycle_of(resource.namespace)
        return resource if resource is None or label is None else replace(resource, namespace_lifecycle=label)

    def observe(self, uid: str) -> ObservedResource | None:
        """Return a snapshot of a resource with its Jobs and pods; None if it is gone."""
        resource = self.find(uid)
        if resource is None:
            return None
        entry = self._entries[uid]
        entry.findings.note_found_records(resource)
        moment = self._clock.moment()
        return build_snapshot(resource, entry.jobs.values(), entry.pods.values(), entry.findings, moment)

    # ── inside ──

    def _entry(self, uid: str) -> CacheEntry:
        entry = self._entries.get(uid)
        if entry is None:
            entry = self._entries[uid] = CacheEntry(self._tombstones, self._clock)
        return entry

    def _delete(
        self, raw: Raw, delete: Callable[[CacheEntry, RunKey, Raw, ObservedResource | None], None]
    ) -> str | None:
        key = run_key(raw)
        entry = None if key is None else self._entries.get(key.owner_uid)
        if key is None or entry is None:
            self._tombstones.add(raw["metadata"]["uid"])
            return None
        resource = self._resources.get(key.owner_uid)
        delete(entry, key, raw, resource)
        entry.release(resource)
        self._drop_if_empty(key.owner_uid)
        return key.owner_uid

    def _find_missing(
        self, namespace: str | None, list_missing: Callable[[CacheEntry], Sequence[JobOfRun | PodOfRun]]
    ) -> list[str]:
        stale = []
        for owner_uid, entry in list(self._entries.items()):
            missing = [
                child.uid for key, child in list_missing(entry) if namespace is None or key.namespace == namespace
            ]
            if not missing:
                continue
            if self._resources.get(owner_uid) is None:
                entry.delete_missing(missing, None)
                self._drop_if_empty(owner_uid)
            else:
                entry.findings.mark_stale()
                stale.append(owner_uid)
        return stale

    def _drop_if_empty(self, uid: str) -> None:
        entry = self._entries.get(uid)
        if entry is not None and entry.is_empty and self._resources.get(uid) is None:
            del self._entries[uid]
