"""The CustomResourceDefinition of a kind."""

from __future__ import annotations

from typing import Any

from generate.schema import build_schema
from mageflow.api import GROUP, VERSION, Kind, Status
from mageflow.api.kinds import CATEGORY
from mageflow.api.rules import validations

UNSEEN_STATUS = {"observedGeneration": 0}
"""What a resource has before the operator has seen it: by it kstatus tells that something is yet to come.

https://github.com/kubernetes-sigs/cli-utils/blob/master/pkg/kstatus/README.md
"""

SELECTABLE_FIELDS = (".spec.lifecycle", ".status.phase")
"""For `kubectl get --field-selector`."""


def build_crd(kind: Kind) -> dict[str, Any]:
    """Return the manifest."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.crd_name},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short_name],
                "categories": [CATEGORY],
            },
            "versions": [_build_version(kind)],
        },
    }


def _build_version(kind: Kind) -> dict[str, Any]:
    return {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "selectableFields": [{"jsonPath": path} for path in SELECTABLE_FIELDS],
        "additionalPrinterColumns": [
            _column("Phase", ".status.phase"),
            _column("Done", ".status.progress"),
            _column("Running", ".status.running", type="integer"),
            _column("Reason", ".status.conditions[?(@.type=='Ready')].reason", priority=1),
            _column("Age", ".metadata.creationTimestamp", type="date"),
        ],
        "schema": {
            "openAPIV3Schema": {
                "description": kind.description,
                "type": "object",
                "required": ["spec"],
                "properties": {
                    "apiVersion": {"description": f"Always {GROUP}/{VERSION}.", "type": "string"},
                    "kind": {"description": f"Always {kind.name}.", "type": "string"},
                    "metadata": {"type": "object"},
                    "spec": build_schema(kind.spec),
                    "status": {**build_schema(Status), "default": UNSEEN_STATUS},
                },
                **(validations(*kind.rules) if kind.rules else {}),
            }
        },
    }


def _column(name: str, path: str, *, type: str = "string", **more: int) -> dict[str, Any]:  # noqa: A002
    return {"name": name, "type": type, "jsonPath": path, **more}
