"""Trends, pairs and hours: found where they are, and not where there is only chance."""

from __future__ import annotations

import math
import statistics as reference
from random import Random

import pytest

from llmflow.scheduling.tendencies import CERTAIN, Pair, correlated, correlation, slow_hours, trend


def noisy(dice: Random, mean: float, sd: float = 0.2) -> float:
    return mean * math.exp(dice.gauss(0.0, sd))


def test_a_trend_is_the_change_along_the_fitted_line() -> None:
    found = trend([2.0**i for i in range(9)])
    assert found is not None
    assert (found.change, found.t, found.n) == (pytest.approx(255.0), CERTAIN, 9)
    assert found.is_clear
    assert trend([1.0] * 7) is None
    level = trend([3.0] * 8)
    assert level is not None
    assert (level.change, level.t, level.is_clear) == (0.0, 0.0, False)


def test_a_trend_in_hand_worked_numbers() -> None:
    """Logarithms 0 1 1 2 2 3 3 4: slope 42/84·…, worked with the textbook formulas."""
    logs = [0, 1, 1, 2, 2, 3, 3, 4]
    found = trend([math.exp(y) for y in logs])
    slope = sum((i - 3.5) * (y - 2) for i, y in enumerate(logs)) / 42
    left = sum((y - 2 - slope * (i - 3.5)) ** 2 for i, y in enumerate(logs))
    assert found is not None
    assert found.change == pytest.approx(math.exp(7 * slope) - 1)
    assert found.t == pytest.approx(slope / math.sqrt(left / 6 / 42))


def test_chance_alone_is_seldom_taken_for_a_trend_and_a_real_one_is_found() -> None:
    dice = Random(5)
    flat = [trend([noisy(dice, 3.0) for _ in range(40)]) for _ in range(300)]
    assert sum(1 for found in flat if found is not None and found.is_clear) <= 5
    rising = trend([noisy(dice, 3.0 * (1 + i / 40)) for i in range(40)])
    assert rising is not None
    assert rising.is_clear
    assert 0.5 < rising.change < 2.0


def test_a_correlation_is_of_the_logarithms() -> None:
    assert correlation([1, 2, 4, 8], [3, 6, 12, 24]) == (pytest.approx(1.0), CERTAIN)
    assert correlation([1, 2, 4, 8], [8, 4, 2, 1])[0] == pytest.approx(-1.0)
    assert correlation([1, 2, 4], [5, 5, 5]) == (0.0, 0.0)
    r, t = correlation([1, math.e, 1, math.e], [1, math.e, math.e, math.e])
    assert (r, t) == (pytest.approx(1 / math.sqrt(3)), pytest.approx(1.0))


def test_tasks_that_are_slow_in_the_same_runs_are_found_and_others_are_not() -> None:
    dice = Random(8)
    load = {run: noisy(dice, 1.0, 0.5) for run in range(1, 31)}
    series = {
        "a": {run: 2 * factor for run, factor in load.items()},
        "b": {run: noisy(dice, 3 * factor, 0.1) for run, factor in load.items()},
        "alone": {run: noisy(dice, 2.0, 0.5) for run in load},
        "young": {run: 2 * factor for run, factor in list(load.items())[:11]},
    }
    (pair,) = correlated(series)
    assert isinstance(pair, Pair)
    assert ({pair.first, pair.second}, pair.n) == ({"a", "b"}, 30)
    assert pair.r > 0.9


def test_among_unrelated_tasks_chance_makes_no_pairs() -> None:
    dice = Random(9)
    series = {f"t{i}": {run: noisy(dice, 2.0, 0.5) for run in range(1, 31)} for i in range(30)}
    assert correlated(series) == []


def test_a_slow_hour_is_found_with_what_it_rests_on() -> None:
    dice = Random(3)
    samples = [(hour, noisy(dice, 4.0 if hour == 14 else 2.0)) for hour in range(24) for _ in range(12)]
    (effect,) = slow_hours(samples)
    assert (effect.hour, effect.n, effect.total) == (14, 12, 288)
    assert effect.ratio == pytest.approx(2.0, rel=0.15)
    inside = [math.log(seconds) for hour, seconds in samples if hour == 14]
    outside = [math.log(seconds) for hour, seconds in samples if hour != 14]
    error = math.sqrt(reference.variance(inside) / 12 + reference.variance(outside) / 276)
    assert effect.t == pytest.approx((reference.fmean(inside) - reference.fmean(outside)) / error)
    assert slow_hours([(hour, noisy(dice, 2.0)) for hour in range(24) for _ in range(12)]) == []
    assert slow_hours(samples[:59]) == []
    assert slow_hours([(14, 2.0)] * 100) == []
