"""What the words on the command line name, as kubectl takes them.

x y                 names, looked for among all three kinds
chain x y           a kind, then names of that kind; also chains, mch, Chain, chains.mageflow.io
chain/x swarm/y     each with its kind
chains,swarms       kinds without names: what a selector or --all selects from
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from mageflow.api import GROUP, KINDS, VERSION, Kind
from mageflow.api.kinds import CATEGORY

ALL_KINDS: Final = CATEGORY
"""The word for all kinds at once."""


class UnclearError(Exception):
    """The command line doesn't say what is meant: exit code 2."""


@dataclass(frozen=True, slots=True)
class Named:
    """One resource that was named."""

    kind: Kind | None
    """None: any."""
    name: str

    def __str__(self) -> str:
        return self.name if self.kind is None else f"{self.kind.singular}/{self.name}"


@dataclass(frozen=True, slots=True)
class Selection:
    """What a command line selects."""

    names: tuple[Named, ...] = ()
    """These, if there are any; else all of `kinds` that `selector` selects."""
    kinds: tuple[Kind, ...] = KINDS
    selector: str | None = None
    all_namespaces: bool = False


def parse_selection(
    words: Sequence[str], selector: str | None, *, all_namespaces: bool, everything: bool, needs_choice: bool
) -> Selection:
    """Read what a command line selects. Raises UnclearError.

    `everything` is `--all`. With `needs_choice`, something has to be named or selected: what changes resources never
    takes all of them because nothing was said.
    """
    kinds, names = parse_words(words)
    if names and (selector is not None or everything):
        raise UnclearError("give names, or select by -l or --all, not both")
    if selector is not None and everything:
        raise UnclearError("give -l or --all, not both")
    if names and all_namespaces:
        raise UnclearError("names are looked for in one namespace: -A goes with -l or --all")
    if needs_choice and not names and selector is None and not everything:
        raise UnclearError("nothing is selected: give names, -l LABELS, or --all")
    return Selection(names, kinds, selector, all_namespaces)


def parse_words(words: Sequence[str]) -> tuple[tuple[Kind, ...], tuple[Named, ...]]:
    """Read words as kinds and names. Raises UnclearError."""
    kinds = find_kinds(words[0]) if words and "/" not in words[0] else None
    rest = words if kinds is None else words[1:]
    slashed = next((word for word in rest if "/" in word), None)
    if kinds is not None and slashed is not None:
        raise UnclearError(f"{slashed} has a kind of its own: leave out {words[0]}")
    if kinds is not None and len(kinds) > 1 and rest:
        raise UnclearError(f"{words[0]} is several kinds: write kind/name for each name")
    kind = kinds[0] if kinds is not None and len(kinds) == 1 else None
    names = tuple(dict.fromkeys(_parse_name(word, kind) for word in rest))
    return kinds or KINDS, names


def parse_name(words: Sequence[str]) -> Named:
    """Read words that name just one resource. Raises UnclearError."""
    _, names = parse_words(words)
    if len(names) != 1:
        raise UnclearError(f"name one resource, not {len(names)}")
    return names[0]


def find_kinds(word: str) -> tuple[Kind, ...] | None:
    """Return the kinds that a word stands for; None if it isn't a word for kinds."""
    if word.lower() == ALL_KINDS:
        return KINDS
    kinds = [find_kind(part) for part in word.split(",")]
    return tuple(kind for kind in kinds if kind is not None) if None not in kinds else None


def find_kind(word: str) -> Kind | None:
    """Return the kind that a word stands for, as kubectl takes it; None if it is no kind."""
    plain = word.lower().removesuffix(f".{GROUP}").removesuffix(f".{VERSION}")
    for kind in KINDS:
        if plain in (kind.singular, kind.plural, kind.short_name):
            return kind
    return None


def _parse_name(word: str, kind: Kind | None) -> Named:
    if "/" not in word:
        return Named(kind, word)
    prefix, _, name = word.partition("/")
    found = find_kind(prefix)
    if found is None:
        raise UnclearError(f"{prefix!r} in {word} is no kind: there are {', '.join(it.singular for it in KINDS)}")
    if not name or "/" in name:
        raise UnclearError(f"{word} is no KIND/NAME")
    return Named(found, name)
