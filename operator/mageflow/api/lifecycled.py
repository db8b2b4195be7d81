"""What the specs of all kinds have: the one control."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mageflow.api.base import SpecModel
from mageflow.api.enums import Lifecycle
from mageflow.api.rules import CANCELED_IS_FINAL, validations


class Lifecycled(SpecModel):
    """A spec with a lifecycle."""

    lifecycle: Annotated[Lifecycle, Field(json_schema_extra=validations(CANCELED_IS_FINAL))] = Lifecycle.ACTIVE
    """What is wanted of it; the one control. What is seen of it is `status.phase`."""
