"""Events on resources: in their order, few at once, and waited for by nobody."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from mageflow.api import WORKFLOW
from mageflow.controller.background import Background
from mageflow.controller.event_recorder import MAX_EVENTS, EventRecorder
from mageflow.controller.observe import observe_resource
from mageflow.core.decision import Event
from mageflow.core.observed import ObservedResource
from mageflow.kube.errors import ApiError
from mageflow.kube.transport import Raw

from .clocks import StillClock
from .documents import resource


class Wire:
    """Answers each request when the gate is opened, or with an error if its reason is among the refused."""

    def __init__(self, *refused: str) -> None:
        self.refused = refused
        self.gate = asyncio.Event()
        self.begun: list[tuple[str, str]] = []

    async def request(self, method: str, path: str, body: Any = None, **_: Any) -> Raw:
        assert (method, path) == ("POST", "/api/v1/namespaces/team/events")
        self.begun.append((body["involvedObject"]["uid"], body["reason"]))
        await self.gate.wait()
        if body["reason"] in self.refused:
            raise ApiError(403, "Forbidden", "no right to make events")
        return {}


def of(uid: str) -> ObservedResource:
    return observe_resource(WORKFLOW, resource(uid=uid))


def events(*reasons: str) -> list[Event]:
    return [Event("Normal", reason, "") for reason in reasons]


async def let_all_run() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_events_of_a_resource_are_made_one_after_the_other_whoever_asks_for_them() -> None:
    wire, background = Wire(), Background()
    recorder = EventRecorder(wire, StillClock(), background)
    recorder.record(of("a"), events("First", "Second"))
    recorder.record(of("a"), events("Third"))
    recorder.record(of("b"), events("Other"))
    await let_all_run()
    assert wire.begun == [("a", "First"), ("b", "Other")], "nobody has waited, and one resource holds up no other"
    wire.gate.set()
    await background.close()
    assert [reason for uid, reason in wire.begun if uid == "a"] == ["First", "Second", "Third"]
    assert recorder._last == {}


async def test_few_are_made_at_once() -> None:
    wire, background = Wire(), Background()
    recorder = EventRecorder(wire, StillClock(), background)
    for number in range(10):
        recorder.record(of(str(number)), events("Suspended"))
    await let_all_run()
    assert len(wire.begun) == MAX_EVENTS
    wire.gate.set()
    await background.close()
    assert len(wire.begun) == 10


async def test_refusal_is_logged_and_the_next_is_made(caplog: pytest.LogCaptureFixture) -> None:
    wire, background = Wire("First"), Background()
    wire.gate.set()
    with caplog.at_level(logging.WARNING):
        EventRecorder(wire, StillClock(), background).record(of("a"), events("First", "Second"))
        await background.close()
    assert [reason for _, reason in wire.begun] == ["First", "Second"]
    assert [("First" in line, "no right" in line) for line in caplog.messages] == [(True, True)]
