"""How uncertain an estimate is, also where its samples are too few to say."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from llmflow.scheduling.estimates import Estimate

NOTHING_KNOWN = 1.0
"""The CV of a duration that nobody knows anything about: it may well be half or double the unit it counts for."""

ONE_SAMPLE = 0.5
"""The CV of a duration that was seen once: what calls of language models scatter by, give or take."""

PREDICTABLE = 0.2
"""Below this predicted CV a plan made for the means holds."""


def with_spread(estimates: Iterable[Estimate]) -> list[Estimate]:
    """The same means; guesses and single samples get the spread that they cannot have measured.

    What an author wrote without a spread is taken at its word.
    """
    return [_with_spread(e) for e in estimates]


def _with_spread(estimate: Estimate) -> Estimate:
    if estimate.sd or not estimate.mean or estimate.source == "author":
        return estimate
    if not estimate.samples:
        return replace(estimate, sd=estimate.mean * NOTHING_KNOWN)
    return replace(estimate, sd=estimate.mean * ONE_SAMPLE) if estimate.samples == 1 else estimate


def predicted_cv(estimates: Sequence[Estimate]) -> float:
    """The CV of a typical second of work: summed standard deviations by summed means."""
    work = sum(e.mean for e in estimates)
    return sum(e.sd for e in estimates) / work if work else 0.0
