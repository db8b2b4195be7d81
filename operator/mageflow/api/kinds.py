"""The kinds: all that their CRDs say beyond the fields. To add one, add it to `KINDS`."""

from __future__ import annotations

from dataclasses import dataclass

from mageflow.api.base import SpecModel
from mageflow.api.rules import Rule, hold_to_edit, hold_to_edit_tasks
from mageflow.api.specs import ChainSpec, SwarmSpec, WorkflowSpec

GROUP = "mageflow.io"
VERSION = "v1"
API_VERSION = f"{GROUP}/{VERSION}"
CATEGORY = "mageflow"
"""`kubectl get mageflow` lists all kinds."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One custom resource."""

    name: str
    """As in `kind:`."""
    plural: str
    short_name: str
    description: str
    """What `kubectl explain` says of it."""
    spec: type[SpecModel]
    rules: tuple[Rule, ...] = ()
    """CEL rules at the root: those that look at spec and status together."""

    @property
    def singular(self) -> str:
        """As `kubectl` takes it."""
        return self.name.lower()

    @property
    def crd_name(self) -> str:
        """Name of its CustomResourceDefinition."""
        return f"{self.plural}.{GROUP}"


WORKFLOW = Kind(
    name="Workflow",
    plural="workflows",
    short_name="mwf",
    description="A Workflow is one task, run as one Job at a time, that can be suspended, interrupted and resumed.",
    spec=WorkflowSpec,
    rules=(
        hold_to_edit({"template": True, "retries": True, "timeoutSeconds": False}, hidden="input", free=("lifecycle",)),
    ),
)

CHAIN = Kind(
    name="Chain",
    plural="chains",
    short_name="mch",
    description="A Chain is tasks in sequence, each given the output of the one before.",
    spec=ChainSpec,
    rules=(hold_to_edit_tasks(),),
)

SWARM = Kind(
    name="Swarm",
    plural="swarms",
    short_name="msw",
    description="A Swarm is tasks side by side, at most maxConcurrency at once.",
    spec=SwarmSpec,
    rules=(hold_to_edit_tasks("template"),),
)

KINDS = (WORKFLOW, CHAIN, SWARM)
