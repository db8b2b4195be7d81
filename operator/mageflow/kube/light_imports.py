"""Light imports: what other packages load or read when they are imported, and none of our programs uses, is left out.

The Kubernetes client    loads both its halves, with all that the synchronous one needs: those parts are made lazy
kopf                     takes two classes of that half, for handlers that are given them, if it finds them: it doesn't
aiohttp                  reads the system's certificate authorities, twice, for connections that name none: ours do

That is half of what a program takes to start. Programs ask for it, not the library: other code of the process may use
all of that. https://docs.python.org/3/library/importlib.html#importlib.util.LazyLoader
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType
from typing import Any, Final

LAZY: Final = frozenset(
    [f"kubernetes.{name}" for name in ("config", "dynamic", "informer", "leaderelection", "stream", "utils", "watch")]
    + [f"kubernetes.aio.{name}" for name in ("dynamic", "leaderelection", "stream", "utils", "watch")]
)
"""Modules that are loaded when something in them is asked for."""

SYNCHRONOUS_MODELS: Final = "kubernetes.client.models"
"""The synchronous half's classes, each of which loads more. kopf does without, if they can't be imported."""

READING: Final = "aiohttp.connector"
"""Reads the system's certificate authorities when it is imported."""

AUTHORITIES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
"""The environment's variables that tell OpenSSL where those are."""


class _Finder:
    """Finds the modules above, but for those that are `absent`, and leaves all others to the finders after it."""

    def __init__(self, absent: frozenset[str]) -> None:
        self._absent = absent

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how a module is loaded, if it is one of those. Raises ModuleNotFoundError for one that is absent."""
        if fullname in self._absent:
            raise ModuleNotFoundError(f"{fullname} isn't loaded by this program", name=fullname)
        if fullname not in LAZY and fullname != READING:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            loader: Any = _Blindfold(spec.loader) if fullname == READING else LazyLoader(spec.loader)
            spec.loader = loader
        return spec


class _Blindfold:
    """Loads a module that finds no certificate authorities meanwhile."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make the module, as its own loader does."""
        module: ModuleType | None = self._loader.create_module(spec)
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run the module."""
        kept = {name: os.environ.get(name) for name in AUTHORITIES}
        os.environ.update(dict.fromkeys(AUTHORITIES, os.devnull))
        try:
            self._loader.exec_module(module)
        finally:
            for name, value in kept.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def import_lightly(*absent: str) -> None:
    """Import so from now on; to be called once, before anything imports those packages. `absent` can't be imported."""
    sys.meta_path.insert(0, _Finder(frozenset(absent)))
