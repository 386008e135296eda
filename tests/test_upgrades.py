"""Stores that older versions wrote are read and gone on with by this one; what was paid for then is not asked again.

`stores/schema_N.sql` is the whole store of the version that first had N migrations: one run that succeeded, one whose
task `b` failed, and one whose process was killed while `b` was under way. `@FOLDER@` is where it lay.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from command_line import Ended, llmflow, pipeline
from store_damage import integrity

from llmflow.history import schema, stories
from llmflow.history.store import Store

STORES = Path(__file__).parent / "stores"
VERSIONS = range(1, len(schema.MIGRATIONS) + 1)
PIPELINE = """\
name: upgraded
inputs: {place: {default: Rome}}
providers: {mock: {answers: {a: A, "each[x]": X, "each[y]": Y, "each[z]": Z, b: B, c: C}}}
defaults: {model: mock/m, retry: {max_attempts: 1}}
tasks:
  a: {prompt: "Go to {{ inputs.place }}"}
  each: {foreach: {items: [x, y, z], key: "{{ item }}"}, prompt: "{{ item }} of {{ tasks.a.output }}"}
  shape: {value: "{{ tasks.a.output }}!"}
  b: {prompt: "two {{ tasks.a.output }}", depends_on: each}
  c: {prompt: "three {{ tasks.b.output }}"}
outputs: {all: "{{ tasks.shape.output }} {{ tasks.each.outputs | join(' ') }} {{ tasks.c.output }}"}
"""


COUNTED = "SELECT id, COUNT(*) FROM events JOIN runs USING (run) JOIN kinds USING (kind)"


class Old:
    """A store as an older version left it, with the pipeline whose runs it holds."""

    def __init__(self, folder: Path, version: int) -> None:
        self.folder, self.store, self.calls = folder, folder / "store", folder / "calls"
        self.store.mkdir()
        self.pipeline = pipeline(folder, PIPELINE)
        text = (STORES / f"schema_{version}.sql").read_text(encoding="utf-8")
        with closing(sqlite3.connect(self.store / "history.db")) as connection:
            connection.executescript(text.replace("@FOLDER@", str(folder)))
        (self.store / "history.db").chmod(0o600)

    def llmflow(self, *words: str) -> Ended:
        return llmflow(*words, "--store", str(self.store), LLMFLOW_MOCK_CALLS=str(self.calls))

    def paid(self) -> list[str]:
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        self.calls.unlink(missing_ok=True)
        return [json.loads(line)["task"] for line in lines]

    def ids(self) -> dict[str, str]:
        """Status → run."""
        with Store.open(self.store, read_only=True) as history:
            return {run.status: run.record.id for run in stories.runs(history)}


@pytest.fixture(params=VERSIONS, ids=lambda version: f"schema {version}")
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Old:
    return Old(tmp_path, request.param)


def test_there_is_a_store_of_every_schema() -> None:
    assert sorted(path.name for path in STORES.iterdir()) == [f"schema_{version}.sql" for version in VERSIONS]


def test_a_run_that_an_older_version_left_interrupted_goes_on_and_pays_only_for_what_was_not_answered(old: Old) -> None:
    run = old.ids()["interrupted"]
    ended = old.llmflow("run", "--resume", run, "--plain")
    assert (ended.code, json.loads(ended.out)) == (0, {"all": "A! X Y Z C"})
    assert old.paid() == ["b", "c"]
    in_flight = "1 call had no known end and may have been paid for, for about 1 + 1 tokens by earlier calls: b"
    assert ended.err.splitlines()[0] == in_flight
    assert "runs again" not in ended.err
    assert integrity(old.store / "history.db") == ["ok"]
    with Store.open(old.store, read_only=True) as history:
        assert list(history.rows("PRAGMA user_version")) == [(len(schema.MIGRATIONS),)]
        assert [found.status for found in stories.runs(history) if found.record.id == run] == ["succeeded"]


def test_a_run_that_an_older_version_saw_fail_goes_on_twice_over(old: Old) -> None:
    """What serves again the first time serves the second time too, by whatever version it was written."""
    run = old.ids()["failed"]
    pipeline(old.folder, PIPELINE.replace("c: C}", "c: {error: server}}"))
    assert old.llmflow("run", "--resume", run).code == 1
    assert old.paid() == ["b", "c"]
    pipeline(old.folder, PIPELINE)
    assert old.llmflow("run", "--resume", run).code == 0
    assert old.paid() == ["c"]


def test_a_prompt_that_was_changed_since_is_asked_again_though_an_older_version_kept_no_parts(old: Old) -> None:
    pipeline(old.folder, PIPELINE.replace("Go to", "Fly to"))
    ended = old.llmflow("run", "--resume", old.ids()["interrupted"], "--plain")
    assert ended.code == 0
    assert old.paid() == ["a", "b", "c"]
    assert ("a runs again: what is asked changed" in ended.err) != ("a runs again: prompt changed" in ended.err)


@pytest.mark.parametrize("version", [1, 2, 3], ids=lambda version: f"schema {version}")
def test_events_that_were_rows_of_their_own_are_told_as_they_were(tmp_path: Path, version: int) -> None:
    old = Old(tmp_path, version)
    with closing(sqlite3.connect(old.store / "history.db")) as before:
        kinds = dict(before.execute("SELECT name, kind FROM kinds"))
        more = [(2, seq, kinds["TaskSucceeded"], seq / 7, seq) for seq in range(100, 3_100)]
        before.executemany("INSERT INTO events (run, seq, kind, at, f1) VALUES (?, ?, ?, ?, ?)", more)
        before.commit()
        sql = """SELECT id, kinds.name, at, f1, f2, f3, f4, f5, f6, f7
            FROM events JOIN runs USING (run) JOIN kinds USING (kind) WHERE id = ? ORDER BY seq"""
        ids = [run for (run,) in before.execute("SELECT id FROM runs ORDER BY run")]
        written = {run: [row[1:] for row in before.execute(sql, [run])] for run in ids}
        failed = dict(before.execute(f"{COUNTED} WHERE name = 'TaskFailed' GROUP BY id"))
    with Store.open(old.store) as store:
        for run in ids:
            told = [(type(event).__name__, *event) for event in stories.story(store, run)]
            assert told == [row[: len(event)] for row, event in zip(written[run], told, strict=True)]
            assert stories.last_position(store, run) == (3_099 if run == ids[1] else len(written[run]))
            assert stories.last_at(store, run) == written[run][-1][1]
        counts = dict(store.rows("SELECT id, SUM(failed) FROM stretches JOIN runs USING (run) GROUP BY id"))
        assert counts == {run: failed.get(run, 0) for run in ids}
        assert sum(counts.values()) > 0


def test_what_an_older_version_wrote_is_listed_shown_and_counted(old: Old) -> None:
    listed = old.llmflow("runs", "--json")
    assert [run["status"] for run in json.loads(listed.out)["runs"]] == ["interrupted", "failed", "succeeded"]
    for status, run in old.ids().items():
        shown = old.llmflow("show", run)
        assert (shown.code, shown.err) == (0, "")
        assert f"\nstatus      {status}: 8 tasks" in shown.out
    stats = old.llmflow("stats", "--json")
    assert stats.code == 0
    assert {row["task"]: row["count"] for row in json.loads(stats.out)["rows"]}["each"] == 9
    assert old.llmflow("plan", str(old.pipeline)).code == 0
