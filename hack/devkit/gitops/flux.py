"""Flux's health checks by CEL expressions: runtime/cel/status_evaluator.go of fluxcd/pkg.

The fields of the resource are the variables. An `observedGeneration` that isn't the present one is InProgress; then the
first expression that is true decides, of inProgress, failed, current; none is InProgress. An expression that can't be
evaluated, as for a field that isn't there, is an error, and Flux goes on waiting.
https://fluxcd.io/flux/components/kustomize/kustomizations/#health-check-expressions
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, Final

import celpy
import yaml
from celpy.adapter import json_to_cel
from celpy.evaluation import CELEvalError

from devkit.kubectl import Raw

ORDER: Final = (("inProgress", "InProgress"), ("failed", "Failed"), ("current", "Current"))

FIELDS: Final = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})

WAITS: Final = "Unknown"
"""The status while an expression can't be evaluated."""


class Flux:
    """The `healthCheckExprs` of a Kustomization or a HelmRelease."""

    def __init__(self, manifest: Path) -> None:
        checks = yaml.safe_load(manifest.read_text())["spec"]["healthCheckExprs"]
        self._checks: dict[tuple[str, str], dict[str, str]] = {}
        for check in checks:
            key = (_group(check["apiVersion"]), check["kind"])
            assert key not in self._checks, "Flux refuses a kind that is there twice"
            self._checks[key] = {name: check[name] for name, _ in ORDER if name in check}

    def assess(self, document: Raw) -> str:
        """Return Current, InProgress or Failed; Unknown while Flux can't tell, and waits."""
        observed = document.get("status", {}).get("observedGeneration")
        if observed is not None and observed != document["metadata"]["generation"]:
            return "InProgress"
        try:
            return next((status for name, status in ORDER if self.holds(name, document)), "InProgress")
        except CELEvalError:
            return WAITS

    def holds(self, name: str, document: Raw) -> bool:
        """Evaluate one expression; raise CELEvalError where Flux reports an error."""
        check = self._checks[_group(document["apiVersion"]), document["kind"]]
        if name not in check:
            return False
        for variable in sorted(FIELDS - set(document)):
            if re.search(rf"(?<![\w.]){variable}\b", check[name]):  # celpy's has() would say false instead
                raise CELEvalError(f"there is no {variable}")
        answer = _compile(check[name]).evaluate({key: json_to_cel(value) for key, value in document.items()})
        assert isinstance(answer, celpy.celtypes.BoolType), f"{name} isn't a truth value but {answer!r}"
        return bool(answer)


@cache
def _compile(expression: str) -> Any:
    environment = celpy.Environment()
    return environment.program(environment.compile(expression))


def _group(api_version: str) -> str:
    return api_version.partition("/")[0]
