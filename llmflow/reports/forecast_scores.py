"""How often reality fell within what was foretold, per pipeline, in time and in tokens: the numbers and their text."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp
from typing import Any, Protocol

from llmflow.quantities import plural, share_text
from llmflow.reports.columns import Column, render_columns
from llmflow.sanitise import one_line
from llmflow.scheduling.calibration import MISSED, Calibration, Interval, calibration

TIME, TOKENS = "time", "tokens"

ENOUGH = 10
"""Forecasts from which on a verdict is given."""

DOUBTS = 2.0
"""So many standard errors off, a coverage is no chance."""

_HEADS = (
    Column("PIPELINE", most=40),
    Column("OF"),
    *(Column(head, right=True) for head in ("RUNS", "WITHIN", "BELOW", "ABOVE", "+-", "OFF BY")),
    Column("VERDICT"),
)

CSV_HEAD = ("pipeline", "of", "runs", "within", "below", "above", "error", "off_by", "score", "verdict")


class Foretold(Protocol):
    """One run that was foretold; P10, P50 and P90, and what came."""

    @property
    def pipeline(self) -> str: ...
    @property
    def makespan(self) -> float: ...
    @property
    def tokens(self) -> int: ...
    @property
    def of_makespan(self) -> tuple[float, float, float] | None: ...
    @property
    def of_tokens(self) -> tuple[float, float, float] | None: ...


@dataclass(frozen=True, slots=True)
class Score:
    """How the forecasts of one pipeline did, of `what` (`time` or `tokens`); `pipeline` empty: of all of them."""

    pipeline: str
    what: str
    found: Calibration

    @property
    def off_by(self) -> float:
        """By how much the truth lay above P50, typically, as a share of it."""
        return exp(self.found.bias) - 1

    @property
    def verdict(self) -> str:
        found = self.found
        if found.count < ENOUGH:
            return "too few to say"
        off = found.coverage - (1 - MISSED)
        if abs(off) <= DOUBTS * found.error:
            return "holds"
        return "too narrow" if off < 0 else "too wide"


def scores(foretold: Iterable[Foretold]) -> list[Score]:
    """Per pipeline in the order of first appearance, time before tokens; all together where there are several.

    A forecast without any spread, of durations that were all written as certain, is no interval and left out.
    """
    groups: dict[tuple[str, str], list[tuple[Interval, float]]] = {}
    for run in foretold:
        for what, quantiles, truth in (
            (TIME, run.of_makespan, run.makespan),
            (TOKENS, run.of_tokens, float(run.tokens)),
        ):
            if quantiles is not None and 0 < quantiles[0] < quantiles[2] and truth > 0:
                groups.setdefault((run.pipeline, what), []).append((Interval(*quantiles), truth))
    order = list(dict.fromkeys(pipeline for pipeline, _ in groups))
    found = [Score(p, w, calibration(groups[p, w])) for p in order for w in (TIME, TOKENS) if (p, w) in groups]
    if len(order) > 1:
        for what in (TIME, TOKENS):
            pairs = [pair for (_, of), each in groups.items() if of == what for pair in each]
            if pairs:
                found.append(Score("", what, calibration(pairs)))
    return found


def render_scores(found: Sequence[Score], columns: int = 100) -> str:
    """A table without a line end behind the last line; safe to print."""
    rows = [
        [
            _name(score),
            score.what,
            f"{score.found.count:,}",
            share_text(score.found.coverage),
            share_text(score.found.below),
            share_text(score.found.above),
            share_text(score.found.error),
            f"{100 * score.off_by:+.0f} %",
            score.verdict,
        ]
        for score in found
    ]
    runs = max(score.found.count for score in found)
    meant = f"of {plural(runs, 'run')}: {share_text(1 - MISSED)} are meant to fall within the foretold P10–P90"
    return f"forecasts {meant}\n{render_columns(_HEADS, rows, columns)}"


def scores_json(found: Sequence[Score]) -> dict[str, Any]:
    """`llmflow.calibration/1`: shares as numbers; `pipeline` null for all of them together."""
    return {
        "schema": "llmflow.calibration/1",
        "meant_within": 1 - MISSED,
        "rows": [dict(zip(CSV_HEAD, _values(score), strict=True)) for score in found],
    }


def scores_csv(found: Sequence[Score]) -> str:
    """With a header line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_HEAD)
    for score in found:
        name, *values = _values(score)
        shown = "" if name is None else one_line(str(name))
        writer.writerow([f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown, *values])
    return text.getvalue().rstrip("\n")


def _values(score: Score) -> list[Any]:
    found = score.found
    shares = [found.coverage, found.below, found.above, found.error]
    return [score.pipeline or None, score.what, found.count, *shares, score.off_by, found.score, score.verdict]


def _name(score: Score) -> str:
    return one_line(score.pipeline.replace("\\", "/").rpartition("/")[2]) if score.pipeline else "all"
