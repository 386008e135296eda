"""Tree `reduce`: which pieces are asked for, from what, in which order, and what gaps do to it."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from fan_out_run import run

from llmflow.binding.trees import Tree
from llmflow.scheduling import events as ev
from llmflow.scheduling.groups import Settling


def joined(tree: Tree, order: list[tuple[int, Any, bool]], closed_at: int) -> tuple[Any, list[str]]:
    """Put items in `order`, close behind so many of them, answer every piece with its texts in brackets."""
    asked: list[str] = []
    for place in range(len(order) + 1):
        if place == closed_at:
            tree.close()
        if place < len(order):
            ordinal, value, present = order[place]
            tree.put(ordinal, value, present)
        while pieces := list(tree.ready()):
            for key, values, _ in pieces:
                asked.append(key)
                tree.ended(key, f"({''.join(values)})", True, -1)
    assert tree.is_done
    return tree.result, asked


@pytest.mark.parametrize(
    ("count", "result", "pieces"),
    [
        (0, None, []),
        (1, "(a)", ["0.0"]),
        (3, "(abc)", ["0.0"]),
        (4, "((abc)(d))", ["0.0", "0.1", "1.0"]),
        (9, "((abc)(def)(ghi))", ["0.0", "0.1", "0.2", "1.0"]),
        (10, "(((abc)(def)(ghi))((j)))", ["0.0", "0.1", "0.2", "1.0", "0.3", "2.0"]),
    ],
)
def test_pieces_are_of_the_batch_and_the_last_value_is_the_result(count: int, result: str, pieces: list[str]) -> None:
    order = [(i, "abcdefghij"[i], True) for i in range(count)]
    found, asked = joined(Tree(0, 3), order, count)
    assert (found, sorted(asked)) == (result if count != 10 else "(((abc)(def)(ghi))(j))", sorted(pieces))


@pytest.mark.parametrize("seed", range(50))
def test_the_result_does_not_depend_on_the_order_in_which_items_come(seed: int) -> None:
    dice = Random(seed)
    batch, count = dice.randint(2, 4), dice.randint(0, 30)
    items = [(i, chr(97 + i % 26), dice.random() < 0.8) for i in range(count)]
    straight = joined(Tree(0, batch), items, count)
    shuffled = items[:]
    dice.shuffle(shuffled)
    mixed = joined(Tree(0, batch), shuffled, count)
    silent = joined(Tree(0, batch), [item for item in shuffled if item[2]], len([i for i in items if i[2]]))
    assert (straight[0], sorted(straight[1])) == (mixed[0], sorted(mixed[1]))
    assert silent[0] == straight[0]  # gaps that nobody spoke of are gaps all the same
    texts = [text for _, text, present in items if present]
    assert "".join(c for c in straight[0] or "" if c.isalpha()) == "".join(texts)


def head(answers: str, workers: int = 4) -> str:
    return (
        f"providers: {{mock: {{kind: mock, workers: {workers}, answers: {answers}}}}}\n"
        "defaults: {model: mock/any, retry: {max_attempts: 1}}\n"
    )


def test_a_piece_begins_when_its_own_items_are_there(tmp_path: Path) -> None:
    text = (
        head('{"each[0]": {text: a, delay: 9}, each: {text: b, delay: 1}, tree: {text: t, delay: 1}}', 9)
        + """
tasks:
  each: {foreach: [0, 1, 2, 3], prompt: x}
  tree: {reduce: {items: "{{ tasks.each.outputs }}", mode: tree, batch: 2}, prompt: "{{ items }}"}
"""
    )
    ran = run(tmp_path, text)
    assert {name: [round(t) for t in span[0]] for name, span in ran.spans().items() if name[0] == "t"} == {
        "tree[0.1]": [1, 2],
        "tree[0.0]": [9, 10],
        "tree[1.0]": [10, 11],
    }
    assert ran.outputs == "t"


def test_an_item_that_failed_two_stages_back_holds_up_no_piece(tmp_path: Path) -> None:
    text = (
        head('{"one[1]": {error: server}, one: {text: a, delay: 1}, tree: {text: t, delay: 1}}', workers=9)
        + """
tasks:
  one: {foreach: {items: "{{ range(40) | list }}", tolerate: 1, window: 4}, prompt: x}
  two: {foreach: "{{ tasks.one.outputs }}", value: "{{ item }}"}
  tree: {reduce: {items: "{{ tasks.two.outputs }}", mode: tree, batch: 4}, prompt: "{{ items }}"}
"""
    )
    ran = run(tmp_path, text)
    assert (ran.outputs, ran.status) == ("t", "succeeded")
    assert ran.spans()["tree[0.0]"][0][0] < 6


@pytest.mark.parametrize("policy", ["fifo", "critical-path"])
@pytest.mark.parametrize("fault", ["", '"tree[0.7]": {error: server}, '])
def test_answers_do_not_heap_up_before_a_tree_while_items_are_let_in(tmp_path: Path, policy: str, fault: str) -> None:
    text = (
        head(f"{{{fault}one: {{text: a, delay: 1}}, two: {{text: b, delay: 1}}, tree: {{text: t, delay: 1}}}}")
        + """
tasks:
  one: {foreach: {items: "{{ range(1000) | list }}"}, prompt: x}
  two: {foreach: "{{ tasks.one.outputs }}", prompt: x}
  tree: {reduce: {items: "{{ tasks.two.outputs }}", mode: tree, batch: 5}, prompt: x}
"""
    )
    ran = run(tmp_path, text, policy=policy)
    waiting = most = 0
    for event in ran.story:
        if isinstance(event, ev.TasksAdded) and ran.names[event.first].startswith("tree["):
            waiting += event.size
            most = max(most, waiting)
        elif isinstance(event, Settling) and ran.names[event.task].startswith("tree["):
            waiting -= 1
    assert most <= 32 + 32, "a window of pieces, and those that the items under way may complete"
    assert ran.status == ("failed" if fault else "succeeded")
    calls = ran.result.summary.attempts
    assert ran.result.summary.makespan == pytest.approx(calls / 4, rel=0.02)  # four workers, a second each: none idles


def test_the_prompt_of_a_piece_sees_its_items_and_those_of_the_next_level_its_answers(tmp_path: Path) -> None:
    text = (
        head("ok")
        + """
tasks:
  tree: {reduce: {items: [1, 2, 3, 4, 5], mode: tree, batch: 2}, python: "steps.py:add", with: {items: "{{ items }}"}}
"""
    )
    (tmp_path / "steps.py").write_text("def add(items):\n    return sum(items)\n", encoding="utf-8")
    ran = run(tmp_path, text, virtual=False)
    assert (ran.outputs, ran.starts("tree")[1:]) == (
        15,
        ["tree[0.0]", "tree[0.1]", "tree[0.2]", "tree[1.0]", "tree[2.0]"],
    )


@pytest.mark.parametrize(
    ("on_error", "status", "output"), [("fail", "failed", None), ('{default: "d"}', "succeeded", "d")]
)
def test_a_piece_that_fails_fails_the_tree(tmp_path: Path, on_error: str, status: str, output: str | None) -> None:
    text = (
        head('{"tree[0.1]": {error: server, detail: broken}, tree: t}')
        + f"""
tasks:
  tree: {{reduce: {{items: [1, 2, 3, 4, 5], mode: tree, batch: 2}}, prompt: x, on_error: {on_error}}}
"""
    )
    ran = run(tmp_path, text)
    assert (ran.status, ran.outputs, ran.failures()["tree"]) == (
        status,
        output,
        "1 of 3 items failed; the first: broken",
    )
    assert "tree[1.0]" not in ran.names


def test_all_that_was_to_be_joined_may_have_failed(tmp_path: Path) -> None:
    text = (
        head("{each: {error: server}, tree: t}")
        + """
tasks:
  each: {foreach: {items: [0, 1, 2], tolerate: 3}, prompt: x}
  tree: {reduce: {items: "{{ tasks.each.outputs }}", mode: tree, batch: 2}, prompt: x}
"""
    )
    ran = run(tmp_path, text)
    assert (ran.status, ran.outputs, ran.starts("tree")) == ("succeeded", None, ["tree"])
