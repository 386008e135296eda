"""One picture of a run as lines of styled text: a header, and one row per task as far as the screen goes.

Pure: it reads the run and a size and gives lines; it knows no terminal. If all tasks fit they stand
in file order; else running ones come first, then failed, waiting, ready and the last that settled,
and a line says what is left out. Building a picture costs what the screen holds, not what the
graph holds.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from math import isnan
from typing import NamedTuple

from llmflow.quantities import plural, seconds_text
from llmflow.sanitise import clip, fit, one_line, width
from llmflow.scheduling.state import FIRST_SETTLED, Running, RunState, Status
from llmflow.views.view import RunContext


class Look(NamedTuple):
    """How a status is shown: readable by its word alone."""

    word: str
    glyph: str
    ascii: str
    style: str


LOOKS: dict[int, Look] = {
    Status.PENDING: Look("pending", "·", ".", "dim"),
    Status.READY: Look("ready", "○", "o", "yellow"),
    Status.RUNNING: Look("running", "●", ">", "cyan"),
    Status.WAITING: Look("waiting", "↻", "~", "yellow"),
    Status.SUCCEEDED: Look("succeeded", "✓", "+", "green"),
    Status.SKIPPED: Look("skipped", "–", "-", "dim"),
    Status.BLOCKED: Look("blocked", "⊘", "x", "red"),
    Status.FAILED: Look("failed", "✗", "X", "red"),
    Status.CANCELLED: Look("cancelled", "■", "#", "red"),
    Status.ACCEPTED: Look("accepted", "!", "!", "yellow"),
}
UNICODE = "".join(look.glyph for look in LOOKS.values()) + "█░…·"

ORDER = (Status.FAILED, Status.WAITING, Status.READY)
"""Which tasks come after the running ones where not all fit."""

Span = tuple[str, str]
"""Text and the name of its style, empty = as it comes."""
Line = list[Span]


@dataclass(slots=True)
class Watched:
    """What a view has noted of the story beside the state."""

    reasons: dict[int, str] = field(default_factory=dict)
    """Task → why its last attempt, or the task, failed."""
    due: dict[int, tuple[float, str]] = field(default_factory=dict)
    """Task → (when its timer fires, the timer's cause)."""
    recent: deque[int] = field(default_factory=lambda: deque(maxlen=400))
    """The tasks that settled last, oldest first."""
    remaining: float = float("nan")
    """Expected seconds to the end."""


def picture(context: RunContext, watched: Watched, columns: int, lines: int, *, unicode: bool = True) -> list[Line]:
    """At most `lines - 1` lines, each at most `columns - 1` cells wide (at least one of each)."""
    columns, lines = max(1, columns - 1), max(1, lines - 1)
    now = context.clock()
    drawn: list[Line] = []
    if lines >= 6:
        drawn.append(_title(context, columns))
    drawn.append(_progress(context, watched, now, columns, unicode=unicode))
    room = lines - len(drawn)
    if room >= 3:
        tasks, rest = _chosen(context, watched, room - 1)
        drawn += _table(context, watched, tasks, now, columns, unicode=unicode)
        if rest:
            drawn.append([(clip(rest, columns), "dim")])
    return drawn


# ---- header ---------------------------------------------------------------------------------------


def _title(context: RunContext, columns: int) -> Line:
    speed = f" · clock × {context.speed:g}" if context.speed != 1 else ""
    name = clip(one_line(context.name), columns)
    return [(name, "bold"), (clip(f" · run {one_line(context.run_id)}{speed}", columns - width(name)), "dim")]


def _progress(context: RunContext, watched: Watched, now: float, columns: int, *, unicode: bool) -> Line:
    counts, total = context.state.counts, len(context.state.graph)
    done = sum(counts[FIRST_SETTLED:])
    first = [f"{done}/{total} done", f"{counts[Status.RUNNING]} running", f"{counts[Status.READY]} ready"]
    wrong = {s: f"{counts[s]} {LOOKS[s].word}" for s in (Status.WAITING, Status.FAILED, Status.BLOCKED) if counts[s]}
    elapsed = f"{seconds_text(now)} elapsed"
    left = "? left" if isnan(watched.remaining) else f"about {seconds_text(watched.remaining)} left"
    last = [elapsed] if context.state.finished else [elapsed, left]
    wordings = (
        [*first, *wrong.values(), *last],
        [*first, *(wrong[s] for s in wrong if s == Status.FAILED), *last],
        [*first, elapsed],
        [f"{done}/{total}", first[1], seconds_text(now)],
    )
    texts = [" · ".join(parts) for parts in wordings]
    text = next((text for text in texts if width(text) <= columns), texts[-1])
    bar = min(40, columns - width(text) - 1)
    if bar < 5:
        return [(clip(text, columns), "")]
    filled = bar * done // total if total else bar
    full, empty = ("█", "░") if unicode else ("#", "-")
    return [(full * filled, "green"), (empty * (bar - filled), "dim"), (f" {text}", "")]


# ---- which tasks ----------------------------------------------------------------------------------


def _chosen(context: RunContext, watched: Watched, room: int) -> tuple[list[int], str]:
    """The tasks to show in at most `room` lines, and what to say of the others (empty = all are shown)."""
    state = context.state
    total = len(state.graph)
    if total <= room:
        return list(range(total)), ""
    shown: dict[int, None] = {}
    for task in _interesting(context, watched):
        if len(shown) >= room - 1:
            break
        shown[task] = None
    hidden = list(state.counts)
    for task in shown:
        hidden[state.status[task]] -= 1
    groups = Counter[str]()
    for status, count in enumerate(hidden):
        groups["done" if status == Status.SUCCEEDED else LOOKS[status].word] += count
    said = ", ".join(f"{count:,} {word}" for word, count in groups.most_common() if count)
    return list(shown), f"… {total - len(shown):,} more: {said}"


def _interesting(context: RunContext, watched: Watched) -> Iterator[int]:
    state = context.state
    return chain(
        (running.task for running in state.running.values()),
        chain.from_iterable(_with_status(state.status, status) for status in ORDER),
        reversed(watched.recent),
        _with_status(state.status, Status.PENDING),
    )


def _with_status(statuses: bytearray, status: int) -> Iterator[int]:
    task = statuses.find(status)
    while task >= 0:
        yield task
        task = statuses.find(status, task + 1)


# ---- rows -----------------------------------------------------------------------------------------


class _Column(NamedTuple):
    title: str
    least: int
    most: int
    right: bool = False


_COLUMNS = (
    _Column("TASK", 6, 32),
    _Column("STATE", 11, 11),
    _Column("MODEL", 8, 28),
    _Column("ATTEMPT", 7, 7, right=True),
    _Column("ELAPSED", 8, 8, right=True),
    _Column("TOKENS", 8, 10, right=True),
    _Column("WAIT OR REASON", 14, 60),
)
_BY_WORTH = (0, 1, 4, 6, 5, 3, 2)
"""The columns in the order in which a narrow screen keeps them."""


def _table(
    context: RunContext, watched: Watched, tasks: Iterable[int], now: float, columns: int, *, unicode: bool
) -> list[Line]:
    running = {attempt.task: attempt for attempt in reversed(context.state.running.values())}
    rows = [_cells(context, watched, task, now, running.get(task), unicode=unicode) for task in tasks]
    widths = _widths(rows, columns)
    heading = "  ".join(fit(_COLUMNS[i].title, w, right=_COLUMNS[i].right) for i, w in widths)
    drawn: list[Line] = [[(clip(heading, columns).rstrip(), "bold")]]
    for status, cells in rows:
        line: Line = []
        for i, w in widths:
            if line:
                line.append(("  ", ""))
            line.append((fit(cells[i], w, right=_COLUMNS[i].right), LOOKS[status].style if i == 1 else ""))
        line[-1] = (line[-1][0].rstrip(), line[-1][1])
        drawn.append(line)
    return drawn


def _widths(rows: list[tuple[int, list[str]]], columns: int) -> list[tuple[int, int]]:
    """(column, width) from left to right: as many columns as fit, the worthiest first, none too wide."""
    wanted = [
        min(c.most, max(c.least, len(c.title), *(width(cells[i]) for _, cells in rows)))
        if rows
        else max(c.least, len(c.title))
        for i, c in enumerate(_COLUMNS)
    ]
    kept: dict[int, int] = {}
    room = columns
    for i in _BY_WORTH:
        gap = 2 if kept else 0
        if i in (2, 5) and not any(cells[i] for _, cells in rows):
            continue
        if room < _COLUMNS[i].least + gap:
            break
        kept[i] = _COLUMNS[i].least
        room -= _COLUMNS[i].least + gap
    for i in _BY_WORTH:
        if i in kept:
            more = min(room, wanted[i] - kept[i])
            kept[i] += more
            room -= more
    return sorted(kept.items()) or [(0, columns)]


def _cells(
    context: RunContext, watched: Watched, task: int, now: float, running: Running | None, *, unicode: bool
) -> tuple[int, list[str]]:
    """The status of a task, and one text per column; `running`: its attempt under way."""
    state = context.state
    status = state.status[task]
    look = LOOKS[status]
    began, ended = state.first_started_at[task], state.ended_at[task]
    elapsed = "" if isnan(began) else seconds_text((now if isnan(ended) else ended) - began)
    tokens = context.live_tokens.get(task, 0)
    estimated = bool(tokens)
    if (usage := context.usage.get(task)) is not None:
        tokens += usage.input_tokens + usage.output_tokens
        estimated = estimated or usage.estimated
    return status, [
        one_line(state.graph.names[task]),
        f"{look.glyph if unicode else look.ascii} {look.word}",
        one_line(context.models[task]) if task < len(context.models) else "",
        _attempts(state, task) if state.attempts[task] else "",
        elapsed,
        f"{'~' if estimated else ''}{tokens:,}" if tokens else "",
        (_standing(context, running, now) if running else "") or _wait(context, watched, task, status, now),
    ]


def _standing(context: RunContext, running: Running, now: float) -> str:
    """How long the attempt has run, and where that lies among those before it; empty where too few are known."""
    elapsed = now - running.started_at
    found = context.percentile(running.task, running.candidate, elapsed)
    return f"running {seconds_text(elapsed)}, p{found[0]} of {found[1]:,}" if found is not None else ""


def _attempts(state: RunState, task: int) -> str:
    calls = len(state.doubled.get(task, ()))
    return f"{state.attempts[task]}+{calls - 1}" if calls > 1 else str(state.attempts[task])


def _wait(context: RunContext, watched: Watched, task: int, status: int, now: float) -> str:
    """How long the task waited or waits, for what; or why it failed."""
    state = context.state
    if status == Status.PENDING:
        waits = state.pending[task]
        return f"for {plural(waits, 'task')}"
    if status == Status.WAITING and task in watched.due:
        due, cause = watched.due[task]
        return f"{one_line(cause).replace('_', ' ')} in {seconds_text(due - now)}: {watched.reasons.get(task, '')}"
    if status >= FIRST_SETTLED and task in watched.reasons and status != Status.SUCCEEDED:
        return watched.reasons[task]
    ready, began = state.ready_at[task], state.first_started_at[task]
    if status == Status.READY:
        return f"{seconds_text(now - ready)} for a worker"
    if isnan(began) or state.attempts[task] > 1:
        return ""
    return seconds_text(began - ready)
