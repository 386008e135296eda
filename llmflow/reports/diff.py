"""What made one run slower than another: per task, ordered by its effect on the makespan.

A task's effect is the change in what was booked to it (see `time_booking`). All that is booked adds
up to a makespan, so all effects and `rest` add up to the difference of the two, exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum

from llmflow.reports.past_run import PastRun, PastTask, RunFacts
from llmflow.reports.time_booking import COLUMNS, WAITS

NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Prompts:
    """What a run asked. `templates`: task name → hashes of what its author wrote; `asked`: (name, item) → JSON."""

    templates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    asked: Mapping[tuple[str, str | None], str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Side:
    """A task, all its items together, in one of the two runs. Seconds; `waits` only where there were some."""

    items: int = 0
    held: float = 0.0
    booked: float = 0.0
    waits: Mapping[str, float] = field(default_factory=dict)
    attempts: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    models: tuple[str, ...] = ()

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class TaskDiff:
    """`effect`: seconds by which the task lengthened the second run; `prompt`: `template`, `values` or empty.

    `asked`: for a changed prompt what it was in both runs (JSON), of the first item that differs.
    """

    name: str
    first: Side | None
    second: Side | None
    effect: float
    prompt: str = ""
    differing: int = 0
    """How many items were asked something else."""
    asked: tuple[str, str] | None = None

    @property
    def held_change(self) -> float:
        return (self.second or Side()).held - (self.first or Side()).held


@dataclass(frozen=True, slots=True)
class RunDiff:
    """`columns`: (column, first, second) in seconds, only those that are in one of them; `settings` likewise."""

    first: RunFacts
    second: RunFacts
    makespans: tuple[float, float]
    columns: Sequence[tuple[str, float, float]]
    settings: Sequence[tuple[str, str, str]]
    tasks: Sequence[TaskDiff]
    rest: float
    """Seconds that belong to no task."""


def diff_runs(first: PastRun, second: PastRun, asked: tuple[Prompts, Prompts]) -> RunDiff:
    """Compare two runs, which need not be of the same pipeline."""
    booked = _booked(first), _booked(second)
    sides = _sides(first, booked[0]), _sides(second, booked[1])
    prompts = _prompt_changes(*asked)
    tasks = []
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        effect = (booked[1].get(name, 0) - booked[0].get(name, 0)) / NANO
        kind, differing, texts = prompts.get(name, ("", 0, None))
        tasks.append(TaskDiff(name, sides[0].get(name), sides[1].get(name), effect, kind, differing, texts))
    tasks.sort(key=lambda task: (-abs(task.effect), -abs(task.held_change)))
    one, two = first.booking, second.booking
    rests = [
        sum(run.booking.nanoseconds.values()) - sum(own.values())
        for run, own in zip((first, second), booked, strict=True)
    ]
    return RunDiff(
        first=first.facts,
        second=second.facts,
        makespans=(first.makespan, second.makespan),
        columns=[
            (column, one.seconds(column), two.seconds(column))
            for column in COLUMNS
            if column in one.nanoseconds or column in two.nanoseconds
        ],
        settings=_settings(first.facts, second.facts),
        tasks=tasks,
        rest=(rests[1] - rests[0]) / NANO,
    )


def _booked(run: PastRun) -> dict[str, int]:
    """Task name → nanoseconds of the makespan that were booked to it and its items."""
    booked: dict[str, int] = {}
    for step in run.booking.steps:
        name = run.tasks[step.task].facts.name
        booked[name] = booked.get(name, 0) + sum(step.nanoseconds.values())
    return booked


def _sides(run: PastRun, booked: Mapping[str, int]) -> dict[str, Side]:
    groups: dict[str, list[PastTask]] = {}
    for task in run.rows:
        groups.setdefault(task.facts.name, []).append(task)
    return {name: _side(group, booked.get(name, 0) / NANO) for name, group in groups.items()}


def _side(group: Sequence[PastTask], booked: float) -> Side:
    waits = {cause: fsum(task.times.get(cause, 0.0) for task in group) for cause in WAITS}
    used = [task.usage for task in group if task.usage is not None]
    return Side(
        items=sum(1 for task in group if task.facts.item is not None),
        held=fsum(task.held for task in group),
        booked=booked,
        waits={cause: seconds for cause, seconds in waits.items() if seconds},
        attempts=sum(task.attempts for task in group),
        failed=sum(1 for task in group if task.status == "failed"),
        input_tokens=sum(usage.input_tokens for usage in used),
        output_tokens=sum(usage.output_tokens for usage in used),
        models=tuple(dict.fromkeys(model for task in group for model in task.models if model)),
    )


def _prompt_changes(first: Prompts, second: Prompts) -> dict[str, tuple[str, int, tuple[str, str] | None]]:
    """Task name → (`template` or `values`, items that were asked something else, what the first of them was asked)."""
    differing: dict[str, int] = {}
    texts: dict[str, tuple[str, str]] = {}
    for key, asked in first.asked.items():
        other = second.asked.get(key)
        if other is not None and other != asked:
            differing[key[0]] = differing.get(key[0], 0) + 1
            texts.setdefault(key[0], (asked, other))
    changed: dict[str, tuple[str, int, tuple[str, str] | None]] = {
        name: ("values", count, texts[name]) for name, count in differing.items()
    }
    for name, templates in first.templates.items():
        if second.templates.get(name, templates) != templates:
            changed[name] = ("template", differing.get(name, 0), texts.get(name))
    return changed


def _settings(first: RunFacts, second: RunFacts) -> list[tuple[str, str, str]]:
    def workers(facts: RunFacts) -> str:
        return "unlimited" if facts.workers is None else str(facts.workers)

    pairs = [
        ("pipeline", first.pipeline, second.pipeline),
        ("status", first.status, second.status),
        ("policy", first.policy, second.policy),
        ("workers", workers(first), workers(second)),
        ("llmflow", first.version, second.version),
    ]
    names = dict.fromkeys([*first.inputs, *second.inputs])
    pairs += [(f"input {name}", _value(first, name), _value(second, name)) for name in names]
    return [pair for pair in pairs if pair[1] != pair[2]]


def _value(facts: RunFacts, name: str) -> str:
    return repr(facts.inputs[name]) if name in facts.inputs else "-"
