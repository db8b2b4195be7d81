"""Objects in the cluster: an ObjectRef is a name, an ObjectHandle a name and a uid.

A request by a handle never reaches a namesake that was made after the object was deleted.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from urllib.parse import quote

from mageflow.api import Kind
from mageflow.client.connection import Connection
from mageflow.kube.errors import ConflictError, InvalidError, NotFoundError
from mageflow.kube.paths import collection_of
from mageflow.kube.transport import MERGE_PATCH, Raw
from mageflow.kube.watch import list_and_watch

Propagation: TypeAlias = Literal["Background", "Foreground", "Orphan"]
"""What becomes of Jobs and pods: https://kubernetes.io/docs/concepts/architecture/garbage-collection/."""

STRICT: Final = {"fieldValidation": "Strict"}


def path_segment(name: str) -> str:
    """Write a name as part of a path. Raises NotFoundError for a name that no path can hold, and so nothing has.

    https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#path-segment-names
    """
    if name in ("", ".", "..") or "/" in name or "%" in name:
        raise NotFoundError(404, "NotFound", f"nothing can have the name {name!r}")
    return quote(name, safe="")


def collection_path(kind: Kind, namespace: str | None) -> str:
    """Return the path of all objects of a kind in a namespace; None: in all."""
    return collection_of(kind).path(None if namespace is None else path_segment(namespace))


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """An object by its name, be it there or not."""

    connection: Connection
    kind: Kind
    namespace: str
    name: str

    @property
    def collection(self) -> str:
        """The path of all objects of this kind in the namespace."""
        return collection_path(self.kind, self.namespace)

    @property
    def path(self) -> str:
        """The path of the object."""
        return f"{self.collection}/{path_segment(self.name)}"

    def __str__(self) -> str:
        return f"{self.kind.name} {self.namespace}/{self.name}"

    async def create(self, manifest: Raw, *, dry_run: bool = False) -> Raw:
        """Create it and return it; with `dry_run`, have the API server check it only."""
        query = {**STRICT, "dryRun": "All"} if dry_run else STRICT
        return await self.connection.transport.request("POST", self.collection, manifest, query=query)

    async def read(self) -> Raw:
        """Return what has this name. Raises NotFoundError."""
        return await self.connection.transport.request("GET", self.path)


@dataclass(frozen=True, slots=True)
class ObjectHandle:
    """An object that was in the cluster, by its uid."""

    ref: ObjectRef
    uid: str

    async def read(self) -> Raw:
        """Return the object. Raises NotFoundError if it is gone."""
        resource = await self.ref.read()
        if resource["metadata"]["uid"] != self.uid:
            raise self._is_gone()
        return resource

    async def patch(self, spec: Mapping[str, object], *, version: str | None = None, dry_run: bool = False) -> Raw:
        """Merge fields into its spec; return the object as the write left it.

        `version`: the resourceVersion that it must still have. `dry_run`: have the API server check the write only.

        Raises ConflictError if `version` is no longer current, InvalidError, NotFoundError if the object is gone.
        """
        metadata = {"uid": self.uid} if version is None else {"uid": self.uid, "resourceVersion": version}
        body = {"metadata": metadata, "spec": dict(spec)}
        transport = self.ref.connection.transport
        query = {**STRICT, "dryRun": "All"} if dry_run else STRICT
        try:
            return await transport.request("PATCH", self.ref.path, body, query=query, content_type=MERGE_PATCH)
        except InvalidError as error:
            if any(cause.field == "metadata.uid" for cause in error.causes):  # "field is immutable"
                raise self._is_gone() from None
            raise

    async def delete(self, propagation: Propagation) -> None:
        """Delete it. Raises NotFoundError if it is gone."""
        options = {"propagationPolicy": propagation, "preconditions": {"uid": self.uid}}
        try:
            await self.ref.connection.transport.request("DELETE", self.ref.path, options)
        except ConflictError:
            raise self._is_gone() from None

    async def follow(self) -> AsyncGenerator[Raw]:
        """Yield it as it is, then after each change. Raises NotFoundError once it is gone."""
        connection = self.ref.connection
        query = {"fieldSelector": f"metadata.name={self.ref.name}"}
        changes = list_and_watch(connection.transport, self.ref.collection, query, connection.patience)
        async with aclosing(changes):
            async for objects in changes:
                resource = objects.get(self.uid)
                if resource is None:
                    raise self._is_gone()
                yield resource

    def _is_gone(self) -> NotFoundError:
        return NotFoundError(404, "NotFound", f"{self.ref} was deleted")
