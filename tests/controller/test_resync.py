"""What whoever takes over knows: all that is there, and of a namespace that may not be read what was known before."""

from __future__ import annotations

from typing import Any

import pytest

from mageflow.api import WORKFLOW
from mageflow.controller.caches import Caches
from mageflow.controller.namespace_poller import NamespacePoller
from mageflow.controller.resync import relist_everything
from mageflow.kube.errors import ApiError

from .documents import UID, Raw, namespace, resource

WORKFLOWS = "/apis/mageflow.io/v1/namespaces/team/workflows"
TEAM, OTHER = "/api/v1/namespaces/team", "/api/v1/namespaces/other"


class Answers:
    """Stands where the client does: answers by path; lists that nothing is said of are empty."""

    def __init__(self) -> None:
        self.by_path: dict[str, Raw | int] = {
            TEAM: namespace(),
            OTHER: 404,
            WORKFLOWS: {"items": [resource()]},
        }
        self.asked: list[str] = []
        self.watched_at: dict[str, float] = {}

    async def request(self, method: str, path: str, **_: Any) -> Raw:
        assert method == "GET"
        self.asked.append(path)
        answer = self.by_path.get(path, {"items": []})
        if isinstance(answer, int):
            raise ApiError(answer, "Refused", path)
        return {"metadata": {"resourceVersion": "100"}, **answer}


@pytest.fixture
def answers() -> Answers:
    return Answers()


@pytest.fixture
def poller(answers: Answers) -> NamespacePoller:
    return NamespacePoller(answers, ["team", "other"])  # type: ignore[arg-type]


async def take_over(answers: Answers, caches: Caches, poller: NamespacePoller | None) -> None:
    await relist_everything(answers, caches, poller)  # type: ignore[arg-type]


async def test_what_is_there_is_known_and_what_is_not_is_gone(answers: Answers, poller: NamespacePoller) -> None:
    caches = Caches()
    caches.upsert_resource(WORKFLOW, resource(uid="gone"))
    await take_over(answers, caches, poller)
    assert caches.are_expectations_fulfilled(UID)
    assert caches.find(UID) is not None
    assert caches.find("gone") is None


async def test_a_resource_comes_back_when_its_namespace_might_not_be_read_at_a_take_over(
    answers: Answers, poller: NamespacePoller
) -> None:
    """It was taken for deleted, and what the watch told of it afterwards for old news."""
    caches = Caches()
    await take_over(answers, caches, poller)
    answers.by_path[TEAM] = 403
    await take_over(answers, caches, poller)
    assert not caches.are_expectations_fulfilled(UID), "nothing is decided meanwhile"
    answers.by_path[TEAM] = namespace(2)
    await take_over(answers, caches, poller)
    caches.upsert_resource(WORKFLOW, resource(version=101))
    found = caches.find(UID)
    assert caches.are_expectations_fulfilled(UID)
    assert found is not None
    assert found.resource_version == "101"


async def test_nothing_is_listed_of_all_namespaces_when_none_of_some_may_be_read(
    answers: Answers, poller: NamespacePoller
) -> None:
    answers.by_path |= {TEAM: 403, OTHER: 403}
    await take_over(answers, Caches(), poller)
    assert answers.asked == [TEAM, OTHER]


async def test_a_namespace_is_unknown_when_it_is_not_there_any_more(answers: Answers, poller: NamespacePoller) -> None:
    caches = Caches()
    await take_over(answers, caches, poller)
    assert "team" in caches.namespaces
    answers.by_path[TEAM] = 404
    await take_over(answers, caches, poller)
    assert "team" not in caches.namespaces


async def test_another_failure_is_raised(answers: Answers, poller: NamespacePoller) -> None:
    answers.by_path[TEAM] = 500
    with pytest.raises(ApiError):
        await take_over(answers, Caches(), poller)


async def test_all_namespaces_are_listed_when_all_are_worked_on(answers: Answers) -> None:
    answers.by_path |= {
        "/api/v1/namespaces": {"items": [namespace(lifecycle="suspended")]},
        "/apis/mageflow.io/v1/workflows": {"items": [resource()]},
    }
    caches = Caches()
    await take_over(answers, caches, None)
    assert caches.namespaces.lifecycle_of("team") == "suspended"
    assert caches.are_expectations_fulfilled(UID)
