"""A kube-apiserver in miniature: objects, resource versions, preconditions, finalizers, and a log for watches.

It answers the requests that the operator and the controllers make, and no others; what isn't modelled raises. The same
scripts run on it and on a real API server (`tests/integration/test_model_is_true.py`).
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any, Final

from mageflow.kube.errors import AlreadyExistsError, ApiError, Cause, ConflictError, InvalidRequestError, NotFoundError
from mageflow.kube.transport import Raw

OPERATOR: Final = "operator"
"""Who makes the operator's requests."""
GRACE_SECONDS: Final = 30
TRACKING: Final = "batch.kubernetes.io/job-tracking"
ORPHAN: Final = "orphan"
FOREGROUND: Final = "foregroundDeletion"
EVENT_TTL: Final = timedelta(hours=1)
"""How long events are kept: --event-ttl."""
FINALIZERS: Final = {"Orphan": ORPHAN, "Foreground": FOREGROUND}
DEFAULT_POLICIES: Final = {"jobs": "Orphan"}
"""What is done where a deletion doesn't say."""

PATH: Final = re.compile(
    r"/apis?/(?:[a-z0-9.]+/)?v1/namespaces/(?P<namespace>[^/]+)"
    r"/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[a-z]+))?"
)


@dataclass(frozen=True)
class Change:
    """What a watch tells: an object was ADDED, MODIFIED or DELETED."""

    type: str
    plural: str
    object: Raw


Listener = Callable[[str, "Change", Raw | None], None]
"""Called with who made a change, the change, and the object as it was before."""


class Server:
    """All objects of one namespace. Several that share `versions` and `uids` are the namespaces of one cluster."""

    def __init__(
        self,
        now: Callable[[], datetime],
        namespace: str,
        versions: Iterator[int] | None = None,
        uids: Iterator[int] | None = None,
    ) -> None:
        self._now = now
        self.namespace = namespace
        self._versions = count(101) if versions is None else versions
        self._uids = count(1) if uids is None else uids
        self.objects: defaultdict[str, dict[str, Raw]] = defaultdict(dict)
        self.log: defaultdict[str, list[Change]] = defaultdict(list)
        self.listeners: list[Listener] = []
        self.fails_half_way = False
        """The next eviction marks its pod, and then fails to delete it."""
        self.denied: dict[str, ApiError] = {}
        """What an admission says of the operator's requests, by method and what it is for: `POST jobs`."""
        self.takes_no_status = False
        """No status of a resource can be written: it is larger than etcd takes."""
        self.has_lost_status = False
        """A status was refused, or lost, since one was written last."""

    # ── requests ──

    def handle(self, by: str, method: str, path: str, body: Any = None, query: Mapping[str, str] | None = None) -> Raw:
        """Answer one request made `by` someone; raise ApiError as the real one does."""
        match = PATH.fullmatch(path)
        if match is None or match["namespace"] != self.namespace:
            raise NotImplementedError(f"{method} {path}")
        plural, name, sub = match["plural"], match["name"], match["sub"]
        self._ask_admission(by, f"{method} {sub or plural}")
        match method, name, sub:
            case "GET", None, None:
                return {"items": self.list(plural, query or {})}
            case "GET", str(), None:
                return self.get(plural, name)
            case "POST", None, None:
                return self.create(by, plural, body)
            case "POST", str(), "eviction":
                return self.evict(by, name, body.get("deleteOptions") or {})
            case "PUT", str(), "status":
                return self._replace_status(by, plural, name, body)
            case "PUT", str(), None:
                return self._replace_spec(by, plural, name, body)
            case "PATCH", str(), None:
                return self._patch(by, plural, name, body)
            case "DELETE", str(), None:
                return self.delete(by, plural, name, body or {})
        raise NotImplementedError(f"{method} {path}")

    def _ask_admission(self, by: str, what: str) -> None:
        if by == OPERATOR and what in self.denied:
            raise self.denied[what]

    def find(self, plural: str, name: str) -> Raw | None:
        """Return an object, None if it isn't there."""
        return self.objects[plural].get(name)

    def get(self, plural: str, name: str) -> Raw:
        """Return an object; raise ApiError 404 if it isn't there."""
        raw = self.find(plural, name)
        if raw is None:
            raise NotFoundError(404, "NotFound", f'{plural} "{name}" not found')
        return raw

    def list(self, plural: str, query: Mapping[str, str] | None = None) -> list[Raw]:
        """Return the objects that a label selector of one `key=value` selects, or a field selector of several."""
        if plural == "events":
            self._drop_old_events()
        items = list(self.objects[plural].values())
        if query and "fieldSelector" in query:
            wanted = [each.split("=") for each in query["fieldSelector"].split(",")]
            items = [raw for raw in items if all(_field_of(raw, path) == value for path, value in wanted)]
        if query and "labelSelector" in query:
            key, _, value = query["labelSelector"].partition("=")
            items = [raw for raw in items if raw["metadata"].get("labels", {}).get(key) == value]
        return items

    def create(self, by: str, plural: str, body: Raw) -> Raw:
        """Create an object; raise ApiError 409 if there is one of its name."""
        raw = _copy(body)
        metadata = raw["metadata"]
        if "name" not in metadata:
            metadata["name"] = f"{metadata['generateName']}{next(self._uids)}"
        if metadata["name"] in self.objects[plural]:
            raise AlreadyExistsError(409, "AlreadyExists", f'{plural} "{metadata["name"]}" already exists')
        metadata |= {"namespace": self.namespace, "uid": f"{plural}-{next(self._uids)}", "generation": 1}
        metadata["creationTimestamp"] = self.timestamp()
        self._store(by, "ADDED", plural, raw, None)
        return raw

    def change(
        self, by: str, plural: str, name: str, mutate: Callable[[Raw], None], *, version: str | None = None
    ) -> Raw:
        """Change an object; raise ApiError 409 if it isn't of `version`. A change that changes nothing isn't one.

        An object whose deletion nothing holds up any more goes.
        """
        old = self.get(plural, name)
        _check_version(old, version)
        new = _copy(old)
        mutate(new)
        if new == old:
            return old
        if new.get("spec") != old.get("spec"):
            new["metadata"]["generation"] = old["metadata"]["generation"] + 1
        if _is_free_to_go(new):
            self._remove(by, plural, new, old)
        else:
            self._store(by, "MODIFIED", plural, new, old)
        return new

    def delete(self, by: str, plural: str, name: str, options: Mapping[str, Any]) -> Raw:
        """Delete an object, at once or when nothing holds it up; a later policy replaces an earlier one.

        A pod on a node is given its grace period, and goes when the kubelet deletes it without.
        pkg/registry/generic/registry/store.go
        """
        old = self.get(plural, name)
        _check_preconditions(old, options.get("preconditions") or {})
        if plural == "pods":
            return self._delete_pod(by, old, options.get("gracePeriodSeconds"))
        policy = options.get("propagationPolicy")

        def mutate(raw: Raw) -> None:
            metadata = raw["metadata"]
            present = metadata.get("finalizers", ())
            kept = [each for each in present if each not in FINALIZERS.values()]
            if policy is not None or kept == [*present]:
                wanted = FINALIZERS.get(policy or DEFAULT_POLICIES.get(plural, "Background"))
                metadata["finalizers"] = kept if wanted is None else [*kept, wanted]
            metadata["deletionGracePeriodSeconds"] = 0
            metadata.setdefault("deletionTimestamp", self.timestamp())

        return self.change(by, plural, name, mutate)

    def evict(self, by: str, name: str, options: Mapping[str, Any]) -> Raw:
        """Evict a pod: set its condition DisruptionTarget, then delete it.

        Another write may come between the two, and the deletion then fails: `fails_half_way`.
        pkg/registry/core/pod/storage/eviction.go
        """
        preconditions = dict(options.get("preconditions") or {})
        _check_preconditions(self.get("pods", name), preconditions)
        marked = self.change(by, "pods", name, lambda raw: mark_disrupted(raw, "EvictionByEvictionAPI"))
        if self.fails_half_way:
            self.fails_half_way = False
            raise ConflictError(409, "Conflict", "the pod has changed")
        if "resourceVersion" in preconditions:
            preconditions["resourceVersion"] = marked["metadata"]["resourceVersion"]
        return self.delete(by, "pods", name, {"preconditions": preconditions})

    def tell(self, by: str, about: Raw, reason: str, message: str, container: str | None = None) -> None:
        """Make an Event about an object, or a container of a pod, as the controllers and the kubelet do."""
        kind = "Pod" if "containers" in about["spec"] else "Job"
        involved = {"kind": kind, "name": name_of(about), "uid": uid_of(about)}
        if container is not None:
            where = "initContainers" if container == "init" else "containers"
            involved["fieldPath"] = f"spec.{where}{{{container}}}"
        facts = {"reason": reason, "message": message, "firstTimestamp": self.timestamp()}
        body = {"metadata": {"generateName": f"{name_of(about)}."}, "involvedObject": involved, **facts}
        self.create(by, "events", body)

    def _drop_old_events(self) -> None:
        oldest = (self._now() - EVENT_TTL).strftime("%Y-%m-%dT%H:%M:%SZ")
        events = self.objects["events"]
        for name in [name for name, raw in events.items() if raw["metadata"]["creationTimestamp"] < oldest]:
            del events[name]

    def timestamp(self) -> str:
        """Return the time in seconds, as objects carry it."""
        return self._now().strftime("%Y-%m-%dT%H:%M:%SZ")

    # ── inside ──

    def _delete_pod(self, by: str, old: Raw, asked: int | None) -> Raw:
        """Delete a pod in two writes: one says when it is to go, and if that is now, another takes it away.

        A pod that is being deleted can only be given less time. pkg/registry/core/pod/strategy.go
        """
        grace = GRACE_SECONDS if asked is None else asked
        if is_terminating(old):
            if asked is None or asked >= old["metadata"]["deletionGracePeriodSeconds"]:
                return old
        elif "nodeName" not in old["spec"] or has_ended(old):
            grace = 0
        new = _copy(old)
        new["metadata"]["deletionGracePeriodSeconds"] = grace
        new["metadata"].setdefault("deletionTimestamp", self.timestamp())
        self._store(by, "MODIFIED", "pods", new, old)
        if not _is_free_to_go(new):
            return new
        gone = _copy(new)
        self._remove(by, "pods", gone, new)
        return gone

    def _replace_status(self, by: str, plural: str, name: str, body: Raw) -> Raw:
        self.has_lost_status = self.takes_no_status
        if self.takes_no_status:
            raise ApiError(500, "InternalError", "etcdserver: request is too large")
        status = _copy(body["status"])
        return self.change(
            by, plural, name, lambda raw: raw.update(status=status), version=body["metadata"].get("resourceVersion")
        )

    def _replace_spec(self, by: str, plural: str, name: str, body: Raw) -> Raw:
        spec = _copy(body["spec"])
        return self.change(
            by, plural, name, lambda raw: raw.update(spec=spec), version=body["metadata"].get("resourceVersion")
        )

    def _patch(self, by: str, plural: str, name: str, body: Raw) -> Raw:
        old = self.get(plural, name)
        uid = body.get("metadata", {}).get("uid", old["metadata"]["uid"])
        if uid != old["metadata"]["uid"]:
            immutable = Cause("metadata.uid", "field is immutable")
            raise InvalidRequestError(f"{plural} {name!r}", [immutable], str(immutable), status=422, reason="Invalid")
        return self.change(by, plural, name, lambda raw: _merge(raw, body))

    def _store(self, by: str, type_: str, plural: str, raw: Raw, old: Raw | None) -> None:
        raw["metadata"]["resourceVersion"] = str(next(self._versions))
        self.objects[plural][raw["metadata"]["name"]] = raw
        self._tell(by, Change(type_, plural, raw), old)

    def _remove(self, by: str, plural: str, raw: Raw, old: Raw) -> None:
        raw["metadata"]["resourceVersion"] = str(next(self._versions))
        del self.objects[plural][raw["metadata"]["name"]]
        self._tell(by, Change("DELETED", plural, raw), old)

    def _tell(self, by: str, change: Change, old: Raw | None) -> None:
        self.log[change.plural].append(change)
        for listener in self.listeners:
            listener(by, change, old)


# ── facts about objects ──


def uid_of(raw: Raw) -> str:
    """Return an object's uid."""
    uid: str = raw["metadata"]["uid"]
    return uid


def name_of(raw: Raw) -> str:
    """Return an object's name."""
    name: str = raw["metadata"]["name"]
    return name


def label_of(raw: Raw, label: str) -> str:
    """Return the value of a label that an object has."""
    value: str = raw["metadata"]["labels"][label]
    return value


def owner_of(raw: Raw) -> str | None:
    """Return the uid of an object's controller."""
    references = raw["metadata"].get("ownerReferences", ())
    return next((reference["uid"] for reference in references if reference.get("controller")), None)


def is_terminating(raw: Raw) -> bool:
    """It is being deleted."""
    return "deletionTimestamp" in raw["metadata"]


def has_ended(raw: Raw) -> bool:
    """The pod has ended."""
    return raw.get("status", {}).get("phase") in ("Succeeded", "Failed")


def is_tracked(raw: Raw) -> bool:
    """It bears the Job controller's finalizer: its end is not counted yet."""
    return TRACKING in raw["metadata"].get("finalizers", ())


def find_condition(raw: Raw, type_: str) -> Raw | None:
    """Return a condition that is True, None if it isn't."""
    conditions = raw.get("status", {}).get("conditions", ())
    return next((each for each in conditions if each["type"] == type_ and each["status"] == "True"), None)


def mark_disrupted(raw: Raw, reason: str) -> None:
    """Say in a pod's status that it is ended through no fault of its own."""
    set_condition(raw, {"type": "DisruptionTarget", "status": "True", "reason": reason})


def set_condition(raw: Raw, condition: Raw) -> None:
    """Put a condition in place of that of its type."""
    status = raw.setdefault("status", {})
    others = [each for each in status.get("conditions", ()) if each["type"] != condition["type"]]
    status["conditions"] = [*others, condition]


def drop_finalizer(raw: Raw, finalizer: str) -> None:
    """Take a finalizer off an object."""
    kept = [each for each in raw["metadata"].get("finalizers", ()) if each != finalizer]
    raw["metadata"]["finalizers"] = kept


def _is_free_to_go(raw: Raw) -> bool:
    metadata = raw["metadata"]
    return is_terminating(raw) and not metadata.get("finalizers") and metadata["deletionGracePeriodSeconds"] == 0


def _field_of(raw: Raw, path: str) -> Any:
    value: Any = raw
    for key in path.split("."):
        value = (value or {}).get(key)
    return value


def _check_version(raw: Raw, version: str | None) -> None:
    if version is not None and version != raw["metadata"]["resourceVersion"]:
        raise ConflictError(409, "Conflict", "the object has been modified")


def _check_preconditions(raw: Raw, preconditions: Mapping[str, str]) -> None:
    if preconditions.get("uid", uid_of(raw)) != uid_of(raw):
        raise ConflictError(409, "Conflict", "the uid in the precondition isn't the object's")
    _check_version(raw, preconditions.get("resourceVersion"))


def _copy(raw: Mapping[str, Any]) -> Raw:
    """Copy a JSON object; several times faster than the standard library's deepcopy."""
    copied: Raw = json.loads(json.dumps(raw))
    return copied


def _merge(target: Raw, patch: Raw) -> None:
    """Apply a merge patch: RFC 7386."""
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value
