"""What is told of runs that had answers already: parts of one run are one run, and what served is shown."""

from __future__ import annotations

import json
import re
from pathlib import Path

from command_line import Ended, llmflow, pipeline

RESUMED = """
name: in parts
providers: {sim: {kind: simulated, speed: 50, workers: 2}}
defaults: {model: sim/any}
tasks:
  a: {prompt: a, estimate: 20s}
  b: {foreach: [x, y, z], prompt: "b {{ item }} {{ tasks.a.output }}", estimate: 20s}
  c: {command: [sh, -c, "sleep 0.2; test -e ok"], depends_on: [b]}
  d: {prompt: d, depends_on: [c], estimate: 20s}
"""

CACHED = """
name: kept
providers: {mock: {answers: Good day}}
defaults: {model: mock/any}
tasks: {ask: {prompt: Say good day, cache: true}}
"""


def in_two_parts(folder: Path) -> Ended:
    """The first part does a and b, and fails at c; gives how the second part ended."""
    file = pipeline(folder, RESUMED)
    assert llmflow("run", file.name, cwd=folder).code == 1
    (folder / "ok").touch()
    return llmflow("run", "--resume", "--plain", cwd=folder)


def test_the_closing_lines_of_a_run_that_went_on_are_about_all_of_it(tmp_path: Path) -> None:
    ended = in_two_parts(tmp_path)
    assert ended.code == 0
    closing = ended.err[ended.err.index("run succeeded: ") :].splitlines()[1:]
    told = {line[:14].strip(): line[14:] for line in closing}
    makespan, bound, ratio = re.match(
        r"([\d.]+) s · lower bound ([\d.]+) s .*, ratio ([\d.]+)", told["makespan"]
    ).groups()  # type: ignore[union-attr]
    assert float(makespan) >= float(bound) >= 80.0, "a, two rounds of b, and d: 20 s each"
    assert 1.0 <= float(ratio) < 3.0
    assert told["critical path"].startswith("a → b[")
    assert told["critical path"].endswith(" → b → c → d")
    shares = [int(share) for share in re.findall(r"\((\d+) %\)", told["time"])]
    assert 97 <= sum(shares) <= 103
    assert "attempts that failed" in told["time"]


def test_each_task_of_a_run_that_went_on_is_shown_once_with_the_attempts_of_all_parts(tmp_path: Path) -> None:
    assert in_two_parts(tmp_path).code == 0
    shown = json.loads(llmflow("show", "last", "--json", cwd=tmp_path).out)
    assert [(t["task"], t["item"], t["status"], t["attempts"]) for t in shown["tasks"]] == [
        ("a", None, "succeeded", 1),
        ("b", None, "succeeded", 2),
        ("c", None, "succeeded", 2),
        ("d", None, "succeeded", 1),
        ("b", "0", "succeeded", 1),
        ("b", "1", "succeeded", 1),
        ("b", "2", "succeeded", 1),
    ]
    assert "7 tasks, 7 succeeded" in llmflow("show", "last", cwd=tmp_path).out
    tries = json.loads(llmflow("show", "last", "c", "--json", cwd=tmp_path).out)["tasks"][0]["tries"]
    assert [(t["number"], t["copy"], t["outcome"]) for t in tries] == [(1, 0, "failed"), (2, 0, "answered")]
    item = llmflow("show", "last", "b", "1", cwd=tmp_path).out
    assert "b y A made-up answer to a." in item
    assert item.endswith("  answer\n    A made-up answer to b[1].\n")


def test_what_a_program_was_given_is_shown_as_what_a_model_was_asked(tmp_path: Path) -> None:
    file = pipeline(tmp_path, "tasks: {say: {command: [printf, hello]}}\n")
    assert llmflow("run", file.name, cwd=tmp_path).code == 0
    shown = llmflow("show", "last", "say", cwd=tmp_path)
    assert shown.code == 0, shown.err
    assert '  command\n    [\n      "printf",\n      "hello"\n    ]\n' in shown.out
    assert shown.out.endswith("  answer\n    hello\n")


def test_an_answer_that_served_again_is_shown(tmp_path: Path) -> None:
    file = pipeline(tmp_path, CACHED)
    for _ in range(2):
        assert llmflow("run", file.name, cwd=tmp_path).code == 0
    shown = llmflow("show", "last", "ask", cwd=tmp_path).out
    assert re.sub(r"\d+\.\d\d s", "N s", shown).partition("\n\n")[2] == (
        "no attempt: N s → N s, reused: an answer that was there already served\n"
        "  mock/any · stop · N s\n"
        "  user\n"
        "    Say good day\n"
        "  answer\n"
        "    Good day\n"
    )
