"""Statuses as the operator would write them, of resources that no cluster has."""

from __future__ import annotations

from typing import Any

from mageflow.controller.caches import Caches
from mageflow.controller.clock import Clock
from mageflow.core.decide import decide
from mageflow.core.decision import CreateJob, Decision


def decide_now(caches: Caches, uid: str) -> Decision:
    """Return what is decided about a resource that the caches know."""
    observed = caches.observe(uid)
    assert observed is not None
    return decide(observed, Clock().now().replace(microsecond=0))


def settle(caches: Caches, uid: str) -> dict[str, Any]:
    """Have the first Jobs of a resource made, as the caches know it; return the status that is written then."""
    for number, action in enumerate(decide_now(caches, uid).before):
        assert isinstance(action, CreateJob)
        metadata = {**action.manifest["metadata"], "uid": f"job-{number}", "resourceVersion": "1"}
        caches.upsert_job({**action.manifest, "metadata": metadata, "status": {"active": 1}})
    status = decide_now(caches, uid).status
    assert status is not None
    return status.to_json()
