"""`task`, and the specs made of tasks, each checked by the API's models before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from mageflow.api import ChainSpec, SwarmSpec, SwarmTask, WorkflowSpec
from mageflow.kube.errors import Cause, InvalidError
from mageflow.kube.transport import Raw

CONTAINER: Final = "main"
"""Name of the container that `task` makes."""

_NOT_GIVEN: Final[Any] = object()


@dataclass(frozen=True, slots=True)
class Task:
    """One task of a Chain or Swarm, or the one of a Workflow; made by `task`."""

    name: str
    spec: Mapping[str, Any]
    """What a manifest says of it, beside its name: `template`, `input`, `retries`, `timeoutSeconds`."""


def task(
    name: str,
    *,
    image: str | None = None,
    command: Sequence[str] | None = None,
    args: Sequence[str] | None = None,
    env: Mapping[str, str] | None = None,
    resources: Mapping[str, Any] | None = None,
    template: Mapping[str, Any] | None = None,
    input: Any = _NOT_GIVEN,  # noqa: A002 - the field's name
    retries: int = 0,
    timeout_seconds: int | None = None,
) -> Task:
    """Describe a task.

    `image`, `command`, `args`, `env` and `resources` make a pod of one container; `template`, a PodTemplateSpec as in a
    manifest, takes their place where that isn't enough. A task of a Swarm may leave both out. `input` is any JSON, and
    reaches the task in `MAGEFLOW_INPUT`; a failed run is followed by another `retries` times; each run is given
    `timeout_seconds`.

    Raises InvalidError, which names the field.
    """
    container = _without_none(
        image=image,
        command=None if command is None else _words(name, "command", command),
        args=None if args is None else _words(name, "args", args),
        env=None if env is None else [{"name": key, "value": value} for key, value in env.items()],
        resources=None if resources is None else dict(resources),
    )
    if container and template is not None:
        raise _invalid_task(name, "template", f"stands in the place of {', '.join(container)}: give one or the other")
    if container and image is None:
        raise _invalid_task(name, "image", "is missing")
    spec: Raw = _without_none(
        template={"spec": {"containers": [{"name": CONTAINER, **container}]}} if container else template,
        retries=retries or None,
        timeoutSeconds=timeout_seconds,
    )
    if input is not _NOT_GIVEN:
        spec["input"] = input
    checked = check_spec(SwarmTask, f"task {name}", {"name": name, **spec}, at="")
    return Task(name, {key: value for key, value in checked.items() if key != "name"})


def build_workflow_spec(task: Task, what: str) -> Raw:
    """Return the spec of a Workflow."""
    return check_spec(WorkflowSpec, what, dict(task.spec))


def build_chain_spec(tasks: Iterable[Task], what: str) -> Raw:
    """Return the spec of a Chain."""
    return check_spec(ChainSpec, what, {"tasks": _list(tasks)})


def build_swarm_spec(
    tasks: Iterable[Task], what: str, *, max_concurrency: int | None, template: Mapping[str, Any] | None
) -> Raw:
    """Return the spec of a Swarm."""
    spec = _without_none(template=template, maxConcurrency=max_concurrency)
    return check_spec(SwarmSpec, what, {**spec, "tasks": _list(tasks)})


def _list(tasks: Iterable[Task]) -> list[Raw]:
    return [{"name": task.name, **task.spec} for task in tasks]


def check_spec(model: type[BaseModel], what: str, document: Raw, at: str = "spec") -> Raw:
    """Return a document checked by its model, without the fields that weren't given. Raises InvalidError."""
    try:
        checked: Raw = model.model_validate(document).model_dump(mode="json", by_alias=True, exclude_unset=True)
    except ValidationError as error:
        raise InvalidError(what, list(_read_causes(error, at))) from None
    return checked


def _read_causes(error: ValidationError, at: str) -> Iterator[Cause]:
    """Yield what is wrong; not what only follows for a list from what is wrong with its items."""
    details = error.errors(include_url=False)
    for detail in details:
        location = detail["loc"]
        if not any(other["loc"][: len(location)] == location and other["loc"] != location for other in details):
            steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
            yield Cause(f"{at}{''.join(steps)}".lstrip("."), detail["msg"])


def _words(name: str, field: str, words: Sequence[str]) -> list[str]:
    if isinstance(words, str):
        raise _invalid_task(name, field, f"is a list of words, not one string: {[words]}")
    return list(words)


def _invalid_task(name: str, field: str, message: str) -> InvalidError:
    return InvalidError(f"task {name}", [Cause(field, message)])


def _without_none(**fields: Any) -> Raw:
    return {key: value for key, value in fields.items() if value is not None}
