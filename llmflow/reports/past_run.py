"""One run of the history as its reports see it: every task with its times, its tokens and how it ended.

Made from the stored story alone, so it says of a run that is over, of one that was interrupted and
of one that is still under way what is known of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import fsum
from typing import Any, NamedTuple

from llmflow.protocol import Usage
from llmflow.reports.chronicle import Chronicle
from llmflow.reports.spans import Span, Spans, seconds_held
from llmflow.reports.time_booking import DEPENDENCY, WAITS, Setting, TimeBooking, book_time, task_times
from llmflow.scheduling import events as ev
from llmflow.scheduling.pools import CONTROL

PENDING, RUNNING, INTERRUPTED = "pending", "running", "interrupted"
REUSED = "reused"

_SETTLED: dict[type[Any], str] = {
    ev.TaskSucceeded: "succeeded",
    ev.TaskFailed: "failed",
    ev.TaskSkipped: "skipped",
    ev.TaskBlocked: "blocked",
    ev.TaskCancelled: "cancelled",
}


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What stands in the run's own row. `started_at` is a time of day, the rest are seconds; None is unknown."""

    id: str
    pipeline: str
    path: str
    status: str
    started_at: float
    policy: str
    workers: int | None
    seed: int
    version: str
    makespan: float | None = None
    lower_bound: float | None = None
    bound_kind: str = ""
    ratio: float | None = None
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    forecast: Mapping[str, Any] = field(default_factory=dict)
    """What was decided and foretold before it began, as it was kept: quantiles, `tokens`, `decision`, `timeouts`."""

    @property
    def timeouts(self) -> Mapping[str, Any]:
        """Task → how long an attempt might take, as `limits_json` writes it."""
        return self.forecast.get("timeouts") or {}

    @property
    def layout(self) -> Layout:
        """What its record says of its tasks; nothing in one of an older version."""
        known = self.forecast.get("layout") or {}
        return Layout(known.get("finals", ()), known.get("own_workers", ()))


class Layout(NamedTuple):
    """Names of tasks: those of `finally`, and those of which only so many items may be under way at once."""

    finals: Sequence[str] = ()
    own_workers: Sequence[str] = ()

    def setting(self, tasks: Sequence[TaskFacts], pools: Sequence[tuple[str, int | None]]) -> Setting:
        """For the booking of a run with these tasks and pools."""
        finals, own = frozenset(self.finals), frozenset(self.own_workers)
        return Setting(
            [name for name, _ in pools],
            frozenset(n for n, task in enumerate(tasks) if task.name.partition("/")[0] in finals) if finals else (),
            lambda task, pool: pools[pool][1] is None and tasks[task].name not in own,
        )


class TaskFacts(NamedTuple):
    """What a number of the story means."""

    name: str
    item: str | None
    kind: str
    model: str
    dependencies: Sequence[int]

    @property
    def shown(self) -> str:
        """`task`, or `task[key]` of an item."""
        return self.name if self.item is None else f"{self.name}[{self.item}]"


class Call(NamedTuple):
    """An attempt that was answered. `seconds`: what the call itself took."""

    task: int
    attempt: int
    seconds: float
    invalid: bool
    model: str
    usage: Usage


@dataclass(slots=True)
class PastTask:
    """One task of a run. `held`: seconds in which its attempts held a worker; `times` as in `task_times`."""

    facts: TaskFacts
    status: str = PENDING
    attempts: int = 0
    copies: int = 0
    """Second calls of running attempts."""
    held: float = 0.0
    started: float | None = None
    finished: float | None = None
    times: Mapping[str, float] = field(default_factory=dict)
    usage: Usage | None = None
    models: tuple[str, ...] = ()
    """Which models answered, `provider/model`."""
    failure: tuple[str, str] | None = None
    """(kind, detail), of an accepted failure too."""
    numbers: tuple[int, ...] = ()
    """What the story calls it; each part of a run that went on has a number of its own for it."""

    @property
    def waits(self) -> dict[str, float]:
        """Cause → seconds, only those there were."""
        return {cause: self.times[cause] for cause in WAITS if self.times.get(cause)}


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run. `tasks`: by number; `rows`: each task and item once, however many parts the run had.

    `pools`: (name, workers or None). `copies`: second calls of running attempts; `overtaken` answered first.
    """

    facts: RunFacts
    tasks: Sequence[PastTask]
    rows: Sequence[PastTask]
    booking: TimeBooking
    spans: Sequence[Span]
    pools: Sequence[tuple[str, int | None]]
    usage: Usage
    copies: int = 0
    overtaken: int = 0

    @property
    def makespan(self) -> float:
        """Seconds; of a run that has not ended, up to the last thing that is known of it."""
        return self.booking.makespan if self.facts.makespan is None else self.facts.makespan


def past_run(
    facts: RunFacts,
    tasks: Sequence[TaskFacts],
    pools: Sequence[tuple[str, int | None]],
    story: Iterable[ev.Event],
    calls: Iterable[Call],
) -> PastRun:
    """Put together what the history has of one run.

    Of a run under way `story` and `calls` may be younger than `tasks`: what is told of tasks that
    are not among them is left out.
    """
    chronicle, spans = Chronicle(), Spans()
    found = [PastTask(task, numbers=(number,)) for number, task in enumerate(tasks)]
    usage: dict[int, Usage] = {}
    for call in calls:
        if call.task >= len(tasks):
            continue
        chronicle.answered(call.attempt, call.seconds, invalid=call.invalid)
        usage[call.task] = usage.get(call.task, Usage()) + call.usage
        if call.model and call.model not in found[call.task].models:
            found[call.task].models += (call.model,)
    for event in story:
        if isinstance(event, ev.TasksAdded) and event.first + event.size > len(tasks):
            break
        chronicle.on_events((event,))
        spans.on_events((event,))
        _follow(found, event)
    held = seconds_held(spans.spans, len(tasks))
    dependencies = [task.dependencies for task in tasks]
    setting = facts.layout.setting(tasks, pools)
    for number, times in enumerate(task_times(chronicle, dependencies, setting)):
        task = found[number]
        task.times = times
        task.held = held[number]
        task.usage = usage.get(number)
        if task.status == RUNNING and facts.status != RUNNING:
            task.status = INTERRUPTED
        if task.status == "failed":
            task.failure = spans.failures.get(number)
    booking = book_time(chronicle, dependencies, setting, makespan=facts.makespan)
    return PastRun(
        facts,
        found,
        _once_each(found),
        booking,
        list(spans.spans),
        pools,
        sum(usage.values(), Usage()),
        spans.copies,
        spans.overtaken,
    )


def _once_each(tasks: Sequence[PastTask]) -> list[PastTask]:
    """Tasks of the same name and item put together: how the last part of the run left them, and what all parts took."""
    parts: dict[tuple[str, str | None], list[PastTask]] = {}
    for task in tasks:
        parts.setdefault((task.facts.name, task.facts.item), []).append(task)
    return [each[0] if len(each) == 1 else _together(each) for each in parts.values()]


def _together(parts: Sequence[PastTask]) -> PastTask:
    last = parts[-1]
    started = [task.started for task in parts if task.started is not None]
    used = [task.usage for task in parts if task.usage is not None]
    times: dict[str, float] = {}
    for task in parts:
        for name, seconds in task.times.items():
            # Every part waits for what is before it from the beginning of the run on.
            times[name] = max(times.get(name, 0.0), seconds) if name == DEPENDENCY else times.get(name, 0.0) + seconds
    return PastTask(
        last.facts,
        last.status,
        attempts=sum(task.attempts for task in parts),
        copies=sum(task.copies for task in parts),
        held=fsum(task.held for task in parts),
        started=min(started, default=None),
        finished=last.finished,
        times=times,
        usage=sum(used, Usage()) if used else None,
        models=tuple(dict.fromkeys(model for task in parts for model in task.models)),
        failure=last.failure,
        numbers=tuple(number for task in parts for number in task.numbers),
    )


def _follow(tasks: Sequence[PastTask], event: ev.Event) -> None:
    settled = _SETTLED.get(type(event))
    if settled is not None:
        task = tasks[event.task]  # type: ignore[union-attr]
        task.status, task.finished = settled, event.at
    elif isinstance(event, ev.AttemptStarted):
        task = tasks[event.task]
        task.status, task.finished = RUNNING, None
        if event.number:
            if event.number <= task.attempts:
                task.copies += 1
            task.attempts = max(task.attempts, event.number)
            if event.pool != CONTROL and task.started is None:
                task.started = event.at


class PastAttempt(NamedTuple):
    """One try of a task. `ended` is None while it runs; `outcome` is `answered`, `invalid`, `failed` or `cancelled`.

    Of number 0, which asked nobody, it is `reused`.

    `copy`: 0, or which further call of that try this is; of two the one whose answer came too late is `unused`.
    `detail` says why where it gave no answer. `answer` is what the history kept of it.
    """

    number: int
    worker: str
    started: float
    ended: float | None
    outcome: str
    detail: str
    answer: Answer | None
    copy: int = 0


class Answer(NamedTuple):
    """What was said. `messages`: turns of role and content; `text` is the raw answer where `output` is not it."""

    messages: Sequence[Mapping[str, Any]]
    output: Any
    text: str | None
    model: str
    answered_by: str
    endpoint: str
    finish_reason: str
    request_id: str
    usage: Usage
    seconds: float
    first_token: float | None


_TOO_LATE = "another call of this attempt answered first"


def attempts_of(
    numbers: Container[int], pools: Sequence[str], story: Iterable[ev.Event], answers: Mapping[int, tuple[Answer, bool]]
) -> list[PastAttempt]:
    """The attempts of the task that has these numbers, in the order in which they began.

    `answers`: attempt → (answer, it was invalid). A look for an earlier answer that found one is among them.
    """
    begun: dict[int, ev.AttemptStarted] = {}
    ended: dict[int, tuple[float, str, str]] = {}
    for event in story:
        if isinstance(event, ev.AttemptStarted):
            if event.task in numbers and (event.number or event.attempt in answers):
                begun[event.attempt] = event
        elif isinstance(event, ev.AttemptSucceeded) and event.attempt in begun:
            unused = event.outcome == "unused"
            ended[event.attempt] = (event.at, *(("unused", _TOO_LATE) if unused else ("answered", "")))
        elif isinstance(event, ev.AttemptFailed) and event.attempt in begun:
            told = f" (asked to wait {event.retry_after:g} s)" if event.retry_after is not None else ""
            ended[event.attempt] = (event.at, "failed", f"{event.kind.value}: {event.detail}{told}".rstrip(": "))
        elif isinstance(event, ev.AttemptCancelled) and event.attempt in begun:
            told = f"{_TOO_LATE}, this one may be billed" if event.reason == "outrun" else event.reason
            ended[event.attempt] = (event.at, "cancelled", told)
    found = []
    calls: Counter[tuple[int, int]] = Counter()
    numbers_before: dict[int, int] = {}
    """Of each part of the run: how many attempts the parts before it made."""
    made = 0
    for attempt, start in begun.items():
        number = start.number and start.number + numbers_before.setdefault(start.task, made)
        made = max(made, number)
        calls[start.task, start.number] += 1
        at, outcome, detail = ended.get(attempt, (None, RUNNING, ""))
        answer, invalid = answers.get(attempt, (None, False))
        if outcome == "answered" and not start.number:
            outcome, detail = REUSED, "an answer that was there already served"
        elif outcome == "answered" and invalid:
            outcome = "invalid"
        worker = "" if start.pool == CONTROL else f"{pools[start.pool]}/{start.worker}"
        copy = calls[start.task, start.number] - 1
        found.append(PastAttempt(number, worker, start.at, at, outcome, detail, answer, copy))
    return found
