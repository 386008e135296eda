"""What history teaches about the next attempt: a belief per task, drawn to its relatives while it has few samples.

A belief goes from the general to the special, each step an empirical-Bayes update in logarithms:

    1 unit → the author's word → all tasks on the model → the task with another prompt or model
           → the task as it is → the very item

so a changed prompt or model is a new key that starts where its relatives are. For calls that tell
their tokens all of this is about residuals of the model's token regression (`regression`), whose
output length comes from the task's own quantiles: so it carries over to prompts of another size and
to another load. A key that drifts restarts (`change`). Only successful, uncached attempts teach.

`Learner` is fed once with what is remembered and then, inside a run, attempt by attempt.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from math import exp, log, sqrt
from statistics import fmean
from typing import Protocol

from llmflow.scheduling.estimates import Estimate, Source
from llmflow.scheduling.lengths import Lengths
from llmflow.scheduling.regression import TokenRegression
from llmflow.scheduling.series import LATEST, Attempt, Series
from llmflow.scheduling.shrinkage import (
    NORMAL_SHAPE,
    Belief,
    Looks,
    Population,
    Seen,
    corrected,
    population,
    shape,
    tides,
)
from llmflow.scheduling.worlds import Doubt

UNIT = 1.0
"""Seconds that a task counts for as long as nothing is known of any: the shape of the graph decides."""

AUTHOR_VARIANCE = 0.5
"""How far the author's word may be off: a factor of two, as a variance of the logarithm."""

TEMPLATE_VARIANCE = 0.1
"""How far a task moves when its prompt is changed: a third either way."""

MODEL_VARIANCE = 0.15
"""How far a task moves against its model's other tasks when it is given to another model: half as long again."""

SPEED_VARIANCE = 0.2
"""How far two models are believed to differ in speed before any task says so: half as long again."""

RESIDUAL_BETWEEN = 0.3
"""How far tasks of one model are believed to lie apart once tokens and load are accounted for."""

ITEM_SHARE = 0.5
"""Share of the spread within a `foreach` that is the items' own, before any item came twice."""

ITEM_WEIGHT = 4.0
"""As many repeated items as the belief in ITEM_SHARE is worth."""

COUNTED = 0.5
"""No more doubt than this about a level (variance of the logarithm) goes into mean and sd."""

LENGTHS = 16
"""Output lengths that a forecast is averaged over."""

SHAPE_SAMPLES = 400
"""Residuals that a population's shape rests on at most."""

EVIDENCE = 30
"""Samples from which on the shape of the distribution is given with the estimate."""

VALUES = 64
"""Equally likely durations that stand for such a shape."""


class Sample(Protocol):
    """A successful, uncached attempt as history remembers it. Durations in seconds, times since 1970."""

    @property
    def task(self) -> str: ...
    @property
    def item(self) -> str | None: ...
    @property
    def model(self) -> str: ...
    @property
    def template(self) -> str: ...
    @property
    def concurrency(self) -> int: ...
    @property
    def prompt_chars(self) -> int | None: ...
    @property
    def input_tokens(self) -> int | None: ...
    @property
    def output_tokens(self) -> int | None: ...
    @property
    def duration(self) -> float: ...
    @property
    def started_at(self) -> float: ...
    @property
    def run(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose duration is asked for. Without `item`: any item of the task. None and "" mean: not known.

    `model` and `template` are what its samples would carry; `concurrency` is the load expected,
    itself included. `author`: what the file says.
    """

    task: str
    item: str | None = None
    model: str = ""
    template: str = ""
    prompt_chars: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    concurrency: int | None = None
    author: Estimate | None = None


class _Model:
    """What the tasks of one model have in common."""

    def __init__(self) -> None:
        self.series: list[Series] = []
        self.taught = 0
        self.regression: TokenRegression | None = None
        self.lengths: Lengths | None = None
        self.population = Population()
        self.levels = Looks()
        """Where its series lie, each a look at the model's centre."""
        self.shape: tuple[float, ...] = NORMAL_SHAPE
        self.evidence = 0
        self.item_share = 1 - ITEM_SHARE
        """Share of the spread within a task that is left when the item is known."""
        self.chars_per_token = 4.0
        self.version = 0
        """How often it was fitted."""
        self._fitted = 0

    def refresh(self) -> None:
        """Fit again when there is an eighth more to learn from: O(1) amortised per sample."""
        if self.taught > self._fitted + self._fitted // 8:
            self._fitted = self.taught
            self.version += 1
            self._fit_tokens()
            for series in self.series:
                self.settle(series)
            self._fit_chars()
            self._fit_population()

    def settle(self, series: Series) -> None:
        """Bring a series up to date with what was added to it."""
        series.settle(self.regression, self.version)

    def _fit_tokens(self) -> None:
        told = [works for series in self.series if (works := series.works(LATEST))]
        each = max(10, LATEST // max(1, len(told)))
        works = [work for latest in told for work in latest[-each:]]
        self.regression, self.lengths = (TokenRegression(works), Lengths(works)) if works else (None, None)

    def _fit_chars(self) -> None:
        chars = tokens = 0
        for attempt in (a for s in self.series for a in s.attempts):
            if attempt.prompt_chars and attempt.input_tokens:
                chars += attempt.prompt_chars
                tokens += attempt.input_tokens
        self.chars_per_token = chars / tokens if tokens else 4.0

    def _fit_population(self) -> None:
        known = [s for s in self.series if s.residuals]
        pooled = self.population.variance
        between = {"unknown_between": RESIDUAL_BETWEEN} if self.regression else {}
        self.population = population([s.seen(pooled) for s in known], **between)
        pooled = self.population.variance
        self.population = replace(self.population, tides=tides(s.of_runs() for s in known))
        self.levels = Looks()
        for s in known:
            summary = s.seen(pooled)
            self.levels.add(s, summary.level, self.population.between + summary.variance(pooled) / summary.count)
        residuals = [z for s in known for z in s.standardised(pooled)[-max(5, SHAPE_SAMPLES // len(known)) :]]
        self.shape, self.evidence = shape(NORMAL_SHAPE, residuals), len(residuals)
        repeats = sum(s.repeats for s in known)
        spread = [s.seen(pooled).variance(pooled) * s.repeats for s in known]
        within = sum(s.repeat_squares for s in known)
        apart = ITEM_WEIGHT * (1 - ITEM_SHARE) * pooled + within
        self.item_share = min(1.0, apart / (ITEM_WEIGHT * pooled + sum(spread))) if repeats else 1 - ITEM_SHARE


@dataclass(slots=True)
class _Prediction:
    """A belief in the making: the level of log seconds, what is left of spread, and who says so.

    `prior`, `spread`: level and variance before the task's own samples, which are `seen`; `is_common`:
    that prior is the population's own. `is_item`: what is believed is of one item that was seen.
    """

    level: Belief
    variance: float
    form: tuple[float, ...]
    source: Source
    samples: int
    evidence: int
    prior: Belief
    spread: float
    is_common: bool = True
    seen: Seen | None = None
    is_item: bool = False

    def doubt(self, subject: Subject, common: Population, lengths: Sequence[float]) -> Doubt | None:
        """Of all items of the task together; None of one of them."""
        if self.is_item:
            return None
        basis = (subject.task, subject.model, subject.template)
        prior, spread = self.prior, self.spread
        return Doubt(basis, subject.model, common, prior, self.is_common, spread, self.seen, self.form, lengths)


class Learner:
    """Beliefs about durations from samples in the order of time. No clock, no dice, no files.

    `samples` are the pipeline's own, `others` those of other pipelines: they teach what their model
    does with tokens and load, and nothing about a task of the same name.
    """

    def __init__(self, samples: Iterable[Sample] = (), others: Iterable[Sample] = ()) -> None:
        self._models: dict[str, _Model] = {}
        self._tasks: dict[str, dict[tuple[str, str], Series]] = {}
        self._foreign: dict[tuple[str, str, str], Series] = {}
        self._everyone = _Model()
        self._pairs: dict[tuple[str, str], tuple[tuple[int, int], Looks]] = {}
        for sample in others:
            place = (sample.task, sample.model, sample.template)
            if place not in self._foreign:
                self._foreign[place] = self._new_series(sample)
            self._add(self._foreign[place], sample)
        for sample in samples:
            self.update(sample)

    def _new_series(self, sample: Sample) -> Series:
        series = Series(sample.model, sample.template)
        self._models.setdefault(sample.model, _Model()).series.append(series)
        return series

    def _add(self, series: Series, sample: Sample) -> None:
        tokens_in, tokens_out = sample.input_tokens, sample.output_tokens
        load = max(0, sample.concurrency - 1)
        attempt = Attempt(sample.duration, tokens_in, tokens_out, load, sample.item, sample.prompt_chars, sample.run)
        series.add(attempt, sample.started_at)
        model = self._models[sample.model]
        model.taught += 1
        if series.is_full:
            model.refresh()
            model.settle(series)

    def update(self, sample: Sample) -> bool:
        """Take in one more attempt; O(1) amortised. True when it is worth asking for the task's estimate again.

        That is after samples 1, 2, 3, 4, 5, 6, 7, 8, 10, … and every 25th from the 200th on: a
        caller who renews ranks then does so O(log n) times for the first 200 siblings.
        """
        series_of = self._tasks.setdefault(sample.task, {})
        place = (sample.model, sample.template)
        if place not in series_of:
            series_of[place] = self._new_series(sample)
        series = series_of[place]
        self._add(series, sample)
        return series.count % max(1, min(series.count // 4, LATEST // 8)) == 0

    def knows(self, task: str) -> bool:
        """Whether anything was learned of the task itself; of others its estimate is that of any newcomer."""
        return task in self._tasks

    def changes(self, task: str) -> int:
        """How often the task's level was seen to change; each time its estimate began anew."""
        own = list(self._tasks.get(task, {}).values())
        for series in own:
            self._models[series.model].refresh()
            self._models[series.model].settle(series)
        return sum(s.changes for s in own)

    def estimate(self, subject: Subject) -> Estimate:
        """The belief about one attempt of `subject`."""
        own = self._tasks.get(subject.task, {})
        series = own.get((subject.model, subject.template))
        model = self._models.get(subject.model)
        if model is None and not self._models:
            return subject.author or Estimate(UNIT, 0.0, "default", 0)
        model = model or self._everybody()
        model.refresh()
        if series is not None:
            model.settle(series)
        relative = self._nearest(own, subject) if series is None or series.count < 10 else None
        telling = series or relative
        if telling is None and subject.author is not None and not self._knows_better(model, subject):
            return subject.author
        baseline = self._baselines(model, telling, subject)
        middle = fmean(baseline)
        found = self._general(model, subject, middle)
        if relative is not None:
            self._learn_from_relative(found, relative, subject, middle)
        if series is not None:
            self._learn_from_own(found, series, model, subject.item, middle)
        lengths = tuple(b - middle for b in baseline)
        return _estimate(found, lengths, found.doubt(subject, model.population, lengths))

    def tokens(self, subject: Subject) -> tuple[float, list[float]] | None:
        """Input tokens and equally likely output tokens, shortest first; None where no attempt told any."""
        own = self._tasks.get(subject.task, {})
        series = own.get((subject.model, subject.template)) or self._nearest(own, subject)
        model = self._models.get(subject.model) or self._everybody()
        model.refresh()
        tokens_in, tokens_out, _ = self._tokens(model, series, subject)
        return (tokens_in, tokens_out) if tokens_out else None

    def _everybody(self) -> _Model:
        """All that is known taken together, for a model that is not: what a task takes anywhere."""
        taught = sum(m.taught for m in self._models.values())
        if taught > self._everyone.taught + self._everyone.taught // 8:
            self._everyone = _Model()
            self._everyone.series = [s.copy() for m in self._models.values() for s in m.series]
            self._everyone.taught = taught
        return self._everyone

    def _knows_better(self, model: _Model, subject: Subject) -> bool:
        """Whether other tasks on the model say more about a task than its author does."""
        return (
            bool(subject.model)
            and subject.model in self._models
            and (model.population.newcomer.variance < AUTHOR_VARIANCE)
        )

    def _nearest(self, own: dict[tuple[str, str], Series], subject: Subject) -> Series | None:
        """The task with another prompt, else on another model; the youngest of them."""
        others = [s for s in own.values() if (s.model, s.template) != (subject.model, subject.template)]
        return max(others, key=lambda s: (s.model == subject.model, s.started_at), default=None)

    def _baselines(self, model: _Model, telling: Series | None, subject: Subject) -> list[float]:
        """Log seconds for tokens and load alone, at equally likely output lengths; [0.0] on a model without tokens."""
        if model.regression is None:
            return [0.0]
        tokens_in, tokens_out, load = self._tokens(model, telling, subject)
        return [log(model.regression.seconds(tokens_in, length, load)) for length in tokens_out]

    def _tokens(self, model: _Model, telling: Series | None, subject: Subject) -> tuple[float, list[float], float]:
        """Input tokens, equally likely output tokens, load; no output tokens where no attempt on the model told any."""
        lengths = (telling.lengths() if telling is not None else None) or model.lengths
        if lengths is None:
            return 0.0, [], 0.0
        tokens = float(subject.input_tokens or 0)
        if not tokens and subject.prompt_chars is not None:
            tokens = subject.prompt_chars / model.chars_per_token
        tokens = tokens or lengths.typical.input_tokens
        load = lengths.typical.load if subject.concurrency is None else max(0, subject.concurrency - 1)
        if subject.output_tokens is not None:
            return tokens, [float(subject.output_tokens)], load
        answered = telling.answered(subject.item) if telling is not None else None
        return tokens, lengths.expected(tokens, LENGTHS, answered), load

    def _general(self, model: _Model, subject: Subject, middle: float) -> _Prediction:
        """What the model's tasks and the author say."""
        common = model.population
        level = Belief(common.newcomer.mean + middle, common.newcomer.variance)
        known = subject.model in self._models and bool(subject.model)
        source: Source = "model" if known else "default"
        samples = common.samples if known else 0
        prior = Belief(level.mean, common.between)
        spread = common.variance
        found = _Prediction(level, spread, model.shape, source, samples, model.evidence, prior, spread)
        author = subject.author
        if author is not None and author.mean > 0:
            spread = log(1 + author.cv**2)
            found.level = found.prior = level.and_seen(log(author.mean) - spread / 2, AUTHOR_VARIANCE)
            found.is_common = False
            if spread:
                found.variance = found.spread = spread
        return found

    def _learn_from_relative(self, found: _Prediction, relative: Series, subject: Subject, middle: float) -> None:
        theirs = self._models[relative.model]
        theirs.refresh()
        theirs.settle(relative)
        pooled = theirs.population.variance
        summary = relative.seen(pooled)
        doubt = summary.variance(pooled) / summary.count
        at = fmean(self._baselines(theirs, relative, subject))
        if relative.template != subject.template:
            doubt += TEMPLATE_VARIANCE
        if relative.model != subject.model:
            shift = self._shift(relative.model, subject, middle - at)
            at += shift.mean
            doubt += MODEL_VARIANCE + shift.variance
        found.level = found.prior = corrected(found.level, at + summary.level, doubt)
        found.variance = found.spread = summary.variance(found.variance)
        found.is_common = False
        found.source = "other prompt" if relative.model == subject.model else "other model"
        found.samples = summary.count

    def _shift(self, old: str, subject: Subject, apart: float) -> Belief:
        """By how much longer the subject's model takes than model `old`, by what *other* tasks tell; as a logarithm.

        `apart`: the difference of the baselines. The subject's own samples on its model are heard
        later, as such: were they heard here too they would count twice.
        """
        none = Belief(0.0, SPEED_VARIANCE)
        before, now = self._models[old], self._models.get(subject.model)
        own = self._tasks[subject.task].values()
        if now is None or (before.regression is None) is not (now.regression is None):
            return none
        here, there = now.levels.without(own), before.levels.without(own)
        if here is None:
            return none
        both = self._on_both(old, subject.model).without([subject.task])
        if both is None and there is not None:
            both = Belief(here.mean - there.mean, here.variance + there.variance)
        found = none if both is None else corrected(none, both.mean, both.variance)
        return Belief(apart + found.mean, found.variance)

    def _on_both(self, old: str, new: str) -> Looks:
        """How much longer each task takes on `new` whose prompt both models were given; as fresh as their fits."""
        before, now = self._models[old], self._models[new]
        version = before.version, now.version
        if self._pairs.get((old, new), (None,))[0] != version:
            looks = Looks()
            for task, series_of in self._tasks.items():
                for (model, template), series in series_of.items():
                    other = series_of.get((old, template)) if model == new else None
                    if other is None or not series.residuals or not other.residuals:
                        continue
                    a, b = other.seen(before.population.variance), series.seen(now.population.variance)
                    doubt = a.variance(before.population.variance) / a.count
                    doubt += b.variance(now.population.variance) / b.count
                    looks.add(task, b.level - a.level, MODEL_VARIANCE + doubt)
                    break
            self._pairs[old, new] = version, looks
        return self._pairs[old, new][1]

    def _learn_from_own(
        self, found: _Prediction, series: Series, model: _Model, item_key: str | None, middle: float
    ) -> None:
        summary = series.seen(found.variance)
        found.seen = replace(summary, level=middle + summary.level)
        found.variance = summary.variance(found.variance)
        found.level = corrected(found.level, found.seen.level, found.variance / summary.count)
        found.level = found.level.tilted(model.population.tilt)
        found.form = shape(model.shape, series.standardised(found.variance))
        found.source, found.samples = "task", summary.count
        found.evidence += summary.count
        item = series.items.get(item_key) if item_key is not None else None
        if item is not None:
            within = series.within_items(found.variance * model.item_share, ITEM_WEIGHT, found.variance)
            around = Belief(found.level.mean, found.level.variance + found.variance - within)
            found.level = corrected(around, middle + item.residual, within / item.count)
            # The shape of the task is that of its items taken together, which says nothing about one of them.
            found.variance, found.form, found.evidence = within, NORMAL_SHAPE, 0
            found.is_item = True


def _estimate(found: _Prediction, lengths: Sequence[float], doubt: Doubt | None) -> Estimate:
    """Moments over level, output length and what is left; with the shape where there is evidence of one."""
    variance = found.variance + min(found.level.variance, COUNTED)
    spread = sqrt(variance)
    factors = [exp(spread * z) for z in found.form]
    normal = [exp(spread * z) for z in NORMAL_SHAPE]
    bases = [exp(found.level.mean + b) for b in lengths]
    # A few points cut the tails off: take their moments relative to the normal's, whose own are known exactly.
    mean = fmean(bases) * exp(variance / 2) * sum(factors) / sum(normal)
    square = fmean(map(_square, bases)) * exp(2 * variance) * sum(map(_square, factors)) / sum(map(_square, normal))
    values: tuple[float, ...] = ()
    if found.evidence >= EVIDENCE:
        every = sorted(b * f for b in bases for f in factors)
        values = tuple(every[int((i + 0.5) / VALUES * len(every))] for i in range(VALUES))
    return Estimate(mean, sqrt(max(0.0, square - mean * mean)), found.source, found.samples, values, doubt)


def _square(x: float) -> float:
    return x * x
