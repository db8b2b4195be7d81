"""Scripts that are played on a real control plane and on the model of it, and what the model makes of them.

A script is a list of steps in words, the same for both:

    create [init]            a Job of the next run of a Workflow's task, as the operator makes it; with
                             an init container
    suspend, resume          the Job; with `wrong`: with a uid that isn't its
    delete job [POLICY]      with its uid; with `wrong`: with another
    delete owner POLICY      the Workflow
    delete pod [SECONDS]     with a grace period, or with the pod's own
    evict                    the pod, with the uid and resourceVersion that it has now; `stale`: with the version that
                             it had at first; `wrong`: with another uid; `plain`: with neither, as `kubectl drain` does
    bind                     the pod to the node
    run                      its container starts, and the kubelet hasn't reported that yet
    start [init]             the kubelet reports that the main container runs, or that the init container does
    end CODE                 what runs ends, and the kubelet reports it
    end unstarted            the kubelet reports that a deleted pod will never start
    deadline, pressure       the kubelet ends the pod: it took too long, or the node is short of memory
    let go                   the kubelet deletes a pod that was deleted and has ended
    stop, continue           all controllers (the process is stopped in its tracks)

The Job is always the last that was created, and the pod the last one of the last Job that had one.
"""

from __future__ import annotations

import copy
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from mageflow.api import API_VERSION, LABEL_RUN, WORKFLOW
from mageflow.core.job_manifest import build_job
from mageflow.core.plan import Owner, Task
from mageflow.kube.errors import ApiError
from mageflow.testing.controllers import Collector, JobController
from mageflow.testing.node import Node
from mageflow.testing.server import TRACKING, Server
from tests.model.process import NAMESPACE

from .control import Raw
from .history import has_ended, has_started, is_bound, is_terminating

OWNER: Final = "owner"
USER: Final = "user"
POLICIES: Final = ("Background", "Foreground", "Orphan")
NOON: Final = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
GONE: Final = "gone"
OTHER_UID: Final = "0c5e1a6e-0000-4000-8000-000000000000"

SCHEDULES: Final = (
    *("JCOP", "COJP", "CJOP", "OCJP"),
    *("JCCCOP", "CCCJOP", "CCCOJP", "CCCPJO", "PCCCJO"),
    *("jOCP", "CjOP", "OjCP", "CjPO"),
)
"""In which orders the model's controllers may take their turns: J syncs each Job, j takes each sync to its next write,
O releases the pods of Jobs that are no more, C collects what has lost its owner (three turns reach from the Workflow to
the pod), P ends pods that no node has."""

STILL: Final = 6
"""Turns without a write after which a sync that is taken from write to write has ended."""


class ImpossibleError(Exception):
    """A step can't be taken: there is no such pod, or it isn't in a state for it."""


class RacyError(Exception):
    """What a step comes to depends on which controller comes first."""


# ── what is compared ──


def describe(plural: str, raw: Mapping[str, Any]) -> str:
    """Return all of an object that is compared, in words; but for the count of a Job's active pods."""
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    words = ["there"] if plural == "workflows" else []
    if plural == "pods":
        words.append(status["phase"])
        words += [word for word, is_so in (("bound", is_bound(raw)), ("started", has_started(raw))) if is_so]
        words += [
            f"disrupted: {each['reason']}"
            for each in status.get("conditions") or ()
            if each["type"] == "DisruptionTarget" and each["status"] == "True"
        ]
    if plural == "jobs":
        words.append("suspended" if spec.get("suspend") else "not suspended")
        conditions = status.get("conditions") or ()
        words += sorted(f"{each['type']}={each['status']}: {each['reason']}" for each in conditions)
    if is_terminating(raw):
        words.append(f"terminating in {metadata['deletionGracePeriodSeconds']} s")
    words += sorted(f"[{each}]" for each in metadata.get("finalizers") or ())
    words += sorted(f"owned by {each['kind']}" for each in metadata.get("ownerReferences") or ())
    return ", ".join(words)


@dataclass
class Seen:
    """What a watch has told of the objects of one script, by names that are the same on both sides."""

    versions: defaultdict[str, list[Raw]] = field(default_factory=lambda: defaultdict(list))
    traces: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """All states that each object was seen in, repeats left out."""
    view: dict[str, str] = field(default_factory=dict)
    """The present state of each object that there is, with a Job's count of active pods.

    The traces go without: the real controller may write what a late watch told it, and correct it a second later.
    """
    _names: dict[str, str] = field(default_factory=dict)

    def take_in(self, type_: str, plural: str, raw: Raw) -> None:
        """Take in one event of a watch."""
        uid = raw["metadata"]["uid"]
        name = self._names.setdefault(uid, "") or self._name(plural, raw)
        self._names[uid] = name
        self.versions[name].append(raw)
        state = GONE if type_ == "DELETED" else describe(plural, raw)
        if not self.traces[name] or self.traces[name][-1] != state:
            self.traces[name].append(state)
        active = f", {raw.get('status', {}).get('active') or 0} active" if plural == "jobs" else ""
        self.view[name] = state + active
        if type_ == "DELETED":
            del self.view[name]

    def _name(self, plural: str, raw: Raw) -> str:
        if plural == "workflows":
            return OWNER
        run = raw["metadata"]["labels"][LABEL_RUN]
        if plural == "jobs":
            return f"job {run}"
        return f"pod {run}.{sum(name.startswith(f'pod {run}.') for name in self.versions) + 1}"

    def last(self, kind: str) -> list[Raw]:
        """Return all versions of the last Job, or pod; raise ImpossibleError if there never was one."""
        names = sorted((name for name in self.versions if name.startswith(kind)), key=lambda name: (len(name), name))
        if not names:
            raise ImpossibleError(kind)
        return self.versions[names[-1]]

    def has_told_of(self, raw: Raw) -> bool:
        return raw["metadata"]["uid"] in self._names

    def is_gone(self, raw: Raw) -> bool:
        return self.traces[self._names[raw["metadata"]["uid"]]][-1] == GONE

    def count(self, kind: str) -> int:
        return sum(name.startswith(kind) for name in self.versions)

    def fork(self) -> Seen:
        return Seen(_fork_lists(self.versions), _fork_lists(self.traces), dict(self.view), dict(self._names))


# ── requests ──


@dataclass(frozen=True)
class Request:
    """A request that is made to both API servers."""

    method: str
    path: str
    body: Raw


def build_request(step: str, seen: Seen) -> Request | None:
    """Build the request of a step from what is there; None if the step is the kubelet's."""
    owner = seen.last(OWNER)[-1]["metadata"]
    jobs = f"/apis/batch/v1/namespaces/{owner['namespace']}/jobs"
    match step.split():
        case ["create", *init]:
            return Request("POST", jobs, _build_job(owner, seen.count("job") + 1, has_init=bool(init)))
        case ["suspend" | "resume" as word, *how]:
            job = seen.last("job")[-1]["metadata"]
            uid = OTHER_UID if how else job["uid"]
            body = {"metadata": {"uid": uid}, "spec": {"suspend": word == "suspend"}}
            return Request("PATCH", f"{jobs}/{job['name']}", body)
        case ["delete", "job", *how]:
            job = seen.last("job")[-1]["metadata"]
            uid = OTHER_UID if "wrong" in how else job["uid"]
            options: Raw = {"preconditions": {"uid": uid}}
            if how and how[0] in POLICIES:
                options["propagationPolicy"] = how[0]
            return Request("DELETE", f"{jobs}/{job['name']}", options)
        case ["delete", "owner", policy]:
            path = f"/apis/{API_VERSION}/namespaces/{owner['namespace']}/workflows/{owner['name']}"
            return Request("DELETE", path, {"propagationPolicy": policy})
        case ["delete", "pod", *grace]:
            body = {"gracePeriodSeconds": int(grace[0])} if grace else {}
            return Request("DELETE", path_of(seen.last("pod")[-1]), body)
        case ["evict", *how]:
            return _build_eviction(seen.last("pod"), how[0] if how else "")
    return None


def path_of(pod: Raw) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


def build_owner(namespace: str) -> Raw:
    template = {"spec": {"containers": [{"name": "main", "image": "busybox:1.36"}]}}
    metadata = {"name": OWNER, "namespace": namespace}
    return {
        "apiVersion": API_VERSION,
        "kind": WORKFLOW.name,
        "metadata": metadata,
        "spec": {"template": template},
    }


def _build_job(owner: Raw, run: int, *, has_init: bool) -> Raw:
    spec: Raw = {"schedulerName": "by-hand", "containers": [{"name": "main", "image": "busybox:1.36"}]}
    if has_init:
        spec["initContainers"] = [{"name": "init", "image": "busybox:1.36"}]
    parent = Owner(WORKFLOW.name, owner["namespace"], owner["name"], owner["uid"])
    return build_job(parent, Task("main", {"spec": spec}), run, was_cut_short=False)


def _build_eviction(versions: Sequence[Raw], how: str) -> Request:
    first, pod = versions[0]["metadata"], versions[-1]["metadata"]
    options: dict[str, Raw] = {
        "": {"uid": pod["uid"], "resourceVersion": pod["resourceVersion"]},
        "stale": {"uid": pod["uid"], "resourceVersion": first["resourceVersion"]},
        "wrong": {"uid": OTHER_UID, "resourceVersion": pod["resourceVersion"]},  # without, it tries for 10 seconds
        "plain": {},
    }
    if how == "stale" and first["resourceVersion"] == pod["resourceVersion"]:
        raise ImpossibleError("it is still as it was at first")
    body: Raw = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": pod["name"], "namespace": pod["namespace"]},
        "deleteOptions": {"preconditions": options[how]} if options[how] else {},
    }
    return Request("POST", f"{path_of(versions[-1])}/eviction", body)


# ── the model's side ──


@dataclass(frozen=True)
class Moment:
    """What the model comes to by a step."""

    step: str
    status: int
    """Of the answer: 0 if it isn't an error."""
    view: Mapping[str, str]
    ways: Mapping[str, set[tuple[str, ...]]]
    """For each object, the states that it may go through, by each order in which the controllers may take turns."""
    is_certain: bool
    """Whether the same objects have been there in each order: else the last pod may be another on the real side."""
    events: Counter[str] | None
    """How often the Job controller has given each reason up to here; None if that is another in another order."""


class Model:
    """Plays scripts on the model of the cluster."""

    def __init__(self) -> None:
        self._server = Server(lambda: NOON, NAMESPACE)
        self._node = Node(self._server)
        self._seen = Seen()
        self._heard: defaultdict[str, int] = defaultdict(int)
        self.is_stopped = False
        self.has_same_events = True
        """The Job controller's events have been the same in each order up to now."""
        self.waits = 0
        """How often pods were deleted that no node has: the real collector comes for these every 20 seconds."""
        self._server.create(USER, "workflows", build_owner(NAMESPACE))
        self._hear()

    @property
    def view(self) -> dict[str, str]:
        return dict(self._seen.view)

    def play(self, step: str) -> Moment:
        """Take a step, and let the controllers do all that they can.

        Raises ImpossibleError if it can't be taken, RacyError if the end depends on the order of the controllers.
        """
        before = {name: len(trace) for name, trace in self._seen.traces.items()}
        if step in ("stop", "continue"):
            self.is_stopped = step == "stop"
            status = 0
        else:
            status = self._act(step)
        self._hear()
        twins = [self.fork() for _ in SCHEDULES[1:]]
        for model, schedule in zip((self, *twins), SCHEDULES, strict=True):
            model._settle(schedule)
        if any(twin.view != self.view for twin in twins):
            raise RacyError(step)
        ways: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
        for name in {name for model in (self, *twins) for name in model._seen.traces}:
            for model in (self, *twins):
                ways[name].add(tuple(model._seen.traces[name][before.get(name, 0) :]))
        names = self._seen.versions.keys()
        is_certain = all(twin._seen.versions.keys() == names for twin in twins)
        events = count_events(self._server.list("events"))
        self.has_same_events &= all(count_events(twin._server.list("events")) == events for twin in twins)
        return Moment(step, status, self.view, ways, is_certain, events if self.has_same_events else None)

    def fork(self) -> Model:
        """Return another that goes on from here on its own."""
        twin = copy.copy(self)
        twin._server = copy.copy(self._server)
        twin._server.objects = defaultdict(dict, {plural: dict(raws) for plural, raws in self._server.objects.items()})
        twin._server.log = _fork_lists(self._server.log)
        twin._node = Node(twin._server)
        twin._node.containers = {uid: replace(container) for uid, container in self._node.containers.items()}
        twin._seen = self._seen.fork()
        twin._heard = self._heard.copy()
        return twin

    def _act(self, step: str) -> int:
        request = build_request(step, self._seen)
        if request is None:
            pod = self._seen.last("pod")[-1]
            if self._seen.is_gone(pod):
                raise ImpossibleError(step)
            self._act_as_kubelet(step, pod)
            return 0
        try:
            self._server.handle(USER, request.method, request.path, request.body)
        except ApiError as error:
            return error.status
        return 0

    def _act_as_kubelet(self, step: str, pod: Raw) -> None:
        node, container = self._node, self._node.of(pod)
        runs_on_node = is_bound(pod) and not has_ended(pod)
        lives = runs_on_node and not is_terminating(pod)
        is_waiting = lives and container.is_fresh
        can_start = lives and (container.is_fresh or container.is_in_init or node.is_unreported(pod))
        deeds: dict[str, tuple[bool, Callable[[], None]]] = {
            "bind": (not (is_bound(pod) or has_ended(pod) or is_terminating(pod)), lambda: node.bind(pod)),
            "run": (is_waiting, lambda: node.start(pod)),
            "start": (can_start, lambda: self._start(pod)),
            "start init": (is_waiting and container.has_init, lambda: self._start(pod, in_init=True)),
            "end unstarted": (runs_on_node and not lives and container.is_fresh, lambda: node.start(pod)),
            "deadline": (lives, lambda: node.kill(pod, "DeadlineExceeded")),
            "pressure": (lives, lambda: node.kill(pod, "Evicted")),
            "let go": (is_bound(pod) and has_ended(pod) and is_terminating(pod), lambda: node.let_go(pod)),
        }
        if step not in deeds:
            exit_code = int(step.removeprefix("end "))
            can = runs_on_node and container.runs and not (lives and container.is_in_init and exit_code == 0)
            deeds[step] = (can, lambda: self._end(pod, exit_code))
        can, act = deeds[step]
        if not can:
            raise ImpossibleError(step)
        act()

    def _start(self, pod: Raw, *, in_init: bool = False) -> None:
        self._node.start(pod)
        if self._node.of(pod).is_in_init and not in_init:
            self._node.end(pod, 0)
        self._node.report(pod)

    def _end(self, pod: Raw, exit_code: int) -> None:
        self._node.end(pod, exit_code)
        self._node.report(pod)

    def _settle(self, schedule: str) -> None:
        """Let the controllers take turns until nothing is left to do."""
        jobs, collector = JobController(self._server), Collector(self._server)
        turns: Mapping[str, Callable[[], None]] = {
            "J": lambda: _for_each(jobs.names(), jobs.sync),
            "j": lambda: _for_each(jobs.names(), jobs.step),
            "O": jobs.release_orphans,
            "C": collector.collect_garbage,
            "P": collector.end_unscheduled,
        }
        still = 0
        while still < (STILL if "j" in schedule else 1) and not self.is_stopped:
            for actor in schedule:
                turns[actor]()
            still = 0 if self._hear() else still + 1

    def _hear(self) -> bool:
        """Take in what was written since the last time; tell whether anything was."""
        has_news = False
        for plural, log in self._server.log.items():
            for change in log[self._heard[plural] :]:
                has_news = True
                if plural == "events":
                    continue
                self._seen.take_in(change.type, plural, change.object)
                if plural == "pods" and is_terminating(change.object) and not is_bound(change.object):
                    self.waits += has_ended(change.object) and TRACKING in change.object["metadata"]["finalizers"]
            self._heard[plural] = len(log)
        return has_news


EVENTS: Final = frozenset({"SuccessfulCreate", "Completed", "BackoffLimitExceeded", "PodFailurePolicy"})
"""The reasons of the Job controller's events that the operator reads (ADR 14)."""


def count_events(events: Iterable[Raw]) -> Counter[str]:
    """Count those of the Job controller, by reason."""
    return Counter(event["reason"] for event in events if event["reason"] in EVENTS)


def _for_each(names: Iterable[str], act: Callable[[str], None]) -> None:
    for name in names:
        act(name)


def _fork_lists(lists: Mapping[str, list[Any]]) -> defaultdict[str, list[Any]]:
    return defaultdict(list, {key: list(values) for key, values in lists.items()})


def is_possible(trace: Sequence[str], ways: Sequence[set[tuple[str, ...]]]) -> bool:
    """Tell whether a trace is made of one way of each moment, one after the other."""
    ends = {0}
    for choice in ways:
        ends = {end + len(way) for end in ends for way in choice if tuple(trace[end : end + len(way)]) == way}
    return len(trace) in ends


# ── the scripts ──

RUNNING: Final = "create, bind, start"

BY_HAND: Final[Mapping[str, str]] = {
    # a run to its end
    "it succeeds": f"{RUNNING}, end 0",
    "it fails": f"{RUNNING}, end 3",
    "it succeeds after an init container": "create init, bind, start init, start, end 0",
    "its init container fails": "create init, bind, start init, end 1",
    "its init container is stopped": "create init, bind, start init, suspend, end 0, let go",
    "it takes too long": f"{RUNNING}, deadline",
    "it takes too long to start": "create, bind, deadline",
    "the node is short of memory": f"{RUNNING}, pressure",
    "a second run after a first": f"{RUNNING}, end 3, create, bind, start, end 0",
    # evictions
    "it is evicted before it has a node": "create, evict",
    "it is evicted before it has started": "create, bind, evict, end unstarted, let go",
    "it had started when it was evicted, and does well": "create, bind, run, evict, end 0, let go",
    "it had started when it was evicted, and fails": "create, bind, run, evict, end 143, let go",
    "it is evicted as it was before": "create, bind, evict stale, start, evict stale, end 0",
    "another of its name is evicted": "create, evict wrong, bind, evict wrong, start, end 0",
    "it is drained": f"{RUNNING}, evict plain, end 143, let go",
    "it is drained and does well": f"{RUNNING}, evict plain, end 0, let go",
    "it is evicted twice": f"{RUNNING}, evict, evict, evict plain, end 143, let go, evict",
    "it is evicted after it has ended": f"{RUNNING}, end 0, evict",
    "it is evicted after it has been deleted": f"{RUNNING}, delete pod, evict, end 143, let go",
    "it is deleted after it has been evicted": f"{RUNNING}, evict, delete pod 5, end 143, delete pod, delete pod 0",
    # suspended Jobs
    "its Job is suspended before it has a node": "create, suspend, resume, bind, start, end 0",
    "its Job is suspended before it has started": "create, bind, suspend, end unstarted, let go",
    "its Job is suspended while it runs": f"{RUNNING}, suspend, end 143, let go",
    "its Job is suspended, and it does well": f"{RUNNING}, suspend, end 0, let go, resume, bind, start, end 0",
    "its Job is suspended for a while": f"{RUNNING}, suspend, end 143, let go, resume, bind, start, end 0",
    "its Job is resumed before it has ended": f"{RUNNING}, suspend, resume, end 143, let go, bind, start, end 0",
    "its Job is resumed before it does well": f"{RUNNING}, suspend, resume, end 0, let go, bind, start, end 0",
    "its Job is suspended and then deleted": f"{RUNNING}, suspend, end 143, let go, delete job Background",
    "its Job is suspended and then deleted at once": f"{RUNNING}, suspend, delete job Background, end 143, let go",
    "its Job is suspended after its end": f"{RUNNING}, end 0, suspend, resume",
    "its Job is suspended after its failure": f"{RUNNING}, end 1, suspend, resume",
    "its Job is suspended while it is being evicted": "create, bind, evict, suspend, end unstarted, let go",
    "its Job is suspended while it is being drained": f"{RUNNING}, evict plain, suspend, end 0, let go",
    "another Job of its name is suspended": "create, suspend wrong, bind, start, end 0",
    # deleted Jobs
    "its Job is deleted before it has a node": "create, delete job Background, delete job Background",
    "its Job is deleted before it has started": "create, bind, delete job Background, end unstarted, let go",
    "its Job is deleted while it runs": f"{RUNNING}, delete job Background, end 143, let go",
    "its Job is deleted after its end": f"{RUNNING}, end 0, delete job Background",
    "its Job is deleted by nobody knows how": f"{RUNNING}, delete job, end 0, delete pod",
    "its Job is deleted by default while it is being deleted": f"{RUNNING}, delete job Foreground, delete job, end 1",
    "its Job is deleted in the foreground before it has a node": "create, delete job Foreground",
    "its Job is deleted in the foreground": f"{RUNNING}, delete job Foreground, end 143, let go",
    "its Job is deleted in the foreground, and it does well": f"{RUNNING}, delete job Foreground, end 0, let go",
    "its Job is deleted in the foreground after its end": f"{RUNNING}, end 0, delete job Foreground",
    "its Job is deleted in the foreground after it": f"{RUNNING}, end 0, delete pod, delete job Foreground",
    "its Job is orphaned": f"{RUNNING}, delete job Orphan, end 0, delete pod",
    "its Job is orphaned before it has a node": "create, delete job Orphan, bind, start, end 0, delete pod",
    "its Job is orphaned and it is evicted": "create, bind, delete job Orphan, evict, end unstarted, let go",
    "its Job is orphaned and another is made": f"{RUNNING}, delete job Orphan, {RUNNING}, end 0",
    "another Job of its name is deleted": "create, delete job Background wrong, delete job Orphan wrong, bind, start",
    "its Job is deleted faster": f"{RUNNING}, delete job Foreground, delete job Background, end 143, let go",
    "its Job is deleted, then orphaned": f"{RUNNING}, delete job Foreground, delete job Orphan, end 0, delete pod",
    "its Job is suspended while it is being deleted": f"{RUNNING}, delete job Foreground, suspend, end 0, let go",
    # deleted pods
    "it is deleted before it has a node": "create, delete pod",
    "it is deleted before it has started": "create, bind, delete pod, end unstarted, let go",
    "it is deleted while it runs": f"{RUNNING}, delete pod, end 143, let go",
    "it is deleted and does well": f"{RUNNING}, delete pod, end 0, let go",
    "it is deleted with little grace": f"{RUNNING}, delete pod 5, end 143, let go",
    "it is deleted with less and less grace": f"{RUNNING}, delete pod, delete pod 60, delete pod 25, delete pod, end 1",
    "it is deleted with no grace": f"{RUNNING}, delete pod 0, end 143",
    "it is deleted with no grace before it has started": "create, bind, delete pod 0, end unstarted",
    "it is deleted after its end": f"{RUNNING}, end 0, delete pod",
    "it is deleted after its failure": f"{RUNNING}, end 3, delete pod, delete pod",
    "it is deleted again after its end": f"{RUNNING}, delete pod, end 143, delete pod, let go",
    "its Job is suspended while it is being deleted by hand": f"{RUNNING}, delete pod, suspend, end 143, let go",
    # deleted owners
    "its owner is deleted before it has a node": "create, delete owner Background",
    "its owner is deleted": f"{RUNNING}, delete owner Background, end 143, let go",
    "its owner is deleted after its end": f"{RUNNING}, end 0, delete owner Background",
    "its owner is deleted in the foreground": f"{RUNNING}, delete owner Foreground, end 143, let go",
    "its owner is deleted in the foreground after its end": f"{RUNNING}, end 0, delete owner Foreground",
    "its owner is deleted in the foreground after it": f"{RUNNING}, end 0, delete pod, delete owner Foreground",
    "its owner is orphaned": f"{RUNNING}, delete owner Orphan, end 0, delete job Background",
    "its owner is deleted after its Job was orphaned": f"{RUNNING}, delete job Orphan, delete owner Background, end 0",
    "its owner is deleted faster": f"{RUNNING}, delete owner Foreground, delete owner Background, end 143, let go",
    "it is made after its owner was deleted": "delete owner Background, create",
    # while the controllers are stopped: either to pods, or one thing to something else (see `_list_words`)
    "nobody makes it": "stop, create, continue, bind, start, end 0",
    "nobody counts its end": f"{RUNNING}, stop, end 0, continue",
    "nobody counts its failure": f"{RUNNING}, stop, end 1, continue",
    "nobody sees anything of its life": "create, stop, bind, start, end 0, delete pod, continue",
    "nobody suspends it": f"{RUNNING}, stop, suspend, continue, end 143, let go",
    "nobody sees that it was evicted": "create, bind, stop, evict, end unstarted, let go, continue",
    "nobody sees that it was drained and did well": f"{RUNNING}, stop, evict plain, end 0, let go, continue",
    "nobody sees that it was deleted": f"{RUNNING}, stop, delete pod 0, continue, end 143",
    "nobody sees that its Job was deleted": f"{RUNNING}, stop, delete job Background, continue, end 143, let go",
    "nobody sees that its Job was orphaned": f"{RUNNING}, stop, delete job Orphan, continue, end 0, delete pod",
    "nobody deletes it before its Job": f"{RUNNING}, stop, delete job Foreground, continue, end 143, let go",
    "nobody sees that its owner was deleted": f"{RUNNING}, stop, delete owner Background, continue, end 143, let go",
    "nobody deletes it before its owner": f"{RUNNING}, stop, delete owner Foreground, continue, end 143, let go",
}
"""By what happens to the pod."""

OF_PODS: Final = (
    *("bind", "start", "start", "end 0", "end 1", "end 143", "end unstarted", "let go", "let go"),
    *("start init", "run", "deadline", "pressure", "evict", "evict stale", "evict wrong", "evict plain"),
    *("delete pod", "delete pod 5", "delete pod 0"),
)
OF_OTHERS: Final = (
    *("create", "create init", "suspend", "suspend", "resume", "resume", "suspend wrong"),
    *(f"delete job {policy}" for policy in POLICIES),
    *(f"delete owner {policy}" for policy in POLICIES),
    *("delete job Background wrong", "delete job Orphan wrong"),
)
MAX_TRIES: Final = 200
LATEST_WAIT: Final = 3
"""A script waits for the real collector of pods without a node only once, and by this step: with all the others. One
that stops the controllers never does: the others wait for it."""


def generate(chance: random.Random) -> list[str]:
    """Make up a script."""
    model = Model()
    steps = [chance.choice(("create", "create", "create init"))]
    model.play(steps[0])
    length = chance.randint(4, 10)
    may_stop = chance.random() < 0.3
    latest_wait = 0 if may_stop else LATEST_WAIT
    for _ in range(MAX_TRIES):
        step = chance.choice(_list_words(model, steps, may_stop=may_stop))
        twin = model.fork()
        try:
            moment = twin.play(step)
        except (ImpossibleError, RacyError):
            continue
        if twin.waits > (1 if len(steps) < latest_wait else model.waits):
            continue
        if not moment.is_certain:
            continue
        is_idle = moment.view == model.view and step not in ("run", "stop", "continue")
        if is_idle and chance.random() < 0.8:
            continue
        model = twin
        steps.append(step)
        may_stop = may_stop and step != "stop"
        if len(steps) >= length and not model.is_stopped:
            break
    return [*steps, "continue"] if model.is_stopped else steps


def _list_words(model: Model, steps: Sequence[str], *, may_stop: bool) -> Sequence[str]:
    """Return what may come next.

    While the controllers are stopped, either things happen to pods or one thing to something else: when they go on,
    it would depend on which of their watches is told first.
    """
    if not model.is_stopped:
        return (*OF_PODS * 3, *OF_OTHERS, *(["stop"] * 5 if may_stop else []))
    if steps[-1] == "stop":
        return (*OF_PODS, *OF_OTHERS)
    return ("continue", *(OF_PODS if steps[-1] in OF_PODS else ()))
