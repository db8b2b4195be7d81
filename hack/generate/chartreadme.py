"""The table of values in helm/mageflow/README.md; what is written around it stays."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

_SECTION = re.compile(r"(?<=<!-- values: written by `make generate` -->\n).*(?=<!-- end of values -->)", re.DOTALL)


def insert_values(chart: Path) -> str:
    """Return the text of a chart's README.md with a row for each value of its values.schema.json."""
    schema = json.loads((chart / "values.schema.json").read_text())
    defaults = yaml.safe_load((chart / "values.yaml").read_text())
    rows = "".join(f"| `{path}` | `{default}` | {meaning} |\n" for path, default, meaning in _rows(schema, defaults))
    table = f"\n| value | default | meaning |\n|---|---|---|\n{rows}\n"
    text, count = _SECTION.subn(lambda _: table, (chart / "README.md").read_text())
    assert count == 1, f"{count} places for the values in {chart / 'README.md'}"
    return text


def _rows(schema: dict[str, Any], defaults: dict[str, Any], path: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield path, default and meaning of each value; one that is described as a whole has one row."""
    for name, field in schema["properties"].items():
        if name not in defaults:
            continue
        here = f"{path}.{name}".lstrip(".")
        if "description" in field:
            default = json.dumps(defaults[name], ensure_ascii=False)
            yield here, default.replace("|", "\\|"), field["description"].replace("|", "\\|")
        else:
            yield from _rows(field, defaults[name], here)
