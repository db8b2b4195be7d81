"""The maps of the operator's packages: each says what every file of it is for."""

from __future__ import annotations

import re
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest


@pytest.mark.parametrize("package", ["controller", "kube"])
def test_map_of_a_package_names_each_of_its_files_once(package: str) -> None:
    module = import_module(f"mageflow.{package}")
    drawn = Counter(re.findall(r"\w+\.py\b", module.__doc__ or ""))
    there = [file.name for file in Path(str(module.__file__)).parent.glob("*.py") if file.name != "__init__.py"]
    assert drawn == Counter(there)
