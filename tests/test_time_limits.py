"""How long an attempt may take where history knows the task, and where its elapsed time lies among those before it."""

from __future__ import annotations

import asyncio
import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from command_line import llmflow, pipeline
from hypothesis import given
from hypothesis import strategies as st
from virtual_run import on_virtual_time

from llmflow.binding.estimates import believed
from llmflow.binding.execution import RunOptions, RunResult, execute
from llmflow.binding.loading import bind, load_file, model_choice
from llmflow.history.store import Store
from llmflow.reports.time_limit_text import limit_of, limit_text, limits_json
from llmflow.scheduling.time_limits import Durations, TimeLimit
from llmflow.views.live import LiveTable
from llmflow.views.view import View

MANY = """
name: many
providers: {sim: {kind: simulated}}
defaults: {model: sim/any}
tasks:
  each:
    foreach: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p, q, r, s, t, u, v, w, x]
    prompt: "say {{ item }}"
    estimate: {p50: 20s, p95: 60s}
  quick: {prompt: x, timeout: 7s, estimate: 1s}
  new: {prompt: y, estimate: 1s}
"""


def test_a_limit_is_a_multiple_of_the_p99_with_a_floor_once_there_are_enough_samples() -> None:
    assert Durations([1.0] * 19).limit() is None
    assert Durations([1.0] * 20).limit() == TimeLimit(60.0, "history", 1.0, 20)
    assert Durations([30.0] * 200).limit() == TimeLimit(150.0, "history", 30.0, 200)


def test_only_the_youngest_samples_count() -> None:
    known = Durations([100.0] * 200)
    for _ in range(200):
        known.add(20.0)
    assert known.limit() == TimeLimit(100.0, "history", 20.0, 200)


def test_an_elapsed_time_is_placed_among_the_samples() -> None:
    known = Durations([1.0, 2.0, 3.0, 4.0])
    assert known.percentile(2.5) is None
    known.add(5.0)
    assert [known.percentile(elapsed) for elapsed in (0.5, 2.5, 3.0, 9.0)] == [(0, 5), (40, 5), (60, 5), (100, 5)]


@given(st.lists(st.floats(0.001, 1000.0), min_size=5, max_size=450), st.floats(0.0, 1000.0))
def test_adding_one_by_one_is_the_same_as_having_them_all(durations: list[float], elapsed: float) -> None:
    one_by_one = Durations()
    for duration in durations:
        one_by_one.add(duration)
    assert one_by_one.percentile(elapsed) == Durations(durations).percentile(elapsed)
    assert one_by_one.limit() == Durations(durations).limit()


@pytest.mark.parametrize(
    ("limit", "text"),
    [
        (TimeLimit(150.0, "history", 30.0, 200), "2m30s (5 × p99 30.0 s of 200 samples)"),
        (TimeLimit(60.0, "history", 1.2, 24), "60.0 s (5 × p99 1.20 s of 24 samples, at least 60.0 s)"),
        (TimeLimit(7.0, "author"), "7.00 s (written)"),
        (TimeLimit(600.0, "default"), "10m00s (default)"),
    ],
)
def test_a_limit_says_where_it_comes_from(limit: TimeLimit, text: str) -> None:
    assert limit_text(limit) == text
    assert limit_of(json.loads(json.dumps(limits_json({"task": limit})))["task"]) == limit


def run(file: Path, store: Path, *, watched: bool = False) -> tuple[RunResult, str]:
    """On virtual time; gives what the live table drew, too, a frame for each tenth of a virtual second."""
    choice = model_choice(())
    compiled = bind(load_file(str(file), choice), choice, None)
    drawn = io.StringIO()

    async def main() -> RunResult:
        wall = asyncio.get_running_loop().time
        views: list[View] = [LiveTable(drawn, size=lambda: (160, 40), colour=False, wall=wall)] if watched else []
        with Store.open(store, durability="normal") as history:
            beliefs = believed(compiled, history)
            return await execute(
                compiled, RunOptions({}, "critical-path", beliefs, environment={}, store=history, views=views)
            )

    return on_virtual_time(main()), drawn.getvalue()


def test_the_live_row_says_how_long_an_attempt_runs_and_where_that_lies_among_its_like(tmp_path: Path) -> None:
    file, store = pipeline(tmp_path, MANY), tmp_path / "store"
    first, drawn = run(file, store, watched=True)
    assert first.status == "succeeded"
    begun = re.findall(r"each\[\w\].*running ([\d.]+) s, p(\d+) of (\d+)", drawn)
    assert {int(n) for _, _, n in begun} <= set(range(5, 25))
    second, drawn = run(file, store, watched=True)
    assert second.status == "succeeded"
    rows = [(float(s), int(p), int(n)) for s, p, n in re.findall(r"running ([\d.]+) s, p(\d+) of (\d+)", drawn)]
    assert {n for _, _, n in rows} <= set(range(24, 49))
    assert rows, "the first run has taught where a running attempt lies"
    assert max((p for s, p, n in rows if s < 10 and n == 24), default=0) < 50
    assert "new " in drawn
    assert not re.search(r"new .*running [\d.]+ s, p", drawn), "two samples are too few"


def test_plan_and_show_say_how_long_an_attempt_may_take_and_why(tmp_path: Path) -> None:
    file, store = pipeline(tmp_path, MANY), tmp_path / "store"
    run(file, store)
    planned = json.loads(llmflow("plan", str(file), "--json", "--store", str(store)).out)["timeouts"]
    p99 = planned["each"]["p99"]
    assert planned == {
        "each": {"total": pytest.approx(5 * p99), "from": "history", "p99": p99, "samples": 24},
        "quick": {"total": 7.0, "from": "author", "p99": None, "samples": 0},
    }
    text = llmflow("plan", str(file), "--store", str(store)).out
    assert re.search(
        r"^timeouts       quick: 7.00 s \(written\)\n"
        r"               each: 5m\d\ds \(5 × p99 6\d.\d s of 24 samples\)$",
        text,
        re.MULTILINE,
    )
    run(file, store)
    shown = llmflow("show", "last", "each[0]", "--store", str(store)).out
    assert re.search(r"^timeout     5m\d\ds \(5 × p99 6\d.\d s of 24 samples\)$", shown, re.MULTILINE)
    told = json.loads(llmflow("show", "last", "quick", "--json", "--store", str(store)).out)["tasks"][0]
    assert told["timeout"] == planned["quick"]
    assert (
        json.loads(llmflow("show", "last", "new", "--json", "--store", str(store)).out)["tasks"][0]["timeout"] is None
    )


def test_an_attempt_that_hangs_is_ended_by_what_its_task_took_before(tmp_path: Path) -> None:
    store = tmp_path / "store"
    file = pipeline(tmp_path, MANY)
    run(file, store)
    p99 = believed_limit(file, store)
    hung = pipeline(tmp_path, MANY.replace("kind: simulated", f"kind: simulated, durations: {{each: {9 * p99:.0f}s}}"))
    result, _ = run(hung, store)
    assert result.status == "failed"
    error = result.tasks["each"]["error"]
    assert error["detail"].count(f"no answer within {5 * p99:.4g} s") == 1


def believed_limit(file: Path, store: Path) -> Any:
    return json.loads(llmflow("plan", str(file), "--json", "--store", str(store)).out)["timeouts"]["each"]["p99"]
