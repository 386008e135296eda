"""Sub-pipelines: alone, for each item, with fan-outs of their own; what is seen of them and how they fail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fan_out_run import Ran, run

from llmflow.scheduling.events import AttemptStarted, TaskSucceeded

HEAD = """
providers: {mock: {kind: mock, workers: 4, answers: ANSWERS}}
defaults: {model: mock/any, retry: {max_attempts: 1}}
"""

INNER = """
inputs: {x: {type: integer}}
tasks:
  first: {prompt: "{{ inputs.x }}"}
  each: {foreach: [p, q], prompt: "{{ item }} of {{ tasks.first.output }}"}
outputs: {got: "{{ tasks.each.outputs }}", first: "{{ tasks.first.output }}"}
"""

OUTER = """
tasks:
  sub: {foreach: {items: [0, 1, 2], tolerate: TOLERATE}, uses: inner.yaml, with: {x: "{{ item }}"}}
  next: {foreach: "{{ tasks.sub.outputs }}", value: "{{ item.first }}: {{ item.got }}"}
outputs: {next: "{{ tasks.next.outputs }}", how: "{{ tasks.sub.results | map(attribute='status') | list }}"}
"""


def outer(tmp_path: Path, answers: str, tolerate: int = 0, text: str = OUTER, inner: str = INNER) -> str:
    (tmp_path / "inner.yaml").write_text(inner, encoding="utf-8")
    return HEAD.replace("ANSWERS", answers) + text.replace("TOLERATE", str(tolerate))


def test_an_item_may_be_a_pipeline_with_items_of_its_own(tmp_path: Path) -> None:
    answers = '{"sub/first[0]": a, "sub/first[1]": b, "sub/first[2]": c, "sub/each[1/0]": here, sub/each: there}'
    ran = run(tmp_path, outer(tmp_path, answers))
    assert ran.outputs == {
        "next": ['a: ["there", "there"]', 'b: ["here", "there"]', 'c: ["there", "there"]'],
        "how": ["succeeded"] * 3,
    }
    assert [name for name in ran.starts("sub") if name.startswith("sub[1]")] == [
        "sub[1]/",
        "sub[1]/first",
        "sub[1]/each",
        "sub[1]/each[0]",
        "sub[1]/each[1]",
        "sub[1]",
    ]


@pytest.mark.parametrize(("tolerate", "status"), [(0, "failed"), (1, "succeeded")])
def test_a_failure_inside_fails_its_item_alone(tmp_path: Path, tolerate: int, status: str) -> None:
    answers = '{"sub/first[1]": {error: server}, sub/first: f, sub/each: e}'
    ran = run(tmp_path, outer(tmp_path, answers, tolerate))
    statuses = ran.statuses()
    assert (ran.status, ran.outputs["next"]) == (status, ['f: ["e", "e"]'] * 2)
    assert {n: w for n, w in statuses.items() if n.startswith("sub[1]")} == {
        "sub[1]/": "succeeded",
        "sub[1]/first": "failed",
        "sub[1]/each": "blocked",
        "sub[1]": "failed",
    }
    assert ran.failures()["sub[1]"] == "sub[1]/first failed"


def test_an_item_of_an_item_that_fails_fails_all_around_it(tmp_path: Path) -> None:
    ran = run(
        tmp_path, outer(tmp_path, '{"sub/each[2/1]": {error: server, detail: never}, sub/first: f, sub/each: e}', 1)
    )
    assert ran.failures() == {
        "sub[2]/each[1]": "never",
        "sub[2]/each": "1 of 2 items failed; the first: never",
        "sub[2]": "sub[2]/each failed",
    }
    assert (ran.status, ran.outputs["how"]) == ("succeeded", ["succeeded", "succeeded", "failed"])


def test_the_inner_pipelines_go_on_side_by_side_and_leave_the_window_whole(tmp_path: Path) -> None:
    text = """
tasks:
  sub: {foreach: {items: "{{ range(12) | list }}", window: 2}, uses: inner.yaml, with: {x: "{{ item }}"}}
"""
    delays = "{sub/first: {text: f, delay: 1}, sub/each: {text: e, delay: 1}}"
    ran = run(tmp_path, outer(tmp_path, delays, text=text))
    spans = ran.spans()
    assert ran.result.summary.makespan == pytest.approx(12)
    for number in range(2, 12):
        earlier = sorted(
            max(end for n, row in spans.items() if n.startswith(f"sub[{i}]") for _, end in row) for i in range(number)
        )
        assert spans[f"sub[{number}]/first"][0][0] >= earlier[-2] - 1e-6


def test_a_flow_inside_an_item_keeps_to_its_own_instance(tmp_path: Path) -> None:
    inner = """
inputs: {x: {type: integer}}
tasks:
  one: {foreach: [a, b], value: "{{ inputs.x }}{{ item }}"}
  two: {foreach: "{{ tasks.one.outputs }}", value: "{{ tasks.one.output }}!"}
outputs: {two: "{{ tasks.two.outputs }}"}
"""
    text = """
tasks:
  sub: {foreach: [1, 2], uses: inner.yaml, with: {x: "{{ item }}"}}
outputs: {all: "{{ tasks.sub.outputs | map(attribute='two') | list }}"}
"""
    assert run(tmp_path, outer(tmp_path, "ok", text=text, inner=inner)).outputs == {
        "all": [["1a!", "1b!"], ["2a!", "2b!"]]
    }


def test_wrong_inputs_fail_the_item_before_anything_in_it_begins(tmp_path: Path) -> None:
    text = """
tasks:
  sub: {foreach: {items: [1, two], tolerate: 1}, uses: inner.yaml, with: {x: "{{ item }}"}}
outputs: {how: "{{ tasks.sub.results | map(attribute='status') | list }}"}
"""
    ran = run(tmp_path, outer(tmp_path, "{sub/first: f, sub/each: e}", text=text))
    assert (ran.status, ran.outputs["how"][0]) == ("succeeded", "succeeded")
    assert ran.failures() == {"sub[1]/": "input `x`: must be a whole number, not text"}
    assert not [name for name in ran.starts("sub") if name in ("sub[1]/first", "sub[1]")]


def test_a_stop_inside_settles_everything_once(tmp_path: Path) -> None:
    delays = "{sub/first: {text: f, delay: 1}, sub/each: {text: e, delay: 1}}"
    text = "tasks:\n  sub: {foreach: '{{ range(50) | list }}', uses: inner.yaml, with: {x: '{{ item }}'}}\n"
    for at in (0.5, 1.5, 2.5, 3.5):
        ran = run(tmp_path, outer(tmp_path, delays, text=text), stop_after=at)
        assert (ran.status, set(ran.statuses()), ran.statuses()["sub"]) == ("stopped", set(ran.names), "cancelled")


def most_under_way(ran: Ran, task: str) -> int:
    """How many items of `task` were between their beginning and their end at once."""
    beginnings = re.compile(rf"{task}\[\d+\]/")
    ends = re.compile(rf"{task}\[\d+\]")
    under_way = most = 0
    for event in ran.story:
        if isinstance(event, AttemptStarted):
            under_way += beginnings.fullmatch(ran.names[event.task]) is not None
        elif isinstance(event, TaskSucceeded):
            under_way -= ends.fullmatch(ran.names[event.task]) is not None
        most = max(most, under_way)
    return most


CAPPED = """
tasks:
  numbers: {foreach: [0, 1, 2, 3, 4, 5, 6], prompt: "{{ item }}"}
  written: {foreach: {items: [0, 1, 2, 3, 4], workers: 2}, uses: inner.yaml, with: {x: "{{ item }}"}}
  flowing: {foreach: {items: "{{ tasks.numbers.outputs }}", workers: 3}, uses: inner.yaml, with: {x: 7}}
  next: {foreach: "{{ tasks.flowing.outputs }}", value: "{{ item.first }}"}
outputs: {next: "{{ tasks.next.outputs }}", written: "{{ tasks.written.outputs | length }}"}
"""


def test_of_sub_pipelines_as_items_only_so_many_are_under_way_as_may_be(tmp_path: Path) -> None:
    answers = "{numbers: n, written/first: w, written/each: e, flowing/first: f, flowing/each: e}"
    ran = run(tmp_path, outer(tmp_path, answers, text=CAPPED))
    assert (ran.status, ran.outputs) == ("succeeded", {"next": ["f"] * 7, "written": 5})
    assert (most_under_way(ran, "written"), most_under_way(ran, "flowing")) == (2, 3)
