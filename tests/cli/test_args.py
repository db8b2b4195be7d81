"""What the words on the command line name."""

from __future__ import annotations

import pytest

from mageflow.api import CHAIN, KINDS, SWARM, WORKFLOW
from mageflow.cli.args import Named, UnclearError, parse_name, parse_selection, parse_words


@pytest.mark.parametrize(
    ("words", "kinds", "names"),
    [
        ("", KINDS, ()),
        ("x", KINDS, (Named(None, "x"),)),
        ("x y x", KINDS, (Named(None, "x"), Named(None, "y"))),
        ("chain x y", (CHAIN,), (Named(CHAIN, "x"), Named(CHAIN, "y"))),
        ("mwf x", (WORKFLOW,), (Named(WORKFLOW, "x"),)),
        ("msw", (SWARM,), ()),
        ("Swarms", (SWARM,), ()),
        ("chains.mageflow.io x", (CHAIN,), (Named(CHAIN, "x"),)),
        ("chain.v1.mageflow.io x", (CHAIN,), (Named(CHAIN, "x"),)),
        ("chains,msw", (CHAIN, SWARM), ()),
        ("mageflow", KINDS, ()),
        ("chain/x swarms/y z", KINDS, (Named(CHAIN, "x"), Named(SWARM, "y"), Named(None, "z"))),
        ("chain/chain", KINDS, (Named(CHAIN, "chain"),)),
        ("chain chain", (CHAIN,), (Named(CHAIN, "chain"),)),
        ("pods", KINDS, (Named(None, "pods"),)),
    ],
)
def test_words_are_read_as_kubectl_reads_them(words: str, kinds: object, names: object) -> None:
    assert parse_words(words.split()) == (kinds, names)


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("chain chain/x", "chain/x has a kind of its own"),
        ("chains,swarms x", "several kinds"),
        ("pod/x", "'pod' in pod/x is no kind"),
        ("chain/", "is no KIND/NAME"),
        ("chain/x/y", "is no KIND/NAME"),
    ],
)
def test_words_that_mean_nothing_are_refused(words: str, complaint: str) -> None:
    with pytest.raises(UnclearError, match=complaint):
        parse_words(words.split())


@pytest.mark.parametrize(
    ("words", "options", "complaint"),
    [
        ("", {}, "nothing is selected"),
        ("chains", {}, "nothing is selected"),
        ("", {"all_namespaces": True}, "nothing is selected"),
        ("x", {"everything": True}, "not both"),
        ("x", {"selector": "a=b"}, "not both"),
        ("", {"selector": "a=b", "everything": True}, "not both"),
        ("x", {"all_namespaces": True}, "in one namespace"),
    ],
)
def test_selection_is_refused_when_it_is_unclear(words: str, options: dict[str, object], complaint: str) -> None:
    given = {"selector": None, "all_namespaces": False, "everything": False, **options}
    with pytest.raises(UnclearError, match=complaint):
        parse_selection(words.split(), given.pop("selector"), needs_choice=True, **given)  # type: ignore[arg-type]


def test_all_of_a_kind_are_selected_when_it_is_said() -> None:
    selection = parse_selection(["chains"], None, all_namespaces=True, everything=True, needs_choice=True)
    assert (selection.names, selection.kinds, selection.all_namespaces) == ((), (CHAIN,), True)
    assert parse_selection([], None, all_namespaces=False, everything=False, needs_choice=False).kinds == KINDS


def test_just_one_name_is_taken_where_there_must_be_one() -> None:
    assert parse_name(["chain", "x"]) == Named(CHAIN, "x")
    for words in (["x", "y"], ["chain"]):
        with pytest.raises(UnclearError, match="name one"):
            parse_name(words)
