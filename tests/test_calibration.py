"""Scores of forecasts, and what is learned from having been wrong."""

from __future__ import annotations

from math import exp
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflow.scheduling.calibration import Calibration, Correction, Interval, calibration

TOLD = Interval(8.0, 10.0, 15.0)


def coverage(pairs: list[tuple[Interval, float]]) -> float:
    return calibration(pairs).coverage


def test_an_interval_is_scored_by_its_width_and_by_what_it_missed() -> None:
    assert [TOLD.score(truth) for truth in (8.0, 15.0, 7.0, 16.0)] == [7.0, 7.0, 17.0, 17.0]
    assert [TOLD.holds(truth) for truth in (7.9, 8.0, 15.0, 15.1)] == [False, True, True, False]


def test_the_score_of_several_forecasts_counts_both_sides() -> None:
    found = calibration([(TOLD, 10.0), (TOLD, 7.0), (TOLD, 20.0), (TOLD, 20.0)])
    assert found == Calibration(
        count=4,
        coverage=0.25,
        below=0.25,
        above=0.5,
        error=pytest.approx(0.2),
        score=pytest.approx((0.7 + 17 / 7 + 57 / 20 + 57 / 20) / 4),
        bias=pytest.approx(0.25736, abs=1e-4),
    )
    with pytest.raises(ValueError, match="nothing was foretold"):
        calibration([])


def test_without_a_past_nothing_is_corrected() -> None:
    assert Correction().applied(TOLD) == Interval(*map(pytest.approx, (8.0, 10.0, 15.0)))  # type: ignore[arg-type]
    assert Correction.of([]) == Correction()


def test_one_bad_forecast_changes_little() -> None:
    corrected = Correction.of([(TOLD, 30.0)]).applied(TOLD)
    assert 15.0 < corrected.high < 30.0
    assert corrected.low == pytest.approx(8.0, rel=0.05)


@pytest.mark.parametrize(
    ("draw", "told"),
    [
        (lambda dice: dice.expovariate(0.1), Interval(6.0, 7.0, 8.0)),  # far too sure
        (lambda dice: dice.uniform(9.0, 11.0), Interval(1.0, 10.0, 100.0)),  # far too careful
        (lambda dice: 10 * exp(dice.gauss(1.0, 0.3)), Interval(8.0, 10.0, 13.0)),  # far too low
        (lambda dice: dice.choice((1.0, 10.0)) * dice.uniform(0.9, 1.1), Interval(5.0, 6.0, 8.0)),  # two modes
    ],
)
def test_corrected_forecasts_hold_whatever_the_truth_is(draw, told) -> None:  # type: ignore[no-untyped-def]
    dice = Random(1)
    past = [(told, draw(dice)) for _ in range(150)]
    corrected = Correction.of(past).applied(told)
    future = [(corrected, draw(dice)) for _ in range(2000)]
    assert coverage(future) == pytest.approx(0.8, abs=0.07)


def test_a_forecast_that_was_certain_can_be_corrected_too() -> None:
    certain = Interval(10.0, 10.0, 10.0)
    dice = Random(2)
    past = [(certain, dice.uniform(8.0, 12.0)) for _ in range(200)]
    corrected = Correction.of(past).applied(certain)
    assert coverage([(corrected, dice.uniform(8.0, 12.0)) for _ in range(1000)]) == pytest.approx(0.8, abs=0.07)


@given(st.lists(st.floats(1e-3, 1e6), max_size=30), st.floats(0.1, 10.0), st.floats(1.0, 3.0), st.floats(1.0, 3.0))
def test_a_corrected_forecast_stays_in_order(truths: list[float], middle: float, down: float, up: float) -> None:
    told = Interval(middle / down, middle, middle * up)
    corrected = Correction.of([(told, truth) for truth in truths]).applied(told)
    assert 0 < corrected.low <= corrected.middle <= corrected.high
