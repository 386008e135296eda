"""The samples of one key – a task on one model with one prompt template – and what they say about it.

Bounded: the last LATEST attempts, and the means of the last ITEMS items. Durations are kept as
residuals: the logarithm of the duration less that of a baseline which knows tokens and load, so
that samples of different prompts can be compared. A new baseline makes them anew.

A change of level restarts the key: what was before it is forgotten. Attempts of one item are
compared with that item's past, since items of different size in a row are no change; when items
change together, their past is moved to the new level instead.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from math import exp, log
from typing import NamedTuple, Protocol

from llmflow.scheduling.change import ChangeDetector
from llmflow.scheduling.lengths import Lengths
from llmflow.scheduling.regression import Work
from llmflow.scheduling.shrinkage import UNKNOWN_VARIANCE, Seen, seen, standardised

LATEST = 200
"""Attempts that an estimate rests on at most."""

ITEMS = 1000
"""Items whose own means are remembered, the youngest."""

ITEM_MEMORY = 50
"""An item's mean forgets as if it rested on no more attempts than this."""

AFTER_CHANGE = 2
"""As many attempts as an item's moved past is worth."""


class Attempt(NamedTuple):
    """One sample, as it is kept. Tokens are None where the answer did not tell; durations in seconds."""

    duration: float
    input_tokens: int | None
    output_tokens: int | None
    load: int
    item: str | None
    prompt_chars: int | None
    run: int | None = None


class Baseline(Protocol):
    """What an attempt is expected to take for its tokens and load alone; `typical_seconds` where they are unknown."""

    typical_seconds: float

    def seconds(self, input_tokens: float, output_tokens: float, load: float) -> float: ...


@dataclass(slots=True)
class ItemMean:
    """The past of one item: means of logarithms; `residual` less the baseline."""

    count: int = 0
    residual: float = 0.0
    output: float | None = None


class Series:
    """All that is known of one key. `add` is cheap; the rest is worked out when it is asked for."""

    def __init__(self, model: str, template: str) -> None:
        self.model = model
        self.template = template
        self.started_at = 0.0
        """The youngest sample's time of day: which of several relatives is the nearest."""
        self.count = 0
        """Attempts since the last change, those included that are forgotten by now."""
        self.changes = 0
        self.attempts: deque[Attempt] = deque(maxlen=LATEST)
        self.residuals: deque[float] = deque(maxlen=LATEST)
        self.items: OrderedDict[str, ItemMean] = OrderedDict()
        self.repeats, self.repeat_squares = 0, 0.0
        """Degrees of freedom and squared deviations of attempts from their own item's mean."""
        self._news: deque[tuple[str, float, float]] = deque(maxlen=LATEST)
        """(item, its mean before, the residual that came) of the youngest attempts of items with a past."""
        self._pending: deque[Attempt] = deque(maxlen=LATEST)
        self._detector = ChangeDetector(UNKNOWN_VARIANCE)
        self._baseline: Baseline | None = None
        self._version = -1
        self._seen: tuple[int, Seen] | None = None
        self._lengths: tuple[int, Lengths | None] | None = None

    def add(self, attempt: Attempt, started_at: float) -> None:
        """O(1). Attempts wait to be taken in by `settle`; call it when they are LATEST, or the first are lost."""
        self._pending.append(attempt)
        self.count += 1
        self.started_at = max(self.started_at, started_at)

    def copy(self) -> Series:
        """The same attempts, to be measured against another baseline."""
        other = Series(self.model, self.template)
        for attempt in (*self.attempts, *self._pending):
            other.add(attempt, self.started_at)
        return other

    @property
    def is_full(self) -> bool:
        """Whether no more attempts can wait."""
        return len(self._pending) == LATEST

    def settle(self, baseline: Baseline | None, version: int) -> None:
        """Take in what was added; `version` tells one baseline from the next. None: durations stand for themselves."""
        if version != self._version:
            self._baseline, self._version, self._seen = baseline, version, None
            self.residuals = deque(map(self._residual, self.attempts), maxlen=LATEST)
        while self._pending:
            self._take(self._pending.popleft())

    def _residual(self, attempt: Attempt) -> float:
        logarithm = log(max(attempt.duration, 1e-9))
        baseline = self._baseline
        if baseline is None:
            return logarithm
        if attempt.input_tokens is None or attempt.output_tokens is None:
            return logarithm - log(baseline.typical_seconds)
        return logarithm - log(baseline.seconds(attempt.input_tokens, attempt.output_tokens, attempt.load))

    def _take(self, attempt: Attempt) -> None:
        residual = self._residual(attempt)
        self.attempts.append(attempt)
        self.residuals.append(residual)
        innovation = None if self.items else residual  # with items about, a level of all of them says nothing
        if attempt.item is not None:
            innovation = self._take_item(attempt.item, residual, attempt.output_tokens)
        if innovation is not None and (since := self._detector.update(innovation)):
            self._restart(since)

    def _take_item(self, key: str, residual: float, output_tokens: int | None) -> float | None:
        """How far the residual is from the item's past; None for an item without one."""
        item = self.items.get(key)
        if item is None:
            item = self.items[key] = ItemMean()
            if len(self.items) > ITEMS:
                self.items.popitem(last=False)
        else:
            self.items.move_to_end(key)
        before, delta = item.residual, residual - item.residual
        known = item.count > 0
        item.count = min(item.count + 1, ITEM_MEMORY)
        item.residual += delta / item.count
        if known:
            self._news.append((key, before, residual))
            self.repeats += 1
            self.repeat_squares += delta * (residual - item.residual)
        if output_tokens:
            length = log(output_tokens) if item.output is None else item.output
            item.output = length + (log(output_tokens) - length) / item.count
        return delta if known else None

    def _restart(self, since: int) -> None:
        """Begin anew with the youngest `since` attempts.

        Items are not all among those, and a change that was noticed across items is one of all of
        them: their past is moved by as much and remembered as little.
        """
        self.changes += 1
        self._seen = self._lengths = None
        older, kept = list(self.attempts)[:-since], list(self.attempts)[-since:]
        if not self.items:
            self.count = len(kept)
            self.attempts, self.residuals = deque(kept, LATEST), deque(list(self.residuals)[-since:], LATEST)
            for residual in self.residuals:
                self._detector.update(residual)
            return
        news = list(self._news)[-since:]
        jump = sum(residual - before for _, before, residual in news) / len(news)
        for key, before, _ in reversed(news):
            if key in self.items:
                self.items[key].residual = before
        for item in self.items.values():
            item.residual += jump
            item.count = min(item.count, AFTER_CHANGE)
        self._news.clear()
        moved = [a._replace(duration=a.duration * exp(jump)) for a in older]
        self.attempts = deque([*moved, *kept], LATEST)
        self.residuals = deque(map(self._residual, self.attempts), LATEST)

    def seen(self, pooled: float) -> Seen:
        """Level and spread of the residuals; worked out anew only when there are some 3 % more of them."""
        kept = self._seen
        if kept is None or self.count - kept[0] > len(self.residuals) // 32:
            kept = self._seen = self.count, seen(list(self.residuals), pooled)
        return kept[1]

    def of_runs(self) -> list[tuple[int, float]]:
        """(run, residual less the mean of them all), of attempts of which the run is known; none of a single one."""
        known = [(a.run, r) for a, r in zip(self.attempts, self.residuals, strict=True) if a.run is not None]
        middle = sum(r for _, r in known) / max(1, len(known))
        return [(run, r - middle) for run, r in known] if len(known) > 1 else []

    def within_items(self, believed: float, weight: float, total: float) -> float:
        """Variance of attempts of one item: what repeats show, beside a belief worth `weight` of them."""
        return min(total, (weight * believed + self.repeat_squares) / (weight + self.repeats))

    def standardised(self, pooled: float) -> list[float]:
        """Residuals in standard deviations, for shapes; none while there are fewer than three."""
        summary = self.seen(pooled)
        return standardised(list(self.residuals), summary.level, summary.variance(pooled))

    def works(self, latest: int) -> list[Work]:
        """The last attempts that told their tokens."""
        every = [*self.attempts, *self._pending][-latest:]
        return [
            Work(a.input_tokens, a.output_tokens, a.load, a.duration)
            for a in every
            if a.input_tokens is not None and a.output_tokens is not None and a.duration > 0
        ]

    def lengths(self) -> Lengths | None:
        """What is known of the answers' lengths, as fresh as `seen`; None if no attempt told its tokens."""
        kept = self._lengths
        if kept is None or self.count - kept[0] > len(self.attempts) // 32:
            works = self.works(LATEST)
            kept = self._lengths = self.count, Lengths(works) if works else None
        return kept[1]

    def answered(self, item: str | None) -> tuple[float, int] | None:
        """The mean logarithm of an item's output tokens, and of how many attempts; None if it never answered."""
        known = self.items.get(item) if item is not None else None
        return (known.output, known.count) if known is not None and known.output is not None else None
