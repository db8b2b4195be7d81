"""Cache of Namespaces: the lifecycle label of each, and the resources in it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from mageflow.api import LABEL_LIFECYCLE
from mageflow.kube.transport import Raw


@dataclass(frozen=True, slots=True)
class _Entry:
    uid: str
    resource_version: int
    lifecycle: str | None
    """The value of the label `mageflow.io/lifecycle`."""


class NamespaceCache:
    """The newest known state of each Namespace, by its name, which a later Namespace may bear as well."""

    def __init__(self) -> None:
        self._entries: dict[str, _Entry] = {}
        self._changed: set[str] = set()
        """The names of those whose label has changed since `take_changed` was called."""
        self._resources: defaultdict[str, set[str]] = defaultdict(set)
        """The uids of the resources in each."""

    def __contains__(self, name: object) -> bool:
        """Tell whether a Namespace is known."""
        return name in self._entries

    def lifecycle_of(self, name: str) -> str | None:
        """Return the label's value; None if there is no such label, or the Namespace isn't known."""
        entry = self._entries.get(name)
        return None if entry is None else entry.lifecycle

    def upsert(self, raw: Raw) -> None:
        """Take in a Namespace; one that isn't newer than what is known is ignored."""
        metadata = raw["metadata"]
        name, uid, version = metadata["name"], metadata["uid"], int(metadata["resourceVersion"])
        known = self._entries.get(name)
        if known is not None and version <= known.resource_version:
            return
        new = _Entry(uid, version, (metadata.get("labels") or {}).get(LABEL_LIFECYCLE))
        self._entries[name] = new
        if known is None or known.lifecycle != new.lifecycle:
            self._changed.add(name)

    def delete(self, raw: Raw) -> None:
        """Take in that a Namespace is gone; another of the same name may be known already, and stays."""
        known = self._entries.get(raw["metadata"]["name"])
        if known is not None and known.uid == raw["metadata"]["uid"]:
            self.mark_unknown(raw["metadata"]["name"])

    def mark_unknown(self, name: str) -> None:
        """Forget a Namespace that is gone, or may not be read: nothing is decided about what is in it."""
        self._entries.pop(name, None)
        self._changed.discard(name)

    def take_changed(self, name: str) -> list[str]:
        """Return the uids of the resources in a Namespace if its label has changed since this was called last."""
        if name not in self._changed:
            return []
        self._changed.discard(name)
        return list(self._resources.get(name, ()))

    def add_resource(self, name: str, uid: str) -> None:
        """Note that a resource is in a Namespace."""
        self._resources[name].add(uid)

    def remove_resource(self, name: str, uid: str) -> None:
        """Note that a resource is gone."""
        self._resources[name].discard(uid)
        if not self._resources[name]:
            del self._resources[name]
