"""Runs that were interrupted: what runs again by itself, what waits for a word, and what is told about it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import history_child
import pytest
from command_line import PROGRAM, llmflow, masked, pipeline
from fake_server import FakeServer, Reply

from llmflow.binding.recall import what_changed
from llmflow.history import stories
from llmflow.history.location import store_dir
from llmflow.history.store import Store

SLOW = """\
import pathlib, time

def act(folder):
    with (pathlib.Path(folder) / "acted").open("a") as file:
        file.write("acted\\n")
    for _ in range(600):
        if (pathlib.Path(folder) / "go").exists():
            break
        time.sleep(0.1)
    return "acted"

if __name__ == "__main__":
    print(act("."))
"""

ACTIONS = {
    "python": "python: 'slow.py:act', with: {folder: FOLDER}",
    "command": "command: [PYTHON, slow.py]",
    "http": "http: {url: 'URL', method: POST, json: {model: m, messages: [{role: user, content: buy}]}}",
}


def interrupted_while_acting(folder: Path, action: str, server: FakeServer, more: str = "") -> Path:
    """A run that was killed while its second task was at work out in the world."""
    (folder / "slow.py").write_text(SLOW)
    act = ACTIONS[action].replace("FOLDER", str(folder)).replace("PYTHON", sys.executable)
    act = act.replace("URL", f"{server.openai_url}/chat/completions")
    path = pipeline(
        folder,
        "providers: {mock: {answers: {first: one, last: three}}}\ndefaults: {model: mock/m}\n"
        "tasks:\n  first: {prompt: x}\n"
        f"  act: {{{act}, depends_on: first{more}}}\n"
        "  last: {prompt: '{{ tasks.act.output }}'}\n",
    )
    environment = {**os.environ, "LLMFLOW_MOCK_CALLS": str(folder / "calls")}
    child = subprocess.Popen(
        [*PROGRAM, "run", str(path)], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder
    )
    deadline = time.monotonic() + 60
    while not ((folder / "acted").exists() or server.requests) and time.monotonic() < deadline:
        time.sleep(0.02)
    child.kill()
    child.wait()
    (folder / "go").touch()
    return path


def times_acted(folder: Path, server: FakeServer) -> int:
    return len((folder / "acted").read_text().splitlines()) if (folder / "acted").exists() else len(server.requests)


@pytest.mark.parametrize("action", ACTIONS)
def test_what_may_have_done_its_work_waits_for_a_word_and_the_line_says_which(tmp_path: Path, action: str) -> None:
    with FakeServer() as server:
        server.script(Reply(mode="hang"))
        path = interrupted_while_acting(tmp_path, action, server)
        held = llmflow("run", str(path), "--resume", "--plain", cwd=tmp_path)
        assert (held.code, times_acted(tmp_path, server)) == (4, 1)
        assert "act: was under way when the run was interrupted and may have done its work; it waits\n" in held.err
        assert "waiting for a person's word on act\n" in held.err
        assert masked(held.err).endswith("to go on: llmflow run --resume RUN --rerun-interrupted\n")
        assert "first  succeeded with an earlier answer" in held.err
        # Nothing has been decided by asking twice.
        assert llmflow("run", str(path), "--resume", cwd=tmp_path).code == 4
        done = llmflow("run", str(path), "--resume", "--rerun-interrupted", cwd=tmp_path)
        assert (done.code, done.out, times_acted(tmp_path, server)) == (0, "three\n", 2)


@pytest.mark.parametrize("action", ACTIONS)
def test_what_its_author_lets_be_tried_again_runs_again_by_itself(tmp_path: Path, action: str) -> None:
    with FakeServer() as server:
        server.script(Reply(mode="hang"))
        path = interrupted_while_acting(tmp_path, action, server, more=", retry: {max_attempts: 2}")
        done = llmflow("run", str(path), "--resume", cwd=tmp_path, LLMFLOW_MOCK_CALLS=str(tmp_path / "calls"))
        assert (done.code, done.out, times_acted(tmp_path, server)) == (0, "three\n", 2)
        assert "1 call had no known end and may have been paid for: act\n" in done.err
        calls = [json.loads(line)["task"] for line in (tmp_path / "calls").read_text().splitlines()]
        assert calls == ["first", "last"]


# ---- changed since ----------------------------------------------------------------------------------


CHAIN = """\
inputs: {place: {default: Rome}}
models: {big: mock/big}
providers: {mock: {answers: {a: A, b: B, c: C, last: {error: invalid_request}}}}
tasks:
  a: {prompt: "Go to {{ inputs.place }}", model: big}
  b: {prompt: "Then {{ tasks.a.output }}", model: mock/small}
  c: {prompt: "Stay", model: mock/small, params: {seed: 1}}
  last: {prompt: "{{ tasks.b.output }} {{ tasks.c.output }}", model: mock/small}
"""


@pytest.mark.parametrize(
    ("old", "new", "words", "again", "told"),
    [
        ("", "", [], ["last"], []),
        ("Go to", "Fly to", [], ["a", "last"], ["a runs again: prompt changed"]),
        ("", "", ["-i", "place=Paris"], ["a", "last"], ["a runs again: input changed"]),
        ("mock/big", "mock/bigger", [], ["a", "last"], ["a runs again: model changed"]),
        ("seed: 1", "seed: 2", [], ["c", "last"], ["c runs again: params changed"]),
        ("a: A,", "a: D,", [], ["last"], []),
        (
            '"Stay", model: mock/small',
            '"Stay on", model: mock/new',
            [],
            ["c", "last"],
            ["c runs again: model and prompt changed"],
        ),
    ],
)
def test_a_task_runs_again_only_if_its_own_key_has_changed_and_the_reason_is_named(
    tmp_path: Path, old: str, new: str, words: list[str], again: list[str], told: list[str]
) -> None:
    path = pipeline(tmp_path, CHAIN)
    calls = tmp_path / "calls"
    assert llmflow("run", str(path), LLMFLOW_MOCK_CALLS=str(calls)).code == 1
    assert sorted(json.loads(line)["task"] for line in calls.read_text().splitlines()) == ["a", "b", "c", "last"]
    calls.unlink()
    pipeline(tmp_path, CHAIN.replace(old, new).replace("{error: invalid_request}", "Done"))
    ended = llmflow("run", str(path), "--resume", "--plain", *words, LLMFLOW_MOCK_CALLS=str(calls))
    assert (ended.code, ended.out) == (0, "Done\n")
    assert sorted(json.loads(line)["task"] for line in calls.read_text().splitlines()) == again
    assert [line.strip().partition("  ")[2] for line in ended.err.splitlines() if "runs again" in line] == told


def test_an_answer_that_changed_changes_the_input_of_whoever_reads_it(tmp_path: Path) -> None:
    path = pipeline(tmp_path, CHAIN)
    assert llmflow("run", str(path)).code == 1
    pipeline(
        tmp_path, CHAIN.replace("Go to", "Fly to").replace("a: A,", "a: E,").replace("{error: invalid_request}", "F")
    )
    ended = llmflow("run", str(path), "--resume", "--plain")
    told = [line.strip().partition("  ")[2] for line in ended.err.splitlines() if "runs again" in line]
    assert told == ["a runs again: prompt changed", "b runs again: input changed"]


def test_an_answer_of_which_no_parts_are_known_is_still_told_to_be_stale() -> None:
    assert what_changed({}, {"model": "1", "input": "2"}) == "what is asked changed"
    assert what_changed({"code": "1", "input": "1"}, {"code": "2", "input": "2"}) == "input and code changed"


# ---- who holds it -----------------------------------------------------------------------------------


def test_a_resume_that_is_refused_says_nothing_of_calls_in_flight(tmp_path: Path) -> None:
    with FakeServer() as server:
        interrupted_while_acting(tmp_path, "python", server)
    with Store.open(store_dir(None, os.environ)) as history:
        run_id = stories.runs(history)[0].record.id
        with history.lock_run(run_id):
            refused = llmflow("run", "--resume", cwd=tmp_path)
    assert (refused.code, refused.err) == (75, f"run {run_id} is being worked on by process {os.getpid()}\n")


def test_the_second_of_two_resumes_is_told_who_holds_the_run(tmp_path: Path) -> None:
    store = tmp_path / "store"
    path = pipeline(tmp_path, CHAIN)
    assert llmflow("run", str(path), "--store", str(store)).code == 1
    with Store.open(store, read_only=True) as history:
        run_id = stories.runs(history)[0].record.id
    holder = subprocess.Popen(
        [sys.executable, history_child.__file__, "hold", str(store), run_id], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder.stdout:
        assert json.loads(holder.stdout.readline()) == {"held": run_id}
        refused = llmflow("run", "--resume", run_id, "--store", str(store))
        holder.kill()
        holder.wait()
    assert (refused.code, refused.out) == (75, "")
    assert refused.err == f"run {run_id} is being worked on by process {holder.pid}\n"
    # Its holder has died, and with it the lock.
    pipeline(tmp_path, CHAIN.replace("{error: invalid_request}", "Done"))
    assert llmflow("run", "--resume", run_id, "--store", str(store)).code == 0
    with Store.open(store, read_only=True) as history:
        assert [run.record.id for run in stories.runs(history)] == [run_id]
