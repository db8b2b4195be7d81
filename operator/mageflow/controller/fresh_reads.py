"""Reads past the watches, which may be late or have missed a deletion: of a resource, and of its Jobs and pods."""

from __future__ import annotations

from http import HTTPStatus

from mageflow.api import GROUP, VERSION
from mageflow.controller.caches import Caches
from mageflow.core.observed import ObservedResource
from mageflow.kube.errors import ApiError
from mageflow.kube.transport import Raw, Requests


def path_of(observed: ObservedResource) -> str:
    """Return the path of a resource at the API server."""
    return f"/apis/{GROUP}/{VERSION}/namespaces/{observed.namespace}/{observed.kind.plural}/{observed.name}"


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
        await client.request("GET", f"{prefix}/namespaces/{namespace}/{plural}", query={"labelSelector": selector})
        for prefix, plural in (("/apis/batch/v1", "jobs"), ("/api/v1", "pods"))
    ]
    jobs, pods = (list(answer["items"]) for answer in answers)
    return jobs, pods
