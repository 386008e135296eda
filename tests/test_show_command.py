"""`llmflow show`: a run, a task, an item, as they were; whole outputs against fixed stories."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from growing_run import growing_run
from stored_runs import identity, in_utc, troubled, undisturbed

from llmflow.commands.show import show
from llmflow.errors import UsageError
from llmflow.history.identity import new_run_id
from llmflow.history.journal import Journal
from llmflow.history.records import AnswerRecord, RunRecord, TaskRecord
from llmflow.history.store import Store
from llmflow.protocol import Usage
from llmflow.reports.past_run import Call, RunFacts, TaskFacts, past_run
from llmflow.reports.show_text import render_show
from llmflow.scheduling import events as ev

GOLDEN = Path(__file__).parent / "golden" / "looking_back"


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with in_utc(monkeypatch):
        yield


@pytest.fixture
def history(tmp_path: Path) -> Path:
    with Store.open(tmp_path) as store:
        undisturbed(store, 0, workers=1, policy="fifo")
        troubled(store, 40)
        troubled(store, 60, status="")
    return tmp_path


@pytest.mark.parametrize(
    ("golden", "words"),
    [
        ("show_undisturbed.txt", [identity(0)]),
        ("show_failed.txt", [identity(40)]),
        ("show_interrupted.txt", ["last"]),
        ("show_task.txt", [identity(40), "ask"]),
        ("show_items.txt", [identity(40), "each"]),
        ("show_item.txt", [identity(40), "each", "x"]),
        ("show_item.txt", [identity(40), "each[x]"]),
        ("show_failed_item.txt", [identity(40), "each", "y\x1b[1m"]),
    ],
)
def test_what_people_are_shown(
    history: Path, golden: str, words: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(*words, store=str(history)) == 0
    shown = capsys.readouterr().out
    assert shown == (GOLDEN / golden).read_text(encoding="utf-8")
    assert "\x1b" not in shown
    assert "\u202e" not in shown


@pytest.mark.parametrize(
    ("golden", "words"), [("show_failed.json", [identity(40)]), ("show_task.json", [identity(40), "ask"])]
)
def test_what_programs_are_given(
    history: Path, golden: str, words: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert show(*words, store=str(history), as_json=True) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == json.loads((GOLDEN / golden).read_text(encoding="utf-8"))
    if "time" in shown:
        assert sum(shown["time"]["columns"].values()) == pytest.approx(shown["makespan"], abs=1e-9)


def test_of_many_items_the_slowest_and_the_failed_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = RunRecord(id=new_run_id(), pipeline="many", started_at=0.0)
    story: list[ev.Event] = [ev.RunStarted(0.0), ev.AttemptStarted(0.0, 0, 1, 1, -1, 0, 0)]
    story += [ev.AttemptSucceeded(0.0, 0, 1, "expand"), ev.TasksAdded(0.0, 0, 1, 40), ev.ItemsClosed(0.0, 0)]
    for item in range(1, 41):
        story += [ev.AttemptStarted(float(item), item, item + 1, 1, -1, 0, 0)]
        story += [ev.AttemptSucceeded(item + 0.5, item, item + 1), ev.TaskSucceeded(item + 0.5, item)]
    with Store.open(tmp_path) as store, Journal(store, record) as journal:
        journal.tasks([TaskRecord(0, "each"), *(TaskRecord(i, "each", f"k{i}") for i in range(1, 41))])
        journal.write([*story, ev.TaskSucceeded(40.5, 0), ev.RunFinished(40.5, "succeeded")])
    show("last", store=str(tmp_path))
    shown = capsys.readouterr().out
    assert "each: the slowest and the failed of 40 items, 35 not shown (--all)\n" in shown
    assert shown.count("each[k") - shown.partition("TASK")[0].count("each[k") == 5
    show("last", store=str(tmp_path), all_items=True)
    assert capsys.readouterr().out.partition("TASK")[2].count("each[k") == 40


def test_a_story_that_went_on_while_it_was_read_is_shown_as_far_as_its_tasks_are_known() -> None:
    run = growing_run(4, items=6, window=2)
    names = run.graph.names[:5]
    tasks = [TaskFacts(name, None, "model", "", run.graph.dependencies[t]) for t, name in enumerate(names)]
    facts = RunFacts("1", "p", "", "running", 0.0, "fifo", 2, 0, "")
    call = Call(5, 7, 1.0, False, "x/y", Usage(1, 1))
    seen = past_run(facts, tasks, [("sim", 2)], run.story, [call])
    known = run.story[: next(i for i, e in enumerate(run.story) if isinstance(e, ev.TasksAdded) and e.first == 5)]
    assert seen == past_run(facts, tasks, [("sim", 2)], known, [])
    assert [task.status for task in seen.tasks][:3] == ["succeeded", "running", "pending"]
    assert render_show(seen).startswith("run 1\n")


def test_what_is_not_there_is_named_with_what_is(history: Path) -> None:
    for words, told in (
        (["last", "aks"], "the run has no task 'aks'\n  hint: did you mean ask?"),
        (["last", "q"], "the run has no task 'q'\n  hint: it has ask, each, after"),
        (["last", "each", "z"], "task each has no item 'z'\n  hint: its keys are x, y"),
        (["last", "ask", "z"], "task ask has no item 'z'\n  hint: it ran once, without items"),
        (["nope"], "there is no run 'nope'\n  hint: `llmflow runs` lists them; the beginning of an id is enough"),
    ):
        with pytest.raises(UsageError) as caught:
            show(*words, store=str(history))
        assert str(caught.value).startswith(told)


def test_an_answer_cannot_take_the_screen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\u202eabc\r\nnext\x9b31m"
    record = RunRecord(id=new_run_id(), pipeline=evil, path=evil, started_at=0.0, policy=evil)
    with Store.open(tmp_path) as store, Journal(store, record) as journal:
        journal.tasks([TaskRecord(0, evil, evil, model=evil)])
        journal.answer(
            AnswerRecord(
                0, 1, {evil: evil}, 0.0, text=evil, messages=[{"role": evil, "content": evil}], model=evil,
                answered_by=evil, finish_reason=evil, request_id=evil,
            )
        )  # fmt: skip
        journal.write([ev.RunStarted(0.0), ev.AttemptStarted(0.0, 0, 1, 1, -1, 0, 0), ev.AttemptSucceeded(1.0, 0, 1)])
    for words in (["last"], ["last", evil, evil]):
        show(*words, store=str(tmp_path))
        shown = capsys.readouterr().out
        assert not {"\x1b", "\x07", "\x9b", "\r", "\u202e"} & set(shown)
        assert "abc" in shown


def llmflow(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "llmflow", *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_real_run_is_shown_with_every_second_booked(tmp_path: Path) -> None:
    pipeline = tmp_path / "three.yaml"
    pipeline.write_text(
        "providers:\n  sim: {kind: simulated, speed: 50}\ndefaults: {model: sim/any}\ntasks:\n"
        "  a: {prompt: one, estimate: 2s}\n  b: {prompt: two, estimate: 4s}\n"
        '  c: {prompt: "{{ tasks.a.output }} {{ tasks.b.output }}", estimate: 1s}\n',
        encoding="utf-8",
    )
    llmflow("run", str(pipeline), "-j", "1", "--plain")
    shown = json.loads(llmflow("show", "last", "--json"))
    assert (shown["forecast"]["p10"], shown["forecast"]["p90"], shown["forecast"]["tokens"]) == (7.0, 7.0, None)
    assert shown["decision"]["order"] == "critical-path"
    assert f"order       critical-path: {shown['decision']['reason']}\n" in (text := llmflow("show", "last"))
    assert "forecast    7.00 s, without a spread\n" in text
    columns = shown["time"]["columns"]
    assert sum(columns.values()) == pytest.approx(shown["makespan"], abs=1e-6)
    assert columns["model"] >= 3
    assert columns["worker"] >= 2
    assert [step["task"] for step in shown["time"]["path"]][-1] == "c"
    assert [(task["task"], task["status"], task["attempts"]) for task in shown["tasks"]] == [
        (name, "succeeded", 1) for name in "abc"
    ]
    tries = json.loads(llmflow("show", shown["run"][:14], "c", "--json"))["tasks"][0]["tries"]
    assert [attempt["outcome"] for attempt in tries] == ["answered"]
    assert "A made-up answer to a. A made-up answer to b." in json.dumps(tries[0]["answer"]["messages"])
    assert "A made-up answer to c." in llmflow("show", "last", "c")
