"""Answers that may serve again in other runs: which there are, and forgetting that they may.

An answer serves by its key. Forgetting takes the key away and leaves the answer where it was given; of
runs that can still go on it is kept, as they would have to pay for it again.
"""

from __future__ import annotations

from typing import NamedTuple

from llmflow.history import location
from llmflow.history.connection import open_for_writing, told
from llmflow.history.locks import Gate
from llmflow.history.store import Store

_SERVES = "key <> '' AND accepted AND finish_reason <> 'length'"

_LIST = f"""SELECT runs.pipeline, tasks.name, COUNT(DISTINCT key), MIN(created_at), MAX(created_at)
    FROM answers JOIN runs USING (run) JOIN tasks USING (run, task) WHERE {_SERVES} AND (?1 IS NULL OR pipeline = ?1)
    GROUP BY runs.pipeline, tasks.name ORDER BY runs.pipeline, MIN(answer)"""

_FORGOTTEN = f"""{_SERVES} AND created_at < ?1
    AND run IN (SELECT run FROM runs WHERE status = 'succeeded' AND (?2 IS NULL OR pipeline = ?2))"""


class CachedTask(NamedTuple):
    """Of one task: how many questions have an answer, and when the oldest and the youngest were given."""

    pipeline: str
    task: str
    answers: int
    oldest: float
    youngest: float


def cached_tasks(store: Store, pipeline: str | None = None) -> list[CachedTask]:
    """All tasks with answers that may serve, of one pipeline or of all."""
    return [CachedTask(*row) for row in store.rows(_LIST, [pipeline])]


def forget(store: Store, *, before: float, pipeline: str | None = None) -> tuple[int, int]:
    """Let no answer serve that was given before this time of day. Raises StoreError.

    Gives how many there were and how many different questions they answer, which is what `cached_tasks` counts.
    """
    gate = Gate(store.directory / location.GATE)
    try:
        with gate, told(store.database):
            connection = open_for_writing(store.database, store.durability)
            try:
                connection.execute("BEGIN IMMEDIATE")
                counted = f"SELECT COUNT(*), COUNT(DISTINCT key) FROM answers WHERE {_FORGOTTEN}"
                answers, questions = connection.execute(counted, [before, pipeline]).fetchone()
                connection.execute(f"UPDATE answers SET key = '' WHERE {_FORGOTTEN}", [before, pipeline])
                connection.execute("COMMIT")
            finally:
                connection.close()
    finally:
        gate.close()
    return answers, questions
