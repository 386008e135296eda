"""`reduce` by folding: piece after piece, with the answer so far."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fan_out_run import run

HEAD = "providers: {mock: {kind: mock, workers: 4, answers: ANSWERS}}\ndefaults: {model: mock/any}\n"
STEP = "def join(items, previous):\n    return f\"{previous or ''}{items}\"\n"


def folded(tmp_path: Path, items: str, batch: int) -> Any:
    (tmp_path / "steps.py").write_text(STEP, encoding="utf-8")
    text = f"""
tasks:
  fold:
    reduce: {{items: {items}, batch: {batch}}}
    python: steps.py:join
    with: {{items: "{{{{ items }}}}", previous: "{{{{ previous }}}}"}}
"""
    ran = run(tmp_path, text, virtual=False)
    assert ran.status == "succeeded"
    return ran.outputs


@pytest.mark.parametrize(
    ("items", "batch", "expected"),
    [
        ("[]", 2, None),
        ("[1]", 2, "[1]"),
        ("[1, 2]", 2, "[1, 2]"),
        ("[1, 2, 3]", 2, "[1, 2][3]"),
        ("[1, 2, 3]", 1, "[1][2][3]"),
        ("[1, 2, 3, 4]", 10, "[1, 2, 3, 4]"),
    ],
)
def test_each_piece_sees_what_came_of_those_before(tmp_path: Path, items: str, batch: int, expected: str) -> None:
    assert folded(tmp_path, items, batch) == expected


def test_a_fold_is_one_attempt_after_the_other_on_one_worker(tmp_path: Path) -> None:
    answers = "{fold: [{text: a, delay: 1}, {text: b, delay: 2}, {text: c, delay: 3}]}"
    text = (
        HEAD.replace("ANSWERS", answers)
        + """
tasks: {fold: {reduce: {items: [1, 2, 3, 4, 5], batch: 2}, prompt: "{{ previous or 'none' }}: {{ items }}"}}
"""
    )
    ran = run(tmp_path, text)
    assert [[round(t) for t in span] for span in ran.spans()["fold"]] == [[0, 1], [1, 3], [3, 6]]
    assert ran.outputs == "c"


def test_a_fold_over_items_waits_for_all_of_them_and_takes_them_in_order(tmp_path: Path) -> None:
    answers = '{"each[0]": {text: a, delay: 5}, "each[1]": {text: b, delay: 1}, fold: f}'
    text = (
        HEAD.replace("ANSWERS", answers)
        + """
tasks:
  each: {foreach: [0, 1], prompt: x}
  fold: {reduce: {items: "{{ tasks.each.outputs }}"}, prompt: "{{ items }}"}
"""
    )
    ran = run(tmp_path, text)
    assert ran.spans()["fold"][0][0] == pytest.approx(5)


def test_a_piece_that_fails_fails_the_fold_and_keeps_no_half_of_it(tmp_path: Path) -> None:
    answers = "{fold: [a, {error: refusal, detail: never}]}"
    text = (
        HEAD.replace("ANSWERS", answers)
        + """
tasks: {fold: {reduce: {items: [1, 2, 3], batch: 1}, prompt: x}}
"""
    )
    ran = run(tmp_path, text)
    assert (ran.status, ran.outputs, ran.failures()) == ("failed", None, {"fold": "never"})


def test_a_retry_goes_on_with_its_piece(tmp_path: Path) -> None:
    answers = "{fold: [a, {error: server}, b, c]}"
    text = (
        HEAD.replace("ANSWERS", answers)
        + """
tasks: {fold: {reduce: {items: [1, 2, 3], batch: 1}, prompt: x}}
"""
    )
    ran = run(tmp_path, text)
    assert (ran.outputs, len(ran.spans()["fold"])) == ("c", 4)


def test_what_is_no_list_cannot_be_folded(tmp_path: Path) -> None:
    text = (
        HEAD.replace("ANSWERS", "ok")
        + """
inputs: {x: {default: abc}}
tasks: {fold: {reduce: {items: "{{ inputs.x }}"}, prompt: x}}
"""
    )
    assert run(tmp_path, text).failures() == {"fold": "`reduce.items` must be a list"}
