"""What is printed as YAML is read by kubectl, whose parser is Go's, as what it was. Needs kubectl, and no cluster."""

from __future__ import annotations

import json
import subprocess
from typing import Any, Final

import pytest
import yaml
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from localcluster.binaries import ensure
from mageflow.cli.objects import Output, format_objects

TEXTS: Final = (
    *("1e3", "25921e05", "1.5e3", "0o17", "0x1F", "0b1", "1_000", "+1", "-1", "007", "1.", ".5", "-.5", "1e", "e1"),
    *("12:30:45", "190:20:30", "2026-01-01", "2026-01-01T00:00:00Z", "2026-01-01 00:00:00", "1.2.3", "1,000", "2/5"),
    *("y", "Y", "n", "N", "yes", "No", "ON", "off", "true", "False", "TRUE", "t", "f", "T", "_1", "25921e05" * 8),
    *("~", "null", "Null", "NULL", "nil", "none", "", " ", "=", "<<", "<", "!", "!!str x", "&a", "*a", "@", "`"),
    *(".inf", "-.INF", "+.inf", ".nan", ".NaN", "inf", "-Infinity", "nan", "NaN", ".", "..", "...", "---", "-", "--"),
    *("- a", "? a", ": a", "a: b", "a :b", "a #b", "#a", "a:", "{a}", "[a]", "a, b", "|", ">", "%", "'a'", '"a"'),
    *("\\", "\\n", "two\nlines", "two\nlines\n", "two\nlines\n\n", "\ntwo\nlines", " two\nlines", "two \nlines"),
    *("two\n lines\n \n", "\n", "\n\n", "\r\n", "a\rb", "a\tb\nc", "\ta\n\tb", "a\n---\nb", "a\n...\nb", "# a\nb"),
    *("a\n# b", "- a\n- b", "a:\n b", " leading", "trailing ", "trailing\t", "a\u00a0b", "naïve", "日本語", "😀"),
    *("a\n😀", "\ufeffa", "a\u2028b", "a\u0085b", "\x00", "\x07", "\x1b[31m", "\x7f", "\u200b", "\ud7ff", "\ue000"),
    *("\ufffd", "a" * 200, "a b " * 100, "é" * 130),
)

SCALARS: Final = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(-1e15, 1e15),  # whole numbers up to 1e21 come from the API server as integers
    st.sampled_from([1e21, -1e300]),
    st.text(max_size=20),
    st.text("01eExob._:-+ynNYaif~ \n\t#'\"\\&*", max_size=12),
    st.sampled_from(TEXTS),
)
KEYS: Final = st.sampled_from(TEXTS) | st.text(max_size=8)
VALUES: Final = st.recursive(
    SCALARS, lambda children: st.lists(children, max_size=4) | st.dictionaries(KEYS, children, max_size=4)
)


@pytest.fixture(scope="module")
def kubectl() -> str:
    return str(ensure()["kubectl"])


def read_by(kubectl: str, text: str) -> Any:
    """Return what kubectl reads."""
    command = [kubectl, "annotate", "--local", "--kubeconfig=/dev/null", "-f", "-", "-o", "json", "read=yes"]
    done = subprocess.run(command, input=text.encode(), capture_output=True, check=False)
    assert done.returncode == 0, f"{done.stderr.decode()}\n{text}"
    return json.loads(done.stdout)


def printed(resource: Any) -> str:
    """Return what stands on the terminal."""
    return f"{format_objects([resource], Output.YAML, is_one=True)}\n"


def check(kubectl: str, value: Any) -> None:
    """Print a resource that has a value as its input, and some text in each place where a text may be."""
    resource = {"apiVersion": "mageflow.io/v1", "kind": "Workflow", "metadata": {"name": "x"}, "spec": {"input": value}}
    text = printed(resource)
    assert read_by(kubectl, text)["spec"]["input"] == value, text
    assert yaml.safe_load(text) == resource, text


def test_each_text_is_the_same_text_for_kubectl(kubectl: str) -> None:
    check(kubectl, list(TEXTS))
    check(kubectl, {text: text for text in TEXTS})
    check(kubectl, [[{text: [text]}] for text in TEXTS])


@settings(max_examples=60, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(values=st.lists(VALUES, max_size=30))
def test_whatever_is_printed_is_the_same_for_kubectl(kubectl: str, values: list[Any]) -> None:
    check(kubectl, values)


@pytest.mark.parametrize("text", TEXTS)
def test_each_text_is_the_same_text_for_python(text: str) -> None:
    resource = {"metadata": {"name": "x", "labels": {text: text}}, "spec": {"input": [text, {"a": text}]}}
    assert yaml.safe_load(printed(resource)) == resource
