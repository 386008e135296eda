"""`llmflow stats`: whole outputs over a fixed history, what its findings rest on, and what it counts."""

from __future__ import annotations

import ast
import csv
import inspect
import io
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from stored_runs import NOON, identity, in_utc, troubled, undisturbed

from llmflow.commands.runs import prune, runs
from llmflow.commands.stats import calibration, stats
from llmflow.errors import UsageError
from llmflow.history import learned
from llmflow.history.identity import new_run_id
from llmflow.history.journal import Journal
from llmflow.history.records import RunRecord, SampleRecord
from llmflow.history.store import Store
from llmflow.language.schema import json_schema
from llmflow.reports.columns import Column, render_columns
from llmflow.reports.findings import findings
from llmflow.reports.past_run import PastRun, RunFacts, TaskFacts, past_run
from llmflow.reports.stats import Statistics, TaskRow, run_rows
from llmflow.reports.stats_text import NO_SAMPLES, render_stats, sparkline, stats_csv
from llmflow.scheduling import events as ev
from llmflow.scheduling.statistics import summary
from llmflow.scheduling.tendencies import HourEffect, Pair, Trend

GOLDEN = Path(__file__).parent / "golden" / "looking_back"


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with in_utc(monkeypatch):
        yield


def fill(store: Store) -> None:
    """Fourteen letters whose `left` and `right` share a load and whose `join` grows; a triage that failed."""
    dice = Random(2)
    for run in range(14):
        load = round(math.exp(dice.gauss(0.0, 0.6)), 3)
        seconds = {"left": 2 * load, "right": 4 * load, "join": round(1.06**run, 3)}
        undisturbed(store, 60 * run, seconds=seconds, workers=1 if run % 2 else 4)
    troubled(store, 900)


@pytest.fixture
def history(tmp_path: Path) -> Path:
    with Store.open(tmp_path) as store:
        fill(store)
    return tmp_path


@pytest.mark.parametrize(
    ("golden", "options"),
    [
        ("stats.txt", {}),
        ("stats_letter.txt", {"pipeline": "letter"}),
        ("stats_task.txt", {"pipeline": "letter", "task": "right"}),
        ("stats_items.txt", {"task": "each", "items": True}),
        ("stats.json", {"as_json": True}),
        ("stats.csv", {"as_csv": True}),
    ],
)
def test_the_whole_output(
    history: Path, golden: str, options: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert stats(**{"pipeline": None, **options}, store=str(history)) == 0
    assert capsys.readouterr().out == (GOLDEN / golden).read_text(encoding="utf-8")


def test_the_data_keeps_what_it_had_and_holds_no_nan(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stats(None, store=str(history), as_json=True)
    data = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert data["schema"] == "llmflow.stats/1"
    assert list(data["rows"][0])[:12] == [
        "task", "model", "count", "failed", "mean", "sd", "p50", "p90", "min", "max", "input_tokens", "output_tokens",
    ]  # fmt: skip
    stats(None, store=str(history), as_csv=True)
    table = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["task"] for row in table] == [row["task"] for row in data["rows"]]
    assert [float(row["mean"]) for row in table] == [row["mean"] for row in data["rows"]]


def test_filters_go_by_model_and_by_time(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def tasks(**options: Any) -> list[tuple[str, int]]:
        stats(None, store=str(history), as_json=True, **options)
        return [(row["task"], row["count"]) for row in json.loads(capsys.readouterr().out)["rows"]]

    assert tasks(model="api/big") == [("ask", 1), ("each", 1)]
    assert tasks(last="1m") == []
    assert stats(None, last="1m", store=str(history)) == 0
    told = f"no history of that in {history}; `llmflow run` makes some\n"
    assert capsys.readouterr() == ("", told)


@pytest.mark.parametrize(
    ("words", "told", "hint"),
    [
        (
            {"pipeline": "leter"},
            "the history has no pipeline 'leter', and there is no such file",
            "did you mean letter",
        ),
        ({"pipeline": "x.yaml"}, "the history has no pipeline 'x.yaml', and there is no such file", "it has "),
        ({"pipeline": "letter", "task": "each"}, "the history of letter has no task 'each'", "it has ask, join, left,"),
        ({"pipeline": None, "task": "rihgt"}, "the history has no task 'rihgt'", "did you mean right?"),
        ({"pipeline": None, "model": "api/bog"}, "the history has no model 'api/bog'", "did you mean api/big?"),
    ],
)
def test_a_name_that_nobody_has_heard_of_is_a_mistake(
    history: Path, words: dict[str, Any], told: str, hint: str
) -> None:
    with pytest.raises(UsageError) as caught:
        stats(**words, store=str(history), as_json=True)
    assert caught.value.message == told
    assert caught.value.hint.startswith(hint)
    with Store.open(history) as store:
        assert learned.known(store, "model") == ["api/big", "sim/any"], "each of them once"
    if words["pipeline"] != "letter":
        return
    assert stats("letter", task="ask", last="1m", store=str(history)) == 0, "known, but nothing of late"


def test_a_file_that_has_not_run_yet_is_no_mistake(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = history / "new.yaml"
    file.write_text("name: new\ntasks: {a: {value: 1}}\n", encoding="utf-8")
    assert stats(str(file), store=str(history)) == 0
    assert capsys.readouterr() == ("", f"no history of {file} in {history}; `llmflow run` makes some\n")
    assert runs(str(file), store=str(history)) == 0
    assert capsys.readouterr() == ("", f"no such runs of {file} in {history}; `llmflow run` makes some\n")
    for command in (runs, calibration):
        with pytest.raises(UsageError, match="the history has no pipeline 'nix'"):
            command("nix", store=str(history))


def test_two_forms_at_once_are_refused(history: Path) -> None:
    for command in (stats, calibration):
        with pytest.raises(UsageError, match="--json and --csv"):
            command(None, store=str(history), as_json=True, as_csv=True)


def test_filters_leave_out_findings_and_pipelines_that_are_about_something_else(
    history: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stats(None, model="api/big", store=str(history), as_json=True)
    data = json.loads(capsys.readouterr().out)
    shown = {row["task"] for row in data["rows"]}
    assert [pipeline["pipeline"].rpartition("/")[2] for pipeline in data["pipelines"]] == ["triage.yaml"]
    assert data["runs"] == {"total": 1, "read": 1}
    assert data["findings"]
    assert {finding["pipeline"].rpartition("/")[2] for finding in data["findings"]} == {"triage.yaml"}
    assert {finding["task"] for finding in data["findings"]} <= {*shown, None}
    stats(None, task="right", store=str(history))
    out = capsys.readouterr().out
    assert "letter: 14 runs" in out
    assert "triage" not in out


def test_what_cannot_be_known_of_none_or_of_one_is_null(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Store.open(history) as store:
        keep(store, sample(1, "timeout"))
    stats("p", store=str(history), as_json=True)
    (none,) = json.loads(capsys.readouterr().out)["rows"]
    assert none["count"] == 0
    assert {none[name] for name in ("mean", "sd", "p50", "p90", "min", "max", "cv", "p99", "trend")} == {None}
    stats(None, model="api/big", task="ask", store=str(history), as_csv=True)
    (one,) = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert (one["count"], one["sd"], one["cv"]) == ("1", "", "")
    assert float(one["mean"]) == float(one["p50"]) > 0


def test_without_a_history_there_is_nothing_to_say(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stats(None, store=str(tmp_path)) == 0
    assert capsys.readouterr() == ("", f"no history of that in {tmp_path}; `llmflow run` makes some\n")
    assert render_stats(Statistics(), []) == NO_SAMPLES


# ---- counting -------------------------------------------------------------------------------------


def keep(store: Store, *taken: SampleRecord) -> None:
    with Journal(store, RunRecord(id=new_run_id(), pipeline="p", started_at=NOON)) as journal:
        for sample in taken:
            journal.sample(sample)


def sample(number: int = 1, outcome: str = "succeeded", seconds: float = 1.0, **more: Any) -> SampleRecord:
    return SampleRecord("t", seconds, NOON, model="x/y", number=number, outcome=outcome, **more)


def test_failures_and_retries_are_counted_per_execution(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        keep(store, sample(1, "timeout"), sample(2, "timeout"), sample(3, input_tokens=10), sample(1, item="k"))
        keep(store, sample(1, "server"), sample(1, "cancelled", item="k"), sample(1, "cached", item="j"))
        keep(store, sample(1, input_tokens=20), sample(2, template="other"))
        (counts,) = learned.counts(store, learned.Wanted()).values()
        assert counts == learned.Counts(
            attempts=7,
            failed=3,
            executions=6,
            retried=1,
            prompts=2,
            input_tokens=15.0,
            output_tokens=None,
            failures=(("timeout", 2), ("server", 1)),
        )
        by_item = learned.counts(store, learned.Wanted(task="t"), items=True)
        assert {key.item: (c.attempts, c.failed, c.executions, c.retried) for key, c in by_item.items()} == {
            None: (6, 3, 3, 1),
            "k": (1, 0, 2, 0),
            "j": (0, 0, 1, 0),
        }


def test_what_a_pruned_run_taught_is_still_counted(history: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def means() -> dict[str, tuple[int, float]]:
        stats("letter", store=str(history), as_json=True)
        return {row["task"]: (row["count"], row["mean"]) for row in json.loads(capsys.readouterr().out)["rows"]}

    before = means()
    prune(keep=3, yes=True, store=str(history))
    capsys.readouterr()
    assert means() == before


def test_the_youngest_runs_are_read_as_far_as_their_stories_are_not_too_long(history: Path) -> None:
    with Store.open(history) as store:
        limits = {"pipelines": ["letter"], "since": None}
        assert learned.runs_to_read(store, **limits, most_runs=2, most_events=10_000) == (
            [identity(780), identity(720)],
            14,
        )
        assert learned.runs_to_read(store, **limits, most_runs=9, most_events=30) == (
            [identity(780), identity(720)],
            14,
        )
        assert learned.runs_to_read(store, **limits, most_runs=9, most_events=1) == ([identity(780)], 14)
        assert learned.runs_to_read(store, pipelines=None, since=NOON + 781, most_runs=9, most_events=10_000) == (
            [identity(900)],
            1,
        )


# ---- findings -------------------------------------------------------------------------------------


def row(durations: Sequence[float] = (1.0,) * 20, **more: Any) -> TaskRow:
    known = summary(durations)
    facts: dict[str, Any] = {
        "pipeline": "p", "task": "t", "model": "x/y", "item": None, "durations": known, "p99": max(durations),
        "trend": None, "latest": tuple(durations[-16:]), "attempts": len(durations), "failed": 0,
        "executions": len(durations), "retried": 0, "prompts": 1, "input_tokens": None, "output_tokens": None,
    }  # fmt: skip
    return TaskRow(**{**facts, **more})


def texts(*rows: TaskRow, **more: Any) -> list[str]:
    return [finding.text for finding in findings(Statistics(rows, **more))]


def test_a_quiet_task_gives_no_finding() -> None:
    assert texts(row()) == []
    assert texts(row(attempts=9, failed=9, failures=(("server", 9),))) == []
    assert texts(row([1.0, 9.0] * 4)) == []


def test_findings_about_tasks_name_their_numbers() -> None:
    assert texts(row([1.0] * 9 + [9.0])) == ["t varies: CV 1.41, p99 9.00 s against p50 1.00 s over 10 samples"]
    assert texts(row(attempts=40, failed=10, failures=(("timeout", 7), ("server", 3)))) == [
        "t fails: 10 of 40 attempts (25 %), 7 of them timeout"
    ]
    assert texts(row(trend=Trend(0.5, 4.0, 30), prompts=2)) == [
        "t gets slower: +50 % over 30 samples (t = 4.0), the prompt has changed meanwhile"
    ]
    assert texts(row(trend=Trend(-0.5, -1e6, 30))) == ["t gets faster: -50 % over 30 samples (t = ∞)"]
    assert texts(row(trend=Trend(0.5, 2.9, 30))) == []
    assert texts(row(hours=[HourEffect(23, 1.5, 4.0, 12, 80)])) == [
        "t is slower from 23 to 00 h: 1.50 × its usual time (12 of 80 samples, t = 4.0)"
    ]
    assert texts(pairs={"p": [Pair("a", "b", 0.9, 7.0, 14)]}) == [
        "a and b are slow in the same runs: r = 0.90 over 14 runs"
    ]


def wide_run(workers: int) -> PastRun:
    """`hub` takes 6 of 10 seconds, three tasks are behind it, one at a time of three workers is busy."""
    tasks = [TaskFacts("hub", None, "model", "", ()), *(TaskFacts(f"b{i}", None, "model", "", (0,)) for i in range(3))]
    story: list[ev.Event] = [ev.RunStarted(0.0), ev.AttemptStarted(0.0, 0, 1, 1, 0, 0, 0)]
    story += [ev.AttemptSucceeded(6.0, 0, 1), ev.TaskSucceeded(6.0, 0)]
    for task, (start, end) in enumerate(((6.0, 7.0), (7.0, 8.0), (8.0, 10.0)), 1):
        story += [ev.AttemptStarted(start, task, task + 1, 1, 0, 0, 0)]
        story += [ev.AttemptSucceeded(end, task, task + 1), ev.TaskSucceeded(end, task)]
    facts = RunFacts("1", "p", "", "succeeded", NOON, "fifo", workers, 0, "", makespan=10.0)
    return past_run(facts, tasks, [("sim", workers)], [*story, ev.RunFinished(10.0, "succeeded")], ())


def test_findings_about_runs_rest_on_the_critical_path() -> None:
    rows = run_rows([wide_run(3)] * 3)
    assert [(pool.peak, pool.workers, pool.utilisation) for pool in rows[0].pools] == [(1, 3, pytest.approx(1 / 3))]
    found = findings(Statistics(runs=rows, total=3))
    assert [(finding.kind, finding.text, round(finding.weight, 2)) for finding in found] == [
        ("bottleneck", "hub makes 60 % of the makespan, on the critical path in 3 of 3 runs", 0.6),
        (
            "fan_out",
            "3 tasks wait for hub, which ends after 60 % of the makespan, on the critical path in 3 of 3 runs",
            0.6,
        ),
        ("bottleneck", "b2 makes 40 % of the makespan, on the critical path in 3 of 3 runs", 0.4),
        ("lost_worker", "the critical path waited for a worker: 2.00 s of 10.0 s (20 %) over 3 runs", 0.2),
        ("idle_workers", "sim never had more than 1 of its 3 workers busy over 3 runs", 0.0),
    ]
    assert all(finding.next_step and finding.numbers for finding in found)
    assert [f.kind for f in findings(Statistics(runs=rows), "hub")] == ["bottleneck", "fan_out"]


def test_what_is_advised_exists() -> None:
    words = {word for text in _steps() for word in re.findall(r"`([a-z_.]+)(?::[^`]*)?`", text)}
    known = json.dumps(json_schema())
    assert {"workers", "timeout", "approve", "max_output_tokens"} <= words
    assert [word for word in words if f'"{word.rpartition(".")[2]}"' not in known] == []


def _steps() -> list[str]:
    source = Path(inspect.getsourcefile(findings) or "").read_text(encoding="utf-8")
    tree = ast.parse(source)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings]
    return [node.value for node in constants if isinstance(node.value, str)]


def test_a_person_is_not_advised_to_be_a_faster_model() -> None:
    run = wide_run(3)
    asked = [replace(t, facts=t.facts._replace(kind="approve")) for t in run.tasks]
    found = findings(Statistics(runs=run_rows([replace(run, tasks=asked)])))
    steps = {one.next_step for one in found if one.kind == "bottleneck"}
    assert steps == {"a person is waited for: put `approve` where other work goes on meanwhile"}


# ---- charts and cells -----------------------------------------------------------------------------


def test_a_sparkline_goes_from_the_least_to_the_greatest() -> None:
    assert sparkline([1, 2, 3, 4, 5, 6, 7, 8]) == "▁▂▃▄▅▆▇█"
    assert sparkline([5.0, 5.0, 5.001]) == "▄▄▄"
    assert (sparkline([]), sparkline([0.0])) == ("", "▄")


def test_csv_cells_cannot_become_formulas_or_lines() -> None:
    table = stats_csv(Statistics([row(task="=cmd|'/c calc'!A0", model="wide\x1b[2J\n日本")]))
    assert table.splitlines()[1].startswith("'=cmd|'/c calc'!A0,wide 日本,20,0,1.0,")
    assert "\x1b" not in render_stats(Statistics([row(task="\x1b[2Jx", model="\x1b]0;t\x07m")]), [])


def test_a_real_history_has_statistics(tmp_path: Path) -> None:
    pipeline = tmp_path / "two.yaml"
    pipeline.write_text(
        "name: two\nproviders:\n  sim: {kind: simulated, speed: 100}\ndefaults: {model: sim/any}\ntasks:\n"
        '  a: {prompt: one, estimate: 2s}\n  b: {prompt: "{{ tasks.a.output }}", estimate: 4s}\n',
        encoding="utf-8",
    )
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-m", "llmflow", "run", str(pipeline), "--plain"], capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
    asked = [sys.executable, "-m", "llmflow", "stats", str(pipeline), "--json"]
    data = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)
    assert [(r["task"], r["count"], r["failed"], r["on_path"], r["runs"]) for r in data["rows"]] == [
        ("a", 3, 0, 3, 3),
        ("b", 3, 0, 3, 3),
    ]
    assert data["runs"] == {"total": 3, "read": 3}
    assert sum(r["path_share"] for r in data["rows"]) == pytest.approx(1.0, abs=0.2)


def test_in_a_table_that_is_too_wide_one_text_after_the_other_gives_way() -> None:
    heads = (Column("TASK"), Column("SECONDS", right=True), Column("BY"))
    rows = [["a task with a long name", "12.00", "provider/some-model"]]
    assert render_columns(heads, rows, 100).splitlines()[1] == "a task with a long name    12.00  provider/some-model"
    assert render_columns(heads, rows, 40).splitlines()[1] == "a task wi…    12.00  provider/some-model"
    assert render_columns(heads, rows, 30).splitlines()[1] == "a task …    12.00  provider/s…"
    assert render_columns(heads, rows, 5).splitlines()[1] == "a task …    12.00  provide…"
