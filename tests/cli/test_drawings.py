"""get, tree and graph: what is drawn of a resource."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from typing import Final

import pytest
import yaml

from mageflow.cli.get import cells, columns
from mageflow.cli.graph import HEIGHT, WIDTH, box_corners, draw_mermaid, draw_svg
from mageflow.cli.objects import Output, format_objects
from mageflow.cli.terminal import lay_out
from mageflow.cli.tree import draw_tree
from mageflow.cli.view import View

from .builders import NOW, ago, done, resource, running, task, view

SVG: Final = "{http://www.w3.org/2000/svg}"

CHAIN: Final = view(
    "Chain", "Active", (done(), running(run=2, failures=1), task("report")), reason="Running", message="load"
)


def lines_of(*views: View, **options: bool) -> list[str]:
    return [line.plain for line in draw_tree(views, NOW, **options)]


def test_table_has_a_line_for_each_resource() -> None:
    rows = [columns(is_wide=True, has_namespace=True), cells(CHAIN, NOW, is_wide=True, has_namespace=True)]
    assert [line.plain for line in lay_out(rows)] == [
        "NAMESPACE   NAME            PHASE    DONE   RUNNING   AGE   LIFECYCLE   REASON",
        "team-a      chain/nightly   Active   1/3    1         3m    active      Running",
    ]
    plain = [columns(is_wide=False, has_namespace=False), cells(CHAIN, NOW, is_wide=False, has_namespace=False)]
    assert [line.plain for line in lay_out(plain)][1] == "chain/nightly   Active   1/3    1         3m"


def test_columns_are_as_wide_as_those_before_when_a_watch_goes_on() -> None:
    assert lay_out([("a", "b")], (5, 1))[0].plain == "a       b"


def test_a_resource_of_which_nothing_was_said_is_unknown() -> None:
    assert cells(view("Chain", None), NOW, is_wide=True, has_namespace=False)[1:3] == ("Unknown", "")


def test_tree_shows_tasks_with_run_retries_and_age() -> None:
    assert lines_of(CHAIN) == [
        "NAME            PHASE       RUN        RETRIES   AGE",
        "chain/nightly   Active      1/3 done             3m",
        "├── extract     Succeeded   run 1      0/2       40s",
        "├── load        Running     run 2      1/2       12s",
        "└── report      Unstarted              0/2",
    ]


def test_tree_shows_no_age_of_a_run_that_neither_runs_nor_has_ended() -> None:
    stopping = view("Chain", "Interrupting", (task("a", "Stopping", run=1, startedAt=ago(9)),), reason="Interrupting")
    assert lines_of(stopping)[2].split() == ["└──", "a", "Stopping", "run", "1", "0/2"]


def test_tree_says_why_when_something_is_unusual() -> None:
    failed = task("load", "Failed", run=1, failures=1, reason="NonZeroExitCode", message="exit code 3\x1b[2J")
    seen = view("Workflow", "Pending", (failed,), reason="Unschedulable", message="no node", retries=0)
    lines = lines_of(seen, has_namespace=True)
    assert lines[1].endswith("Unschedulable: no node")
    assert lines[1].startswith("team-a/workflow/nightly")
    assert lines[3].endswith("NonZeroExitCode: exit code 3�[2J")
    interrupted = view("Chain", "Interrupted", (task("a", run=1, interruptions=1),), reason="Interrupted", message="x")
    assert lines_of(interrupted)[2].endswith("was interrupted")
    assert lines_of(interrupted)[1].endswith("3m")


def test_tree_counts_what_is_usual_in_a_large_swarm() -> None:
    tasks = (*[done(f"d{n}") for n in range(15)], running("r"), *[task(f"u{n}") for n in range(5)])
    large = view("Swarm", "Active", tasks, reason="Running")
    assert [line.split()[1:4] for line in lines_of(large)[2:]] == [
        ["r", "Running", "run"], ["…", "15", "more"], ["…", "5", "more"]
    ]  # fmt: skip
    assert lines_of(large)[-1].startswith("└── … 5 more")
    assert len(lines_of(large, folds=False)) == 2 + 21
    assert len(lines_of(view("Chain", "Active", tasks, reason="Running"))) == 2 + 21


def test_mermaid_draws_a_chain_from_left_to_right() -> None:
    assert draw_mermaid(CHAIN).splitlines() == [
        "flowchart LR",
        '    subgraph resource["chain/nightly · Active"]',
        '        t0["extract<br/>Succeeded"]:::Succeeded',
        '        t1["load<br/>Running, run 2"]:::Running',
        '        t2["report<br/>Unstarted"]:::Unstarted',
        "        t0 --> t1 --> t2",
        "    end",
        "    classDef Succeeded fill:#dcfce7,stroke:#16a34a,color:#111827",
        "    classDef Running fill:#cffafe,stroke:#0891b2,color:#111827",
        "    classDef Unstarted fill:#f3f4f6,stroke:#9ca3af,color:#111827",
    ]


def test_mermaid_draws_no_arrows_in_a_swarm() -> None:
    swarm = view("Swarm", "Active", (running("a"), task("b")), reason="Running", spec={"maxConcurrency": 1})
    drawn = draw_mermaid(swarm)
    assert "-->" not in drawn
    assert "swarm/nightly · Active, 1 at once" in drawn


@pytest.mark.parametrize("kind", ["Workflow", "Chain", "Swarm"])
def test_svg_has_a_box_for_each_task_inside_the_picture(kind: str) -> None:
    tasks = (running("main"),) if kind == "Workflow" else tuple(task(f"task-{n}") for n in range(12))
    root = ElementTree.fromstring(draw_svg(view(kind, "Active", tasks, reason="Running")))  # noqa: S314 - our own
    assert root.tag == f"{SVG}svg"
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    groups = root.findall(f"{SVG}g")
    assert [group.find(f"{SVG}title").text for group in groups] == [it["name"] for it in tasks]  # type: ignore[union-attr]
    boxes = [group.find(f"{SVG}rect") for group in groups]
    corners = {(float(box.attrib["x"]), float(box.attrib["y"])) for box in boxes if box is not None}
    assert len(corners) == len(tasks)
    assert all(0 < x < width - WIDTH and 0 < y < height - HEIGHT for x, y in corners)
    assert len(root.findall(f"{SVG}path")) == (len(tasks) - 1 if kind == "Chain" else 0)
    assert len({y for _, y in corners}) == (3 if kind == "Swarm" else 1)


def test_svg_needs_nothing_from_elsewhere() -> None:
    drawn = draw_svg(view("Chain", "Active", (task("a" * 40), task("b" * 18)), reason="Running"))
    assert re.findall(r"https?://\S+?\"", drawn) == ['http://www.w3.org/2000/svg"']
    assert "a" * 17 + "…" in drawn
    assert f">{'b' * 18}</text>" in drawn
    assert "<script" not in drawn


def test_svg_says_how_far_it_is() -> None:
    drawn = draw_svg(CHAIN)
    assert ">1/3 done<" in drawn
    assert [">Succeeded<" in drawn, ">Running, run 2<" in drawn, ">Unstarted<" in drawn] == [True] * 3
    swarm = view("Swarm", "Active", (running("a"),), reason="Running", spec={"maxConcurrency": 7})
    assert ">0/1 done · 7 at once<" in draw_svg(swarm)


def test_a_tree_names_at_the_task_what_keeps_it_from_starting() -> None:
    refused = view(
        "Chain",
        "Active",
        (done(), task("load", "Recorded", run=1), task("report")),
        reason="Forbidden",
        message="task load: exceeded quota",
    )
    lines = [str(line) for line in draw_tree([refused], NOW)]
    assert lines[1].endswith("Forbidden: task load: exceeded quota")
    assert lines[3].split() == ["├──", "load", "Recorded", "run", "1", "0/2", "Forbidden"]
    assert lines[4].split() == ["└──", "report", "Unstarted", "0/2"]


def test_no_two_boxes_overlap() -> None:
    for count in (1, 2, 7, 100, 1000):
        for is_grid in (True, False):
            places = box_corners(count, is_grid=is_grid)
            assert len(set(places)) == count
            assert all(
                abs(x - other_x) >= WIDTH or abs(y - other_y) >= HEIGHT
                for (x, y), (other_x, other_y) in pairwise(places)
            )


def test_objects_are_printed_alone_or_as_a_list() -> None:
    one, two = resource(name="a"), resource("Swarm", name="b", message="two\nlines", reason="Running")
    alone = json.loads(format_objects([one], Output.JSON, is_one=True))
    assert (alone["kind"], "managedFields" in alone["metadata"]) == ("Chain", False)
    listed = yaml.safe_load(format_objects([one, two], Output.YAML, is_one=False))
    assert (listed["kind"], [item["metadata"]["name"] for item in listed["items"]]) == ("List", ["a", "b"])
    assert json.loads(format_objects([one], Output.JSON, is_one=False))["kind"] == "List"
    assert format_objects([one, two], Output.NAME, is_one=False) == "chain.mageflow.io/a\nswarm.mageflow.io/b"
    assert "naïve" in format_objects([resource(name="naïve")], Output.JSON, is_one=True)
    assert "message: |-\n" in format_objects([two], Output.YAML, is_one=True)
