"""Reconciles one resource: observe, decide, act. It knows no rule about lifecycles; those are in `mageflow.core`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from mageflow.api import OCCUPIED_TASKS, Status, TaskPhase, reasons
from mageflow.controller.background import Background
from mageflow.controller.caches import Caches
from mageflow.controller.clock import Clock
from mageflow.controller.creations import Creations
from mageflow.controller.event_recorder import EventRecorder
from mageflow.controller.executor import Executor, Means, Result
from mageflow.controller.fresh_reads import read_children, read_resource
from mageflow.controller.metrics import RECONCILE_ERRORS, RECONCILE_SECONDS, RUNS, ReconcileError
from mageflow.controller.pacing import Pace
from mageflow.controller.queue import RetryError
from mageflow.controller.settings import Settings
from mageflow.controller.transition_latency import TransitionLatency
from mageflow.core.decide import decide
from mageflow.core.decision import Decision, Event
from mageflow.core.lifecycle import is_stop_awaited
from mageflow.core.observed import ObservedResource
from mageflow.kube.errors import ApiError
from mageflow.kube.selectors import uid_selector
from mageflow.kube.transport import Requests

logger = logging.getLogger(__name__)


class Reconciler:
    """Brings one resource after the other to what its spec says."""

    def __init__(
        self, client: Requests, caches: Caches, settings: Settings, clock: Clock, wake: Callable[[str], None]
    ) -> None:
        """`wake` is called with the uid of a resource that is to be reconciled as a request was answered late."""
        self._client = client
        self._caches = caches
        self._settings = settings
        self._clock = clock
        self.background = Background()
        creations = Creations(client, caches, clock, self.background, wake)
        self._means = Means(creations, self.background, wake)
        self._recorder = EventRecorder(client, clock, self.background)
        self._said: dict[str, str] = {}
        self._heard_at: dict[str, float] = {}
        self._pace = Pace(clock)
        self._transitions = TransitionLatency(clock)
        self._unwritten: dict[str, str] = {}
        """What was last said of each status that can't be written, by the uid of its resource."""

    def hear(self, uid: str) -> None:
        """Note that the watches brought news of a resource or of what belongs to it."""
        resource = self._caches.find(uid)
        if resource is None:
            self._forget(uid)
        else:
            self._heard_at[uid] = self._clock.monotonic()
            self._transitions.note_spec(resource)

    def is_urgent(self, uid: str) -> bool:
        """Tell whether a resource goes before others that wait."""
        resource = self._caches.find(uid)
        return resource is not None and is_stop_awaited(resource)

    async def reconcile(self, uid: str) -> float | None:
        """Bring a resource to what its spec says; return after how many seconds to look again, None: at news only.

        Raises RetryError if it is wanted soon again: something has changed or was learned, or the API server failed.
        """
        try:
            again_in = await self._reconcile(uid)
        except RetryError:
            raise
        except ApiError as error:
            RECONCILE_ERRORS.labels(ReconcileError.API_ERROR).inc()
            self._say(uid, error.line)
            raise RetryError(error.line, error.retry_after or 0.0) from error
        except Exception as error:
            RECONCILE_ERRORS.labels(ReconcileError.INTERNAL).inc()
            logger.exception("%s: reconcile failed, and is tried again", self._title_of(uid))
            raise RetryError(str(error)) from error
        self._said.pop(uid, None)
        return again_in

    def _say(self, uid: str, error: str) -> None:
        """Log why a reconcile failed that is tried again: once, for as long as it is the same."""
        if self._said.get(uid) != error:
            logger.warning("%s: %s; it is tried again", self._title_of(uid), error)
        self._said[uid] = error

    def _title_of(self, uid: str) -> str:
        resource = self._caches.find(uid)
        return uid if resource is None else resource.title

    async def _reconcile(self, uid: str) -> float | None:
        resource = self._caches.find(uid)
        if resource is None:
            self._forget(uid)
            return None
        pause = self._pace.seconds_to_wait(resource)
        if pause:
            return pause  # before its Jobs and pods are gathered: each event of a large Swarm comes here
        with RECONCILE_SECONDS.labels(resource.kind.name).time():
            return await self._bring_to_spec(resource)

    def _forget(self, uid: str) -> None:
        self._heard_at.pop(uid, None)
        self._said.pop(uid, None)
        self._pace.forget(uid)
        self._transitions.forget(uid)
        self._unwritten.pop(uid, None)

    async def _bring_to_spec(self, resource: ObservedResource) -> float | None:
        uid, patience = resource.uid, self._patience(resource)
        is_silent = patience is not None and self._silence(uid) >= patience
        if is_silent:
            await read_resource(self._client, self._caches, resource)
        if self._caches.take_stale(uid) or is_silent:
            await self._verify(resource)
        observed = self._caches.observe(uid)
        if observed is None or not self._caches.are_expectations_fulfilled(uid):
            return patience
        now = self._clock.now().replace(microsecond=0)
        decision = decide(observed, now)
        result = await self._carry_out(observed, decision)
        if result is Result.CONFLICT:
            RECONCILE_ERRORS.labels(ReconcileError.CHANGED).inc()
        if result.asks_again:
            raise RetryError(f"{observed.title}: {result}", at_once=result.is_progress)
        return _soonest(self._until(decision), self._patience(self._caches.find(uid)))

    async def _carry_out(self, observed: ObservedResource, decision: Decision) -> Result:
        """Carry out a decision: what comes before the status, the status if it changed, what comes after, the events.

        Each waits for the one before it to be done; after a status that can't be written nothing is done but a stop.
        Raises ApiError if the API server refuses the status, or doesn't answer.
        """
        executor = Executor(self._client, self._caches, observed, self._clock, self._means)
        result = await executor.carry_out(decision.before)
        if result is not Result.DONE:
            return result
        if decision.status is not None and decision.status != observed.status:
            try:
                result = await self._write(executor, observed, decision.status)
            except ApiError as error:
                self._tell_unwritten(observed, error)
                result = await executor.stop_unrecorded(decision.stops)
                if result.asks_again:
                    return result
                raise
            if result.asks_again:
                return result
            for ending in decision.endings:
                RUNS.labels(observed.kind.name, ending.value).inc()
        try:
            return await executor.carry_out(decision.after)
        finally:  # the status says it, so the events do too, whatever became of the actions
            self._recorder.record(observed, decision.events)

    async def _write(self, executor: Executor, observed: ObservedResource, status: Status) -> Result:
        old, began = observed.status.phase, self._clock.monotonic()
        with self._transitions.writing(observed, status) as writing:
            result = await executor.write_status(status)
            if result is not Result.DONE:
                writing.fail()
                return result
        self._unwritten.pop(observed.uid, None)
        self._pace.note_write(observed, self._clock.monotonic() - began)
        if status.phase != old:
            logger.info("%s: %s → %s", observed.title, old or "new", status.phase)
        return result

    def _tell_unwritten(self, observed: ObservedResource, error: ApiError) -> None:
        """Say in an Event that a status is refused, which the status can't: once, for as long as it is the same."""
        if not error.is_refusal or self._unwritten.get(observed.uid) == error.message:
            return
        self._unwritten[observed.uid] = error.message
        what = f"{error.message} ({error.status} {error.reason}): nothing starts, and only a stop is carried out"
        self._recorder.record(observed, [Event("Warning", reasons.STATUS_NOT_WRITTEN, what)])

    def _patience(self, observed: ObservedResource | None) -> float | None:
        """Return how long a silence may last before the cluster is asked; None if nothing is awaited of it."""
        if observed is None:
            return None
        states = {task.phase for task in observed.status.tasks}
        if not self._caches.are_expectations_fulfilled(observed.uid) or TaskPhase.STOPPING in states:
            return self._settings.verify_transition_after
        is_at_rest = OCCUPIED_TASKS.isdisjoint(states) and not self._caches.has_live_pods(observed.uid)
        return None if is_at_rest else self._settings.verify_after

    def _silence(self, uid: str) -> float:
        return self._clock.monotonic() - self._heard_at.setdefault(uid, self._clock.monotonic())

    async def _verify(self, observed: ObservedResource) -> None:
        """Read the Jobs and pods of a resource past the watches, which may be late or have missed a deletion."""
        self.hear(observed.uid)
        known = self._caches.children_of(observed.uid)
        try:
            jobs, pods = await read_children(self._client, observed.namespace, uid_selector(observed.uid))
        except ApiError:
            self._caches.findings_of(observed.uid).mark_stale()
            raise
        self._caches.replace_children(observed.uid, known, jobs, pods)

    def _until(self, decision: Decision) -> float | None:
        """Return in how many seconds a decision is to be made again: at a whole second, as decisions know no parts."""
        if decision.recheck_at is None:
            return None
        due = decision.recheck_at.replace(microsecond=0)
        if due < decision.recheck_at:
            due += timedelta(seconds=1)
        return max(0.0, (due - self._clock.now()).total_seconds())


def _soonest(*times: float | None) -> float | None:
    return min((seconds for seconds in times if seconds is not None), default=None)
