"""`llmflow diff`: what made one run slower than another, by its effect on the makespan."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from chaos import chaotic_run
from stored_runs import identity, in_utc, troubled, undisturbed

from llmflow.commands.diff import diff
from llmflow.errors import UsageError
from llmflow.history.store import Store
from llmflow.reports.diff import Prompts, diff_runs
from llmflow.reports.past_run import PastRun, RunFacts, TaskFacts, past_run

GOLDEN = Path(__file__).parent / "golden" / "looking_back"
LONGER = {"right": "Do right, at length.\nTake your time."}


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with in_utc(monkeypatch):
        yield


@pytest.fixture
def history(tmp_path: Path) -> Path:
    with Store.open(tmp_path) as store:
        undisturbed(store, 0)
        undisturbed(store, 20, workers=1, policy="fifo", prompts=LONGER, seconds={"right": 5.0}, model="sim/big")
        troubled(store, 40)
        undisturbed(store, 60, prompts={**LONGER, "left": "Go left."})
    return tmp_path


@pytest.mark.parametrize(
    ("golden", "words"),
    [
        ("diff_slower.txt", [identity(0), identity(20)]),
        ("diff_faster.txt", ["last"]),
        ("diff_pipelines.txt", [identity(20), identity(40)]),
        ("diff_itself.txt", ["last", "last"]),
    ],
)
def test_what_people_are_shown(
    history: Path, golden: str, words: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert diff(*words, store=str(history)) == 0
    assert capsys.readouterr().out == (GOLDEN / golden).read_text(encoding="utf-8")


def test_what_programs_are_given(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    diff(identity(0), identity(20), store=str(history), as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown == json.loads((GOLDEN / "diff_slower.json").read_text(encoding="utf-8"))


def test_the_first_run_of_a_pipeline_has_none_before_it(history: Path) -> None:
    with pytest.raises(UsageError, match="is the first run of letter\n  hint: name two runs: llmflow diff RUN RUN"):
        diff(identity(0), store=str(history))


def chaotic_past_run(seed: int) -> PastRun:
    run = chaotic_run(seed)
    graph = run.scenario.graph
    facts = RunFacts(str(seed), "p", "", run.scheduler.state.finished, 0.0, "fifo", None, 0, "")
    tasks = [TaskFacts(name, None, "model", "", graph.dependencies[t]) for t, name in enumerate(graph.names)]
    return past_run(facts, tasks, [(pool.name, pool.size or None) for pool in run.scenario.pools], run.story, ())


def test_effects_add_up_to_the_difference_of_the_makespans() -> None:
    for seed in range(60):
        first, second = chaotic_past_run(seed), chaotic_past_run(seed + 1)
        found = diff_runs(first, second, (Prompts(), Prompts()))
        change = second.makespan - first.makespan
        assert sum(task.effect for task in found.tasks) + found.rest == pytest.approx(change, abs=1e-6)
        assert sum(b - a for _, a, b in found.columns) == pytest.approx(change, abs=1e-6)
        assert [abs(task.effect) for task in found.tasks] == sorted((abs(t.effect) for t in found.tasks), reverse=True)


def test_the_other_way_round_every_effect_has_the_other_sign() -> None:
    one, two = chaotic_past_run(3), chaotic_past_run(8)
    there = diff_runs(one, two, (Prompts(), Prompts()))
    back = diff_runs(two, one, (Prompts(), Prompts()))
    assert {task.name: task.effect for task in there.tasks} == {task.name: -task.effect for task in back.tasks}
    assert [(column, a) for column, a, _ in there.columns] == [(column, b) for column, _, b in back.columns]


def test_items_that_were_asked_something_else_are_counted() -> None:
    run = chaotic_past_run(1)
    asked = {(f"t{i}", str(k)): f'[{{"content": "{k}"}}]' for i in range(2) for k in range(3)}
    other = {**asked, ("t0", "1"): "[]", ("t0", "2"): "[]"}
    found = diff_runs(run, replace(run), (Prompts(asked=asked), Prompts(asked=other)))
    assert {task.name: (task.prompt, task.differing) for task in found.tasks if task.prompt} == {"t0": ("values", 2)}
    templates = Prompts({"t1": ("a",)}), Prompts({"t1": ("b",)})
    found = diff_runs(run, run, templates)
    assert [(task.name, task.prompt) for task in found.tasks if task.prompt] == [("t1", "template")]


def test_of_long_lines_what_differs_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = "word " * 200
    with Store.open(tmp_path) as store:
        undisturbed(store, 0, prompts={"right": f"{words}start here"})
        undisturbed(store, 20, prompts={"right": f"{words}begin here"})
    diff(identity(0), identity(20), store=str(tmp_path))
    shown = capsys.readouterr().out
    assert f"\n  -…{words[-40:]}start here\n  +…{words[-40:]}begin here\n" in shown
    diff(identity(0), identity(20), store=str(tmp_path), as_json=True)
    (task,) = (task for task in json.loads(capsys.readouterr().out)["tasks"] if task["prompt"])
    assert [task["asked"][side][0]["content"] for side in ("first", "second")] == [
        f"{words}start here",
        f"{words}begin here",
    ]
