"""The closing lines of a run, for people and as data (`llmflow.run/1`)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from itertools import chain
from math import fsum, isnan
from typing import Any

from llmflow.protocol import Usage
from llmflow.quantities import input_output_text, plural, ratio_text, second_calls_text, share_text
from llmflow.reports.chain_text import chain_text
from llmflow.reports.summary import PoolUse, RunSummary
from llmflow.sanitise import clip, one_line
from llmflow.scheduling.state import FIRST_SETTLED, RunState, Status

FAILURES, WORKERS = 5, 8
"""How many failures and how many workers of a pool are written out."""


def render_summary(summary: RunSummary) -> str:
    """Some lines without a line end behind the last; safe to print."""
    total = sum(summary.counts.values())
    counts = ", ".join(f"{n:,} {word}" for word, n in summary.counts.items())
    lines = [f"run {summary.status or 'unfinished'}: {plural(total, 'task')}, {counts}"]
    for failure in summary.failures[:FAILURES]:
        accepted = " (accepted)" if failure.accepted else ""
        reason = clip(one_line(f"{failure.kind}: {failure.detail}" if failure.detail else failure.kind), 300)
        lines.append(_labelled("failed", f"{one_line(failure.task)}{accepted}: {reason}"))
    if len(summary.failures) > FAILURES:
        lines.append(_labelled("", f"… {plural(len(summary.failures) - FAILURES, 'more failure')}"))
    bound = f"lower bound {summary.lower_bound:.2f} s ({summary.bound_kind}), ratio {ratio_text(summary.ratio)}"
    lines.append(_labelled("makespan", f"{summary.makespan:.2f} s · {bound}"))
    lines.append(_labelled("fifo", f"{summary.fifo_makespan:.2f} s, first in, first out on the same durations"))
    if summary.critical_path:
        lines.append(_labelled("critical path", chain_text(summary.critical_path, summary.causes)))
    lines += [_labelled("workers", _pool_text(pool)) for pool in summary.pools]
    if summary.copies:
        lines.append(_labelled("hedged", second_calls_text(summary.copies, summary.overtaken)))
    if summary.usage != Usage():
        lines.append(_labelled("tokens", input_output_text(summary.usage)))
    return "\n".join(lines)


def run_json(
    summary: RunSummary,
    state: RunState,
    *,
    run: str,
    outputs: Any,
    usage: Mapping[int, Usage],
    cost_usd: float | None = None,
) -> dict[str, Any]:
    """`llmflow.run/1`: seconds as numbers, null where something is unknown or has not happened.

    `tasks` has those that are written in the file; of a `foreach` the attempts and seconds of all its
    items, and how many of them settled how.
    """
    errors = {failure.task: failure for failure in summary.failures}
    tasks: dict[str, Any] = {}
    grown = _grown(state)
    for task, name in enumerate(state.graph.names[: state.grown[0][0] if state.grown else None]):
        if name.endswith("/"):
            continue  # the entry of a sub-pipeline
        entry: dict[str, Any] = {
            "status": _status(state.status[task]),
            "attempts": state.attempts[task],
            "duration": summary.held[task],
            "started": _number(state.first_started_at[task]),
            "finished": _number(state.ended_at[task]),
        }
        used = usage.get(task, Usage())
        if task in grown:
            items = grown[task]
            statuses = Counter(_status(state.status[item]) for item in items)
            entry["items"] = dict(sorted(statuses.items()))
            entry["attempts"] = sum(state.attempts[item] for item in items)
            entry["duration"] = fsum(summary.held[item] for item in items)
            used = sum((usage[item] for item in items if item in usage), used)
        if used != Usage():
            entry["usage"] = usage_json(used)
        if name in errors:
            failure = errors[name]
            entry["error"] = {"kind": failure.kind, "detail": failure.detail, "accepted": failure.accepted}
        tasks[name] = entry
    return {
        "schema": "llmflow.run/1",
        "run": run,
        "status": summary.status,
        "outputs": outputs,
        "makespan": summary.makespan,
        "lower_bound": summary.lower_bound,
        "lower_bound_kind": summary.bound_kind,
        "ratio": _number(summary.ratio),
        "fifo_makespan": summary.fifo_makespan,
        "critical_path": list(summary.critical_path),
        "pools": [_pool_json(pool) for pool in summary.pools],
        "second_calls": {"made": summary.copies, "answered_first": summary.overtaken},
        "tasks": tasks,
        "usage": usage_json(summary.usage),
        "cost_usd": cost_usd,
    }


class _Grown:
    """Tasks that were added below a group, as ranges of integers."""

    def __init__(self) -> None:
        self._parts: list[range] = []

    def add(self, part: range) -> None:
        self._parts.append(part)

    def __iter__(self) -> Iterator[int]:
        return chain.from_iterable(self._parts)


def _grown(state: RunState) -> dict[int, _Grown]:
    """Group → its items, with what they consist of where they are sub-pipelines."""
    grown: dict[int, _Grown] = defaultdict(_Grown)
    inner: list[range] = []
    for first, size, parent in state.grown:
        if parent < 0:
            inner.append(range(first, first + size))
            continue
        for part in (*inner, range(first, first + size)):
            grown[parent].add(part)
        inner = []
    return grown


def usage_json(usage: Usage) -> dict[str, Any]:
    """Tokens as data, with the words of `Usage`."""
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "estimated": usage.estimated,
    }


def _labelled(label: str, text: str) -> str:
    return f"{label:<14}{text}"


def _pool_text(pool: PoolUse) -> str:
    count = str(pool.workers) if pool.workers else f"unlimited ({len(pool.used)} used)"
    each = ", ".join(f"{use.worker}: {share_text(use.utilisation)}" for use in pool.used[:WORKERS])
    more = f", … {len(pool.used) - WORKERS:,} more" if len(pool.used) > WORKERS else ""
    return f"{one_line(pool.name)} × {count}, {share_text(pool.utilisation)} busy ({each}{more})"


def _pool_json(pool: PoolUse) -> dict[str, Any]:
    return {
        "name": pool.name,
        "workers": pool.workers or None,
        "busy": pool.busy,
        "utilisation": pool.utilisation,
        "used": [{"worker": use.worker, "busy": use.busy, "utilisation": use.utilisation} for use in pool.used],
    }


def _status(status: int) -> str:
    """An accepted failure has failed; whatever has not settled is pending."""
    if status < FIRST_SETTLED:
        return "pending"
    return "failed" if status == Status.ACCEPTED else Status(status).name.lower()


def _number(value: float) -> float | None:
    return None if isnan(value) else value
