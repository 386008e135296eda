"""Forecasts that are kept with each run, and how often reality fell within them."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random
from statistics import fmean

import pytest
from command_line import llmflow, pipeline

from bench.calibration import FAMILIES, forecasts_of
from llmflow.history.identity import run_id
from llmflow.history.journal import Journal
from llmflow.history.records import RunOutcome, RunRecord
from llmflow.history.store import Store
from llmflow.scheduling.calibration import calibration

NOON = 1_790_000_000.0

TOLD = {"p10": 8.0, "p50": 10.0, "p90": 15.0, "tokens": {"p10": 80.0, "p50": 100.0, "p90": 150.0}}


def keep(
    store: Store,
    number: int,
    makespan: float,
    tokens: int = 100,
    *,
    name: str = "letter",
    status: str = "succeeded",
    told: object = TOLD,
    **more: object,
) -> None:
    """A run that was foretold to take 8 to 15 seconds and 80 to 150 tokens."""
    started = NOON + 60 * number
    record = RunRecord(
        run_id(started, number.to_bytes(10, "big")),
        name,
        started,
        forecast=told,  # type: ignore[arg-type]
    )
    usage = {"input_tokens": tokens - 10, "output_tokens": 10}
    with Journal(store, record) as journal:
        journal.finish(RunOutcome(status, started + makespan, makespan, {"usage": usage, **more}))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Ten runs of a letter, two of them longer than foretold; one of a poem; and some that nobody can judge."""
    folder = tmp_path / "store"
    with Store.open(folder) as store:
        for number in range(10):
            keep(store, number, 20.0 if number < 2 else 10.0, 200 if number < 4 else 100)
        keep(store, 10, 5.0, name="poem", told={**TOLD, "tokens": None})
        keep(store, 11, 99.0, status="failed")
        keep(store, 12, 99.0, resumed=True)
        keep(store, 13, 99.0, answers_reused=1)
        keep(store, 14, 99.0, told={"p10": None})
        keep(store, 16, 10.1, told={"p10": 10.0, "p50": 10.0, "p90": 10.0})  # a point: nothing falls within it
        keep(store, 15, 99.0, told=None)
    return folder


def test_how_often_runs_fell_within_what_was_foretold_is_told_per_pipeline_in_time_and_in_tokens(store: Path) -> None:
    ended = llmflow("stats", "--calibration", "--store", str(store))
    assert (ended.code, ended.out, ended.err) == (
        0,
        "forecasts of 11 runs: 80 % are meant to fall within the foretold P10–P90\n"
        "PIPELINE  OF      RUNS  WITHIN  BELOW  ABOVE    +-  OFF BY  VERDICT\n"
        "letter    time      10    80 %    0 %   20 %  13 %   +15 %  holds\n"
        "letter    tokens    10    60 %    0 %   40 %  13 %   +32 %  holds\n"
        "poem      time       1     0 %  100 %    0 %  40 %   -50 %  too few to say\n"
        "all       time      11    73 %    9 %   18 %  12 %    +7 %  holds\n"
        "all       tokens    10    60 %    0 %   40 %  13 %   +32 %  holds\n",
        "",
    )


def test_one_pipeline_is_told_alone_as_data_and_as_a_table(store: Path) -> None:
    told = json.loads(llmflow("stats", "poem", "--calibration", "--json", "--store", str(store)).out)
    row = told["rows"][0]
    assert (told["schema"], told["meant_within"], len(told["rows"])) == ("llmflow.calibration/1", 0.8, 1)
    assert (row["pipeline"], row["of"], row["runs"], row["within"], row["below"]) == ("poem", "time", 1, 0.0, 1.0)
    table = llmflow("stats", "letter", "--calibration", "--csv", "--store", str(store)).out.splitlines()
    assert table[0] == "pipeline,of,runs,within,below,above,error,off_by,score,verdict"
    assert [line.split(",")[:4] for line in table[1:]] == [
        ["letter", "time", "10", "0.8"],
        ["letter", "tokens", "10", "0.6"],
    ]


def test_forecasts_that_are_too_narrow_are_called_so(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        for number in range(20):
            keep(store, number, 10.0 if number % 2 else 30.0)
    row = json.loads(llmflow("stats", "--calibration", "--json", "--store", str(tmp_path)).out)["rows"][0]
    assert (row["within"], row["verdict"]) == (0.5, "too narrow")


def test_without_a_forecast_it_says_how_to_get_one(tmp_path: Path) -> None:
    ended = llmflow("stats", "--calibration", "--store", str(tmp_path / "none"))
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.startswith("no run to judge in ")


def test_a_run_keeps_a_forecast_of_its_time_and_of_its_tokens(tmp_path: Path) -> None:
    text = (
        "name: two\nproviders: {sim: {kind: simulated, speed: 100}}\ndefaults: {model: sim/any}\ntasks:\n"
        "  a: {prompt: write a word, estimate: {p50: 2s, p95: 8s}}\n"
        '  b: {prompt: "another {{ tasks.a.output }}", estimate: {p50: 2s, p95: 8s}}\n'
    )
    file = pipeline(tmp_path, text)
    for _ in range(2):
        assert llmflow("run", file.name, cwd=tmp_path).code == 0
    rows = json.loads(llmflow("stats", "two", "--calibration", "--json", cwd=tmp_path).out)["rows"]
    assert [(row["of"], row["runs"]) for row in rows] == [("time", 2), ("tokens", 1)]
    assert rows[1]["within"] == 1.0
    shown = llmflow("show", "last", cwd=tmp_path).out
    told = json.loads(llmflow("show", "last", "--json", cwd=tmp_path).out)["forecast"]
    assert f"forecast    P10 {told['p10']:.2f}, P50 {told['p50']:.2f}, P90 {told['p90']:.2f} s\n" in shown
    assert f"            P10 {told['tokens']['p10']:,.0f}, P50" in shown


def test_four_of_five_truths_that_are_not_log_normal_fall_within_what_was_foretold() -> None:
    """The small sister of `python -m bench.calibration`: 42 pipelines of seven families, foretold from 3 runs on."""
    families = list(FAMILIES.values())
    told = [forecasts_of(1000 + i, families[i % len(families)], 4, draws=60, largest=20) for i in range(42)]
    found = calibration([pair for each in told for pair in each[2:]])
    assert 0.70 <= found.coverage <= 0.88
    assert abs(found.bias) < 0.15


def test_a_forecast_of_tokens_holds_for_four_of_five_runs_of_random_lengths() -> None:
    from llmflow.binding.token_forecast import _draws
    from llmflow.scheduling.statistics import quantile

    inside = []
    for seed in range(200):
        dice = Random(seed)
        middle, spread, count = dice.uniform(3, 8), dice.uniform(0.1, 0.8), dice.choice((1, 3, 20))

        def call(dice: Random = dice, middle: float = middle, spread: float = spread) -> int:
            return max(1, round(100 * dice.gammavariate(1 / spread**2, spread**2) * middle))

        known = [call() for _ in range(dice.choice((2, 4, 10, 50)))]
        sums = sorted(_draws(known, count, 200, dice))
        truth = sum(call() for _ in range(count))
        inside.append(quantile(sums, 0.1) <= truth <= quantile(sums, 0.9))
    assert 0.72 <= fmean(inside) <= 0.88
