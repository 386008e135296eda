"""Where the time went: every second of a run booked to what the run was waiting for in it.

The walk goes backwards from the end. A task that settled was, from its release on, in one phase
after the other: queued for a worker, in an attempt, waiting for a timer or for a person. It was
released when the last of the things it depends on happened; there the walk goes on with whatever
made that happen: a dependency that settled, an item that made room for the next one, the end of
the run before it was resumed. So the phases of the tasks on the way follow each other without a
gap from the end to the start: the realised critical path through dependencies.

Seconds are counted in whole nanoseconds, so the columns add up to the makespan exactly.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from typing import Any, NamedTuple

from llmflow.reports import chronicle as c
from llmflow.reports.chronicle import Chronicle

MODEL, CODE, FAILED, CANCELLED, ASKED_AGAIN = "model", "code", "failed", "cancelled", "asked_again"
DEPENDENCY, WORKER, RATE_LIMIT, BACKOFF, APPROVAL = "dependency", "worker", "rate_limit", "backoff", "approval"
LLMFLOW = "llmflow"

COLUMNS: dict[str, str] = {
    MODEL: "model",
    CODE: "python, command, http",
    FAILED: "attempts that failed",
    CANCELLED: "attempts that were cancelled",
    ASKED_AGAIN: "answers that could not be used",
    DEPENDENCY: "waiting for a dependency",
    WORKER: "waiting for a worker",
    RATE_LIMIT: "waiting for a rate limit",
    BACKOFF: "waiting before a retry",
    APPROVAL: "waiting for a person",
    LLMFLOW: "llmflow itself",
}
"""Every column and what people call it."""

WAITS = (DEPENDENCY, WORKER, RATE_LIMIT, BACKOFF, APPROVAL)

CODE_POOLS = ("host", "http")
"""Pools in which no model is asked."""

_TIMERS = {"retry": BACKOFF, "rate_limit": RATE_LIMIT, "fallback": BACKOFF, "budget": RATE_LIMIT, "worker_kept": WORKER}
_NANO = 1_000_000_000


class Setting(NamedTuple):
    """What the story does not tell of a run: `pools`, their names, and what its tasks can wait for.

    `finals`: the tasks of `finally`, those below them and their items included; they wait for all others.
    `unlimited(task, pool)`: nobody can hold the worker that the task would wait for.
    """

    pools: Sequence[str] = ()
    finals: Container[int] = ()
    unlimited: Callable[[int, int], bool] = lambda task, pool: False


UNTOLD = Setting()


class Phase(NamedTuple):
    """From `start` to `end` (run seconds) a task's time went to `column`."""

    column: str
    start: float
    end: float


class BookedStep(NamedTuple):
    """One task on the way, and what it added to the makespan: column → nanoseconds, no zeros among them."""

    task: int
    nanoseconds: Mapping[str, int]

    @property
    def seconds(self) -> float:
        return sum(self.nanoseconds.values()) / _NANO


@dataclass(frozen=True, slots=True)
class TimeBooking:
    """`nanoseconds`: column → its part of the makespan, in the order of `COLUMNS`, zeros left out."""

    makespan: float
    nanoseconds: Mapping[str, int]
    steps: tuple[BookedStep, ...]
    """In the order of time. A `foreach` stands in it before its items and, where it added something, behind them."""

    def seconds(self, column: str) -> float:
        """What went to `column`."""
        return self.nanoseconds.get(column, 0) / _NANO

    def share(self, column: str) -> float:
        """Its part of the makespan; 0 of a run that took no time."""
        total = sum(self.nanoseconds.values())
        return self.nanoseconds.get(column, 0) / total if total else 0.0


def book_time(
    chronicle: Chronicle,
    dependencies: Sequence[Sequence[int]],
    setting: Setting = UNTOLD,
    *,
    makespan: float | None = None,
) -> TimeBooking:
    """Book every second of a run. `dependencies`: of every task, added ones included.

    `makespan`: the end to walk back from; unless given, the moment when the last task settled, or
    of a run that has not ended the last thing that is known of it. O(events).
    """
    walk = _Walk(Story(chronicle, dependencies, setting))
    end = _makespan(chronicle) if makespan is None else makespan
    return walk.back_from(end)


def task_times(
    chronicle: Chronicle, dependencies: Sequence[Sequence[int]], setting: Setting = UNTOLD
) -> list[dict[str, float]]:
    """For every task: column → seconds in which its own time went there, all its lives together.

    `dependency` runs from the start of the run (of an item: from its coming) to the task's release.
    """
    story = Story(chronicle, dependencies, setting)
    return [story.times(task) for task in range(len(dependencies))]


def _makespan(chronicle: Chronicle) -> float:
    if not len(chronicle):
        return 0.0
    if isnan(chronicle.finished_at):
        return max(chronicle.at)
    return max((at for code, at in zip(chronicle.code, chronicle.at, strict=True) if code == c.SETTLED), default=0.0)


class Story:
    """A chronicle, readable by task. Positions are the chronicle's."""

    def __init__(self, chronicle: Chronicle, dependencies: Sequence[Sequence[int]], setting: Setting) -> None:
        self.chronicle = chronicle
        self.dependencies = dependencies
        self._setting = setting
        self._code_pools = frozenset(i for i, name in enumerate(setting.pools) if name in CODE_POOLS)
        self._offsets, self._positions = _by_task(chronicle.task, len(dependencies))
        self.resumed = [p for p, code in enumerate(chronicle.code) if code == c.RESUMED]
        self._ends = array("i", self._attempt_ends())
        self.groups: dict[int, array[int]] = {}
        """Task with items → the positions at which tasks of its items settled."""
        if chronicle.first_added >= 0:
            for position, (code, task) in enumerate(zip(chronicle.code, chronicle.task, strict=True)):
                if code == c.SETTLED and (parent := chronicle.parent_of(task)) >= 0:
                    self.groups.setdefault(parent, array("i")).append(position)

    def _attempt_ends(self) -> Iterator[int]:
        """The positions at which a worker was let go."""
        holding: Counter[int] = Counter()
        for position, (code, task) in enumerate(zip(self.chronicle.code, self.chronicle.task, strict=True)):
            if code in (c.STARTED, c.DOUBLED):
                holding[task] += 1
            elif code in _LETS_GO and task in holding:
                holding[task] -= 1
                if not holding[task]:
                    del holding[task]
                yield position

    def of(self, task: int) -> array[int]:
        """The positions that tell of the task, in order."""
        return self._positions[self._offsets[task] : self._offsets[task + 1]]

    def last_of(self, task: int, code: int, before: int) -> int:
        """The last position below `before` where `code` is told of the task, -1 where there is none."""
        codes = self.chronicle.code
        return next((p for p in reversed(self.of(task)) if p < before and codes[p] == code), -1)

    def life(self, task: int, end: int) -> list[int]:
        """The positions of the task up to `end`, from its last release on."""
        codes = self.chronicle.code
        begun: list[int] = []
        for p in self.of(task):
            if p > end:
                break
            if begun and codes[begun[-1]] == c.SETTLED:
                if codes[p] not in (c.STARTED, c.EVALUATED, c.SETTLED):
                    continue  # the slower of two calls ends behind its task
                begun = []
            begun.append(p)
        return begun

    def release(self, task: int, first: int) -> tuple[int, int]:
        """What let the task go before its life's first position `first`: (position, task that made it happen).

        The task is -1 where it was no other task's doing: the item came, the run was resumed, or
        (position -1) the run began.
        """
        found, cause = -1, -1
        for d in self.dependencies[task]:
            position = self.last_of(d, c.SETTLED, first)
            if position < 0:
                position = self.last_of(d, c.EXPANDED, first)
            if position > found:
                found, cause = position, d
        chronicle = self.chronicle
        if task in self._setting.finals:
            position = self._all_else_settled(first)
            if position > found:
                found, cause = position, chronicle.task[position]
        if chronicle.was_added(task):
            added = chronicle.added[task - chronicle.first_added]
            if added > found:
                found, cause = added, -1
        index = bisect_left(self.resumed, first)
        if index and self.resumed[index - 1] > found:
            found, cause = self.resumed[index - 1], -1
        return found, cause

    def _all_else_settled(self, before: int) -> int:
        """Where the last of the tasks that are not in `finally` settled below `before`, -1 where none had."""
        chronicle, finals = self.chronicle, self._setting.finals
        for p in range(before - 1, -1, -1):
            if chronicle.code[p] == c.SETTLED and chronicle.task[p] not in finals:
                return p
        return -1

    def released_at(self, task: int, position: int, cause: int) -> float:
        """When a release happened that `release` has found."""
        chronicle = self.chronicle
        if position < 0:
            return 0.0
        if cause < 0 and (position >= len(chronicle) or chronicle.code[position] != c.RESUMED):
            return chronicle.added_at[task - chronicle.first_added]
        return chronicle.at[position]

    def phases(self, task: int, life: Sequence[int], released: float) -> list[Phase]:
        """What the task's time went to from `released` to the last position of `life`, in order, without gaps."""
        chronicle = self.chronicle
        phases: list[Phase] = []
        column, since, from_position = WORKER, released, life[0]
        for index, p in enumerate(life):
            code, at = chronicle.code[p], chronicle.at[p]
            if code in (c.DOUBLED, c.OUTRUN):
                phases.append(Phase(column, since, at))  # what the task waits for is the same as before
                since = at
                continue
            if code in (c.STARTED, c.EVALUATED):
                phases += self._queued(column, since, at, from_position if index else -1, p, code)
                column = LLMFLOW if code == c.EVALUATED else CODE if chronicle.number[p] in self._code_pools else MODEL
            elif code in _ENDS:
                phases += self._attempt(column, since, at, p)
                column = _AFTER.get(code, LLMFLOW)
            elif code == c.SETTLED:
                if not index and chronicle.number[p] and not self._is_free(task, p):
                    column = DEPENDENCY
                phases.append(Phase(column, since, at))
            else:
                phases.append(Phase(column, since, at))
                column = WORKER
                if code == c.TIMER_SET:
                    number = chronicle.number[p]
                    column = _TIMERS[c.CAUSES[number]] if number >= 0 else BACKOFF
            since, from_position = at, p
        return phases

    def _queued(self, column: str, since: float, at: float, after: int, start: int, code: int) -> list[Phase]:
        """Time between being ready and starting: for a worker until the last one was let go, then ours."""
        if column != WORKER:
            return [Phase(column, since, at)]
        if code == c.EVALUATED or self._setting.unlimited(self.chronicle.task[start], self.chronicle.number[start]):
            return [Phase(LLMFLOW, since, at)]
        index = bisect_left(self._ends, start) - 1
        let_go = self.chronicle.at[self._ends[index]] if index >= 0 and self._ends[index] > after else since
        let_go = min(at, max(since, let_go))
        return [Phase(WORKER, since, let_go), Phase(LLMFLOW, let_go, at)]

    def _attempt(self, column: str, since: float, at: float, end: int) -> list[Phase]:
        """An attempt: what the call took, and before that what it took us to send it.

        Of the steps that hold no worker, only the question to a person waits for anyone.
        """
        chronicle = self.chronicle
        code, attempt = chronicle.code[end], chronicle.number[end]
        seconds = chronicle.seconds_of(attempt)
        if column == LLMFLOW:
            if isnan(seconds):
                return [Phase(LLMFLOW, since, at)]
            column = APPROVAL
        elif code in (c.FAILED, c.CANCELLED):
            return [Phase(FAILED if code == c.FAILED else CANCELLED, since, at)]
        elif code == c.AGAIN and chronicle.is_invalid(attempt):
            column = ASKED_AGAIN
        sent = since if isnan(seconds) else min(at, max(since, at - seconds))
        return [Phase(LLMFLOW, since, sent), Phase(column, sent, at)]

    def _is_free(self, task: int, before: int) -> bool:
        """All that the task depends on had settled."""
        return all(self.last_of(d, c.SETTLED, before) >= 0 for d in self.dependencies[task])

    def times(self, task: int) -> dict[str, float]:
        """Column → seconds of the task's own time, over all its lives."""
        codes = self.chronicle.code
        totals: dict[str, float] = {}
        ends = [p for p in self.of(task) if codes[p] == c.SETTLED]
        last = self.of(task)
        if len(last) and (not ends or last[-1] > ends[-1]):
            ends.append(last[-1])
        done: set[int] = set()
        for end in ends:
            life = self.life(task, end)
            if not life or life[0] in done:
                continue
            done.add(life[0])
            position, cause = self.release(task, life[0])
            released = self.released_at(task, position, cause)
            born = self.chronicle.added_at[task - self.chronicle.first_added] if self.chronicle.was_added(task) else 0.0
            if cause >= 0:
                totals[DEPENDENCY] = totals.get(DEPENDENCY, 0.0) + released - born
            for phase in self.phases(task, life, released):
                totals[phase.column] = totals.get(phase.column, 0.0) + phase.end - phase.start
        return {column: seconds for column, seconds in totals.items() if seconds > 0}


_ENDS = (c.DONE, c.PROCEEDED, c.AGAIN, c.EXPANDED, c.HELD, c.FAILED, c.CANCELLED)
_LETS_GO = (c.DONE, c.AGAIN, c.EXPANDED, c.HELD, c.FAILED, c.CANCELLED, c.OUTRUN)
_AFTER = {c.PROCEEDED: WORKER, c.AGAIN: WORKER, c.HELD: APPROVAL, c.EXPANDED: DEPENDENCY}
"""End of an attempt → what the task waits for then."""


class _Walk:
    """The way back from the end: `_cursor` is the second (in nanoseconds) up to which all is still to be booked."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._cursor = 0
        self._total: dict[str, int] = {}
        self._steps: list[BookedStep] = []

    def back_from(self, end: float) -> TimeBooking:
        self._cursor = makespan = max(0, round(end * _NANO))
        position = self._last(end)
        while position >= 0:
            before = self._step(position)
            assert before < position, f"no way back from position {position}"
            position = before
        if self._cursor:
            self._total[LLMFLOW] = self._total.get(LLMFLOW, 0) + self._cursor
        assert sum(self._total.values()) == makespan
        ordered = {column: self._total[column] for column in COLUMNS if self._total.get(column)}
        return TimeBooking(end, ordered, tuple(reversed(self._steps)))

    def _last(self, end: float) -> int:
        """The position to begin at: the last task that settled by `end`, one that had run if several did."""
        chronicle = self._story.chronicle
        if isnan(chronicle.finished_at):
            return len(chronicle) - 1
        last = -1
        for p in range(len(chronicle) - 1, -1, -1):
            if chronicle.code[p] != c.SETTLED or chronicle.at[p] > end:
                continue
            if last < 0:
                last = p
            if chronicle.at[p] < chronicle.at[last]:
                break
            if len(self._story.life(chronicle.task[p], p)) > 1:
                return p
        return last

    def _step(self, position: int) -> int:
        """Book the task at `position` up to there, from its release on; gives where to go on, -1 at the start."""
        story, chronicle = self._story, self._story.chronicle
        task = chronicle.task[position]
        booked: dict[str, int] = {}
        self._book(booked, LLMFLOW, chronicle.at[position])
        if task < 0:
            self._keep(task, booked)
            return self._before(position)
        life = story.life(task, position)
        first, cause = story.release(task, life[0])
        released = story.released_at(task, first, cause)
        item = self._last_item(task, life)
        for phase in reversed(story.phases(task, life, released)):
            self._book(booked, phase.column, phase.start if item < 0 else max(phase.start, chronicle.at[item]))
        self._keep(task, booked)
        if item >= 0:
            return item
        return first if cause >= 0 or first < 0 else self._origin(task, first)

    def _book(self, booked: dict[str, int], column: str, since: float) -> None:
        amount = self._cursor - min(self._cursor, max(0, round(since * _NANO)))
        if amount:
            booked[column] = booked.get(column, 0) + amount
            self._total[column] = self._total.get(column, 0) + amount
            self._cursor -= amount

    def _keep(self, task: int, booked: dict[str, int]) -> None:
        if task >= 0 and booked:
            self._steps.append(BookedStep(task, {column: booked[column] for column in COLUMNS if column in booked}))

    def _last_item(self, task: int, life: Sequence[int]) -> int:
        """Where the last item settled that the task waited for, -1 where it had none or is not so far."""
        codes = self._story.chronicle.code
        expanded = next((p for p in life[:-1] if codes[p] == c.EXPANDED), -1)
        group = self._story.groups.get(task)
        if expanded < 0 or group is None:
            return -1
        index = bisect_left(group, life[-1]) - 1
        return group[index] if index >= 0 and group[index] > expanded else -1

    def _origin(self, task: int, release: int) -> int:
        """What led to a release that no dependency made: where it settled, -1 where nothing did."""
        story, chronicle = self._story, self._story.chronicle
        if not chronicle.was_added(task) or release != chronicle.added[task - chronicle.first_added]:
            return self._before(release)
        parent = chronicle.parent_of(task)
        found = -1
        for d in story.dependencies[task]:
            found = max(found, story.last_of(d, c.SETTLED, release))
        if parent >= 0:
            found = max(found, story.last_of(parent, c.EXPANDED, release))
            for group in (parent, *story.dependencies[parent]):
                settled = story.groups.get(group, ())
                index = bisect_left(settled, release) - 1
                if index >= 0:
                    found = max(found, settled[index])
        return found if found >= 0 else self._before(release)

    def _before(self, position: int) -> int:
        """Where the last task settled below `position`, -1 where none had."""
        codes = self._story.chronicle.code
        return next((p for p in range(position - 1, -1, -1) if codes[p] == c.SETTLED), -1)


def _by_task(tasks: Sequence[int], count: int) -> tuple[array[int], array[int]]:
    """(offsets, positions): the positions of task t are `positions[offsets[t]:offsets[t + 1]]`, in order."""
    counts = array("i", bytes(4 * (max(count, max(tasks, default=-1) + 1) + 1)))
    for task in tasks:
        if task >= 0:
            counts[task + 1] += 1
    for task in range(1, len(counts)):
        counts[task] += counts[task - 1]
    places = array("i", counts)
    positions = array("i", bytes(4 * counts[-1]))
    for position, task in enumerate(tasks):
        if task >= 0:
            positions[places[task]] = position
            places[task] += 1
    return counts, positions


# ---- for people and as data -----------------------------------------------------------------------


def booking_text(booking: TimeBooking) -> str:
    """One line: `model 46.00 s (88 %), waiting for a worker 6.00 s (12 %)`; empty of a run that took no time."""
    return ", ".join(
        f"{COLUMNS[column]} {booking.seconds(column):.2f} s ({100 * booking.share(column):.0f} %)"
        for column in sorted(booking.nanoseconds, key=lambda name: -booking.nanoseconds[name])
        if booking.share(column) >= 0.005
    )


def booking_json(booking: TimeBooking, names: Sequence[str]) -> dict[str, Any]:
    """Seconds; the columns add up to `makespan`, and so does the path. `names`: of the tasks by number.

    What belongs to no task (before the first was ready, or when a run went on) is the path's last entry, of task null.
    """
    total = sum(booking.nanoseconds.values())
    path: list[tuple[str | None, Mapping[str, int]]] = [(names[step.task], step.nanoseconds) for step in booking.steps]
    rest = total - sum(sum(nanoseconds.values()) for _, nanoseconds in path)
    if rest:
        path.append((None, {LLMFLOW: rest}))
    return {
        "makespan": total / _NANO,
        "columns": {column: booking.seconds(column) for column in COLUMNS},
        "path": [
            {"task": name, "seconds": {column: ns / _NANO for column, ns in nanoseconds.items()}}
            for name, nanoseconds in path
        ],
    }
