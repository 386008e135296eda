"""Reading duration samples back: for the statistics, and for the estimates of the next run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from llmflow.history.store import Store
from llmflow.scheduling.statistics import SUCCEEDED, Summary, summary

if TYPE_CHECKING:
    from llmflow.history.records import SampleRecord

LATEST = 200
"""How many of the youngest samples of a task (or model) its estimate rests on."""

ACTORS = ("simulated", "mock", "replay")
"""Kinds of providers that only act a part: what they took says nothing about a model."""

Key = TypeVar("Key")

_SAMPLE = """SELECT task, duration, started_at, item, model, kind, endpoint, template, number, outcome, concurrency,
    prompt_chars, input_tokens, output_tokens, first_token FROM samples JOIN series USING (series)"""


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


def latest_durations(store: Store, pipeline: str, *, latest: int = LATEST) -> dict[tuple[str, str], Summary]:
    """For each (task, model) of the pipeline: its last `latest` successful, uncached durations, in brief."""
    sql = "SELECT series, task, model FROM series WHERE pipeline = ?"
    groups: dict[tuple[str, str], list[int]] = {}
    for series, task, model in store.rows(sql, [pipeline]):
        groups.setdefault((task, model), []).append(series)
    return _summaries(store, groups, latest)


def latest_durations_of_models(store: Store, *, latest: int = LATEST) -> dict[str, Summary]:
    """For each model, over all pipelines and tasks: what to expect of a task that has no history of its own.

    Providers that act a part are left out: their samples teach only their own task.
    """
    marks = ", ".join("?" * len(ACTORS))
    sql = f"SELECT series, model FROM series WHERE model <> '' AND kind NOT IN ({marks})"
    groups: dict[str, list[int]] = {}
    for series, model in store.rows(sql, ACTORS):
        groups.setdefault(model, []).append(series)
    return _summaries(store, groups, latest)


def _summaries(store: Store, groups: dict[Key, list[int]], latest: int) -> dict[Key, Summary]:
    found = {key: _latest(store, series, latest) for key, series in groups.items()}
    return {key: summary(durations) for key, durations in found.items() if durations}


def _latest(store: Store, series: Sequence[int], latest: int) -> list[float]:
    """The youngest durations of several series together: each gives its own youngest, the index has them in order."""
    sql = "SELECT started_at, duration FROM samples WHERE series = ? AND outcome = ? ORDER BY started_at DESC LIMIT ?"
    found = [row for one in series for row in store.rows(sql, [one, SUCCEEDED, latest])]
    found.sort(reverse=True)
    return [duration for _, duration in found[:latest]]


def _where(*wanted: tuple[str, Any]) -> tuple[str, list[Any]]:
    given = [(column, value) for column, value in wanted if value is not None]
    sql = " AND ".join(f"{column} = ?" for column, _ in given)
    return (f" WHERE {sql}" if sql else ""), [value for _, value in given]
