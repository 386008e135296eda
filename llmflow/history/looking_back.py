"""Questions about past runs: which there were, in one line each, and what a run left beside its story."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import NamedTuple

from llmflow.history.records import StoredRun
from llmflow.history.store import Store
from llmflow.history.stories import run, runs
from llmflow.history.texts import unpacked, unpacked_json

INVALID = ("invalid_output", "truncated")
"""The outcomes of a sample whose answer could not be used, so that it was asked for again."""


class RunLine(NamedTuple):
    """A run in one line of a list. Seconds; None is unknown. `status` as in `StoredRun`."""

    id: str
    pipeline: str
    path: str
    started_at: float
    status: str
    makespan: float | None
    ratio: float | None
    policy: str
    workers: int | None
    tasks: int
    failed: int
    input_tokens: int
    output_tokens: int


_LINES = """SELECT id, pipeline, path, started_at, status, summary, policy, workers,
    (SELECT COUNT(*) FROM (SELECT DISTINCT name, item FROM tasks WHERE tasks.run = runs.run)),
    (SELECT COALESCE(SUM(failed), 0) FROM stretches WHERE stretches.run = runs.run),
    CASE WHEN makespan IS NULL THEN (SELECT MAX(at) FROM stretches WHERE stretches.run = runs.run) ELSE makespan END
    FROM runs"""

_TOKENS = """SELECT COALESCE(SUM(input_tokens), 0), COALESCE(SUM(output_tokens), 0)
    FROM runs JOIN answers USING (run) WHERE id = ?"""


def run_lines(
    store: Store,
    *,
    pipeline: str | None = None,
    since: float | None = None,
    statuses: Container[str] | None = None,
    limit: int | None = None,
) -> Iterator[RunLine]:
    """The runs that fit, youngest first; `since` is a time of day, `limit` counts the runs that are given."""
    where = ["pipeline = ?"] * (pipeline is not None) + ["started_at >= ?"] * (since is not None)
    parameters = [value for value in (pipeline, since) if value is not None]
    sql = f"{_LINES} {'WHERE ' + ' AND '.join(where) if where else ''} ORDER BY started_at DESC, run DESC"
    given = 0
    for row in store.rows(sql, parameters):
        run_id, key, path, started_at, status, summary, policy, workers, tasks, failed, makespan = row
        if status == "running" and store.holder(run_id) is None:
            status = "interrupted"
        if statuses is not None and status not in statuses:
            continue
        if given == limit:
            return
        given += 1
        told = {} if summary is None else unpacked_json(summary)
        usage = told.get("usage")
        if usage is None:  # adding up the answers takes reading them, which are long
            entered, left = next(store.rows(_TOKENS, [run_id]))
        else:
            entered, left = usage["input_tokens"], usage["output_tokens"]
        ratio = told.get("ratio")
        yield RunLine(
            run_id, key, path, started_at, status, makespan, ratio, policy, workers, tasks, failed, entered, left
        )


def count_runs(store: Store) -> int:
    """How many runs there are in all."""
    return next(int(count) for (count,) in store.rows("SELECT COUNT(*) FROM runs"))


def matching_ids(store: Store, word: str, *, most: int = 6) -> list[str]:
    """The ids that begin with `word`, whatever the case, youngest first; at most `most` of them."""
    escaped = word.upper().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    sql = "SELECT id FROM runs WHERE id LIKE ? ESCAPE '\\' ORDER BY started_at DESC, run DESC LIMIT ?"
    return [found for (found,) in store.rows(sql, [escaped + "%", most])]


def last_run(store: Store) -> StoredRun | None:
    """The youngest run of all."""
    return next(iter(runs(store, limit=1)), None)


def run_before(store: Store, one: StoredRun) -> StoredRun | None:
    """The run of the same pipeline that began last before this one."""
    sql = """SELECT id FROM runs WHERE pipeline = ? AND id <> ? AND (started_at, run) <
        (SELECT started_at, run FROM runs WHERE id = ?) ORDER BY started_at DESC, run DESC LIMIT 1"""
    record = one.record
    found = next((i for (i,) in store.rows(sql, [record.pipeline, record.id, record.id])), None)
    return None if found is None else run(store, found)


class CallRow(NamedTuple):
    """An answered attempt without its content. `invalid`: its answer could not be used."""

    task: int
    attempt: int
    number: int
    seconds: float
    invalid: bool
    model: str
    answered_by: str
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    estimated: bool


def calls(store: Store, run_id: str) -> Iterator[CallRow]:
    """The answered attempts of a run, in the order in which they were answered."""
    invalid = {(name, item, number) for name, item, number in store.rows(_INVALID, [*INVALID, run_id])}
    for name, item, task, attempt, number, seconds, *rest in store.rows(_CALLS, [run_id]):
        bad = (name, item, number) in invalid
        model, by, entered, left, cached, written, reasoning, estimated = rest
        yield CallRow(
            task, attempt, number, seconds, bad, model, by, entered, left, cached, written, reasoning, bool(estimated)
        )


_INVALID = """SELECT series.task, samples.item, samples.number FROM runs JOIN series USING (pipeline)
    JOIN samples USING (series) WHERE outcome IN (?, ?) AND samples.run = runs.run AND id = ?"""

_CALLS = """SELECT tasks.name, tasks.item, answers.task, attempt, number, duration, answers.model, answered_by,
    input_tokens, output_tokens, cached_input_tokens, cache_write_tokens, reasoning_tokens, usage_estimated
    FROM runs JOIN answers USING (run) JOIN tasks USING (run, task) WHERE id = ? ORDER BY answer"""


def templates(store: Store, run_id: str) -> dict[str, tuple[str, ...]]:
    """Task name → the hashes of the templates that its samples of this run were made with."""
    sql = """SELECT DISTINCT series.task, series.template FROM runs JOIN series USING (pipeline)
        JOIN samples USING (series) WHERE samples.run = runs.run AND id = ? AND template <> ''
        ORDER BY series.task, series.template"""
    found: dict[str, tuple[str, ...]] = {}
    for task, template in store.rows(sql, [run_id]):
        found[task] = (*found.get(task, ()), template)
    return found


def messages_of(store: Store, run_id: str) -> Iterator[tuple[int, str]]:
    """(task, what it was first asked as stored JSON) for every task that was answered."""
    sql = """SELECT answers.task, messages, MIN(attempt) FROM runs JOIN answers USING (run)
        WHERE id = ? GROUP BY answers.task"""
    for task, messages, _ in store.rows(sql, [run_id]):
        yield task, unpacked(messages)


def finished_before(store: Store, moment: float, keep: int) -> Sequence[str]:
    """The ids of runs that began before `moment` and are not among the `keep` youngest, oldest first."""
    sql = """SELECT id FROM runs WHERE started_at < ? AND run NOT IN
        (SELECT run FROM runs ORDER BY started_at DESC, run DESC LIMIT ?) ORDER BY started_at, run"""
    return [found for (found,) in store.rows(sql, [moment, keep])]
