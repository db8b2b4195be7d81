"""A kubectl that checks, of each resource that it reads, what Argo CD, Flux and kstatus make of its state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from devkit.cluster import ROOT
from devkit.gitops import kstatus
from devkit.gitops.argocd import ArgoCD
from devkit.gitops.flux import Flux
from devkit.gitops.states import Row, find_row
from devkit.kubectl import Kubectl, Raw
from mageflow.api import API_VERSION, Kind

ARGOCD: Final = ArgoCD(ROOT / "integrations" / "argocd" / "argocd-cm.yaml")
FLUX: Final = Flux(ROOT / "integrations" / "flux" / "tasks.yaml")


def assess(document: Raw) -> Row:
    """Return what each of them makes of it, in the form of a row of the table."""
    state = find_row(document).state
    return Row(state, ARGOCD.assess(document).status, kstatus.compute(document), FLUX.assess(document))


class WatchedKubectl(Kubectl):
    """It fails the test if one of them isn't as the table has it; so each state that any test passes is checked."""

    def __init__(self, program: Path | str, kubeconfig: Path, namespace: str) -> None:
        super().__init__(program, kubeconfig, namespace)
        self.seen: dict[tuple[str, str], Raw] = {}
        """By kind and state: the first resource that was seen so."""

    def find(self, kind: str, name: str) -> Raw | None:
        """Return one object, None if there is no such object."""
        document = super().find(kind, name)
        if document is not None and document["apiVersion"] == API_VERSION:
            self.see(document)
        return document

    def see(self, document: Raw) -> None:
        """Check a resource."""
        row = find_row(document)
        assert assess(document) == row, document
        self.seen.setdefault((document["kind"], row.state), document)

    def see_changes(self, kind: Kind, since: str) -> None:
        """Check each version that there was of the resources of a kind, since a resourceVersion."""
        path = f"/apis/{API_VERSION}/namespaces/{self.namespace}/{kind.plural}"
        text = self.run("get", "--raw", f"{path}?watch=true&resourceVersion={since}&timeoutSeconds=1")
        for line in text.splitlines():
            self.see(json.loads(line)["object"])
