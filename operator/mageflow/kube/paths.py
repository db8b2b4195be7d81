"""Paths of objects and collections at the API server.

https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-uris
"""

from __future__ import annotations

from typing import Final, NamedTuple

from mageflow.api import GROUP, VERSION, Kind


class Collection(NamedTuple):
    """All objects of one kind."""

    group: str
    """The API group; empty for the core's."""
    version: str
    plural: str

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        """Return the path of one object by its `name`, without one that of the collection.

        `namespace`: None for what is in no namespace, and for the collection of all namespaces together.
        """
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        where = "" if namespace is None else f"/namespaces/{namespace}"
        return f"{root}{where}/{self.plural}" if name is None else f"{root}{where}/{self.plural}/{name}"


JOBS: Final = Collection("batch", "v1", "jobs")
PODS: Final = Collection("", "v1", "pods")
EVENTS: Final = Collection("", "v1", "events")
NAMESPACES: Final = Collection("", "v1", "namespaces")
LEASES: Final = Collection("coordination.k8s.io", "v1", "leases")


def collection_of(kind: Kind) -> Collection:
    """Return the collection of all Workflows, Chains or Swarms."""
    return Collection(GROUP, VERSION, kind.plural)
