"""What all past runs together say of tasks, workers and waits: the numbers, before anybody writes them down.

Durations, outcomes and tokens come from every sample there is; what only a whole story tells (waits,
the critical path, how busy workers were) comes from the youngest runs, and says from how many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import fsum
from typing import NamedTuple, Protocol

from llmflow.reports.past_run import PastRun
from llmflow.reports.spans import Span
from llmflow.reports.time_booking import COLUMNS, DEPENDENCY, WAITS
from llmflow.scheduling.statistics import Summary, mean, quantile, summary
from llmflow.scheduling.tendencies import HourEffect, Pair, Trend, correlated, slow_hours, trend

LATEST = 16
"""How many of the youngest durations are kept to be drawn."""

CAUSES = tuple(cause for cause in WAITS if cause != DEPENDENCY)
"""What a ready task may wait for."""


class Key(Protocol):
    """Whose numbers: `item` is None unless items are told apart."""

    @property
    def pipeline(self) -> str: ...
    @property
    def task(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def item(self) -> str | None: ...


class Counted(Protocol):
    """How attempts ended; see `TaskRow`."""

    @property
    def attempts(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def executions(self) -> int: ...
    @property
    def retried(self) -> int: ...
    @property
    def prompts(self) -> int: ...
    @property
    def input_tokens(self) -> float | None: ...
    @property
    def output_tokens(self) -> float | None: ...
    @property
    def failures(self) -> Sequence[tuple[str, int]]: ...
    @property
    def extra_calls(self) -> int: ...


class Measured(Protocol):
    """One successful attempt."""

    @property
    def key(self) -> Key: ...
    @property
    def seconds(self) -> float: ...
    @property
    def started_at(self) -> float: ...
    @property
    def run(self) -> int: ...


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One task on one model. Durations of its successful attempts, in seconds; tokens are means per attempt.

    `failed` of `attempts` gave no usable answer, the commonest reasons first in `failures`;
    `retried` of `executions` needed another attempt. `prompts`: how many templates it had.
    `extra_calls`: those that another call of the same attempt was faster than, no attempts of their own.
    """

    pipeline: str
    task: str
    model: str
    item: str | None
    durations: Summary
    p99: float
    trend: Trend | None
    latest: tuple[float, ...]
    attempts: int
    failed: int
    executions: int
    retried: int
    prompts: int
    input_tokens: float | None
    output_tokens: float | None
    failures: Sequence[tuple[str, int]] = ()
    hours: Sequence[HourEffect] = ()
    extra_calls: int = 0

    @property
    def cv(self) -> float:
        """The coefficient of variation: sd ÷ mean, 0 where there is no mean."""
        return self.durations.sd / self.durations.mean if self.durations.mean else 0.0

    @property
    def failure_rate(self) -> float:
        return self.failed / self.attempts if self.attempts else 0.0

    @property
    def retry_rate(self) -> float:
        return self.retried / self.executions if self.executions else 0.0


class PathRow(NamedTuple):
    """One task in the runs that were read. Means over those of its pipeline.

    `on_path` of `runs` had it on the critical path; `share`: the part of the makespan booked to it;
    `waits`: cause → seconds per run that it was ready and waited; `finish`: its end as a part of
    the makespan; `dependents`: tasks directly behind it, in the youngest run; `kind`: its action in that run.
    """

    pipeline: str
    task: str
    runs: int
    on_path: int
    share: float
    waits: Mapping[str, float]
    finish: float
    dependents: int
    kind: str = ""


class PoolRow(NamedTuple):
    """The workers of one pool. `workers` is None where there is no cap; `peak`: most that were busy at once.

    `utilisation`: the busy part of the workers' time, on average (without a cap: of `peak` workers).
    """

    pipeline: str
    pool: str
    runs: int
    workers: int | None
    peak: int
    utilisation: float


@dataclass(frozen=True, slots=True)
class RunsRow:
    """The runs of one pipeline that were read: `read` of `total`. `columns`: column → seconds per run."""

    pipeline: str
    read: int
    makespans: Summary
    columns: Mapping[str, float]
    paths: Sequence[PathRow]
    pools: Sequence[PoolRow]


@dataclass(frozen=True, slots=True)
class Statistics:
    """Everything. `total`: runs that ended by themselves; the youngest of them were read. `pairs` by pipeline."""

    tasks: Sequence[TaskRow] = ()
    runs: Sequence[RunsRow] = ()
    total: int = 0
    pairs: Mapping[str, Sequence[Pair]] = field(default_factory=dict)

    @property
    def read(self) -> int:
        return sum(row.read for row in self.runs)

    def of_its_tasks(self) -> Statistics:
        """Without what is about tasks that have no row."""
        shown = {(row.pipeline, row.task) for row in self.tasks}
        return replace(
            self,
            runs=[
                replace(row, paths=[path for path in row.paths if (path.pipeline, path.task) in shown])
                for row in self.runs
            ],
        )


def task_rows(
    samples: Iterable[Measured], counts: Iterable[tuple[Key, Counted]], hour_of: Callable[[float], int]
) -> tuple[list[TaskRow], dict[str, list[Pair]]]:
    """(rows in the order of `counts`, pairs of tasks by pipeline). `samples`: oldest first; `hour_of` a time of day."""
    taken: dict[Key, list[tuple[float, float]]] = {}
    by_run: dict[str, dict[str, dict[int, list[float]]]] = {}
    for sample in samples:
        taken.setdefault(sample.key, []).append((sample.seconds, sample.started_at))
        tasks = by_run.setdefault(sample.key.pipeline, {})
        tasks.setdefault(sample.key.task, {}).setdefault(sample.run, []).append(sample.seconds)
    rows = [_task_row(key, counted, taken.get(key, []), hour_of) for key, counted in counts]
    pairs = {
        pipeline: correlated(
            {task: {run: mean(seconds) for run, seconds in runs.items() if run} for task, runs in tasks.items()}
        )
        for pipeline, tasks in by_run.items()
    }
    return rows, {pipeline: found for pipeline, found in pairs.items() if found}


def _task_row(
    key: Key, counted: Counted, taken: Sequence[tuple[float, float]], hour_of: Callable[[float], int]
) -> TaskRow:
    seconds = [duration for duration, _ in taken]
    return TaskRow(
        pipeline=key.pipeline,
        task=key.task,
        model=key.model,
        item=key.item,
        durations=summary(seconds),
        p99=quantile(sorted(seconds), 0.99),
        trend=trend(seconds),
        latest=tuple(seconds[-LATEST:]),
        attempts=counted.attempts,
        failed=counted.failed,
        executions=counted.executions,
        retried=counted.retried,
        prompts=counted.prompts,
        input_tokens=counted.input_tokens,
        output_tokens=counted.output_tokens,
        failures=counted.failures,
        extra_calls=counted.extra_calls,
        hours=slow_hours((hour_of(started_at), duration) for duration, started_at in taken),
    )


def run_rows(runs: Iterable[PastRun]) -> list[RunsRow]:
    """One row per pipeline, in the order in which they come; the youngest run of each comes first."""
    groups: dict[str, list[PastRun]] = {}
    for run in runs:
        groups.setdefault(run.facts.pipeline, []).append(run)
    return [_runs_row(pipeline, group) for pipeline, group in groups.items()]


def _runs_row(pipeline: str, group: Sequence[PastRun]) -> RunsRow:
    columns = {column: mean([run.booking.seconds(column) for run in group]) for column in COLUMNS}
    return RunsRow(
        pipeline=pipeline,
        read=len(group),
        makespans=summary(run.makespan for run in group),
        columns={column: seconds for column, seconds in columns.items() if seconds},
        paths=_paths(pipeline, group),
        pools=_pools(pipeline, group),
    )


@dataclass(slots=True)
class _Sums:
    """A task over several runs, while it is summed up."""

    runs: int = 0
    on_path: int = 0
    shares: list[float] = field(default_factory=list)
    waits: dict[str, float] = field(default_factory=dict)
    finishes: list[float] = field(default_factory=list)


def _paths(pipeline: str, group: Sequence[PastRun]) -> list[PathRow]:
    sums: dict[str, _Sums] = {}
    for run in group:
        names = [task.facts.name for task in run.tasks]
        booked: dict[str, float] = {}
        for step in run.booking.steps:
            booked[names[step.task]] = booked.get(names[step.task], 0.0) + step.seconds
        finish: dict[str, float] = {}
        for task in run.tasks:
            sum_ = sums.setdefault(task.facts.name, _Sums())
            for cause in CAUSES:
                if cause in task.times:
                    sum_.waits[cause] = sum_.waits.get(cause, 0.0) + task.times[cause]
            finish[task.facts.name] = max(finish.get(task.facts.name, 0.0), task.finished or 0.0)
        for name, end in finish.items():
            sum_ = sums[name]
            sum_.runs += 1
            sum_.on_path += name in booked
            sum_.shares.append(booked.get(name, 0.0) / run.makespan if run.makespan else 0.0)
            sum_.finishes.append(end / run.makespan if run.makespan else 0.0)
    behind = _dependents(group[0])
    kinds = {task.facts.name: task.facts.kind for task in reversed(group[0].tasks)}
    return [
        PathRow(
            pipeline,
            name,
            sum_.runs,
            sum_.on_path,
            mean(sum_.shares),
            {cause: seconds / sum_.runs for cause, seconds in sum_.waits.items()},
            mean(sum_.finishes),
            behind.get(name, 0),
            kinds.get(name, ""),
        )
        for name, sum_ in sums.items()
    ]


def _dependents(run: PastRun) -> dict[str, int]:
    """Task name → how many tasks are directly behind it, the items of one counted once."""
    behind: dict[str, set[str]] = {}
    for task in run.tasks:
        for d in task.facts.dependencies:
            behind.setdefault(run.tasks[d].facts.name, set()).add(task.facts.name)
    return {name: len(names - {name}) for name, names in behind.items()}


def _pools(pipeline: str, group: Sequence[PastRun]) -> list[PoolRow]:
    found: dict[str, list[tuple[int | None, int, float]]] = {}
    for run in group:
        by_pool: dict[int, list[Span]] = {}
        for span in run.spans:
            by_pool.setdefault(span.pool, []).append(span)
        for pool, spans in sorted(by_pool.items()):
            name, workers = run.pools[pool]
            peak = _peak(spans)
            capacity = (workers or peak) * run.makespan
            busy = fsum(span.seconds for span in spans) / capacity if capacity else 0.0
            found.setdefault(name, []).append((workers, peak, min(1.0, busy)))
    return [
        PoolRow(
            pipeline,
            name,
            len(rows),
            rows[0][0],
            max(peak for _, peak, _ in rows),
            mean([busy for _, _, busy in rows]),
        )
        for name, rows in found.items()
    ]


def _peak(spans: Sequence[Span]) -> int:
    """How many of the attempts ran at once at most; one that ends when another begins is not counted beside it."""
    moments = sorted([(span.start, 1) for span in spans] + [(span.end, -1) for span in spans])
    most = now = 0
    for _, step in moments:
        now += step
        most = max(most, now)
    return most
