"""The statistics of past runs: as tables with small charts, as data (`llmflow.stats/1`), as CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any

from llmflow.quantities import plural, seconds_text, share_text
from llmflow.reports.columns import Column, render_columns
from llmflow.reports.findings import Finding
from llmflow.reports.stats import CAUSES, PathRow, RunsRow, Statistics, TaskRow
from llmflow.reports.time_booking import COLUMNS
from llmflow.sanitise import clip, one_line
from llmflow.scheduling.statistics import Summary

NO_SAMPLES = "no samples yet: run a pipeline first"

BARS = "▁▂▃▄▅▆▇█"
BINS, BAR = 8, 40
"""Of a histogram: how many ranges, and how long the longest bar is."""

FINDINGS = 10

UNKNOWN_COST = "no price"
"""What stands where tokens are known and nobody has said what they cost."""

CSV_HEAD = (
    "task", "model", "count", "failed", "mean", "sd", "p50", "p90", "min", "max", "input_tokens", "output_tokens",
    "pipeline", "item", "cv", "p99", "trend", "attempts", "failure_rate", "executions", "retry_rate", "prompts",
    "cost_usd", "runs", "on_path", "path_share", *(f"wait_{cause}" for cause in CAUSES), "finish", "dependents",
    "extra_calls",
)  # fmt: skip
"""Columns are only ever added at the end."""

_DURATIONS = (
    Column("TASK", most=32),
    Column("MODEL", most=28),
    *(Column(head, right=True) for head in ("N", "MEAN", "SD", "CV", "P50", "P90", "P99", "TREND")),
    Column("LATELY"),
)
_DOINGS = (
    Column("TASK", most=32),
    *(Column(head, right=True) for head in ("TRIES", "FAILED", "RETRIED", "IN", "OUT", "COST", "ON PATH", "SHARE")),
    Column("READY BUT WAITED", most=40),
    Column("BEHIND", right=True),
)


def render_stats(statistics: Statistics, found: Sequence[Finding], *, columns: int = 100, chart: bool = False) -> str:
    """Tables, charts and findings, without a line end behind the last line; safe to print. `chart`: histograms too."""
    rows = statistics.tasks
    if not rows:
        return NO_SAMPLES
    labels = _labels(rows)
    paths = _paths(statistics)
    parts = [_runs_text(row, statistics) for row in statistics.runs]
    cells = [[label, *_durations(row)] for label, row in zip(labels, rows, strict=True)]
    parts.append(render_columns(_DURATIONS, cells, columns))
    cells = [
        [label, *_doings(row, paths.get((row.pipeline, row.task)))] for label, row in zip(labels, rows, strict=True)
    ]
    parts.append(render_columns(_DOINGS, cells, columns))
    if chart:
        parts += [histogram(label, row) for label, row in zip(labels, rows, strict=True) if row.durations.n >= BINS]
    if found:
        parts.append(_findings(found, columns, several=len(statistics.runs) > 1))
    return "\n\n".join(parts)


def stats_json(statistics: Statistics, found: Sequence[Finding]) -> dict[str, Any]:
    """`llmflow.stats/1`: seconds, mean tokens per attempt, null where something is unknown."""
    paths = _paths(statistics)
    return {
        "schema": "llmflow.stats/1",
        "rows": [_record(row, paths.get((row.pipeline, row.task))) for row in statistics.tasks],
        "runs": {"total": statistics.total, "read": statistics.read},
        "pipelines": [_pipeline(row) for row in statistics.runs],
        "findings": [
            {
                "kind": finding.kind,
                "pipeline": finding.pipeline,
                "task": finding.task or None,
                "text": finding.text,
                "next": finding.next_step,
                "weight": finding.weight,
                "numbers": dict(finding.numbers),
            }
            for finding in found
        ],
    }


def stats_csv(statistics: Statistics) -> str:
    """With a header line; text that a spreadsheet would take for a formula gets a `'` in front."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_HEAD)
    paths = _paths(statistics)
    for row in statistics.tasks:
        path = paths.get((row.pipeline, row.task))
        record = _record(row, path)
        record["trend"] = None if row.trend is None else row.trend.change
        record |= {f"wait_{cause}": None if path is None else path.waits.get(cause, 0.0) for cause in CAUSES}
        values = [record[name] for name in CSV_HEAD]
        writer.writerow([_guarded(value) if isinstance(value, str) else value for value in values])
    return text.getvalue()


# ---- charts ---------------------------------------------------------------------------------------


def sparkline(values: Sequence[float]) -> str:
    """One bar per value, from the least to the greatest; half-high bars where all are the same."""
    if not values:
        return ""
    least, span = min(values), max(values) - min(values)
    if span <= 0.01 * max(values):  # a hundredth up or down is no picture
        return BARS[3] * len(values)
    return "".join(BARS[min(7, int(8 * (value - least) / span))] for value in values)


def histogram(label: str, row: TaskRow) -> str:
    """How often its latest durations fell into which range; the ranges widen by a constant factor."""
    least, most = min(row.latest), max(row.latest)
    if least <= 0 or most <= least:
        return ""
    factor = (most / least) ** (1 / BINS)
    counts = [0] * BINS
    for value in row.latest:
        counts[min(BINS - 1, int(math.log(value / least) / math.log(factor)))] += 1
    lines = [f"{label}: its latest {len(row.latest)} durations"]
    for i, count in enumerate(counts):
        start = seconds_text(least * factor**i)
        end = seconds_text(least * factor ** (i + 1))
        bar = "█" * round(BAR * count / max(counts))
        lines.append(f"  {start:>9} – {end:<9} {count:>4}  {bar}".rstrip())
    return "\n".join(lines)


# ---- tables ---------------------------------------------------------------------------------------


def _labels(rows: Sequence[TaskRow]) -> list[str]:
    """`task`, `task[item]`, with its pipeline in front where there are several."""
    several = len({row.pipeline for row in rows}) > 1
    labels = []
    for row in rows:
        label = row.task if row.item is None else f"{row.task}[{row.item}]"
        pipeline = row.pipeline.replace("\\", "/").rpartition("/")[2]
        labels.append(one_line(f"{pipeline}: {label}" if several else label))
    return labels


def _paths(statistics: Statistics) -> dict[tuple[str, str], PathRow]:
    return {(path.pipeline, path.task): path for row in statistics.runs for path in row.paths}


def _runs_text(row: RunsRow, statistics: Statistics) -> str:
    known = row.makespans
    name = one_line(row.pipeline.replace("\\", "/").rpartition("/")[2])
    of = f" of {statistics.total:,}" if statistics.total > statistics.read else ""
    lines = [
        f"{name}: {row.read:,}{of} {'run' if row.read == 1 and not of else 'runs'}, makespan p50 "
        f"{seconds_text(known.p50)}, p90 {seconds_text(known.p90)}"
    ]
    makespan = known.mean
    parts = [
        f"{COLUMNS[column]} {seconds_text(seconds)} ({share_text(seconds / makespan)})"
        for column, seconds in sorted(row.columns.items(), key=lambda part: -part[1])
        if makespan and seconds / makespan >= 0.005
    ]
    if parts:
        lines.append(f"  critical path  {', '.join(parts)}")
    for pool in row.pools:
        workers = "unlimited" if pool.workers is None else str(pool.workers)
        busy = f"{share_text(pool.utilisation)} busy, at most {pool.peak} at once"
        lines.append(f"  workers        {one_line(pool.pool)} × {workers}: {busy}")
    return "\n".join(lines)


def _durations(row: TaskRow) -> list[str]:
    known = row.durations
    model = one_line(row.model) or "-"
    if not known.n:
        return [model, "0", *["-"] * 7, ""]
    steady = "-" if row.trend is None else f"{100 * row.trend.change:+.0f} %" if row.trend.is_clear else "steady"
    spread = ["-", "-"] if known.n == 1 else [f"{known.sd:.2f}", f"{row.cv:.2f}"]
    quantiles = [f"{value:.2f}" for value in (known.p50, known.p90, row.p99)]
    return [model, f"{known.n:,}", f"{known.mean:.2f}", *spread, *quantiles, steady, sparkline(row.latest)]


def _doings(row: TaskRow, path: PathRow | None) -> list[str]:
    entered, left = row.input_tokens, row.output_tokens
    cells = [
        f"{row.attempts:,}+{row.extra_calls:,}" if row.extra_calls else f"{row.attempts:,}",
        share_text(row.failure_rate) if row.failed else "-",
        share_text(row.retry_rate) if row.retried else "-",
        "-" if entered is None else f"{entered:,.0f}",
        "-" if left is None else f"{left:,.0f}",
        UNKNOWN_COST if row.model else "-",
    ]
    if path is None:
        return [*cells, "-", "-", "-", "-"]
    waits = sorted(path.waits.items(), key=lambda wait: -wait[1])
    told = ", ".join(f"{cause.replace('_', ' ')} {s:.2f}" for cause, s in waits if s >= 0.005)
    return [
        *cells,
        f"{path.on_path}/{path.runs}",
        share_text(path.share) if path.on_path else "-",
        told or "-",
        str(path.dependents) if path.dependents else "-",
    ]


def _findings(found: Sequence[Finding], columns: int, *, several: bool) -> str:
    lines = ["findings"]
    for finding in found[:FINDINGS]:
        where = f"{finding.pipeline.replace(chr(92), '/').rpartition('/')[2]}: " if several else ""
        text = clip(one_line(where + finding.text), max(60, 2 * columns))
        for lead, sentence in (("  · ", text), ("    ", f"next: {one_line(finding.next_step)}")):
            width = max(40, columns)
            lines += wrap(sentence, width, initial_indent=lead, subsequent_indent="    ", break_on_hyphens=False)
    if len(found) > FINDINGS:
        lines.append(f"  … {plural(len(found) - FINDINGS, 'more finding')} with --json")
    return "\n".join(lines)


# ---- as data --------------------------------------------------------------------------------------


def _record(row: TaskRow, path: PathRow | None) -> dict[str, Any]:
    known = row.durations
    waits: Mapping[str, float] | None = None if path is None else {c: path.waits.get(c, 0.0) for c in CAUSES}
    return {
        "task": row.task,
        "model": row.model,
        "count": known.n,
        "failed": row.failed,
        **_durations_json(known),
        "min": known.minimum if known.n else None,
        "max": known.maximum if known.n else None,
        "input_tokens": row.input_tokens,
        "output_tokens": row.output_tokens,
        "pipeline": row.pipeline,
        "item": row.item,
        "cv": row.cv if known.n > 1 else None,
        "p99": row.p99 if known.n else None,
        "trend": None
        if row.trend is None
        else {"change": row.trend.change, "t": row.trend.t, "n": row.trend.n, "clear": row.trend.is_clear},
        "attempts": row.attempts,
        "extra_calls": row.extra_calls,
        "failure_rate": row.failure_rate if row.attempts else None,
        "failures": dict(row.failures),
        "executions": row.executions,
        "retry_rate": row.retry_rate if row.executions else None,
        "prompts": row.prompts,
        "cost_usd": None,
        "runs": None if path is None else path.runs,
        "on_path": None if path is None else path.on_path,
        "path_share": None if path is None else path.share,
        "waits": waits,
        "finish": None if path is None else path.finish,
        "dependents": None if path is None else path.dependents,
        "hours": [{"hour": h.hour, "ratio": h.ratio, "t": h.t, "n": h.n} for h in row.hours],
    }


def _durations_json(known: Summary) -> dict[str, float | None]:
    """Nothing is known of no durations, and no spread of one."""
    return {
        "mean": known.mean if known.n else None,
        "sd": known.sd if known.n > 1 else None,
        "p50": known.p50 if known.n else None,
        "p90": known.p90 if known.n else None,
    }


def _pipeline(row: RunsRow) -> dict[str, Any]:
    known = row.makespans
    return {
        "pipeline": row.pipeline,
        "runs": row.read,
        "makespan": _durations_json(known),
        "columns": dict(row.columns),
        "pools": [
            {"name": pool.pool, "workers": pool.workers, "peak": pool.peak, "utilisation": pool.utilisation}
            for pool in row.pools
        ],
    }


def _guarded(value: str) -> str:
    text = one_line(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
