"""`foreach` and `matrix` in whole runs: keys, order, conditions, caps, what may fail, how a stop ends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fan_out_run import Ran, run

from llmflow.scheduling import events as ev


def head(answers: str, workers: int = 4, retry: str = "{max_attempts: 1}") -> str:
    return (
        f"providers: {{mock: {{kind: mock, workers: {workers}, answers: {answers}}}}}\n"
        f"defaults: {{model: mock/any, retry: {retry}}}\n"
    )


ODD_FAIL = "{" + "".join(f'"each[{odd}]": {{error: server}}, ' for odd in (1, 3, 5, 7)) + "each: ok}"
EIGHT = "{items: [0, 1, 2, 3, 4, 5, 6, 7]"


def results(ran: Ran) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in ran.outputs["results"]]


def test_results_tell_key_item_output_status_and_error_in_item_order(tmp_path: Path) -> None:
    text = (
        head('{"each[b]": {error: server, detail: it broke}, each: ok}')
        + """
tasks:
  each:
    foreach: {items: [c, b, a], key: "{{ item }}", when: "item != 'c'", tolerate: 1}
    prompt: "{{ item }}"
outputs: {results: "{{ tasks.each.results }}", outputs: "{{ tasks.each.outputs }}"}
"""
    )
    ran = run(tmp_path, text)
    assert results(ran) == [
        ("c", "c", None, "skipped", None),
        ("b", "b", None, "failed", "it broke"),
        ("a", "a", "ok", "succeeded", None),
    ]
    assert (ran.outputs["outputs"], ran.status) == (["ok"], "succeeded")


def test_the_outputs_keep_the_order_of_the_items_whatever_ends_first(tmp_path: Path) -> None:
    text = head(
        '{"each[0]": {text: slow, delay: 3}, "each[1]": {text: fast, delay: 1}, "each[2]": {text: mid, delay: 2}}'
    )
    ran = run(tmp_path, text + "tasks: {each: {foreach: [1, 2, 3], prompt: x}}\n")
    assert ran.outputs == ["slow", "fast", "mid"]
    assert list(ran.statuses()) == ["each[1]", "each[2]", "each[0]", "each"]


def test_a_key_twice_fails_the_task_and_names_both_items(tmp_path: Path) -> None:
    ran = run(tmp_path, head("ok") + 'tasks: {each: {foreach: {items: [a, b, a], key: "k{{ item }}"}, prompt: x}}\n')
    assert ran.failures() == {"each": "items 0 and 2 have the same key: ka"}
    assert ran.statuses() == {"each[ka]": "succeeded", "each[kb]": "succeeded", "each": "failed"}


@pytest.mark.parametrize(("key", "length"), [("{{ '' }}", 0), ("{{ 'k' * 201 }}", 201)])
def test_a_key_has_1_to_200_characters(tmp_path: Path, key: str, length: int) -> None:
    ran = run(tmp_path, head("ok") + f'tasks: {{each: {{foreach: {{items: [1], key: "{key}"}}, prompt: x}}}}\n')
    assert ran.failures() == {"each": f"`key` gave a text of {length} characters; a key has 1 to 200"}


def test_a_matrix_goes_over_the_product_with_its_own_keys(tmp_path: Path) -> None:
    text = (
        head("ok")
        + """
tasks:
  each: {matrix: {n: [1, 2], word: [x, "y z"]}, value: "{{ item.n }}{{ item.word }}"}
outputs: {results: "{{ tasks.each.results }}"}
"""
    )
    assert [(key, output) for key, _, output, _, _ in results(run(tmp_path, text))] == [
        ("n=1,word=x", "1x"),
        ("n=1,word=y z", "1y z"),
        ("n=2,word=x", "2x"),
        ("n=2,word=y z", "2y z"),
    ]


@pytest.mark.parametrize(
    ("tolerate", "status"),
    [("0", "failed"), ("3", "failed"), ("4", "succeeded"), ("49%", "failed"), ("50%", "succeeded")],
)
def test_so_many_items_may_fail_and_no_more(tmp_path: Path, tolerate: str, status: str) -> None:
    text = head(ODD_FAIL) + f"tasks: {{each: {{foreach: {EIGHT}, tolerate: {tolerate}}}, prompt: x}}}}\n"
    ran = run(tmp_path, text)
    assert (ran.status, ran.outputs) == (status, ["ok"] * 4)
    told = {} if status == "succeeded" else {"each": "4 of 8 items failed; the first: "}
    assert {n: d.partition("a scripted")[0] for n, d in ran.failures().items() if n == "each"} == told


def test_a_failure_that_is_accepted_is_an_output_and_counts_for_no_tolerance(tmp_path: Path) -> None:
    text = (
        head(ODD_FAIL)
        + """
tasks:
  each: {foreach: [0, 1, 2], on_error: {default: "none for {{ item }}"}, prompt: x}
  next: {foreach: "{{ tasks.each.outputs }}", value: "{{ item }}!"}
"""
    )
    ran = run(tmp_path, text)
    assert (ran.outputs, ran.status, ran.statuses()["each[1]"]) == (
        ["ok!", "none for 1!", "ok!"],
        "succeeded",
        "failed",
    )


def test_an_empty_list_is_a_success(tmp_path: Path) -> None:
    text = (
        head("ok")
        + """
tasks:
  each: {foreach: "{{ [] }}", prompt: x}
  after: {value: "{{ tasks.each.outputs | length }} of {{ tasks.each.results | length }}"}
"""
    )
    ran = run(tmp_path, text)
    assert (ran.statuses(), ran.outputs) == ({"each": "succeeded", "after": "succeeded"}, "0 of 0")


def test_no_more_items_hold_a_worker_than_the_task_allows(tmp_path: Path) -> None:
    text = head("{each: {text: ok, delay: 1}}", workers=10)
    ran = run(tmp_path, text + f"tasks: {{each: {{foreach: {EIGHT}, workers: 3}}, prompt: x}}}}\n")
    assert ran.most_at_once("each") == 3
    assert ran.result.summary.makespan == pytest.approx(3)


def test_the_condition_of_the_task_is_asked_once_and_that_of_the_items_of_each(tmp_path: Path) -> None:
    text = (
        head("ok")
        + """
inputs: {go: {type: boolean}}
tasks:
  each: {when: inputs.go, foreach: {items: [1, 2, 3], when: item != 2}, prompt: x}
"""
    )
    assert run(tmp_path, text, {"go": False}).statuses() == {"each": "skipped"}
    assert run(tmp_path, text, {"go": True}).statuses() == {
        "each[1]": "skipped",
        "each[0]": "succeeded",
        "each[2]": "succeeded",
        "each": "succeeded",
    }


def test_an_item_is_tried_again_and_then_by_the_next_model_alone(tmp_path: Path) -> None:
    text = """
providers:
  bad: {kind: mock, answers: {"each[1]": {error: auth}, "each[2]": [{error: server}, second], each: bad}}
  good: {kind: mock, answers: good}
models: {both: [bad/x, good/y]}
defaults: {retry: {max_attempts: 2, backoff: {initial: 1s, jitter: false}}}
tasks: {each: {foreach: [0, 1, 2], model: both, prompt: x}}
"""
    ran = run(tmp_path, text)
    assert (ran.outputs, {name: len(spans) for name, spans in ran.spans().items()}) == (
        ["bad", "good", "second"],
        {"each[0]": 1, "each[1]": 2, "each[2]": 2},
    )


def test_a_loop_runs_for_each_item_of_its_own(tmp_path: Path) -> None:
    text = (
        head('{"each[0]": [a, done], "each[1]": [a, b, done]}')
        + """
tasks:
  each:
    foreach: [0, 1]
    prompt: "{{ iteration }} {{ previous or 'nothing' }}"
    repeat: {until: "output == 'done'", max_iterations: 5}
"""
    )
    ran = run(tmp_path, text)
    assert (ran.outputs, {n: len(s) for n, s in ran.spans().items()}) == (
        ["done", "done"],
        {"each[0]": 2, "each[1]": 3},
    )


def test_each_item_leaves_a_line_as_it_settles_and_the_file_is_there_when_all_have(tmp_path: Path) -> None:
    text = (
        head('{"each[1]": {error: server, detail: broken}, each: {data: {n: 1}}}')
        + """
tasks:
  each: {foreach: {items: [a, b, c], tolerate: 1, when: "item != 'c'"}, prompt: x, save: out/lines.jsonl,
         output: {schema: {n: integer}}}
"""
    )
    seen: list[bool] = []
    target = tmp_path / "out" / "lines.jsonl"
    run(tmp_path, text, on_event=lambda event, names: seen.append(target.exists()))
    assert [json.loads(line) for line in target.read_text().splitlines()] == [
        {"key": "2", "output": None, "status": "skipped", "error": None},
        {"key": "0", "output": {"n": 1}, "status": "succeeded", "error": None},
        {"key": "1", "output": None, "status": "failed", "error": "broken"},
    ]
    assert [path.name for path in target.parent.iterdir()] == ["lines.jsonl"]
    assert not any(seen[:-1])


def test_with_fail_fast_an_item_too_many_ends_everything_at_once(tmp_path: Path) -> None:
    text = (
        head('{"each[3]": {error: server}, each: {text: ok, delay: 1}}', workers=2)
        + """
tasks:
  each: {foreach: "{{ range(1000) | list }}", prompt: x}
  after: {value: "{{ tasks.each.outputs }}"}
"""
    )
    ran = run(tmp_path, text, fail_fast=True)
    statuses = ran.statuses()
    assert (ran.status, statuses["each"], statuses["after"]) == ("failed", "failed", "cancelled")
    assert [name for name, word in statuses.items() if word == "succeeded"] == ["each[0]", "each[1]", "each[2]"]
    assert len(statuses) == len(ran.names) == 2 + 34  # what had been let in, and nothing behind it
    assert ran.failures()["each"].startswith("1 of 34 items failed")


def test_with_fail_fast_what_is_tolerated_stops_nothing(tmp_path: Path) -> None:
    text = head(ODD_FAIL, workers=1) + f"tasks: {{each: {{foreach: {EIGHT}, tolerate: 4}}, prompt: x}}}}\n"
    assert run(tmp_path, text, fail_fast=True).status == "succeeded"


@pytest.mark.parametrize("at", range(1, 12))
def test_a_stop_in_the_middle_settles_every_item_once(tmp_path: Path, at: int) -> None:
    text = (
        head("{one: {text: a, delay: 1}, two: {text: b, delay: 1}}", workers=3)
        + """
tasks:
  one: {foreach: "{{ range(200) | list }}", prompt: x}
  two: {foreach: "{{ tasks.one.outputs }}", prompt: x}
  tree: {reduce: {items: "{{ tasks.two.outputs }}", mode: tree, batch: 2}, prompt: x}
  all: {value: "{{ tasks.one.outputs }}"}
"""
    )
    ran = run(tmp_path, text, stop_after=2.5 * at)
    statuses = ran.statuses()
    assert set(statuses) == set(ran.names)
    assert ran.status == "stopped"
    assert {statuses[name] for name in ("one", "two", "tree", "all")} == {"cancelled"}
    stopped = next(i for i, event in enumerate(ran.story) if isinstance(event, ev.StopRequested))
    assert not any(isinstance(event, ev.TasksAdded | ev.AttemptStarted) for event in ran.story[stopped:])


@pytest.mark.parametrize(("urgent", "first"), [("a", "a"), ("b", "b")])
def test_the_items_of_an_urgent_task_go_first(tmp_path: Path, urgent: str, first: str) -> None:
    tasks = "\n".join(
        f"  {name}: {{foreach: [0, 1], priority: {9 if name == urgent else 0}, prompt: x}}" for name in "ab"
    )
    ran = run(tmp_path, head("{a: {text: ok, delay: 1}, b: {text: ok, delay: 1}}", workers=1) + f"tasks:\n{tasks}\n")
    assert [name[0] for name in ran.spans()] == [first, first, *({"a", "b"} - {first}), *({"a", "b"} - {first})]


def test_people_are_asked_for_each_item_and_what_they_allow_goes_on(tmp_path: Path) -> None:
    text = (
        head("ok")
        + """
tasks:
  each: {foreach: {items: [0, 1, 2], tolerate: 1}, approve: "Shall {{ item }} go on?"}
  next: {foreach: "{{ tasks.each.outputs }}", value: "{{ item.approved }}"}
"""
    )
    ran = run(tmp_path, text, approved={"each[0]": True, "each[1]": False})
    assert (ran.status, ran.statuses()) == (
        "paused",
        {"each[0]": "succeeded", "each[1]": "failed", "next[0]": "succeeded"},
    )
    assert run(tmp_path, text, approved={"each[0]": True, "each[1]": False, "each[2]": True}).outputs == [True, True]


def test_code_and_programs_run_for_each_item(tmp_path: Path) -> None:
    (tmp_path / "steps.py").write_text("def double(n):\n    return 2 * n\n", encoding="utf-8")
    text = (
        head("ok")
        + """
tasks:
  twice: {foreach: [1, 2, 3], python: "steps.py:double", with: {n: "{{ item }}"}}
  said: {foreach: "{{ tasks.twice.outputs }}", command: [cat], stdin: "{{ item }}"}
"""
    )
    assert run(tmp_path, text, virtual=False).outputs == ["2", "4", "6"]


def test_what_the_items_used_stands_with_their_task(tmp_path: Path) -> None:
    text = (
        head("{each: {text: ok, usage: {input_tokens: 10, output_tokens: 2}}}")
        + f"""
tasks:
  each: {{foreach: {EIGHT}}}, prompt: x}}
  after: {{value: "{{{{ tasks.each.usage }}}}", depends_on: [each]}}
"""
    )
    ran = run(tmp_path, text)
    assert ran.outputs == {"input_tokens": 80, "output_tokens": 16}
    assert ran.result.document["tasks"]["each"]["usage"]["input_tokens"] == 80
    assert ran.result.document["usage"]["output_tokens"] == 16
