"""What is asked of a resource from outside of it, and which of that a status answers.

A change of the spec moves `metadata.generation`; a change of its namespace's label doesn't. A status that was made
knowing both says so, so that whoever waits can tell an answer from an older one (DESIGN section 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mageflow.api import Status

if TYPE_CHECKING:  # the command line loads this file, and nothing else of what is observed
    from mageflow.core.observed import ObservedResource


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked: compared as a whole, and nowhere by its parts."""

    generation: int | None
    """The `metadata.generation` of the spec."""
    namespace_label: str | None
    """The label `mageflow.io/lifecycle` of the namespace; None if it has none."""
    is_label_known: bool = True
    """False: whoever asks knows the spec alone, so whatever label a status was made knowing will do."""

    @classmethod
    def of(cls, observed: ObservedResource) -> Asked:
        """Return what is asked of a resource now."""
        return cls(observed.generation, observed.namespace_lifecycle)

    @classmethod
    def by_spec(cls, generation: int) -> Asked:
        """Return what is asked by a spec alone, whatever its namespace asks."""
        return cls(generation, None, is_label_known=False)

    @classmethod
    def answered_by(cls, status: Status) -> Asked:
        """Return what a status was made knowing."""
        return cls(status.observed_generation, status.observed_namespace_lifecycle)

    def is_answered_by(self, status: Status) -> bool:
        """Tell whether a status was made knowing this; knowing a later spec counts, as its generation tells."""
        knows_spec = (status.observed_generation or 0) >= (self.generation or 0)
        return knows_spec and (not self.is_label_known or status.observed_namespace_lifecycle == self.namespace_label)

    def as_status(self) -> dict[str, Any]:
        """Return the fields of a status that say it."""
        return {
            "observed_generation": self.generation,
            "observed_namespace_lifecycle": self.namespace_label,
        }
