"""What is known of each Namespace: what its label asks of all that is in it, and what that is."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from mageflow.api import LABEL_LIFECYCLE
from mageflow.kube.transport import Raw


@dataclass(frozen=True, slots=True)
class _Known:
    uid: str
    resource_version: int
    lifecycle: str | None
    """Its label `mageflow.io/lifecycle`."""


class KnownNamespaces:
    """The newest known state of each Namespace, by its name."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._untold: set[str] = set()
        """The names of those that ask something else than was told of them."""
        self._resources: defaultdict[str, set[str]] = defaultdict(set)
        """The uids of the resources in each."""

    def __contains__(self, name: object) -> bool:
        """Tell whether one is known."""
        return name in self._known

    def lifecycle_of(self, name: str) -> str | None:
        """Return what one's label says; None if it has none, or isn't known."""
        known = self._known.get(name)
        return None if known is None else known.lifecycle

    def see(self, raw: Raw) -> None:
        """Take in a Namespace."""
        metadata = raw["metadata"]
        name, uid, version = metadata["name"], metadata["uid"], int(metadata["resourceVersion"])
        known = self._known.get(name)
        if known is not None and version <= known.resource_version:
            return
        new = _Known(uid, version, (metadata.get("labels") or {}).get(LABEL_LIFECYCLE))
        self._known[name] = new
        if known is None or known.lifecycle != new.lifecycle:
            self._untold.add(name)

    def forget(self, raw: Raw) -> None:
        """Take in that a Namespace is gone, and with it all that was in it; its namesake may be known already."""
        known = self._known.get(raw["metadata"]["name"])
        if known is not None and known.uid == raw["metadata"]["uid"]:
            self.lose(raw["metadata"]["name"])

    def lose(self, name: str) -> None:
        """Note that nothing is known of a Namespace any more: it isn't there, or may not be read."""
        self._known.pop(name, None)
        self._untold.discard(name)

    def take_news_of(self, name: str) -> list[str]:
        """Return the uids of the resources in one, if it asks something else since this was asked last."""
        if name not in self._untold:
            return []
        self._untold.discard(name)
        return list(self._resources.get(name, ()))

    def add_resource(self, name: str, uid: str) -> None:
        """Note that a resource is in one."""
        self._resources[name].add(uid)

    def remove_resource(self, name: str, uid: str) -> None:
        """Note that a resource is gone."""
        self._resources[name].discard(uid)
        if not self._resources[name]:
            del self._resources[name]
