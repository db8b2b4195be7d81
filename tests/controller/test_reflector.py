"""Reflectors: what a list and the watch after it do to the caches, and whom they wake."""

from __future__ import annotations

import logging

import pytest

from mageflow.api import WORKFLOW
from mageflow.controller import reflector
from mageflow.controller.caches import Caches
from mageflow.controller.reflector import EndlessBackoff, Feed, feed_of_jobs, feed_of_pods, take_in
from mageflow.kube import backoff
from mageflow.kube.errors import ApiError
from mageflow.kube.transport import Raw
from mageflow.kube.watch import Changed, Listed

from .documents import UID, job, namespace, pod, resource


@pytest.fixture
def caches() -> Caches:
    caches = Caches()
    caches.namespaces.upsert(namespace())
    caches.upsert_resource(WORKFLOW, resource())
    return caches


@pytest.fixture(params=[(feed_of_jobs, job()), (feed_of_pods, pod())], ids=["job", "pod"])
def case(request: pytest.FixtureRequest, caches: Caches) -> tuple[Feed, Raw]:
    make, raw = request.param
    return make(caches), raw


def test_list_wakes_the_resources_of_what_is_new_in_it_and_no_other(case: tuple[Feed, Raw]) -> None:
    feed, raw = case
    assert take_in(feed, None, Listed([raw], "50")) == {UID}
    assert take_in(feed, None, Listed([raw], "60")) == set()


def test_what_a_later_list_has_not_makes_its_resource_stale(case: tuple[Feed, Raw], caches: Caches) -> None:
    """Deletions during a gap of a watch are told by nobody, and how what is gone has ended isn't known."""
    feed, raw = case
    take_in(feed, None, Listed([raw], "50"))
    assert not caches.take_stale(UID)
    assert take_in(feed, None, Listed([], "60")) == {UID}
    assert caches.take_stale(UID)


def test_what_is_known_of_a_later_version_than_the_list_stays(case: tuple[Feed, Raw], caches: Caches) -> None:
    """An answer to our own creation may be newer than a list that was under way."""
    feed, raw = case
    take_in(feed, None, Changed(raw, is_gone=False))
    assert take_in(feed, None, Listed([], "5")) == set()
    assert not caches.take_stale(UID)


def test_list_of_one_namespace_says_nothing_of_another(case: tuple[Feed, Raw], caches: Caches) -> None:
    feed, raw = case
    take_in(feed, "team", Listed([raw], "50"))
    assert take_in(feed, "other", Listed([], "60")) == set()
    assert take_in(feed, "team", Listed([], "60")) == {UID}


def test_what_a_list_has_not_of_a_resource_that_is_gone_is_forgotten(case: tuple[Feed, Raw], caches: Caches) -> None:
    feed, raw = case
    take_in(feed, None, Listed([raw], "50"))
    caches.delete_resource(resource())
    assert caches.uids() == [UID]
    assert take_in(feed, None, Listed([], "60")) == set()
    assert caches.uids() == []


def test_retained_pod_of_a_list_is_known_to_be_gone(caches: Caches) -> None:
    """Its last state is needed until the ledger has its end; reading once more would bring nothing."""
    feed = feed_of_pods(caches)
    raw = pod(phase="Running")
    take_in(feed, None, Changed(raw, is_gone=False))
    take_in(feed, None, Changed(raw, is_gone=True))
    assert take_in(feed, None, Listed([], "60")) == set()


async def test_pauses_have_no_end_and_each_cause_is_told_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(backoff, "FIRST_PAUSE", 0.0)
    monkeypatch.setattr(reflector, "LONGEST_PAUSE", 0.0)
    pauses = EndlessBackoff("watching /x")
    with caplog.at_level(logging.WARNING):
        for status in (403, 403, 500, 403):
            await pauses.pause(ApiError(status, "Refused", f"no {status}"))
        pauses.note_answer()
        await pauses.pause(ApiError(403, "Refused", "no 403"))
    assert ["403" in line for line in caplog.messages] == [True, False, True, True]
