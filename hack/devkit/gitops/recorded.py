"""Resources as a real cluster had them, kept for the tests that have none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from devkit.cluster import ROOT
from devkit.kubectl import Raw

FOLDER: Final = ROOT / "tests" / "gitops" / "recorded"
"""Written by e2e/test_gitops.py when MAGEFLOW_RECORD is set."""

DROPPED: Final = ("managedFields", "resourceVersion")
FIXED: Final = {"uid": "01234567-89ab-cdef-0123-456789abcdef", "namespace": "team-a"}
TIME: Final = "2026-01-01T00:00:00Z"


def write(seen: Mapping[tuple[str, str], Raw]) -> None:
    """Write resources anew, by kind and state."""
    for path in FOLDER.glob("*.json"):
        path.unlink()
    for (kind, state), document in seen.items():
        text = json.dumps(normalize(document), indent=1, sort_keys=True, ensure_ascii=False)
        path_of(kind, state).write_text(f"{text}\n")


def path_of(kind: str, state: str) -> Path:
    """Return where a resource is kept."""
    return FOLDER / f"{kind.lower()}-{state}.json"


def read(path: Path) -> Raw:
    """Read one."""
    document: Raw = json.loads(path.read_text())
    return document


def normalize(document: Raw) -> Raw:
    """Return it without what would differ in each recording, as far as nothing depends on it."""
    metadata = {key: FIXED.get(key, value) for key, value in document["metadata"].items() if key not in DROPPED}
    normalized: Raw = _fix_times(document | {"metadata": metadata})
    return normalized


def _fix_times(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: TIME if _is_time(key) else _fix_times(item) for key, item in value.items()}
    return [_fix_times(item) for item in value] if isinstance(value, list) else value


def _is_time(key: str) -> bool:
    return key.endswith(("Timestamp", "At", "TransitionTime"))
