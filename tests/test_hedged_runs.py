"""Second calls for real: over HTTP, with a history that was learned, through a kill, and in all that looks back."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import PROGRAM, llmflow, pipeline
from fake_server import FakeServer
from kill_child import MODES, Job, Killers

from llmflow.binding.api import RunResult, run
from llmflow.history import stories
from llmflow.history.doubles import calls_and_copies, past_calls
from llmflow.history.samples import duration_samples
from llmflow.history.store import Store
from llmflow.scheduling import events as ev
from llmflow.scheduling.doubles import Took

PIPELINE = """\
name: hedged
scheduling: {{hedge_extra: 100%}}
providers: {{fake: {{kind: openai, base_url: "{url}", workers: 8}}}}
defaults: {{model: fake/fake-large}}
inputs: {{trouble: {{default: ""}}}}
tasks:
  each:
    foreach: [1, 2, 3]
    prompt: "say {{{{ item }}}} {{{{ inputs.trouble if item == 2 else '' }}}}"
    hedge: true
    timeout: 60s
  end: {{prompt: "end {{{{ tasks.each.outputs | length }}}}"}}
"""

HANG = '[[{"mode": "hang", "times": 1}]]'
HANG_TWICE = '[[{"mode": "hang", "times": 2}]]'


def learned(folder: Path, server: FakeServer, *, runs: int = 4) -> Path:
    """A pipeline whose history knows how long its calls take."""
    path = pipeline(folder, PIPELINE.format(url=server.openai_url))
    for _ in range(runs):
        assert run(path, store=folder / "store").status == "succeeded"
    return path


def troubled(path: Path, trouble: str = HANG) -> RunResult:
    return run(path, {"trouble": trouble}, store=path.parent / "store")


def story(path: Path, run_id: str) -> list[ev.Event]:
    with Store.open(path.parent / "store") as store:
        return list(stories.story(store, run_id))


def calls_of(path: Path, run_id: str, item: str) -> tuple[set[int], list[ev.Event]]:
    """The attempts of an item, and the part of the story that speaks of them."""
    with Store.open(path.parent / "store") as store:
        tasks = {task.task for task in stories.tasks(store, run_id) if task.item == item}
    told = [event for event in story(path, run_id) if getattr(event, "task", -1) in tasks]
    return {event.attempt for event in told if isinstance(event, ev.AttemptStarted) and event.number}, told


def test_a_call_that_hangs_is_made_again_and_the_run_does_not_wait_for_it(tmp_path: Path) -> None:
    with FakeServer(latency=0.02) as server:
        path = learned(tmp_path, server)
        result = troubled(path)
        assert (result.status, result.outputs) == ("succeeded", "You said: end 3")
        assert server.wait_for(lambda s: any(seen.closed for seen in s.requests))
    attempts, told = calls_of(path, result.run, "1")
    assert [type(event).__name__ for event in told] == [
        "AttemptStarted",
        "AttemptDoubled",
        "AttemptStarted",
        "AttemptSucceeded",
        "CancelRequested",
        "TaskSucceeded",
        "AttemptCancelled",
    ]
    first, second = sorted(attempts)
    assert [(e.attempt, e.number) for e in told if isinstance(e, ev.AttemptStarted)] == [(first, 1), (second, 1)]
    assert isinstance(told[-1], ev.AttemptCancelled)
    assert (told[-1].attempt, told[-1].reason) == (first, "outrun")
    assert result.document["second_calls"]["made"] >= 1
    assert result.tasks["each"]["attempts"] == 3
    with Store.open(tmp_path / "store") as store:
        (answer,) = stories.answers(store, result.run, name="each", item="1")
        outcomes = [s.outcome for s in duration_samples(store, pipeline="hedged", task="each") if s.item == "1"][-2:]
    assert answer.answer.attempt == second
    assert sorted(outcomes) == ["outrun", "succeeded"]


def test_no_call_is_doubled_before_history_knows_how_long_it_takes(tmp_path: Path) -> None:
    with FakeServer(latency=0.02) as server:
        path = learned(tmp_path, server, runs=0)
        result = run(path, store=tmp_path / "store")
    assert result.document["second_calls"] == {"made": 0, "answered_first": 0}
    assert not [event for event in story(path, result.run) if isinstance(event, ev.AlarmSet)]


def test_a_run_that_was_killed_with_two_calls_under_way_goes_on_with_one(tmp_path: Path) -> None:
    with FakeServer(latency=0.02) as server:
        path = learned(tmp_path, server)
        before = len(server.requests)
        words = [*PROGRAM, "run", str(path), "-i", f"trouble={HANG_TWICE}", "--store", str(tmp_path / "store")]
        child = subprocess.Popen(words, env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            assert server.wait_for(
                lambda s: sum("hang" in json.dumps(seen.body) for seen in s.requests[before:]) == 2, 60.0
            )
        finally:
            child.kill()
            child.wait()
        ended = llmflow("run", "--resume", "--plain", "--store", str(tmp_path / "store"), cwd=tmp_path)
        assert (ended.code, ended.out) == (0, "You said: end 3\n")
        assert "had no known end and may have been paid for" in ended.err
        assert ended.err.partition("\n")[0].count("each[1]") == 2
    with Store.open(tmp_path / "store") as store:
        (last, *_) = stories.runs(store)
        events = list(stories.story(store, last.record.id))
        names = {task.task: task.item for task in stories.tasks(store, last.record.id)}
    resumed = next(i for i, event in enumerate(events) if isinstance(event, ev.RunResumed))
    cut_off = [
        event
        for event in events[:resumed]
        if isinstance(event, ev.AttemptCancelled) and event.reason == "unknown_outcome" and names[event.task] == "1"
    ]
    assert len(cut_off) == 2
    again = [
        event
        for event in events[resumed:]
        if isinstance(event, ev.AttemptStarted) and event.number and event.pool >= 0 and names[event.task] == "1"
    ]
    assert again[0].number == 1
    assert last.status == "succeeded"


def test_a_second_call_is_sent_only_when_its_start_is_on_disk(tmp_path: Path) -> None:
    """When the server hears it, another process finds it in the story."""
    with FakeServer(latency=0.02) as server:
        path = learned(tmp_path, server)
        before = len(server.requests)
        words = [*PROGRAM, "run", str(path), "-i", f"trouble={HANG_TWICE}", "--store", str(tmp_path / "store")]
        child = subprocess.Popen(words, env=dict(os.environ), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            assert server.wait_for(
                lambda s: sum("hang" in json.dumps(seen.body) for seen in s.requests[before:]) == 2, 60.0
            )
            with Store.open(tmp_path / "store") as store:
                (last, *_) = stories.runs(store)
                under_way = [e for e in stories.in_flight(store, last.record.id) if e.pool >= 0]
                names = {task.task: task.item for task in stories.tasks(store, last.record.id)}
            assert [names[e.task] for e in under_way].count("1") == 2
        finally:
            child.kill()
            child.wait()


def test_all_that_looks_back_tells_of_both_calls(tmp_path: Path) -> None:
    with FakeServer(latency=0.02) as server:
        path = learned(tmp_path, server)
        result = troubled(path)
    store = ("--store", str(tmp_path / "store"))
    shown = llmflow("show", result.run, *store).out
    assert "each[1]" in shown
    assert " 1+1 " in shown
    assert re.search(r"^hedged +\d+ second calls?, \d+ answered first; the others may be billed$", shown, re.MULTILINE)
    item = llmflow("show", result.run, "each", "1", *store).out
    assert "succeeded, 1 attempt, 1 second call, " in item
    assert "cancelled: another call of this attempt answered first, this one may be billed" in item
    assert "attempt 1, call 2: " in item
    data = json.loads(llmflow("show", result.run, "--json", *store).out)
    assert sum(data["time"]["columns"].values()) == pytest.approx(data["time"]["makespan"])
    assert data["second_calls"] == result.document["second_calls"]
    assert next(task for task in data["tasks"] if task["item"] == "1")["second_calls"] == 1
    stats = json.loads(llmflow("stats", "--json", *store).out)
    assert next(row for row in stats["rows"] if row["task"] == "each")["extra_calls"] >= 1
    assert llmflow("diff", result.run, result.run, *store).code == 0
    assert llmflow("stats", *store).code == 0


def test_the_slower_calls_are_remembered_as_cut_off_and_as_part_of_a_double(tmp_path: Path) -> None:
    with FakeServer(latency=0.02) as server:
        path = learned(tmp_path, server)
        result = troubled(path)
    with Store.open(tmp_path / "store") as store:
        (template,) = {s.template for s in duration_samples(store, pipeline="hedged", task="each")}
        past = past_calls(store, pipeline="hedged", task="each", model="fake/fake-large", template=template)
        calls, copies = calls_and_copies(store, "hedged")
    made = result.document["second_calls"]["made"]
    assert copies >= made >= 1
    assert calls == 4 * 5 + copies
    cut_off = [double for double in past.doubles if double.first.cut_off]
    assert cut_off
    assert all(0 < double.delay < double.first.seconds for double in past.doubles)
    assert sum(took.cut_off for took in past.calls) == copies
    assert isinstance(past.calls[0], Took)


SIMULATED = """\
name: simulated stragglers
scheduling: {hedge_extra: 50%}
providers: {simulated: {workers: 8, speed: 50}}
defaults: {model: simulated/m}
tasks:
  each: {foreach: [1, 2, 3, 4, 5, 6], prompt: "say {{ item }}", hedge: {after: p50}, estimate: {p50: 1s, p95: 6s}}
  end: {prompt: "{{ tasks.each.outputs | length }}", estimate: 100ms}
"""


def test_killed_at_any_event_a_hedged_run_is_resumed_to_its_end(tmp_path: Path) -> None:
    file = pipeline(tmp_path, SIMULATED)
    doubled = 0
    with Killers() as killers:
        for mode, kill in zip((*MODES, *MODES, *MODES), (12, 19, 20, 22, 23, 23, 24, 25, 27), strict=True):
            store = tmp_path / f"{kill}"
            job = Job(str(file), str(store), str(tmp_path / "out"), str(tmp_path / "log"), mode=mode, kill=kill)
            code = killers.run(job)
            with Store.open(store, read_only=True) as history:
                (record, *_) = stories.runs(history)
                running = [e.task for e in stories.in_flight(history, record.record.id) if e.pool >= 0]
            doubled += len(running) > len(set(running))
            if code:
                assert code == -9, (tmp_path / "log").read_text()
                resume = replace(job, file=record.record.id, resume=True, mode="safe", kill=0)
                assert killers.run(resume) == 0, (tmp_path / "log").read_text()
            assert (tmp_path / "out").read_text() == "A made-up answer to end.\n"
            with Store.open(store, read_only=True) as history:
                events = list(stories.story(history, record.record.id))
                tasks = stories.tasks(history, record.record.id)
            begun = [e for e in events if isinstance(e, ev.AttemptStarted)]
            ends = [e for e in events if isinstance(e, ev.AttemptSucceeded | ev.AttemptFailed | ev.AttemptCancelled)]
            assert sorted(e.attempt for e in begun) == sorted(e.attempt for e in ends)
            assert {e.number for e in begun if e.pool >= 0} == {1}
            succeeded = {(tasks[e.task].name, tasks[e.task].item) for e in events if isinstance(e, ev.TaskSucceeded)}
            assert len(succeeded) == 8
    assert doubled
