"""What all runs together taught: durations and outcomes per task, and which runs to look at for the rest.

Counting is SQLite's work; what must be sorted comes out in the order of time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

from llmflow.history.removal import FORGOTTEN
from llmflow.history.store import Store
from llmflow.scheduling.statistics import OUTRUN, SUCCEEDED, UNUSED

UNCOUNTED = ("cancelled", "cached", OUTRUN, UNUSED)
"""Outcomes that say nothing of how well a task does."""


class Wanted(NamedTuple):
    """Which samples: of one pipeline, task, model, from a time of day on; None is any."""

    pipeline: str | None = None
    task: str | None = None
    model: str | None = None
    since: float | None = None

    def where(self, *more: str) -> tuple[str, list[Any]]:
        """A WHERE clause over `series JOIN samples`, and its parameters."""
        given: list[tuple[str, Any]] = [("pipeline = ?", self.pipeline), ("task = ?", self.task)]
        given += [("model = ?", self.model), ("started_at >= ?", self.since)]
        parts = [part for part, value in given if value is not None] + list(more)
        return f"WHERE {' AND '.join(parts)}" if parts else "", [value for _, value in given if value is not None]


class Key(NamedTuple):
    """Whose samples: `item` is None unless items are told apart."""

    pipeline: str
    task: str
    model: str
    item: str | None = None


class Counts(NamedTuple):
    """How attempts ended. Tokens are means over the attempts that had any, None where none had.

    `executions`: times that the task was done; `retried` of them had an attempt that failed and
    was followed by another. `prompts`: different templates.
    """

    attempts: int
    failed: int
    executions: int
    retried: int
    prompts: int
    input_tokens: float | None
    output_tokens: float | None
    failures: tuple[tuple[str, int], ...]
    """(outcome, how often) of what failed, the commonest first."""
    extra_calls: int = 0
    """Calls that another call of the same attempt was faster than; they are no attempts of their own."""


class Duration(NamedTuple):
    """One successful attempt."""

    key: Key
    seconds: float
    started_at: float
    run: int


def durations(store: Store, wanted: Wanted, *, items: bool = False) -> Iterator[Duration]:
    """Every successful attempt that fits, oldest first."""
    where, parameters = wanted.where("outcome = ?")
    item = "item" if items else "NULL"
    sql = f"""SELECT pipeline, task, model, {item}, duration, started_at, run
        FROM series JOIN samples USING (series) {where} ORDER BY started_at, sample"""
    for *key, seconds, started_at, run in store.rows(sql, [*parameters, SUCCEEDED]):
        yield Duration(Key(*key), seconds, started_at, run)


def counts(store: Store, wanted: Wanted, *, items: bool = False) -> dict[Key, Counts]:
    """How the attempts that fit ended, in the order in which their tasks first appeared."""
    where, parameters = wanted.where()
    item = "item" if items else "NULL"
    uncounted = ", ".join(f"'{outcome}'" for outcome in UNCOUNTED)
    failed = f"outcome NOT IN ('{SUCCEEDED}', {uncounted})"
    each = f"pipeline, task, model, {item} AS item"
    totals = f"""SELECT {each}, SUM(outcome NOT IN ({uncounted})), SUM({failed}), COUNT(DISTINCT template),
        AVG(CASE WHEN outcome = '{SUCCEEDED}' THEN input_tokens END),
        AVG(CASE WHEN outcome = '{SUCCEEDED}' THEN output_tokens END), SUM(outcome IN ('{OUTRUN}', '{UNUSED}'))
        FROM series JOIN samples USING (series) {where} GROUP BY 1, 2, 3, 4 ORDER BY MIN(series)"""
    done = f"""SELECT pipeline, task, model, {item}, COUNT(*), SUM(first < last) FROM
        (SELECT pipeline, task, model, item, MAX(number) AS last, MIN(CASE WHEN {failed} THEN number END) AS first
        FROM series JOIN samples USING (series) {wanted.where(f"run <> {FORGOTTEN}")[0]}
        GROUP BY pipeline, task, model, run, item)
        GROUP BY 1, 2, 3, 4"""
    kinds = f"""SELECT pipeline, task, model, {item} AS item, outcome, COUNT(*)
        FROM series JOIN samples USING (series) {wanted.where(failed)[0]} GROUP BY 1, 2, 3, 4, 5 ORDER BY 6 DESC, 5"""
    executions = {Key(*row[:4]): (row[4], row[5] or 0) for row in store.rows(done, parameters)}
    failures: dict[Key, tuple[tuple[str, int], ...]] = {}
    for row in store.rows(kinds, parameters):
        key = Key(*row[:4])
        failures[key] = (*failures.get(key, ()), (row[4], row[5]))
    found = {}
    for *names, attempts, bad, prompts, entered, left, extra in store.rows(totals, parameters):
        key = Key(*names)
        times, retried = executions.get(key, (0, 0))
        found[key] = Counts(attempts, bad, times, retried, prompts, entered, left, failures.get(key, ()), extra)
    return found


def known(store: Store, column: str, pipeline: str | None = None) -> list[str]:
    """Every `pipeline`, `task` or `model` that the history has heard of, of one pipeline or of all, in order."""
    mine = "" if pipeline is None else "WHERE pipeline = ?"
    others = {"pipeline": "runs", "task": "runs JOIN tasks USING (run)", "model": ""}[column]
    sql = f"SELECT DISTINCT {column} FROM series {mine}"
    if others:
        sql += f" UNION SELECT {'name' if column == 'task' else column} FROM {others} {mine}"
    parameters = [] if pipeline is None else [pipeline] * (2 if others else 1)
    return [name for (name,) in store.rows(f"{sql} ORDER BY 1", parameters) if name]


def runs_to_read(
    store: Store, *, pipelines: Collection[str] | None, since: float | None, most_runs: int, most_events: int
) -> tuple[list[str], int]:
    """(ids, how many there are): the youngest runs that ended by themselves, as far as their stories are not too long.

    Youngest first; at least one, however long its story is.
    """
    where = ["status IN ('succeeded', 'failed')"]
    where += [f"pipeline IN ({', '.join('?' * len(pipelines))})"] if pipelines is not None else []
    where += ["started_at >= ?"] * (since is not None)
    condition = " AND ".join(where)
    parameters = [*(pipelines or ()), *([] if since is None else [since])]
    total = next(int(n) for (n,) in store.rows(f"SELECT COUNT(*) FROM runs WHERE {condition}", parameters))
    sql = f"""SELECT id, (SELECT COALESCE(MAX(seq), 0) FROM stretches WHERE stretches.run = runs.run) FROM runs
        WHERE {condition} ORDER BY started_at DESC, run DESC LIMIT ?"""
    chosen: list[str] = []
    for run_id, events in store.rows(sql, [*parameters, most_runs]):
        most_events -= events
        if chosen and most_events < 0:
            break
        chosen.append(run_id)
    return chosen, total
