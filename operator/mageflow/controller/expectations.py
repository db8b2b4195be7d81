"""Expectations: what our own writes have done to the Jobs and pods of a resource, and no watch has shown yet.

The answer to most writes brings the new state of the object, which is known at once. The answer to a deletion or an
eviction doesn't. Until a watch shows it the object looks as if it were to stay, so nothing is decided.
The word is client-go's: https://pkg.go.dev/k8s.io/kubernetes/pkg/controller#ControllerExpectations
"""

from __future__ import annotations


class Expectations:
    """The Jobs and pods of one resource that we have deleted, and that no watch has shown to be deleted."""

    __slots__ = ("_deletions",)

    def __init__(self) -> None:
        self._deletions: dict[str, None] = {}  # as a set: most are empty, and an empty dict is smaller

    def expect_deletion(self, uid: str) -> None:
        """Expect a watch to show an object with a deletionTimestamp, or gone.

        A newer state is not enough: an eviction marks the pod as disrupted first, and then deletes it.
        """
        self._deletions[uid] = None

    def fulfil(self, uid: str) -> None:
        """Note that the deletion of an object was shown; nothing happens if it wasn't expected."""
        self._deletions.pop(uid, None)

    def fulfil_all(self) -> None:
        """Note that all Jobs and pods were read: whatever had been deleted is known."""
        self._deletions.clear()

    @property
    def are_fulfilled(self) -> bool:
        """Nothing is expected."""
        return not self._deletions

    def uids(self) -> frozenset[str]:
        """Return the uids of the objects whose deletion is expected."""
        return frozenset(self._deletions)

    def __contains__(self, uid: object) -> bool:
        return uid in self._deletions
