"""Cache of API objects: the newest known state of each, in whatever order and how often news of it comes.

News comes from the watches and in the answers to our own writes, and either may be late:

    upsert   newer than what is known     read, and known from now on
             equally new, or older        ignored, and not even read
             of an object that is gone    ignored: it would come back to life
    delete                                gone; its tombstone stays
    retain                                gone, but its last state stays until it is released

Resource versions of one kind compare as integers:
https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Container
from typing import Final, Generic, TypeVar

from mageflow.kube.transport import Raw

REMEMBERED_DELETIONS: Final = 10_000
"""How many deleted objects are remembered."""

T = TypeVar("T")


class Tombstones:
    """The uids of the objects that were deleted last; a uid is never used again."""

    def __init__(self) -> None:
        self._uids: OrderedDict[str, None] = OrderedDict()

    def add(self, uid: str) -> None:
        """Remember a deleted object; the oldest is forgotten when there are too many."""
        self._uids[uid] = None
        while len(self._uids) > REMEMBERED_DELETIONS:
            self._uids.popitem(last=False)

    def __contains__(self, uid: object) -> bool:
        return uid in self._uids


class ObjectStore(Generic[T]):
    """Objects by uid, each as it was read from its newest known version.

    `tombstones` may be shared by several stores: it bounds what all of them remember together.
    """

    __slots__ = ("_objects", "_retained", "_tombstones", "_versions")

    def __init__(self, tombstones: Tombstones) -> None:
        self._tombstones = tombstones
        self._objects: dict[str, T] = {}
        self._versions: dict[str, int] = {}
        self._retained: dict[str, None] = {}  # as a set: most are empty, and an empty dict is a quarter of an empty set

    def upsert(self, raw: Raw, read: Callable[[T | None], T]) -> T | None:
        """Take in an object; return what is known of it from now on, None if that was no news.

        `read` returns that from `raw` and from what was known of the object before (None: nothing). It isn't called if
        there is no news, and if it raises the store stays as it was.
        """
        uid, version = raw["metadata"]["uid"], int(raw["metadata"]["resourceVersion"])
        if self.is_gone(uid) or version <= self._versions.get(uid, -1):
            return None
        news = self._objects[uid] = read(self._objects.get(uid))
        self._versions[uid] = version
        return news

    def delete(self, uid: str) -> T | None:
        """Take in that an object is gone; return what was known of it."""
        self._tombstones.add(uid)
        self._retained.pop(uid, None)
        self._versions.pop(uid, None)
        return self._objects.pop(uid, None)

    def retain(self, uid: str, last: T) -> None:
        """Take in that an object is gone, and go on telling its last state."""
        self._tombstones.add(uid)
        self._retained[uid] = None
        self._objects[uid] = last

    def release(self, is_needed: Callable[[T], bool]) -> list[str]:
        """Forget the retained objects that aren't needed any more; return their uids."""
        released = [uid for uid in self._retained if not is_needed(self._objects[uid])]
        for uid in released:
            self.delete(uid)
        return released

    def list_missing(self, present: Container[str], version: int) -> list[T]:
        """Return what is known of the objects that aren't among all those `present` as of a resource version.

        What is known of a later version may have come after that; what is retained is known to be gone.
        """
        return [
            self._objects[uid]
            for uid, known in self._versions.items()
            if known <= version and uid not in present and uid not in self._retained
        ]

    def is_gone(self, uid: str) -> bool:
        """Tell whether an object is known to be gone."""
        return uid in self._tombstones

    def is_retained(self, uid: str) -> bool:
        """Tell whether an object is gone, and its last state is still known."""
        return uid in self._retained

    def get(self, uid: str) -> T | None:
        """Return what is known of an object; None if nothing is."""
        return self._objects.get(uid)

    def values(self) -> list[T]:
        """Return what is known of all objects. Safe to call from another thread."""
        return list(self._objects.values())

    def uids(self) -> list[str]:
        """Return the uids of all objects that anything is known of."""
        return list(self._objects)

    def __len__(self) -> int:
        return len(self._objects)
