"""Where the items of a fan-out come from: lists, templates, files read row by row, lists side by side."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fan_out_run import Ran, run

from llmflow.binding.items import rows_of
from llmflow.errors import CallFailed
from llmflow.language.rows import Rows
from llmflow.scheduling import events as ev

TASKS = """
tasks:
  each: {{foreach: {items}, value: "{{{{ item }}}}"}}
outputs: {{each: "{{{{ tasks.each.outputs }}}}"}}
"""


def items(tmp_path: Path, written: str, inputs: str = "") -> Ran:
    return run(tmp_path, inputs + TASKS.format(items=written))


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("d.jsonl", '{"a": 1}\n\n"two"\n[3]\n', [{"a": 1}, "two", [3]]),
        ("d.jsonl", "", []),
        ("d.csv", 'name,n\nAda,1\n"Grace, H.",2\n', [{"name": "Ada", "n": "1"}, {"name": "Grace, H.", "n": "2"}]),
        ("d.csv", "name,n\n", []),
        ("d.json", '[1, {"b": 2}]', [1, {"b": 2}]),
        ("d.txt", "one\ntwo\n", ["one", "two"]),
    ],
)
def test_a_file_gives_an_item_for_each_of_its_rows(
    tmp_path: Path, name: str, content: str, expected: list[object]
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert items(tmp_path, f"{{file: {name}}}").outputs == {"each": expected}


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("d.jsonl", "1\nnot json\n", "d.jsonl cannot be read: line 2: not JSON"),
        ("d.csv", "a,b\n1\n", "d.csv cannot be read: line 2: 1 values for 2 columns"),
        ("d.json", '{"a": 1}', "`d.json` must be a list, not a map"),
    ],
)
def test_a_file_that_is_no_list_fails_the_task_and_names_the_line(
    tmp_path: Path, name: str, content: str, told: str
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    ran = items(tmp_path, f"{{file: {name}}}")
    assert (ran.status, ran.failures()["each"][: len(told)], ran.names) == ("failed", told, ["each"])


def test_a_file_that_changes_while_it_is_read_fails_the_task_not_the_run(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text("1\n" * 5_000, encoding="utf-8")
    rows = iter(rows_of(path))
    assert next(rows) == 1
    path.write_text("1\n" * 10 + "broken\n" * 5_000, encoding="utf-8")
    with pytest.raises(ValueError, match="line"):
        list(rows)


def test_a_file_that_is_not_there_is_a_failure_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(CallFailed, match=r"gone\.jsonl"):
        rows_of(tmp_path / "gone.jsonl")


class CountedRows(Rows):
    """Knows how many rows have been taken from it."""

    taken = 0

    def __iter__(self) -> Iterator[object]:
        for self.taken, row in enumerate(super().__iter__(), 1):
            yield row


def test_rows_of_a_file_that_is_an_input_are_read_as_they_are_let_in(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(f"{n}\n" for n in range(500)), encoding="utf-8")
    text = """
inputs: {rows: {type: list, default: []}}
providers: {mock: {kind: mock, workers: 1, answers: {each: {text: ok, delay: 1}}}}
tasks:
  each: {foreach: {items: "{{ inputs.rows }}", window: 2}, prompt: "{{ item }}", model: mock/any}
outputs: {count: "{{ tasks.each.outputs | length }}"}
"""
    rows = CountedRows(path, "jsonl")
    ahead: list[int] = []

    def watch(event: ev.Event, names: list[str]) -> None:
        if isinstance(event, ev.TaskSucceeded) and len(ahead) < 400:
            ahead.append(rows.taken - len(ahead))

    assert run(tmp_path, text, unchecked={"rows": rows}, on_event=watch).outputs == {"count": 500}
    assert max(ahead) <= 3


@pytest.mark.parametrize(
    ("value", "told"),
    [("abc", "text"), ("3", "an integer"), ("{a: 1}", "a map"), ("true", "a boolean")],
)
def test_what_is_no_list_has_no_items(tmp_path: Path, value: str, told: str) -> None:
    kind = {"abc": "string", "3": "integer", "true": "boolean"}.get(value, "object")
    ran = items(tmp_path, '"{{ inputs.x }}"', f"inputs: {{x: {{type: {kind}, default: {value}}}}}\n")
    assert ran.failures() == {"each": f"`items` must be a list, not {told}"}


def test_lists_side_by_side_give_their_elements_of_the_same_place(tmp_path: Path) -> None:
    inputs = "inputs: {a: {type: list, default: [1, 2]}, b: {type: list, default: [x, y]}}\n"
    assert items(tmp_path, '{zip: ["{{ inputs.a }}", "{{ inputs.b }}"]}', inputs).outputs == {
        "each": [[1, "x"], [2, "y"]]
    }


def test_lists_side_by_side_must_be_of_one_length(tmp_path: Path) -> None:
    inputs = "inputs: {a: {type: list, default: [1, 2]}, b: {type: list, default: [x]}}\n"
    ran = items(tmp_path, '{zip: ["{{ inputs.a }}", "{{ inputs.b }}"]}', inputs)
    assert ran.failures() == {"each": "the lists of `zip` have different lengths: 2, 1"}


def test_a_template_may_make_the_list(tmp_path: Path) -> None:
    assert items(tmp_path, '"{{ range(3) | list }}"').outputs == {"each": [0, 1, 2]}
