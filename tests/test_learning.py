"""What the learner believes after samples whose truth is known, and how soon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import exp, log, sqrt
from random import Random
from statistics import fmean, median

import pytest

from llmflow.scheduling.change import ChangeDetector
from llmflow.scheduling.estimates import Estimate
from llmflow.scheduling.learning import Learner, Subject
from llmflow.scheduling.lengths import Lengths
from llmflow.scheduling.regression import TokenRegression, Work
from llmflow.scheduling.shrinkage import NORMAL_SHAPE, UNKNOWN_VARIANCE, Belief, Looks, Seen, population, seen, shape


@dataclass(frozen=True)
class Sample:
    """An attempt as the learner sees it."""

    task: str
    duration: float
    started_at: float = 0.0
    item: str | None = None
    model: str = ""
    template: str = "v1"
    concurrency: int = 1
    prompt_chars: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    run: int | None = None


def noisy(dice: Random, mean: float, cv: float) -> float:
    """Log-normal with this mean and CV."""
    variance = log(1 + cv**2)
    return mean * exp(dice.gauss(-variance / 2, sqrt(variance)))


def of(task: str, **more: object) -> Subject:
    return Subject(task, template="v1", **more)  # type: ignore[arg-type]


def hosted(dice: Random, task: str, tokens_in: int, tokens_out: int, slowness: float = 1.0, **more: object) -> Sample:
    """A call to a model that takes 0.5 s, 1 ms per input and 20 ms per output token, give or take 10 %."""
    seconds = slowness * (0.5 + 0.001 * tokens_in + 0.02 * tokens_out)
    fields = {"model": "m/big", "input_tokens": tokens_in, "output_tokens": tokens_out, **more}
    return Sample(task, noisy(dice, seconds, 0.1), **fields)  # type: ignore[arg-type]


# ---- from nothing to the task's own history --------------------------------------------------------


def test_without_any_sample_a_task_counts_for_one_unit() -> None:
    assert Learner().estimate(of("a")) == Estimate(1.0, 0.0, "default", 0)


def test_without_any_sample_the_author_is_taken_at_his_word() -> None:
    written = Estimate(20.0, 3.0, "author")
    assert Learner().estimate(of("a", author=written)) == written


def test_other_tasks_without_a_model_do_not_talk_the_author_over() -> None:
    learner = Learner(Sample(f"t{i}", 1.0) for i in range(20))
    written = Estimate(20.0, 0.0, "author")
    assert learner.estimate(of("a", author=written)) == written


def test_an_unknown_task_counts_for_what_the_known_ones_take() -> None:
    learner = Learner(Sample(f"t{i}", 30.0) for i in range(20))
    estimate = learner.estimate(of("new"))
    assert (estimate.source, estimate.samples) == ("default", 0)
    assert 25 < estimate.mean < 45


def test_one_sample_moves_the_belief_most_of_the_way() -> None:
    learner = Learner([Sample("slow", 100.0), *(Sample(f"t{i}", 1.0 + i) for i in range(9))])
    estimate = learner.estimate(of("slow"))
    assert (estimate.source, estimate.samples) == ("task", 1)
    assert 40 < estimate.mean < 130


def test_one_sample_is_enough_to_leave_a_wrong_author_behind() -> None:
    estimate = Learner([Sample("a", 100.0)]).estimate(of("a", author=Estimate(1.0, 0.0, "author")))
    assert estimate.mean > 40


@pytest.mark.parametrize("cv", [0.1, 0.5, 1.0])
def test_many_samples_give_the_true_mean_and_spread(cv: float) -> None:
    dice = Random(5)
    estimate = Learner(Sample("a", noisy(dice, 40.0, cv)) for _ in range(200)).estimate(of("a"))
    assert estimate.mean == pytest.approx(40.0, rel=0.12)
    assert estimate.cv == pytest.approx(cv, rel=0.25)
    assert (estimate.source, estimate.samples) == ("task", 200)


def test_beliefs_are_nearer_to_the_truth_than_plain_means_while_samples_are_few() -> None:
    dice = Random(7)
    truth = {f"t{i}": exp(dice.gauss(1.0, 0.4)) for i in range(200)}
    for runs in (1, 2, 3, 5):
        samples = [Sample(task, noisy(dice, mean, 0.5)) for _ in range(runs) for task, mean in truth.items()]
        learner = Learner(samples)
        ours = fmean(log(learner.estimate(of(task)).mean / mean) ** 2 for task, mean in truth.items())
        plain = fmean(
            log(fmean(s.duration for s in samples if s.task == task) / mean) ** 2 for task, mean in truth.items()
        )
        assert ours < plain


def test_few_samples_borrow_their_spread_from_the_others() -> None:
    """Two equal durations do not make a task predictable among tasks that scatter."""
    dice = Random(3)
    others = [Sample(f"t{i}", noisy(dice, 10.0, 0.6)) for i in range(30) for _ in range(10)]
    learner = Learner([*others, Sample("a", 10.0), Sample("a", 10.0)])
    assert learner.estimate(of("a")).cv == pytest.approx(0.6, rel=0.3)


def test_stragglers_widen_the_forecast_but_do_not_move_its_middle() -> None:
    dice = Random(4)
    learner = Learner(Sample("a", 60.0 if n % 20 == 7 else noisy(dice, 10.0, 0.2)) for n in range(200))
    estimate = learner.estimate(of("a"))
    assert estimate.quantile(0.5) == pytest.approx(9.8, rel=0.06)
    assert estimate.mean == pytest.approx(12.5, rel=0.12)
    assert estimate.quantile(0.98) > 30


def test_only_the_task_that_has_stragglers_is_forecast_to_have_them() -> None:
    dice = Random(22)
    steady = [Sample("steady", noisy(dice, 10.0, 0.2)) for _ in range(200)]
    risky = [Sample("risky", 60.0 if n % 20 == 7 else noisy(dice, 10.0, 0.2)) for n in range(200)]
    learner = Learner([*steady, *risky])
    assert learner.estimate(of("risky")).quantile(0.98) > 30
    assert learner.estimate(of("steady")).quantile(0.98) < 20


def test_only_the_last_200_samples_count() -> None:
    old = [Sample("a", 10.0 + 0.01 * (i % 2)) for i in range(1000)]
    learner = Learner()
    for sample in old:
        learner.update(sample)
        assert learner.estimate(of("a")).samples <= 200
    assert learner.estimate(of("a")) == Learner(old[-200:]).estimate(of("a"))


# ---- relatives -------------------------------------------------------------------------------------


def test_a_changed_prompt_starts_where_the_old_one_was() -> None:
    others = [Sample(f"t{i}", 1.0) for i in range(10)]
    learner = Learner([*others, *(Sample("a", 50.0, template="old") for _ in range(20))])
    estimate = learner.estimate(of("a"))
    assert (estimate.source, estimate.samples) == ("other prompt", 20)
    assert 35 < estimate.mean < 60


def test_a_changed_prompt_soon_speaks_for_itself() -> None:
    learner = Learner([Sample("a", 50.0, template="old") for _ in range(20)] + [Sample("a", 10.0)] * 5)
    assert learner.estimate(of("a")).mean == pytest.approx(10.0, rel=0.2)


def test_a_task_given_to_another_model_keeps_its_place_among_the_tasks_of_that_model() -> None:
    """`long` takes five times as long as the others on the old model; the new one is ten times as fast."""
    dice = Random(6)
    means = {"long": 50.0, **{f"t{i}": 10.0 for i in range(8)}}
    old = [Sample(t, noisy(dice, m, 0.1), model="m/old") for t, m in means.items() for _ in range(10)]
    new = [Sample(t, noisy(dice, m / 10, 0.1), model="m/new") for t, m in means.items() if t != "long"]
    estimate = Learner([*old, *new]).estimate(of("long", model="m/new"))
    assert 3.0 < estimate.mean < 8.0


def test_the_first_sample_on_another_model_is_heard_once_not_twice() -> None:
    """`long` takes 40 s on both models and is the only task that was given to the new one."""
    means = {"short": 4.0, "mid": 10.0, "long": 40.0}
    for tokens in (None, 7):

        def sample(task: str, model: str, tokens: int | None = tokens) -> Sample:
            return Sample(task, means[task], model=model, input_tokens=tokens, output_tokens=tokens)

        learner = Learner(sample(task, "m/old") for _ in range(3) for task in means)
        for _ in range(4):
            assert learner.estimate(of("long", model="m/new")).mean == pytest.approx(40.0, rel=0.2)
            learner.update(sample("long", "m/new"))


def moved_to_another_model(dice: Random, factor: float, others: int, on_both: int, tokens: bool) -> list[float]:
    """The error of the estimate (as a logarithm) after 0, 1, 2 and 3 samples on a model so many times as slow."""
    means = [exp(dice.gauss(2.0, 1.0)) for _ in range(others + 1)]

    def sample(task: int, model: str, factor: float) -> Sample:
        told = (100, round(20 * means[task])) if tokens else (None, None)
        seconds = noisy(dice, factor * means[task], 0.05)
        return Sample(f"t{task}", seconds, model=model, input_tokens=told[0], output_tokens=told[1])

    learner = Learner(sample(task, "m/old", 1.0) for _ in range(3) for task in range(others + 1))
    for task in range(1, on_both + 1):
        learner.update(sample(task, "m/new", factor))
    errors = []
    for _ in range(4):
        errors.append(log(learner.estimate(of("t0", model="m/new")).mean / (factor * means[0])))
        learner.update(sample(0, "m/new", factor))
    return errors


@pytest.mark.parametrize("tokens", [False, True], ids=["no tokens", "tokens"])
@pytest.mark.parametrize(("others", "on_both"), [(0, 0), (1, 0), (10, 0), (2, 1), (10, 1), (10, 5)])
def test_samples_on_another_model_make_the_estimate_better_from_the_first_on(
    others: int, on_both: int, tokens: bool
) -> None:
    every = []
    for factor in (1.0, 2.0, 0.5):
        tried = [moved_to_another_model(Random(seed), factor, others, on_both, tokens) for seed in range(20)]
        errors = [sqrt(fmean(e * e for e in some)) for some in zip(*tried, strict=True)]
        assert all(after < before + 0.1 for before, after in pairwise(errors))
        assert errors[0] < (0.4 if factor == 1.0 else 0.9)
        assert errors[3] < 0.13
        every.append(errors)
    on_average = [fmean(errors) for errors in zip(*every, strict=True)]
    assert on_average == sorted(on_average, reverse=True)


def test_what_other_tasks_took_on_both_models_tells_how_much_faster_the_new_one_is() -> None:
    """Tasks that only the new model has seen are short; those on both take half as long there."""
    both = [Sample(f"t{n}", 10.0 / k, model=m) for n in range(5) for m, k in (("m/old", 1), ("m/new", 2))]
    only = [Sample(f"s{n}", 0.1, model="m/new") for n in range(5)]
    estimate = Learner([*both, *only, *(Sample("a", 40.0, model="m/old") for _ in range(5))]).estimate
    assert estimate(of("a", model="m/new")).mean == pytest.approx(20.0, rel=0.25)


def test_a_look_that_is_left_out_says_nothing() -> None:
    looks = Looks()
    looks.add("a", 1.0, 0.5)
    looks.add("b", 3.0, 0.5)
    assert looks.without([]) == Belief(2.0, 0.25)
    assert looks.without(["a", "unknown"]) == Belief(3.0, 0.5)
    assert looks.without(["a", "b"]) is None


def test_a_new_task_on_a_known_model_is_judged_by_the_models_other_tasks() -> None:
    dice = Random(2)
    others = [hosted(dice, f"t{i}", 100 * i + 50, 150) for i in range(8) for _ in range(5)]
    estimate = Learner((), others).estimate(of("new", model="m/big", input_tokens=3000))
    assert (estimate.source, estimate.samples) == ("model", 40)
    assert estimate.mean == pytest.approx(0.5 + 3.0 + 3.0, rel=0.25)


def test_a_task_of_the_same_name_in_another_pipeline_is_no_relative() -> None:
    learner = Learner((), [Sample("a", 100.0) for _ in range(10)])
    assert learner.estimate(of("a")).source != "task"


# ---- tokens and load -------------------------------------------------------------------------------


def test_durations_carry_over_to_prompts_of_another_size() -> None:
    dice = Random(1)
    learner = Learner(hosted(dice, "a", dice.randint(100, 1000), dice.randint(95, 105)) for _ in range(60))
    for tokens in (50, 500, 5000):
        estimate = learner.estimate(of("a", model="m/big", input_tokens=tokens))
        assert estimate.mean == pytest.approx(0.5 + 0.001 * tokens + 2.0, rel=0.15)


def test_the_size_of_a_prompt_may_be_given_in_characters() -> None:
    dice = Random(1)
    sizes = [dice.randint(100, 2000) for _ in range(60)]
    learner = Learner(hosted(dice, "a", n, 20, prompt_chars=5 * n) for n in sizes)
    by_tokens = learner.estimate(of("a", model="m/big", input_tokens=1500))
    by_chars = learner.estimate(of("a", model="m/big", prompt_chars=7500))
    assert by_chars.mean == pytest.approx(by_tokens.mean, rel=1e-9)


def test_a_machine_that_shares_itself_is_slower_under_load_and_a_hosted_model_is_not() -> None:
    dice = Random(8)
    shared = [hosted(dice, "a", 100, 50, slowness=load, concurrency=load) for load in (1, 2, 4) * 20]
    alone = [hosted(dice, "b", 100, 50, model="m/far", concurrency=load) for load in (1, 2, 4) * 20]
    learner = Learner([*shared, *alone])
    here = [learner.estimate(of("a", model="m/big", concurrency=n)).mean for n in (1, 4)]
    there = [learner.estimate(of("b", model="m/far", concurrency=n)).mean for n in (1, 4)]
    assert here[1] / here[0] == pytest.approx(4.0, rel=0.15)
    assert there[1] / there[0] == pytest.approx(1.0, rel=0.15)


def test_samples_without_tokens_count_beside_those_with_them() -> None:
    dice = Random(9)
    told = [hosted(dice, "a", 200, 100) for _ in range(20)]
    silent = [Sample("b", noisy(dice, 9.0, 0.1), model="m/big") for _ in range(20)]
    learner = Learner([*told, *silent])
    assert learner.estimate(of("b", model="m/big")).mean == pytest.approx(9.0, rel=0.1)
    assert learner.estimate(of("a", model="m/big")).mean == pytest.approx(2.7, rel=0.1)


def test_answers_have_the_lengths_they_had() -> None:
    dice = Random(10)
    learner = Learner(hosted(dice, "a", 300, dice.choice((10, 200))) for _ in range(120))
    found = learner.tokens(of("a", model="m/big"))
    assert found is not None
    tokens_in, lengths = found
    assert tokens_in == pytest.approx(300)
    assert lengths[1] == pytest.approx(10, rel=0.3)
    assert lengths[-2] == pytest.approx(200, rel=0.3)
    assert learner.tokens(of("a", model="m/unknown")) == learner.tokens(of("a", model="m/big"))
    assert Learner().tokens(of("a")) is None


def test_the_length_of_an_answer_follows_its_prompt_where_it_did_so_before() -> None:
    dice = Random(11)
    sizes = [dice.randint(50, 2000) for _ in range(100)]
    translation = Lengths([Work(n, round(1.1 * n), 0, 1.0) for n in sizes])
    label = Lengths([Work(n, 3, 0, 1.0) for n in sizes])
    assert fmean(translation.expected(1000, 9)) == pytest.approx(1100, rel=0.1)
    assert fmean(translation.expected(100, 9)) == pytest.approx(110, rel=0.2)
    assert fmean(label.expected(1000, 9)) == pytest.approx(3, rel=0.15)


def test_a_regression_finds_what_tokens_cost_and_is_not_thrown_by_stragglers() -> None:
    dice = Random(12)
    works = []
    for _ in range(200):
        tokens_in, tokens_out, load = dice.randint(10, 4000), dice.randint(1, 500), dice.randint(0, 7)
        seconds = 0.4 + 0.0005 * tokens_in + 0.02 * tokens_out
        works.append(Work(tokens_in, tokens_out, load, noisy(dice, seconds, 0.2)))
    stragglers = [Work(w.input_tokens, w.output_tokens, w.load, 20 * w.duration) for w in works[::20]]
    fitted, pulled = TokenRegression(works), TokenRegression([*works, *stragglers])
    for tokens_in, tokens_out in ((10, 100), (4000, 10), (10, 500), (4000, 500)):
        truth = 0.4 + 0.0005 * tokens_in + 0.02 * tokens_out
        assert fitted.seconds(tokens_in, tokens_out, 0) == pytest.approx(truth, rel=0.1)
        assert pulled.seconds(tokens_in, tokens_out, 0) == pytest.approx(truth, rel=0.2)
    assert fitted.seconds(500, 100, 7) >= fitted.seconds(500, 100, 0)
    with pytest.raises(ValueError, match="at least one attempt"):
        TokenRegression([])


# ---- items -----------------------------------------------------------------------------------------


def test_an_item_that_came_before_is_expected_to_take_what_it_took() -> None:
    dice = Random(13)
    means = {f"i{n}": exp(dice.gauss(2.0, 1.0)) for n in range(50)}
    learner = Learner(Sample("map", noisy(dice, m, 0.1), item=k) for _ in range(3) for k, m in means.items())
    for key, mean in means.items():
        assert learner.estimate(of("map", item=key)).mean == pytest.approx(mean, rel=0.35)
    anyone = learner.estimate(of("map", item="new"))
    assert anyone == learner.estimate(of("map"))
    assert anyone.mean == pytest.approx(fmean(means.values()), rel=0.25)
    assert anyone.cv > 0.8 > 0.4 > learner.estimate(of("map", item="i0")).cv


def test_the_past_of_many_items_is_kept_beyond_the_last_200_attempts() -> None:
    dice = Random(23)
    means = {f"i{n}": exp(dice.gauss(2.0, 1.0)) for n in range(300)}
    learner = Learner(Sample("map", noisy(dice, m, 0.5), item=k) for _ in range(30) for k, m in means.items())
    off = [log(learner.estimate(of("map", item=k)).mean / m) for k, m in means.items()]
    assert sqrt(fmean(x * x for x in off)) < 0.13


def test_items_of_rising_size_are_no_change() -> None:
    dice = Random(14)
    learner = Learner(Sample("map", noisy(dice, 1.0 + n, 0.1), item=str(n)) for _ in range(3) for n in range(60))
    assert learner.changes("map") == 0


# ---- change ----------------------------------------------------------------------------------------


def test_a_task_that_drifted_forgets_what_was_before() -> None:
    dice = Random(15)
    before = [Sample("a", noisy(dice, 10.0, 0.2)) for _ in range(100)]
    learner = Learner([*before, *(Sample("a", noisy(dice, 30.0, 0.2)) for _ in range(10))])
    assert learner.estimate(of("a")).mean == pytest.approx(30.0, rel=0.15)
    assert learner.changes("a") == 1
    assert learner.estimate(of("a")).samples <= 12


def samples_until_restart(seed: int, history: int, factor: float, cv: float) -> int:
    """How many samples of `factor` times the duration it takes after so many of the old one; 40 if more do not."""
    dice = Random(seed)
    learner = Learner(Sample("a", noisy(dice, 10.0, cv)) for _ in range(history))
    before = learner.changes("a")
    for count in range(1, 41):
        learner.update(Sample("a", noisy(dice, 10.0 * factor, cv)))
        if learner.changes("a") > before:
            return count
    return 40


@pytest.mark.parametrize(
    ("cv", "history", "within"),
    [(0.05, 3, 5), (0.05, 5, 4), (0.05, 50, 4), (0.1, 6, 4), (0.3, 6, 5), (0.3, 10, 4), (0.5, 10, 7), (0.5, 50, 6)],
)
@pytest.mark.parametrize("factor", [3.0, 1 / 3])
def test_a_tripled_or_thirded_duration_restarts_a_short_history_soon(
    cv: float, history: int, within: int, factor: float
) -> None:
    assert median(samples_until_restart(seed, history, factor, cv) for seed in range(40)) <= within


@pytest.mark.parametrize("factor", [1.5, 1 / 1.5])
def test_half_as_long_again_restarts_a_task_that_hardly_scatters(factor: float) -> None:
    assert median(samples_until_restart(seed, 20, factor, 0.05) for seed in range(20)) <= 6


def test_a_task_that_tripled_after_six_runs_is_believed_to_take_what_it_takes_now() -> None:
    learner = Learner(Sample("a", 10.0) for _ in range(6))
    beliefs = []
    for _ in range(4):
        learner.update(Sample("a", 30.0))
        beliefs.append(learner.estimate(of("a")))
    assert beliefs[-1].mean == pytest.approx(30.0, rel=0.1)
    assert beliefs[-1].samples == 4
    assert beliefs[0].mean < 20


def test_a_task_that_moved_may_move_back() -> None:
    dice = Random(25)
    means = [10.0] * 20 + [30.0] * 8 + [10.0] * 8
    learner = Learner(Sample("a", noisy(dice, mean, 0.1)) for mean in means)
    assert learner.changes("a") == 2
    assert learner.estimate(of("a")).mean == pytest.approx(10.0, rel=0.1)


@pytest.mark.parametrize(
    ("draw", "most"),
    [
        (lambda dice: noisy(dice, 10.0, 0.1), 0),
        (lambda dice: noisy(dice, 10.0, 0.5), 3),
        (lambda dice: noisy(dice, 10.0, 1.0), 5),
        (lambda dice: dice.expovariate(0.1), 15),
        (lambda dice: dice.paretovariate(1.5), 15),
        (lambda dice: noisy(dice, 60.0 if dice.random() < 0.05 else 10.0, 0.2), 2),
        (lambda dice: noisy(dice, 30.0 if dice.random() < 0.5 else 10.0, 0.1), 15),
    ],
    ids=["CV 0.1", "CV 0.5", "CV 1", "exponential", "Pareto 1.5", "stragglers", "two modes"],
)
def test_durations_of_any_shape_that_do_not_move_seldom_restart(draw: Callable[[Random], float], most: int) -> None:
    """Of 20,000 samples."""
    dice = Random(26)
    learner = Learner()
    for n in range(20_000):
        learner.update(Sample(f"t{n // 200}", draw(dice)))
    assert sum(learner.changes(f"t{n}") for n in range(100)) <= most


def test_items_that_all_got_slower_are_a_change() -> None:
    dice = Random(16)

    def once(factor: float) -> Iterator[Sample]:
        return (Sample("map", noisy(dice, factor * (1 + n), 0.1), item=str(n)) for n in range(20))

    learner = Learner([*once(1.0), *once(1.0), *once(1.0), *once(3.0)])
    assert learner.changes("map") == 1
    assert learner.estimate(of("map", item="9")).mean == pytest.approx(30.0, rel=0.2)


def test_items_and_attempts_without_one_may_be_mixed() -> None:
    dice = Random(24)
    keys = [dice.choice((None, "a", "b")) for _ in range(300)]
    level = {None: 5.0, "a": 50.0, "b": 0.5}
    learner = Learner(Sample("map", level[k] * (4 if n > 200 else 1), item=k) for n, k in enumerate(keys))
    assert learner.changes("map") == 1
    assert learner.estimate(of("map", item="a")).mean == pytest.approx(200.0, rel=0.2)


def test_steady_numbers_hardly_ever_raise_an_alarm() -> None:
    dice = Random(17)
    alarms = 0
    for _ in range(20):
        detector = ChangeDetector(UNKNOWN_VARIANCE)
        alarms += sum(detector.update(dice.gauss(0.0, 0.5)) > 0 for _ in range(500))
    assert alarms <= 1


def test_one_outlier_is_never_a_change_and_a_new_level_is_noticed_within_ten() -> None:
    dice = Random(18)
    detector = ChangeDetector(UNKNOWN_VARIANCE)
    assert not any(detector.update(dice.gauss(0.0, 0.3)) for _ in range(50))
    assert detector.update(100.0) == 0
    found = [detector.update(dice.gauss(0.9, 0.3)) for _ in range(10)]
    assert max(found) > 0
    assert 3 <= max(found) <= 11


# ---- inside a run ----------------------------------------------------------------------------------


def test_siblings_teach_their_brothers_and_say_when_it_is_worth_asking() -> None:
    dice = Random(19)
    learner = Learner()
    due = [n for n in range(1, 1001) if learner.update(Sample("map", noisy(dice, 7.0, 0.3), item=str(n)))]
    assert due[:10] == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12]
    assert len(due) < 80
    assert learner.estimate(of("map")).mean == pytest.approx(7.0, rel=0.1)


def test_learning_one_by_one_ends_where_learning_at_once_does() -> None:
    dice = Random(20)
    samples = [Sample(f"t{n % 7}", noisy(dice, 1.0 + n % 7, 0.4)) for n in range(140)]
    stepwise = Learner()
    for sample in samples:
        stepwise.update(sample)
        stepwise.estimate(of(sample.task))
    at_once = Learner(samples)
    for task in range(7):
        assert stepwise.estimate(of(f"t{task}")).mean == pytest.approx(at_once.estimate(of(f"t{task}")).mean, rel=0.05)


# ---- the parts -------------------------------------------------------------------------------------


def test_levels_that_differ_by_chance_alone_are_one() -> None:
    dice = Random(21)
    members = [seen([dice.gauss(1.0, 0.5) for _ in range(4)], 0.25) for _ in range(100)]
    common = population(members)
    assert common.between < 0.05
    assert common.centre == pytest.approx(1.0, abs=0.1)
    assert common.variance == pytest.approx(0.25, rel=0.15)


def test_levels_that_differ_much_are_left_alone() -> None:
    common = population([Seen(4, float(level), 3 * 0.25, exp(level)) for level in range(-5, 6)])
    assert common.between == pytest.approx(11.0, rel=0.1)


def test_a_level_is_robust_and_a_few_equal_numbers_are_themselves() -> None:
    assert seen([2.0, 2.0], 0.2) == Seen(2, 2.0, 0.0, exp(2.0))
    assert seen([1.0] * 9 + [50.0], 0.01).level < 1.1


def test_a_shape_is_the_general_one_until_its_own_residuals_outweigh_it() -> None:
    assert shape(NORMAL_SHAPE, []) == NORMAL_SHAPE
    own = shape(NORMAL_SHAPE, [-1.0] * 2000 + [1.0] * 2000)
    assert own.count(-1.0) >= 18
    assert own.count(1.0) >= 18
