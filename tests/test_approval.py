"""`approve`: asked at a real terminal; elsewhere the run pauses and goes on with `--resume --approve TASK`."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pexpect
import pytest
from command_line import PROGRAM, llmflow, pipeline

APPROVAL = """
name: approval
providers: {mock: {answers: {draft: "Ready \\e[2J{{ inputs }}", send: Sent}}}
defaults: {model: mock/any}
tasks:
  draft: {prompt: x}
  release: {approve: "Send this out? {{ tasks.draft.output }}"}
  send: {prompt: x, depends_on: release}
  beside: {value: kept}
outputs:
  decision: "{{ tasks.release.output }}"
  sent: "{{ tasks.send.output }}"
  beside: "{{ tasks.beside.output }}"
"""
TWO = APPROVAL.replace("  beside:", "  second: {approve: 'And this?', depends_on: draft}\n  beside:", 1)


def at_a_terminal(path: Path, *answers: str, thinking: float = 0.0) -> tuple[int, str, dict[str, Any]]:
    """Exit code, what stood on the terminal, and the outputs."""
    output = path.parent / "out.json"
    child = pexpect.spawn(
        PROGRAM[0],
        [*PROGRAM[1:], "run", str(path), "-o", str(output)],
        env={**os.environ, "TERM": "xterm-256color"},
        encoding="utf-8",
        timeout=60,
        dimensions=(24, 100),
    )
    written = ""
    for answer in answers:
        child.expect_exact("approve? [y/N, or why not] ")
        written += child.before
        time.sleep(thinking)
        child.sendline(answer)
    written += str(child.read())
    child.close()
    assert child.signalstatus is None
    return int(child.exitstatus or 0), written, json.loads(output.read_text(encoding="utf-8"))


@pytest.mark.parametrize("answer", ["y", " YES "])
def test_yes_at_the_terminal_goes_on(answer: str, tmp_path: Path) -> None:
    code, written, outputs = at_a_terminal(pipeline(tmp_path, APPROVAL), answer)
    assert (code, outputs) == (0, {"decision": {"approved": True, "comment": ""}, "sent": "Sent", "beside": "kept"})
    assert "release asks for approval:\r\nSend this out? Ready {{ inputs }}\r\n" in written
    assert "\x1b[2J" not in written


@pytest.mark.parametrize("answer", ["", "n", "No", "not before Monday", "yes but not now"])
def test_anything_else_at_the_terminal_is_a_refusal_that_fails_the_task(answer: str, tmp_path: Path) -> None:
    code, written, outputs = at_a_terminal(pipeline(tmp_path, APPROVAL), answer)
    assert (code, outputs) == (1, {"decision": None, "sent": None, "beside": "kept"})
    assert "send  blocked" in written
    if answer.startswith(("not", "yes")):
        assert f"release  failed: refusal: not approved: {answer}" in written


@pytest.mark.parametrize("answer", ["y", "n"])
def test_the_time_that_a_person_takes_is_booked_to_waiting_for_a_person(answer: str, tmp_path: Path) -> None:
    at_a_terminal(pipeline(tmp_path, APPROVAL), answer, thinking=0.7)
    time_of = json.loads(llmflow("show", "last", "--json").out)["time"]
    (asked,) = [step["seconds"] for step in time_of["path"] if step["task"] == "release"]
    assert asked["approval"] >= 0.7
    assert time_of["columns"]["approval"] == asked["approval"]
    assert sum(time_of["columns"].values()) == pytest.approx(time_of["makespan"], abs=1e-9)


def test_two_questions_are_asked_one_after_the_other(tmp_path: Path) -> None:
    code, written, outputs = at_a_terminal(pipeline(tmp_path, TWO), "y", "n")
    assert (code, outputs["decision"] is None or outputs["decision"]["approved"]) == (1, True)
    assert written.count("asks for approval:") == 2


def test_ctrl_c_at_the_question_stops_the_run_and_it_can_be_asked_again(tmp_path: Path) -> None:
    path = pipeline(tmp_path, APPROVAL)
    child = pexpect.spawn(
        PROGRAM[0], [*PROGRAM[1:], "run", str(path)], env=dict(os.environ), encoding="utf-8", timeout=60
    )
    child.expect_exact("approve? [y/N, or why not] ")
    child.sendintr()
    child.read()
    child.close()
    assert child.exitstatus == 130
    resumed = llmflow("run", str(path), "--resume", "--approve", "release")
    assert (resumed.code, json.loads(resumed.out)["sent"]) == (0, "Sent")


def test_off_a_terminal_everything_else_is_done_and_then_the_run_pauses(tmp_path: Path) -> None:
    path, calls = pipeline(tmp_path, APPROVAL), tmp_path / "calls"
    paused = llmflow("run", str(path), "--json", LLMFLOW_MOCK_CALLS=str(calls))
    said = json.loads(paused.out)
    assert (paused.code, said["status"]) == (4, "paused")
    assert {name: task["status"] for name, task in said["tasks"].items()} == {
        "draft": "succeeded",
        "release": "pending",
        "send": "pending",
        "beside": "succeeded",
    }
    assert said["outputs"] == {"decision": None, "sent": None, "beside": "kept"}
    assert f"llmflow run --resume {said['run']}" in paused.err

    again = llmflow("run", "--resume", said["run"], LLMFLOW_MOCK_CALLS=str(calls))
    assert again.code == 4

    done = llmflow("run", str(path), "--resume", "--approve", "release", "--json", LLMFLOW_MOCK_CALLS=str(calls))
    resumed = json.loads(done.out)
    assert (done.code, resumed["run"], resumed["status"]) == (0, said["run"], "succeeded")
    assert resumed["outputs"]["decision"] == {"approved": True, "comment": ""}
    assert [json.loads(line)["task"] for line in calls.read_text().splitlines()] == ["draft", "send"]

    told = llmflow("run", "--resume", said["run"])
    assert (told.code, json.loads(told.out)) == (0, resumed["outputs"])
    assert "has succeeded already" in told.err


def test_what_is_approved_beforehand_never_asks(tmp_path: Path) -> None:
    ended = llmflow("run", str(pipeline(tmp_path, APPROVAL)), "--approve", "release")
    assert (ended.code, json.loads(ended.out)["sent"]) == (0, "Sent")


def test_one_of_two_approvals_is_remembered(tmp_path: Path) -> None:
    path = pipeline(tmp_path, TWO)
    assert llmflow("run", str(path)).code == 4
    half = llmflow("run", str(path), "--resume", "--approve", "release", "--json")
    assert half.code == 4
    assert {n: t["status"] for n, t in json.loads(half.out)["tasks"].items()}["send"] == "succeeded"
    whole = llmflow("run", str(path), "--resume", "--approve", "second", "--json")
    assert (whole.code, json.loads(whole.out)["status"]) == (0, "succeeded")


def test_an_item_is_approved_by_its_key(tmp_path: Path) -> None:
    path = pipeline(tmp_path, "tasks: {ask: {foreach: [a, b], approve: 'Send {{ item }}?'}}")
    half = llmflow("run", str(path), "--approve", "ask[0]")
    assert half.code == 4
    assert "--approve 'ask[1]'" in half.err
    whole = llmflow("run", str(path), "--resume", "--approve", "ask[1]")
    assert (whole.code, [a["approved"] for a in json.loads(whole.out)]) == (0, [True, True])


def test_approving_a_task_that_is_none_is_a_mistake(tmp_path: Path) -> None:
    ended = llmflow("run", str(pipeline(tmp_path, APPROVAL)), "--approve", "relase")
    assert ended.code == 2
    assert "did you mean release?" in ended.err
