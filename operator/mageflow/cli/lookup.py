"""Lookup: the resources that a command line names or selects, and the watches that tell of them."""

from __future__ import annotations

from dataclasses import dataclass, field

from mageflow.api import KINDS
from mageflow.cli.args import Named, Selection, UnclearError, find_kind
from mageflow.client.connection import Client, Connection
from mageflow.client.factory import find, get
from mageflow.client.handle import path_segment
from mageflow.client.resource import Resource
from mageflow.client.scopes import Scope, scopes_by_name
from mageflow.kube.errors import InvalidError, MageflowError, NotFoundError
from mageflow.kube.paths import NAMESPACES
from mageflow.kube.transport import Raw


@dataclass(slots=True)
class Found:
    """The resources that were found, and the errors of those that weren't."""

    resources: list[Resource] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)


async def select(client: Client, selection: Selection) -> Found:
    """Look up what is selected. A name that can't be found is one of the errors; the others are found still.

    Raises UnclearError for a selector that can't be read, and what a request raises.
    """
    found = Found()
    seen = set()
    for named in selection.names:
        try:
            resource = await look_up(client, named)
        except (NotFoundError, UnclearError) as error:
            found.errors.append(error)
        else:
            key = resource.kind, resource.name
            found.resources += [resource] if key not in seen else []  # once, also if its kind was said but once
            seen.add(key)
    if not selection.names:
        found.resources = await _list(client, selection)
    return found


async def _list(client: Client, selection: Selection) -> list[Resource]:
    found: list[Resource] = []
    for kind in selection.kinds:
        try:
            found += await find(
                kind.singular, selector=selection.selector, all_namespaces=selection.all_namespaces, client=client
            )
        except InvalidError as error:
            if selection.selector is None:
                raise
            why = "; ".join(cause.message for cause in error.causes)
            raise UnclearError(f"-l {selection.selector!r} selects nothing: {why}") from error
    return found


async def check_namespace(connection: Connection) -> None:
    """Raise NotFoundError if the namespace isn't there; a user who may not read namespaces is told nothing."""
    namespace = connection.namespace
    try:
        await connection.transport.request("GET", NAMESPACES.path(name=path_segment(namespace)))
    except NotFoundError as error:
        raise NotFoundError(404, "NotFound", f"there is no namespace {namespace!r}") from error
    except MageflowError:
        return  # who may not read namespaces is told of none


async def look_up(client: Client, named: Named) -> Resource:
    """Return what is named. Raises NotFoundError; UnclearError if several kinds have one of that name."""
    if named.kind is not None:
        return await get(named.kind.singular, named.name, client=client)
    found = await find(name=named.name, client=client)
    if len(found) > 1:
        written = " or ".join(f"{resource.kind.lower()}/{resource.name}" for resource in found)
        raise UnclearError(f"{named.name} is the name of several: write {written}")
    if not found:
        namespace = (await client.open()).namespace
        kinds = f"{', '.join(kind.singular for kind in KINDS[:-1])} or {KINDS[-1].singular}"
        raise NotFoundError(404, "NotFound", f"there is no {kinds} {named.name!r} in namespace {namespace}")
    return found[0]


def watch_scopes(selection: Selection, namespace: str) -> list[Scope]:
    """Return the scopes whose watches tell of all that is selected."""
    if not selection.names:
        return [Scope(kind, None if selection.all_namespaces else namespace) for kind in selection.kinds]
    names = {kind: [it.name for it in selection.names if it.kind in (None, kind)] for kind in KINDS}
    return [scope for kind in KINDS for scope in scopes_by_name(kind, namespace, names[kind])]


def matches(selection: Selection, resource: Raw) -> bool:
    """Tell whether a resource in one of the scopes of `watch_scopes` is selected."""
    return not selection.names or any(
        named.name == resource["metadata"]["name"] and named.kind in (None, find_kind(resource["kind"]))
        for named in selection.names
    )
