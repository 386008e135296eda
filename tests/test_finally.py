"""`finally`: what is done when all others have settled, however that came about."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from command_line import PROGRAM, llmflow, pipeline

HEAD = """
name: last-word
providers:
  mock:
    answers:
      good: fine
      bad: {error: refusal, detail: nope}
      slow: {text: late, delay: 30}
      quick: {text: soon, delay: 0.5}
defaults: {model: mock/any, retry: {max_attempts: 1}}
"""
LAST = """
finally:
  status: {value: {status: "{{ run.status }}", failed: "{{ run.failed }}", cost: "{{ run.cost_usd }}"}}
  written:
    command: [tee, last.txt]
    stdin: "{{ run.status }} {{ tasks.good.status }} {{ tasks.good.output or 'nothing' }}"
"""


def run(folder: Path, tasks: str, *words: str, last: str = LAST) -> tuple[int, dict[str, Any], str]:
    ended = llmflow("run", str(pipeline(folder, f"{HEAD}{tasks}\n{last}")), "--json", *words, cwd=folder)
    return ended.code, json.loads(ended.out), ended.err


def test_after_success(tmp_path: Path) -> None:
    code, said, _ = run(tmp_path, "tasks: {good: {prompt: x}}")
    assert (code, said["status"], said["outputs"]) == (0, "succeeded", "fine")
    assert (tmp_path / "last.txt").read_text() == "succeeded succeeded fine"
    assert list(said["tasks"]) == ["good", "status", "written"]


def test_after_failure_and_blocking(tmp_path: Path) -> None:
    tasks = "tasks: {good: {prompt: x}, bad: {prompt: x}, after: {value: '{{ tasks.bad.output }}'}}"
    code, said, _ = run(tmp_path, tasks)
    assert (code, said["status"]) == (1, "failed")
    assert {n: t["status"] for n, t in said["tasks"].items()} == {
        "good": "succeeded",
        "bad": "failed",
        "after": "blocked",
        "status": "succeeded",
        "written": "succeeded",
    }
    assert said["outputs"] == {"good": "fine", "after": None}
    assert (tmp_path / "last.txt").read_text() == "failed succeeded fine"


def test_the_names_of_what_failed_without_being_accepted(tmp_path: Path) -> None:
    tasks = "tasks: {good: {prompt: x}, bad: {prompt: x}, Bad2: {command: 'false', on_error: continue}}"
    last = "finally: {say: {command: [tee, names.json], stdin: '{{ run.failed }}'}}"
    run(tmp_path, tasks, last=last)
    assert json.loads((tmp_path / "names.json").read_text()) == ["bad"]


def test_after_fail_fast_it_still_runs(tmp_path: Path) -> None:
    tasks = "tasks: {good: {prompt: x, depends_on: quick}, quick: {prompt: x}, bad: {prompt: x}}"
    code, said, _ = run(tmp_path, tasks, "--fail-fast")
    assert code == 1
    assert {n: t["status"] for n, t in said["tasks"].items()} == {
        "good": "cancelled",
        "quick": "succeeded",
        "bad": "failed",
        "status": "succeeded",
        "written": "succeeded",
    }
    assert (tmp_path / "last.txt").read_text() == "failed cancelled nothing"


def test_one_that_fails_gives_exit_1(tmp_path: Path) -> None:
    code, said, _ = run(tmp_path, "tasks: {good: {prompt: x}}", last="finally: {bad: {prompt: x}, other: {value: 1}}")
    assert code == 1
    assert {n: t["status"] for n, t in said["tasks"].items()} == {
        "good": "succeeded",
        "bad": "failed",
        "other": "succeeded",
    }
    assert said["outputs"] == "fine"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_after_the_first_signal(number: int, tmp_path: Path) -> None:
    tasks = "tasks: {good: {prompt: x, depends_on: quick}, quick: {prompt: x}}"
    path = pipeline(tmp_path, HEAD + tasks + LAST)
    child = subprocess.Popen(
        [*PROGRAM, "run", str(path), "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    assert child.stderr is not None
    lines = child.stderr.readline() + child.stderr.readline()
    assert "quick  started" in lines
    child.send_signal(number)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 128 + number, err
    assert (tmp_path / "last.txt").read_text() == "stopped cancelled nothing"
    assert json.loads(out)["status"] == "stopped"


def test_a_pause_is_no_end(tmp_path: Path) -> None:
    code, said, _ = run(tmp_path, "tasks: {good: {prompt: x}, ask: {approve: Sure?}}")
    assert (code, said["tasks"]["written"]["status"]) == (4, "pending")
    assert not (tmp_path / "last.txt").exists()
    code, said, _ = run(tmp_path, "tasks: {good: {prompt: x}, ask: {approve: Sure?}}", "--resume", "--approve", "ask")
    assert (code, said["status"]) == (0, "succeeded")
    assert (tmp_path / "last.txt").read_text() == "succeeded succeeded fine"


def test_looking_back_it_waited_for_the_others_and_stands_in_the_chart(tmp_path: Path) -> None:
    last = """
finally:
  word: {value: "{{ run.status }}"}
  each: {foreach: [1, 2], prompt: "bye {{ item }}"}
"""
    head = HEAD.replace("quick:", "each:")
    file = pipeline(tmp_path, f"{head}tasks: {{bad: {{prompt: x, on_error: continue}}, good: {{prompt: x}}}}\n{last}")
    assert llmflow("run", str(file), cwd=tmp_path).code == 0
    shown = json.loads(llmflow("show", "last", "--json", cwd=tmp_path).out)
    times = {(t["task"], t["item"]): t["time"] for t in shown["tasks"]}
    assert not [place for place, time in times.items() if "worker" in time]
    ends = {t["task"]: t["finished"] for t in shown["tasks"]}
    assert times["word", None]["dependency"] == pytest.approx(max(ends["bad"], ends["good"]), abs=1e-6)
    chart = llmflow("show", "last", cwd=tmp_path).out
    assert "│each[1]" in chart
    assert chart.rstrip().endswith(f"{ends['each']:.2f} s")


INNER = """
name: inner
providers: {sim: {kind: simulated, speed: 50}}
tasks: {x: {prompt: x, model: sim/any, estimate: 20s}}
outputs: {x: "{{ tasks.x.output }}"}
"""
ITEMS = """
name: items-at-last
providers: {sim: {kind: simulated, speed: 50}}
defaults: {model: sim/any}
tasks: {a: {prompt: x, estimate: 1s}}
finally:
  each: {foreach: [1, 2, 3], prompt: "{{ item }}", estimate: 20s}
  sub: {uses: inner.yaml}
"""


def test_what_is_done_finally_is_no_part_of_the_makespan_not_its_items_either(tmp_path: Path) -> None:
    (tmp_path / "inner.yaml").write_text(INNER, encoding="utf-8")
    ended = llmflow("run", str(pipeline(tmp_path, ITEMS)), "--json", cwd=tmp_path)
    said = json.loads(ended.out)
    tasks = said["tasks"]
    assert (ended.code, [tasks[name]["status"] for name in ("each", "sub/x", "sub")]) == (0, ["succeeded"] * 3)
    assert tasks["a"]["finished"] == said["makespan"] < 20 < tasks["each"]["finished"]


def test_what_is_done_finally_has_all_its_items_though_the_run_was_stopped(tmp_path: Path) -> None:
    tasks = "tasks: {bad: {prompt: x}, slow: {prompt: x, depends_on: [bad]}}"
    last = 'finally:\n  good: {foreach: [1, 2, 3], prompt: x}\n  all: {value: "{{ tasks.good.outputs | length }}"}\n'
    code, said, _ = run(tmp_path, tasks, "--fail-fast", last=last)
    assert (code, said["tasks"]["good"]["status"]) == (1, "succeeded")
    shown = json.loads(llmflow("show", "last", "--json", cwd=tmp_path).out)
    assert [t["status"] for t in shown["tasks"] if t["task"] == "good" and t["item"] is not None] == ["succeeded"] * 3
