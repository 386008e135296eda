"""What the history knows of durations, per task and model: as a table, as data, as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from llmflow.reports.columns import Column, render_columns
from llmflow.sanitise import one_line
from llmflow.scheduling.statistics import TaskStatistics

NO_SAMPLES = "no samples yet: run a pipeline first"


def render_stats(rows: Sequence[TaskStatistics], *, columns: int = 100) -> str:
    """A table in the order of `rows`, without a line end behind the last line; safe to print."""
    if not rows:
        return NO_SAMPLES
    heads = (
        Column("TASK", most=32),
        Column("MODEL", most=32),
        Column("COUNT", right=True),
        Column("FAILED", right=True),
        Column("MEAN", right=True),
        Column("SD", right=True),
        Column("P50", right=True),
        Column("P90", right=True),
        Column("TOKENS IN", right=True),
        Column("OUT", right=True),
    )
    return render_columns(heads, [_cells(row) for row in rows], columns)


def stats_json(rows: Sequence[TaskStatistics]) -> dict[str, Any]:
    """`llmflow.stats/1`: one object per row; seconds, mean tokens per attempt, null where there were none."""
    return {"schema": "llmflow.stats/1", "rows": [_record(row) for row in rows]}


def stats_csv(rows: Sequence[TaskStatistics]) -> str:
    """With a header line; text that a spreadsheet would take for a formula gets a `'` in front."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        ["task", "model", "count", "failed", "mean", "sd", "p50", "p90", "min", "max", "input_tokens", "output_tokens"]
    )
    for row in rows:
        writer.writerow([_guarded(value) if isinstance(value, str) else value for value in _record(row).values()])
    return text.getvalue()


def _cells(row: TaskStatistics) -> list[str]:
    known = row.durations
    seconds = (known.mean, known.sd, known.p50, known.p90)
    return [
        one_line(row.task),
        one_line(row.model) or "-",
        f"{known.n:,}",
        f"{row.failed:,}",
        *(f"{value:.2f} s" if known.n else "-" for value in seconds),
        "-" if row.input_tokens is None else f"{row.input_tokens:,.0f}",
        "-" if row.output_tokens is None else f"{row.output_tokens:,.0f}",
    ]


def _record(row: TaskStatistics) -> dict[str, Any]:
    known = row.durations
    return {
        "task": row.task,
        "model": row.model,
        "count": known.n,
        "failed": row.failed,
        "mean": known.mean,
        "sd": known.sd,
        "p50": known.p50,
        "p90": known.p90,
        "min": known.minimum,
        "max": known.maximum,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
    }


def _guarded(value: str) -> str:
    text = one_line(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
