"""What second calls have shown: durations with those that were cut off, and how alike two calls are."""

from __future__ import annotations

from math import exp, log, sqrt
from random import Random

import pytest

from llmflow.scheduling.doubles import (
    OTHERS_COUNT_AS,
    TOO_ALIKE,
    Double,
    Durations,
    Evidence,
    Took,
    correlation,
    evidence,
    together,
)


def calls(count: int, dice: Random, cv: float = 1.0) -> list[float]:
    sigma = sqrt(log(1 + cv**2))
    return [exp(sigma * dice.gauss(0.0, 1.0)) for _ in range(count)]


def doubles(count: int, alike: float, after: float, dice: Random, cv: float = 1.0) -> list[Double]:
    """What a run sees of calls of which a share `alike` of the variance is common to both."""
    sigma = sqrt(log(1 + cv**2))
    found: list[Double] = []
    while len(found) < count:
        common = sqrt(alike) * dice.gauss(0.0, 1.0)
        first, second = (exp(sigma * (common + sqrt(1 - alike) * dice.gauss(0.0, 1.0))) for _ in range(2))
        if first <= after:
            continue
        if first <= after + second:
            found.append(Double(after, Took(first), Took(first - after, cut_off=True)))
        else:
            found.append(Double(after, Took(after + second, cut_off=True), Took(second)))
    return found


def test_without_calls_that_were_cut_off_the_shares_are_those_of_the_calls() -> None:
    known = Durations.of([Took(3.0), Took(1.0), Took(2.0), Took(2.0)])
    assert (known.seconds, known.shares) == ([1.0, 2.0, 3.0], pytest.approx([0.25, 0.75, 1.0]))
    assert (known.quantile(0.1), known.quantile(0.5), known.quantile(1.0)) == (1.0, pytest.approx(1.5), 3.0)


def test_a_call_that_was_cut_off_counts_as_slower_than_it_got() -> None:
    known = Durations.of([Took(1.0), Took(2.0, cut_off=True), Took(3.0), Took(5.0, cut_off=True)])
    assert (known.seconds, known.shares) == ([1.0, 3.0], pytest.approx([0.25, 0.625]))
    assert known.quantile(0.9) is None
    assert Durations.of([Took(5.0, cut_off=True)]) == Durations([], [])


def test_hedging_does_not_make_a_task_look_faster_than_it_is() -> None:
    """Without the calls that were cut off the ninth decile would sink with every round of hedging."""
    dice = Random(1)
    after = truth = sorted(calls(20_000, dice))[18_000]
    for _ in range(5):
        seen: list[Took] = []
        for first, second in zip(calls(4_000, dice), calls(4_000, dice), strict=True):
            if first <= after:
                seen.append(Took(first))
            else:
                won = after + second < first
                seen += [Took(min(first, after + second), won), Took(min(second, first - after), not won)]
        found = Durations.of(seen).quantile(0.9)
        assert found is not None
        after = found
    naive = sorted(took.seconds for took in seen if not took.cut_off)
    assert after == pytest.approx(truth, rel=0.1)
    assert naive[int(0.9 * len(naive))] < 0.9 * truth


@pytest.mark.parametrize(("alike", "low", "high"), [(0.0, 0.0, 0.35), (0.5, 0.2, 0.75), (0.95, 0.9, 1.0)])
def test_how_alike_two_calls_are_is_learned_although_one_of_them_was_cut_off(
    alike: float, low: float, high: float
) -> None:
    dice = Random(7)
    durations = Durations.of([Took(seconds) for seconds in calls(200, dice)])
    after = durations.quantile(0.9)
    assert after is not None
    found = correlation(evidence(doubles(60, alike, after, dice), durations), Evidence())
    assert low <= found <= high
    assert (found > TOO_ALIKE) == (alike == 0.95)


def test_nothing_is_known_of_tasks_that_were_never_doubled() -> None:
    assert correlation(Evidence(), Evidence()) == pytest.approx(0.5)
    assert evidence((), Durations.of([Took(1.0)])) == Evidence()
    assert evidence([Double(1.0, Took(2.0), Took(1.0, True))], Durations((), ())) == Evidence()


def test_other_tasks_of_the_model_are_believed_until_a_task_has_its_own_doubles() -> None:
    dice = Random(3)
    durations = Durations.of([Took(seconds) for seconds in calls(200, dice)])
    after = durations.quantile(0.9)
    assert after is not None
    others = together(evidence(doubles(100, 0.95, after, dice), durations) for _ in range(4))
    assert others.doubles == 400
    assert correlation(Evidence(), others) > TOO_ALIKE
    own = evidence(doubles(3 * OTHERS_COUNT_AS, 0.0, after, dice), durations)
    assert correlation(own, others) < 0.5
    rest = together([own, others]).without(own)
    assert (rest.doubles, rest.weights) == (400, pytest.approx(others.weights))


def test_two_answers_say_more_than_one() -> None:
    durations = Durations.of([Took(float(n)) for n in range(1, 100)])
    alike = evidence([Double(50.0, Took(90.0), Took(90.0))] * 4, durations)
    apart = evidence([Double(50.0, Took(90.0), Took(10.0))] * 4, durations)
    assert correlation(apart, Evidence()) < 0.3 < 0.6 < correlation(alike, Evidence())


def test_a_score_rises_with_the_seconds_and_stays_finite() -> None:
    durations = Durations.of([Took(1.0), Took(2.0), Took(4.0)])
    scores = [durations.score(seconds) for seconds in (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 100.0)]
    assert scores == sorted(scores)
    assert max(map(abs, scores)) < 2.0
