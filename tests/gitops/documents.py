"""The recorded resources, by name."""

from __future__ import annotations

from typing import Final

from devkit.gitops import recorded
from devkit.gitops.states import REACHED
from devkit.kubectl import Raw

DOCUMENTS: Final[dict[str, Raw]] = {path.stem: recorded.read(path) for path in sorted(recorded.FOLDER.glob("*.json"))}

EXPECTED: Final = {recorded.path_of(kind, state).stem for kind, state in REACHED}
