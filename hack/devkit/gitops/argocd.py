"""Argo CD's health checks and resource actions, from an argocd-cm ConfigMap.

As in util/lua/lua.go of Argo CD: Lua 5.1 with the base, table and a part of the os library, no strings or mathematics;
`obj` is the resource; an action returns it changed, and the difference is sent as a merge patch. Lua knows no null, and
takes an empty object for an empty list; Argo CD puts that right where the resource had an empty object.
https://argo-cd.readthedocs.io/en/stable/operator-manual/health/
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from lupa import lua51  # type: ignore[import-untyped]

from devkit.kubectl import Raw

CLOSED: Final = (
    *("string", "math", "io", "debug", "coroutine", "os", "python", "dofile", "loadfile"),
    *("package.loadlib", "package.cpath", "package.path"),
)
"""What a script doesn't have there. The methods of strings are shut off as well."""

STATUSES: Final = frozenset({"Healthy", "Progressing", "Degraded", "Suspended", "Missing", "Unknown"})


@dataclass(frozen=True)
class Health:
    """What Argo CD shows of a resource."""

    status: str
    message: str


class ArgoCD:
    """One Argo CD, with its customizations."""

    def __init__(self, config_map: Path) -> None:
        self._data: dict[str, str] = yaml.safe_load(config_map.read_text())["data"]

    def assess(self, document: Raw) -> Health:
        """Tell the health of a resource."""
        if "deletionTimestamp" in document["metadata"]:
            return Health("Progressing", "Pending deletion")
        answer = _run(self._customization("health", document), document)
        assert set(answer) <= {"status", "message"}, answer
        assert answer["status"] in STATUSES, answer
        return Health(answer["status"], answer.get("message", ""))

    def discover(self, document: Raw) -> dict[str, bool]:
        """Return the actions that are shown for a resource, each with whether it can be chosen."""
        actions = self._actions(document)
        answer = _run(actions["discovery.lua"], document)
        if answer == []:
            return {}
        assert set(answer) <= {definition["name"] for definition in actions["definitions"]}, answer
        return {name: not action.get("disabled", False) for name, action in answer.items()}

    def act(self, document: Raw, name: str) -> Raw:
        """Run an action; return the merge patch that is sent."""
        definitions = self._actions(document)["definitions"]
        script = next(definition["action.lua"] for definition in definitions if definition["name"] == name)
        changed = _mend(_run(script, document), document)
        patch: Raw = _difference(document, changed)
        return patch

    def _actions(self, document: Raw) -> Raw:
        actions: Raw = yaml.safe_load(self._customization("actions", document))
        return actions

    def _customization(self, what: str, document: Raw) -> str:
        group = document["apiVersion"].partition("/")[0]
        return self._data[f"resource.customizations.{what}.{group}_{document['kind']}"]


def _run(script: str, document: Raw) -> Any:
    lua = lua51.LuaRuntime(register_eval=False, register_builtins=False)
    lua.execute('debug.getmetatable("").__index = nil')
    for name in CLOSED:
        lua.execute(f"{name} = nil")
    lua.globals().obj = _to_lua(lua, document)
    return _from_lua(lua.execute(script))


def _to_lua(lua: Any, value: Any) -> Any:
    if isinstance(value, Mapping):
        return lua.table_from({key: _to_lua(lua, item) for key, item in value.items() if item is not None})
    if isinstance(value, list):
        return lua.table_from([_to_lua(lua, item) for item in value])
    return value


def _from_lua(value: Any) -> Any:
    if lua51.lua_type(value) != "table":
        return value
    items = dict(value.items())
    if list(items) == list(range(1, len(items) + 1)):
        return [_from_lua(item) for item in items.values()]
    assert all(isinstance(key, str) for key in items), "neither a list nor an object"
    return {key: _from_lua(item) for key, item in items.items()}


def _mend(new: Any, old: Any) -> Any:
    """Return what a script returned with objects again where it has empty lists instead."""
    if new == [] and isinstance(old, dict):
        return {}
    if isinstance(new, dict) and isinstance(old, dict):
        return {key: _mend(value, old.get(key)) for key, value in new.items()}
    if isinstance(new, list) and isinstance(old, list):
        return [_mend(value, old[index] if index < len(old) else None) for index, value in enumerate(new)]
    return new


def _difference(old: Raw, new: Raw) -> Raw:
    """Return the merge patch (RFC 7386) that makes `new` of `old`."""
    patch: Raw = {key: None for key in old if key not in new}
    for key, value in new.items():
        if key in old and isinstance(value, dict) and isinstance(old[key], dict):
            inner = _difference(old[key], value)
            if inner:
                patch[key] = inner
        elif key not in old or old[key] != value:
            patch[key] = value
    return patch
