"""The Lease among several operators, on a clock that goes only when it is told, over lines that break."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mageflow.controller.fenced_client import FencedClient
from mageflow.controller.lease import LEASE_SECONDS, LOOK_SECONDS, MARGIN_SECONDS, Election
from mageflow.controller.settings import LeaseName
from mageflow.kube.errors import NO_ANSWER, ApiError
from mageflow.kube.transport import JSON, Raw
from mageflow.testing.server import Server

from .process import NAMESPACE, ModelClock, ModelLoop

LEASE = LeaseName("team", "mageflow-operator")
TICK = 0.1


class Line:
    """A client whose line may be cut, or lose the answers."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.is_cut = False
        self.loses_answers = False
        self.hangs = False
        """The next request hangs for as long as it may."""
        self.seconds: list[float | None] = []
        """How long each request was allowed to take."""

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = JSON,
        seconds: float | None = None,
    ) -> Raw:
        self.seconds.append(seconds)
        if self.hangs:
            self.hangs = False
            await asyncio.sleep(seconds or 0.0)
            raise ApiError(NO_ANSWER, "TimeoutError", "hangs")
        if self.is_cut:
            raise ApiError(NO_ANSWER, "TimeoutError", "cut")
        answer = self._server.handle("an operator", method, path, body, query)
        if self.loses_answers:
            raise ApiError(NO_ANSWER, "TimeoutError", "lost")
        return answer


class Candidate:
    """An operator as far as its election goes."""

    def __init__(self, place: Place, identity: str) -> None:
        self._place = place
        self.line = Line(place.server)
        self.election = Election(self.line, place.clock, LEASE, identity, self._take_over)  # type: ignore[arg-type]
        self.election.become_candidate()
        self.takeovers = 0
        self.fails_to_take_over = False
        self._end = asyncio.Event()
        self.task = place.loop.create_task(self._run())

    async def _run(self) -> None:
        async with self.election.run():
            await self._end.wait()

    async def _take_over(self) -> None:
        self.takeovers += 1
        if self.fails_to_take_over:
            raise ApiError(500, "InternalError", "etcd is slow")

    def stop(self) -> None:
        self._end.set()
        self._place.loop.spin()

    def kill(self) -> None:
        self.line.is_cut = True
        self.task.cancel()
        self._place.loop.spin()


class Place:
    """A server, a clock, and candidates."""

    def __init__(self) -> None:
        self.loop = ModelLoop()
        self.clock = ModelClock(self.loop)
        self.server = Server(self.clock.now, NAMESPACE)
        self.candidates: list[Candidate] = []

    def add(self, identity: str) -> Candidate:
        self.candidates.append(Candidate(self, identity))
        self.loop.spin()
        return self.candidates[-1]

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / TICK)):
            self.loop.clock += TICK
            self.loop.spin()
            assert len(self.leaders) <= 1, "never two at once"

    @property
    def leaders(self) -> list[Candidate]:
        return [candidate for candidate in self.candidates if candidate.election.is_leader]

    def close(self) -> None:
        for candidate in self.candidates:
            candidate.kill()
        self.loop.close()


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    yield place
    place.close()


def test_first_candidate_leads_and_others_wait(place: Place) -> None:
    first, second = place.add("a"), place.add("b")
    place.pass_time(60)
    assert place.leaders == [first]
    assert (first.takeovers, second.takeovers) == (1, 0)


def test_another_leads_when_the_leader_is_killed_after_as_long_as_the_lease_lasts(place: Place) -> None:
    first, second = place.add("a"), place.add("b")
    place.pass_time(10)
    first.kill()
    place.pass_time(LEASE_SECONDS - 1.1)
    assert place.leaders == [], "a renewal may have been sent just before"
    place.pass_time(1.1 + LOOK_SECONDS + 2 * TICK)
    assert place.leaders == [second]


def test_another_leads_at_its_next_look_when_the_leader_stops(place: Place) -> None:
    first, second = place.add("a"), place.add("b")
    place.pass_time(10)
    first.stop()
    assert place.server.get("leases", LEASE.name)["spec"]["holderIdentity"] == ""
    place.pass_time(LOOK_SECONDS)
    assert place.leaders == [second]
    assert place.server.get("leases", LEASE.name)["spec"]["leaseTransitions"] == 2


def test_nothing_is_taken_over_any_more_when_one_withdraws_that_could_not_read_yet(place: Place) -> None:
    first, second = place.add("a"), place.add("b")
    first.kill()
    second.fails_to_take_over = True
    place.pass_time(10)
    tried = second.takeovers
    second.election.withdraw()
    assert not second.election.seconds_left
    place.pass_time(10)
    second.stop()
    assert second.takeovers == tried > 1
    assert place.server.get("leases", LEASE.name)["spec"]["holderIdentity"] == ""


def test_leader_stops_acting_before_its_lease_ends_when_its_line_is_cut(place: Place) -> None:
    first, second = place.add("a"), place.add("b")
    place.pass_time(10)
    first.line.is_cut = True
    place.pass_time(LEASE_SECONDS - MARGIN_SECONDS + TICK)
    assert not first.election.seconds_left
    place.pass_time(10)
    first.line.is_cut = False
    place.pass_time(20)
    assert place.leaders == [second], "it follows"


def test_leader_goes_on_when_only_the_answer_to_a_renewal_is_lost(place: Place) -> None:
    """The next renewal is refused, as the Lease has moved; but it has moved by our own hand."""
    first, _ = place.add("a"), place.add("b")
    place.pass_time(10)
    first.line.loses_answers = True
    place.pass_time(1.5)
    first.line.loses_answers = False
    place.pass_time(20)
    assert place.leaders == [first]
    assert first.takeovers == 1, "it has led all the time"


def test_take_over_is_told_and_tried_again_when_it_fails(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    first = place.add("a")
    assert place.leaders == [first]
    first.kill()
    second = place.add("b")
    second.fails_to_take_over = True
    logging.disable(logging.NOTSET)
    place.pass_time(10)
    assert place.leaders == []
    assert second.takeovers > 1
    assert "can't be read yet" in caplog.text
    second.fails_to_take_over = False
    place.pass_time(2)
    assert place.leaders == [second]


def test_nobody_is_a_leader_without_being_a_candidate(place: Place) -> None:
    candidate = place.add("a")
    candidate.kill()
    election = Election(Line(place.server), place.clock, LEASE, "b", candidate._take_over)  # type: ignore[arg-type]
    assert not election.is_leader


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["cut", "mend", "lose", "stop"]), st.integers(1, 30))))
def test_never_two_lead_whatever_the_lines_do(events: list[tuple[int, str, int]]) -> None:
    place = Place()
    try:
        for identity in "abc":
            place.add(identity)
        for number, what, ticks in events:
            line = place.candidates[number].line
            match what:
                case "cut":
                    line.is_cut = True
                case "lose":
                    line.loses_answers = True
                case "mend":
                    line.is_cut = line.loses_answers = False
                case "stop" if number == 2:
                    place.candidates[number].stop()
            place.pass_time(ticks * TICK)
        for candidate in place.candidates:
            candidate.line.is_cut = candidate.line.loses_answers = False
        place.pass_time(2 * LEASE_SECONDS)
        assert len(place.leaders) == 1, "somebody leads in the end"
    finally:
        place.close()


def test_leader_goes_on_when_one_renewal_hangs(place: Place) -> None:
    """It paused for a second after the renewal that hung, and had no time for another: it listed everything anew."""
    first, _ = place.add("a"), place.add("b")
    for _ in range(5):
        place.pass_time(10)
        first.line.hangs = True
        place.pass_time(LEASE_SECONDS)
        assert place.leaders == [first]
    assert first.takeovers == 1, "it has led all the time"


def test_no_request_is_begun_without_the_lease_and_one_that_was_may_outlast_it(place: Place) -> None:
    leader, follower = place.add("a"), place.add("b")
    place.pass_time(0.5)
    path = "/api/v1/namespaces/team/pods"
    fenced = FencedClient(leader.line, leader.election)  # type: ignore[arg-type]
    assert place.loop.run_until_complete(fenced.request("GET", path)) == {"items": []}
    assert leader.line.seconds[-1] is None, "as long as any: admission takes its time"

    asked = len(follower.line.seconds)
    with pytest.raises(ApiError, match="the Lease is not held"):
        place.loop.run_until_complete(FencedClient(follower.line, follower.election).request("GET", path))  # type: ignore[arg-type]
    assert len(follower.line.seconds) == asked
