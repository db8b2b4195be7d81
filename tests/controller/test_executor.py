"""What comes of carrying out an action, and what of that is counted as a conflict with somebody else's write."""

from __future__ import annotations

from typing import Any

import pytest

from mageflow.api import WORKFLOW
from mageflow.controller.background import Background
from mageflow.controller.caches import Caches
from mageflow.controller.creations import Creations
from mageflow.controller.executor import Executor, Means, Result, first_of
from mageflow.controller.fenced_client import NotLeadingError
from mageflow.controller.metrics import RECONCILE_ERRORS, ReconcileError
from mageflow.controller.queue import RetryError
from mageflow.controller.reconcile import Reconciler
from mageflow.controller.settings import Settings
from mageflow.core.decision import EvictPod, ExplainMissingPod, HoldJob, StopJob
from mageflow.core.observed import ObservedJob, ObservedPod
from mageflow.kube.errors import ApiError
from mageflow.kube.transport import Raw

from .clocks import StillClock
from .documents import UID, job, namespace, pod, resource

Answer = Raw | ApiError

CONFLICT = ApiError(409, "Conflict", "the object has been modified")
GONE = ApiError(404, "NotFound", "not found")
REFUSED = ApiError(403, "Forbidden", "no rights")
DENIED = ApiError(409, "Conflict", "admission webhook denied the request: no")
NO_ANSWER = ApiError(0, "TimeoutError", "no answer")

STOP = StopJob(ObservedJob("report-1", "job-1", "10"))
HOLD = HoldJob(ObservedJob("report-1", "job-1", "10"))
EVICT = EvictPod(ObservedPod("report-1-x", "pod-1", "20", "Pending"))
EXPLAIN = ExplainMissingPod(ObservedJob("report-1", "job-1", "10"))
PODS = {"items": [pod()]}
EVENTS = {"items": [{"message": "exceeded quota"}]}


class Server:
    """Answers each request by its method and the end of its path, and asks for nothing back."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers

    async def request(self, method: str, path: str, body: Any = None, **_: Any) -> Raw:
        end = path.rpartition("/")[2].replace("-", "_")
        answer = self.answers.get(f"{method}_{end}", {"items": []})
        if isinstance(answer, ApiError):
            raise answer
        return answer


def means_of(server: Server, caches: Caches, clock: StillClock, background: Background) -> Means:
    creations = Creations(server, caches, clock, background, lambda _: None)
    return Means(creations, background, lambda _: None)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def caches(clock: StillClock) -> Caches:
    caches = Caches(clock)
    caches.namespaces.upsert(namespace())
    caches.upsert_resource(WORKFLOW, resource())
    return caches


@pytest.mark.parametrize(
    ("action", "answers", "result"),
    [
        pytest.param(STOP, {"PATCH_report_1": job(version=11)}, Result.DONE, id="it was done"),
        pytest.param(STOP, {"PATCH_report_1": CONFLICT}, Result.CONFLICT, id="somebody wrote at the same time"),
        pytest.param(EVICT, {"POST_eviction": GONE}, Result.CONFLICT, id="the pod is gone"),
        pytest.param(EVICT, {"POST_eviction": DENIED}, Result.REFUSED, id="a webhook denies it with the same code"),
        pytest.param(STOP, {"PATCH_report_1": REFUSED}, Result.REFUSED, id="it isn't allowed"),
        pytest.param(STOP, {"PATCH_report_1": NO_ANSWER}, Result.REFUSED, id="there was no answer"),
        pytest.param(STOP, {"PATCH_report_1": NotLeadingError()}, Result.TRANSIENT, id="the Lease isn't held"),
        pytest.param(HOLD, {"GET_pods": PODS}, Result.LEARNED, id="the Job has got a pod"),
        pytest.param(HOLD, {"DELETE_report_1": {}}, Result.DONE, id="the Job has no pod, and is deleted"),
        pytest.param(EXPLAIN, {"GET_events": EVENTS}, Result.LEARNED, id="an event says why there is no pod"),
        pytest.param(EXPLAIN, {}, Result.DONE, id="no event says why there is no pod"),
    ],
)
async def test_result_tells_what_came_of_it_when(
    caches: Caches, clock: StillClock, action: Any, answers: dict[str, Answer], result: Result
) -> None:
    observed, server, background = caches.observe(UID), Server(**answers), Background()
    assert observed is not None
    means = means_of(server, caches, clock, background)
    assert await Executor(server, caches, observed, clock, means).carry_out([action]) is result


@pytest.mark.parametrize(
    ("action", "refused", "read"),
    [
        (EVICT, "POST_eviction", {"GET_pods": {"items": [pod(version=21)]}}),
        (STOP, "PATCH_report_1", {"GET_jobs": {"items": [job()]}}),
    ],
    ids=["a pod", "a Job"],
)
async def test_what_has_changed_is_read_so_that_the_next_attempt_is_made_on_what_it_is(
    caches: Caches, clock: StillClock, action: Any, refused: str, read: dict[str, Answer]
) -> None:
    """Its watch may be late; and if no fact is new in what it tells, nobody is woken."""
    caches.upsert_pod(pod())
    caches.upsert_job(job(version=9))
    observed, server, background = caches.observe(UID), Server(**{refused: CONFLICT}, **read), Background()
    assert observed is not None
    means = means_of(server, caches, clock, background)
    assert await Executor(server, caches, observed, clock, means).carry_out([action]) is Result.CONFLICT
    known = caches.observe(UID)
    assert known is not None
    run = known.runs["main"][1]
    assert run.job is not None
    assert (run.pods[0].resource_version, run.job.resource_version) == (
        ("21", "9") if action is EVICT else ("20", "10")
    )
    assert not caches.take_stale(UID)


async def test_another_pod_of_the_same_name_has_all_read(caches: Caches, clock: StillClock) -> None:
    caches.upsert_pod(pod())
    other = {"items": [pod(version=30, uid="pod-9")]}
    server, background = Server(POST_eviction=CONFLICT, GET_pods=other), Background()
    observed = caches.observe(UID)
    assert observed is not None
    means = means_of(server, caches, clock, background)
    assert await Executor(server, caches, observed, clock, means).carry_out([EVICT]) is Result.CONFLICT
    assert caches.take_stale(UID)


def test_conflict_counts_most_when_there_are_several_results() -> None:
    assert first_of([Result.DONE, Result.LEARNED, Result.CONFLICT, Result.REFUSED]) is Result.CONFLICT
    assert first_of([Result.DONE, Result.REFUSED]) is Result.REFUSED
    assert first_of([]) is Result.DONE


# ── what is counted ──


def counted() -> float:
    value: float = RECONCILE_ERRORS.labels(ReconcileError.CHANGED)._value.get()
    return value


async def reconcile(caches: Caches, clock: StillClock, **answers: Answer) -> None:
    reconciler = Reconciler(Server(**answers), caches, Settings(), clock, lambda _: None)
    await reconciler.reconcile(UID)


def see(caches: Caches, lifecycle: str, **status: Any) -> None:
    """Have the Workflow known, with one Job that was created a while ago."""
    spec = {"template": {"spec": {"containers": []}}, "lifecycle": lifecycle}
    task = {"name": "main", "phase": "Pending", "run": 1, "job": "report-1"}
    status = {"phase": "Pending", "observedGeneration": 1, "tasks": [task], **status}
    caches.upsert_resource(WORKFLOW, resource(version=101, generation=2, spec=spec, status=status))
    caches.upsert_job(job())


@pytest.fixture
def settled(caches: Caches, clock: StillClock) -> Caches:
    """A Workflow whose Job makes no pod: that is asked after."""
    see(caches, "active")
    clock.pass_time(6)
    return caches


async def test_conflict_is_counted_when_the_status_was_written_by_somebody_else(
    settled: Caches, clock: StillClock
) -> None:
    before = counted()
    with pytest.raises(RetryError) as raised:
        await reconcile(settled, clock, PUT_status=CONFLICT, GET_report=resource(version=102, generation=2))
    assert raised.value.at_once, "it was read anew"
    assert counted() == before + 1


async def test_answer_that_is_news_has_the_resource_decided_upon_again(settled: Caches, clock: StillClock) -> None:
    """The watch tells the same version later, which wakes nobody; and not every status is a fixed point."""
    woken: list[str] = []
    answers: dict[str, Answer] = {"PUT_status": resource(version=103, generation=2)}
    await Reconciler(Server(**answers), settled, Settings(), clock, woken.append).reconcile(UID)
    assert woken == [UID]


async def test_nothing_is_counted_when_it_is_learned_why_a_job_has_no_pod(settled: Caches, clock: StillClock) -> None:
    before = counted()
    with pytest.raises(RetryError, match="Learned"):
        await reconcile(settled, clock, PUT_status=resource(version=103, generation=2), GET_events=EVENTS)
    assert counted() == before


@pytest.mark.parametrize(("answer", "count"), [(NotLeadingError(), 0), (CONFLICT, 1)], ids=["no Lease", "a conflict"])
async def test_only_a_conflict_is_counted_when_a_stop_was_not_made(
    caches: Caches, clock: StillClock, answer: ApiError, count: int
) -> None:
    see(caches, "interrupted")
    before = counted()
    with pytest.raises(RetryError) as raised:
        await reconcile(caches, clock, PUT_status=resource(version=103, generation=2), PATCH_report_1=answer)
    assert raised.value.at_once is bool(count), "without the Lease nothing is learned"
    assert counted() == before + count
