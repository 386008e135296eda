"""Answers of earlier runs: which serve again, which never do, and that one question is asked once."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from command_line import Ended, llmflow, pipeline

from llmflow.history import stories
from llmflow.history.store import Store

HEAD = (
    "providers: {mock: {workers: 4, answers: {a: A, b: B, each: {text: same, delay: 0.2}}}}\ndefaults: {model: mock/m"
)
TWO = HEAD + "}\ntasks:\n  a: {prompt: 'Go to {{ inputs.place }}', CACHE}\n  b: {prompt: '{{ tasks.a.output }}'}\n"


class Counting:
    """Runs of one pipeline, each with the calls that it made."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.calls = folder, folder / "calls"

    def run(self, text: str, *words: str) -> tuple[Ended, dict[str, int]]:
        self.calls.unlink(missing_ok=True)
        ended = llmflow("run", str(pipeline(self.folder, text)), "--plain", *words, LLMFLOW_MOCK_CALLS=str(self.calls))
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        return ended, dict(Counter(json.loads(line)["task"] for line in lines))


@pytest.fixture
def counting(tmp_path: Path) -> Counting:
    return Counting(tmp_path)


def text(cache: str, **changes: str) -> str:
    made = TWO.replace("CACHE", cache)
    for old, new in changes.items():
        made = made.replace(old, new)
    return made


PLACE = ("-i", "place=Rome")


@pytest.mark.parametrize(
    ("cache", "again"),
    [
        ("cache: true", {"b": 1}),
        ("cache: {ttl: 1h}", {"b": 1}),
        ("cache: false", {"a": 1, "b": 1}),
        ("tags: []", {"a": 1, "b": 1}),
    ],
)
def test_an_answer_of_an_earlier_run_serves_where_the_author_says_so(
    counting: Counting, cache: str, again: dict[str, int]
) -> None:
    assert counting.run(text(cache), *PLACE)[1] == {"a": 1, "b": 1}
    ended, calls = counting.run(text(cache), *PLACE)
    assert (ended.code, ended.out, calls) == (0, "B\n", again)
    assert ("a  succeeded with an earlier answer" in ended.err) is ("a" not in again)


def test_defaults_hold_for_tasks_that_say_nothing(counting: Counting) -> None:
    made = text("tags: []").replace("{model: mock/m", "{model: mock/m, cache: true")
    counting.run(made, *PLACE)
    assert counting.run(made, *PLACE)[1] == {}
    assert counting.run(made.replace("tags: []", "cache: false"), *PLACE)[1] == {"a": 1}


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("Go to", "Fly to", PLACE),
        ("", "", ("-i", "place=Paris")),
        ("mock/m", "mock/n", PLACE),
        ("cache: true", "cache: true, params: {seed: 1}", PLACE),
        ("cache: true", "cache: true, system: Be brief.", PLACE),
        (
            "cache: true",
            "cache: true, output: {schema: {x: string}, on_invalid: {attempts: 1}}, on_error: continue",
            PLACE,
        ),
        ("", "", (*PLACE, "--no-cache")),
        ("", "", (*PLACE, "--refresh", "a")),
    ],
)
def test_whatever_can_change_an_answer_makes_it_another_question(
    counting: Counting, old: str, new: str, words: tuple[str, ...]
) -> None:
    assert counting.run(text("cache: true"), *PLACE)[1]["a"] == 1
    assert counting.run(text("cache: true").replace(old, new), *words)[1]["a"] == 1


def test_an_answer_is_used_until_it_is_too_old_and_using_it_makes_it_no_younger(
    counting: Counting, own_home: Path
) -> None:
    made = text("cache: {ttl: 1h}")
    counting.run(made, *PLACE)
    age(own_home, 3000)
    assert counting.run(made, *PLACE)[1] == {"b": 1}
    age(own_home, 1000)
    assert counting.run(made, *PLACE)[1] == {"a": 1, "b": 1}


def age(home: Path, seconds: float) -> None:
    """Let all answers have been given so much earlier."""
    connection = sqlite3.connect(home / "store" / "history.db")
    connection.execute("UPDATE answers SET created_at = created_at - ?", [seconds])
    connection.commit()
    connection.close()


def test_what_failed_or_was_cut_off_is_asked_again(counting: Counting) -> None:
    cut = text("cache: true, output: {on_truncated: keep}").replace("a: A", "a: {text: A, finish_reason: length}")
    counting.run(cut, *PLACE)
    assert counting.run(cut, *PLACE)[1]["a"] == 1
    failing = text("cache: true, on_error: continue, retry: {max_attempts: 1}").replace("a: A", "a: {error: server}")
    counting.run(failing, *PLACE)
    assert counting.run(failing, *PLACE)[1]["a"] == 1


SAME = HEAD + ", cache: true}\ntasks: {each: {foreach: [1, 2, 3, 4, 5, 6, 7, 8], prompt: same}}\n"


def test_of_identical_calls_under_way_at_once_one_is_made(counting: Counting) -> None:
    ended, calls = counting.run(SAME)
    assert (json.loads(ended.out), sum(calls.values())) == (["same"] * 8, 1)
    ended, calls = counting.run(SAME, "--no-cache")
    assert (json.loads(ended.out), sum(calls.values())) == (["same"] * 8, 8)


def test_where_the_one_that_was_made_fails_the_next_one_asks(counting: Counting) -> None:
    failing = SAME.replace("{text: same, delay: 0.2}", "{error: invalid_request, delay: 0.1}")
    ended, calls = counting.run(failing.replace("prompt: same", "prompt: same, on_error: continue"))
    assert sum(calls.values()) == 8
    assert "Traceback" not in ended.err


def test_a_task_that_is_paid_for_by_an_earlier_run_counts_no_tokens_and_is_kept(
    counting: Counting, own_home: Path
) -> None:
    made = text("cache: true").replace("b: {prompt: '{{ tasks.a.output }}'}", "b: {value: '{{ tasks.a.output }}'}")
    counting.run(made, *PLACE)
    ended, calls = counting.run(made, *PLACE, "--json")
    document = json.loads(ended.out)
    assert (calls, document["tasks"]["a"]["status"], document["outputs"]) == ({}, "succeeded", "A")
    with Store.open(own_home / "store", read_only=True) as store:
        answers = [[a.answer for a in stories.answers(store, run.record.id, name="a")] for run in stories.runs(store)]
    (copy,), (original,) = answers
    assert (copy.messages, copy.output, copy.key) == (original.messages, original.output, original.key)
    assert (copy.usage.input_tokens, original.usage.input_tokens > 0) == (0, True)


# ---- the command ------------------------------------------------------------------------------------


def test_the_command_lists_tells_why_and_forgets(counting: Counting, tmp_path: Path) -> None:
    file = str(tmp_path / "p.yaml")
    made = text("cache: true")
    counting.run(made, *PLACE)
    listed = llmflow("cache", "ls", file)
    assert (listed.code, [line.split()[1:4] for line in listed.out.splitlines()]) == (
        0,
        [["a", "1", "answer"], ["b", "1", "answer"]],
    )
    counting.run(made.replace("Go to", "Fly to"), *PLACE)
    told = llmflow("cache", "why", file, "a")
    assert (told.code, told.out.partition(" since ")[0]) == (0, "prompt changed")
    same = llmflow("cache", "why", file, "b")
    assert same.out == "nothing changed: the last answer is to the same question as the one before\n"
    assert llmflow("cache", "prune", file, "--older-than", "1h").err == "0 answers will not serve again\n"
    assert llmflow("cache", "clear", file).err == "4 answers to 3 questions will not serve again\n"
    assert llmflow("cache", "ls", file).err == "no answers that could serve again\n"
    assert counting.run(made, *PLACE)[1] == {"a": 1, "b": 1}
    few = llmflow("cache", "why", file, "a", "--store", str(tmp_path / "none"))
    assert few.code != 0


def test_what_a_run_can_still_go_on_with_is_not_forgotten(counting: Counting, tmp_path: Path) -> None:
    failing = text("cache: true").replace("b: B", "b: {error: invalid_request}")
    assert counting.run(failing, *PLACE)[0].code == 1
    assert llmflow("cache", "clear").err == "0 answers will not serve again\n"
    assert counting.run(text("cache: false"), "--resume")[1] == {"b": 1}


def test_forgetting_tells_answers_from_the_questions_that_the_list_counts(counting: Counting) -> None:
    for _ in range(2):
        assert counting.run(text("cache: true"), *PLACE, "--no-cache")[0].code == 0
    assert "1 answer " in llmflow("cache", "ls").out
    assert llmflow("cache", "clear").err == "4 answers to 2 questions will not serve again\n"
