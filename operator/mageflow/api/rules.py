"""CEL rules: what `kubectl apply` refuses beyond types and bounds.

A rule that the API server accepts with the CRD can still exceed the cost budget on a large object, and then blocks
status writes as well. So each is tested at the largest object (docs/adr/0005-crd-rules.md).
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mageflow.api.enums import Lifecycle, Phase


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of `x-kubernetes-validations`."""

    rule: str
    """CEL; `self` is where the rule stands, `oldSelf` what was there before the write."""
    message: str
    """What would be right, for people."""
    message_expression: str | None = None
    """CEL for a better message; `message` stands in if it fails."""
    field_path: str | None = None
    """The field at fault, as a path from where the rule stands."""

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in a CRD."""
        entry = {
            "rule": self.rule,
            "message": self.message,
            "messageExpression": self.message_expression,
            "fieldPath": self.field_path,
        }
        return {key: value for key, value in entry.items() if value is not None}


def validations(*rules: Rule) -> dict[str, Any]:
    """Return rules as a part of a JSON schema."""
    return {"x-kubernetes-validations": [rule.to_json() for rule in rules]}


CANCELED_IS_FINAL = Rule(
    rule=f"oldSelf != '{Lifecycle.CANCELED}' || self == '{Lifecycle.CANCELED}'",
    message="canceled is final: create another resource to run it again",
)
"""Stands at `spec.lifecycle`."""

_HELD = (Phase.SUSPENDED, Phase.INTERRUPTED)
_ENDED = (Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELED)
_EDITABLE: Mapping[Lifecycle, Sequence[Phase]] = {
    Lifecycle.INTERRUPTED: (Phase.PENDING, Phase.ACTIVE, Phase.SUSPENDING, Phase.INTERRUPTING, *_HELD),
    Lifecycle.SUSPENDED: (Phase.PENDING, Phase.SUSPENDING, Phase.INTERRUPTING, *_HELD),
}
"""The phases in which a write with this lifecycle may edit the task, since it holds the task; else those of `_HELD`."""

_PHASE = f"oldSelf.?status.?phase.orValue('{Phase.PENDING}')"
_IS_STATUS_WRITE = "has(self.status) != has(oldSelf.status) || has(self.status) && self.status != oldSelf.status"
"""The API server ignores a status in a write of the spec, and a spec in a write of the status. So a rule with
this alternative can't block a status write, nor make it dearer by comparing specs."""

_WHEN_EDITABLE = (
    "may change only while status.phase is Suspended or Interrupted, or in the write that sets lifecycle to suspended"
    " (to interrupted if a container has started)"
)


def hold_to_edit(fields: Mapping[str, bool], hidden: str, free: Sequence[str]) -> Rule:
    """Return a rule for the root of a resource: `fields` and `hidden` may be edited only while it is held.

    `fields` maps each to whether it is always there. CEL can't see `hidden`, a field without a type; all that it can
    compare is the whole spec. So an edit of `hidden` goes unseen if one of `free`, the fields that may change at any
    time, changes in the same write.
    """
    same = {field: _is_same(field, is_there=is_there) for field, is_there in fields.items()}
    are_free_same = " && ".join(_is_same(field, is_there=True) for field in free)
    edited = f"'{hidden}'"
    for field, is_same in reversed(same.items()):
        edited = f"!({is_same}) ? '{field}' : {edited}"
    return Rule(
        rule=(
            f"{_PHASE} in ({_editable_phases()}) || {_IS_STATUS_WRITE}"
            f" || ({are_free_same} ? self.spec == oldSelf.spec : {' && '.join(same.values())})"
        ),
        message=f"hold it first: {', '.join((*fields, hidden))} {_WHEN_EDITABLE}",
        message_expression=(
            f"{_PHASE} in {_list(_ENDED)}"
            f" ? 'it has ended: ' + ({edited}) + ' may not change any more; create another resource'"
            f" : 'hold it first: ' + ({edited}) + ' {_WHEN_EDITABLE}'"
        ),
        field_path=".spec",
    )


def _list(words: Sequence[str]) -> str:
    return "[" + ", ".join(f"'{word}'" for word in words) + "]"


def _is_same(field: str, *, is_there: bool) -> str:
    dot = "." if is_there else ".?"
    return f"self.spec{dot}{field} == oldSelf.spec{dot}{field}"


def _editable_phases() -> str:
    phases = _list(_HELD)
    for lifecycle, editable in _EDITABLE.items():
        phases = f"self.spec.lifecycle == '{lifecycle}' ? {_list(editable)} : {phases}"
    return phases
