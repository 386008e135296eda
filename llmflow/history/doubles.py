"""Second calls of the past, read back: how long the calls of a task took, those that were cut off among them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from llmflow.history.samples import LATEST
from llmflow.history.store import Store
from llmflow.scheduling.doubles import Double, Took
from llmflow.scheduling.statistics import OUTRUN, SUCCEEDED, UNUSED

_COLUMNS = "run, item, number, outcome, duration, samples.started_at"
_OUTCOMES = (SUCCEEDED, OUTRUN, UNUSED)


class PastCalls(NamedTuple):
    """`calls`: youngest first. `doubles`: those of them that were two calls of one attempt."""

    calls: Sequence[Took]
    doubles: Sequence[Double]


def past_calls(store: Store, *, pipeline: str, task: str, model: str, template: str, latest: int = LATEST) -> PastCalls:
    """The youngest `latest` calls of a task on one model with one prompt that answered or were outrun."""
    sql = f"""SELECT {_COLUMNS} FROM series JOIN samples USING (series)
        WHERE pipeline = ? AND task = ? AND model = ? AND template = ? AND outcome IN (?, ?, ?)
        ORDER BY samples.started_at DESC LIMIT ?"""
    calls: list[Took] = []
    attempts: dict[tuple[int, str | None, int], list[tuple[float, Took]]] = defaultdict(list)
    for run, item, number, outcome, seconds, started_at in store.rows(
        sql, [pipeline, task, model, template, *_OUTCOMES, latest]
    ):
        took = Took(seconds, outcome == OUTRUN)
        calls.append(took)
        attempts[run, item, number].append((started_at, took))
    return PastCalls(calls, [double for found in attempts.values() if (double := _double(found)) is not None])


def _double(found: list[tuple[float, Took]]) -> Double | None:
    """Two calls of which the second began while the first was running; more than two are not compared."""
    if len(found) != 2:
        return None
    (began, first), (later, second) = sorted(found)
    delay = later - began
    return Double(delay, first, second) if 0 < delay < first.seconds else None


def calls_and_copies(store: Store, pipeline: str) -> tuple[int, int]:
    """How many calls of models all runs of the pipeline made, and how many of them a second call was outrun or unused.

    Each attempt that was doubled has one such call for each of its second calls.
    """
    sql = """SELECT COUNT(*), COALESCE(SUM(outcome IN (?, ?)), 0) FROM series JOIN samples USING (series)
        WHERE pipeline = ? AND model <> ''"""
    return next((int(calls), int(copies)) for calls, copies in store.rows(sql, [OUTRUN, UNUSED, pipeline]))
