"""`run --only`, `--from`, `--until`, by task and by tag: what runs, what is taken from earlier answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import llmflow, pipeline

CHAIN = """
name: chain
providers: {mock: {answers: {a: A, b: B, c: C, d: D, e: E}}}
defaults: {model: mock/any}
tasks:
  a: {prompt: x, tags: [first]}
  b: {prompt: "{{ tasks.a.output }}", tags: [middle, first]}
  c: {prompt: "{{ tasks.b.output }}", tags: [middle]}
  d: {prompt: x, depends_on: a}
  e: {prompt: "{{ tasks.c.output }} {{ tasks.d.output }}"}
finally:
  last: {value: "{{ run.status }}"}
"""

MATRIX = [
    ("--until c", "a b c", "a b c"),
    ("--until d", "a d", "a d"),
    ("--until tag:first", "a b", "a b"),
    ("--from c", "b c d e", "c e"),
    ("--from d", "c d e", "d e"),
    ("--only d", "d", "d"),
    ("--only c", "b c", "c"),
    ("--only tag:middle", "a b c", "b c"),
    ("--only a --only e", "a c d e", "a e"),
    ("--from b --until c", "a b c", "b c"),
]
"""Words, the tasks that are in the run, and those of them that are asked anew (after a whole run)."""


def run(path: Path, calls: Path, *words: str) -> tuple[dict[str, Any], list[str]]:
    """The document of the run and the tasks it asked its model about."""
    calls.write_text("")
    ended = llmflow("run", str(path), *words, "--json", LLMFLOW_MOCK_CALLS=str(calls))
    assert ended.code == 0, ended.err
    return json.loads(ended.out), [json.loads(line)["task"] for line in calls.read_text().splitlines()]


@pytest.mark.parametrize(("words", "there", "asked"), MATRIX)
def test_after_a_whole_run_only_what_is_selected_is_asked_anew(
    words: str, there: str, asked: str, tmp_path: Path
) -> None:
    path, calls = pipeline(tmp_path, CHAIN), tmp_path / "calls"
    run(path, calls)
    document, tasks = run(path, calls, *words.split())
    assert list(document["tasks"]) == there.split()
    assert sorted(tasks) == asked.split()
    assert {task["status"] for task in document["tasks"].values()} == {"succeeded"}


def test_without_an_earlier_answer_a_part_that_needs_one_says_so_and_asks_nobody(tmp_path: Path) -> None:
    path, calls = pipeline(tmp_path, CHAIN), tmp_path / "calls"
    ended = llmflow("run", str(path), "--only", "c", "--json", LLMFLOW_MOCK_CALLS=str(calls))
    tasks = json.loads(ended.out)["tasks"]
    assert (ended.code, {name: task["status"] for name, task in tasks.items()}) == (1, {"b": "failed", "c": "blocked"})
    assert "run the whole pipeline once" in tasks["b"]["error"]["detail"]
    assert not calls.exists()


def test_a_part_without_its_outputs_prints_what_it_has(tmp_path: Path) -> None:
    path = pipeline(tmp_path, CHAIN + 'outputs: {whole: "{{ tasks.e.output }}"}\n')
    assert llmflow("run", str(path), "--until", "b").out == "B\n"
    assert json.loads(llmflow("run", str(path)).out) == {"whole": "E"}


def test_the_last_answers_of_a_foreach_are_taken_item_by_item(tmp_path: Path) -> None:
    text = """
    name: items
    providers: {mock: {answers: {'describe[0]': zero, 'describe[1]': one, join: joined}}}
    defaults: {model: mock/any}
    tasks:
      describe: {foreach: [a, b], prompt: "{{ item }}"}
      join: {prompt: "{{ tasks.describe.outputs | join(', ') }}"}
    """
    path, calls = pipeline(tmp_path, text), tmp_path / "calls"
    run(path, calls)
    document, asked = run(path, calls, "--only", "join")
    assert (document["outputs"], asked) == ("joined", ["join"])
    assert document["tasks"]["join"]["status"] == "succeeded"


def test_a_task_or_a_tag_that_does_not_exist_is_a_mistake(tmp_path: Path) -> None:
    path = pipeline(
        tmp_path, CHAIN.replace("  a:", "  alpha:").replace("tasks.a.", "tasks.alpha.").replace(": a}", ": alpha}")
    )
    wrong = llmflow("run", str(path), "--only", "alpa")
    assert (wrong.code, wrong.out) == (2, "")
    assert "no task 'alpa'" in wrong.err
    assert "did you mean alpha?" in wrong.err
    tag = llmflow("run", str(path), "--until", "tag:midle")
    assert tag.code == 2
    assert "no task has the tag 'midle'" in tag.err
