"""How many items each `foreach` had: what the next plan assumes."""

from __future__ import annotations

from llmflow.history.store import Store

_COUNTS = """SELECT name, COUNT(*) FROM tasks WHERE item IS NOT NULL AND run = (
    SELECT run FROM runs WHERE pipeline = ? AND status = 'succeeded' ORDER BY started_at DESC, run DESC LIMIT 1)
    GROUP BY name"""


def item_counts(store: Store, pipeline: str) -> dict[str, int]:
    """Task name → the items (or pieces) it had in the pipeline's last run that succeeded."""
    return dict(store.rows(_COUNTS, [pipeline]))
