"""Where the history lives, which runs it has, and what it knows of durations."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from llmflow.errors import FailureKind, StoreError
from llmflow.history import samples, schema, stories
from llmflow.history.identity import ALPHABET, new_run_id, run_id
from llmflow.history.journal import Journal
from llmflow.history.location import store_dir
from llmflow.history.records import RunOutcome, RunRecord, SampleRecord
from llmflow.history.store import Store
from llmflow.scheduling.events import AttemptStarted, Event, TaskFailed


def keep(store: Store, pipeline: str, *taken: SampleRecord, started_at: float = 0.0) -> str:
    """A finished run with these samples; returns its id."""
    record = RunRecord(id=new_run_id(), pipeline=pipeline, started_at=started_at)
    with Journal(store, record) as journal:
        for sample in taken:
            journal.sample(sample)
        journal.finish(RunOutcome("succeeded", started_at + 1.0, 1.0))
    return journal.run_id


# ---- where ----------------------------------------------------------------------------------------


def test_the_command_line_goes_before_the_environment_and_both_before_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    home = {"HOME": str(tmp_path)}
    assert store_dir("a", {**home, "LLMFLOW_STORE": "b"}) == Path("a")
    assert store_dir(None, {**home, "LLMFLOW_STORE": "~/b"}) == tmp_path / "b"
    assert store_dir(None, {**home, "LLMFLOW_STORE": ""}) == tmp_path / "state" / "llmflow"
    assert list(tmp_path.iterdir()) == []


def test_without_a_usable_home_the_history_lies_in_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert store_dir(None, {}) == Path(".llmflow")
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    assert store_dir(None, {"HOME": str(tmp_path)}) == Path(".llmflow")


# ---- ids ------------------------------------------------------------------------------------------


def test_a_run_id_is_26_characters_that_sort_by_time() -> None:
    ids = [run_id(at, b"\xff" * 10) for at in (0.0, 0.001, 1_700_000_000.0, 1_700_000_000.001)]
    assert ids[0] == "0000000000" + "Z" * 16
    assert ids[2] == "01HF7YAT00" + "Z" * 16
    assert sorted(ids) == ids
    fresh = {new_run_id() for _ in range(1_000)}
    assert len(fresh) == 1_000
    assert {len(i) for i in fresh} == {26}
    assert {c for i in fresh for c in i} <= set(ALPHABET)


# ---- runs -----------------------------------------------------------------------------------------


def test_runs_are_listed_youngest_first_and_by_pipeline(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        first, second, third = (
            keep(store, "a", started_at=1.0),
            keep(store, "b", started_at=3.0),
            keep(store, "a", started_at=2.0),
        )
        assert [r.record.id for r in stories.runs(store)] == [second, third, first]
        assert [r.record.id for r in stories.runs(store, pipeline="a")] == [third, first]
        assert [r.record.id for r in stories.runs(store, pipeline="a", limit=1)] == [third]
        assert stories.run(store, "unknown") is None
        assert list(stories.story(store, "unknown")) == []


def test_a_pipeline_text_is_stored_once_for_all_its_runs(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        for _ in range(3):
            with Journal(store, RunRecord(id=new_run_id(), pipeline="p", started_at=0.0, source="tasks: {}")):
                pass
        assert list(store.rows("SELECT text FROM sources")) == [("tasks: {}",)]
        assert [r.record.source for r in stories.runs(store)] == ["tasks: {}"] * 3


# ---- events of other versions ---------------------------------------------------------------------


def test_events_written_before_a_field_was_added_get_its_default() -> None:
    rows = [
        (1, "AttemptStarted", json.dumps(AttemptStarted._fields[:-1])),
        (2, "TaskFailed", json.dumps(["at", "task", "mood", "kind"])),
        (3, "EventOfTheFuture", json.dumps(["at"])),
    ]
    rebuild = schema.kinds_for_reading(rows)
    found: list[Event] = [
        rebuild[1]([0.5, 1, 2, 3, 4, 5, 6, None]),
        rebuild[2]([0.5, 1, "gone", "server", None, None, None, None]),
    ]
    assert found == [AttemptStarted(0.5, 1, 2, 3, 4, 5, 6, 0), TaskFailed(0.5, 1, FailureKind.SERVER, "", False)]
    assert sorted(rebuild) == [1, 2]


@pytest.mark.parametrize(
    "damage",
    ["events = '[[1'", "events = '7'", "events = '[[[1], 2]]'", "events = x'00'", "times = x'00'", "times = x''"],
)
def test_a_stretch_that_cannot_have_been_written_so_is_damage(tmp_path: Path, damage: str) -> None:
    with Store.open(tmp_path) as store:
        with Journal(store, RunRecord(id="R", pipeline="p", started_at=0.0)) as journal:
            journal.write([TaskFailed(0.5, 1, FailureKind.SERVER)])
        with sqlite3.connect(store.database) as other:
            other.execute(f"UPDATE stretches SET {damage}")
        with pytest.raises(StoreError, match="is damaged"):
            list(stories.story(store, "R"))


def test_a_story_with_an_unknown_event_is_refused_by_name_of_the_run(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        with Journal(store, RunRecord(id="R", pipeline="p", started_at=0.0)) as journal:
            journal.write([TaskFailed(0.5, 1, FailureKind.SERVER)])
        with sqlite3.connect(store.database) as other:
            other.execute("UPDATE kinds SET name = 'EventOfTheFuture' WHERE name = 'TaskFailed'")
        other.close()
        with pytest.raises(StoreError, match="run R holds events that this llmflow does not know\n  hint: upgrade"):
            list(stories.story(store, "R"))


# ---- samples --------------------------------------------------------------------------------------


def test_samples_come_back_whole_and_are_filtered_by_pipeline_task_model_and_time(tmp_path: Path) -> None:
    whole = SampleRecord(
        task="a",
        duration=1.5,
        started_at=10.0,
        item="k",
        model="x/one",
        kind="openai",
        endpoint="http://127.0.0.1:1",
        template="t1",
        number=2,
        outcome="succeeded",
        concurrency=3,
        prompt_chars=100,
        input_tokens=25,
        output_tokens=7,
        first_token=0.25,
    )
    failed = SampleRecord("a", 9.0, started_at=11.0, model="x/one", kind="openai", outcome="timeout")
    value = SampleRecord("b", 0.0, started_at=12.0, kind="value")
    with Store.open(tmp_path) as store:
        keep(store, "p", whole, failed)
        keep(store, "q", value)
        kept = list(samples.duration_samples(store))
        first, again, second = (sample.run for sample in kept)
        assert first == again != second
        assert None not in (first, second)
        assert kept == [whole, failed, value]
        assert list(samples.duration_samples(store, pipeline="p")) == [whole, failed]
        assert list(samples.duration_samples(store, task="b")) == [value]
        assert list(samples.duration_samples(store, pipeline="p", model="x/one", since=10.5)) == [failed]
        assert list(samples.duration_samples(store, pipeline="p", model="x/two")) == []


def test_estimates_rest_on_the_latest_successes_of_each_series_oldest_first(tmp_path: Path) -> None:
    def sample(at: float, duration: float, **more: str) -> SampleRecord:
        return SampleRecord("a", duration, started_at=at, model="x/one", kind="openai", **more)

    taken = [sample(float(at), 100.0 + at) for at in range(10)]
    taken += [sample(20.0, 1.0, template="new"), sample(21.0, 2.0, endpoint="e"), sample(22.0, 900.0, outcome="server")]
    taken += [sample(23.0, 900.0, outcome="cached")]
    with Store.open(tmp_path) as store:
        keep(store, "p", *taken)
        keep(store, "q", sample(30.0, 5000.0))
        assert [s.duration for s in samples.latest_samples(store, "p", latest=2)] == [108.0, 109.0, 1.0, 2.0]
        assert samples.latest_samples(store, "unknown") == []


def test_a_model_is_known_from_other_pipelines_but_not_from_providers_that_act(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        keep(store, "p", SampleRecord("a", 1.0, started_at=1.0, model="x/one", kind="openai"))
        keep(store, "q", SampleRecord("z", 3.0, started_at=2.0, model="x/one", kind="openai"))
        keep(store, "q", SampleRecord("z", 60.0, started_at=3.0, model="sim/slow", kind="simulated"))
        keep(store, "q", SampleRecord("v", 0.0, started_at=3.0, kind="value"))
        found = samples.latest_samples_of_others(store, ["x/one", "sim/slow"], besides="p")
        assert [(s.task, s.duration) for s in found] == [("z", 3.0)]


def test_a_run_under_way_already_teaches(tmp_path: Path) -> None:
    async def run(store: Store) -> None:
        with Journal(store, RunRecord(id=new_run_id(), pipeline="p", started_at=0.0)) as journal:
            journal.sample(SampleRecord("a", 2.0, started_at=0.0, model="x/one", kind="openai"))
            await journal.acknowledged(journal.write([TaskFailed(0.5, 1, FailureKind.SERVER)]))
            assert [s.duration for s in samples.latest_samples(store, "p")] == [2.0]

    with Store.open(tmp_path) as store:
        asyncio.run(run(store))
