"""What may be true, given the little that was seen: durations drawn world by world, not one by one.

After few runs a forecast errs less by chance than by ignorance: of each task's level, and of how much
chance there is. That does not average out over a sum: the items of one task share its level, and all
tasks of a model the spread that none of them has measured alone. So each sampled run is one *world*, a
draw from the posterior predictive (Gelman et al., "Bayesian Data Analysis", ch. 5): first what the
tasks of a model have in common, then the level of each task as it would be believed in that world,
then durations around it. In a world of much chance what was seen of a task says less and its level
lies nearer to its relatives', so that the scatter of all that was seen stays what it is. Where whole
runs were seen to differ, as on a model that has slow days, so do worlds.

Variances are drawn from scaled inverse χ² with as many degrees of freedom as they rest on, which
makes logarithms Student-t.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp, sqrt
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from llmflow.scheduling.shrinkage import NORMAL_SHAPE, Belief, Population, Seen, corrected

if TYPE_CHECKING:
    from llmflow.scheduling.estimates import Estimate


OWN = 2.0
"""The spread of one task counts as if it rested on so many times what it rests on: the exponential makes more of
heavy tails than durations have (measured over truths that are not log-normal)."""

MOST = 50.0
"""No spread is believed to be more times as large as it seems (as a variance)."""


LEAST_APART = 0.2
"""At least this share of a variance is each call's own, however much runs differ as a whole."""


class Doubt(NamedTuple):
    """How a belief about a task's durations came about, so that it can be had anew in another world. In logarithms.

    `basis`: what its level rests on; equal for estimates that share it. `group` names what `common` is
    known of. `prior` and `variance`: level and spread before the task's own samples, `seen`, if there
    are any; `is_common`: that prior is the population's. `form`: equally likely standardised
    residuals. `lengths`: equally likely shifts, for answers of unknown length.
    """

    basis: tuple[str, ...]
    group: str
    common: Population
    prior: Belief
    is_common: bool
    variance: float
    seen: Seen | None
    form: Sequence[float]
    lengths: Sequence[float]


class _World(NamedTuple):
    """Of one group: the spread relative to what is believed, how far the centre is off, `between` in this world.

    `tide`: how far the run as a whole is off.
    """

    factor: float
    centre: float
    between: float
    tide: float


def drawn_together(estimates: Sequence[Estimate], dice: Random, count: int) -> list[list[float]]:
    """For each estimate `count` durations in seconds; the k-th of all of them are of one world.

    O(estimates · count). Estimates without a `doubt` are drawn one by one.
    """
    worlds: dict[str, list[_World]] = {}
    levels: dict[tuple[str, ...], list[tuple[float, float]]] = {}
    columns = []
    for estimate in estimates:
        doubt = estimate.doubt
        if doubt is None:
            columns.append(estimate.draws(dice, count))
            continue
        if doubt.basis not in levels:
            if doubt.group not in worlds:
                worlds[doubt.group] = [_world(doubt.common, dice) for _ in range(count)]
            levels[doubt.basis] = [_level(doubt, world, dice) for world in worlds[doubt.group]]
        columns.append(_durations(doubt, levels[doubt.basis], dice))
    return columns


def _factor(freedom: float, dice: Random) -> float:
    """A variance relative to what is believed: scaled inverse χ²."""
    return freedom / max(dice.gammavariate(freedom / 2, 2.0), 1e-9)


def _world(common: Population, dice: Random) -> _World:
    # More chance within keys leaves less between them; more than all of it would contradict what was seen.
    by_chance = common.variance * common.chance
    most = 1 + (common.between - common.nearest) / by_chance if by_chance else MOST
    factor = _factor(common.freedom, dice)
    while factor > most:
        factor = _factor(common.freedom, dice)
    between = max(common.between - by_chance * (factor - 1), common.nearest)
    known, tide = common.tides, 0.0
    if known.variance:
        # Levels were taken from so many runs, which were off themselves; and so few do not measure by how much.
        off = known.variance * (1 + 1 / known.runs) * _factor(known.runs, dice)
        tide = sqrt(off) * dice.gauss(0.0, 1.0)
    return _World(factor, sqrt(common.centre_variance) * dice.gauss(0.0, 1.0), between, tide)


def _level(doubt: Doubt, world: _World, dice: Random) -> tuple[float, float]:
    """Level and standard deviation of one task's logarithms in one world."""
    level, variance = doubt.prior, doubt.variance * world.factor
    if doubt.is_common:
        level = Belief(level.mean + world.centre, world.between)
    if doubt.seen is not None:
        variance = doubt.seen.variance(variance) * _factor(OWN * doubt.seen.freedom, dice)
        level = corrected(level, doubt.seen.level, variance / doubt.seen.count).tilted(doubt.common.tilt)
    apart = max(variance - doubt.common.tides.variance, variance * LEAST_APART)
    return dice.gauss(level.mean, sqrt(level.variance)) + world.tide, sqrt(apart)


def _durations(doubt: Doubt, levels: Sequence[tuple[float, float]], dice: Random) -> list[float]:
    gauss, random, form, lengths = dice.gauss, dice.random, doubt.form, doubt.lengths
    points, answers = len(form), len(lengths)
    if form == NORMAL_SHAPE:
        noise = [gauss(0.0, 1.0) for _ in levels]
    else:
        noise = [form[int(random() * points)] for _ in levels]
    if answers == 1:
        return [exp(level + sd * z) for (level, sd), z in zip(levels, noise, strict=True)]
    return [
        exp(level + lengths[int(random() * answers)] + sd * z) for (level, sd), z in zip(levels, noise, strict=True)
    ]
