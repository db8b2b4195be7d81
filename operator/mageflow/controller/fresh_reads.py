"""Reads past the watches, which may be late or have missed a deletion: of a resource, and of its Jobs and pods."""

from __future__ import annotations

from http import HTTPStatus

from mageflow.controller.caches import Caches
from mageflow.core.observed import ObservedResource
from mageflow.kube.errors import ApiError
from mageflow.kube.paths import JOBS, PODS, collection_of
from mageflow.kube.transport import Raw, Requests


def path_of(observed: ObservedResource) -> str:
    """Return the path of a resource at the API server."""
    return collection_of(observed.kind).path(observed.namespace, observed.name)


async def read_resource(client: Requests, caches: Caches, observed: ObservedResource) -> None:
    """Read a resource past the watch, which may have missed that it was deleted, or be slow."""
    metadata = {"uid": observed.uid, "resourceVersion": observed.resource_version}
    try:
        raw = await client.request("GET", path_of(observed))
    except ApiError as error:
        if error.status != HTTPStatus.NOT_FOUND:
            raise
        caches.delete_resource({"metadata": metadata})
        return
    if raw["metadata"]["uid"] == observed.uid:
        caches.upsert_resource(observed.kind, raw)
    else:
        caches.delete_resource({"metadata": metadata})


async def read_children(client: Requests, namespace: str, selector: str) -> tuple[list[Raw], list[Raw]]:
    """Read all Jobs and pods of a resource, past the watches."""
    answers = [
        await client.request("GET", collection.path(namespace), query={"labelSelector": selector})
        for collection in (JOBS, PODS)
    ]
    jobs, pods = (list(answer["items"]) for answer in answers)
    return jobs, pods
