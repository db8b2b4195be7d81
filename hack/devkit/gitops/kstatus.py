"""The status of a custom resource by the rules of kstatus, for Flux without expressions, kapp and others.

pkg/kstatus/status/status.go and generic.go of kubernetes-sigs/cli-utils, in this order: being deleted is Terminating;
an `observedGeneration` that isn't the present one is InProgress; then the first of the conditions Reconciling
(InProgress) and Stalled (Failed) that is True; then the condition Ready; without it, Current.
https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
"""

from __future__ import annotations

from devkit.kubectl import Raw, condition


def compute(document: Raw) -> str:
    """Return Current, InProgress, Failed or Terminating."""
    metadata, status = document["metadata"], document.get("status", {})
    if metadata.get("deletionTimestamp"):
        return "Terminating"
    if status.get("observedGeneration", metadata["generation"]) != metadata["generation"]:
        return "InProgress"
    decisive = {"Reconciling": "InProgress", "Stalled": "Failed"}
    for found in status.get("conditions", ()):
        if found["type"] in decisive and found["status"] == "True":
            return decisive[found["type"]]
    return "Current" if condition(status, "Ready").get("status", "True") == "True" else "InProgress"
