"""Reading duration samples back: for the statistics, and for the estimates of the next run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from llmflow.history.store import Store
from llmflow.scheduling.statistics import SUCCEEDED

if TYPE_CHECKING:
    from llmflow.history.records import SampleRecord

LATEST = 200
"""How many of the youngest samples of a task (on one model, with one prompt) its estimate rests on."""

ACTORS = ("simulated", "mock", "replay")
"""Kinds of providers that only act a part: what they took says nothing about a model."""

_SAMPLE = """SELECT task, duration, started_at, item, model, kind, endpoint, template, number, outcome, concurrency,
    prompt_chars, input_tokens, output_tokens, first_token, run FROM samples JOIN series USING (series)"""


def duration_samples(
    store: Store,
    *,
    pipeline: str | None = None,
    task: str | None = None,
    model: str | None = None,
    since: float | None = None,
) -> Iterator[SampleRecord]:
    """The samples that fit, successful or not, oldest first, in the order of their tasks' first appearance."""
    where, parameters = _where(("pipeline", pipeline), ("task", task), ("model", model))
    if since is not None:
        where += (" AND" if where else " WHERE") + " started_at >= ?"
        parameters.append(since)
    from llmflow.history.records import SampleRecord

    for row in store.rows(f"{_SAMPLE}{where} ORDER BY series, started_at, sample", parameters):
        yield SampleRecord(*row)


def latest_samples(store: Store, pipeline: str, *, latest: int = LATEST) -> list[SampleRecord]:
    """The pipeline's successful, uncached attempts, oldest first: the youngest `latest` of each series."""
    return _latest(store, "pipeline = ?", [pipeline], latest)


def latest_samples_of_others(
    store: Store, models: Sequence[str], *, besides: str, latest: int = LATEST
) -> list[SampleRecord]:
    """What other pipelines than `besides` measured on these models, as `latest_samples` does.

    Providers that act a part are left out: their samples teach only their own task.
    """
    where = f"pipeline <> ? AND model IN ({_marks(models)}) AND kind NOT IN ({_marks(ACTORS)})"
    return _latest(store, where, [besides, *models, *ACTORS], latest)


def mean_tokens(store: Store, pipeline: str) -> dict[str, tuple[float, float]]:
    """Task → (input, output) tokens of its good calls so far, on average; without those of which nothing is known."""
    sql = """SELECT task, AVG(input_tokens), AVG(COALESCE(output_tokens, 0)) FROM samples JOIN series USING (series)
        WHERE pipeline = ? AND outcome = ? AND input_tokens IS NOT NULL GROUP BY task"""
    return {task: (entered, left) for task, entered, left in store.rows(sql, [pipeline, SUCCEEDED])}


def _latest(store: Store, where: str, parameters: Sequence[Any], latest: int) -> list[SampleRecord]:
    """Each series gives its own youngest; the index has them in order."""
    from llmflow.history.records import SampleRecord

    sql = f"{_SAMPLE} WHERE series = ? AND outcome = ? ORDER BY started_at DESC LIMIT ?"
    found = []
    for (series,) in list(store.rows(f"SELECT series FROM series WHERE {where}", parameters)):
        found += [SampleRecord(*row) for row in store.rows(sql, [series, SUCCEEDED, latest])]
    found.sort(key=lambda sample: sample.started_at)
    return found


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _where(*wanted: tuple[str, Any]) -> tuple[str, list[Any]]:
    given = [(column, value) for column, value in wanted if value is not None]
    sql = " AND ".join(f"{column} = ?" for column, _ in given)
    return (f" WHERE {sql}" if sql else ""), [value for _, value in given]
