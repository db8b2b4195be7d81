"""Lazy modules: the parts of the Kubernetes client that its package loads with it, and that nobody here uses.

`import kubernetes` loads both halves of the client, with all that the synchronous one needs: a third of the time that a
program takes to start. Marked as lazy, such a module is loaded when something in it is asked for.
https://docs.python.org/3/library/importlib.html#importlib.util.LazyLoader
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Final

UNUSED: Final = frozenset(
    [f"kubernetes.{name}" for name in ("config", "dynamic", "informer", "leaderelection", "stream", "utils", "watch")]
    + [f"kubernetes.aio.{name}" for name in ("dynamic", "leaderelection", "stream", "utils", "watch")]
)


class _LazyFinder:
    """Finds the modules that are to be lazy, and leaves all others to the finders after it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how a module is loaded, if it is one of those."""
        if fullname not in UNUSED:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


def defer_unused() -> None:
    """Have the unused modules loaded when they are asked for; to be called once, before anything imports the client."""
    sys.meta_path.insert(0, _LazyFinder())
