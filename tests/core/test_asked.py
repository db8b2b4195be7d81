"""What a status answers: one comparison for the operator, which knows a namespace's label, and for who knows a spec."""

from __future__ import annotations

import pytest

from mageflow.api import Status
from mageflow.core.asked import Asked

SUSPENDED = Status(observed_generation=2, observed_namespace_lifecycle="suspended")

ANSWERED = {
    "nothing was seen yet": (Asked(1, None), Status(), False),
    "the spec and no label": (Asked(2, None), Status(observed_generation=2), True),
    "an older spec": (Asked(2, None), Status(observed_generation=1), False),
    "a later spec": (Asked(2, None), Status(observed_generation=3), True),
    "the label, too": (
        Asked(2, "suspended"),
        SUSPENDED,
        True,
    ),
    "another label": (
        Asked(2, "interrupted"),
        SUSPENDED,
        False,
    ),
    "a label that is no more": (
        Asked(2, None),
        SUSPENDED,
        False,
    ),
    "whatever label": (Asked.by_spec(2), SUSPENDED, True),
    "an older spec, whatever label": (Asked.by_spec(2), Status(observed_generation=1), False),
}


@pytest.mark.parametrize(("asked", "status", "is_answered"), ANSWERED.values(), ids=ANSWERED)
def test_status_answers(asked: Asked, status: Status, is_answered: bool) -> None:
    assert asked.is_answered_by(status) is is_answered


def test_status_answers_what_it_says() -> None:
    asked = Asked(4, "suspended")
    assert Asked.answered_by(Status(**asked.as_status())) == asked
