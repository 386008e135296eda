from __future__ import annotations

from random import Random

import pytest

from llmflow.scheduling.estimates import MANY, UNKNOWN, Estimate


def test_draws_have_the_mean_and_the_spread_that_the_estimate_claims() -> None:
    for cv in (0.1, 0.5, 1.0):
        drawn = Estimate.of(Estimate(4.0, 4.0 * cv, "author").draws(Random(7), 60_000))
        assert drawn.mean == pytest.approx(4.0, rel=0.02)
        assert drawn.cv == pytest.approx(cv, rel=0.05)


def test_a_draw_is_never_negative_however_wide_the_estimate() -> None:
    assert min(Estimate(1.0, 20.0).draws(Random(1), 5000)) > 0


def test_draws_are_what_single_samples_would_be() -> None:
    for estimate in (Estimate(3.0, 2.0), Estimate(3.0), UNKNOWN, Estimate.of([float(i) for i in range(MANY)])):
        dice = Random(5)
        assert estimate.draws(Random(5), 9) == [estimate.sample(dice) for _ in range(9)]


def test_certainty_draws_its_mean_and_an_unknown_task_is_one_unit() -> None:
    assert Estimate(2.5, 0.0, "author").draws(Random(0), 3) == [2.5, 2.5, 2.5]
    assert [UNKNOWN.mean, UNKNOWN.quantile(0.9), UNKNOWN.source, UNKNOWN.samples] == [1.0, 1.0, "default", 0]
    assert Estimate(0.0, 3.0).sample(Random(0)) == 0.0


def test_many_samples_speak_for_themselves_and_few_are_fitted() -> None:
    seen = [1.0] * (MANY - 1) + [100.0]
    many = Estimate.of(seen)
    assert set(many.draws(Random(2), 500)) == {1.0, 100.0}
    assert (many.samples, many.source, many.quantile(0.5)) == (MANY, "task", 1.0)
    few = Estimate.of([1.0, 3.0], "model")
    assert (few.mean, few.sd, few.samples, few.source, few.values) == (2.0, pytest.approx(2**0.5), 2, "model", ())
    assert Estimate.of([4.0]) == Estimate(4.0, 0.0, "task", 1)


def test_quantiles_rise_and_agree_with_the_draws() -> None:
    for estimate in (Estimate(4.0, 3.0), Estimate.of([float(i * i) for i in range(200)])):
        drawn = sorted(estimate.draws(Random(11), 20_000))
        for p in (0.1, 0.5, 0.9):
            assert estimate.quantile(p) == pytest.approx(drawn[int(p * len(drawn))], rel=0.12)
        assert estimate.quantile(0.1) < estimate.quantile(0.5) < estimate.quantile(0.9)


@pytest.mark.parametrize("wrong", [(-1.0, 0.0), (1.0, -1.0), (float("nan"), 0.0), (1.0, float("inf"))])
def test_what_is_no_duration_is_refused(wrong: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="no duration"):
        Estimate(*wrong)


def test_an_estimate_of_nothing_and_a_quantile_outside_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        Estimate.of([])
    with pytest.raises(ValueError, match="between 0 and 1"):
        UNKNOWN.quantile(1.0)
