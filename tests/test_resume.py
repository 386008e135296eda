"""`run --resume` as a person meets it: after a failure, a signal, a kill, a change; item by item; nothing paid twice.

LLMFLOW_MOCK_CALLS counts what was asked for, from outside.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter
from os import environ
from pathlib import Path
from typing import Any

import pytest
from command_line import PROGRAM, llmflow, pipeline

from llmflow import run
from llmflow.errors import UsageError

HEAD = "name: resume\nproviders: {mock: {answers: %s}}\ndefaults: {model: mock/any, retry: {max_attempts: 1}}\n"


class Folder:
    """A folder with one pipeline, and the calls that its runs made."""

    def __init__(self, path: Path) -> None:
        self.path, self.calls = path, path / "calls.jsonl"

    def write(self, answers: dict[str, Any], tasks: str) -> None:
        pipeline(self.path, f"{HEAD % json.dumps(answers)}\ntasks:\n{tasks}")

    def run(self, *words: str) -> tuple[int, dict[str, Any]]:
        ended = llmflow("run", "p.yaml", *words, "--json", cwd=self.path, LLMFLOW_MOCK_CALLS=str(self.calls))
        assert ended.out, ended.err
        return ended.code, json.loads(ended.out)

    def paid(self) -> dict[str, int]:
        """Task → how often it was asked since the last look."""
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        self.calls.unlink(missing_ok=True)
        return dict(Counter(json.loads(line)["task"] for line in lines))


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def statuses(document: dict[str, Any]) -> dict[str, str]:
    return {name: task["status"] for name, task in document["tasks"].items()}


CHAIN = """\
  a: {prompt: "one"}
  b: {prompt: "two {{ tasks.a.output }}"}
  c: {prompt: "three {{ tasks.b.output }}"}
  d: {prompt: "beside"}
"""
GOOD = {"a": "A", "b": "B", "c": "C", "d": "D"}


def test_after_a_failure_only_what_failed_and_what_it_held_up_is_asked(folder: Folder) -> None:
    folder.write({**GOOD, "b": [{"error": "server"}, "B"]}, CHAIN)
    code, first = folder.run()
    assert (code, statuses(first)) == (1, {"a": "succeeded", "b": "failed", "c": "blocked", "d": "succeeded"})
    assert folder.paid() == {"a": 1, "b": 1, "d": 1}
    folder.write(GOOD, CHAIN)
    code, second = folder.run("--resume")
    assert (code, second["run"], second["outputs"]) == (0, first["run"], {"c": "C", "d": "D"})
    assert folder.paid() == {"b": 1, "c": 1}
    ended = llmflow("run", "--resume", first["run"], cwd=folder.path)
    assert (ended.code, json.loads(ended.out)) == (0, {"c": "C", "d": "D"})
    assert ended.err == f"run {first['run']} has succeeded already: these are its outputs\n"
    assert folder.paid() == {}


def test_a_changed_prompt_re_runs_that_task_and_those_whose_own_input_changed(folder: Folder) -> None:
    folder.write({**GOOD, "c": {"error": "server"}}, CHAIN)
    assert folder.run()[0] == 1
    folder.paid()
    folder.write({**GOOD, "a": "another A"}, CHAIN.replace("one", "changed"))
    code, said = folder.run("--resume")
    assert (code, said["outputs"]) == (0, {"c": "C", "d": "D"})
    assert folder.paid() == {"a": 1, "b": 1, "c": 1}


def test_a_changed_prompt_with_the_same_answer_leaves_the_others_alone(folder: Folder) -> None:
    folder.write({**GOOD, "c": {"error": "server"}}, CHAIN)
    assert folder.run()[0] == 1
    folder.paid()
    folder.write(GOOD, CHAIN.replace("one", "changed"))
    assert folder.run("--resume")[0] == 0
    assert folder.paid() == {"a": 1, "c": 1}


def test_a_foreach_goes_on_item_by_item_by_key(folder: Folder) -> None:
    items = '  each: {foreach: {items: %s, key: "{{ item }}"}, prompt: "about {{ item }}"}\n'
    answers = {"each[y]": {"error": "server"}, "*": "fine"}
    folder.write(answers, items % '["x", "y", "z"]')
    code, _ = folder.run()
    assert (code, sum(folder.paid().values())) == (1, 3)
    folder.write({"*": "fine"}, items % '["z", "new", "y", "x"]')
    code, said = folder.run("--resume")
    assert (code, said["outputs"]) == (0, ["fine"] * 4)
    assert folder.paid() == {"each[new]": 1, "each[y]": 1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_after_a_signal_nothing_that_was_answered_is_paid_again(number: int, folder: Folder) -> None:
    slow = {"a": "A", "d": "D", "b": {"text": "B", "delay": 0.6 if number != signal.SIGKILL else 60}, "c": "C"}
    folder.write(slow, CHAIN)
    child = subprocess.Popen(
        [*PROGRAM, "run", "p.yaml"],
        cwd=folder.path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**environ, "LLMFLOW_MOCK_CALLS": str(folder.calls)},
    )
    assert child.stderr is not None
    while "b  started" not in child.stderr.readline():
        pass
    while "b" not in {json.loads(line)["task"] for line in folder.calls.read_text().splitlines()}:
        pass
    child.send_signal(number)
    child.communicate(timeout=60)
    assert child.returncode == (128 + number if number != signal.SIGKILL else -number)
    assert folder.paid() == {"a": 1, "b": 1, "d": 1}
    folder.write(GOOD, CHAIN)
    code, said = folder.run("--resume")
    assert (code, said["outputs"]) == (0, {"c": "C", "d": "D"})
    in_flight = {"b": 1} if number == signal.SIGKILL else {}
    assert folder.paid() == {**in_flight, "c": 1}


def test_inputs_and_selection_are_those_of_the_run(folder: Folder) -> None:
    folder.write({**GOOD, "a": {"error": "server"}}, CHAIN)
    assert folder.run("--until", "b")[0] == 1
    folder.write(GOOD, CHAIN)
    code, said = folder.run("--resume")
    assert (code, list(said["tasks"])) == (0, ["a", "b"])


def test_where_nothing_can_go_on_it_says_so(folder: Folder) -> None:
    folder.write(GOOD, CHAIN)
    ended = llmflow("run", "p.yaml", "--resume", cwd=folder.path)
    assert (ended.code, ended.out) == (2, "")
    assert folder.run()[0] == 0
    assert llmflow("run", "p.yaml", "--resume", cwd=folder.path).code == 2


LONG = "long " * 40_000
"""More than a pipe holds that nobody reads."""


@pytest.mark.parametrize("ended", ["killed", "nobody reads", "no room", "interrupted"])
def test_a_run_that_committed_its_end_but_not_its_outputs_gives_them_when_it_is_resumed(
    ended: str, folder: Folder
) -> None:
    folder.write({**GOOD, "c": LONG}, CHAIN)
    with Path("/dev/full").open("w") as full:
        child = subprocess.Popen(
            [*PROGRAM, "run", "p.yaml", "--store", "store"],
            cwd=folder.path,
            stdout=full if ended == "no room" else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environ, "LLMFLOW_MOCK_CALLS": str(folder.calls)},
        )
    assert child.stderr is not None
    said = ""
    while "makespan" not in said:
        line = child.stderr.readline()
        assert line, said
        said += line
    if ended == "killed":
        child.kill()
    elif ended == "interrupted":
        child.send_signal(signal.SIGINT)
    elif ended == "nobody reads":
        assert child.stdout is not None
        child.stdout.close()
    said += child.communicate(timeout=60)[1]
    assert child.returncode == {"killed": -9, "nobody reads": 141, "no room": 74, "interrupted": 130}[ended]
    assert ("to go on: llmflow run --resume" in said) == (ended == "no room"), said
    assert "Traceback" not in said
    assert folder.paid() == {"a": 1, "b": 1, "c": 1, "d": 1}
    marks = list((folder.path / "store" / "locks").iterdir())
    again = llmflow("run", "p.yaml", "--resume", "--store", "store", cwd=folder.path)
    assert (again.code, json.loads(again.out)) == (0, {"c": LONG.strip(), "d": "D"})
    assert again.err == f"run {marks[0].name} has succeeded already: these are its outputs\n"
    assert (len(marks), marks[0].exists(), folder.paid()) == (1, False, {})
    assert llmflow("run", "--resume", "--store", "store", cwd=folder.path).code == 2


def test_outputs_that_cannot_be_delivered_again_stay_undelivered(folder: Folder) -> None:
    folder.write(GOOD, CHAIN)
    for words in (["p.yaml"], ["p.yaml", "--resume"], ["--resume"]):
        ended = llmflow("run", *words, "--store", "store", "-o", "/dev/full", cwd=folder.path)
        assert (ended.code, ended.out) == (74, "")
        assert "to go on: llmflow run --resume" in ended.err
    assert llmflow("run", "--resume", "--store", "store", cwd=folder.path).out == '{\n  "c": "C",\n  "d": "D"\n}\n'


def test_outputs_that_could_not_be_computed_are_computed_when_the_file_is_mended(folder: Folder) -> None:
    folder.write(GOOD, CHAIN + "outputs: {x: '{{ tasks.c.output.nothing }}'}\n")
    code, said = folder.run("--store", "store")
    assert (code, said["status"], "problem" in said) == (1, "succeeded", True)
    folder.paid()
    folder.write(GOOD, CHAIN + "outputs: {x: '{{ tasks.c.output }}'}\n")
    code, again = folder.run("--resume", "--store", "store")
    assert (code, again["run"], again["outputs"], folder.paid()) == (0, said["run"], {"x": "C"}, {})


def test_the_calls_in_flight_are_told_with_what_the_same_tasks_took_before(folder: Folder) -> None:
    folder.write(GOOD, CHAIN)
    assert folder.run()[0] == 0
    folder.write({**GOOD, "b": {"text": "B", "delay": 60}, "d": {"text": "D", "delay": 60}}, CHAIN)
    folder.paid()
    child = subprocess.Popen(
        [*PROGRAM, "run", "p.yaml"],
        cwd=folder.path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**environ, "LLMFLOW_MOCK_CALLS": str(folder.calls)},
    )
    while not folder.calls.exists() or len(folder.calls.read_text().splitlines()) < 3:
        assert child.poll() is None
        time.sleep(0.02)
    child.kill()
    child.wait()
    folder.write(GOOD, CHAIN)
    ended = llmflow("run", "p.yaml", "--resume", cwd=folder.path)
    told = "2 calls had no known end and may have been paid for, for about 3 + 2 tokens by earlier calls: d, b"
    assert ended.err.splitlines()[0] == told
    assert ended.code == 0


def test_what_was_left_out_and_never_answered_is_not_offered_to_go_on_with(folder: Folder) -> None:
    folder.write(GOOD, CHAIN)
    ended = llmflow("run", "p.yaml", "--only", "b", cwd=folder.path)
    assert ended.code == 1
    assert ended.err.splitlines()[-1] == "to have what was left out: llmflow run p.yaml"


def test_a_python_program_goes_on_with_a_run_and_with_what_it_was_told(folder: Folder) -> None:
    text = "inputs: {place: {}}\nproviders: {mock: {answers: %s}}\ndefaults: {model: mock/m}\n"
    tasks = "tasks: {a: {prompt: 'to {{ inputs.place }}'}, b: {prompt: 'then {{ tasks.a.output }}'}}\n"
    path = pipeline(folder.path, text % "{a: A, b: {error: invalid_request}}" + tasks)
    store = folder.path / "store"
    failed = run(path, {"place": "Rome"}, store=store)
    assert failed.status == "failed"
    pipeline(folder.path, text % "{a: another A, b: B}" + tasks)
    with pytest.raises(UsageError, match="no run 'NONE' in "):
        run(path, store=store, resume="NONE")
    done = run(path, store=store, resume=True)
    assert (done.run, done.status, done.outputs) == (failed.run, "succeeded", "B")
    assert done.tasks["a"]["status"] == "succeeded"
    with pytest.raises(UsageError, match="has succeeded: there is nothing to go on with"):
        run(path, store=store, resume=failed.run)
    with pytest.raises(UsageError, match="can go on"):
        run(path, store=store, resume=True)
    # The command goes on with what a program began, and the other way round.
    pipeline(folder.path, text % "{a: A, b: {error: invalid_request}}" + tasks)
    failed = run(path, {"place": "Paris"}, store=store)
    pipeline(folder.path, text % "{a: another A, b: B}" + tasks)
    ended = llmflow("run", "--resume", failed.run, "--store", str(store), "--plain")
    assert (ended.code, ended.out, "a  succeeded with an earlier answer" in ended.err) == (0, "B\n", True)


def test_a_run_keeps_its_seed_when_it_goes_on_unless_another_is_said(folder: Folder) -> None:
    tasks = "\n".join(f"  t{i}: {{prompt: '{i}'}}" for i in range(8))

    def order(answer: Any, *words: str) -> list[str]:
        folder.write({"*": answer}, tasks)
        folder.run("--policy", "random", "-j", "1", *words)
        return list(folder.paid())

    first = order({"error": "server"}, "--seed", "11")
    assert sorted(first) == [f"t{i}" for i in range(8)]
    assert order({"error": "server"}, "--resume") == first
    assert order({"error": "server"}, "--resume", "--seed", "0") != first
    assert order("fine", "--seed", "0") != first


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--refresh", "bb"], "--refresh: no task 'bb'\n  hint: did you mean b?\n"),
        (["--refresh", "a", "--refresh", "nobody"], "--refresh: no task 'nobody'\n  hint: tasks: a, b, c, d\n"),
        (["--rerun-interrupted"], "--rerun-interrupted is said when a run goes on\n  hint: add --resume\n"),
    ],
)
def test_words_that_would_do_nothing_are_refused_before_anything_is_asked(
    words: list[str], told: str, folder: Folder
) -> None:
    folder.write(GOOD, CHAIN)
    ended = llmflow("run", "p.yaml", *words, cwd=folder.path, LLMFLOW_MOCK_CALLS=str(folder.calls))
    assert (ended.code, ended.out, ended.err, folder.paid()) == (2, "", told, {})
