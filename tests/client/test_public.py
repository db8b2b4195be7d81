"""What `import mageflow` offers: its names, its types, and what it costs."""

from __future__ import annotations

import inspect
import subprocess
import sys
import types
import warnings
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from mypy import api as mypy

import mageflow
import mageflow.client.lifecycle_errors as errors
import mageflow.kube.errors as kube_errors
import mageflow.sync
from devkit.patience import PATIENCE
from mageflow.client.blocking import LoopThread

ROOT = Path(__file__).parents[2]

BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] in BLOCKED:
            raise ImportError(f'{name} is blocked')
sys.meta_path.insert(0, Blocker())
"""

USE = """
import asyncio, mageflow, mageflow.sync
from mageflow.testing import FakeCluster
async def main():
    chain = await mageflow.chain([mageflow.task('a', image='x')], name='x')
    await chain.start()
    return await chain.wait()
with FakeCluster().installed():
    assert asyncio.run(main()).phase == 'Succeeded'
import mageflow.kube.config, mageflow.kube.http, mageflow.testing.pytest_plugin
"""

TYPES = """
import mageflow, mageflow.sync
async def main() -> None:
    chain = await mageflow.chain([mageflow.task("a", image="x")], name="x")
    reveal_type(chain)
    reveal_type(await chain.suspend(wait=True, seconds=3))
    reveal_type(await mageflow.get("swarm", "x"))
    async for status in chain.watch():
        reveal_type(status.phase)
with mageflow.sync.Client(namespace="a") as client:
    sync = mageflow.sync.chain([mageflow.task("a", image="x")], name="x", client=client)
    reveal_type(sync)
    reveal_type(sync.suspend(wait=True, seconds=3))
    reveal_type(mageflow.sync.get("workflow", "x"))
    for line in sync.logs(follow=True):
        reveal_type(line)
    sync.suspend(until=3)
"""


def run_python(code: str, tmp_path: Path) -> None:
    with (tmp_path / "output").open("w") as output:
        command = [sys.executable, "-W", "error", "-c", code]
        done = subprocess.run(command, stdout=output, stderr=output, check=False, timeout=PATIENCE)
    assert done.returncode == 0, (tmp_path / "output").read_text()


# ── names ──


def test_public_names_are_those_in_all() -> None:
    assert mageflow.__all__ == sorted(mageflow.__all__)
    assert set(mageflow.__all__) <= set(dir(mageflow))
    for name in mageflow.__all__:
        assert getattr(mageflow, name) is not None
    public = {
        name for name, value in vars(mageflow).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }  # fmt: skip
    assert public - {"import_module", "Any", "TYPE_CHECKING"} <= set(mageflow.__all__)


def test_every_public_class_and_function_of_the_client_is_exported() -> None:
    modules = ("lifecycle_errors", "resource_status", "resource", "factory", "log_line", "tasks")
    for module in ("kube.errors", *(f"client.{name}" for name in modules)):
        found = sys.modules[f"mageflow.{module}"]
        for name, value in vars(found).items():
            is_made_for_users = inspect.isclass(value) or inspect.iscoroutinefunction(value)
            if is_made_for_users and value.__module__ == found.__name__ and not name.startswith("_"):
                assert name in mageflow.__all__, f"{module}.{name}"
                assert getattr(mageflow, name) is value


def test_status_is_the_clients_own() -> None:
    assert mageflow.Status(phase=mageflow.Phase.SUCCEEDED).has_ended


def test_attribute_error_names_what_there_is_not() -> None:
    with pytest.raises(AttributeError, match="no attribute 'chian'"):
        getattr(mageflow, "chian")  # noqa: B009 - mypy would refuse the attribute


def test_sync_has_every_method_of_the_async_classes() -> None:
    for name in ("Resource", "Workflow", "Chain", "Swarm"):
        asynchronous, sync = getattr(mageflow, name), getattr(mageflow.sync, name)
        for method, value in inspect.getmembers(
            asynchronous, lambda it: inspect.isfunction(it) or isinstance(it, property)
        ):
            if method.startswith("_"):
                continue
            assert hasattr(sync, method), f"{name}.{method}"
            if inspect.isfunction(value):
                derived = getattr(sync, method)
                assert inspect.unwrap(derived) is value, f"{name}.{method} is derived from another class"
                assert derived.__doc__ == value.__doc__
    for function in ("workflow", "chain", "swarm", "get", "find"):
        assert list(inspect.signature(getattr(mageflow.sync, function)).parameters) == list(
            inspect.signature(getattr(mageflow, function)).parameters
        )


def test_tree_of_errors_is_drawn_as_it_is() -> None:
    """Names at the depth at which the docstring has them, under the class that stands above."""
    drawn: list[tuple[str, str]] = []
    path: list[str] = []
    for line in inspect.cleandoc(errors.__doc__ or "").splitlines()[2:-2]:
        words = line.replace("├──", "   ").replace("└──", "   ").replace("│", " ")
        if words.strip():
            name = words.split()[0]
            depth = (len(words) - len(words.lstrip())) // 4
            path = [*path[:depth], name]
            drawn.append((name, path[depth - 1] if depth else ""))
    classes = {
        name: value for module in (errors, kube_errors) for name, value in vars(module).items()
        if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == module.__name__
    }  # fmt: skip
    assert {name for name, _ in drawn} - {"UserWarning"} == set(classes)
    for name, parent in drawn:
        if parent:
            assert classes[name].__bases__[0].__name__ == parent
    assert issubclass(mageflow.DeadlineError, TimeoutError)


# ── types ──


def test_types_are_seen_by_users_of_mypy_strict(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(TYPES)
    arguments = ["--strict", "--no-error-summary", f"--cache-dir={tmp_path / 'cache'}", "--config-file=", str(program)]
    output, problems, _ = mypy.run(arguments)
    assert not problems
    revealed = [line.split('"')[1] for line in output.splitlines() if "Revealed type" in line]
    assert revealed == [
        "mageflow.client.resource.Chain",
        "mageflow.client.resource_status.Status",
        "mageflow.client.resource.Swarm",
        "str | None",
        "mageflow.sync.Chain",
        "mageflow.client.resource_status.Status",
        "mageflow.sync.Workflow",
        "mageflow.client.log_line.LogLine",
    ]
    others = [line for line in output.splitlines() if "Revealed type" not in line]
    assert len(others) == 1, output
    assert 'Unexpected keyword argument "until"' in others[0]


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "operator" / "mageflow" / "py.typed").exists()


# ── what it costs ──


def test_import_mageflow_imports_nothing_but_the_standard_library(tmp_path: Path) -> None:
    blocked = {"kopf", "kubernetes", "aiohttp", "pydantic", "typer", "uvloop", "yaml", "asyncio"}
    code = (
        f"BLOCKED = {blocked!r}{BLOCKED}import mageflow\nassert mageflow.__version__\nassert 'chain' in dir(mageflow)"
    )
    run_python(code, tmp_path)


def test_the_client_works_without_what_only_the_operator_needs(tmp_path: Path) -> None:
    blocked = {"kopf", "typer", "uvloop", "rich", "click", "prometheus_client", "hypothesis"}
    run_python(f"BLOCKED = {blocked!r}{BLOCKED}{USE}", tmp_path)


def test_the_pytest_plugin_imports_nothing_of_the_client_until_it_is_used(tmp_path: Path) -> None:
    blocked = {"kopf", "kubernetes", "aiohttp", "pydantic", "yaml"}
    run_python(f"BLOCKED = {blocked!r}{BLOCKED}import mageflow.testing.pytest_plugin", tmp_path)


def test_default_connection_is_closed_when_asyncio_run_ends(tmp_path: Path) -> None:
    """Nothing is left that would warn of an unclosed session."""
    code = """
import asyncio, gc, mageflow
from mageflow.client import connection
closed = []
class Transport:
    async def request(self, *_, **__): return {'metadata': {'uid': 'x'}}
    async def close(self): closed.append(True)
async def opener(*_): return Transport(), 'default'
with connection.connect_using(opener):
    asyncio.run(mageflow.get('chain', 'x'))
    assert closed == [True]
    asyncio.run(mageflow.get('chain', 'x'))
    assert closed == [True, True]
    import mageflow.sync
    mageflow.sync.get('chain', 'x')
"""
    run_python(code, tmp_path)


# ── sync ──


def test_exceptions_and_warnings_pass_through_the_thread_of_the_loop() -> None:
    async def fail() -> None:
        warnings.warn("careful", mageflow.InconsistentWarning, stacklevel=1)
        raise mageflow.EndedError("ended", mageflow.Status())

    thread = LoopThread()
    with pytest.warns(mageflow.InconsistentWarning), pytest.raises(mageflow.EndedError):
        thread.run(fail())


def test_async_generator_is_closed_when_its_sync_iteration_is_left() -> None:
    closed: list[bool] = []

    async def count() -> AsyncGenerator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    thread = LoopThread()
    iteration = thread.iterate(count())
    assert next(iteration) == 1
    assert not closed
    iteration.close()
    assert closed
