"""Memory: what lives as long as the process is set aside, so that no garbage collection looks at it again.

A full collection walks over every object: over the modules' half a million, and the caches' own, while all else waits.
https://docs.python.org/3/library/gc.html#gc.freeze
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def set_aside() -> Iterator[None]:
    """Set aside what is made in the block; it is still freed when nothing refers to it any more."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
