"""The base of all models of the API: how they read and write JSON, and what types their fields are of."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic.alias_generators import to_camel

INT32_MAX = 2**31 - 1
"""The largest integer that Kubernetes takes for counts and for a pod's `activeDeadlineSeconds`."""


def _to_seconds(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(microsecond=0)


def _to_rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[
    AwareDatetime,
    AfterValidator(_to_seconds),
    PlainSerializer(_to_rfc3339, return_type=str, when_used="json"),
]
"""A point in time as `metav1.Time` has it: UTC, whole seconds, RFC 3339 in JSON."""

Count = Annotated[int, Field(ge=0, le=INT32_MAX)]
"""A number of things, never negative."""

AnyJson = Annotated[Any, WithJsonSchema({"x-kubernetes-preserve-unknown-fields": True, "nullable": True})]
"""Any JSON value, `null` included."""


class Model(BaseModel):
    """Frozen; snake_case here, camelCase in JSON."""

    model_config = ConfigDict(
        frozen=True,
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        defer_build=True,
    )


class SpecModel(Model):
    """What a user writes: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid")


class StatusModel(Model):
    """What the operator writes: fields of a newer operator are kept, and written back as they are."""

    model_config = ConfigDict(extra="allow")


# ── lists in the eyes of the API server ──

ATOMIC_LIST: Final[dict[str, Any]] = {"x-kubernetes-list-type": "atomic"}
"""Replaced as a whole, and no line in `metadata.managedFields` for each field of each item."""


def list_map(key: str) -> dict[str, Any]:
    """Return the part of a schema that names the key of a list's items.

    The API server merges such a list by its key, and refuses an item that comes twice.
    """
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]}
