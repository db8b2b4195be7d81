"""CEL rules: what `kubectl apply` refuses beyond types and bounds.

A rule that the API server accepts with the CRD can still exceed the cost budget on a large object, and then blocks
status writes as well. So each is tested at the largest object (docs/adr/0005-crd-rules.md).
https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation-rules
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mageflow.api.enums import ENDED_PHASES, HELD_PHASES, Lifecycle, Phase


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
    reason: str | None = None
    """What is wrong with the field, if not its value: `FieldValueRequired`."""

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in a CRD."""
        entry = {
            "rule": self.rule,
            "message": self.message,
            "messageExpression": self.message_expression,
            "fieldPath": self.field_path,
            "reason": self.reason,
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

_HELD = tuple(phase for phase in Phase if phase in HELD_PHASES)
_ENDED = tuple(phase for phase in Phase if phase in ENDED_PHASES)


@dataclass(frozen=True, slots=True)
class Holding:
    """When a write of the spec may edit tasks: while held, or in the write that holds."""

    phases: Mapping[Lifecycle, Sequence[Phase]]
    """The phases in which a write with this lifecycle holds what it edits; with any other, those of `_HELD`."""
    words: str
    """The same for people."""

    def to_cel(self) -> str:
        """Return the phases that allow an edit, as a CEL list that depends on the lifecycle."""
        phases = _list(_HELD)
        for lifecycle, editable in self.phases.items():
            phases = f"self.spec.lifecycle == '{lifecycle}' ? {_list((*editable, *_HELD))} : {phases}"
        return phases


_ON_THE_WAY = (Phase.PENDING, Phase.SUSPENDING, Phase.INTERRUPTING)

SINGLE = Holding(
    {Lifecycle.INTERRUPTED: (*_ON_THE_WAY, Phase.ACTIVE), Lifecycle.SUSPENDED: _ON_THE_WAY},
    "in the write that sets lifecycle to suspended (to interrupted if a container has started)",
)
"""A Workflow: a suspend lets the task run on once its container has started, so it doesn't hold it."""

MANY = Holding(
    {Lifecycle.INTERRUPTED: (*_ON_THE_WAY, Phase.ACTIVE), Lifecycle.SUSPENDED: (*_ON_THE_WAY, Phase.ACTIVE)},
    "in the write that sets lifecycle to suspended or interrupted",
)
"""A Chain or a Swarm: a suspend holds the tasks that have not started. Which have, no rule can tell: the operator
reports `TaskChanged` for one that runs or has succeeded."""

_PHASE = f"oldSelf.?status.?phase.orValue('{Phase.PENDING}')"
_IS_STATUS_WRITE = "has(self.status) != has(oldSelf.status) || has(self.status) && self.status != oldSelf.status"
"""The API server ignores a status in a write of the spec, and a spec in a write of the status. So a rule with
this alternative can't block a status write, nor make it dearer by comparing specs."""


def hold_to_edit(fields: Mapping[str, bool], hidden: str, free: Sequence[str]) -> Rule:
    """Return the root rule of a kind that is one task: `fields` and `hidden` may be edited only while it is held.

    `fields` maps each to whether it is always there. CEL can't see `hidden`, a field without a type; all that it can
    compare is the whole spec. So an edit of `hidden` goes unseen if one of `free`, the fields that may change at any
    time, changes in the same write.
    """
    same = {field: _is_same(field, is_there=is_there) for field, is_there in fields.items()}
    are_free_same = " && ".join(_is_same(field, is_there=True) for field in free)
    return _refuse_edits(
        f"({are_free_same} ? self.spec == oldSelf.spec : {' && '.join(same.values())})", same, hidden, SINGLE
    )


def hold_to_edit_tasks(*defaults: str) -> Rule:
    """Return the root rule of a kind with `tasks`: they, and their `defaults`, may be edited only while it is held.

    `==` on a list with keys takes no notice of the order of its items; mapped, they make a list without. What is
    `hidden` in a kind that is one task is seen here: items are compared whole.
    """
    same = {field: _is_same_object(field) for field in defaults}
    same["tasks"] = "self.spec.tasks.map(task, task) == oldSelf.spec.tasks.map(task, task)"
    *others, last = same
    return _refuse_edits(" && ".join(same.values()), {field: same[field] for field in others}, last, MANY)


def _refuse_edits(is_unedited: str, same: Mapping[str, str], last: str, holding: Holding) -> Rule:
    """Return the rule: `is_unedited`, held, or no write of the spec. What is edited is what isn't `same`, or `last`."""
    edited = f"'{last}'"
    for field, is_same in reversed(list(same.items())):
        edited = f"!({is_same}) ? '{field}' : {edited}"
    when = f"may change only while status.phase is Suspended or Interrupted, or {holding.words}"
    return Rule(
        rule=f"{_PHASE} in ({holding.to_cel()}) || {_IS_STATUS_WRITE} || {is_unedited}",
        message=f"hold it first: {', '.join((*same, last))} {when}",
        message_expression=(
            f"{_PHASE} in {_list(_ENDED)}"
            f" ? 'it has ended: ' + ({edited}) + ' may not change any more; create another resource'"
            f" : 'hold it first: ' + ({edited}) + ' {when}'"
        ),
        field_path=".spec" if same else f".spec.{last}",
    )


def _list(words: Sequence[str]) -> str:
    return "[" + ", ".join(f"'{word}'" for word in words) + "]"


def _is_same(field: str, *, is_there: bool) -> str:
    dot = "." if is_there else ".?"
    return f"self.spec{dot}{field} == oldSelf.spec{dot}{field}"


def _is_same_object(field: str) -> str:
    """Compare an object that may be left out; as an optional its comparison would be over the estimated budget."""
    new, old = f"self.spec.{field}", f"oldSelf.spec.{field}"
    return f"has({new}) == has({old}) && (!has({new}) || {new} == {old})"


EACH_TASK_HAS_A_TEMPLATE = Rule(
    rule="has(self.template) || self.tasks.all(task, has(task.template))",
    message="a task has no template of its own, and spec.template is missing",
    field_path=".template",
    reason="FieldValueRequired",
)
"""Stands at the `spec` of a Swarm."""


def none_of(words: Sequence[str]) -> Rule:
    """Return the rule of a string that may be none of `words`."""
    return Rule(rule=f"!(self in {_list(words)})", message=f"may be none of {', '.join(words)}: MageFlow uses these")
