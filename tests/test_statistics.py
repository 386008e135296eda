"""Statistics of durations, by hand-worked numbers."""

from __future__ import annotations

import math
import statistics as reference
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmflow.scheduling.statistics import (
    Summary,
    TaskStatistics,
    mean,
    quantile,
    standard_deviation,
    summarise,
    summary,
)


@dataclass(frozen=True)
class Attempt:
    task: str
    model: str
    duration: float
    outcome: str = "succeeded"
    input_tokens: int | None = None
    output_tokens: int | None = None


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


def test_statistics_come_per_task_and_model_with_failures_apart() -> None:
    attempts = [
        Attempt("a", "x/one", 1.0, input_tokens=10, output_tokens=2),
        Attempt("b", "", 7.0),
        Attempt("a", "x/one", 3.0, input_tokens=20, output_tokens=4),
        Attempt("a", "x/one", 99.0, outcome="timeout"),
        Attempt("a", "x/two", 5.0, input_tokens=30),
        Attempt("c", "x/one", 60.0, outcome="server"),
    ]
    assert summarise(attempts) == [
        TaskStatistics("a", "x/one", summary([1.0, 3.0]), 1, 15.0, 3.0),
        TaskStatistics("b", "", summary([7.0]), 0, None, None),
        TaskStatistics("a", "x/two", summary([5.0]), 0, 30.0, None),
        TaskStatistics("c", "x/one", summary([]), 1, None, None),
    ]
