"""Durations drawn world by world: what is not known of a task is not known of all its items at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import exp, log
from random import Random
from statistics import fmean

import pytest

from llmflow.history.records import SampleRecord
from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.learning import Learner, Subject
from llmflow.scheduling.shrinkage import tides
from llmflow.scheduling.statistics import quantile
from llmflow.scheduling.worlds import drawn_together


def learned(*seen: tuple[str, float]) -> Learner:
    return Learner(SampleRecord(task, duration, float(at)) for at, (task, duration) in enumerate(seen))


def sums(estimates: Sequence[Estimate], count: int = 400, seed: int = 1) -> list[float]:
    """Of each world the total, in ascending order."""
    return sorted(map(sum, zip(*drawn_together(estimates, Random(seed), count), strict=True)))


def width(ordered: Sequence[float]) -> float:
    return quantile(ordered, 0.9) / quantile(ordered, 0.1)


def test_doubt_about_a_task_does_not_average_out_over_its_items() -> None:
    one = learned(("x", 4.0)).estimate(Subject("x"))
    apart = sorted(map(sum, zip(*(one.draws(Random(n), 400) for n in range(100)), strict=True)))
    assert width(apart) < 1.5
    assert width(sums([one] * 100)) > 3.0


def test_doubt_about_the_spread_of_a_model_is_common_to_its_tasks() -> None:
    dice = Random(3)
    means = [exp(dice.uniform(log(0.5), log(30))) for _ in range(40)]
    rows = [[(f"t{n}", mean * exp(dice.gauss(0, 0.47))) for n, mean in enumerate(means)] for _ in range(3)]
    once, often = learned(*rows[0]), learned(*rows[0], *rows[1], *rows[2])
    asked = [Subject(f"t{n}") for n in range(40)]
    assert width(sums([once.estimate(s) for s in asked])) > 1.2 * width(sums([often.estimate(s) for s in asked]))


def test_of_a_task_seen_often_worlds_are_what_was_seen() -> None:
    dice = Random(4)
    estimate = learned(*(("x", 0.5 if dice.random() < 0.8 else 4.0) for _ in range(200))).estimate(Subject("x"))
    drawn = sorted(drawn_together([estimate], Random(5), 2000)[0])
    assert fmean(drawn) == pytest.approx(1.2, rel=0.2)
    assert quantile(drawn, 0.5) == pytest.approx(0.5, rel=0.2)
    assert quantile(drawn, 0.95) == pytest.approx(4.0, rel=0.35)


def test_what_nobody_learned_is_drawn_one_by_one() -> None:
    written = Estimate(3.0, 1.0, "author")
    assert drawn_together([written, written], Random(6), 5) == [
        written.draws(dice := Random(6), 5),
        written.draws(dice, 5),
    ]


def test_what_is_expected_of_tasks_seen_once_adds_up_to_what_was_seen_of_them() -> None:
    for seed in range(5):
        dice = Random(seed)
        took = [exp(dice.uniform(log(0.5), log(30))) * dice.gammavariate(4, 0.25) for _ in range(12)]
        learner = learned(*((f"t{n}", seconds) for n, seconds in enumerate(took)))
        expected = sum(learner.estimate(Subject(f"t{n}")).mean for n in range(12))
        assert expected == pytest.approx(sum(took), rel=0.06)


@pytest.mark.parametrize("runs", [1, 2, 5])
def test_eight_totals_of_ten_fall_within_what_was_foretold(runs: int) -> None:
    truths: list[Callable[[Random], float]] = [
        lambda dice: dice.gammavariate(4, 0.25),
        lambda dice: dice.expovariate(1.0),
        lambda dice: (0.2 if dice.random() < 0.3 else 1.0) * dice.uniform(0.85, 1.15),
        lambda dice: dice.paretovariate(2.5),
    ]
    held, pipelines = 0, 160
    for number in range(pipelines):
        dice = Random(f"{number} pipeline")
        means = [exp(dice.uniform(log(0.5), log(30))) for _ in range(20)]
        rows = [[mean * truths[number % 4](dice) for mean in means] for _ in range(runs + 1)]
        learner = learned(*((f"t{n}", took) for row in rows[:-1] for n, took in enumerate(row)))
        told = sums([learner.estimate(Subject(f"t{n}")) for n in range(20)], 100, number)
        held += quantile(told, 0.1) <= sum(rows[-1]) <= quantile(told, 0.9)
    assert 0.75 <= held / pipelines <= 0.88


def rows_of_runs(runs: int, scatter: float, dice: Random) -> list[list[tuple[str, float]]]:
    """Of each run what its 20 tasks took; runs as a whole are off by `scatter`, an sd of logarithms."""
    means = [exp(dice.uniform(log(0.5), log(30))) for _ in range(20)]
    factors = [exp(scatter * dice.gauss(0, 1)) for _ in range(runs)]
    return [[(f"t{n}", f * mean * dice.gammavariate(4, 0.25)) for n, mean in enumerate(means)] for f in factors]


@pytest.mark.parametrize("scatter", [0.0, 0.4])
def test_where_runs_differ_as_a_whole_so_do_forecasts(scatter: float) -> None:
    held, pipelines = 0, 80
    for number in range(pipelines):
        *past, now = rows_of_runs(6, scatter, Random(f"{number} tides"))
        learner = Learner(
            SampleRecord(task, took, float(run), run=run) for run, row in enumerate(past) for task, took in row
        )
        told = sums([learner.estimate(Subject(f"t{n}")) for n in range(20)], 100, number)
        held += quantile(told, 0.1) <= sum(took for _, took in now) <= quantile(told, 0.9)
    assert 0.7 <= held / pipelines <= 0.9


def test_how_far_runs_differ_is_found_where_they_do_and_only_there() -> None:
    def found(scatter: float, runs: int = 30) -> float:
        rows = rows_of_runs(runs, scatter, Random(8))
        keys: dict[str, list[tuple[int, float]]] = {}
        for run, row in enumerate(rows):
            for task, took in row:
                keys.setdefault(task, []).append((run, log(took)))
        middles = {task: fmean(y for _, y in key) for task, key in keys.items()}
        return tides([(run, y - middles[task]) for run, y in key] for task, key in keys.items()).variance

    assert found(0.4) == pytest.approx(0.16, rel=0.4)
    assert found(0.0) < 0.01
    assert found(0.4, runs=2) == 0.0
