"""Statistics of durations, by hand-worked numbers."""

from __future__ import annotations

import math
import statistics as reference

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflow.scheduling.statistics import (
    Summary,
    mean,
    quantile,
    standard_deviation,
    summary,
)


def test_a_summary_of_five_numbers() -> None:
    found = summary([5.0, 1.0, 2.0, 4.0, 3.0])
    logs = [math.log(v) for v in (1, 2, 3, 4, 5)]
    assert found == Summary(
        n=5,
        mean=3.0,
        sd=math.sqrt(2.5),
        p50=3.0,
        p90=4.6,
        minimum=1.0,
        maximum=5.0,
        log_mean=pytest.approx(reference.mean(logs)),
        log_sd=pytest.approx(reference.stdev(logs)),
    )


def test_one_number_has_no_spread_and_no_number_is_all_zero() -> None:
    assert summary([2.0]) == Summary(1, 2.0, 0.0, 2.0, 2.0, 2.0, 2.0, math.log(2.0), 0.0)
    assert summary([]) == Summary(0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def test_a_duration_of_zero_has_no_logarithm_and_is_counted_all_the_same() -> None:
    found = summary([0.0, 1.0])
    assert (found.n, found.mean, found.log_mean, found.log_sd) == (2, 0.5, 0.0, 0.0)


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=50))
def test_mean_spread_and_quantiles_agree_with_the_standard_library(values: list[float]) -> None:
    ordered = sorted(values)
    assert mean(values) == pytest.approx(reference.fmean(values))
    assert standard_deviation(values) == pytest.approx(reference.stdev(values), rel=1e-6, abs=1e-6)
    tenths = [quantile(ordered, k / 10) for k in range(1, 10)]
    assert tenths == pytest.approx(reference.quantiles(values, n=10, method="inclusive"))
    assert (quantile(ordered, 0.0), quantile(ordered, 1.0)) == (ordered[0], ordered[-1])
