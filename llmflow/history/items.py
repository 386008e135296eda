"""How many items each `foreach` had and how many calls each loop made: what the next plan assumes."""

from __future__ import annotations

from llmflow.history.store import Store

_COUNTS = """SELECT name, COUNT(*) FROM tasks WHERE item IS NOT NULL AND run = (
    SELECT run FROM runs WHERE pipeline = ? AND status = 'succeeded' ORDER BY started_at DESC, run DESC LIMIT 1)
    GROUP BY name"""

LATEST_RUNS = 20
"""Over so many runs that succeeded the calls of a loop are averaged."""

_ROUNDS = """SELECT task, COUNT(*) * 1.0 / COUNT(DISTINCT samples.run || ':' || COALESCE(item, ''))
    FROM series JOIN samples USING (series) WHERE pipeline = ?1 AND outcome = 'succeeded' AND samples.run IN (
    SELECT run FROM runs WHERE pipeline = ?1 AND status = 'succeeded' ORDER BY started_at DESC, run DESC LIMIT ?2)
    GROUP BY task"""


def item_counts(store: Store, pipeline: str) -> dict[str, int]:
    """Task name → the items (or pieces) it had in the pipeline's last run that succeeded."""
    return dict(store.rows(_COUNTS, [pipeline]))


def mean_rounds(store: Store, pipeline: str) -> dict[str, float]:
    """Task name → the good calls that one execution of it (an item, where it has some) made, on average."""
    return dict(store.rows(_ROUNDS, [pipeline, LATEST_RUNS]))
