"""`Status`: what a resource says of itself, and whether of its present spec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from mageflow.api import (
    ENDED_PHASES,
    Condition,
    ConditionType,
    Lifecycle,
    LifecycleSource,
    read_namespace_label,
)
from mageflow.api import Status as StoredStatus
from mageflow.core.asked import Asked


class Status(StoredStatus):
    """What the operator has seen and done, at one moment.

    A status may be older than the spec that it stands beside: `is_current` tells. What the properties below say is
    never taken from a status, or a condition, that speaks of an older spec.
    """

    generation: int = Field(default=0, exclude=True)
    """The `metadata.generation` of the spec beside it; 0 before `start()`."""

    @property
    def is_current(self) -> bool:
        """It speaks of the present spec, or of an end, which no spec changes any more."""
        return self.has_ended or self.observes(max(self.generation, 1))

    @property
    def has_ended(self) -> bool:
        """It has succeeded, failed or been canceled: it never changes again."""
        return self.phase in ENDED_PHASES

    @property
    def is_in_force(self) -> bool:
        """What the spec asks is so: it runs, is held or has ended as asked. Held also means that nothing runs."""
        ready = self.condition(ConditionType.READY)
        return self.has_ended or (self.is_current and ready is not None and ready.status == "True")

    @property
    def is_held_by_namespace(self) -> bool:
        """The label of its namespace holds it, whatever its own spec says, as far as the operator knows."""
        return read_namespace_label(self.observed_namespace_lifecycle) is not Lifecycle.ACTIVE and not self.has_ended

    @property
    def is_held_by_failure(self) -> bool:
        """Something in it has to be mended before it goes on, whatever its own spec says."""
        return self.lifecycle_source is LifecycleSource.FAILURE and not self.has_ended

    @property
    def is_consistent(self) -> bool:
        """No running task was ever cut short, as far as is known."""
        consistent = self.condition(ConditionType.CONSISTENT)
        return consistent is None or consistent.status != "False"

    @property
    def reason(self) -> str:
        """Why it is as it is, in one word for programs: the reason of the condition Ready, or empty."""
        ready = self.condition(ConditionType.READY)
        return "" if ready is None else ready.reason

    @property
    def message(self) -> str:
        """Why it is as it is, in a sentence for people: the message of the condition Ready, or empty."""
        ready = self.condition(ConditionType.READY)
        return "" if ready is None else ready.message

    def observes(self, generation: int) -> bool:
        """Tell whether it speaks of the spec of this generation, or of a later one."""
        return Asked.by_spec(generation).is_answered_by(self)

    def condition(self, type_: ConditionType | str) -> Condition | None:
        """Return the condition of a type; None if there is none, or one that is older than the status around it."""
        found = next((condition for condition in self.conditions if condition.type == type_), None)
        return found if found is not None and self._speaks_of_now(found) else None

    def _speaks_of_now(self, condition: Condition) -> bool:
        return condition.observed_generation >= (self.observed_generation or 0)


def read_status(resource: Mapping[str, Any]) -> Status:
    """Return the status of a resource as the API server sent it; its `problem` tells what can't be read."""
    generation = resource["metadata"].get("generation", 0)
    return Status.read({**(resource.get("status") or {}), "generation": generation})
