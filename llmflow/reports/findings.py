"""What stands out in the statistics, each with its numbers and what could be done about it.

A finding needs enough runs or samples to rest on, and says how many it has. They come in the order
of how much of the makespan they concern; those that concern none come last.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from llmflow.quantities import plural, seconds_text, share_text
from llmflow.reports.stats import PathRow, RunsRow, Statistics, TaskRow
from llmflow.reports.time_booking import APPROVAL, ASKED_AGAIN, BACKOFF, FAILED, LLMFLOW, RATE_LIMIT, WORKER
from llmflow.scheduling.tendencies import CERTAIN

SHARE, LOST = 0.25, 0.05
"""Parts of the makespan from which on a task, or a kind of lost time, is spoken of."""

NOTICEABLE = 0.1
"""Seconds below which no time is worth winning back."""

ENOUGH = 10
"""Samples from which on rates and spreads are spoken of."""

HIGH_CV, FAILING, WIDE = 0.5, 0.05, 3

_LOST = {
    WORKER: (
        "the critical path waited for a worker",
        "give it more workers (-j, or `workers` of the provider), or let it share them with less",
    ),
    RATE_LIMIT: (
        "the critical path waited for a rate limit",
        "give the provider fewer `workers`, spread the calls over a second one, or ask for a higher limit",
    ),
    BACKOFF: (
        "the critical path waited before retries",
        "see the failures below; a shorter `retry.backoff.initial` helps where they pass quickly",
    ),
    FAILED: (
        "attempts that failed took part of the critical path",
        "a `timeout` nearer to the p99 of the task finds out sooner",
    ),
    ASKED_AGAIN: (
        "answers that could not be used were asked for again on the critical path",
        "simplify the schema, give an example in the prompt, or choose a model with a structured mode",
    ),
    APPROVAL: (
        "the critical path waited for a person",
        "put `approve` where other work goes on meanwhile",
    ),
    LLMFLOW: (
        "llmflow itself took part of the critical path",
        "on a slow disk `--durability normal` helps; if it does not, please report it",
    ),
}

_CURES = {
    "rate_limit": "give the provider fewer `workers`, or ask for a higher limit",
    "overloaded": "name a second model to fall back on: `model: [first, second]`",
    "timeout": "raise `timeout`, or ask for a shorter answer with `max_output_tokens`",
    "invalid_output": "simplify the schema, or give an example in the prompt",
    "truncated": "raise `max_output_tokens`, or `on_truncated: extend`",
    "context_overflow": "shorten what the prompt quotes, or name a model with a larger context to fall back on",
}


_MODEL = "shorten this one first: a faster model, a shorter answer, or two tasks side by side"
_SHORTER = {
    **dict.fromkeys(("model", "foreach", "reduce"), _MODEL),
    "approve": "a person is waited for: put `approve` where other work goes on meanwhile",
}
"""What to do about a task that takes much of the makespan, by its action."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`weight`: the part of the makespan it concerns, 0 where that cannot be said."""

    kind: str
    pipeline: str
    task: str
    text: str
    next_step: str
    weight: float = 0.0
    numbers: Mapping[str, float | int | str | None] = field(default_factory=dict)


def findings(statistics: Statistics, task: str | None = None) -> list[Finding]:
    """All of them, the weightiest first; only those about `task` where one is named."""
    paths = {(path.pipeline, path.task): path for runs in statistics.runs for path in runs.paths}
    found = [finding for runs in statistics.runs for finding in _of_runs(runs)]
    for row in statistics.tasks:
        found += _of_task(row, paths.get((row.pipeline, row.task)))
    for pipeline, pairs in statistics.pairs.items():
        found += [
            Finding(
                "correlated",
                pipeline,
                f"{pair.first}, {pair.second}",
                f"{pair.first} and {pair.second} are slow in the same runs: r = {pair.r:.2f} over {pair.n} runs",
                "look for what they share: the endpoint, its load, or the size of what is put in",
                numbers={"r": pair.r, "t": pair.t, "n": pair.n},
            )
            for pair in pairs[:3]
        ]
    if task is not None:
        found = [one for one in found if task in [name.partition("[")[0] for name in one.task.split(", ")]]
    return sorted(found, key=lambda finding: -finding.weight)


def _of_runs(row: RunsRow) -> Iterator[Finding]:
    over = f"over {plural(row.read, 'run')}"
    makespan = row.makespans.mean
    for column, (text, step) in _LOST.items():
        share = row.columns.get(column, 0.0) / makespan if makespan else 0.0
        seconds = row.columns.get(column, 0.0)
        if share >= LOST and seconds >= NOTICEABLE:
            yield Finding(
                f"lost_{column}",
                row.pipeline,
                "",
                f"{text}: {seconds_text(seconds)} of {seconds_text(makespan)} ({share_text(share)}) {over}",
                step,
                share,
                {"seconds": seconds, "share": share, "runs": row.read},
            )
    for path in row.paths:
        yield from _of_path(path)
    for pool in row.pools:
        if pool.workers and pool.peak < pool.workers and pool.runs >= 3:
            yield Finding(
                "idle_workers",
                row.pipeline,
                "",
                f"{pool.pool} never had more than {pool.peak} of its {pool.workers} workers busy {over}",
                f"{plural(pool.peak, 'worker')} would do as well",
                numbers={"workers": pool.workers, "peak": pool.peak, "utilisation": pool.utilisation},
            )


def _of_path(path: PathRow) -> Iterator[Finding]:
    on_path = f"on the critical path in {path.on_path} of {plural(path.runs, 'run')}"
    if path.share >= SHARE:
        yield Finding(
            "bottleneck",
            path.pipeline,
            path.task,
            f"{path.task} makes {share_text(path.share)} of the makespan, {on_path}",
            _SHORTER.get(path.kind, "shorten this one first, or cut it into tasks that go side by side"),
            path.share,
            {"share": path.share, "on_path": path.on_path, "runs": path.runs},
        )
    if path.dependents >= WIDE and 2 * path.on_path >= path.runs and path.share >= 0.01:
        yield Finding(
            "fan_out",
            path.pipeline,
            path.task,
            f"{plural(path.dependents, 'task')} wait for {path.task}, which ends after {share_text(path.finish)} "
            f"of the makespan, {on_path}",
            "let those that need only a part of it depend on a smaller task, or give it a higher `priority`",
            path.share,
            {"dependents": path.dependents, "finish": path.finish, "on_path": path.on_path, "runs": path.runs},
        )


def _of_task(task: TaskRow, path: PathRow | None) -> Iterator[Finding]:
    name = task.task if task.item is None else f"{task.task}[{task.item}]"
    weight = path.share if path is not None else 0.0
    known = task.durations
    if known.n >= ENOUGH and task.cv >= HIGH_CV:
        yield Finding(
            "high_variance",
            task.pipeline,
            name,
            f"{name} varies: CV {task.cv:.2f}, p99 {seconds_text(task.p99)} against p50 {seconds_text(known.p50)} "
            f"over {known.n:,} samples",
            "split it if long inputs make it slow, `cache` it if inputs repeat, `hedge` it if it is chance",
            weight * task.cv / (1 + task.cv),
            {"cv": task.cv, "p50": known.p50, "p90": known.p90, "p99": task.p99, "n": known.n},
        )
    if task.attempts >= ENOUGH and task.failure_rate >= FAILING:
        kind, times = task.failures[0]
        yield Finding(
            "failures",
            task.pipeline,
            name,
            f"{name} fails: {task.failed:,} of {task.attempts:,} attempts ({share_text(task.failure_rate)}), "
            f"{times:,} of them {kind}",
            _CURES.get(kind, "`llmflow show RUN TASK` shows every attempt with its error"),
            weight * task.failure_rate,
            {"failed": task.failed, "attempts": task.attempts, "commonest": kind, "times": times},
        )
    if task.trend is not None and task.trend.is_clear:
        word = "slower" if task.trend.change > 0 else "faster"
        meanwhile = ", the prompt has changed meanwhile" if task.prompts > 1 else ""
        yield Finding(
            "trend",
            task.pipeline,
            name,
            f"{name} gets {word}: {100 * task.trend.change:+.0f} % over {task.trend.n:,} samples "
            f"(t = {_t(task.trend.t)}){meanwhile}",
            "`llmflow diff` of an early and a late run shows what changed",
            weight * min(1.0, abs(task.trend.change)),
            {"change": task.trend.change, "t": task.trend.t, "n": task.trend.n, "prompts": task.prompts},
        )
    for hour in task.hours[:1]:
        yield Finding(
            "slow_hour",
            task.pipeline,
            name,
            f"{name} is slower from {hour.hour:02d} to {(hour.hour + 1) % 24:02d} h: {hour.ratio:.2f} × its usual time "
            f"({hour.n:,} of {hour.total:,} samples, t = {_t(hour.t)})",
            "run it at another time, or name a second provider",
            weight * (1 - 1 / hour.ratio),
            {"hour": hour.hour, "ratio": hour.ratio, "t": hour.t, "n": hour.n, "total": hour.total},
        )


def _t(value: float) -> str:
    return "∞" if abs(value) >= CERTAIN else f"{value:.1f}"
