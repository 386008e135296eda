"""What the attempts of a run leave behind: one sample each, whatever became of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import llmflow
from llmflow.commands.past_runs import find, read
from llmflow.commands.stats import stats
from llmflow.history.samples import duration_samples
from llmflow.history.store import Store

PIPELINE = """
name: bad
providers:
  mock:
    answers:
      cut: {text: "half", finish_reason: length}
      more: {text: "half", finish_reason: length}
      again: "no"
      prose: "no"
defaults: {model: mock/any}
tasks:
  cut: {prompt: "a"}
  more: {prompt: "b", output: {on_truncated: extend}}
  again: {prompt: "c", output: {validate: ["output == 'yes'"], on_invalid: {attempts: 3}}}
  prose: {prompt: "d", output: {schema: {label: string}}}
"""


def test_an_attempt_whose_answer_cannot_be_used_is_one_attempt_in_every_count(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, place = tmp_path / "bad.yaml", tmp_path / "store"
    path.write_text(PIPELINE, encoding="utf-8")
    assert llmflow.run(path, store=place).status == "failed"
    with Store.open(place) as store:
        kept = [(s.task, s.number, s.outcome) for s in duration_samples(store)]
        shown = {task.facts.name: task.attempts for task in read(store, find(store, "last")).rows}
    assert sorted(kept) == [
        *(("again", n, "invalid_output") for n in (1, 2, 3)),
        ("cut", 1, "truncated"),
        *(("more", n, "truncated") for n in (1, 2, 3)),
        *(("prose", n, "invalid_output") for n in (1, 2)),
    ]
    assert shown == {"cut": 1, "more": 3, "again": 3, "prose": 2}
    assert stats(str(path), store=str(place), as_json=True) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert {row["task"]: (row["attempts"], row["failed"], row["failures"]) for row in rows} == {
        "cut": (1, 1, {"truncated": 1}),
        "more": (3, 3, {"truncated": 3}),
        "again": (3, 3, {"invalid_output": 3}),
        "prose": (2, 2, {"invalid_output": 2}),
    }
