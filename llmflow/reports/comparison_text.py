"""A comparison for people, and as data (`llmflow.compare/1`)."""

from __future__ import annotations

from math import isnan
from typing import Any

from llmflow.quantities import plural, ratio_text, share_text
from llmflow.reports.chain_text import chain_text
from llmflow.reports.columns import Column, render_columns
from llmflow.reports.comparison import Comparison, Configuration, findings
from llmflow.reports.plan import NO_HISTORY
from llmflow.sanitise import one_line


def render_comparison(comparison: Comparison, *, columns: int = 100) -> str:
    """Text without a line end behind the last line; safe to print."""
    structure = comparison.structure
    unit = "s" if comparison.estimated else "units"
    how = "really executed" if comparison.executed else "simulated"
    lines = [
        f"{one_line(comparison.name)}: {plural(structure.tasks, 'task')}, {plural(structure.edges, 'edge')}, "
        f"{plural(structure.levels, 'level')}, at most {structure.widest:,} on one; {how}"
    ]
    if not comparison.estimated:
        lines.append(NO_HISTORY)
    lines.append(f"{'critical path':<15}{chain_text(structure.critical_path)} = {structure.length:.2f} {unit}")
    lines.append(f"{'work':<15}{structure.work:.2f} {unit}")
    if comparison.limits:
        at_once = ", ".join(f"{one_line(name)} × {size:,}" for name, size in comparison.limits)
        lines.append(f"{'at most':<15}{at_once} at once, whatever the run allows")
    parts = ["\n".join(lines), _table(comparison, columns)]
    said = findings(comparison)
    if said:
        parts.append("\n".join(["findings", *(f"- {sentence}" for sentence in said)]))
    return "\n\n".join(parts)


def _table(comparison: Comparison, columns: int) -> str:
    sampled = any(c.p50 is not None for c in comparison.configurations)
    rows = [
        [
            str(c.workers) if c.workers else "unlimited",
            c.policy,
            f"{c.makespan:.2f}",
            *([_seconds(c.mean), _seconds(c.p50), _seconds(c.p90)] if sampled else []),
            f"{c.lower_bound:.2f}",
            ratio_text(c.ratio),
            f"{comparison.speed_up(c):.2f}",
            share_text(c.utilisation),
            chain_text(c.critical_path, c.causes),
        ]
        for c in comparison.configurations
    ]
    heads = (
        Column("WORKERS"),
        Column("POLICY"),
        Column("MAKESPAN", right=True),
        *((Column("MEAN", right=True), Column("P50", right=True), Column("P90", right=True)) if sampled else ()),
        Column("BOUND", right=True),
        Column("RATIO", right=True),
        Column("SPEED-UP", right=True),
        Column("BUSY", right=True),
        Column("CRITICAL PATH", most=60),
    )
    return render_columns(heads, rows, columns)


def _seconds(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """`llmflow.compare/1`: seconds as numbers, null where something is unknown."""
    structure = comparison.structure
    return {
        "schema": "llmflow.compare/1",
        "name": comparison.name,
        "executed": comparison.executed,
        "estimated": comparison.estimated,
        "structure": {
            "tasks": structure.tasks,
            "edges": structure.edges,
            "levels": structure.levels,
            "widest": structure.widest,
            "work": structure.work,
            "critical_path": list(structure.critical_path),
            "critical_path_length": structure.length,
            "parallelism": structure.parallelism,
        },
        "limits": dict(comparison.limits),
        "configurations": [_configuration(comparison, c) for c in comparison.configurations],
        "findings": findings(comparison),
    }


def _configuration(comparison: Comparison, c: Configuration) -> dict[str, Any]:
    speed_up = comparison.speed_up(c)
    return {
        "workers": c.workers or None,
        "policy": c.policy,
        "order": c.order,
        "makespan": c.makespan,
        "mean": c.mean,
        "p50": c.p50,
        "p90": c.p90,
        "lower_bound": c.lower_bound,
        "ratio": None if isnan(c.ratio) else c.ratio,
        "speed_up": None if isnan(speed_up) else speed_up,
        "utilisation": c.utilisation,
        "critical_path": list(c.critical_path),
    }
