"""What was foretold of runs that went to their end by themselves, and what came."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from llmflow.history.store import Store
from llmflow.history.texts import unpacked_json

Quantiles = tuple[float, float, float]
"""P10, P50, P90."""


class Foretold(NamedTuple):
    """One run: makespan in seconds, tokens of all its calls. None where nothing was foretold."""

    pipeline: str
    started_at: float
    makespan: float
    tokens: int
    of_makespan: Quantiles | None
    of_tokens: Quantiles | None


def foretold(store: Store, *, pipeline: str | None = None, since: float | None = None) -> Iterator[Foretold]:
    """The runs that can be judged, oldest first.

    Left out are runs that failed or were stopped, that went on after an interruption, and that had
    answers of earlier runs: none of them did what was foretold.
    """
    where = "status = 'succeeded' AND forecast IS NOT NULL AND makespan IS NOT NULL"
    where += " AND pipeline = ?" * (pipeline is not None) + " AND started_at >= ?" * (since is not None)
    parameters = [value for value in (pipeline, since) if value is not None]
    sql = f"SELECT pipeline, started_at, makespan, forecast, summary FROM runs WHERE {where} ORDER BY started_at, run"
    for key, started_at, makespan, packed_forecast, packed_summary in store.rows(sql, parameters):
        told, came = unpacked_json(packed_forecast), unpacked_json(packed_summary)
        if came.get("resumed") or came.get("answers_reused"):
            continue
        usage = came.get("usage", {})
        tokens = usage.get("input_tokens", 0) + usage.get("output_tokens", 0)
        found = Foretold(key, started_at, makespan, tokens, _quantiles(told), _quantiles(told.get("tokens")))
        if found.of_makespan is not None or found.of_tokens is not None:
            yield found


def _quantiles(told: Any) -> Quantiles | None:
    if not isinstance(told, dict) or told.get("p10") is None:
        return None
    return told["p10"], told["p50"], told["p90"]
